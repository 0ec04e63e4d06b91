//! Several nodes over one database.

use std::sync::Arc;
use std::time::Duration;

use countersign_domain::access_token::AccessToken;
use countersign_domain::change::{Change, Guard, Mutation};
use countersign_domain::id::{Handle, TokenRef};
use countersign_domain::lifetime::Ttl;
use countersign_domain::store::{AccessTokenQuery, SharedStore, Store as _, StoreError};
use countersign_domain::time::Timestamp;
use countersign_domain::usage::{Door, Usage, UsageBatch};
use countersign_store_conformance::doubles::NullSink;
use countersign_store_conformance::world::{LIMIT, World, must};

use super::{Schema, make_in, open};

/// Rounds of a race: one alone shows little.
const ROUNDS: usize = 25;

/// A world on one node, and another node beside it.
async fn two_nodes() -> (World, SharedStore) {
    let schema = Arc::new(Schema::new().await);
    let world = World::new(&|sink| make_in(&schema, sink)).await;
    let other = open(&schema, Arc::new(NullSink)).await;
    (world, Arc::new(other))
}

fn issue(world: &World, token: &AccessToken, guard: Guard) -> Change {
    let limits = countersign_domain::change::AccessTokenLimits { all: LIMIT, of_logins: LIMIT };
    world.change(guard, Mutation::IssueAccessToken { token: token.clone(), limits })
}

/// Whoever starts first makes the schema; the others wait for it.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_start_together_migrate_once() {
    let schema = Schema::new().await;
    let open = || open(&schema, Arc::new(NullSink));
    let (a, b, c, d) = tokio::join!(open(), open(), open(), open());
    for store in [a, b, c, d] {
        must(store.check().await);
    }
}

/// Somebody holds what the schema needs for longer than is waited at a time: it is tried again.
#[tokio::test(flavor = "multi_thread")]
async fn the_schema_is_made_when_it_can_be() {
    let schema = Schema::new().await;
    let (name, url) = (schema.name.clone(), schema.url.clone());
    let (begun, held) = tokio::sync::oneshot::channel();
    let holder = tokio::spawn(async move {
        let (client, connection) = must(tokio_postgres::connect(&url, tokio_postgres::NoTls).await);
        let connection = tokio::spawn(connection);
        must(client.batch_execute(&format!("BEGIN; CREATE TABLE {name}.migrations (theirs integer)")).await);
        must(begun.send(()));
        must(client.batch_execute("SELECT pg_sleep(4); ROLLBACK").await);
        drop(client);
        must(must(connection.await));
    });
    must(held.await);
    let store = open(&schema, Arc::new(NullSink)).await;
    must(store.check().await);
    must(holder.await);
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_keep_one_limit() {
    let (world, other) = two_nodes().await;
    let account = world.create_account(&world.root).await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..40 {
        let token = world.service_token(&account, "one of ten");
        let change = world.change(Guard::System, Mutation::IssueServiceToken { token, limit: 10 });
        let node = if number % 2 == 0 { world.store.clone() } else { other.clone() };
        tasks.spawn(async move { node.apply(change).await });
    }
    let results = tasks.join_all().await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 10);
    let is_full =
        |result: &Result<_, StoreError>| matches!(result, Err(StoreError::LimitReached { limit: 10 }));
    assert_eq!(results.iter().filter(|result| is_full(result)).count(), 30, "{results:?}");
    assert_eq!(world.page(&account, 0, 100).await.total, 10);
}

