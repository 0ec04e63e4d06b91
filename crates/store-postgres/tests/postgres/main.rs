//! The shared store: the contract, and random operations beside the model.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use countersign_domain::store::ChangeSink;
use countersign_domain::time::Uptime;
use countersign_store_conformance::doubles::NullSink;
use countersign_store_conformance::ops;
use countersign_store_conformance::world::{Made, must};
use countersign_store_postgres::{PostgresOptions, PostgresStore};
use proptest::prelude::*;
use tokio::runtime::Handle;
use tokio::task::block_in_place;

mod following;
mod lease;
mod moving;
mod nodes;
mod sessions;
mod together;
mod upgrading;

/// What the stores of this process are called in the database.
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// How long a test runs.
struct SinceStart(Instant);

impl Uptime for SinceStart {
    fn uptime(&self) -> Duration {
        self.0.elapsed()
    }
}

/// For a database at this address.
fn options_at(url: &str) -> PostgresOptions {
    PostgresOptions::new(must(url.parse()), Arc::new(SinceStart(Instant::now())))
}

/// A place of its own in the database for tests.
struct Schema {
    url: String,
    name: String,
}

impl Schema {
    async fn new() -> Self {
        let url = std::env::var("COUNTERSIGN_TEST_DATABASE_URL");
        let url = url.unwrap_or_else(|_| {
            panic!("COUNTERSIGN_TEST_DATABASE_URL names no server: `cargo xtask test` and `cargo xtask postgres` start one")
        });
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{}_{number}", std::process::id());
        let schema = Self { url, name };
        schema.execute(&format!("CREATE SCHEMA {}", schema.name)).await;
        schema
    }

    async fn execute(&self, sql: &str) {
        must(self.try_to_execute(sql).await);
    }

    async fn try_to_execute(&self, sql: &str) -> Result<(), tokio_postgres::Error> {
        let (client, connection) = tokio_postgres::connect(&self.url, tokio_postgres::NoTls).await?;
        let connection = tokio::spawn(connection);
        client.batch_execute(sql).await?;
        drop(client);
        must(connection.await)
    }

    /// What a statement gives: one text.
    async fn query_text(&self, sql: &str) -> String {
        let (client, connection) = must(tokio_postgres::connect(&self.url, tokio_postgres::NoTls).await);
        let connection = tokio::spawn(connection);
        must(client.batch_execute(&format!("SET search_path = {}", self.name)).await);
        let text = must(client.query_one(sql, &[]).await).get(0);
        drop(client);
        must(must(connection.await));
        text
    }

    fn options(&self) -> PostgresOptions {
        let separator = if self.url.contains('?') { '&' } else { '?' };
        let url = format!("{}{separator}options=-c%20search_path%3D{}", self.url, self.name);
        PostgresOptions { connections: 4, ..options_at(&url) }
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        let sql = format!("SET client_min_messages = warning; DROP SCHEMA {} CASCADE", self.name);
        // Nodes that still follow may be in its way.
        let drop = async {
            let mut tries = 0..20;
            while tries.next().is_some() && self.try_to_execute(&sql).await.is_err() {}
        };
        block_in_place(|| Handle::current().block_on(drop));
    }
}

async fn open(schema: &Schema, sink: Arc<dyn ChangeSink>) -> PostgresStore {
    must(PostgresStore::open(schema.options(), sink).await)
}

/// An empty store.
fn make(sink: Arc<dyn ChangeSink>) -> Made {
    let schema = block_in_place(|| Handle::current().block_on(Schema::new()));
    make_in(&Arc::new(schema), sink)
}

/// A store in a place that others may know, too.
fn make_in(schema: &Arc<Schema>, sink: Arc<dyn ChangeSink>) -> Made {
    let store = block_in_place(|| Handle::current().block_on(open(schema, sink)));
    Made { store: Arc::new(store), keep: Box::new(Arc::clone(schema)) }
}

mod contract {
    countersign_store_conformance::store_suite!(super::make);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    /// Random operations come to the same as on the model, also for a node that comes later.
    #[test]
    fn the_same_as_the_model(steps in ops::steps(60)) {
        let runtime = must(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build());
        runtime.block_on(async {
            let Made { store, keep } = ops::duel(&steps, &make).await;
            let before = ops::dump(&store).await;
            let schema = must(keep.downcast::<Arc<Schema>>());
            let again = Arc::new(open(&schema, Arc::new(NullSink)).await);
            assert_eq!(ops::dump(&(again as _)).await, before, "as another node sees it");
            drop(store);
        });
    }

    /// The same, when many changes share a transaction.
    #[test]
    fn together_as_one_by_one(steps in ops::steps(60)) {
        let runtime = must(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build());
        runtime.block_on(async { drop(ops::duel_together(&steps, &make).await) });
    }
}
