//! How long things took.

use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;

use super::report::Latency;

/// A histogram of nanoseconds, to two digits: fine enough for a ratio, and small enough to stay in the cache.
pub(crate) struct Times(Histogram<u64>);

impl Times {
    /// None yet. They may be up to ten minutes.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(Histogram::new_with_bounds(100, 600_000_000_000, 2)?))
    }

    /// Adds one.
    pub(crate) fn add(&mut self, time: Duration) {
        self.0.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// What is reported of them.
    pub(crate) fn latency(&self) -> Latency {
        let micros = |nanos: u64| nanos as f64 / 1000.0;
        let at = |quantile: f64| micros(self.0.value_at_quantile(quantile));
        Latency {
            mean_us: self.0.mean() / 1000.0,
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: micros(self.0.max()),
        }
    }
}
