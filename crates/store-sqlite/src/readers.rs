//! Connections that only read. They see every commit that was answered, and never make the writer wait.

use std::sync::{Arc, Mutex, PoisonError};

use countersign_domain::store::StoreError;
use rusqlite::Connection;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::apply::run;
use crate::connection::Database;
use crate::failure::Failure;
use crate::sql;

/// A small pool of read-only connections, opened as they are needed.
pub(crate) struct Readers {
    database: Arc<Database>,
    idle: Mutex<Vec<Connection>>,
    /// One for each connection that may be in use.
    permits: Semaphore,
    /// Searches read many rows; one at a time leaves the other connections to quick reads.
    searches: Semaphore,
}

impl Readers {
    /// A pool of at most `most` connections.
    pub(crate) fn new(database: Arc<Database>, most: usize) -> Self {
        let (permits, searches) = (Semaphore::new(most), Semaphore::new(1));
        Self { database, idle: Mutex::default(), permits, searches }
    }

    /// Runs `work` on a connection, in one transaction, so that all it reads is of one moment.
    pub(crate) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let _permit = self.permits.acquire().await.map_err(gone)?;
        let readers = Arc::clone(self);
        let done = spawn_blocking(move || readers.read_now(work)).await.map_err(gone)?;
        Ok(done?)
    }

    /// As [`Readers::read`], for work that may take long.
    pub(crate) async fn search<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let _permit = self.searches.acquire().await.map_err(gone)?;
        self.read(work).await
    }

    /// Lets the connections go and serves no more.
    pub(crate) fn close(&self) {
        self.permits.close();
        self.searches.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn read_now<T>(&self, work: impl FnOnce(&Connection) -> Result<T, Failure>) -> Result<T, Failure> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => self.database.connect_reader()?,
        };
        run(&connection, sql::BEGIN_READ, [])?;
        let result = work(&connection);
        // A connection that fails, here or in the work, is let go: the next one is new.
        run(&connection, sql::ROLLBACK, [])?;
        if !matches!(result, Err(Failure::Sqlite(_))) {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        }
        result
    }
}

/// The runtime is shutting down, or the work has panicked.
fn gone(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Unavailable(Box::new(error))
}
