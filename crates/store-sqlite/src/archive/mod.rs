//! The embedded store as something to be emptied into a stream of records, or made of one: the one of a running server,
//! and backups, which are databases of the same schema with one table more.

mod export;
mod import;
mod note;
mod place;

use std::path::{Path, PathBuf};

use countersign_domain::archive::{Archive, Contents, ImportError, Record};
use countersign_domain::store::{Cause, StoreError};
use rusqlite::{Connection, OpenFlags};

use crate::connection::set_up;
use crate::migrate;
use crate::open::{OpenError, unmigrated};

pub use note::BackupNote;
pub use place::{EmbeddedPlace, Replaced};

/// Kilobytes of pages that are kept: a million rows come in no order of their keys.
const CACHE: i64 = 128 * 1024;

/// A database as an archive.
pub struct SqliteArchive {
    path: PathBuf,
    connection: Connection,
}

impl SqliteArchive {
    /// Opens a database to read it, also beside a running server. Nothing is written, not even its schema, which must be
    /// the one of this program.
    pub fn read(path: &Path) -> Result<Self, OpenError> {
        let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        migrate::check(&connection, migrate::ALL).map_err(|why| unmigrated(path, why))?;
        Ok(Self { path: path.to_owned(), connection })
    }

    /// Opens a database that nobody else uses, and brings its schema up to date.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        migrate::migrate(&mut connection, migrate::ALL).map_err(|why| unmigrated(path, why))?;
        Ok(Self { path: path.to_owned(), connection })
    }

    /// Makes an empty database that nobody else can read, whatever file was there. What is written to it is durable only
    /// when the file has been synced after that.
    pub fn create(path: &Path) -> Result<Self, OpenError> {
        place::make_anew(path).map_err(|cause| OpenError::File { path: path.to_owned(), cause })?;
        let archive = Self::open(path)?;
        let waits = archive.connection.pragma_update(None, "synchronous", "OFF");
        waits.map_err(|cause| OpenError::database(path, cause))?;
        Ok(archive)
    }

    /// Whether SQLite finds nothing wrong with the file; reads all of it.
    pub fn check_integrity(&self) -> Result<(), OpenError> {
        let found: Result<String, _> =
            self.connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0));
        match found {
            Ok(found) if found == "ok" => Ok(()),
            Ok(found) => Err(OpenError::Damaged { path: self.path.clone(), found }),
            Err(cause) => Err(OpenError::database(&self.path, cause)),
        }
    }
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, OpenError> {
    let open = || {
        let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        set_up(&connection, CACHE)?;
        Ok(connection)
    };
    open().map_err(|cause| OpenError::database(path, cause))
}

impl Archive for SqliteArchive {
    fn export(&mut self, visit: &mut dyn FnMut(Record) -> Result<(), Cause>) -> Result<Contents, StoreError> {
        let moment = self.connection.transaction().map_err(crate::failure::unavailable)?;
        Ok(export::export(&moment, visit)?)
    }

    fn import(
        &mut self,
        records: &mut dyn Iterator<Item = Record>,
        check: &mut dyn FnMut(&Contents) -> Result<(), Cause>,
    ) -> Result<Contents, ImportError> {
        import::import(&mut self.connection, records, check)
    }
}
