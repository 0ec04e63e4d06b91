//! The real clocks and the real randomness: the only places that ask the operating system for either.

use std::time::{Duration, SystemTime};

use countersign_domain::entropy::Entropy;
use countersign_domain::time::{Clock, Timestamp, Uptime};
use rustix::time::{ClockId, clock_gettime};

/// The machine's wall clock.
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the port that everything else asks")]
    fn now(&self) -> Timestamp {
        match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since_1970) => Timestamp::from_micros(0).after(since_1970),
            Err(before_1970) => Timestamp::from_micros(0).before(before_1970.duration()),
        }
    }
}

/// The machine's boot-time clock, which goes on while the machine sleeps.
pub(crate) struct BootTime;

impl Uptime for BootTime {
    fn uptime(&self) -> Duration {
        let since_boot = clock_gettime(ClockId::Boottime);
        // Neither is ever negative.
        let seconds = u64::try_from(since_boot.tv_sec).unwrap_or(0);
        Duration::new(seconds, u32::try_from(since_boot.tv_nsec).unwrap_or(0))
    }
}

/// The operating system's randomness.
pub(crate) struct OsEntropy;

impl Entropy for OsEntropy {
    #[expect(clippy::disallowed_methods, reason = "this is the port that everything else asks")]
    fn fill(&self, out: &mut [u8]) {
        if let Err(error) = getrandom::fill(out) {
            // The port's contract: a secret that is not random is worse than no answer. A panic would be caught.
            tracing::error!(%error, "the operating system gives no randomness; ending");
            std::process::abort();
        }
    }
}
