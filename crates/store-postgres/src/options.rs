//! How the store is opened, and why it cannot be.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use countersign_domain::store::StoreError;
use countersign_domain::time::Uptime;
use tokio_postgres::error::SqlState;

use crate::address::Address;
use crate::refusal::ConnectError;

/// Where the database is and how many connections it may have.
#[derive(Clone)]
pub struct PostgresOptions {
    /// Where the database is.
    pub address: Address,
    /// Most connections of this node.
    pub connections: usize,
    /// Most changes that wait to be written; one more is `Busy`.
    pub queue: usize,
    /// How long doors may go on with what they know when it cannot be found out what other nodes changed.
    pub serve_stale_for: Duration,
    /// By which the lease is measured.
    pub uptime: Arc<dyn Uptime>,
}

impl PostgresOptions {
    /// For a database at this address.
    pub fn new(address: Address, uptime: Arc<dyn Uptime>) -> Self {
        Self { address, connections: 16, queue: 4096, serve_stale_for: Duration::ZERO, uptime }
    }
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Why a store cannot be opened: a line that names what is wrong and what helps.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No host gives a session.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A pooler mixes up sessions.
    #[error(
        "the database is behind a pooler that gives each transaction another session: set pool_mode = session for it, or \
         connect to PostgreSQL itself"
    )]
    TransactionPooling,
    /// It lacks what this store is made of.
    #[error("the database is PostgreSQL {found}: use version 13 or a newer one")]
    TooOld {
        /// As it calls itself.
        found: String,
    },
    /// A commit would be acknowledged that a crash undoes.
    #[error(
        "the database says that a commit is done before it is durable (synchronous_commit = {found}): set it to on, or \
         stricter, for this user: ALTER ROLE … SET synchronous_commit = on"
    )]
    NotDurable {
        /// As it is set.
        found: String,
    },
    /// The user has too few rights.
    #[error(
        "the user of the database may not do what is needed ({said}): let it own the database, or GRANT it CREATE and USAGE on its schema"
    )]
    NotAllowed {
        /// In PostgreSQL's words.
        said: String,
    },
    /// It was reached, and then failed.
    #[error("the database cannot be used")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// There is no runtime with timers.
    #[error("the store needs a runtime with timers")]
    NoRuntime,
    /// It was changed by a newer program in a way that this one does not know.
    #[error("the database is of step {found} and this program knows {known}: use a newer program")]
    Newer {
        /// The last step of the database.
        found: i32,
        /// The last step of this program.
        known: i32,
    },
    /// There is no store in it.
    #[error("there is nothing of countersign in the database: name another one")]
    Empty,
    /// It was used by an older program, and this one may not change it.
    #[error("the database has not reached step {known}: start a server of this version on it once")]
    Older {
        /// The step of this program.
        known: i32,
    },
    /// The system gives no threads.
    #[error("cannot start the runtime")]
    Runtime(#[source] std::io::Error),
    /// A step that was applied is not the one of this program.
    #[error("step {number} of the database is not the one of this program")]
    Changed {
        /// Which step.
        number: i32,
    },
}

impl From<tokio_postgres::Error> for OpenError {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(answer) if *answer.code() == SqlState::INSUFFICIENT_PRIVILEGE => {
                Self::NotAllowed { said: answer.message().to_owned() }
            }
            _ => Self::Failed(error.into()),
        }
    }
}

impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}
