//! The data directory of an embedded store that is stopped: its database is read, or gives way to another one.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rusqlite::{ErrorCode, OpenFlags};

use super::SqliteArchive;
use crate::connection::checkpoint_to_nothing;
use crate::open::{DATABASE, Directory, LOCK, OpenError, give_to_owner_of};

/// What SQLite has beside a database.
const LOGS: [&str; 3] = ["-journal", "-wal", "-shm"];

/// A data directory that no server uses, for as long as this lives.
pub struct EmbeddedPlace {
    directory: PathBuf,
    held: Directory,
}

/// Where the database is now that another one took the place of.
#[derive(Debug)]
pub struct Replaced {
    /// `None`: there was none.
    pub kept_as: Option<PathBuf>,
}

impl EmbeddedPlace {
    /// Takes a data directory, which is made when it is not there. Refused while a server uses it.
    pub fn take(directory: &Path) -> Result<Self, OpenError> {
        Ok(Self { directory: directory.to_owned(), held: Directory::take(directory)? })
    }

    /// Whether there is a database in a directory.
    pub fn has_database(directory: &Path) -> bool {
        fs::metadata(directory.join(DATABASE)).is_ok_and(|database| database.len() > 0)
    }

    /// Whether a file is the database of a directory, or belongs to it: then nobody else may write it.
    pub fn has_file(directory: &Path, file: &Path) -> bool {
        let above = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let is_in_it = fs::canonicalize(above)
            .is_ok_and(|above| fs::canonicalize(directory).is_ok_and(|own| own == above));
        let own =
            [""].into_iter().chain(LOGS).map(|part| with(Path::new(DATABASE), part)).chain([LOCK.into()]);
        is_in_it && own.into_iter().any(|own| file.file_name() == own.file_name())
    }

    /// The database of a directory, whether a server uses it or not.
    pub fn database(directory: &Path) -> PathBuf {
        directory.join(DATABASE)
    }

    /// The database, its schema brought up to date.
    pub fn open(&self) -> Result<SqliteArchive, OpenError> {
        SqliteArchive::open(&self.held.database)
    }

    /// An empty database beside it, closed to others.
    pub fn create_beside(&self, suffix: &str) -> Result<(PathBuf, SqliteArchive), OpenError> {
        let path = self.beside(suffix);
        let archive = SqliteArchive::create(&path)?;
        Ok((path, archive))
    }

    /// Puts a database that was made beside it, and closed, in its place. The one that was there is kept under another
    /// name. Whenever the process is killed meanwhile, the one or the other is in the place, with all that belongs to it;
    /// only of one that cannot be read, the log may be under the other name already.
    pub fn replace_by(&self, new: &Path, suffix: &str) -> Result<Replaced, OpenError> {
        let failed = |cause| OpenError::Directory { path: self.directory.clone(), cause };
        File::open(new).and_then(|file| file.sync_all()).map_err(failed)?;
        let kept = self.beside(suffix);
        let has_database = Self::has_database(&self.directory);
        let is_one_file = has_database && self.empty_log()?;
        let replace = || -> io::Result<()> {
            if has_database {
                keep(&self.held.database, &kept)?;
            }
            if !is_one_file {
                // What belongs to the database that goes, or to none, the new one must not find.
                self.move_log(&kept)?;
            }
            give_to_owner_of(&self.directory, new)?;
            fs::rename(new, &self.held.database)?;
            self.sync()
        };
        replace().map_err(failed)?;
        Ok(Replaced { kept_as: has_database.then_some(kept) })
    }

    /// Moves all of the log into the database; gives whether the database is one file then. It is not when it cannot be
    /// read. Refused while somebody else reads it.
    fn empty_log(&self) -> Result<bool, OpenError> {
        let database = &self.held.database;
        let emptied = super::connect(database, OpenFlags::SQLITE_OPEN_READ_WRITE).and_then(|connection| {
            checkpoint_to_nothing(&connection).map_err(|cause| OpenError::database(database, cause))
        });
        match emptied {
            Ok(()) => Ok(true),
            Err(error) if must_wait(&error) => Err(error),
            Err(error) => {
                tracing::warn!(%error, "the log of the database before cannot be moved into it; it is kept beside it");
                Ok(false)
            }
        }
    }

    fn move_log(&self, kept: &Path) -> io::Result<()> {
        for part in LOGS {
            match fs::rename(with(&self.held.database, part), with(kept, part)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.sync()
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        with(&self.held.database, suffix)
    }
}

/// Whether it is no fault of the database: somebody reads it, or there is no room.
fn must_wait(error: &OpenError) -> bool {
    let OpenError::Database { cause, .. } = error else { return false };
    matches!(
        cause.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::DiskFull)
    )
}

/// Gives a file a second name; where a file cannot have two, its content.
fn keep(file: &Path, kept: &Path) -> io::Result<()> {
    if fs::hard_link(file, kept).is_ok() {
        return Ok(());
    }
    fs::copy(file, kept)?;
    File::open(kept)?.sync_all()
}

/// An empty file that nobody else can read, whatever was there.
pub(super) fn make_anew(path: &Path) -> io::Result<()> {
    for part in [""].into_iter().chain(LOGS) {
        match fs::remove_file(with(path, part)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map(drop)
}

fn with(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
