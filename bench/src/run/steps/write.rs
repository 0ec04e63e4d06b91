//! W1, W2 and W3: durable writes beside what the disk and the bare store allow.

use anyhow::Result;

use crate::load::{LanePlan, WorkPlan};
use crate::run::bench::Bench;
use crate::run::countersign::Countersign;
use crate::run::goals::Metric;
use crate::run::job::Job;
use crate::run::slow_disk::{DELAY_MICROS, SlowDisk};
use crate::run::taken::Pair;

/// Rows to a commit of the reference *group*.
const GROUP: u32 = 100;

/// W1: tokens created on 64 connections, beside *group*; and on a slow disk, beside *single* on the same. W2:
/// on one connection, beside *single*. Gives W1's requests a second; the second time in a round, those of the
/// first.
pub(crate) fn create(bench: &mut Bench) -> Result<f64> {
    if let Some(creates) = bench.round.creates {
        return Ok(creates);
    }
    let data = bench.scratch("create")?;
    let server = bench.start(&data)?;
    let together = take_creates(bench, &server, 64, Job::insert("group", GROUP, Vec::new()), "W1")?;
    let alone = take_creates(bench, &server, 1, Job::insert("single", 1, Vec::new()), "W2")?;
    server.stop()?;

    let p50 = alone.target.lane("create")?.latency.p50_us;
    let creates = together.target.per_second();
    bench.ledger.add(Metric::CreateRate, together.rate());
    bench.ledger.add(Metric::CreateAlone, p50 / 1e6 * alone.reference.per_second());
    bench.round.creates = Some(creates);
    create_on_slow_disk(bench)?;
    Ok(creates)
}

fn create_on_slow_disk(bench: &mut Bench) -> Result<()> {
    let disk = SlowDisk::build(&bench.scratch_root())?;
    let data = bench.scratch("create-slowly")?;
    let mut setting = bench.setting(&data);
    setting.environment = disk.environment();
    let server = Countersign::start(&setting)?;
    disk.check(server.pid())?;
    let single = Job::insert("single, slow disk", 1, disk.environment());
    let creates = take_creates(bench, &server, 64, single, "W1, slow disk")?;
    server.stop()?;

    let (single, fastest) = (creates.reference.per_second(), 1e6 / f64::from(DELAY_MICROS));
    anyhow::ensure!(single <= fastest, "the slow disk is not slow: {single:.0} commits a second");
    bench.ledger.add(Metric::CreateRateOnSlowDisk, creates.rate());
    Ok(())
}

fn take_creates(
    bench: &mut Bench,
    server: &Countersign,
    connections: usize,
    reference: Job,
    label: &str,
) -> Result<Pair> {
    let work = WorkPlan::Create { count: None, answered: None, limited: false };
    let lane = LanePlan { name: "create".into(), connections, rate: None, work };
    let plan = bench.plan(server, vec![lane]);
    bench.take_pair(reference, Job::load(label, &plan))
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
