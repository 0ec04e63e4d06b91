//! The embedded store: the contract, random operations beside the model, and what is its own.

use std::path::Path;
use std::sync::Arc;

use countersign_domain::store::ChangeSink;
use countersign_store_conformance::doubles::NullSink;
use countersign_store_conformance::ops;
use countersign_store_conformance::world::{Made, must};
use countersign_store_sqlite::{SqliteOptions, SqliteStore};
use proptest::prelude::*;

mod durable;
mod moving;
mod opening;

/// The store in a directory.
fn open(directory: &Path, sink: Arc<dyn ChangeSink>) -> SqliteStore {
    must(SqliteStore::open(SqliteOptions::new(directory), sink))
}

/// An empty store in a temporary directory.
fn make(sink: Arc<dyn ChangeSink>) -> Made {
    let directory = must(tempfile::tempdir());
    Made { store: Arc::new(open(directory.path(), sink)), keep: Box::new(directory) }
}

mod contract {
    countersign_store_conformance::store_suite!(super::make);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Random operations come to the same as on the model, also after the store was closed and opened again.
    #[test]
    fn the_same_as_the_model(steps in ops::steps(60)) {
        let runtime = must(tokio::runtime::Builder::new_multi_thread().worker_threads(1).build());
        runtime.block_on(async {
            let Made { store, keep } = ops::duel(&steps, &make).await;
            let before = ops::dump(&store).await;
            drop(store);
            let directory = must(keep.downcast::<tempfile::TempDir>());
            let again = Arc::new(open(directory.path(), Arc::new(NullSink)));
            assert_eq!(ops::dump(&(again as _)).await, before, "after it was opened again");
        });
    }

    /// The same, when many changes share a transaction.
    #[test]
    fn together_as_one_by_one(steps in ops::steps(60)) {
        let runtime = must(tokio::runtime::Builder::new_multi_thread().worker_threads(1).build());
        runtime.block_on(async { drop(ops::duel_together(&steps, &make).await) });
    }
}
