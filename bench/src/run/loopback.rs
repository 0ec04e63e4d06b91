//! The real LoopBack 3, in `bench/peers/loopback`: installed once from its lock file, started like any server.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::bench::wait_for;
use super::process::{Pinned, SERVER_CORE, free_address, on_core};

/// What is installed, and what runs on it.
const FILES: [(&str, &str); 3] = [
    ("package.json", include_str!("../../peers/loopback/package.json")),
    ("package-lock.json", include_str!("../../peers/loopback/package-lock.json")),
    ("server.js", include_str!("../../peers/loopback/server.js")),
];

/// Exactly what the lock file names, and nothing of it is run meanwhile.
const NPM_CI: [&str; 5] = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];

/// A running LoopBack.
pub(crate) struct LoopBack {
    process: Pinned,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl LoopBack {
    /// Starts it with the first `count` tokens of a file, and waits until it listens.
    pub(crate) fn start(dir: &Path, log: &Path, tokens: &Path, count: usize) -> Result<Self> {
        let dir = dir.join("loopback");
        install(&dir)?;
        let address = free_address()?;
        let log = File::create(log).with_context(|| format!("cannot write the log {}", log.display()))?;
        let mut command = on_core(SERVER_CORE, Path::new("node"));
        command.arg("server.js").arg(address.port().to_string()).arg(tokens).arg(count.to_string());
        command.current_dir(&dir).env("NODE_ENV", "production").stdout(log.try_clone()?).stderr(log);
        let process = Pinned::start(&mut command)?;
        wait_for(address).context("LoopBack 3 has not started (is there a `node`?)")?;
        Ok(Self { process, address })
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }
}

/// Installs it, unless that was done before with the same files.
fn install(dir: &Path) -> Result<()> {
    let wanted = FILES.map(|(_, content)| content).concat();
    let stamp = dir.join("installed-from");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    fs::create_dir_all(dir)?;
    for (name, content) in FILES {
        fs::write(dir.join(name), content)?;
    }
    let npm = Command::new("npm").args(NPM_CI).current_dir(dir).status();
    let installed = npm.context("cannot start `npm`, which installs LoopBack 3 (package npm)")?;
    anyhow::ensure!(installed.success(), "`npm ci` in {} failed: {installed}", dir.display());
    Ok(fs::write(stamp, wanted)?)
}
