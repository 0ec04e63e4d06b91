//! The wires as clients see them: the real router over the model store, with a clock and randomness of the tests'
//! own.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that cannot go on fails its test, as the test itself would"
)]

mod accounts;
mod authorized;
mod bodies;
mod cloudflare;
mod cloudflare_shape;
mod connections;
mod documents;
mod envelope;
mod ext_authz;
mod faults;
mod filters;
mod forms;
mod harness;
mod introspection;
mod keys;
mod last_seen;
mod limited;
mod limits;
mod loopback;
mod native;
mod operations;
mod organizations;
mod replay;
mod restrictions;
mod revocation;
mod revocations;
mod signed;
mod spellings;
mod strangers;
mod table;
