//! Log lines that a stranger can cause: bounded in rate, with the number of those left out.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use countersign_domain::time::Timestamp;
use countersign_domain::verdict::Reason;

/// Lines a second for each reason (design 2.4).
const LINES_A_SECOND: u64 = 10;

/// Counts lines by reason within the current second.
#[derive(Default)]
pub(crate) struct Sampler {
    reasons: [Lines; Reason::ALL.len()],
}

/// Counts lines of one kind within the current second.
#[derive(Default)]
pub(crate) struct Lines {
    second: AtomicI64,
    lines: AtomicU64,
}

/// Whether to write a line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sample {
    /// Write it, and say how many were left out in the second before.
    Write {
        /// How many.
        suppressed: u64,
    },
    /// Leave it out.
    Skip,
}

impl Sampler {
    /// Decides about one line.
    pub(crate) fn sample(&self, reason: Reason, now: Timestamp) -> Sample {
        self.reasons[reason as usize].sample(now)
    }
}

impl Lines {
    /// Decides about one line. Races between cores may let a line more or less through; nothing depends on it.
    pub(crate) fn sample(&self, now: Timestamp) -> Sample {
        let second = now.as_seconds();
        if self.second.swap(second, Ordering::Relaxed) != second {
            let before = self.lines.swap(1, Ordering::Relaxed);
            return Sample::Write { suppressed: before.saturating_sub(LINES_A_SECOND) };
        }
        match self.lines.fetch_add(1, Ordering::Relaxed) {
            lines if lines < LINES_A_SECOND => Sample::Write { suppressed: 0 },
            _ => Sample::Skip,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_lines_a_second_and_the_number_left_out() {
        let sampler = Sampler::default();
        let at = |second: i64| Timestamp::from_micros(second * 1_000_000);
        let written = (0..25).filter(|_| sampler.sample(Reason::Unknown, at(1)) != Sample::Skip).count();
        assert_eq!(written, 10);
        assert_eq!(sampler.sample(Reason::Unknown, at(2)), Sample::Write { suppressed: 15 });
        assert_eq!(sampler.sample(Reason::Malformed, at(2)), Sample::Write { suppressed: 0 });
    }
}
