//! The data directory of an embedded store that is stopped: its database is read, or gives way to another one.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::SqliteArchive;
use crate::connection::checkpoint_to_nothing;
use crate::open::{DATABASE, Directory, OpenError};

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
    /// name. Whenever the process is killed meanwhile, there is one of both in the place.
    pub fn replace_by(&self, new: &Path, suffix: &str) -> Result<Replaced, OpenError> {
        let failed = |cause| OpenError::Directory { path: self.directory.clone(), cause };
        File::open(new).and_then(|file| file.sync_all()).map_err(failed)?;
        if !Self::has_database(&self.directory) {
            self.put(new).map_err(failed)?;
            return Ok(Replaced { kept_as: None });
        }
        self.empty_log();
        let kept = self.beside(suffix);
        let keep = || -> io::Result<()> {
            // A log that could not be emptied belongs to the database that goes: the new one must not find it.
            for part in ["-wal", "-shm"] {
                match fs::rename(with(&self.held.database, part), with(&kept, part)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            fs::hard_link(&self.held.database, &kept)?;
            self.put(new)
        };
        keep().map_err(failed)?;
        Ok(Replaced { kept_as: Some(kept) })
    }

    /// Moves all of the log into the database, so that it is one file. A database that cannot be read keeps its log.
    fn empty_log(&self) {
        if let Ok(archive) = self.open()
            && let Err(error) = checkpoint_to_nothing(&archive.connection)
        {
            tracing::warn!(%error, "the log of the database before could not be moved into it");
        }
    }

    fn put(&self, new: &Path) -> io::Result<()> {
        fs::rename(new, &self.held.database)?;
        File::open(&self.directory)?.sync_all()
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        with(&self.held.database, suffix)
    }
}

/// An empty file that nobody else can read, whatever was there.
pub(super) fn make_anew(path: &Path) -> io::Result<()> {
    for part in ["", "-journal", "-wal", "-shm"] {
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
