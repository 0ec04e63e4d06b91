//! How much was done for somebody. How long it took is another matter: a busy machine is not the client's doing.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// What this thread does from now on.
pub(crate) struct Effort {
    begun: Instant,
    worked_before: Duration,
}

impl Effort {
    pub(crate) fn begin() -> Self {
        Self { begun: Instant::now(), worked_before: worked() }
    }

    /// Whether it is more than this by now. The clock is asked first: that costs next to nothing, and no thread works
    /// longer than the clock says.
    pub(crate) fn exceeds(&self, allowance: Duration) -> bool {
        self.begun.elapsed() > allowance && worked().saturating_sub(self.worked_before) > allowance
    }
}

/// How long a processor has worked for this thread.
fn worked() -> Duration {
    // Never negative.
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn to_wait_is_no_work() {
        let (allowance, effort) = (Duration::from_millis(5), Effort::begin());
        std::thread::sleep(4 * allowance);
        assert!(!effort.exceeds(allowance));
        while !effort.exceeds(allowance) {
            std::hint::spin_loop();
        }
        assert!(!effort.exceeds(Duration::from_secs(60)));
    }
}
