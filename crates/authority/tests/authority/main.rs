//! The authority over the model store, with the test's own clock and randomness.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that cannot go on fails its test, as the test itself would"
)]

mod beyond_caller;
mod directory;
mod limits;
mod lineage;
mod root;
mod rotation;
mod tree;
mod usage;
mod world;
