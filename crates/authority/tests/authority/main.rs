//! The authority over the model store, with the test's own clock and randomness.

mod beyond_caller;
mod directory;
mod root;
mod rotation;
mod usage;
mod world;
