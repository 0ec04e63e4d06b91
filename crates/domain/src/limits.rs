//! Limits: how often a credential may be used.

use std::fmt;
use std::time::Duration;

use jiff::civil::{Date, date};
use jiff::{Span, ToSpan as _};

use crate::time::Timestamp;

/// How often a credential may be used. What is not limited is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Limits {
    /// From moment to moment.
    pub rate: Option<RateLimit>,
    /// Over a day or a month.
    pub quota: Option<Quota>,
}

/// So many requests a second; after a pause so many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RateLimit {
    per_second: u32,
    burst: u32,
}

/// So many requests in each calendar day or month, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Quota {
    requests: u64,
    per: Period,
}

/// What a quota is counted over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Period {
    /// From midnight to midnight, UTC.
    Day,
    /// From the first of a month to the first of the next, UTC.
    Month,
}

/// One such day or month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    period: Period,
    /// Days from 1970-01-01 to its first day.
    first_day: u32,
}

/// Why a text or a number is no limit; to be read after the name of the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLimits {
    /// Requests a second.
    #[error("must be a whole number from 1 to {}", RateLimit::MOST_PER_SECOND)]
    PerSecond,
    /// Requests at once.
    #[error("must be a whole number from 1 to {}", RateLimit::MOST_BURST)]
    Burst,
    /// Requests in a day or a month.
    #[error("must be a whole number from 1 to {}", Quota::MOST_REQUESTS)]
    Requests,
    /// Neither of the two.
    #[error("must be `day` or `month`")]
    Period,
    /// No text of ours.
    #[error("must be limits such as `10/s;burst=20 1000/day`")]
    Syntax,
}

impl Limits {
    /// As often as anybody likes.
    pub const NONE: Self = Self { rate: None, quota: None };

    /// The narrowest that there is: what is meant by limits that cannot be read.
    pub const NARROWEST: Self = Self {
        rate: Some(RateLimit { per_second: 1, burst: 1 }),
        quota: Some(Quota { requests: 1, per: Period::Month }),
    };

    /// Whether nothing is limited.
    pub const fn is_none(self) -> bool {
        self.rate.is_none() && self.quota.is_none()
    }

    /// The limits in one text, such as `10/s;burst=20 1000/day`; `None` when there are none.
    pub fn joined(self) -> Option<String> {
        let rate = self.rate.map(|rate| rate.to_string());
        let parts: Vec<_> = rate.into_iter().chain(self.quota.map(|quota| quota.to_string())).collect();
        (!parts.is_empty()).then(|| parts.join(" "))
    }

    /// The limits of a [joined](Self::joined) text.
    pub fn from_joined(text: &str) -> Result<Self, InvalidLimits> {
        let mut limits = Self::NONE;
        for part in text.split(' ') {
            match part.split_once("/s;burst=") {
                Some((per_second, burst)) if limits == Self::NONE => {
                    limits.rate = Some(RateLimit::new(number(per_second)?, Some(number(burst)?))?);
                }
                None if limits.quota.is_none() => limits.quota = Some(Quota::parse(part)?),
                _ => return Err(InvalidLimits::Syntax),
            }
        }
        Ok(limits)
    }

    /// Whether `self` never allows what `other` does not. It is about one credential: two with the same limits may do
    /// twice as much.
    pub fn within(self, other: Self) -> bool {
        is_within(self.rate, other.rate, RateLimit::within)
            && is_within(self.quota, other.quota, Quota::within)
    }
}

fn is_within<T>(own: Option<T>, other: Option<T>, within: impl FnOnce(T, T) -> bool) -> bool {
    match (own, other) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(own), Some(other)) => within(own, other),
    }
}

fn number(text: &str) -> Result<u64, InvalidLimits> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| text.parse().ok()).flatten().ok_or(InvalidLimits::Syntax)
}

impl RateLimit {
    /// Most requests a second that can be stated.
    pub const MOST_PER_SECOND: u32 = 100_000;
    /// Most requests at once that can be stated.
    pub const MOST_BURST: u32 = 1_000_000;

    /// So many a second, and so many at once; without the latter those of a second.
    pub fn new(per_second: u64, burst: Option<u64>) -> Result<Self, InvalidLimits> {
        let from_one_to = |most: u32| move |number: &u32| (1..=most).contains(number);
        let per_second = u32::try_from(per_second).ok().filter(from_one_to(Self::MOST_PER_SECOND));
        let per_second = per_second.ok_or(InvalidLimits::PerSecond)?;
        let burst = burst.map_or(Some(per_second), |burst| u32::try_from(burst).ok());
        let burst = burst.filter(from_one_to(Self::MOST_BURST)).ok_or(InvalidLimits::Burst)?;
        Ok(Self { per_second, burst })
    }

