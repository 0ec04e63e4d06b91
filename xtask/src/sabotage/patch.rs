//! A patch of `tests/sabotage`: a diff under comment lines that say what it breaks and which test must fail.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// One sabotage.
#[derive(Debug)]
pub(super) struct Patch {
    /// The file's name without `.patch`.
    pub(super) name: String,
    pub(super) path: PathBuf,
    /// From `# breaks: …`: the guard, comparison or bound that it takes away.
    pub(super) breaks: String,
    /// From `# test: …`: what `cargo test` is given to run the test that must fail.
    pub(super) test: Vec<String>,
}

impl Patch {
    /// The patches of a directory, by name; those in `names` alone when there are any.
    ///
    /// Errors: no patch of a name, no patch at all, or one without its comment lines.
    pub(super) fn find(directory: &Path, names: &[String]) -> Result<Vec<Self>> {
        let entries = fs::read_dir(directory).with_context(|| directory.display().to_string())?;
        let paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        let mut patches = paths
            .into_iter()
            .filter(|path| path.extension() == Some(OsStr::new("patch")))
            .map(|path| Self::read(&path))
            .collect::<Result<Vec<_>>>()?;
        patches.sort_by(|a, b| a.name.cmp(&b.name));
        if let Some(unknown) = names.iter().find(|name| !patches.iter().any(|patch| patch.name == **name)) {
            bail!("no patch {unknown} in {}", directory.display());
        }
        patches.retain(|patch| names.is_empty() || names.contains(&patch.name));
        if patches.is_empty() {
            bail!("no patches in {}", directory.display());
        }
        Ok(patches)
    }

    fn read(path: &Path) -> Result<Self> {
        let name = path.file_stem().and_then(OsStr::to_str).context("a patch without a name")?;
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        Self::parse(name, path, &text).with_context(|| path.display().to_string())
    }

    /// Reads the comment lines at the top.
    pub(super) fn parse(name: &str, path: &Path, text: &str) -> Result<Self> {
        let comments = || text.lines().map_while(|line| line.strip_prefix('#')).map(str::trim);
        let value = |key: &str| comments().find_map(|comment| comment.strip_prefix(key)).map(str::trim);
        let breaks = value("breaks:").context("no line `# breaks: …` at the top")?;
        let test = value("test:").context("no line `# test: …` at the top")?;
        if breaks.is_empty() || test.is_empty() {
            bail!("`# breaks:` and `# test:` must say something");
        }
        Ok(Self {
            name: name.to_owned(),
            path: path.to_owned(),
            breaks: breaks.to_owned(),
            test: test.split_whitespace().map(str::to_owned).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Patch> {
        Patch::parse("name", Path::new("name.patch"), text)
    }

    #[test]
    fn the_comment_lines() {
        let patch = parse("# breaks: the expiry check\n# test: -p countersign-domain  verdict::\n--- a/x\n")
            .expect("read");
        assert_eq!(patch.breaks, "the expiry check");
        assert_eq!(patch.test, ["-p", "countersign-domain", "verdict::"]);
    }

    #[test]
    fn both_must_be_there_and_at_the_top() {
        for text in [
            "--- a/x\n",
            "# breaks: a\n--- a/x\n",
            "# test: -p b\n--- a/x\n",
            "# breaks:\n# test: -p b\n",
            "# breaks: a\n# test:\n",
            "# breaks: a\n--- a/x\n# test: -p b\n",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn found_by_name() {
        let directory = tempfile::tempdir().expect("a directory");
        for name in ["b.patch", "a.patch", "README.md"] {
            fs::write(directory.path().join(name), "# breaks: x\n# test: -p y\n").expect("a file");
        }
        let found = |names: &[&str]| {
            let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
            let patches = Patch::find(directory.path(), &names)?;
            anyhow::Ok(patches.into_iter().map(|patch| patch.name).collect::<Vec<_>>())
        };
        assert_eq!(found(&[]).expect("all"), ["a", "b"]);
        assert_eq!(found(&["b"]).expect("one"), ["b"]);
        assert!(found(&["b", "c"]).is_err());
    }
}
