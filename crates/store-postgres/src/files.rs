//! The files that an address names. They are read anew for each session, so that a password or a certificate can be
//! changed without a restart: sessions are few, the files are small and near.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Longest file that is read.
const LONGEST: u64 = 1024 * 1024;

/// Why a file of an address cannot be used. Never repeats what is in it.
#[derive(Debug, thiserror::Error)]
#[error("{name} {}: {reason}", path.display())]
pub(crate) struct FileError {
    name: &'static str,
    path: PathBuf,
    reason: Reason,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Reason {
    #[error("it cannot be read: {0}")]
    Io(io::Error),
    #[error("it is no file")]
    NoFile,
    #[error("it is longer than a mebibyte")]
    TooLong,
    #[error("others can read it: chmod 600 it")]
    Readable,
    #[error("there is no certificate in it: it must be PEM")]
    NoCertificate,
    #[error("there is no private key in it that can be read: it must be PEM, and not encrypted")]
    NoKey,
    #[error("it does not belong to the certificate in sslcert")]
    OtherKey,
}

/// A file by the name of the parameter that names it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Named<'p> {
    pub(crate) name: &'static str,
    pub(crate) path: &'p Path,
}

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readers {
    Everybody,
    /// As libpq demands of keys: the group, too, when the owner is root. Of passwords it demands more, which what systemd hands
    /// over to a service (`LoadCredential=`) does not have: it is root's, and shows the right of the service as one of a group.
    OwnerOrGroupOfRoot,
}

impl Named<'_> {
    pub(crate) fn read(self, readers: Readers) -> Result<Vec<u8>, FileError> {
        let file = File::open(self.path).map_err(|error| self.error(Reason::Io(error)))?;
        let about = file.metadata().map_err(|error| self.error(Reason::Io(error)))?;
        if !about.is_file() {
            return Err(self.error(Reason::NoFile));
        }
        let forbidden = match readers {
            Readers::Everybody => 0,
            Readers::OwnerOrGroupOfRoot if about.uid() == 0 => 0o037,
            Readers::OwnerOrGroupOfRoot => 0o077,
        };
        if about.mode() & forbidden != 0 {
            return Err(self.error(Reason::Readable));
        }
        let mut content = Vec::new();
        file.take(LONGEST + 1).read_to_end(&mut content).map_err(|error| self.error(Reason::Io(error)))?;
        if content.len() as u64 > LONGEST {
            return Err(self.error(Reason::TooLong));
        }
        Ok(content)
    }

    pub(crate) fn error(self, reason: Reason) -> FileError {
        FileError { name: self.name, path: self.path.to_owned(), reason }
    }
}
