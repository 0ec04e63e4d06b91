//! A PostgreSQL of its own for what is measured over one: on the server's core, with its default settings, which make
//! every commit durable.

use std::path::Path;

use anyhow::{Context, Result};
use countersign_postgres_cluster::{Cluster, Stop, psql};

use super::process::{SERVER_CORE, pinned};

/// A running PostgreSQL.
pub(crate) struct Database {
    cluster: Cluster,
}

/// Where one is, and its process.
#[derive(Debug, Clone)]
pub(crate) struct DatabaseAddress {
    /// Where it is reached.
    pub(crate) url: String,
    /// The process that its others stem from.
    pub(crate) pid: u32,
}

impl Database {
    /// Starts an empty one, which is thrown away afterwards.
    pub(crate) fn start() -> Result<Self> {
        Self::of(pinned(SERVER_CORE, || Cluster::start(&[]))?)
    }

    /// Starts one on the data in a directory, where it stays.
    pub(crate) fn open(directory: &Path) -> Result<Self> {
        Self::of(pinned(SERVER_CORE, || Cluster::keep(directory, &[]))?)
    }

    fn of(cluster: Cluster) -> Result<Self> {
        for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
            let value = psql(&cluster.url(), &format!("SHOW {setting}"))?;
            anyhow::ensure!(value == "on", "{setting} is {value}: nothing would be durable");
        }
        Ok(Self { cluster })
    }

    /// Where it is.
    pub(crate) fn address(&self) -> Result<DatabaseAddress> {
        let pid = self.cluster.pid().context("PostgreSQL does not run")?;
        Ok(DatabaseAddress { url: self.cluster.url(), pid })
    }

    /// On which port of 127.0.0.1 it is reached.
    pub(crate) fn port(&self) -> u16 {
        self.cluster.port()
    }

    /// Runs one statement; gives what it prints.
    pub(crate) fn ask(&self, statement: &str) -> Result<String> {
        psql(&self.cluster.url(), statement)
    }

    /// The same, for a number.
    pub(crate) fn ask_number(&self, statement: &str) -> Result<u64> {
        let answer = self.ask(statement)?;
        answer.parse().with_context(|| format!("{statement}: not a number: {answer}"))
    }

    /// Stops it, with everything written.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.cluster.stop(Stop::Fast)
    }
}
