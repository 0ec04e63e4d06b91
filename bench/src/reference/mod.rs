//! Programs that do the least that a server must: what they need, no server can save.

pub(crate) mod argon2;
pub(crate) mod hyper;
pub(crate) mod pgbench;
pub(crate) mod sqlite;

use std::time::Instant;

use anyhow::Result;

use crate::load::{LaneReport, Latency, Report, Times};
use crate::proc;

/// Does `work` in this process, and reports it as the generator reports a server. `work` gives how much it has done, and
/// the times of its parts.
fn report(name: &str, work: impl FnOnce() -> Result<(u64, Times)>) -> Result<Report> {
    let (this, start, before) = (std::process::id(), Instant::now(), Counters::of(std::process::id())?);
    let (done, times) = work()?;
    let seconds = start.elapsed().as_secs_f64();
    let mut report = reported(name, done, seconds, &before, &Counters::of(this)?);
    report.lanes.iter_mut().for_each(|lane| lane.latency = times.latency());
    Ok(report)
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

/// What was done between two moments, without times.
fn reported(name: &str, done: u64, seconds: f64, before: &Counters, after: &Counters) -> Report {
    let none = Latency { p50_us: 0.0, p90_us: 0.0, p99_us: 0.0, p999_us: 0.0, max_us: 0.0 };
    let lane = LaneReport {
        name: name.into(),
        completed: done,
        per_second: done as f64 / seconds,
        unanswered: 0,
        answers: done,
        refused: 0,
        wrong: 0,
        first_wrong: None,
        latency: none,
    };
    Report {
        seconds,
        server_cpu_us: after.cpu_us - before.cpu_us,
        server_file_reads: after.file_reads - before.file_reads,
        generator_cpu_us: 0,
        cores_busy: after.machine.shares_since(&before.machine),
        lanes: vec![lane],
    }
}
