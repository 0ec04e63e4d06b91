//! W1, W2 and W3: durable writes beside what the disk and the bare store allow.

use anyhow::Result;

use crate::load::{LanePlan, WorkPlan};
use crate::run::bench::Bench;
use crate::run::countersign::Countersign;
use crate::run::goals::Metric;
use crate::run::slow_disk::{DELAY_MICROS, SlowDisk};
use crate::run::taken::Taken;

/// Rows to a commit of the reference *group*.
const GROUP: u32 = 100;

/// W1: tokens created on 64 connections, beside *group*; and on a slow disk, beside *single* on the same. W2:
/// on one connection, beside *single*. Gives W1's requests a second; the second time in a round, those of the
/// first.
pub(crate) fn create(bench: &mut Bench) -> Result<f64> {
    if let Some(creates) = bench.round.creates {
        return Ok(creates);
    }
    let group = bench.insert(GROUP, Vec::new())?.per_second();
    let data = bench.scratch("create")?;
    let server = bench.start(&data)?;
    let creates = take_creates(bench, &server, 64, "W1")?.per_second();
    let single = bench.insert(1, Vec::new())?.per_second();
    let alone = take_creates(bench, &server, 1, "W2")?.lane("create")?.latency.p50_us;
    server.stop()?;

    bench.ledger.add(Metric::CreateRate, creates / group);
    bench.ledger.add(Metric::CreateAlone, alone / 1e6 * single);
    bench.round.creates = Some(creates);
    create_on_slow_disk(bench)?;
    Ok(creates)
}

fn create_on_slow_disk(bench: &mut Bench) -> Result<()> {
    let disk = SlowDisk::build(&bench.scratch_root())?;
    let single = bench.insert(1, disk.environment())?.per_second();
    let fastest = 1e6 / f64::from(DELAY_MICROS);
    anyhow::ensure!(single <= fastest, "the slow disk is not slow: {single:.0} commits a second");

    let data = bench.scratch("create-slowly")?;
    let mut setting = bench.setting(&data);
    setting.environment = disk.environment();
    let server = Countersign::start(&setting)?;
    disk.check(server.pid())?;
    let creates = take_creates(bench, &server, 64, "W1, slow disk")?.per_second();
    server.stop()?;
    bench.ledger.add(Metric::CreateRateOnSlowDisk, creates / single);
    Ok(())
}

fn take_creates(bench: &mut Bench, server: &Countersign, connections: usize, label: &str) -> Result<Taken> {
    let work = WorkPlan::Create { count: None, answered: None };
    let lane = LanePlan { name: "create".into(), connections, rate: None, work };
    let plan = bench.plan(server, vec![lane]);
    bench.take(label, &plan)
}

/// W3: tokens of a million rotated at random, beside W1.
pub(crate) fn rotate(bench: &mut Bench) -> Result<()> {
    let creates = create(bench)?;
    let seed = bench.seed(bench.scale.many)?;
    let data = bench.copy_of(&seed)?;
    let server = bench.start(&data)?;
    let work = WorkPlan::Rotate { tokens: seed.tokens };
    let lane = LanePlan { name: "rotate".into(), connections: 64, rate: None, work };
    let plan = bench.plan(&server, vec![lane]);
    let rotates = bench.take("W3", &plan)?.per_second();
    server.stop()?;
    bench.ledger.add(Metric::RotateRate, rotates / creates);
    Ok(())
}
