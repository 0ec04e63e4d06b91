//! Points in time for people, and as the wires write them.

use std::fmt;
use std::time::Duration;

use countersign_domain::time::Timestamp;
use serde::Deserialize;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// A time from a server: RFC 3339 on the wire, minutes in UTC when it is printed.
#[derive(Clone, Copy, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(try_from = "String")]
pub(crate) struct When(pub(crate) Timestamp);

impl TryFrom<String> for When {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        parse_rfc3339(&text).map(Self).ok_or_else(|| format!("`{text}` is not an RFC 3339 time"))
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0.as_micros()) {
            Ok(time) => write!(f, "{}", time.strftime("%Y-%m-%d %H:%M UTC")),
            Err(_) => f.write_str("never"),
        }
    }
}

impl When {
    /// How long ago, roughly: `5 min ago`, `12 days ago`.
    pub(crate) fn ago(self, now: Timestamp) -> String {
        match now.since(self.0).as_secs() {
            0..MINUTE => "just now".to_owned(),
            seconds => format!("{} ago", roughly(seconds)),
        }
    }

    /// The time, and how far ahead or how long ago it is.
    pub(crate) fn with_distance(self, now: Timestamp) -> String {
        if self.0 <= now {
            return format!("{self} ({})", self.ago(now));
        }
        format!("{self} (in {})", roughly(self.0.since(now).as_secs()))
    }

    /// Whole days until then: `13`, `<1`, and `0` when it is past.
    pub(crate) fn days_left(self, now: Timestamp) -> String {
        match self.0.since(now).as_secs() {
            0 => "0".to_owned(),
            1..DAY => "<1".to_owned(),
            seconds => (seconds / DAY).to_string(),
        }
    }
}

fn roughly(seconds: u64) -> String {
    match seconds {
        0..MINUTE => format!("{seconds} s"),
        MINUTE..HOUR => format!("{} min", seconds / MINUTE),
        HOUR..DAY => format!("{} h", seconds / HOUR),
        DAY.. => match seconds / DAY {
            1 => "1 day".to_owned(),
            days => format!("{days} days"),
        },
    }
}

/// Reads a time as RFC 3339 writes it, at any offset.
pub(crate) fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = text.parse().ok()?;
    Some(Timestamp::from_micros(time.as_microsecond()))
}

/// `span` after `now` as the wires read it. Seconds are enough, and easier on the eye.
pub(crate) fn rfc3339_after(now: Timestamp, span: Duration) -> Option<String> {
    rfc3339(now.after(span))
}

/// `span` before `now` as the wires read it.
pub(crate) fn rfc3339_before(now: Timestamp, span: Duration) -> Option<String> {
    rfc3339(now.before(span))
}

fn rfc3339(time: Timestamp) -> Option<String> {
    jiff::Timestamp::from_second(time.as_seconds()).ok().map(|time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> When {
        When(parse_rfc3339(text).unwrap_or(Timestamp::NEVER))
    }

    #[test]
    fn distances_are_rough_and_readable() {
        let now = at("2026-11-21T12:00:00Z").0;
        assert_eq!(at("2026-11-21T11:59:30Z").ago(now), "just now");
        assert_eq!(at("2026-11-21T11:55:00Z").ago(now), "5 min ago");
        assert_eq!(at("2026-11-21T09:00:00+00:00").ago(now), "3 h ago");
        assert_eq!(at("2026-11-20T11:00:00Z").ago(now), "1 day ago");
        assert_eq!(at("2026-12-21T12:00:00Z").with_distance(now), "2026-12-21 12:00 UTC (in 30 days)");
        assert_eq!(at("2026-11-21T11:00:00Z").with_distance(now), "2026-11-21 11:00 UTC (1 h ago)");
    }

    #[test]
    fn days_left_are_whole() {
        let now = at("2026-11-21T12:00:00Z").0;
        assert_eq!(at("2026-12-05T12:00:00Z").days_left(now), "14");
        assert_eq!(at("2026-12-05T11:59:59Z").days_left(now), "13");
        assert_eq!(at("2026-11-21T12:00:01Z").days_left(now), "<1");
        assert_eq!(at("2026-11-21T12:00:00Z").days_left(now), "0");
    }

    #[test]
    fn the_wire_gets_whole_seconds() {
        let now = at("2026-11-21T12:00:00.5Z").0;
        assert_eq!(rfc3339_after(now, Duration::from_secs(DAY)).as_deref(), Some("2026-11-22T12:00:00Z"));
        assert_eq!(rfc3339_before(now, Duration::from_secs(1)).as_deref(), Some("2026-11-21T11:59:59Z"));
        assert_eq!(rfc3339_after(Timestamp::NEVER, Duration::ZERO), None);
    }
}
