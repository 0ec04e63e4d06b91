//! P2: tokens created on one node over PostgreSQL, beside what PostgreSQL does of itself.

use anyhow::Result;

use crate::load::{LanePlan, Plan, WorkPlan};
use crate::run::bench::Bench;
use crate::run::countersign::Countersign;
use crate::run::database::Database;
use crate::run::goals::Metric;
use crate::run::job::Job;

/// P2: tokens created on 64 connections, beside *pgbench* on the same PostgreSQL. Both share the server's core with it, so
/// that what a row costs is compared as well as how many there are.
pub(crate) fn create(bench: &mut Bench) -> Result<()> {
    let database = Database::start()?;
    let address = database.address()?;
    let data = bench.scratch("create-shared")?;
    let mut setting = bench.setting(&data);
    setting.environment = vec![("COUNTERSIGN_DATABASE_URL", address.url.clone())];
    let server = Countersign::start(&setting)?;
    let work = WorkPlan::Create { count: None, answered: None, limited: false };
    let lane = LanePlan { name: "create".into(), connections: 64, rate: None, work };
    let plan = Plan { database: Some(address.pid), ..bench.plan(&server, vec![lane]) };
    let pair = bench.take_pair(Job::pgbench("pgbench", address), Job::load("P2", &plan))?;
    server.stop()?;
    bench.ledger.add(Metric::SharedCreateRate, pair.rate());
    bench.ledger.add(Metric::SharedCreateCpu, pair.cpu());
    bench.expect_saturated(Metric::SharedCreateRate, &[&pair]);
    Ok(())
}