    /// Requests a second.
    pub const fn per_second(self) -> u32 {
        self.per_second
    }

    /// Requests at once.
    pub const fn burst(self) -> u32 {
        self.burst
    }

    /// How long each request takes of the time that there is, in nanoseconds; rounded up, so that the rate is never more
    /// than was stated, and at most 1 in 10,000 less.
    pub const fn interval_nanos(self) -> u64 {
        1_000_000_000_u64.div_ceil(self.per_second as u64)
    }

    const fn within(self, other: Self) -> bool {
        self.per_second <= other.per_second && self.burst <= other.burst
    }
}

impl Quota {
    /// Most requests that can be stated.
    pub const MOST_REQUESTS: u64 = 1_000_000_000_000;

    /// So many requests in each of these.
    pub fn new(requests: u64, per: Period) -> Result<Self, InvalidLimits> {
        let is_right = (1..=Self::MOST_REQUESTS).contains(&requests);
        is_right.then_some(Self { requests, per }).ok_or(InvalidLimits::Requests)
    }

    /// Reads `1000/day`.
    pub fn parse(text: &str) -> Result<Self, InvalidLimits> {
        let (requests, per) = text.split_once('/').ok_or(InvalidLimits::Syntax)?;
        Self::new(number(requests)?, Period::parse(per)?)
    }

    /// How many.
    pub const fn requests(self) -> u64 {
        self.requests
    }

    /// In what.
    pub const fn per(self) -> Period {
        self.per
    }

    /// A month of 31 days at `self` must still be within a month of `other`; and what is not used in a month is not used
    /// on any of its days.
    const fn within(self, other: Self) -> bool {
        match (self.per, other.per) {
            (Period::Day, Period::Month) => self.requests * 31 <= other.requests,
            (Period::Day, Period::Day) | (Period::Month, _) => self.requests <= other.requests,
        }
    }
}

impl Period {
    /// The word for it, in the store and the APIs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
        }
    }

    /// The period of a word.
    pub fn parse(text: &str) -> Result<Self, InvalidLimits> {
        match text {
            "day" => Ok(Self::Day),
            "month" => Ok(Self::Month),
            _ => Err(InvalidLimits::Period),
        }
    }
}

impl Window {
    /// The last day that a window can begin with: about the year 13,000.
    pub const LAST_DAY: u32 = (1 << 22) - 1;

    /// The one that `now` is in.
    pub fn at(period: Period, now: Timestamp) -> Self {
        let day = now.as_seconds().div_euclid(SECONDS_A_DAY).clamp(0, Self::LAST_DAY.into()) as u32;
        let first_day = match period {
            Period::Day => day,
            Period::Month => {
                day - civil(day).map_or(0, |date| u32::from(date.day().unsigned_abs()).saturating_sub(1))
            }
        };
        Self { period, first_day }
    }

    /// The one that begins with this day after 1970-01-01.
    pub const fn of(period: Period, first_day: u32) -> Self {
        Self { period, first_day }
    }

    /// What it is one of.
    pub const fn period(self) -> Period {
        self.period
    }

    /// Days from 1970-01-01 to its first day.
    pub const fn first_day(self) -> u32 {
        self.first_day
    }

    /// How long it lasts.
    pub fn length(self) -> Duration {
        let days = match self.period {
            Period::Day => 1,
            Period::Month => {
                civil(self.first_day).map_or(31, |date| u64::from(date.days_in_month().unsigned_abs()))
            }
        };
        Duration::from_secs(days * SECONDS_A_DAY as u64)
    }

    /// The first moment after it.
    pub fn ends_at(self) -> Timestamp {
        Timestamp::from_micros(i64::from(self.first_day) * SECONDS_A_DAY * 1_000_000).after(self.length())
    }
}

const SECONDS_A_DAY: i64 = 86_400;
const EPOCH: Date = date(1970, 1, 1);

/// The date of a day after 1970-01-01; `None` where the calendar ends.
fn civil(day: u32) -> Option<Date> {
    let span: Span = i64::from(day).days();
    EPOCH.checked_add(span).ok()
}

impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s;burst={}", self.per_second, self.burst)
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.requests, self.per.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limits(text: &str) -> Limits {
        Limits::from_joined(text).unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    #[test]
    fn grammar() {
        for good in ["10/s;burst=20 1000/day", "1/s;burst=1", "1000000000000/month"] {
            assert_eq!(limits(good).joined().as_deref(), Some(good));
        }
        assert_eq!(Limits::NONE.joined(), None);
        for bad in [
            "",
            " ",
            "10/s",
            "10/s;burst=",
            "0/s;burst=1",
            "100001/s;burst=1",
            "1/s;burst=0",
            "1/s;burst=1000001",
            "1/s;burst=+1",
            "0/day",
            "1000000000001/day",
            "1/week",
            "1/day 1/day",
            "1/day 1/s;burst=1",
            "1/day ",
            "1/s;burst=1 2/s;burst=2",
            "-1/day",
        ] {
            assert!(Limits::from_joined(bad).is_err(), "{bad:?}");
        }
        assert_eq!(RateLimit::new(7, None).map(RateLimit::burst), Ok(7), "as many at once as in a second");
    }

    #[test]
    fn within() {
        let is_within = |own: &str, other: &str| limits(own).within(limits(other));
        assert!(is_within("5/s;burst=5", "5/s;burst=5"));
        assert!(!is_within("6/s;burst=5", "5/s;burst=5"));
        assert!(!is_within("5/s;burst=6", "5/s;burst=5"));
        assert!(!is_within("5/s;burst=5", "100/day"), "at a rate that is never exceeded a day is long");
        assert!(is_within("100/day", "3100/month"));
        assert!(!is_within("100/day", "3099/month"));
        assert!(is_within("100/month", "100/day"));
        assert!(!is_within("101/month", "100/day"));
        assert!(limits("1/day").within(Limits::NONE));
        assert!(!Limits::NONE.within(limits("1/day")));
        assert!(Limits::NARROWEST.within(limits("1/s;burst=1 1/day")));
    }

    #[test]
    fn windows_are_those_of_the_calendar() {
        let at = |text: &str| {
            Timestamp::from_micros(text.parse::<jiff::Timestamp>().map_or(0, |time| time.as_microsecond()))
        };
        for (now, period, ends_at, days) in [
            ("2026-11-21T23:59:59.999999Z", Period::Day, "2026-11-22T00:00:00Z", 1),
            ("2026-11-22T00:00:00Z", Period::Day, "2026-11-23T00:00:00Z", 1),
            ("2026-11-30T23:59:59.999999Z", Period::Month, "2026-12-01T00:00:00Z", 30),
            ("2026-12-01T00:00:00Z", Period::Month, "2027-01-01T00:00:00Z", 31),
            ("2028-02-29T12:00:00Z", Period::Month, "2028-03-01T00:00:00Z", 29),
        ] {
            let window = Window::at(period, at(now));
            assert_eq!(window.ends_at(), at(ends_at), "{now}");
            assert_eq!(window.length(), Duration::from_secs(days * 86_400), "{now}");
        }
        assert_eq!(Window::at(Period::Month, Timestamp::from_micros(-1)).first_day(), 0);
        assert!(Window::at(Period::Month, Timestamp::NEVER).first_day() <= Window::LAST_DAY);
    }

    fn any_limits() -> impl Strategy<Value = Limits> {
        let rate = (1..4_u64, 1..4_u64).prop_map(|(rate, burst)| RateLimit::new(rate, Some(burst)).ok());
        let per = prop_oneof![Just(Period::Day), Just(Period::Month)];
        let quota = (1..100_u64, per).prop_map(|(requests, per)| Quota::new(requests, per).ok());
        (rate, quota, any::<[bool; 2]>()).prop_map(|(rate, quota, [has_rate, has_quota])| Limits {
            rate: rate.filter(|_| has_rate),
            quota: quota.filter(|_| has_quota),
        })
    }

    proptest! {
        #[test]
        fn a_text_is_its_limits(limits in any_limits()) {
            match limits.joined() {
                Some(text) => prop_assert_eq!(Limits::from_joined(&text), Ok(limits)),
                None => prop_assert!(limits.is_none()),
            }
        }

        /// So that what is handed on from hand to hand never grows.
        #[test]
        fn within_is_an_order(a in any_limits(), b in any_limits(), c in any_limits()) {
            prop_assert!(a.within(a));
            prop_assert!(Limits::NARROWEST.within(a));
            if a.within(b) && b.within(c) {
                prop_assert!(a.within(c));
            }
        }
    }
}