/// While one node mints in the name of a token, another ends that token: nothing is minted after the end was
/// acknowledged, and everything that was acknowledged is there.
#[tokio::test(flavor = "multi_thread")]
async fn what_ends_on_one_node_guards_nothing_on_another() {
    let (world, other) = two_nodes().await;
    let account = world.create_account(&world.root).await;
    for _ in 0..ROUNDS {
        let minter = world.access_token(&account, Ttl::Eternal);
        must(world.issue_access_exactly(minter.clone(), LIMIT).await);
        let guard = Guard::Token { handle: minter.handle, version: minter.version };
        let minted: Vec<_> = (0..8).map(|_| world.access_token(&account, Ttl::Eternal)).collect();
        let mut tasks = tokio::task::JoinSet::new();
        for token in minted.clone() {
            let (store, change) = (world.store.clone(), issue(&world, &token, guard));
            tasks.spawn(async move { (token, store.apply(change).await) });
        }
        let end = Mutation::RevokeAccessToken {
            account: account.id,
            handle: minter.handle,
            expected: minter.version,
            descendants: false,
        };
        must(other.apply(world.change(Guard::System, end)).await);
        let there = stored(&other, &minted).await;
        for (token, outcome) in tasks.join_all().await {
            assert!(matches!(outcome, Ok(_) | Err(StoreError::GuardFailed)), "{outcome:?}");
            assert_eq!(outcome.is_ok(), there.contains(&token.handle), "minted after its minter's end");
        }
        assert_eq!(stored(&other, &minted).await, there);
    }
}

/// Which of these tokens are there now.
async fn stored(node: &SharedStore, tokens: &[AccessToken]) -> Vec<Handle> {
    let query = AccessTokenQuery::of_account(tokens[0].account, Timestamp::from_micros(0), 0, 1_000_000);
    let there: Vec<_> = must(node.list_access_tokens(query).await).items;
    let is_one = |token: &AccessToken| there.iter().any(|stored| stored.handle == token.handle);
    tokens.iter().filter(|token| is_one(token)).map(|token| token.handle).collect()
}

/// As above, where what ends is an account above the minter's.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_disabled_on_one_node_guards_nothing_on_another() {
    let (world, other) = two_nodes().await;
    for _ in 0..ROUNDS {
        let above = world.create_account(&world.root).await;
        let account = world.create_account(&above).await;
        let minter = world.access_token(&account, Ttl::Eternal);
        must(world.issue_access_exactly(minter.clone(), LIMIT).await);
        let guard = Guard::Token { handle: minter.handle, version: minter.version };
        let minted = world.access_token(&account, Ttl::Eternal);
        let change = issue(&world, &minted, guard);
        let (store, expected) = (world.store.clone(), above.version);
        let racing = tokio::spawn(async move { store.apply(change).await });
        let disabled = must(above.set_enabled(false, world.tick()));
        let stop = Mutation::ReplaceAccount { expected, account: disabled, keep: None };
        must(other.apply(world.change(Guard::System, stop)).await);
        let there = stored(&other, &[minted]).await;
        let outcome = must(racing.await);
        assert!(matches!(outcome, Ok(_) | Err(StoreError::GuardFailed)), "{outcome:?}");
        assert_eq!(outcome.is_ok(), !there.is_empty(), "minted after its account was stopped");
    }
}

/// Uses that two nodes saw are added, and the latest one wins.
#[tokio::test(flavor = "multi_thread")]
async fn uses_of_nodes_add_up() {
    let (world, other) = two_nodes().await;
    let account = world.create_account(&world.root).await;
    let tokens = [world.issue(&account, "one").await, world.issue(&account, "other").await];
    let now = world.tick();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..40_u64 {
        let usage = |token: &countersign_domain::service_token::ServiceToken| Usage {
            token: TokenRef::Service(token.id),
            secret_version: 1,
            count: 1,
            first_at: now.after(Duration::from_secs(number)),
            last_at: now.after(Duration::from_secs(number)),
            address: None,
            user_agent: format!("agent {number}").into(),
            door: Door::Authz,
        };
        let mut uses: Vec<_> = tokens.iter().map(usage).collect();
        // Whatever order they come in.
        uses.rotate_left(usize::from(number % 2 == 0));
        let node = if number % 2 == 0 { world.store.clone() } else { other.clone() };
        tasks.spawn(async move { node.record_usage(UsageBatch { uses, refusals: Vec::new() }).await });
    }
    tasks.join_all().await.into_iter().for_each(must);
    for token in &tokens {
        let known = must(other.find_usage(TokenRef::Service(token.id)).await).uses;
        let [usage] = &known[..] else { panic!("{known:?}") };
        assert_eq!((usage.count, &*usage.user_agent), (40, "agent 39"));
        assert_eq!((usage.first_at, usage.last_at), (now, now.after(Duration::from_secs(39))));
    }
}
