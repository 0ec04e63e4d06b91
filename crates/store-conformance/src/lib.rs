//! The contract of the [`Store`](countersign_domain::store::Store) port as tests, and what tests stand on (tests
//! only).
//!
//! [`suite`] has a test for each promise and [`ops`] random lists of operations; both compare a store with [`model`],
//! the store as simple as it can be, which is also the double for tests of other crates. [`archives`] moves what a store
//! holds to another one. [`doubles`] are the other
//! ports, [`world`] is a store with what a test needs around it.

pub mod archives;
pub mod doubles;
pub mod model;
pub mod ops;
pub mod suite;
pub mod world;
