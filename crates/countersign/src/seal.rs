//! The key under which secrets are kept that have to be recovered: keys that sign, and texts of access tokens where those are
//! listed.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_authority::{KEY, Seal};
use countersign_domain::entropy::Entropy;
use zeroize::Zeroizing;

use crate::environment::{Lookup, find_text};

/// Names the file.
const KEY_FILE: &str = "COUNTERSIGN_KEY_FILE";
/// Longest file that can be one.
const LONGEST_FILE: u64 = 1_024;

/// The seal under the key in the file that the environment names, or in `seal.key` of the directory `data`, which is made
/// when it is missing. A named file is not made: all nodes have the same key, and a new one opens nothing. `data` is of
/// the one node with an embedded store; where many share one, the file has to be named.
pub(crate) fn load(data: Option<&Path>, entropy: &dyn Entropy, lookup: Lookup<'_>) -> anyhow::Result<Seal> {
    let path = match (find_text(lookup, KEY_FILE)?.map(PathBuf::from), data) {
        (Some(named), _) => named,
        (None, None) => bail!(
            "{KEY_FILE} is not set: with `database_url`, name a file with 32 bytes in base64, the same on every node, under \
             which the keys that sign tokens are kept (`openssl rand -base64 32` makes one)"
        ),
        (None, Some(data)) => {
            let path = data.join("seal.key");
            make(&path, entropy)?;
            path
        }
    };
    let unfit = || anyhow!("{} ({KEY_FILE}) must hold 32 bytes in base64", path.display());
    let mut text = Zeroizing::new(String::new());
    let file = File::open(&path).with_context(|| format!("cannot read {} ({KEY_FILE})", path.display()))?;
    file.take(LONGEST_FILE).read_to_string(&mut text).map_err(|_| unfit())?;
    let bytes = Zeroizing::new(STANDARD.decode(text.trim()).map_err(|_| unfit())?);
    let key: &[u8; KEY] = bytes.as_slice().try_into().map_err(|_| unfit())?;
    Seal::new(key).ok_or_else(unfit)
}

/// Makes the file, unless it is there.
fn make(path: &Path, entropy: &dyn Entropy) -> anyhow::Result<()> {
    if path.exists() {
        return Ok(());
    }
    let mut key = Zeroizing::new([0; KEY]);
    entropy.fill(&mut *key);
    let text = Zeroizing::new(STANDARD.encode(*key));
    let write = || -> io::Result<()> {
        // Whole or not at all: an empty file would stop every start that follows.
        let new = path.with_extension("new");
        match std::fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        writeln!(file, "{}", *text)?;
        file.sync_all()?;
        std::fs::hard_link(&new, path)?;
        std::fs::remove_file(&new)?;
        path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
    };
    match write() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        outcome => outcome.with_context(|| format!("cannot write {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::environment::tests::of;
    use crate::ports::OsEntropy;

    #[test]
    fn a_key_is_made_once_and_closed_to_others() -> anyhow::Result<()> {
        let directory = tempfile::tempdir()?;
        load(Some(directory.path()), &OsEntropy, &of(&[]))?;
        let path = directory.path().join("seal.key");
        let made = std::fs::read_to_string(&path)?;
        assert_eq!(std::fs::metadata(&path)?.permissions().mode() & 0o777, 0o600);
        load(Some(directory.path()), &OsEntropy, &of(&[]))?;
        assert_eq!(std::fs::read_to_string(&path)?, made);
        Ok(())
    }

    #[test]
    fn a_named_key_must_be_there_and_fit() -> anyhow::Result<()> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("key");
        let name = path.to_str().context("path")?;
        let with = |text: Option<&str>| {
            text.map_or(Ok(()), |text| std::fs::write(&path, text))?;
            load(Some(directory.path()), &OsEntropy, &of(&[(KEY_FILE, name)])).map(|_| ())
        };
        for wrong in [None, Some(""), Some("c2hvcnQ="), Some("not base64 at all")] {
            let error = with(wrong).map_err(|error| format!("{error:#}"));
            assert!(error.is_err_and(|error| error.contains(KEY_FILE)), "{wrong:?}");
        }
        with(Some("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"))
    }
}
