//! `cargo xtask sabotage`: breaks the code on purpose, one patch at a time, and shows that a named test
//! fails. A test that was never seen to fail may test nothing.

mod patch;
mod tree;
mod trial;

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use self::patch::Patch;
use self::tree::Tree;
use self::trial::{Answer, Trial};
use crate::suite::{Database, Peers};
use crate::workspace::Workspace;

/// Tries the patches named, all when none is.
///
/// Errors: a patch that does not apply or does not compile, a test that does not pass on the unbroken code, a
/// test that passes on the broken code.
pub(crate) fn run(workspace: &Workspace, names: &[String]) -> Result<()> {
    let patches = Patch::find(&workspace.root().join("tests/sabotage"), names)?;
    let scratch = workspace.scratch("sabotage");
    let tree = Tree::new(workspace.root(), scratch.join("tree"));
    let logs = scratch.join("logs");
    fs::create_dir_all(&logs).with_context(|| logs.display().to_string())?;
    let peers = Peers::of(workspace);
    let database = Database::start()?;
    let target = scratch.join("target");
    let trial = Trial { tree: &tree, target: &target, logs: &logs, peers: &peers, database: &database };

    check_unbroken(&trial, &patches)?;
    let mut rows = Vec::new();
    for patch in &patches {
        println!("{}: {}", patch.name, patch.breaks);
        let since = Instant::now();
        let finding = try_patch(&trial, patch)?;
        rows.push(Row { patch, finding, time: since.elapsed() });
    }
    tree.restore()?;
    show(&rows)
}

/// What a patch showed.
#[derive(Debug, PartialEq, Eq)]
enum Finding {
    /// The test failed, as it must; with the first line of how.
    Caught(String),
    /// The test passed.
    Survived,
    /// The patch shows nothing: it does not apply, or what it makes does not compile.
    Void(String),
}

struct Row<'a> {
    patch: &'a Patch,
    finding: Finding,
    time: Duration,
}

/// A test that fails, or does not run, without any sabotage would seem to catch everything.
fn check_unbroken(trial: &Trial<'_>, patches: &[Patch]) -> Result<()> {
    trial.tree.restore()?;
    let tests: BTreeMap<_, _> = patches.iter().map(|patch| (&patch.test, &patch.name)).collect();
    for (test, name) in tests {
        println!("unbroken: cargo test {}", test.join(" "));
        match trial.run(&format!("{name}-unbroken"), test)? {
            Answer::Passed(passed) if passed > 0 => {}
            Answer::Passed(_) => bail!("{name}: `{}` names no test", test.join(" ")),
            Answer::Failed(how) => bail!("{name}: `{}` fails on the unbroken code: {how}", test.join(" ")),
            Answer::NotBuilt(why) => bail!("{name}: the unbroken code does not compile: {why}"),
        }
    }
    Ok(())
}

fn try_patch(trial: &Trial<'_>, patch: &Patch) -> Result<Finding> {
    trial.tree.restore()?;
    if let Err(error) = trial.tree.apply(&patch.path) {
        return Ok(Finding::Void(format!("{error:#}")));
    }
    Ok(match trial.run(&patch.name, &patch.test)? {
        Answer::Failed(how) => Finding::Caught(how),
        Answer::Passed(_) => Finding::Survived,
        Answer::NotBuilt(why) => Finding::Void(why),
    })
}

/// Prints the table, and fails when a sabotage was not caught.
fn show(rows: &[Row<'_>]) -> Result<()> {
    println!("\n| patch | breaks | test | how it failed | time |\n| --- | --- | --- | --- | --- |");
    for Row { patch, finding, time } in rows {
        let how = match finding {
            Finding::Caught(how) => how,
            Finding::Survived => "**SURVIVED: the test passes**",
            Finding::Void(why) => &format!("**VOID: {why}**"),
        };
        let test = patch.test.join(" ");
        println!(
            "| {} | {} | `{test}` | {} | {} s |",
            patch.name,
            patch.breaks,
            in_cell(how),
            time.as_secs()
        );
    }
    let caught = rows.iter().filter(|row| matches!(row.finding, Finding::Caught(_))).count();
    println!("\n{caught} of {} caught", rows.len());
    if caught < rows.len() {
        bail!("{} sabotages were not caught", rows.len() - caught);
    }
    Ok(())
}

/// A text that does not end a cell of the table, of a length that can be read.
fn in_cell(text: &str) -> String {
    let text = text.replace('|', "\\|").replace('\n', " ");
    match text.char_indices().nth(160) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn row(patch: &Patch, finding: Finding) -> Row<'_> {
        Row { patch, finding, time: Duration::ZERO }
    }

    #[test]
    fn only_caught_sabotage_is_good() {
        let patch = Patch::parse("a", Path::new("a.patch"), "# breaks: b\n# test: -p c\n").expect("a patch");
        let caught = || row(&patch, Finding::Caught("assertion failed".to_owned()));
        assert!(show(&[caught()]).is_ok());
        assert!(show(&[caught(), row(&patch, Finding::Survived)]).is_err());
        assert!(show(&[caught(), row(&patch, Finding::Void("does not apply".to_owned()))]).is_err());
    }

    #[test]
    fn cells_stay_cells() {
        assert_eq!(in_cell("a|b\nc"), "a\\|b c");
        assert_eq!(in_cell(&"ä".repeat(200)).chars().count(), 161);
    }

    /// Code moves; a patch that no longer fits must be mended with it.
    #[test]
    fn every_patch_of_the_project_still_applies() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let patches = Patch::find(&root.join("tests/sabotage"), &[]).expect("patches");
        for patch in patches {
            let check = tree::check_applies(&root, &patch.path);
            assert!(check.is_ok(), "{}: {check:?}", patch.name);
        }
    }
}
