//! The contract of the [`Store`](countersign_domain::store::Store) port as tests, and what tests stand on (tests
//! only).
//!
//! [`model`] is the store as simple as it can be, and the double for tests of other crates; [`doubles`] are the
//! other ports.

pub mod doubles;
pub mod model;
