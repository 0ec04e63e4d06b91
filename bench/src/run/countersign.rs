//! The server under test, as shipped: default settings, a directory, an address.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::process::{Pinned, SERVER_CORE, free_address, on_core};
use crate::wire::client::Client;
use crate::wire::{ROOT_ACCOUNT, ROOT_TOKEN, request};

/// Longest time to the first right answer.
const START: Duration = Duration::from_secs(120);

/// Longest time from SIGTERM to the end.
const STOP: Duration = Duration::from_secs(60);

/// What is started, and on what.
pub(crate) struct Setting<'a> {
    /// The program.
    pub(crate) program: &'a Path,
    /// Its directory of data; made when it is not there.
    pub(crate) data: &'a Path,
    /// Where its log goes.
    pub(crate) log: PathBuf,
    /// More environment: the slow disk.
    pub(crate) environment: Vec<(&'static str, String)>,
}

/// A running server.
pub(crate) struct Countersign {
    process: Pinned,
    log: PathBuf,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Countersign {
    /// Starts it; it may not answer yet.
    pub(crate) fn spawn(setting: &Setting<'_>) -> Result<Self> {
        let address = free_address()?;
        let log = File::create(&setting.log)
            .with_context(|| format!("cannot write the log {}", setting.log.display()))?;
        let mut command = on_core(SERVER_CORE, setting.program);
        command.arg("serve").arg("--listen").arg(address.to_string()).arg("--data").arg(setting.data);
        without_settings_of_the_caller(&mut command);
        command
            .env("COUNTERSIGN_ROOT_ACCOUNT_ID", ROOT_ACCOUNT)
            .env("COUNTERSIGN_ROOT_TOKEN", ROOT_TOKEN)
            .env("COUNTERSIGN_KEY_FILE", key_file(setting.data)?)
            .envs(setting.environment.iter().cloned())
            .stdout(log.try_clone()?)
            .stderr(log);
        Ok(Self { process: Pinned::start(&mut command)?, log: setting.log.clone(), address })
    }

    /// Starts it and waits until it is ready.
    pub(crate) fn start(setting: &Setting<'_>) -> Result<Self> {
        let mut server = Self::spawn(setting)?;
        server.until_answered(&request::get("/readyz"), 200)?;
        Ok(server)
    }

    /// Sends `request` until it is answered with `status`. Gives the time since the start of the process.
    pub(crate) fn until_answered(&mut self, request: &[u8], status: u16) -> Result<Duration> {
        let mut last = "no answer".to_owned();
        while self.process.started().elapsed() < START {
            match Client::connect(self.address).and_then(|mut client| client.ask(request)) {
                Ok(answer) if answer.status == status => return Ok(self.process.started().elapsed()),
                Ok(answer) => last = format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body)),
                Err(error) => last = error.to_string(),
            }
            if let Some(ended) = self.process.ended()? {
                anyhow::bail!("the server ended ({ended}): {}", self.end_of_log());
            }
            std::thread::sleep(Duration::from_micros(500));
        }
        anyhow::bail!("not ready after {} s ({last}): {}", START.as_secs(), self.end_of_log())
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Stops it in good order.
    pub(crate) fn stop(self) -> Result<()> {
        self.process.stop(STOP).context("the server")
    }

    /// Ends it at once.
    pub(crate) fn kill(self) -> Result<()> {
        self.process.kill()
    }

    fn end_of_log(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

/// The key that all nodes have, beside the directory of data.
fn key_file(data: &Path) -> Result<PathBuf> {
    let file = data.with_extension("key");
    if !file.exists() {
        fs::write(&file, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n")?;
    }
    Ok(file)
}

/// Default settings, whatever the caller's environment sets.
fn without_settings_of_the_caller(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("COUNTERSIGN_") {
            command.env_remove(name);
        }
    }
}
