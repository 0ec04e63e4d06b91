//! For how long a node may take for true what it knows (design 3).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Until when a node that shares its store with others knows everything that was acknowledged anywhere. Each time that it
/// has found out what others changed, this is good for another [`Lease::TERM`], counted from when it *asked*: what was
/// acknowledged later may be missing.
///
/// Times are those of the machine's [uptime](crate::time::Uptime), which nobody sets.
#[derive(Debug)]
pub struct Lease {
    /// In microseconds; 0 = nobody has asked yet.
    until: AtomicU64,
    /// For how long after its end doors may go on with what they know.
    serve_stale_for: Duration,
}

/// What a lease says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// What is known is true.
    Fresh,
    /// Something may have been revoked of which nobody here has heard, and the operator wants to go on all the same.
    Stale,
    /// Nothing may be granted.
    Lapsed,
}

impl Lease {
    /// How long it is good for. A revocation is refused everywhere after this long (design 1).
    pub const TERM: Duration = Duration::from_secs(2);

    /// Of a node that has not asked yet: it has lapsed. After later lapses the node may go on for `serve_stale_for`.
    pub const fn new(serve_stale_for: Duration) -> Self {
        Self { until: AtomicU64::new(0), serve_stale_for }
    }

    /// Everything that was acknowledged before `asked` is known.
    pub fn renew(&self, asked: Duration) {
        self.until.fetch_max(micros(asked + Self::TERM), Ordering::AcqRel);
    }

    /// What it says now.
    pub fn freshness(&self, now: Duration) -> Freshness {
        let (until, now) = (self.until.load(Ordering::Acquire), micros(now));
        if now < until {
            Freshness::Fresh
        } else if until > 0 && now < until.saturating_add(micros(self.serve_stale_for)) {
            Freshness::Stale
        } else {
            Freshness::Lapsed
        }
    }

    /// For how much longer what is known is true; zero when it is not.
    pub fn left(&self, now: Duration) -> Duration {
        Duration::from_micros(self.until.load(Ordering::Acquire).saturating_sub(micros(now)))
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    #[test]
    fn it_is_good_for_two_seconds_from_when_it_was_asked() {
        let lease = Lease::new(Duration::ZERO);
        let asked = Duration::from_secs(100);
        assert_eq!(lease.freshness(asked), Freshness::Lapsed, "nobody has asked yet");
        lease.renew(asked);
        assert_eq!(lease.freshness(asked + Lease::TERM - MILLI), Freshness::Fresh);
        assert_eq!(lease.left(asked + MILLI), Lease::TERM - MILLI);
        assert_eq!(lease.freshness(asked + Lease::TERM), Freshness::Lapsed);
        assert_eq!(lease.left(asked + Lease::TERM * 2), Duration::ZERO);
        lease.renew(asked - MILLI);
        assert_eq!(lease.left(asked), Lease::TERM, "an answer that was overtaken takes nothing away");
    }

    #[test]
    fn an_operator_may_go_on_for_a_stated_time() {
        let lease = Lease::new(Duration::from_secs(60));
        assert_eq!(
            lease.freshness(Duration::from_secs(1)),
            Freshness::Lapsed,
            "there is nothing to go on with"
        );
        lease.renew(Duration::from_secs(100));
        assert_eq!(lease.freshness(Duration::from_secs(102)), Freshness::Stale);
        assert_eq!(lease.freshness(Duration::from_secs(162) - MILLI), Freshness::Stale);
        assert_eq!(lease.freshness(Duration::from_secs(162)), Freshness::Lapsed);
    }
}
