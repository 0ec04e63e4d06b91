//! For how long a node knows what is true, and when it has to read everything afresh.

use std::sync::Arc;
use std::time::Duration;

use countersign_domain::change::FactChange;
use countersign_domain::lease::{Freshness, Lease};
use countersign_domain::store::Store as _;
use countersign_domain::time::Uptime as _;
use countersign_store_conformance::doubles::{ManualUptime, RecordingSink};
use countersign_store_conformance::world::{World, must};
use countersign_store_postgres::{PostgresOptions, PostgresStore};
use tokio_postgres::{Client, NoTls};

use super::{Schema, make_in};

/// Time for what happens by itself, on a slow machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A node whose time is the test's.
struct Node {
    store: PostgresStore,
    sink: Arc<RecordingSink>,
    uptime: Arc<ManualUptime>,
    lease: Arc<Lease>,
}

impl Node {
    async fn of(schema: &Schema) -> Self {
        Self::serving_stale_for(schema, Duration::ZERO).await
    }

    async fn serving_stale_for(schema: &Schema, serve_stale_for: Duration) -> Self {
        let uptime = Arc::new(ManualUptime::default());
        uptime.advance(Duration::from_secs(1_000));
        let options = PostgresOptions { serve_stale_for, uptime: uptime.clone(), ..schema.options() };
        let sink = Arc::new(RecordingSink::default());
        let store = must(PostgresStore::open(options, sink.clone()).await);
        let lease = store.lease();
        Self { store, sink, uptime, lease }
    }

    async fn loaded(schema: &Schema) -> Self {
        let node = Self::of(schema).await;
        must(node.store.load_facts(Box::new(|_| {})).await);
        node
    }

    fn freshness(&self) -> Freshness {
        self.lease.freshness(self.uptime.uptime())
    }

    /// What it is told from now on.
    async fn told(&self) -> Vec<FactChange> {
        must(self.store.follow().await);
        self.sink.take().into_iter().flat_map(|(_, changes)| changes).collect()
    }
}

async fn schema_with_root() -> (Arc<Schema>, World) {
    let schema = Arc::new(Schema::new().await);
    let world = World::new(&|sink| make_in(&schema, sink)).await;
    (schema, world)
}

/// Every fact that a node which starts now would be told.
async fn everything(schema: &Schema) -> Vec<FactChange> {
    let facts = Arc::new(std::sync::Mutex::new(Vec::new()));
    let node = Node::of(schema).await;
    let learnt = Arc::clone(&facts);
    must(node.store.load_facts(Box::new(move |fact| must(learnt.lock()).push(fact))).await);
    must(facts.lock()).clone()
}

