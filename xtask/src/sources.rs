//! The size and the names of source files.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Longest source file, in lines: what one can still hold in one's head. Aim at 400.
const MOST_LINES: usize = 600;

/// Names that say nothing about what they hold, and so end up holding everything.
const VAGUE: [&str; 5] = ["util", "utils", "helper", "helpers", "misc"];

/// Every Rust file of the checkout that is too long or vaguely named, one sentence each.
pub(crate) fn violations(root: &Path) -> Result<Vec<String>> {
    let mut violations = Vec::new();
    for path in rust_files(root)? {
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let shown = path.strip_prefix(root).unwrap_or(&path);
        violations.extend(violations_in(shown, &text));
    }
    Ok(violations)
}

fn violations_in(path: &Path, text: &str) -> Vec<String> {
    let mut violations = Vec::new();
    let lines = text.lines().count();
    if lines > MOST_LINES {
        violations.push(format!("{}: {lines} lines, at most {MOST_LINES}", path.display()));
    }
    let in_path = path.iter().filter_map(|part| Path::new(part).file_stem()).filter_map(OsStr::to_str);
    let in_text = text.lines().filter_map(module_declared);
    for name in in_path.chain(in_text).filter(|name| VAGUE.contains(name)) {
        violations.push(format!("{}: `{name}` says nothing: name it after what it holds", path.display()));
    }
    violations
}

/// The name of the module that a line like `pub(crate) mod name;` declares.
fn module_declared(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let name = match line.strip_prefix("mod ") {
        Some(name) => name,
        None if line.starts_with("pub") => line.split_once(" mod ")?.1,
        None => return None,
    };
    name.split([';', ' ', '{']).next()
}

/// All Rust files below `root`, without what was built and what is hidden.
fn rust_files(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(directory) = waiting.pop() {
        let entries = fs::read_dir(&directory).with_context(|| directory.display().to_string())?;
        for entry in entries {
            let path = entry?.path();
            let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
            if name.starts_with('.') || name == "target" {
                continue;
            }
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension() == Some(OsStr::new("rs")) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_file(path: &str, text: &str) -> Vec<String> {
        violations_in(Path::new(path), text)
    }

    #[test]
    fn a_file_has_at_most_600_lines() {
        assert!(in_file("crates/a/src/lib.rs", &"\n".repeat(600)).is_empty());
        let violations = in_file("crates/a/src/lib.rs", &"\n".repeat(601));
        assert_eq!(violations, ["crates/a/src/lib.rs: 601 lines, at most 600"]);
    }

    #[test]
    fn vague_names_of_files_folders_and_modules() {
        for path in ["src/utils.rs", "src/helpers/mod.rs", "tests/misc.rs"] {
            assert_eq!(in_file(path, "").len(), 1, "{path}");
        }
        for text in
            ["mod utils {", "    pub mod helpers;", "pub(crate) mod misc;", "pub(in crate::a) mod util;"]
        {
            assert_eq!(in_file("src/lib.rs", text).len(), 1, "{text}");
        }
        for text in ["mod utilities_of_the_crown;", "use utils::x;", "// mod utils", "let model = misc;"] {
            assert!(in_file("src/lib.rs", text).is_empty(), "{text}");
        }
    }

    #[test]
    fn files_are_found_but_not_built_or_hidden_ones() {
        let root = tempfile::tempdir().expect("a directory");
        for path in ["a.rs", "crates/b/src/b.rs", "target/c.rs", ".git/d.rs", "e.txt"] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
            fs::write(&path, "mod misc;\n").expect("a file");
        }
        let violations = violations(root.path()).expect("readable");
        assert_eq!(violations.len(), 2, "{violations:?}");
        assert!(violations[0].starts_with("a.rs: ") && violations[1].starts_with("crates/b/src/b.rs: "));
    }
}
