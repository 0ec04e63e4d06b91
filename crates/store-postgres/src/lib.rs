//! The shared store: many nodes over one PostgreSQL.
//!
//! What is written together is one transaction; what a change was decided on is held until it ends ([`guard`]), so that
//! nodes cannot decide past each other. Everything that one node writes goes through one lane ([`writer`]), in which
//! changes that arrive together share a commit.

mod access_tokens;
mod accounts;
mod address;
mod announcer;
mod apply;
mod archive;
mod audit;
mod batch;
mod clock;
mod connect;
mod ended;
mod failure;
mod feed;
mod files;
mod filtered;
mod follower;
mod guard;
mod issued;
mod keys;
mod lists;
mod load;
mod many;
mod migrate;
mod options;
mod organizations;
mod parameters;
mod passfile;
mod pool;
mod pooler;
mod refusal;
mod row;
mod service_tokens;
mod session;
mod sql;
mod store;
mod tally;
mod tls;
mod trouble;
mod usage;
mod watched;
mod writer;

pub use address::{Address, AddressError};
pub use archive::PostgresArchive;
pub use options::{OpenError, PostgresOptions};
pub use refusal::ConnectError;
pub use store::PostgresStore;
