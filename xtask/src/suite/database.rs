//! The PostgreSQL of the tests.

use std::process::Command;

use anyhow::Result;
use countersign_postgres_cluster::{Cluster, URL_VARIABLE};

/// One that is thrown away afterwards, unless an existing one was named.
pub(crate) struct Database(Option<Cluster>);

impl Database {
    /// Starts one where none was named. What it would lose in a crash is nobody's.
    pub(crate) fn start() -> Result<Self> {
        match std::env::var_os(URL_VARIABLE) {
            Some(_) => Ok(Self(None)),
            None => Ok(Self(Some(Cluster::start(&["fsync=off"])?))),
        }
    }

    /// Tells the tests that a command runs where it is.
    pub(crate) fn tell(&self, command: &mut Command) {
        if let Some(cluster) = &self.0 {
            command.env(URL_VARIABLE, cluster.url());
        }
    }
}
