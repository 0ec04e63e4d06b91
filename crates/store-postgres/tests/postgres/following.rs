//! What one node changes, the others learn: all of it, once it is committed, and nothing twice in a way that matters.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use countersign_domain::account::AccountFact;
use countersign_domain::change::{FactChange, Guard, Mutation};
use countersign_domain::fact::CredentialKey;
use countersign_domain::id::ClientId;
use countersign_domain::organization::{MembershipFact, OrganizationFact};
use countersign_domain::service_token::ServiceToken;
use countersign_domain::store::Store as _;
use countersign_store_conformance::doubles::{NullSink, RecordingSink};
use countersign_store_conformance::ops;
use countersign_store_conformance::world::{World, must};
use countersign_store_postgres::PostgresStore;
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use tokio_postgres::{Client, NoTls};

use super::{Schema, make_in, open};

/// A node that has loaded everything, and what it learns.
struct Follower {
    store: PostgresStore,
    sink: Arc<RecordingSink>,
}

impl Follower {
    async fn of(schema: &Schema) -> Self {
        let sink = Arc::new(RecordingSink::default());
        let store = open(schema, sink.clone()).await;
        must(store.load_facts(Box::new(|_| {})).await);
        Self { store, sink }
    }

    /// What it learns now.
    async fn learnt(&self) -> Vec<FactChange> {
        must(self.store.follow().await);
        self.sink.take().into_iter().flat_map(|(_, changes)| changes).collect()
    }
}

async fn two_nodes() -> (Arc<Schema>, World, Follower) {
    let schema = Arc::new(Schema::new().await);
    let world = World::new(&|sink| make_in(&schema, sink)).await;
    let follower = Follower::of(&schema).await;
    (schema, world, follower)
}

fn credential(token: &ServiceToken) -> FactChange {
    FactChange::Credential(token.into())
}

/// A session of somebody else in the same database.
pub(super) async fn somebody(schema: &Schema) -> Client {
    let (client, connection) = must(tokio_postgres::connect(&schema.url, NoTls).await);
    tokio::spawn(connection);
    must(client.batch_execute(&format!("SET search_path = {}", schema.name)).await);
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_learns_what_another_changes() {
    let (_schema, world, follower) = two_nodes().await;
    assert_eq!(follower.learnt().await, []);
    let account = world.create_account(&world.root).await;
    let token = world.issue(&account, "seen").await;
    assert_eq!(follower.learnt().await, [FactChange::Account((&account).into()), credential(&token)]);
    must(world.revoke(&token).await);
    let gone = FactChange::CredentialGone {
        key: CredentialKey::Client(ClientId::from_bytes(*token.client_id.as_bytes())),
        version: token.version.next(),
    };
    assert_eq!(follower.learnt().await, [gone]);
    assert_eq!(follower.learnt().await, []);
}

/// A transaction that began before and ends after a poll is not lost, although its place in every sequence is behind.
#[tokio::test(flavor = "multi_thread")]
async fn what_commits_late_is_seen() {
    let (schema, world, follower) = two_nodes().await;
    let account = world.create_account(&world.root).await;
    let early = world.issue(&account, "early").await;
    follower.learnt().await;
    let late = somebody(&schema).await;
    let key = early.id.to_string();
    must(late.batch_execute("BEGIN").await);
    must(late.execute("INSERT INTO feed (kind, key) VALUES ('service_token', $1)", &[&key]).await);
    let between = world.issue(&account, "between").await;
    assert_eq!(follower.learnt().await, [credential(&between)]);
    assert_eq!(follower.learnt().await, []);
    must(late.batch_execute("COMMIT").await);
    assert_eq!(follower.learnt().await, [credential(&early)], "it was committed late");
    assert_eq!(follower.learnt().await, []);
}

/// A transaction of somebody else that stays open, and writes, holds nobody up and makes nothing come twice.
#[tokio::test(flavor = "multi_thread")]
async fn an_open_transaction_holds_nobody_up() {
    let (schema, world, follower) = two_nodes().await;
    let account = world.create_account(&world.root).await;
    let open = somebody(&schema).await;
    must(open.batch_execute("BEGIN; CREATE TABLE theirs (number integer)").await);
    follower.learnt().await;
    for name in ["one", "two"] {
        let token = world.issue(&account, name).await;
        assert_eq!(follower.learnt().await, [credential(&token)]);
    }
    must(open.batch_execute("COMMIT").await);
    assert_eq!(follower.learnt().await, []);
}

/// A refused change leaves nothing in the feed, beside one that is accepted in the same transaction.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_change_is_not_learnt() {
    let (_schema, world, follower) = two_nodes().await;
    let account = world.create_account(&world.root).await;
    follower.learnt().await;
    let tokens: Vec<_> = (0..20).map(|_| world.service_token(&account, "one of three")).collect();
    let mut tasks = tokio::task::JoinSet::new();
    for token in tokens.clone() {
        let mutation = Mutation::IssueServiceToken { token: token.clone(), limit: 3 };
        let (store, change) = (world.store.clone(), world.change(Guard::System, mutation));
        tasks.spawn(async move { store.apply(change).await.is_ok().then(|| credential(&token)) });
    }
    let accepted: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    let learnt = follower.learnt().await;
    assert_eq!((accepted.len(), learnt.len()), (3, 3));
    assert!(accepted.iter().all(|change| learnt.contains(change)), "{learnt:?}");
}

