//! A PostgreSQL of its own for what is measured over one: on the server's core, with its default settings, which make
//! every commit durable; thrown away afterwards.

use anyhow::{Context, Result};
use countersign_postgres_cluster::Cluster;

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
    /// Starts an empty one.
    pub(crate) fn start() -> Result<Self> {
        Ok(Self { cluster: pinned(SERVER_CORE, || Cluster::start(&[]))? })
    }

    /// Where it is.
    pub(crate) fn address(&self) -> Result<DatabaseAddress> {
        let pid = self.cluster.pid().context("PostgreSQL does not run")?;
        Ok(DatabaseAddress { url: self.cluster.url(), pid })
    }
}
