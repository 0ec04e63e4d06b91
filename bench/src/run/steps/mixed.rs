//! M1 and M2: the door while others write.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::Result;

use super::verify::{fixed_rate, half_rate};
use crate::load::{LanePlan, Plan, WorkPlan};
use crate::run::bench::{Bench, all_and_unknown, verify_lane};
use crate::run::goals::Metric;
use crate::run::seed;
use crate::run::taken::Taken;

/// Of each kind of write, a second.
const WRITES: u64 = 500;

/// The part of [`WRITES`] that must be answered: else the door was measured beside less than was demanded.
const ENOUGH: f64 = 0.95;

/// Tokens that are rotated in M1: none of those that are verified, whose secrets would change under the door.
const SPARE: usize = 10_000;

/// M1: V2 while tokens are created and rotated.
///
/// The second generator is a second set of connections of the same process: two processes that each keep a
/// schedule would take turns on their one core, and measure each other.
pub(crate) fn with_writes(bench: &mut Bench) -> Result<()> {
    let rate = half_rate(bench)?;
    let alone = fixed_rate(bench)?;
    let tokens = bench.seed(bench.scale.usual)?;
    let data = bench.copy_of(&tokens)?;
    let spare = bench.scratch("spare")?;
    let server = bench.start(&data)?;
    seed::create(bench, &server, SPARE, false, &spare)?;
    let lanes = vec![
        verify_lane(all_and_unknown(&tokens), Some(rate)),
        write_lane("create", WorkPlan::Create { count: None, answered: None, limited: false }),
        write_lane("rotate", WorkPlan::Rotate { tokens: spare }),
    ];
    let plan = bench.plan_warm(&server, lanes);
    let taken = bench.take("M1", &plan)?;
    server.stop()?;
    expect_writes(bench, &taken);
    let p99 = taken.lane("verify")?.latency.p99_us;
    bench.ledger.add(Metric::MixedP99, p99 / 1000.0);
    bench.ledger.add(Metric::MixedP99ToFixedRate, p99 / alone);
    Ok(())
}

/// M2: V2 while creates fill the write-ahead log and checkpoints empty it.
pub(crate) fn through_checkpoints(bench: &mut Bench) -> Result<()> {
    let rate = half_rate(bench)?;
    let tokens = bench.seed(bench.scale.usual)?;
    let data = bench.copy_of(&tokens)?;
    let server = bench.start(&data)?;
    let lanes = vec![
        verify_lane(all_and_unknown(&tokens), Some(rate)),
        write_lane("create", WorkPlan::Create { count: None, answered: None, limited: false }),
    ];
    let measured_ms = bench.scale.checkpoints.as_millis() as u64;
    let plan = Plan { measured_ms, ..bench.plan_warm(&server, lanes) };
    let before = log_restarts(&data)?;
    let taken = bench.take("M2", &plan)?;
    let checkpoints = log_restarts(&data)?.wrapping_sub(before);
    server.stop()?;
    expect_writes(bench, &taken);
    let latency = taken.lane("verify")?.latency;
    bench.ledger.add(Metric::CheckpointP99, latency.p99_us / 1000.0);
    bench.ledger.add(Metric::CheckpointP999, latency.p999_us / 1000.0);
    bench.ledger.add(Metric::Checkpoints, f64::from(checkpoints));
    Ok(())
}

fn write_lane(name: &str, work: WorkPlan) -> LanePlan {
    LanePlan { name: name.into(), connections: 8, rate: Some(WRITES), work }
}

/// What was measured beside too few writes does not count. A short run on whatever machine there is, whose
/// numbers mean nothing, only says so.
fn expect_writes(bench: &mut Bench, taken: &Taken) {
    for missing in missing_writes(taken) {
        if bench.scale.quiet {
            bench.ledger.wrong(missing);
        } else {
            bench.ledger.note(missing);
        }
    }
}

/// The lanes of writes that did less than was demanded of them.
fn missing_writes(taken: &Taken) -> impl Iterator<Item = String> {
    let writes = taken.report.lanes.iter().filter(|lane| lane.name != "verify");
    writes.filter(|lane| lane.per_second < ENOUGH * WRITES as f64).map(|lane| {
        let (label, round, name, rate) = (&taken.label, taken.round, &lane.name, lane.per_second);
        format!("{label}, round {round}: {rate:.0} of {WRITES} {name}s a second were answered")
    })
}

/// How often the write-ahead log was begun anew, which follows every complete checkpoint: the number at
/// offset 12 of its header (SQLite, "WAL File Format"). 0 while there is no log.
fn log_restarts(data: &Path) -> Result<u32> {
    for entry in data.read_dir()? {
        let path = entry?.path();
        if !path.to_string_lossy().ends_with("-wal") {
            continue;
        }
        let mut header = [0; 16];
        let whole = File::open(path)?.read(&mut header)? == header.len();
        let [.., a, b, c, d] = header;
        return Ok(if whole { u32::from_be_bytes([a, b, c, d]) } else { 0 });
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{LaneReport, Report, Times};
    use rusqlite::Connection;

    #[test]
    fn too_few_writes_are_told_and_verifications_are_no_writes() -> Result<()> {
        let latency = Times::new()?.latency();
        let lane = |(name, per_second): (&str, f64)| LaneReport {
            name: name.into(),
            completed: 0,
            per_second,
            unanswered: 0,
            answers: 0,
            refused: 0,
            wrong: 0,
            first_wrong: None,
            latency,
        };
        let lanes = [("verify", 9.0), ("create", 475.0), ("rotate", 474.0)].map(lane).into();
        let report = Report {
            seconds: 10.0,
            server_cpu_us: 0,
            server_file_reads: 0,
            generator_cpu_us: 0,
            cores_busy: Vec::new(),
            lanes,
        };
        let taken = Taken { label: "M1".into(), round: 2, report, others: 0.0 };
        let missing: Vec<String> = missing_writes(&taken).collect();
        assert_eq!(missing, ["M1, round 2: 474 of 500 rotates a second were answered"]);
        Ok(())
    }

    #[test]
    fn a_checkpoint_begins_the_log_anew() -> Result<()> {
        let directory = tempfile::tempdir()?;
        assert_eq!(log_restarts(directory.path())?, 0);
        let database = Connection::open(directory.path().join("some.db"))?;
        database.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x)")?;
        let before = log_restarts(directory.path())?;
        for _ in 0..3 {
            database.execute_batch("PRAGMA wal_checkpoint; INSERT INTO t VALUES (1)")?;
        }
        assert_eq!(log_restarts(directory.path())?, before + 3);
        Ok(())
    }
}
