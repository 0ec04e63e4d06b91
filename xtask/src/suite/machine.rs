//! What the tests need on the machine, and installing it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::peers::search_path;
use crate::workspace::{Workspace, output_of, succeed};

/// A program of the machine's.
struct Need {
    /// Succeeds when it is there.
    check: &'static [&'static str],
    /// The Debian package that has it.
    package: &'static str,
    purpose: &'static str,
}

const NEEDS: [Need; 14] = [
    Need { check: &["cc", "--version"], package: "gcc", purpose: "building SQLite and aws-lc" },
    Need { check: &["git", "--version"], package: "git", purpose: "applying the patches of tests/sabotage" },
    Need {
        check: &["curl", "--version"],
        package: "curl",
        purpose: "pasting the first command that a server prints",
    },
    Need { check: &["nginx", "-v"], package: "nginx", purpose: "the door behind auth_request" },
    Need { check: &["caddy", "version"], package: "caddy", purpose: "the door behind forward_auth" },
    Need { check: &["haproxy", "-v"], package: "haproxy", purpose: "the door behind Lua" },
    Need {
        check: &["test", "-e", "/usr/lib/nginx/modules/ngx_http_headers_more_filter_module.so"],
        package: "libnginx-mod-http-headers-more-filter",
        purpose: "a line of docs/doors/nginx.md",
    },
    Need {
        check: &["/usr/lib/postgresql/15/bin/postgres", "--version"],
        package: "postgresql-15",
        purpose: "the shared store",
    },
    Need {
        check: &["pgbouncer", "--version"],
        package: "pgbouncer",
        purpose: "the shared store behind a pooler",
    },
    Need {
        check: &["openssl", "version"],
        package: "openssl",
        purpose: "the certificates of docs/operating.md",
    },
    Need {
        check: &["systemd-analyze", "--version"],
        package: "systemd",
        purpose: "the units of docs/operating.md",
    },
    Need {
        check: &["python3", "-c", "import ensurepip, venv"],
        package: "python3-venv",
        purpose: "the official Python SDK",
    },
    Need { check: &["node", "--version"], package: "nodejs", purpose: "the official Node SDK" },
    Need { check: &["npm", "--version"], package: "npm", purpose: "the official Node SDK" },
];

/// Packages that may start a daemon when they are installed, and its program.
const DAEMONS: [(&str, &str); 5] = [
    ("nginx", "nginx"),
    ("caddy", "caddy"),
    ("haproxy", "haproxy"),
    ("postgresql-15", "postgres"),
    ("pgbouncer", "pgbouncer"),
];

/// Installs what is missing, as root from Debian's packages.
///
/// Errors: not root, or no Debian: the message says what to install.
pub(super) fn set_up(workspace: &Workspace) -> Result<()> {
    for component in ["fmt", "clippy"] {
        let check = output_of(workspace.cargo().args([component, "--version"]));
        check.context("rustup component add rustfmt clippy")?;
    }
    let missing = missing();
    if missing.is_empty() {
        println!("everything is there");
        return Ok(());
    }
    for need in &missing {
        println!("missing: {}, for {}", need.package, need.purpose);
    }
    let packages = missing.iter().map(|need| need.package).collect::<Vec<_>>();
    let by_hand = format!("apt-get install --no-install-recommends {}", packages.join(" "));
    if !is_root() {
        bail!("run this as root, then try again: {by_hand}");
    }
    install(&packages).with_context(|| format!("install by hand, then try again: {by_hand}"))
}

fn missing() -> Vec<&'static Need> {
    NEEDS.iter().filter(|need| !need.is_met()).collect()
}

impl Need {
    fn is_met(&self) -> bool {
        let Some((program, arguments)) = self.check.split_first() else { return true };
        let mut check = Command::new(program);
        check.args(arguments).env("PATH", search_path()).stdout(Stdio::null()).stderr(Stdio::null());
        check.status().is_ok_and(|status| status.success())
    }
}

fn install(packages: &[&str]) -> Result<()> {
    let apt = |arguments: &[&str]| {
        succeed(Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    apt(&["update", "-qq"])?;
    let quietly = ["install", "-qq", "-o", "Dpkg::Use-Pty=0", "--yes", "--no-install-recommends"];
    apt(&[&quietly, packages].concat())?;
    for (_, program) in DAEMONS.into_iter().filter(|(package, _)| packages.contains(package)) {
        end_all(program)?;
    }
    match missing().first() {
        Some(need) => bail!("{} was installed, but {:?} still fails", need.package, need.check),
        None => Ok(()),
    }
}

/// Ends what the package of `program` started. It was not installed before, so whatever runs it now was
/// started so.
fn end_all(program: &str) -> Result<()> {
    for process in fs::read_dir("/proc").context("/proc")? {
        let process = process?;
        let executable = fs::read_link(process.path().join("exe")).unwrap_or_else(|_| PathBuf::new());
        if executable.file_name() == Some(OsStr::new(program)) {
            println!(
                "ending process {}, which the package of {program} started",
                process.file_name().display()
            );
            // A worker may be gone already, because its parent is.
            Command::new("kill").arg(process.file_name()).stderr(Stdio::null()).status().context("kill")?;
        }
    }
    Ok(())
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|this_process| this_process.uid() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_need_is_met_when_its_check_succeeds() {
        let need = |check| Need { check, package: "", purpose: "" };
        assert!(need(&["true"]).is_met());
        assert!(!need(&["false"]).is_met());
        assert!(!need(&["no-such-program-anywhere"]).is_met());
    }

    #[test]
    fn only_processes_of_that_program_are_ended() {
        let directory = tempfile::tempdir().expect("a directory");
        let program = directory.path().join("a-daemon-of-this-test");
        let sleep =
            ["/usr/bin/sleep", "/bin/sleep"].into_iter().find(|path| fs::exists(path).unwrap_or(false));
        fs::copy(sleep.expect("sleep"), &program).expect("a copy of sleep");
        let mut daemon = Command::new(&program).arg("60").spawn().expect("a daemon");
        let mut bystander = Command::new("sleep").arg("60").spawn().expect("a bystander");
        end_all("a-daemon-of-this-test").expect("ended");
        assert!(!daemon.wait().expect("a status").success());
        assert!(bystander.try_wait().expect("a status").is_none());
        bystander.kill().expect("killed");
        bystander.wait().expect("a status");
    }
}
