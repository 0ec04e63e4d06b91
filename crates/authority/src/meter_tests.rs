//! Tests of [`super::Meter`].

use proptest::prelude::*;

use super::*;

fn limits(text: &str) -> Limits {
    Limits::from_joined(text).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse::<jiff::Timestamp>().map(|time| Timestamp::from_micros(time.as_microsecond())).unwrap()
}

/// How many of `attempts` at this moment are let in.
fn takes(meter: &Meter, limits: Limits, now: Timestamp, attempts: usize) -> usize {
    (0..attempts).filter(|_| meter.take(limits, now).is_ok()).count()
}

#[test]
fn a_burst_and_then_the_rate() {
    let (meter, limits, start) = (Meter::default(), limits("10/s;burst=20"), at("2026-11-21T10:00:00Z"));
    let first = meter.take(limits, start).unwrap();
    assert_eq!(first.rate.map(|(_, left)| left), Some(19));
    assert_eq!(takes(&meter, limits, start, 100), 19);
    let exceeded = meter.take(limits, start).unwrap_err();
    assert_eq!((exceeded.allowance.rate.map(|(_, left)| left), exceeded.retry_after), (Some(0), SECOND));
    assert_eq!(takes(&meter, limits, start.after(Duration::from_millis(99)), 100), 0);
    assert_eq!(takes(&meter, limits, start.after(Duration::from_millis(100)), 100), 1);
    assert_eq!(takes(&meter, limits, start.after(Duration::from_secs(1)), 100), 9);
    assert_eq!(takes(&meter, limits, start.after(Duration::from_secs(3600)), 100), 20, "no more is saved up");
}

#[test]
fn a_clock_that_is_set_back_stops_nobody_for_long() {
    let (meter, limits, start) =
        (Meter::default(), limits("10/s;burst=20 5000/day"), at("2026-11-21T10:00:00Z"));
    assert_eq!(takes(&meter, limits, start, 100), 20);
    let before = start.before(Duration::from_secs(7 * 24 * 3600));
    assert_eq!(takes(&meter, limits, before, 100), 0, "nor does it give another burst");
    assert_eq!(takes(&meter, limits, before.after(Duration::from_secs(1)), 100), 10);
}

#[test]
fn a_quota_ends_with_its_day_or_month() {
    let meter = Meter::default();
    let (daily, monthly) = (limits("3/day"), limits("3/month"));
    let evening = at("2026-11-30T23:59:50Z");
    let left = meter.take(daily, evening).unwrap().quota.unwrap();
    assert_eq!((left.remaining, left.resets_in), (2, Duration::from_secs(10)));
    assert_eq!(takes(&meter, daily, evening, 9), 2);
    assert_eq!(meter.take(daily, evening).unwrap_err().retry_after, Duration::from_secs(10));
    let midnight = at("2026-12-01T00:00:00Z");
    assert_eq!(takes(&meter, daily, midnight, 9), 3);
    assert_eq!(
        takes(&meter, daily, evening, 9),
        0,
        "a clock that is set back over midnight gives nothing again"
    );
    assert_eq!(takes(&meter, daily, midnight, 9), 0);

    let meter = Meter::default();
    assert_eq!(takes(&meter, monthly, evening, 9), 3);
    assert_eq!(takes(&meter, monthly, midnight, 9), 3);
    assert_eq!(takes(&meter, monthly, at("2026-12-31T23:59:59Z"), 9), 0);
    assert_eq!(takes(&meter, monthly, at("2027-01-01T00:00:00Z"), 9), 3);
}

/// Whichever limit refuses, the other loses nothing.
#[test]
fn a_refusal_takes_nothing() {
    let (meter, start) = (Meter::default(), at("2026-11-21T10:00:00Z"));
    let both = limits("1/s;burst=2 3/day");
    assert_eq!(takes(&meter, both, start, 1_000), 2, "the rate");
    let exceeded = meter.take(both, start).unwrap_err();
    assert_eq!(exceeded.allowance.quota.unwrap().remaining, 1);
    let later = start.after(Duration::from_secs(10));
    assert_eq!(takes(&meter, both, later, 1_000), 1, "the quota");
    let exceeded = meter.take(both, later).unwrap_err();
    assert_eq!(exceeded.allowance.rate.map(|(_, left)| left), Some(1));
    assert!(exceeded.retry_after > Duration::from_secs(3600));
    assert_eq!(takes(&meter, limits("1/s;burst=2"), later, 1_000), 1);
}

#[test]
fn what_is_given_back_can_be_taken_again_in_its_window_only() {
    let (meter, limits, start) = (Meter::default(), limits("1/day"), at("2026-11-21T10:00:00Z"));
    let window = meter.take(limits, start).unwrap().quota.unwrap().window;
    meter.give_back(window);
    assert_eq!(takes(&meter, limits, start, 9), 1);
    let next = at("2026-11-22T10:00:00Z");
    assert_eq!(takes(&meter, limits, next, 9), 1);
    meter.give_back(window);
    assert_eq!(takes(&meter, limits, next, 9), 0);
}

#[test]
fn counts_are_packed_whole() {
    for (period, day, used) in [
        (Period::Day, 0, 0),
        (Period::Month, Window::LAST_DAY, Quota::MOST_REQUESTS),
        (Period::Day, 20_778, 7),
    ] {
        let count = Count { window: Window::of(period, day), used };
        let again = Count::unpack(count.pack());
        assert_eq!((again.window, again.used), (count.window, count.used));
    }
}

/// From many threads at one moment: exactly the burst, and exactly the quota.
#[test]
fn threads_together_get_no_more() {
    let start = at("2026-11-21T10:00:00Z");
    for (limits, expected) in
        [("1000/s;burst=5000", 5_000), ("7000/day", 7_000), ("1000/s;burst=3000 2000/month", 2_000)]
    {
        let (meter, limits) = (Meter::default(), self::limits(limits));
        let granted: usize = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| takes(&meter, limits, start, 2_000))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(granted, expected, "{limits:?}");
    }
}

proptest! {
    /// In no interval more than the burst and the rate for as long as it is; and not much less when enough is asked for.
    #[test]
    fn never_more_than_burst_and_rate(
        rate in 1..100_000_u64,
        burst in 1..200_u64,
        steps in prop::collection::vec((0..50_000_u64, 0..20_usize), 1..80),
    ) {
        let rate = RateLimit::new(rate, Some(burst)).unwrap();
        let limits = Limits { rate: Some(rate), quota: None };
        let (meter, mut now) = (Meter::default(), at("2026-11-21T10:00:00Z"));
        let mut granted = Vec::new();
        for (micros, attempts) in steps {
            now = now.after(Duration::from_micros(micros));
            granted.push((now, takes(&meter, limits, now, attempts), attempts));
        }
        for (begin, (first, ..)) in granted.iter().enumerate() {
            let mut sum = 0;
            for (last, count, _) in &granted[begin..] {
                sum += count;
                let most = burst as f64 + f64::from(rate.per_second()) * last.since(*first).as_secs_f64();
                prop_assert!(sum as f64 <= most + 1e-6, "{sum} within {:?}, at most {most}", last.since(*first));
            }
        }
        // Who asks for less than comes in is never refused.
        let mut room = burst as f64;
        let mut before = granted[0].0;
        for (time, count, attempts) in granted {
            room = (room + f64::from(rate.per_second()) * time.since(before).as_secs_f64() * 0.9999).min(burst as f64);
            prop_assert!(count >= attempts.min(room.floor() as usize), "{count} of {attempts}, room for {room}");
            room -= count as f64;
            before = time;
        }
    }
}
