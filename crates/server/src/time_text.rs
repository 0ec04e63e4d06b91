//! Points in time as text.

use countersign_domain::time::Timestamp;

/// RFC 3339 in UTC with as many decimals as needed; `None` for what never comes.
pub(crate) fn rfc3339(time: Timestamp) -> Option<String> {
    jiff::Timestamp::from_microsecond(time.as_micros()).ok().map(|time| time.to_string())
}

/// RFC 3339 in UTC with milliseconds, as JavaScript prints dates and LoopBack sends them.
pub(crate) fn rfc3339_millis(time: Timestamp) -> Option<String> {
    jiff::Timestamp::from_microsecond(time.as_micros()).ok().map(|time| format!("{time:.3}"))
}

/// Reads RFC 3339 with `Z` or a numeric offset, with or without fractions.
pub(crate) fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = text.parse().ok().filter(|_| has_shape_of_rfc3339(text))?;
    Some(Timestamp::from_micros(time.as_microsecond()))
}

/// As [`parse_rfc3339`], in a query: a `+` is a blank there, and a blank before an offset can only have been one.
pub(crate) fn parse_rfc3339_in_query(text: &str) -> Option<Timestamp> {
    parse_rfc3339(text).or_else(|| parse_rfc3339(&text.replace(' ', "+")))
}

/// Reads what JavaScript's `Date` reads of ISO 8601: RFC 3339, a date alone, a month, a year. A time without an offset
/// is in UTC.
pub(crate) fn parse_date(text: &str) -> Option<Timestamp> {
    let is_digits =
        |part: &str, len: usize| part.len() == len && part.bytes().all(|byte| byte.is_ascii_digit());
    let midnight = |date: String| parse_rfc3339(&format!("{date}T00:00:00Z"));
    match *text.splitn(3, '-').collect::<Vec<_>>().as_slice() {
        [year] if is_digits(year, 4) => midnight(format!("{year}-01-01")),
        [year, month] if is_digits(year, 4) && is_digits(month, 2) => midnight(format!("{text}-01")),
        [_, _, day] if is_digits(day, 2) => midnight(text.to_owned()),
        _ => parse_rfc3339(text).or_else(|| parse_rfc3339(&format!("{text}Z"))),
    }
}

/// The library reads more than RFC 3339: times without seconds or separators, names of time zones.
fn has_shape_of_rfc3339(text: &str) -> bool {
    const SHAPE: &[u8] = b"0000-00-00T00:00:00";
    let Some((time, rest)) = text.as_bytes().split_at_checked(SHAPE.len()) else { return false };
    let fits = |(byte, shape): (&u8, &u8)| match shape {
        b'0' => byte.is_ascii_digit(),
        other => byte.eq_ignore_ascii_case(other),
    };
    let offset = match rest {
        [b'.', fraction @ ..] => {
            &fraction[fraction.iter().take_while(|byte| byte.is_ascii_digit()).count()..]
        }
        rest => rest,
    };
    time.iter().zip(SHAPE).all(fits) && matches!(offset, [b'Z' | b'z'] | [b'+' | b'-', _, _, b':', _, _])
}

/// An HTTP date (RFC 9110, 5.6.7), for `Sunset`.
pub(crate) fn http_date(time: Timestamp) -> Option<String> {
    let time = jiff::Timestamp::from_second(time.as_seconds()).ok()?;
    jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&time).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_send_and_expect() {
        let time = |text: &str| parse_rfc3339(text).map(|time| time.as_micros());
        assert_eq!(time("2030-01-01T00:00:00+00:00"), time("2030-01-01T00:00:00Z"));
        assert_eq!(time("2030-01-01T02:00:00.5+02:00"), time("2030-01-01T00:00:00.500Z"));
        assert_eq!(time("2030-01-01"), None);
        assert_eq!(time("tomorrow"), None);
        assert_eq!(time("2030-01-01T00:00:00"), None, "without an offset it is no moment");
        for other in [
            "2030-01-01T00:00:00Z[Europe/Berlin]",
            "20300101T000000Z",
            "2030-01-01T00:00Z",
            "2030-01-01 00:00:00Z",
            "2030-01-01T00:00:00+02",
            "+002030-01-01T00:00:00Z",
        ] {
            assert_eq!(time(other), None, "{other} is no RFC 3339");
        }
        assert_eq!(time("2030-01-01t00:00:00z"), time("2030-01-01T00:00:00Z"));
        let date = |text: &str| parse_date(text).and_then(rfc3339);
        for (text, meaning) in [
            ("2020", "2020-01-01T00:00:00Z"),
            ("2020-02", "2020-02-01T00:00:00Z"),
            ("2020-02-29", "2020-02-29T00:00:00Z"),
            ("2020-02-29T01:02:03", "2020-02-29T01:02:03Z"),
            ("2020-02-29T01:02:03.5", "2020-02-29T01:02:03.5Z"),
            ("2020-02-29T01:02:03.500+01:00", "2020-02-29T00:02:03.5Z"),
        ] {
            assert_eq!(date(text).as_deref(), Some(meaning), "{text}");
        }
        for other in ["", "nope", "20", "2020-2", "2020-02-30", "2020-02-29T", "5-5-5", "2020-02-29Z", "-"] {
            assert_eq!(date(other), None, "{other}");
        }
        let moment = Timestamp::from_micros(1_654_739_957_123_000);
        assert_eq!(rfc3339(moment).as_deref(), Some("2022-06-09T01:59:17.123Z"));
        assert_eq!(
            rfc3339(Timestamp::from_micros(1_654_739_957_000_000)).as_deref(),
            Some("2022-06-09T01:59:17Z")
        );
        assert_eq!(
            rfc3339_millis(Timestamp::from_micros(1_654_739_957_000_000)).as_deref(),
            Some("2022-06-09T01:59:17.000Z")
        );
        assert_eq!(http_date(moment).as_deref(), Some("Thu, 09 Jun 2022 01:59:17 GMT"));
        assert_eq!(rfc3339(Timestamp::NEVER), None);
    }
}
