//! Running one named test on the copy of the checkout.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::tree::Tree;
use crate::suite::{Database, Peers};
use crate::tally::Tally;

/// Longest run of one test: broken code may wait for ever.
const LONGEST: Duration = Duration::from_secs(600);

/// Where and with what tests are run.
pub(super) struct Trial<'a> {
    pub(super) tree: &'a Tree,
    /// Where cargo builds: the same directory for all patches, and never the checkout's own, which must not
    /// hold broken binaries.
    pub(super) target: &'a Path,
    /// Where the output of each run is kept.
    pub(super) logs: &'a Path,
    pub(super) peers: &'a Peers,
    pub(super) database: &'a Database,
}

/// What a run showed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// So many tests passed.
    Passed(u64),
    /// The test failed, or ran too long; the first line of how.
    Failed(String),
    /// The code does not compile; the first error.
    NotBuilt(String),
}

impl Trial<'_> {
    /// Builds and runs the test that `cargo test <test>` names; its output is kept under `name`.
    pub(super) fn run(&self, name: &str, test: &[String]) -> Result<Answer> {
        let log = self.logs.join(format!("{name}.log"));
        let output = || fs::read(&log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());

        let mut build = self.cargo_test(&log, false)?;
        if !build.arg("--no-run").args(before_separator(test)).status().context("cargo test")?.success() {
            return Ok(Answer::NotBuilt(first_error(&output()?)));
        }
        let run = self.cargo_test(&log, true)?.args(test).process_group(0).spawn().context("cargo test")?;
        let status = wait(run, LONGEST)?;
        let output = output()?;
        Ok(match status {
            None => Answer::Failed(format!("did not end within {} s", LONGEST.as_secs())),
            Some(status) if status.success() => {
                Answer::Passed(Tally::follow(output.as_bytes(), io::sink())?.passed)
            }
            Some(status) => Answer::Failed(first_failure(&output).unwrap_or_else(|| status.to_string())),
        })
    }

    fn cargo_test(&self, log: &Path, append: bool) -> Result<Command> {
        let log = File::options().create(true).write(true).append(append).truncate(!append).open(log)?;
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args(["test", "--release", "--locked"]).current_dir(self.tree.path());
        command.env("CARGO_TARGET_DIR", self.target).env("CARGO_TERM_COLOR", "never");
        self.peers.tell(&mut command);
        self.database.tell(&mut command);
        command.stdout(log.try_clone()?).stderr(log);
        Ok(command)
    }
}

/// What cargo is given; after `--` come the arguments of the test binary.
fn before_separator(test: &[String]) -> &[String] {
    test.split(|argument| argument == "--").next().unwrap_or_default()
}

/// Waits for a process and ends its whole group when it takes too long, because a test may have started
/// servers.
fn wait(mut process: Child, longest: Duration) -> Result<Option<ExitStatus>> {
    let since = Instant::now();
    loop {
        if let Some(status) = process.try_wait()? {
            return Ok(Some(status));
        }
        if since.elapsed() > longest {
            let group = format!("-{}", process.id());
            Command::new("kill").args(["-KILL", "--", &group]).status().context("kill")?;
            process.wait()?;
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(50));
    }
}

fn first_error(output: &str) -> String {
    let error = output.lines().find(|line| line.starts_with("error"));
    error.unwrap_or("does not compile").to_owned()
}

/// The line that says why a test failed: the message of the first panic, a returned error, or how the binary
/// died.
fn first_failure(output: &str) -> Option<String> {
    let from_panic = output.lines().skip_while(|line| !line.contains(" panicked at "));
    if let Some(message) = from_panic.skip(1).map(str::trim).find(|line| !line.is_empty()) {
        return Some(message.to_owned());
    }
    let says_why = |line: &&str| line.starts_with("Error: ") || line.contains("(signal: ");
    output.lines().find(says_why).map(|line| line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn how_a_test_failed() {
        let panicked = "\
running 1 test
test a::b ... FAILED

---- a::b stdout ----

thread 'a::b' (17) panicked at src/a.rs:5:9:
assertion `left == right` failed: the answer
  left: 41
 right: 42
test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out
";
        assert_eq!(first_failure(panicked).as_deref(), Some("assertion `left == right` failed: the answer"));
        assert_eq!(first_failure("x\nError: no such file\n").as_deref(), Some("Error: no such file"));
        let died = "  process didn't exit successfully: `a` (signal: 6, SIGABRT: process abort signal)\n";
        assert!(first_failure(died).is_some_and(|line| line.contains("SIGABRT")));
        assert_eq!(first_failure("test result: FAILED."), None);
    }

    #[test]
    fn how_code_did_not_compile() {
        assert_eq!(
            first_error("warning: a\nerror[E0308]: mismatched types\nerror: b\n"),
            "error[E0308]: mismatched types"
        );
    }

    #[test]
    fn only_cargos_own_arguments_are_for_the_build() {
        assert_eq!(before_separator(&words("-p a name -- --exact")), words("-p a name"));
        assert_eq!(before_separator(&words("-p a")), words("-p a"));
    }

    #[test]
    fn a_run_without_end_is_ended_with_all_that_it_started() {
        let started = tempfile::tempdir().expect("a directory");
        let pid_file = started.path().join("pid");
        let script = format!("sleep 60 & echo $! > '{}'; wait", pid_file.display());
        let mut command = Command::new("sh");
        let process = command.args(["-c", &script]).process_group(0).spawn().expect("a shell");
        let status = wait(process, Duration::from_secs(2)).expect("waited");
        assert_eq!(status, None);
        let pid = fs::read_to_string(pid_file).expect("the process that the shell started");
        assert!(ends_soon(pid.trim()), "process {pid} still runs");
    }

    /// A killed process takes a moment to go, and stays as a zombie where nobody asks for its status.
    fn ends_soon(pid: &str) -> bool {
        let stat = format!("/proc/{pid}/stat");
        let since = Instant::now();
        while since.elapsed() < Duration::from_secs(20) {
            match fs::read_to_string(&stat) {
                Ok(state) if !state.contains(") Z ") => thread::sleep(Duration::from_millis(10)),
                _ => return true,
            }
        }
        false
    }

    #[test]
    fn a_run_that_ends_gives_its_status() {
        let process = Command::new("false").spawn().expect("a process");
        let status = wait(process, Duration::from_secs(60)).expect("waited");
        assert!(status.is_some_and(|status| !status.success()));
    }
}
