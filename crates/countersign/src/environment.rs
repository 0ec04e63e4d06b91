//! Reading the process's environment.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use countersign_domain::secret::Secret;

/// Gives the value of a variable. A function, so that tests need not change the environment of the process.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The process's own environment.
pub(crate) fn of_process(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// The names of the process's variables that are not empty.
pub(crate) fn names_of_process() -> Vec<String> {
    let set = std::env::vars_os().filter(|(_, value)| !value.is_empty());
    set.map(|(name, _)| name.to_string_lossy().into_owned()).collect()
}

/// The text of a variable. An empty one counts as absent, because compose files and units cannot always leave a
/// variable out.
pub(crate) fn find_text(lookup: Lookup<'_>, name: &str) -> anyhow::Result<Option<String>> {
    let Some(value) = lookup(name).filter(|value| !value.is_empty()) else { return Ok(None) };
    match value.into_string() {
        Ok(text) => Ok(Some(text)),
        Err(_) => bail!("{name} is not UTF-8"),
    }
}

/// The secret in the variable `name`, or in the file that `name` with `_FILE` behind it names. Nothing of it is in any
/// error.
pub(crate) fn find_secret(lookup: Lookup<'_>, name: &str) -> anyhow::Result<Option<Secret>> {
    let file_name = format!("{name}_FILE");
    let file = lookup(&file_name).filter(|path| !path.is_empty()).map(PathBuf::from);
    match (find_text(lookup, name)?, file) {
        (Some(_), Some(_)) => bail!("{name} and {file_name} are both set; keep one of them"),
        (Some(text), None) => Ok(Some(Secret::from_operator(text))),
        (None, Some(path)) => {
            let text = std::fs::read_to_string(&path)
                .with_context(|| format!("cannot read {} ({file_name})", path.display()))?;
            Ok(Some(Secret::from_operator(without_line_end(text))))
        }
        (None, None) => Ok(None),
    }
}

/// Editors and `echo` end a file with a line break that is no part of the secret.
pub(crate) fn without_line_end(mut text: String) -> String {
    let kept = text.trim_end_matches(['\r', '\n']).len();
    text.truncate(kept);
    text
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An environment of a test's own.
    pub(crate) fn of<'a>(variables: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<OsString> + 'a {
        |name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
    }

    #[test]
    fn a_secret_comes_from_one_place() -> anyhow::Result<()> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("token");
        std::fs::write(&path, "s3cret text\r\n")?;
        let path = path.to_str().context("path")?;
        let found = |variables: &[(&str, &str)]| find_secret(&of(variables), "T");

        assert_eq!(found(&[("T", "direct")])?.map(|s| s.reveal().to_owned()).as_deref(), Some("direct"));
        assert_eq!(
            found(&[("T_FILE", path)])?.map(|s| s.reveal().to_owned()).as_deref(),
            Some("s3cret text")
        );
        assert!(found(&[("T", ""), ("T_FILE", "")])?.is_none());
        let both = found(&[("T", "direct"), ("T_FILE", path)]).map(|_| ()).map_err(|e| e.to_string());
        assert_eq!(both, Err("T and T_FILE are both set; keep one of them".to_owned()));
        let missing = found(&[("T_FILE", "/nowhere/token")]).map(|_| ()).map_err(|e| e.to_string());
        assert_eq!(missing, Err("cannot read /nowhere/token (T_FILE)".to_owned()));
        Ok(())
    }
}
