//! An embedded store that is only read, whichever program it is of.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{fs, io};

use countersign_domain::archive::{Archive, Contents, ImportError, Record};
use countersign_domain::store::{Cause, StoreError};
use countersign_store_sqlite::{OpenError, SqliteArchive};

/// What a database has beside it while it is used, and what alone of that holds something.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];
const LOG: &str = "-wal";

/// A database that nobody writes to, or whose copy is read: one of an older program is copied, and the copy brought up to
/// date.
pub(crate) struct Opened {
    pub(crate) archive: SqliteArchive,
    /// After the archive: it is closed first.
    _copy: Option<Copy>,
}

impl Opened {
    /// Opens it. The file stays as it is.
    pub(crate) fn read(file: &Path) -> Result<Self, OpenError> {
        match SqliteArchive::read(file) {
            Ok(archive) => Ok(Self { archive, _copy: None }),
            Err(OpenError::OlderSchema { .. }) => {
                let copy = Copy::of(file)?;
                Ok(Self { archive: SqliteArchive::open(&copy.0)?, _copy: Some(copy) })
            }
            Err(why) => Err(why),
        }
    }
}

impl Archive for Opened {
    fn export(&mut self, visit: &mut dyn FnMut(Record) -> Result<(), Cause>) -> Result<Contents, StoreError> {
        self.archive.export(visit)
    }

    fn import(
        &mut self,
        records: &mut dyn Iterator<Item = Record>,
        check: &mut dyn FnMut(&Contents) -> Result<(), Cause>,
    ) -> Result<Contents, ImportError> {
        self.archive.import(records, check)
    }
}

/// A copy beside the file, with what is in its log; removed at the end.
struct Copy(PathBuf);

impl Copy {
    fn of(file: &Path) -> Result<Self, OpenError> {
        let copy = Self(with(file, ".upgraded"));
        let made = copy.make(file);
        made.map_err(|cause| OpenError::File { path: copy.0.clone(), cause })?;
        Ok(copy)
    }

    fn make(&self, file: &Path) -> io::Result<()> {
        // What was left by one who was killed belongs to another copy.
        self.remove();
        fs::copy(file, &self.0)?;
        match fs::copy(with(file, LOG), with(&self.0, LOG)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn remove(&self) {
        let _ = fs::remove_file(&self.0);
        for part in BESIDE {
            let _ = fs::remove_file(with(&self.0, part));
        }
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        self.remove();
    }
}

fn with(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
