//! What a run of the generator says.

use serde::{Deserialize, Serialize};

/// The whole run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Report {
    /// How long was measured.
    pub(crate) seconds: f64,
    /// CPU time of the server in that time, in microseconds.
    pub(crate) server_cpu_us: u64,
    /// How often the server read from a file in that time.
    pub(crate) server_file_reads: u64,
    /// CPU time of the generator.
    pub(crate) generator_cpu_us: u64,
    /// The share of its time that each core was busy.
    pub(crate) cores_busy: Vec<f64>,
    /// Lane by lane, in the order of the plan.
    pub(crate) lanes: Vec<LaneReport>,
}

/// One lane.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LaneReport {
    /// Its name in the plan.
    pub(crate) name: String,
    /// Answers in the measured time.
    pub(crate) completed: u64,
    /// The same a second.
    pub(crate) per_second: f64,
    /// Requests that were due in the measured time and had no answer when the run was over.
    pub(crate) unanswered: u64,
    /// Answers in all, the warm-up included.
    pub(crate) answers: u64,
    /// Of these, 401.
    pub(crate) refused: u64,
    /// Of these, not what they must be.
    pub(crate) wrong: u64,
    /// What was wrong with the first of them.
    pub(crate) first_wrong: Option<String>,
    /// From when a request was due to the end of its answer.
    pub(crate) latency: Latency,
}

/// Times in microseconds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Latency {
    /// Of all.
    pub(crate) mean_us: f64,
    /// Median.
    pub(crate) p50_us: f64,
    /// 90 of 100 are not longer.
    pub(crate) p90_us: f64,
    /// 99 of 100 are not longer.
    pub(crate) p99_us: f64,
    /// 999 of 1,000 are not longer.
    pub(crate) p999_us: f64,
    /// The longest.
    pub(crate) max_us: f64,
}
