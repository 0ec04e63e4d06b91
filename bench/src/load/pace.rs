//! When requests are due.

use std::time::{Duration, Instant};

/// Closed loop or fixed rate.
pub(super) enum Pace {
    /// A request is due whenever a connection is free.
    Closed,
    /// Requests are due one by one, whether or not a connection is free.
    Fixed(Schedule),
}

/// Requests at a fixed rate.
pub(super) struct Schedule {
    start: Instant,
    per_second: u64,
    taken: u64,
}

impl Pace {
    /// Closed, or `rate` requests a second from `start` on.
    pub(super) fn new(start: Instant, rate: Option<u64>) -> Self {
        match rate {
            Some(per_second) => Self::Fixed(Schedule { start, per_second: per_second.max(1), taken: 0 }),
            None => Self::Closed,
        }
    }

    /// Takes the next request that is due by `now`, and says since when it has been.
    pub(super) fn take(&mut self, now: Instant) -> Option<Instant> {
        let Self::Fixed(schedule) = self else { return Some(now) };
        let due = schedule.due();
        (due <= now).then(|| {
            schedule.taken += 1;
            due
        })
    }

    /// When the next request is due, where requests have times of their own.
    pub(super) fn due(&self) -> Option<Instant> {
        match self {
            Self::Closed => None,
            Self::Fixed(schedule) => Some(schedule.due()),
        }
    }

    /// Whether requests have times of their own.
    pub(super) fn is_fixed(&self) -> bool {
        matches!(self, Self::Fixed(_))
    }
}

impl Schedule {
    fn due(&self) -> Instant {
        let seconds = self.taken / self.per_second;
        let rest = self.taken % self.per_second;
        self.start
            + Duration::from_secs(seconds)
            + Duration::from_nanos(rest * 1_000_000_000 / self.per_second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixed_rate_does_not_forget_what_it_missed() {
        let start = Instant::now();
        let mut pace = Pace::new(start, Some(1000));
        let late = start + Duration::from_millis(10);
        let due: Vec<Instant> = std::iter::from_fn(|| pace.take(late)).collect();
        assert_eq!(due.len(), 11, "those of 0 to 10 ms");
        assert_eq!(due[3], start + Duration::from_millis(3));
        assert_eq!(pace.take(late), None);
        assert_eq!(pace.take(start + Duration::from_secs(1)), Some(start + Duration::from_millis(11)));
    }

    #[test]
    fn a_closed_loop_is_always_due() {
        let now = Instant::now();
        let mut pace = Pace::new(now, None);
        assert_eq!(pace.take(now), Some(now));
        assert_eq!(pace.take(now), Some(now));
    }
}
