//! Points in time and the port through which they come in.

use std::fmt;
use std::time::Duration;

/// Where "now" comes from: the system's clock in the binary, a clock of the test's own in tests.
pub trait Clock: Send + Sync + 'static {
    /// The current time. May jump, forwards and backwards, as wall clocks do.
    fn now(&self) -> Timestamp;
}

/// How long the machine is up: the system's boot-time clock in the binary, a clock of the test's own in tests.
pub trait Uptime: Send + Sync + 'static {
    /// Never goes back, and goes on while the process, or the machine, stands still.
    fn uptime(&self) -> Duration;
}

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// After every time that can occur: the expiry of what never expires.
    pub const NEVER: Self = Self(i64::MAX);

    /// The time `micros` microseconds after 1970.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since 1970.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970, rounded down.
    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Later by `span`; stops at [`Timestamp::NEVER`] instead of overflowing.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        let micros = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(micros))
    }

    /// Earlier by `span`; stops at the earliest time instead of overflowing.
    #[must_use]
    pub fn before(self, span: Duration) -> Self {
        let micros = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(micros))
    }

    /// How long ago `earlier` was; zero when it was not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The same day and time a hundred years later: the expiry shown for `forever` (design 2.3). Clients need a
    /// date there, and dates of year 9999 overflow some of them.
    #[must_use]
    pub fn plus_century(self) -> Self {
        let in_civil_years = || {
            let civil = jiff::Timestamp::from_microsecond(self.0).ok()?.to_zoned(jiff::tz::TimeZone::UTC);
            let later = civil.checked_add(jiff::Span::new().years(100)).ok()?;
            Some(Self(later.timestamp().as_microsecond()))
        };
        in_civil_years().unwrap_or(Self::NEVER)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(time) => fmt::Display::fmt(&time, f),
            Err(_) => f.write_str("never"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_century_is_a_hundred_calendar_years() {
        let at = |text: &str| {
            Timestamp::from_micros(text.parse::<jiff::Timestamp>().map(|t| t.as_microsecond()).unwrap_or(0))
        };
        assert_eq!(at("2026-11-21T10:00:00.000001Z").plus_century(), at("2126-11-21T10:00:00.000001Z"));
        assert_eq!(at("2000-02-29T00:00:00Z").plus_century(), at("2100-02-28T00:00:00Z"));
        assert_eq!(Timestamp::NEVER.plus_century(), Timestamp::NEVER);
    }

    #[test]
    fn arithmetic_stops_at_the_ends() {
        assert_eq!(Timestamp::NEVER.after(Duration::from_secs(1)), Timestamp::NEVER);
        assert_eq!(Timestamp::from_micros(5).since(Timestamp::from_micros(9)), Duration::ZERO);
        assert_eq!(Timestamp::from_micros(-1).as_seconds(), -1);
    }
}
