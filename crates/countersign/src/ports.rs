//! The real clock and the real randomness: the only places that ask the operating system for either.

use std::time::SystemTime;

use countersign_domain::entropy::Entropy;
use countersign_domain::time::{Clock, Timestamp};

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
