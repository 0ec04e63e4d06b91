//! Connections: how each kind is set up, and what all of them can be asked.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use countersign_domain::stats::Counters;
use countersign_domain::store::Revision;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::apply::find;
use crate::failure::Failure;
use crate::row::Cells;
use crate::sql;

/// Our connections never wait for each other in normal work; only a stranger (a shell, a backup) can make one wait.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait of the writer for readers that keep the log from beginning anew.
const READERS_TIMEOUT: Duration = Duration::from_millis(250);
/// Kilobytes of pages that the writer keeps.
const WRITER_CACHE: i64 = 8 * 1024;
/// Kilobytes of pages that a reader keeps.
const READER_CACHE: i64 = 1024;

/// Makes a connection fail.
#[cfg(test)]
pub(crate) type Sabotage = Box<dyn Fn(&mut Connection) + Send + Sync>;

/// Where the database is.
pub(crate) struct Database {
    pub(crate) path: PathBuf,
    pub(crate) counters: Arc<Counters>,
    /// Called with every new connection of the writer, to make it fail.
    #[cfg(test)]
    pub(crate) sabotage: Option<Sabotage>,
}

impl Database {
    /// The database in this file, which exists.
    pub(crate) fn new(path: PathBuf, counters: Arc<Counters>) -> Self {
        Self {
            path,
            counters,
            #[cfg(test)]
            sabotage: None,
        }
    }

    /// The connection that may write, as every other one is of a file that exists.
    pub(crate) fn connect_writer(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(&self.path, flags)?;
        set_up(&connection, WRITER_CACHE)?;
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        wait_for_disk(&connection)?;
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        // Savepoints copy pages aside: into memory, not into a temporary file.
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        let counters = Arc::clone(&self.counters);
        connection.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages: i32| {
            counters.set_wal_pages(u64::try_from(pages).unwrap_or(0));
            Ok(())
        }))?;
        #[cfg(test)]
        if let Some(sabotage) = &self.sabotage {
            sabotage(&mut connection);
        }
        Ok(connection)
    }

    /// The writer's connection, opened again when there is none.
    pub(crate) fn reconnect<'c>(
        &self,
        connection: &'c mut Option<Connection>,
    ) -> rusqlite::Result<&'c Connection> {
        let open = match connection.take() {
            Some(open) => open,
            None => self.connect_writer()?,
        };
        Ok(connection.insert(open))
    }

    /// A connection that cannot write.
    pub(crate) fn connect_reader(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        set_up(&connection, READER_CACHE)?;
        Ok(connection)
    }

    /// The connection that moves pages from the log into the database.
    pub(crate) fn connect_checkpointer(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        set_up(&connection, READER_CACHE)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        Ok(connection)
    }
}

/// A revocation that a power failure undoes is a breach: every commit of a change waits for the disk.
pub(crate) fn wait_for_disk(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "synchronous", "FULL")
}

/// Commits no longer wait for the disk; what they wrote is durable with the next one that does. A power cut may undo
/// them, whole, the last ones first.
pub(crate) fn do_not_wait_for_disk(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "synchronous", "NORMAL")
}

pub(crate) fn set_up(connection: &Connection, cache_kilobytes: i64) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(sql::ALL.len());
    // Plans do not depend on values. Otherwise SQLite plans many statements anew for each value that is bound.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cache_size", -cache_kilobytes)
}

/// The revision of the last change that is stored.
pub(crate) fn last_revision(connection: &Connection) -> Result<Revision, Failure> {
    let last = find(connection, sql::LAST_REVISION, [], |row| {
        Cells::of(row, "audit").number("revision").map(Revision)
    })?;
    Ok(last.unwrap_or(Revision(0)))
}

/// What a checkpoint came to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Checkpointed {
    /// Whether something kept it from doing everything.
    kept: bool,
    /// Pages of the log.
    pages: u64,
    /// Pages of the log that are in the database now.
    pub(crate) moved: u64,
}

/// Moves what it can from the log into the database without making anyone wait.
pub(crate) fn checkpoint(connection: &Connection) -> rusqlite::Result<Checkpointed> {
    checkpoint_by(connection, sql::CHECKPOINT)
}

/// As [`checkpoint`], and waits a moment for readers, so that the log can begin anew.
pub(crate) fn checkpoint_waiting(connection: &Connection) -> rusqlite::Result<Checkpointed> {
    connection.busy_timeout(READERS_TIMEOUT)?;
    let checkpointed = checkpoint_by(connection, sql::CHECKPOINT_WAITING);
    connection.busy_timeout(BUSY_TIMEOUT)?;
    checkpointed
}

/// Moves everything from the log into the database and empties the log. An error when a reader keeps it from that for
/// more than a moment.
pub(crate) fn checkpoint_to_nothing(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(READERS_TIMEOUT)?;
    let checkpointed = checkpoint_by(connection, sql::CHECKPOINT_TO_NOTHING);
    connection.busy_timeout(BUSY_TIMEOUT)?;
    let Checkpointed { kept, pages, moved } = checkpointed?;
    if kept || pages != moved {
        let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
        return Err(rusqlite::Error::SqliteFailure(busy, None));
    }
    Ok(())
}

fn checkpoint_by(connection: &Connection, sql: &str) -> rusqlite::Result<Checkpointed> {
    connection.prepare_cached(sql)?.query_row([], |row| {
        // -1 when there is no log.
        let pages =
            |index: usize| Ok::<_, rusqlite::Error>(u64::try_from(row.get::<_, i64>(index)?).unwrap_or(0));
        Ok(Checkpointed { kept: row.get(0)?, pages: pages(1)?, moved: pages(2)? })
    })
}
