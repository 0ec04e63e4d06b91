//! Nodes are upgraded one after the other: those of before work beside those that have brought the schema further.

use std::sync::Arc;

use countersign_domain::store::{ChangeSink, Store as _};
use countersign_store_conformance::doubles::NullSink;
use countersign_store_conformance::ops;
use countersign_store_conformance::world::{Made, World, must};
use countersign_store_postgres::{OpenError, PostgresArchive, PostgresStore};
use proptest::prelude::*;
use tokio::runtime::Handle;
use tokio::task::block_in_place;

use super::{Schema, make_in, open};

/// Tables of which a release to come may want more.
const TABLES: [&str; 9] = [
    "accounts",
    "organizations",
    "memberships",
    "service_tokens",
    "access_tokens",
    "audit",
    "feed",
    "nodes",
    "identity",
];

impl Schema {
    /// What a release to come may do in its step, and says in the ledger.
    async fn take_step(&self, oldest: i32, sql: &str) {
        let ledger = format!("INSERT INTO migrations VALUES (5, {oldest}, decode(repeat('00', 32), 'hex'))");
        self.execute(&format!("SET search_path = {}; BEGIN; {sql}; {ledger}; COMMIT", self.name)).await;
    }

    /// As it was before the last step of this program.
    async fn go_back(&self) {
        let undone = "ALTER TABLE service_tokens DROP COLUMN limits; ALTER TABLE access_tokens DROP COLUMN limits; \
                      DROP TABLE quota_uses; \
                      DELETE FROM migrations WHERE number = 3";
        self.execute(&format!("SET search_path = {}; BEGIN; {undone}; COMMIT", self.name)).await;
    }

    /// Of how many tables tokens have limits: what the last step says.
    async fn limited(&self) -> String {
        let columns = "SELECT count(*)::text FROM information_schema.columns \
                       WHERE table_schema = current_schema() AND column_name = 'limits'";
        self.query_text(columns).await
    }

    /// A step that only adds.
    async fn expand(&self) {
        let columns = TABLES.map(|table| {
            format!(
                "ALTER TABLE {table} ADD COLUMN later text, ADD COLUMN counted integer NOT NULL DEFAULT 0"
            )
        });
        let added = "CREATE TABLE added (number integer); CREATE INDEX of_later ON service_tokens (later)";
        self.take_step(1, &format!("{}; {added}", columns.join("; "))).await;
    }
}

/// A store of this program in a schema that was expanded after it was made.
fn make_expanded(sink: Arc<dyn ChangeSink>) -> Made {
    block_in_place(|| {
        let schema = Handle::current().block_on(async {
            let schema = Schema::new().await;
            drop(open(&schema, Arc::new(NullSink)).await);
            schema.expand().await;
            schema
        });
        make_in(&Arc::new(schema), sink)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is done comes to the same in the schema of the release to come.
    #[test]
    fn the_same_in_an_expanded_schema(steps in ops::steps(60)) {
        let runtime = must(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build());
        runtime.block_on(async { drop(ops::duel(&steps, &make_expanded).await) });
    }
}

/// A node that runs while the schema is expanded goes on, and one that starts then works with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_works_beside_a_newer_one() {
    let schema = Arc::new(Schema::new().await);
    let world = World::new(&|sink| make_in(&schema, sink)).await;
    let before = world.create_account(&world.root).await;
    schema.expand().await;
    let after = world.create_account(&world.root).await;
    let other = open(&schema, Arc::new(NullSink)).await;
    for account in [before, after] {
        let found = must(other.find_account(account.id).await);
        assert_eq!(found, Some(account));
    }
    // What the newer program has added it could not keep.
    let refused = block_in_place(|| PostgresArchive::open(schema.options().address)).err();
    assert!(matches!(refused, Some(OpenError::Newer { found: 5, known: 4 })), "{refused:?}");
}

/// A database of the release before is brought to this one while a node runs that has prepared its statements already.
#[tokio::test(flavor = "multi_thread")]
async fn the_previous_schema_is_brought_further_beside_a_node() {
    let schema = Arc::new(Schema::new().await);
    let world = World::new(&|sink| make_in(&schema, sink)).await;
    schema.go_back().await;
    let before = world.create_account(&world.root).await;
    assert_eq!(schema.limited().await, "0");

    let newer = open(&schema, Arc::new(NullSink)).await;
    assert_eq!(schema.limited().await, "2");
    let after = world.create_account(&world.root).await;
    for account in [before, after] {
        let found = must(newer.find_account(account.id).await);
        assert_eq!(found, Some(account));
    }
}

/// Where something was taken away that it needs, a node does not start.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_does_not_work_with_what_was_contracted() {
    let schema = Schema::new().await;
    drop(open(&schema, Arc::new(NullSink)).await);
    schema.take_step(5, "ALTER TABLE service_tokens DROP COLUMN name").await;
    let refused = PostgresStore::open(schema.options(), Arc::new(NullSink)).await.err();
    assert!(matches!(refused, Some(OpenError::Newer { found: 5, known: 4 })), "{refused:?}");
}
