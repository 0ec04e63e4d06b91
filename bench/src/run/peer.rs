//! Servers of others on Node, in `bench/peers`: installed once from their lock files, started like any server.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::bench::wait_for;
use super::process::{Pinned, SERVER_CORE, free_address, on_core};

/// What is installed of a peer, and what runs on it.
pub(crate) struct Program {
    /// Its directory, and what it is called in a complaint.
    name: &'static str,
    /// The script that is started, one of the files.
    script: &'static str,
    files: [(&'static str, &'static str); 3],
}

/// The real LoopBack 3.
pub(crate) const LOOPBACK: Program = Program {
    name: "loopback",
    script: "server.js",
    files: [
        ("package.json", include_str!("../../peers/loopback/package.json")),
        ("package-lock.json", include_str!("../../peers/loopback/package-lock.json")),
        ("server.js", include_str!("../../peers/loopback/server.js")),
    ],
};

/// An OAuth authorization server.
pub(crate) const OIDC_PROVIDER: Program = Program {
    name: "oidc-provider",
    script: "server.mjs",
    files: [
        ("package.json", include_str!("../../peers/oidc-provider/package.json")),
        ("package-lock.json", include_str!("../../peers/oidc-provider/package-lock.json")),
        ("server.mjs", include_str!("../../peers/oidc-provider/server.mjs")),
    ],
};

/// Exactly what the lock file names, and nothing of it is run meanwhile.
const NPM_CI: [&str; 5] = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];

/// A running server of others.
pub(crate) struct Peer {
    process: Pinned,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Peer {
    /// Starts it with `count` tokens of a file, which it reads or writes, and waits until it listens.
    pub(crate) fn start(
        program: &Program,
        dir: &Path,
        log: &Path,
        tokens: &Path,
        count: usize,
    ) -> Result<Self> {
        let dir = dir.join(program.name);
        program.install(&dir)?;
        let address = free_address()?;
        let log = File::create(log).with_context(|| format!("cannot write the log {}", log.display()))?;
        let mut command = on_core(SERVER_CORE, Path::new("node"));
        command.arg(program.script).arg(address.port().to_string()).arg(tokens).arg(count.to_string());
        command.current_dir(&dir).env("NODE_ENV", "production").stdout(log.try_clone()?).stderr(log);
        let process = Pinned::start(&mut command)?;
        wait_for(address)
            .with_context(|| format!("{} has not started (is there a `node`?)", program.name))?;
        Ok(Self { process, address })
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }
}

impl Program {
    /// Installs it, unless that was done before with the same files.
    fn install(&self, dir: &Path) -> Result<()> {
        let wanted = self.files.map(|(_, content)| content).concat();
        let stamp = dir.join("installed-from");
        if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
            return Ok(());
        }
        fs::create_dir_all(dir)?;
        for (name, content) in self.files {
            fs::write(dir.join(name), content)?;
        }
        let npm = Command::new("npm").args(NPM_CI).current_dir(dir).status();
        let installed =
            npm.with_context(|| format!("cannot start `npm`, which installs {} (package npm)", self.name))?;
        anyhow::ensure!(installed.success(), "`npm ci` in {} failed: {installed}", dir.display());
        Ok(fs::write(stamp, wanted)?)
    }
}
