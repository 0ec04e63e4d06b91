//! A credential for a command, from where no other user of the machine sees it: a file, a variable, or standard input.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use countersign_domain::secret::Secret;

use crate::environment::{self, find_text, without_line_end};
use crate::failure::Failure;

/// Longest credential that is read: signed tokens are the longest.
const LONGEST: u64 = 8 * 1024;
/// Where the secret of a service token can be.
const SECRET_VARIABLE: &str = "COUNTERSIGN_CLIENT_SECRET";

/// Where the credential is.
#[derive(Debug, clap::Args)]
pub(super) struct Source {
    /// Read the secret or the token from this file instead of standard input
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
}

impl Source {
    /// The secret of a service token; also from COUNTERSIGN_CLIENT_SECRET.
    pub(super) fn secret(&self) -> Result<Secret, Failure> {
        if self.from.is_none()
            && let Some(secret) = find_text(&environment::of_process, SECRET_VARIABLE)?
        {
            return Ok(Secret::from_operator(secret));
        }
        self.token()
    }

    /// The text of a token.
    pub(super) fn token(&self) -> Result<Secret, Failure> {
        match &self.from {
            Some(path) => Ok(read_file(path)?),
            None => Ok(read(std::io::stdin()).context("cannot read standard input")?),
        }
    }
}

fn read_file(path: &Path) -> anyhow::Result<Secret> {
    let read = || read(std::fs::File::open(path)?);
    read().with_context(|| format!("cannot read {}", path.display()))
}

fn read(from: impl std::io::Read) -> std::io::Result<Secret> {
    let mut text = String::new();
    from.take(LONGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LONGEST {
        let why = format!("more than {LONGEST} bytes: this is no credential");
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, why));
    }
    Ok(Secret::from_operator(without_line_end(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_ends_with_its_line() -> std::io::Result<()> {
        assert_eq!(read(&b"abc\r\n"[..])?.reveal(), "abc");
        assert!(read(&[b'a'; 8 * 1024][..]).is_ok() && read(&[b'a'; 8 * 1024 + 1][..]).is_err());
        Ok(())
    }
}
