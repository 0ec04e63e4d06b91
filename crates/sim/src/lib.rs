//! A simulation of nodes over one database (tests only): the real authority, directory, lease, and what follows the feed,
//! over a database that is simulated and clients that are not patient.
//!
//! Everything is a future that nobody but the schedule moves on, one step at a time, and every choice comes from one seed:
//! who goes on, when time passes, which connection breaks, when a node or the primary dies. After every step doors are
//! asked, and what they say is held up against the [`oracle`]. At the end every connection is mended, and every node must
//! come to know what the database does.
//!
//! What it leaves out: locks, which the tests of the store over PostgreSQL look at; a primary that was replaced and goes on;
//! a restore that loses what was acknowledged.

mod chance;
mod database;
mod node;
mod operations;
mod oracle;
mod pause;
mod schedule;
mod store;

pub use schedule::{Broken, Tally, run};
