//! The model keeps the contract that it is the reference for.

use std::sync::Arc;

use countersign_domain::store::ChangeSink;
use countersign_store_conformance::model::ModelStore;
use countersign_store_conformance::world::Made;

fn make(sink: Arc<dyn ChangeSink>) -> Made {
    Made { store: Arc::new(ModelStore::new(sink)), keep: Box::new(()) }
}

countersign_store_conformance::store_suite!(make);
