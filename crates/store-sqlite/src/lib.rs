//! The embedded store: [`SqliteStore`] keeps the promises of [`Store`](countersign_domain::store::Store) in one file.
//!
//! All writes go through [`queue`] to the one [`writer`], which makes a [`batch`] of them durable with one commit;
//! what the batch adds to counts is entered once ([`tally`], [`pages`]). [`readers`] have connections of their own;
//! [`checkpoint`] keeps SQLite's log short. The statements are in [`sql`], the schema in `migrations/`.

mod accounts;
mod answers;
mod apply;
mod archive;
mod audit;
mod batch;
mod checkpoint;
mod chore;
mod connection;
mod effort;
mod ended;
mod failure;
mod filtered;
mod keys;
mod lists;
mod load;
mod migrate;
mod open;
mod organizations;
mod pages;
mod queue;
mod readers;
mod row;
mod sql;
mod store;
mod tally;
mod usage;
mod writer;

#[cfg(test)]
mod faults;
#[cfg(test)]
mod plans;

pub use archive::{BackupNote, EmbeddedPlace, Replaced, SqliteArchive};
pub use open::{OpenError, SqliteOptions};
pub use store::SqliteStore;
