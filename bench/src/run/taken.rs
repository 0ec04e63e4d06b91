//! One run of the generator, with what follows from its report.

use anyhow::{Context, Result};

use super::process::SERVER_CORE;
use crate::load::{LaneReport, Report};

/// From this share of its core on, a server counts as saturated.
pub(crate) const SATURATED: f64 = 0.95;

/// A run.
#[derive(Debug, Clone)]
pub(crate) struct Taken {
    /// Of which target, or reference.
    pub(crate) label: String,
    /// In which round.
    pub(crate) round: u32,
    /// What was measured.
    pub(crate) report: Report,
    /// Cores that other programs used meanwhile.
    pub(crate) others: f64,
}

/// A reference, and just after it what is compared with it.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    /// The bare server or store.
    pub(crate) reference: Taken,
    /// The other.
    pub(crate) target: Taken,
}

impl Pair {
    /// The target's requests a second in terms of the reference's.
    pub(crate) fn rate(&self) -> f64 {
        self.target.per_second() / self.reference.per_second()
    }

    /// The target's CPU time a request in terms of the reference's.
    pub(crate) fn cpu(&self) -> f64 {
        self.target.cpu_us() / self.reference.cpu_us()
    }

    /// Both.
    pub(crate) fn both(&self) -> [&Taken; 2] {
        [&self.reference, &self.target]
    }
}

impl Taken {
    /// The lane of this name.
    pub(crate) fn lane(&self, name: &str) -> Result<&LaneReport> {
        let lane = self.report.lanes.iter().find(|lane| lane.name == name);
        lane.with_context(|| format!("{} has no lane {name}", self.label))
    }

    /// Requests that were answered, of all lanes.
    pub(crate) fn requests(&self) -> u64 {
        self.report.lanes.iter().map(|lane| lane.completed).sum()
    }

    /// The same a second.
    pub(crate) fn per_second(&self) -> f64 {
        self.requests() as f64 / self.report.seconds
    }

    /// CPU time of the server a request, in microseconds.
    pub(crate) fn cpu_us(&self) -> f64 {
        self.report.server_cpu_us as f64 / self.requests().max(1) as f64
    }

    /// CPU time of the generator a request, in microseconds.
    pub(crate) fn generator_us(&self) -> f64 {
        self.report.generator_cpu_us as f64 / self.requests().max(1) as f64
    }

    /// How far the server's core was from saturated, 0 to 1.
    pub(crate) fn core_busy(&self) -> f64 {
        self.report.cores_busy.get(SERVER_CORE).copied().unwrap_or(0.0)
    }

    /// What was wrong, lane by lane.
    pub(crate) fn wrong_answers(&self) -> impl Iterator<Item = String> {
        self.report.lanes.iter().filter(|lane| lane.wrong > 0).map(|lane| {
            let first = lane.first_wrong.as_deref().unwrap_or_default();
            format!("{}: {} of {} answers ({first})", self.name_of(lane), lane.wrong, lane.answers)
        })
    }

    /// What had no answer when the run was over, lane by lane.
    pub(crate) fn unanswered(&self) -> impl Iterator<Item = String> {
        self.report.lanes.iter().filter(|lane| lane.unanswered > 0).map(|lane| {
            format!(
                "{}: {} requests had no answer when the run was over",
                self.name_of(lane),
                lane.unanswered
            )
        })
    }

    fn name_of(&self, lane: &LaneReport) -> String {
        format!("{}, round {}, {}", self.label, self.round, lane.name)
    }
}
