//! Changes that share a transaction: each is decided on by what those before it have left.

use std::sync::Arc;
use std::time::Duration;

use countersign_domain::access_token::{AccessToken, Source};
use countersign_domain::change::{AccessTokenLimits, Change, Guard, Mutation};
use countersign_domain::lifetime::Ttl;
use countersign_domain::service_token::ServiceToken;
use countersign_domain::store::{Revision, StoreError};
use countersign_store_conformance::world::{LIMIT, World, limits, must, revocation, whole_audit};
use futures_util::future::{join, join_all};

use super::following::somebody;
use super::{Schema, make_in};

struct Node {
    schema: Arc<Schema>,
    world: World,
}

impl Node {
    async fn new() -> Self {
        let schema = Arc::new(Schema::new().await);
        let world = World::new(&|sink| make_in(&schema, sink)).await;
        Self { schema, world }
    }

    /// Applies these changes in one transaction, in their order: somebody holds up the one before until all of them wait.
    async fn together(&self, changes: &[Change]) -> Vec<Result<Revision, StoreError>> {
        let somebody = somebody(&self.schema).await;
        must(somebody.batch_execute("BEGIN; SELECT 1 FROM account_counts FOR UPDATE").await);
        let root = self.world.root.clone();
        let before = self.issue(&self.world.service_token(&root, "before"), Guard::System);
        let apply = |change: &Change| self.world.store.apply(change.clone());
        let follow = async {
            // Who waits for a row stands in line for it.
            let waits =
                "SELECT 1 FROM pg_locks WHERE locktype = 'tuple' AND relation = 'account_counts'::regclass";
            while must(somebody.query(waits, &[]).await).is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            // In this order: all of them wait before it is let go.
            join(join_all(changes.iter().map(apply)), somebody.batch_execute("COMMIT")).await
        };
        let (before, (results, let_go)) = join(apply(&before), follow).await;
        must(before);
        must(let_go);
        results
    }

    fn issue(&self, token: &ServiceToken, guard: Guard) -> Change {
        self.world.change(guard, Mutation::IssueServiceToken { token: token.clone(), limit: LIMIT })
    }

    fn issue_access(&self, token: &AccessToken, guard: Guard) -> Change {
        self.world.change(guard, Mutation::IssueAccessToken { token: token.clone(), limits: limits(LIMIT) })
    }

    fn system(&self, mutation: Mutation) -> Change {
        self.world.change(Guard::System, mutation)
    }
}

fn guard(token: &AccessToken) -> Guard {
    Guard::Token { handle: token.handle, version: token.version }
}

fn end(token: &AccessToken) -> Mutation {
    let (account, handle, expected) = (token.account, token.handle, token.version);
    Mutation::RevokeAccessToken { account, handle, expected, descendants: false }
}

/// Which were accepted; each of them has a revision after those before it, its audit record, and was published.
async fn accepted(node: &Node, results: &[Result<Revision, StoreError>]) -> Vec<bool> {
    let revisions: Vec<_> = results.iter().flatten().copied().collect();
    assert!(revisions.windows(2).all(|pair| pair[0] < pair[1]), "{revisions:?}");
    let published: Vec<_> = node.world.sink.published().into_iter().map(|(revision, _)| revision).collect();
    assert!(published.ends_with(&revisions), "{revisions:?} of {published:?}");
    let audit = node.world.audit(whole_audit(100)).await;
    assert!(audit.iter().rev().map(|record| record.revision).collect::<Vec<_>>().ends_with(&revisions));
    results.iter().map(Result::is_ok).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_ended_guards_nothing_after_it() {
    let node = Node::new().await;
    let account = node.world.create_account(&node.world.root).await;
    let minter = node.world.issue_access(&account, Ttl::Eternal).await;
    let minted = [(); 2].map(|()| node.issue(&node.world.service_token(&account, "minted"), guard(&minter)));
    let [before, after] = minted;
    let results = node.together(&[before, node.system(end(&minter)), after]).await;
    assert!(matches!(results[2], Err(StoreError::GuardFailed)), "{results:?}");
    assert_eq!(accepted(&node, &results).await, [true, true, false]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_issued_may_issue_and_end() {
    let node = Node::new().await;
    let account = node.world.create_account(&node.world.root).await;
    let minter = node.world.access_token(&account, Ttl::Eternal);
    let minted = node.world.service_token(&account, "minted");
    let rotated = node.world.rotated(minted.clone());
    let rotate = Mutation::ReplaceServiceToken { expected: minted.version, token: rotated.clone() };
    let results = node
        .together(&[
            node.issue_access(&minter, guard(&node.world.root_token)),
            node.issue(&minted, guard(&minter)),
            node.system(rotate),
            node.system(end(&minter)),
            node.system(revocation(&rotated)),
        ])
        .await;
    assert_eq!(accepted(&node, &results).await, [true; 5], "{results:?}");
    assert_eq!(node.world.page(&account, 0, 10).await.total, 0);
    assert_eq!(node.world.access_page(&account, 0, 10).await.total, 0);
}

/// Whatever is remembered of an account within a transaction, a change of it is seen.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_issued_to_what_the_account_was() {
    let node = Node::new().await;
    let account = node.world.create_account(&node.world.root).await;
    let next = account.clone().end_access_tokens(node.world.tick());
    let gone = must(next.clone().delete(node.world.tick()));
    let replace = |before: &countersign_domain::account::Account, account| {
        node.system(Mutation::ReplaceAccount { expected: before.version, account, keep: None })
    };
    let issue = |account| node.issue_access(&node.world.access_token(account, Ttl::DEFAULT), Guard::System);
    let results = node
        .together(&[
            issue(&account),
            replace(&account, next.clone()),
            issue(&account),
            issue(&next),
            replace(&next, gone),
            issue(&next),
        ])
        .await;
    assert!(matches!(results[2], Err(StoreError::Stale)), "{results:?}");
    assert!(matches!(results[5], Err(StoreError::NotFound)), "{results:?}");
    assert_eq!(accepted(&node, &results).await, [true, true, false, true, true, false]);
}

/// It spoils the transaction for all, which is done again, each for itself.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_already_is_refused_alone() {
    let node = Node::new().await;
    let account = node.world.create_account(&node.world.root).await;
    let there = node.world.issue(&account, "there").await;
    let tokens = [(); 2].map(|()| node.world.service_token(&account, "new"));
    let issue = |token| node.issue(token, Guard::System);
    let changes = [issue(&tokens[0]), issue(&there), issue(&tokens[0]), issue(&tokens[1])];
    let results = node.together(&changes).await;
    assert!(matches!(results[1], Err(StoreError::Duplicate)), "{results:?}");
    assert!(matches!(results[2], Err(StoreError::Duplicate)), "{results:?}");
    assert_eq!(accepted(&node, &results).await, [true, false, false, true]);
    assert_eq!(node.world.page(&account, 0, 10).await.total, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_count_those_before_them() {
    let node = Node::new().await;
    let account = node.world.create_account(&node.world.root).await;
    let log_in = || {
        let token = AccessToken { source: Source::Login, ..node.world.access_token(&account, Ttl::DEFAULT) };
        node.system(Mutation::IssueAccessToken {
            token,
            limits: AccessTokenLimits { all: LIMIT, of_logins: 2 },
        })
    };
    let results = node.together(&[log_in(), log_in(), log_in()]).await;
    assert!(matches!(results[2], Err(StoreError::LimitReached { limit: 2 })), "{results:?}");
    assert_eq!(accepted(&node, &results).await, [true, true, false]);
}
