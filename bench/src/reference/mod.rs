//! Programs that do the least that a server must: what they need, no server can save.

pub(crate) mod argon2;
pub(crate) mod hyper;
pub(crate) mod pgbench;
pub(crate) mod signed;
pub(crate) mod sqlite;

use std::time::Instant;

use anyhow::Result;

use crate::load::{LaneReport, Latency, Report, Times};
use crate::proc;

/// Does `work` in this process, and reports it as the generator reports a server. `work` gives how much it has done, and
/// the times of its parts.
fn report(name: &str, work: impl FnOnce() -> Result<(u64, Times)>) -> Result<Report> {
    report_all(|| work().map(|(done, times)| vec![Done { name, done, times }]))
}

/// One kind of work that was done.
struct Done<'a> {
    name: &'a str,
    done: u64,
    times: Times,
}

/// As [`report`], of several kinds of work in turn: each is a lane.
fn report_all<'a>(work: impl FnOnce() -> Result<Vec<Done<'a>>>) -> Result<Report> {
    let (this, start, before) = (std::process::id(), Instant::now(), Counters::of(std::process::id())?);
    let all = work()?;
    let seconds = start.elapsed().as_secs_f64();
    let lane = |Done { name, done, times }: Done<'_>| lane(name, done, seconds, times.latency());
    let lanes = all.into_iter().map(lane).collect();
    Ok(reported(lanes, seconds, &before, &Counters::of(this)?))
}

/// The counters of the kernel at one end of the measured time.
struct Counters {
    cpu_us: u64,
    file_reads: u64,
    machine: proc::Machine,
}

impl Counters {
    /// Of a process and what stems from it.
    fn of(pid: u32) -> Result<Self> {
        let (cpu_us, file_reads) = (proc::tree_cpu_micros(pid)?, proc::file_reads(pid)?);
        Ok(Self { cpu_us, file_reads, machine: proc::Machine::now()? })
    }
}

/// Of what is counted and not timed.
const UNTIMED: Latency =
    Latency { mean_us: 0.0, p50_us: 0.0, p90_us: 0.0, p99_us: 0.0, p999_us: 0.0, max_us: 0.0 };

/// What was done of one kind; nothing of it was wrong.
fn lane(name: &str, done: u64, seconds: f64, latency: Latency) -> LaneReport {
    LaneReport {
        name: name.into(),
        completed: done,
        per_second: done as f64 / seconds,
        unanswered: 0,
        answers: done,
        refused: 0,
        wrong: 0,
        first_wrong: None,
        latency,
    }
}

/// What was done between two moments.
fn reported(lanes: Vec<LaneReport>, seconds: f64, before: &Counters, after: &Counters) -> Report {
    Report {
        seconds,
        server_cpu_us: after.cpu_us - before.cpu_us,
        server_file_reads: after.file_reads - before.file_reads,
        generator_cpu_us: 0,
        cores_busy: after.machine.shares_since(&before.machine),
        lanes,
    }
}
