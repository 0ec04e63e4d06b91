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
    permits: Arc<Semaphore>,
    /// Searches read many rows; one at a time leaves the other connections to quick reads.
    searches: Arc<Semaphore>,
}

impl Readers {
    /// A pool of at most `most` connections.
    pub(crate) fn new(database: Arc<Database>, most: usize) -> Self {
        let (permits, searches) = (Arc::new(Semaphore::new(most)), Arc::new(Semaphore::new(1)));
        Self { database, idle: Mutex::default(), permits, searches }
    }

    /// Runs `work` on a connection, in one transaction, so that all it reads is of one moment.
    pub(crate) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(gone)?;
        let readers = Arc::clone(self);
        let read = move || {
            // Held by the work and not by who waits for it: a client that goes away does not end its query.
            let _permit = permit;
            readers.read_now(work)
        };
        Ok(spawn_blocking(read).await.map_err(gone)??)
    }

    /// As [`Readers::read`], for work that may take long.
    pub(crate) async fn search<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let permit = Arc::clone(&self.searches).acquire_owned().await.map_err(gone)?;
        let search = move |connection: &_| {
            let _permit = permit;
            work(connection)
        };
        self.read(search).await
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
