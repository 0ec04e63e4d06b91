//! `cargo xtask test`: the one command that decides whether a change is good.

mod database;
mod machine;
mod peers;
mod report;

use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

pub(crate) use self::database::Database;
pub(crate) use self::peers::Peers;
use self::report::{Outcome, Report};
use crate::tally::Tally;
use crate::workspace::{Workspace, succeed};

/// A part of the suite. In the order in which they run: what is cheap and fails often comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Stage {
    /// Install what the machine lacks.
    Setup,
    /// Formatting.
    Fmt,
    /// Who imports whom; size and names of source files.
    Imports,
    /// Licences, banned crates, duplicate versions.
    Deny,
    /// Lints.
    Clippy,
    /// Cloudflare's official Python SDK, Envoy and Traefik, in a virtual environment.
    Python,
    /// Cloudflare's official Node SDK.
    Node,
    /// Every test of every package.
    Test,
}

impl Stage {
    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// Runs the stages in `only`, all when it is empty, up to the first that fails. When tests ran, the last line
/// printed is `N passed, N failed`.
pub(crate) fn run(workspace: &Workspace, only: &[Stage]) -> ExitCode {
    let stages = Stage::value_variants().iter().filter(|stage| only.is_empty() || only.contains(stage));
    let started = Instant::now();
    let mut report = Report::default();
    let mut tally = None;
    for &stage in stages {
        if report.has_failed() {
            report.add(stage.name(), Outcome::NotRun, Duration::ZERO);
            continue;
        }
        println!("\n=== {}", stage.name());
        let since = Instant::now();
        let outcome = match perform(stage, workspace, &mut tally) {
            Ok(()) => Outcome::Passed,
            Err(error) => Outcome::Failed(format!("{error:#}")),
        };
        report.add(stage.name(), outcome, since.elapsed());
    }
    report.close(started.elapsed());
    println!("\n{report}");
    if let Some(tally) = tally {
        println!("{tally}");
    }
    if report.has_failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn perform(stage: Stage, workspace: &Workspace, tally: &mut Option<Tally>) -> Result<()> {
    let peers = Peers::of(workspace);
    match stage {
        Stage::Setup => machine::set_up(workspace),
        Stage::Fmt => succeed(workspace.cargo().args(["fmt", "--all", "--check"])),
        Stage::Imports => crate::check_imports(workspace),
        Stage::Deny => crate::check_dependencies(workspace),
        Stage::Clippy => {
            let clippy =
                ["clippy", "--release", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
            succeed(workspace.cargo().args(clippy))
        }
        Stage::Python => peers.install_python(),
        Stage::Node => peers.install_node(),
        Stage::Test => {
            let counted = tally.insert(Tally::default());
            run_tests(workspace, &peers, counted)
        }
    }
}

/// The tests of the whole program that are for both stores.
const FOR_BOTH_STORES: [&str; 10] = [
    "crash::",
    "filters::",
    "hostile::",
    "leak::",
    "measuring::tokens",
    "proxies::",
    "race::",
    "sdk::",
    "serving::",
    "tenants::",
];

/// Runs every test binary, also after one has failed; then, once more with the shared store, what is for both.
fn run_tests(workspace: &Workspace, peers: &Peers, tally: &mut Tally) -> Result<()> {
    let database = Database::start()?;
    let mut all = workspace.cargo();
    all.args(["test", "--release", "--workspace", "--no-fail-fast", "--locked"]);
    let mut shared = workspace.cargo();
    // Of the workspace, too: for a package alone its dependencies would be built once more, with other features.
    shared.args(["test", "--release", "--workspace", "--test", "whole", "--locked", "--"]);
    // One at a time: a database beside each of them takes a share of the machine, and a node that waits for two seconds for its
    // lease refuses, as it should.
    shared.arg("--test-threads=1").args(FOR_BOTH_STORES).env("COUNTERSIGN_TEST_STORE", "shared");
    let mut succeeded = true;
    for mut command in [all, shared] {
        peers.tell(&mut command);
        database.tell(&mut command);
        let mut one = Tally::default();
        succeeded &= follow_tests(command, &mut one)?;
        *tally = tally.plus(one);
    }
    verdict(*tally, succeeded)
}

/// Gives whether the command succeeded.
fn follow_tests(mut command: Command, tally: &mut Tally) -> Result<bool> {
    let mut tests = command.stdout(Stdio::piped()).spawn().context("cannot run cargo test")?;
    let output = tests.stdout.take().context("cargo test without output")?;
    *tally = Tally::follow(output, std::io::stdout())?;
    let succeeded = tests.wait()?.success();
    if !succeeded && tally.failed == 0 {
        // Not built, or ended by a signal: no test says so, yet the closing line must.
        tally.failed = 1;
    }
    Ok(succeeded)
}

fn verdict(tally: Tally, succeeded: bool) -> Result<()> {
    if !succeeded || tally.failed > 0 {
        bail!("tests failed");
    }
    if tally.ignored > 0 {
        bail!("{} tests are ignored: mend them or drop them, nothing is skipped", tally.ignored);
    }
    if tally.passed == 0 {
        bail!("no test ran");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_run_in_which_every_test_passed_is_good() {
        let good = Tally { passed: 3, failed: 0, ignored: 0 };
        assert!(verdict(good, true).is_ok());
        assert!(verdict(good, false).is_err(), "cargo failed");
        assert!(verdict(Tally { failed: 1, ..good }, true).is_err());
        assert!(verdict(Tally { ignored: 1, ..good }, true).is_err());
        assert!(verdict(Tally { passed: 0, ..good }, true).is_err());
    }
}
