//! The wires as clients see them: the real router over the model store, with a clock and randomness of the tests'
//! own.

mod cloudflare;
mod documents;
mod harness;
mod loopback;
mod native;
mod strangers;
