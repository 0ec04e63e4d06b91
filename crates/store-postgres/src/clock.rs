//! The time of the database, which is the same for all nodes.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use countersign_domain::time::{Clock, Timestamp, Uptime};

/// What the database's clock shows, as far as this node can tell: what it showed when it was asked, and the time since by
/// the machine's uptime. What the node's own clock says does not matter.
pub(crate) struct DatabaseClock {
    uptime: Arc<dyn Uptime>,
    /// Microseconds from the uptime to the database's time.
    offset: AtomicI64,
}

impl DatabaseClock {
    /// Shows nothing that makes sense until it has heard of the database's time.
    pub(crate) fn new(uptime: Arc<dyn Uptime>) -> Self {
        Self { uptime, offset: AtomicI64::new(i64::MAX) }
    }

    /// Takes in that the database's clock showed `shown` at some time from `asked` to `answered`. Whatever is known that
    /// fits stays, so that a slow answer moves nothing; otherwise as little is changed as must be.
    pub(crate) fn hear(&self, asked: Duration, shown: Timestamp, answered: Duration) {
        let least = shown.as_micros().saturating_sub(micros(answered));
        let most = shown.as_micros().saturating_sub(micros(asked));
        let offset = self.offset.load(Ordering::Acquire);
        self.offset.store(offset.min(most).max(least), Ordering::Release);
    }
}

impl Clock for DatabaseClock {
    fn now(&self) -> Timestamp {
        let uptime = micros(self.uptime.uptime());
        Timestamp::from_micros(self.offset.load(Ordering::Acquire).saturating_add(uptime))
    }
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_store_conformance::doubles::ManualUptime;

    #[test]
    fn it_shows_what_the_database_shows() {
        let uptime = Arc::new(ManualUptime::default());
        let clock = DatabaseClock::new(uptime.clone());
        let seconds = Duration::from_secs;
        let at = |second: i64| Timestamp::from_micros(second * 1_000_000);
        uptime.advance(seconds(100));
        clock.hear(seconds(99), at(5_000), seconds(100));
        assert_eq!(
            clock.now(),
            at(5_001),
            "asked a second ago: no token is taken for live that may have expired"
        );
        uptime.advance(seconds(10));
        clock.hear(seconds(101), at(5_008), seconds(110));
        assert_eq!(clock.now(), at(5_011), "a slow answer says nothing new");
        clock.hear(seconds(110), at(5_010), seconds(110));
        assert_eq!(clock.now(), at(5_010));
        clock.hear(seconds(110), at(9_000), seconds(110));
        assert_eq!(clock.now(), at(9_000), "another database, another time");
    }
}
