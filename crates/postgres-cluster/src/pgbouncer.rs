//! A pooler between a server and its clients.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::{Cluster, PATIENCE, USER, as_other_user, end, free_port, own, program};

/// Where Debian has it.
const PROGRAM: &str = "/usr/sbin/pgbouncer";

/// How long a client keeps a session of the server's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolMode {
    /// As long as it is there.
    Session,
    /// For one transaction.
    Transaction,
}

/// pgbouncer. Stopped when dropped.
pub struct PgBouncer {
    _directory: TempDir,
    port: u16,
    running: Option<Child>,
}

impl PgBouncer {
    /// One before this server.
    pub fn start(cluster: &Cluster, mode: PoolMode) -> Result<Self> {
        ensure!(fs::exists(PROGRAM)?, "{PROGRAM} is missing: install pgbouncer");
        let directory = tempfile::Builder::new().prefix("countersign-pgbouncer-").tempdir()?;
        own(directory.path())?;
        let port = free_port()?;
        let mode = match mode {
            PoolMode::Session => "session",
            PoolMode::Transaction => "transaction",
        };
        let settings = format!(
            "[databases]\npostgres = host=127.0.0.1 port={} user={USER}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = any\npool_mode = {mode}\n",
            cluster.port()
        );
        let file = directory.path().join("pgbouncer.ini");
        fs::write(&file, settings)?;
        own(&file)?;
        let mut command = as_other_user(Path::new(PROGRAM))?;
        command.arg("--quiet").arg(&file).stdin(Stdio::null()).stdout(Stdio::null());
        let running = Some(command.spawn().context("cannot run pgbouncer")?);
        let pooler = Self { _directory: directory, port, running };
        pooler.wait_until_ready()?;
        Ok(pooler)
    }

    /// Where it is reached.
    pub fn url(&self) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/postgres", self.port)
    }

    fn wait_until_ready(&self) -> Result<()> {
        let since = Instant::now();
        loop {
            let asked = program("pg_isready")?
                .args(["--quiet", "--host=127.0.0.1", "--port", &self.port.to_string()])
                .status()?;
            if asked.success() {
                return Ok(());
            }
            ensure!(since.elapsed() < PATIENCE, "pgbouncer is not ready after {PATIENCE:?}");
            sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        // Nothing in it is kept.
        let _ = self.running.take().map(|running| end(running, Signal::INT));
    }
}
