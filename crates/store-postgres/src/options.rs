//! How the store is reached.

use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use tokio_postgres::NoTls;

/// Longest time for a statement; what takes longer is given up.
const STATEMENT_TIMEOUT: &str = "10s";
/// Longest time to wait for a row that somebody else holds.
const LOCK_TIMEOUT: &str = "3s";
/// Longest time for a transaction of ours in which nothing happens: a node that stands still must not hold others up.
const IDLE_TIMEOUT: &str = "5s";
/// Longest time to wait for a free connection, or for a new one.
const PATIENCE: Duration = Duration::from_secs(3);

/// Where the database is and how many connections it may have.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// `postgres://user@host/database`, or `key=value` pairs.
    pub url: String,
    /// Most connections of this node.
    pub connections: usize,
    /// Most changes that wait to be written; one more is `Busy`.
    pub queue: usize,
}

impl PostgresOptions {
    /// For a database at this address.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), connections: 16, queue: 4096 }
    }

    pub(crate) fn pool(&self) -> Result<Pool, OpenError> {
        let mut config: tokio_postgres::Config = self.url.parse()?;
        // Those of the address come last, so that they win.
        let settings = format!(
            "-c statement_timeout={STATEMENT_TIMEOUT} -c lock_timeout={LOCK_TIMEOUT} \
             -c idle_in_transaction_session_timeout={IDLE_TIMEOUT} {}",
            config.get_options().unwrap_or_default()
        );
        config.application_name("countersign").options(&settings).connect_timeout(PATIENCE);
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(config, NoTls, recycling);
        let pool = Pool::builder(manager)
            .max_size(self.connections)
            .wait_timeout(Some(PATIENCE))
            .create_timeout(Some(PATIENCE))
            .recycle_timeout(Some(PATIENCE))
            .runtime(Runtime::Tokio1)
            .build();
        pool.map_err(|error| OpenError::Unreachable(error.into()))
    }
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No answer, or a refusal.
    #[error("the database cannot be used")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It was used by a newer program.
    #[error("the database is of step {found} and this program knows {known}: use a newer program")]
    Newer {
        /// The last step of the database.
        found: i32,
        /// The last step of this program.
        known: i32,
    },
    /// A step that was applied is not the one of this program.
    #[error("step {number} of the database is not the one of this program")]
    Changed {
        /// Which step.
        number: i32,
    },
}

impl From<tokio_postgres::Error> for OpenError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Unreachable(error.into())
    }
}
