//! What the store holds moves away and comes back, as backups, restores and migrations have it.

use std::sync::Arc;

use countersign_domain::archive::Record;
use countersign_domain::store::{Revision, SharedStore};
use countersign_store_conformance::archives::{self, Made as Moved};
use countersign_store_conformance::doubles::NullSink;
use countersign_store_conformance::ops;
use countersign_store_conformance::world::{Made, World, must};
use countersign_store_postgres::PostgresArchive;
use proptest::prelude::*;
use tokio::runtime::Handle;
use tokio::task::block_in_place;

use super::{Schema, make, make_in, open};

fn blocking<T>(work: impl Future<Output = T>) -> T {
    block_in_place(|| Handle::current().block_on(work))
}

/// An empty store, as an archive and as a store.
fn empty() -> (Arc<Schema>, Moved) {
    let schema = Arc::new(blocking(Schema::new()));
    let archive = block_in_place(|| must(PostgresArchive::open(schema.options().address)));
    let kept = Arc::clone(&schema);
    let opened = move |sink| Arc::new(blocking(open(&kept, sink))) as _;
    (schema, (Box::new(archive), Box::new(opened)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// What moves to another store and back is the same, and goes on as before.
    #[test]
    fn what_moves_is_the_same(steps in ops::steps(60), more in ops::steps(20)) {
        let runtime = must(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build());
        runtime.block_on(async {
            let Made { store, keep } = ops::duel(&steps, &make).await;
            let before = ops::dump(&store).await;
            let schema = must(keep.downcast::<Arc<Schema>>());
            let mut archive = block_in_place(|| must(PostgresArchive::read(schema.options().address)));
            let (_kept, moved) = empty();
            archives::move_house(&mut archive, &before, &more, || moved).await;
        });
    }
}

/// What is there gives way in one step, and nodes learn of it: the epoch is another one.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_replaced_has_another_epoch() {
    let schema = Arc::new(Schema::new().await);
    let world = World::new(&|sink| make_in(&schema, sink)).await;
    let token = world.issue(&world.root, "saved").await;
    let mut archive = block_in_place(|| must(PostgresArchive::open(schema.options().address)));
    let (mut records, mut contents) = archives::export(&mut archive);
    let later = world.issue(&world.root, "later").await;
    let epoch = schema.query_text("SELECT epoch::text FROM identity").await;
    let refused = |archive: &mut PostgresArchive, expected: &str| {
        let refused = archives::try_to_import(archive, records.clone(), &mut |_| Err("no".into()));
        let why = must(refused.err().ok_or("it was taken")).to_string();
        assert!(why.contains(expected), "{expected}: {why}");
    };

    // Whoever works with it would lose what is acknowledged meanwhile.
    let mut archive = archive.replacing(Some(contents));
    let lives = "DELETE FROM nodes; INSERT INTO nodes (id, horizon) VALUES (gen_random_uuid(), '3')";
    schema.execute(&format!("SET search_path = {}; {lives}", schema.name)).await;
    refused(&mut archive, "servers that use the database: 1;");
    schema.execute(&format!("DELETE FROM {}.nodes", schema.name)).await;
    refused(&mut archive, "changed meanwhile");
    let mut archive = archive.replacing(None);
    refused(&mut archive, "no");
    assert!(world.stored(&later).await.is_some(), "nothing gives way to what was refused");
    assert_eq!(schema.query_text("SELECT epoch::text FROM identity").await, epoch);

    // No revision is used twice.
    contents.revision = Revision(contents.revision.0 + 1);
    records.pop();
    records.push(Record::End(contents.revision));
    archives::import(&mut archive, records, &contents);
    let node: SharedStore = Arc::new(open(&schema, Arc::new(NullSink)).await);
    let find = |id| node.find_service_token(world.root.id, id);
    assert_eq!(must(find(token.id).await), Some(token));
    assert_eq!(must(find(later.id).await), None);
    assert_ne!(schema.query_text("SELECT epoch::text FROM identity").await, epoch);
}