/// Facts by what they are about.
#[derive(Debug, Default, PartialEq)]
struct Known(BTreeMap<String, FactChange>);

impl Known {
    fn learn(&mut self, change: FactChange) {
        let about = match &change {
            FactChange::Credential(fact) => format!("{:?}", fact.key()),
            FactChange::CredentialGone { key, .. } => format!("{key:?}"),
            FactChange::Account(AccountFact { id, .. }) | FactChange::AccountGone(id) => {
                format!("account {id}")
            }
            FactChange::Organization(OrganizationFact { id, .. }) | FactChange::OrganizationGone(id) => {
                format!("organization {id}")
            }
            FactChange::Membership(MembershipFact { id, .. }) | FactChange::MembershipGone { id, .. } => {
                format!("membership {id}")
            }
            FactChange::Cut(handle) | FactChange::CutHealed(handle) => format!("cut {handle}"),
        };
        match change {
            FactChange::CredentialGone { .. }
            | FactChange::AccountGone(_)
            | FactChange::OrganizationGone(_)
            | FactChange::MembershipGone { .. }
            | FactChange::CutHealed(_) => self.0.remove(&about),
            there => self.0.insert(about, there),
        };
    }
}

/// A node that has followed from the beginning, whenever it looked, knows what one that loads now does.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_follows_knows_what_whoever_loads_does() {
    let mut runner = TestRunner::deterministic();
    for round in 0..12 {
        let schema = Arc::new(Schema::new().await);
        let follower = Follower::of(&schema).await;
        let steps = must(ops::steps(60).new_tree(&mut runner)).current();
        let mut known = Known::default();
        let make = |sink| make_in(&schema, sink);
        let duel = ops::duel(&steps, &make);
        tokio::pin!(duel);
        let _made = loop {
            tokio::select! {
                made = &mut duel => break made,
                // In every other round it has to learn much at once.
                learnt = follower.learnt(), if round % 2 == 0 => learnt.into_iter().for_each(|change| known.learn(change)),
            }
        };
        follower.learnt().await.into_iter().for_each(|change| known.learn(change));
        let loaded = Arc::new(Mutex::new(Known::default()));
        let load = Arc::clone(&loaded);
        let visit = Box::new(move |change| must(load.lock()).learn(change));
        must(open(&schema, Arc::new(NullSink)).await.load_facts(visit).await);
        assert_eq!(known, *must(loaded.lock()));
        assert!(!known.0.is_empty());
    }
}
