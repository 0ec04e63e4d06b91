//! The copy of the checkout that is broken in place of the checkout.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::workspace::output_of;

/// A copy of the files of a checkout that git knows or would know.
pub(super) struct Tree {
    origin: PathBuf,
    copy: PathBuf,
}

impl Tree {
    /// A copy in the directory `copy`, which need not exist.
    pub(super) fn new(origin: &Path, copy: PathBuf) -> Self {
        Self { origin: origin.to_owned(), copy }
    }

    /// Its top directory.
    pub(super) fn path(&self) -> &Path {
        &self.copy
    }

    /// Makes the copy like the checkout again. Files that are alike are left alone, times included, so that
    /// cargo builds again only what was broken.
    pub(super) fn restore(&self) -> Result<()> {
        let wanted = self.files_of_origin()?;
        for file in &wanted {
            copy_if_different(&self.origin.join(file), &self.copy.join(file))
                .with_context(|| file.display().to_string())?;
        }
        for file in files_below(&self.copy)? {
            let relative = file.strip_prefix(&self.copy).unwrap_or(&file);
            if !wanted.contains(relative) {
                fs::remove_file(&file).with_context(|| file.display().to_string())?;
            }
        }
        Ok(())
    }

    /// Applies a patch to the copy.
    pub(super) fn apply(&self, patch: &Path) -> Result<()> {
        git_apply(&self.copy, patch, &[])
    }

    fn files_of_origin(&self) -> Result<BTreeSet<PathBuf>> {
        let mut list = Command::new("git");
        list.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(&self.origin);
        let names = output_of(&mut list)?;
        let files =
            names.split_terminator('\0').map(|name| PathBuf::from(OsStr::from_bytes(name.as_bytes())));
        // git still lists what was removed and not yet committed.
        Ok(files.filter(|file| self.origin.join(file).is_file()).collect())
    }
}

/// Whether a patch applies to a directory, which stays as it is.
#[cfg(test)]
pub(super) fn check_applies(directory: &Path, patch: &Path) -> Result<()> {
    git_apply(directory, patch, &["--check"])
}

fn git_apply(directory: &Path, patch: &Path, options: &[&str]) -> Result<()> {
    let directory = fs::canonicalize(directory).with_context(|| directory.display().to_string())?;
    let mut apply = Command::new("git");
    apply.arg("apply").args(options).arg(fs::canonicalize(patch)?).current_dir(&directory);
    // The copy lies inside the checkout, where git would take the patch's paths from the checkout's top, find
    // them outside the current directory, and pass over them in silence.
    apply.env("GIT_CEILING_DIRECTORIES", directory.parent().unwrap_or(&directory));
    output_of(&mut apply).map(drop)
}

fn copy_if_different(from: &Path, to: &Path) -> Result<()> {
    let content = fs::read(from)?;
    if fs::read(to).is_ok_and(|existing| existing == content) {
        return Ok(());
    }
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::copy(from, to)?;
    Ok(())
}

fn files_below(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory).with_context(|| directory.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                found.push(path);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATCH: &str = "\
# breaks: the answer
# test: -p a
diff --git a/src/lib.rs b/src/lib.rs
--- a/src/lib.rs
+++ b/src/lib.rs
@@ -1,2 +1,2 @@
-answer = 42
+answer = 41
 the end
";

    /// A checkout with a copy inside it, as `target/sabotage/tree` is.
    fn checkout() -> (tempfile::TempDir, Tree) {
        let root = tempfile::tempdir().expect("a directory");
        let origin = root.path();
        output_of(Command::new("git").args(["init", "--quiet"]).current_dir(origin)).expect("git init");
        for (file, content) in [
            (".gitignore", "/target\n"),
            ("src/lib.rs", "answer = 42\nthe end\n"),
            ("target/built.rs", ""),
            ("a.patch", PATCH),
        ] {
            let path = origin.join(file);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            fs::write(path, content).expect("a file");
        }
        let tree = Tree::new(origin, origin.join("target/tree"));
        (root, tree)
    }

    fn content(tree: &Tree) -> String {
        fs::read_to_string(tree.path().join("src/lib.rs")).expect("a file")
    }

    #[test]
    fn broken_and_restored() {
        let (root, tree) = checkout();
        tree.restore().expect("a copy");
        assert!(!tree.path().join("target").exists(), "what was built is not copied");
        tree.apply(&root.path().join("a.patch")).expect("applied");
        assert_eq!(content(&tree), "answer = 41\nthe end\n");
        tree.restore().expect("restored");
        assert_eq!(content(&tree), "answer = 42\nthe end\n");
    }

    #[test]
    fn restoring_leaves_what_is_alike_and_removes_what_is_extra() {
        let (_root, tree) = checkout();
        tree.restore().expect("a copy");
        let modified =
            || fs::metadata(tree.path().join("src/lib.rs")).expect("a file").modified().expect("a time");
        let before = modified();
        let extra = tree.path().join("src/extra.rs");
        fs::write(&extra, "").expect("a file");
        tree.restore().expect("restored");
        assert_eq!(modified(), before);
        assert!(!extra.exists());
    }

    #[test]
    fn a_patch_that_does_not_fit_is_an_error() {
        let (root, tree) = checkout();
        tree.restore().expect("a copy");
        let patch = root.path().join("a.patch");
        assert!(check_applies(tree.path(), &patch).is_ok());
        fs::write(tree.path().join("src/lib.rs"), "answer = 43\nthe end\n").expect("a file");
        assert!(check_applies(tree.path(), &patch).is_err());
        assert!(tree.apply(&patch).is_err());
    }
}
