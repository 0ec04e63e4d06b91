//! Opening a store: directory, lock, database, schema. Whatever is wrong is one line that names the thing and what to
//! do.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::migrate::{self, Unmigrated};
use crate::sql;

pub(crate) const DATABASE: &str = "countersign.db";
pub(crate) const LOCK: &str = "countersign.lock";

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// Where the database is, alone with its log and its lock. Made, readable by nobody else, when it is not there.
    pub directory: PathBuf,
    /// Most changes that wait for the writer; one more is answered with
    /// [`StoreError::Busy`](countersign_domain::store::StoreError::Busy).
    pub queue: usize,
    /// Most reads at once.
    pub readers: usize,
}

impl SqliteOptions {
    /// The defaults: 1,024 waiting changes, 4 reads at once.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), queue: 1024, readers: 4 }
    }
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be made or written to.
    #[error("cannot write to the data directory {}: {cause}; make it writable or choose another one", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// A file cannot be made.
    #[error("cannot write {}: {cause}; make its directory writable or choose another one", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// Another process has the store open.
    #[error("another process holds {}; stop the server that uses this data directory first", lock.display())]
    Locked {
        /// The file that it holds.
        lock: PathBuf,
    },
    /// A newer program has used the store.
    #[error(
        "{} has schema {found}, this program knows schemas up to {known}; run a newer countersign or restore a backup",
        path.display()
    )]
    NewerSchema {
        /// The database.
        path: PathBuf,
        /// Its schema.
        found: u32,
        /// The newest that this program knows.
        known: u32,
    },
    /// An older program has used the store, and this one may not change it.
    #[error(
        "{} has schema {found}, this program has {known}; start a server of this version on it once",
        path.display()
    )]
    OlderSchema {
        /// The database.
        path: PathBuf,
        /// Its schema.
        found: u32,
        /// The one of this program.
        known: u32,
    },
    /// There is nothing of ours in it.
    #[error("{} is no database of countersign; name another file", path.display())]
    NoStore {
        /// The file.
        path: PathBuf,
    },
    /// It is no backup.
    #[error("{} is no backup; name a file that `countersign backup` has written", path.display())]
    NoBackup {
        /// The file.
        path: PathBuf,
    },
    /// SQLite finds the database damaged.
    #[error("{} is damaged ({found}); use another copy", path.display())]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What is wrong with it.
        found: String,
    },
    /// A migration was applied that differs from the one of this program.
    #[error(
        "migration {number} in {} is not the one of this program; run the countersign that made it or restore a backup",
        path.display()
    )]
    ChangedMigration {
        /// The database.
        path: PathBuf,
        /// Which migration.
        number: u32,
    },
    /// SQLite cannot open or read the database.
    #[error("cannot open {}: {cause}; see that it is a database of countersign and that the disk works", path.display())]
    Database {
        /// The database.
        path: PathBuf,
        /// Why.
        #[source]
        cause: rusqlite::Error,
    },
    /// The system gives no thread.
    #[error("cannot start a thread for the store: {cause}; raise the limit of processes")]
    Thread {
        /// Why.
        #[source]
        cause: io::Error,
    },
}

impl OpenError {
    pub(crate) fn database(path: &Path, cause: rusqlite::Error) -> Self {
        Self::Database { path: path.to_owned(), cause }
    }
}

/// The data directory, held against other processes for as long as this lives.
#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) database: PathBuf,
    _lock: File,
}

impl Directory {
    /// Makes the directory and an empty database when they are not there, and takes the lock.
    pub(crate) fn take(path: &Path) -> Result<Self, OpenError> {
        let not_writable = |cause| OpenError::Directory { path: path.to_owned(), cause };
        make_directory(path).map_err(not_writable)?;
        let lock_path = path.join(LOCK);
        let lock = make_file(&lock_path).map_err(not_writable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::Locked { lock: lock_path }),
            Err(TryLockError::Error(cause)) => return Err(not_writable(cause)),
        }
        let database = path.join(DATABASE);
        make_file(&database).map_err(not_writable)?;
        for file in [&lock_path, &database] {
            give_to_owner_of(path, file).map_err(not_writable)?;
        }
        Ok(Self { database, _lock: lock })
    }
}

/// A directory that nobody else can enter. Its entry in the directory above is made durable, since everything in it
/// will be.
fn make_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    match fs::canonicalize(path)?.parent() {
        Some(above) => File::open(above)?.sync_all(),
        None => Ok(()),
    }
}

/// A file that nobody else can read; one that is there stays as it is. SQLite gives its log the same mode.
fn make_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Lets a file belong to whom its directory belongs: root may run a command on what a service needs afterwards. Others can
/// give nothing away.
pub(crate) fn give_to_owner_of(directory: &Path, file: &Path) -> io::Result<()> {
    let (directory, about) = (fs::metadata(directory)?, fs::metadata(file)?);
    if about.uid() == directory.uid() {
        return Ok(());
    }
    match chown(file, Some(directory.uid()), Some(directory.gid())) {
        Err(error) if error.kind() != io::ErrorKind::PermissionDenied => Err(error),
        _ => Ok(()),
    }
}

/// Brings the schema up to date and prepares every statement on it.
pub(crate) fn migrate(path: &Path, connection: &mut Connection) -> Result<(), OpenError> {
    migrate::migrate(connection, migrate::ALL).map_err(|why| unmigrated(path, why))?;
    for sql in sql::ALL {
        connection.prepare_cached(sql).map_err(|cause| OpenError::database(path, cause))?;
    }
    Ok(())
}

/// Why the schema of a database is not the one of this program, with its path.
pub(crate) fn unmigrated(path: &Path, why: Unmigrated) -> OpenError {
    let path = path.to_owned();
    match why {
        Unmigrated::Newer { found, known } => OpenError::NewerSchema { path, found, known },
        Unmigrated::Older { found, known } => OpenError::OlderSchema { path, found, known },
        Unmigrated::None => OpenError::NoStore { path },
        Unmigrated::Changed { number } => OpenError::ChangedMigration { path, number },
        Unmigrated::Sqlite(cause) => OpenError::database(&path, cause),
    }
}
