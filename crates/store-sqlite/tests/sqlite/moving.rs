//! What the store holds moves away and comes back, as backups, restores and migrations have it.

use std::sync::{Arc, Mutex};

use countersign_store_conformance::archives::{self, Made as Moved};
use countersign_store_conformance::ops;
use countersign_store_conformance::world::{Made, must};
use countersign_store_sqlite::{EmbeddedPlace, SqliteArchive};
use proptest::prelude::*;
use tempfile::TempDir;

use super::{make, open};

/// An empty store in this directory, as an archive and as a store.
fn empty(directory: &TempDir) -> Moved {
    let path = directory.path().to_owned();
    let place = must(EmbeddedPlace::take(&path));
    let (new, archive) = must(place.create_beside(".new"));
    let place = Mutex::new(Some(place));
    let opened = move |sink| {
        if let Some(place) = must(place.lock()).take() {
            must(place.replace_by(&new, ".before"));
        }
        Arc::new(open(&path, sink)) as _
    };
    (Box::new(archive), Box::new(opened))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// What moves to another store and back is the same, and goes on as before.
    #[test]
    fn what_moves_is_the_same(steps in ops::steps(60), more in ops::steps(20)) {
        let runtime = must(tokio::runtime::Builder::new_multi_thread().worker_threads(1).build());
        runtime.block_on(async {
            let Made { store, keep } = ops::duel(&steps, &make).await;
            let before = ops::dump(&store).await;
            let directory = must(keep.downcast::<TempDir>());
            // Beside the store, which goes on.
            let mut archive = must(SqliteArchive::read(&EmbeddedPlace::database(directory.path())));
            let elsewhere = must(tempfile::tempdir());
            archives::move_house(&mut archive, &before, &more, || empty(&elsewhere)).await;
        });
    }
}
