//! Programs that do the least that a server must: what they need, no server can save.

pub(crate) mod argon2;
pub(crate) mod hyper;
pub(crate) mod sqlite;

use std::time::Instant;

use anyhow::Result;

use crate::load::{LaneReport, Report, Times};
use crate::proc;

/// Does `work` in this process, and reports it as the generator reports a server. `work` gives how much it has done, and
/// the times of its parts.
fn report(name: &str, work: impl FnOnce() -> Result<(u64, Times)>) -> Result<Report> {
    let (this, start) = (std::process::id(), Instant::now());
    let (cpu, reads, machine) = (proc::cpu_micros(this)?, proc::file_reads(this)?, proc::Machine::now()?);
    let (done, times) = work()?;
    let seconds = start.elapsed().as_secs_f64();
    let lane = LaneReport {
        name: name.into(),
        completed: done,
        per_second: done as f64 / seconds,
        unanswered: 0,
        answers: done,
        refused: 0,
        wrong: 0,
        first_wrong: None,
        latency: times.latency(),
    };
    Ok(Report {
        seconds,
        server_cpu_us: proc::cpu_micros(this)? - cpu,
        server_file_reads: proc::file_reads(this)? - reads,
        generator_cpu_us: 0,
        cores_busy: proc::Machine::now()?.shares_since(&machine),
        lanes: vec![lane],
    })
}