async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    must(
        tokio::time::timeout(PATIENCE, async {
            while !is_so().await {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await,
    );
}

async fn somebody(schema: &Schema) -> Client {
    let (client, connection) = must(tokio_postgres::connect(&schema.url, NoTls).await);
    tokio::spawn(connection);
    must(client.batch_execute(&format!("SET search_path = {}", schema.name)).await);
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_lasts_two_seconds_from_when_it_was_asked_for() {
    let (schema, _world) = schema_with_root().await;
    let node = Node::of(&schema).await;
    assert_eq!(node.freshness(), Freshness::Lapsed, "nothing is known yet");
    must(node.store.load_facts(Box::new(|_| {})).await);
    assert_eq!(node.freshness(), Freshness::Fresh);
    // It follows by itself, too, and may do so at any time: only what it has asked for before this is out of date.
    let somebody = somebody(&schema).await;
    must(somebody.batch_execute("BEGIN; LOCK TABLE nodes IN ACCESS EXCLUSIVE MODE").await);
    node.uptime.advance(Lease::TERM);
    assert_eq!(node.freshness(), Freshness::Lapsed);
    let follow = node.store.follow().await;
    assert!(
        follow.is_err(),
        "what it knows may be true; that the database is still the one that counts is not known"
    );
    assert_eq!(node.freshness(), Freshness::Lapsed);
    must(somebody.batch_execute("ROLLBACK").await);
    until(async || node.freshness() == Freshness::Fresh).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_may_go_on_with_what_it_knows_for_as_long_as_it_was_told() {
    let (schema, _world) = schema_with_root().await;
    let node = Node::serving_stale_for(&schema, Duration::from_secs(600)).await;
    must(node.store.load_facts(Box::new(|_| {})).await);
    node.store.close().await;
    node.uptime.advance(Lease::TERM + Duration::from_secs(599));
    assert_eq!(node.freshness(), Freshness::Stale);
    node.uptime.advance(Duration::from_secs(2));
    assert_eq!(node.freshness(), Freshness::Lapsed);
}

/// The database's clock counts, whatever the machine's says.
#[tokio::test(flavor = "multi_thread")]
async fn the_time_is_the_databases() {
    let (schema, _world) = schema_with_root().await;
    let node = Node::loaded(&schema).await;
    let row = must(
        somebody(&schema).await.query_one("SELECT extract(epoch FROM clock_timestamp())::bigint", &[]).await,
    );
    let (shown, theirs) = (node.store.clock().now().as_seconds(), row.get::<_, i64>(0));
    assert!((shown - theirs).abs() <= 1, "{shown} is not {theirs}");
    node.uptime.advance(Duration::from_secs(3_600));
    assert_eq!(node.store.clock().now().as_seconds(), shown + 3_600);
    // As after a failover to a database whose clock is another: it is followed.
    must(node.store.follow().await);
    assert!((node.store.clock().now().as_seconds() - theirs).abs() <= 5);
}

/// What was restored is another history, in which less may have happened than was told.
#[tokio::test(flavor = "multi_thread")]
async fn another_epoch_is_read_afresh_and_nothing_stays_that_is_not_there() {
    let (schema, world) = schema_with_root().await;
    let account = world.create_account(&world.root).await;
    let (kept, lost) = (world.issue(&account, "kept").await, world.issue(&account, "lost").await);
    let node = Node::loaded(&schema).await;
    node.told().await;
    let somebody = somebody(&schema).await;
    must(somebody.execute("DELETE FROM service_tokens WHERE id::text = $1", &[&lost.id.to_string()]).await);
    assert_eq!(node.told().await, [], "nobody has told of it");
    must(somebody.batch_execute("UPDATE identity SET epoch = gen_random_uuid()").await);
    // Whoever is first notices it: the node by itself, or by what is asked here.
    let mut told = Vec::new();
    until(async || {
        told.extend(node.told().await);
        !told.is_empty()
    })
    .await;
    assert_eq!(told, everything(&schema).await);
    assert!(told.contains(&FactChange::Credential((&kept).into())));
    assert_eq!(node.told().await, []);
}

/// The same after a dump was restored: the database has the same name, and other files.
#[tokio::test(flavor = "multi_thread")]
async fn a_feed_in_another_file_is_read_afresh() {
    let (schema, world) = schema_with_root().await;
    let node = Node::loaded(&schema).await;
    node.told().await;
    let somebody = somebody(&schema).await;
    must(somebody.batch_execute("VACUUM FULL feed").await);
    until(async || !node.told().await.is_empty()).await;
    let token = world.issue(&world.root, "later").await;
    let mut told = Vec::new();
    until(async || {
        told.extend(node.told().await);
        told.contains(&FactChange::Credential((&token).into()))
    })
    .await;
}

/// What every node has seen is forgotten; what one has not seen is kept for it, until it is forgotten itself. When it
/// comes back it reads everything.
#[tokio::test(flavor = "multi_thread")]
async fn the_feed_keeps_what_somebody_needs() {
    let (schema, world) = schema_with_root().await;
    let somebody = somebody(&schema).await;
    let left = async || must(somebody.query_one("SELECT count(*) FROM feed", &[]).await).get::<_, i64>(0);
    let node = Node::loaded(&schema).await;
    world.issue(&world.root, "seen").await;
    node.told().await;
    until(async || left().await == 0).await;

    // A node that stands still.
    let enter =
        "INSERT INTO nodes (id, horizon) VALUES (gen_random_uuid(), pg_snapshot_xmin(pg_current_snapshot()))";
    must(somebody.execute(enter, &[]).await);
    let missed = world.issue(&world.root, "missed").await;
    assert!(node.told().await.contains(&FactChange::Credential((&missed).into())));
    must(node.store.tidy().await);
    assert_eq!(left().await, 1, "somebody has not seen it");
    must(
        somebody.batch_execute("UPDATE nodes SET seen_at = clock_timestamp() - interval '11 minutes'").await,
    );
    until(async || left().await == 0).await;
    // So is the node that lives; it starts afresh.
    must(somebody.batch_execute("DELETE FROM nodes").await);
    until(async || node.told().await.contains(&FactChange::Credential((&missed).into()))).await;
}

/// Who ends well leaves nothing behind that others would have to keep.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_ends_is_forgotten() {
    let (schema, _world) = schema_with_root().await;
    let somebody = somebody(&schema).await;
    let nodes = async || must(somebody.query_one("SELECT count(*) FROM nodes", &[]).await).get::<_, i64>(0);
    let before = nodes().await;
    let node = Node::loaded(&schema).await;
    assert_eq!(nodes().await, before + 1);
    node.store.close().await;
    assert_eq!(nodes().await, before);
    assert!(node.store.check().await.is_err(), "it is closed");
}
