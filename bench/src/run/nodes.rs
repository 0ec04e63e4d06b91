//! Two nodes over one PostgreSQL, all on the server's core.

use std::net::Ipv4Addr;
use std::process::Command;

use anyhow::{Context, Result};

use super::bench::{Bench, Running};
use super::countersign::{Countersign, Setting};
use super::database::{Database, DatabaseAddress};
use super::process::{GENERATOR_CORE, pinned};
use super::proxy::Proxy;
use super::seed::{self, Seed};
use super::shared_seed;
use crate::load::{LanePlan, Plan};

/// How the second node reaches PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// As the first does.
    Direct,
    /// On a way that can be blocked.
    Proxied,
}

/// The nodes, called *A* and *B*.
pub(crate) struct Nodes {
    pub(crate) a: Countersign,
    pub(crate) b: Countersign,
    pub(crate) database: Database,
    /// Where PostgreSQL is.
    pub(crate) address: DatabaseAddress,
    /// Between *B* and PostgreSQL.
    pub(crate) proxy: Option<Proxy>,
}

impl Nodes {
    /// Starts both on a copy of PostgreSQL with the tokens of a seed, and waits until both are ready.
    pub(crate) fn start(bench: &Bench, seed: &Seed, way: Way) -> Result<Self> {
        let directory = bench.scratch("postgres")?;
        seed::copy(&shared_seed::open(bench, seed)?, &directory)?;
        // Else the first commits would wait until the copy is written, and with them the nodes' leases.
        let synced = Command::new("sync").arg("--file-system").arg(&directory).status()?;
        anyhow::ensure!(synced.success(), "the copy cannot be written: {synced}");
        let database = Database::open(&directory)?;
        let (address, port) = (database.address()?, database.port());
        let proxy = match way {
            Way::Direct => None,
            Way::Proxied => {
                Some(pinned(GENERATOR_CORE, || Proxy::start((Ipv4Addr::LOCALHOST, port).into()))?)
            }
        };
        let url_of_b = match &proxy {
            None => address.url.clone(),
            Some(proxy) => moved(&address.url, port, proxy.address().port())?,
        };
        let (a, b) = (start(bench, "a", address.url.clone())?, start(bench, "b", url_of_b)?);
        Ok(Self { a, b, database, address, proxy })
    }

    /// A plan of the usual length against one of them, whose CPU time is counted with PostgreSQL's.
    pub(crate) fn plan(&self, bench: &Bench, node: &Countersign, lanes: Vec<LanePlan>) -> Plan {
        Plan { database: Some(self.address.pid), ..bench.plan(node, lanes) }
    }

    /// A load on *B* that ends with it.
    pub(crate) fn load_b(&self, bench: &Bench, lanes: Vec<LanePlan>) -> Result<Running> {
        let plan = self.plan(bench, &self.b, lanes);
        bench.send_in_background(&Plan { until_closed: true, warm_up_ms: 0, measured_ms: 1_800_000, ..plan })
    }

    /// Stops everything.
    pub(crate) fn stop(self) -> Result<()> {
        self.b.stop().context("B")?;
        self.a.stop().context("A")?;
        self.database.stop()
    }
}

fn start(bench: &Bench, name: &str, url: String) -> Result<Countersign> {
    let data = bench.scratch(&format!("node-{name}"))?;
    let setting = bench.setting(&data);
    let log = setting.log.with_file_name(format!("node-{name}.log"));
    let environment = vec![("COUNTERSIGN_DATABASE_URL", url)];
    Countersign::start(&Setting { log, environment, ..setting }).with_context(|| format!("node {name}"))
}

/// The same place on another port.
fn moved(url: &str, from: u16, to: u16) -> Result<String> {
    let (before, after) = url.split_once(&format!(":{from}/")).context("the port is not in the URL")?;
    Ok(format!("{before}:{to}/{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_on_another_port() -> Result<()> {
        let url = moved("postgres://me@127.0.0.1:5432/postgres", 5432, 7)?;
        assert_eq!(url, "postgres://me@127.0.0.1:7/postgres");
        assert!(moved("postgres://me@127.0.0.1/postgres", 5432, 7).is_err());
        Ok(())
    }
}
