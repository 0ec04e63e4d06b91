//! Spans of time as people type them: `90s`, `24h`, `14d`, `2w3d`.

use std::time::Duration;

/// Why a text is no span of time; a fragment that follows the name of the option or key.
pub(crate) const WHAT_A_SPAN_IS: &str =
    "must be whole numbers with units (ms, s, m, h, d, w), such as `90s`, `24h`, `14d` or `1h30m`";

const DAY: u64 = 24 * 3600;

/// Reads a span. A bare number is seconds.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    if text.is_empty() {
        return Err(WHAT_A_SPAN_IS.to_owned());
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let (term, after) = parse_term(rest).ok_or(WHAT_A_SPAN_IS)?;
        total = total.checked_add(term).ok_or("is too long")?;
        rest = after;
    }
    Ok(total)
}

/// One number with its unit, and what follows.
fn parse_term(text: &str) -> Option<(Duration, &str)> {
    let (number, rest) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let number: u64 = number.parse().ok()?;
    let (unit, rest) = rest.split_at(rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len()));
    let span = match unit {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number.checked_mul(60)?),
        "h" => Duration::from_secs(number.checked_mul(3600)?),
        "d" => Duration::from_secs(number.checked_mul(DAY)?),
        "w" => Duration::from_secs(number.checked_mul(7 * DAY)?),
        _ => return None,
    };
    Some((span, rest))
}

/// The span in the shortest exact way that [`parse`] reads back.
pub(crate) fn to_text(span: Duration) -> String {
    match span.subsec_millis() {
        0 => format!("{}s", span.as_secs()),
        _ => format!("{}ms", span.as_millis()),
    }
}

/// A token's duration for the wire, which knows no days: `90d` becomes `2160h`. Everything else goes as it is, so
/// that `8760h` and `forever` come back as they were typed.
pub(crate) fn to_wire(text: &str) -> Result<String, String> {
    if !text.contains(['d', 'w']) {
        return Ok(text.to_owned());
    }
    let seconds = parse(text)?.as_secs();
    if seconds.is_multiple_of(3600) {
        return Ok(format!("{}h", seconds / 3600));
    }
    Ok(format!("{seconds}s"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_people_type() {
        let seconds = |text: &str| parse(text).map(|span| span.as_secs());
        assert_eq!(seconds("14d"), Ok(14 * DAY));
        assert_eq!(seconds("2w3d"), Ok(17 * DAY));
        assert_eq!(seconds("1h30m"), Ok(5400));
        assert_eq!(seconds("90"), Ok(90));
        assert_eq!(seconds("0s"), Ok(0));
        assert_eq!(parse("1s500ms"), Ok(Duration::from_millis(1500)));
    }

    #[test]
    fn what_is_no_span_is_refused() {
        for text in [
            "",
            "d",
            "14 d",
            "14x",
            "-1d",
            "1.5h",
            "h1",
            "14d7",
            "99999999999999999999d",
            "18446744073709551615w",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
        assert_eq!(parse("18446744073709551615s18446744073709551615s"), Err("is too long".to_owned()));
    }

    #[test]
    fn the_wire_gets_no_days() {
        assert_eq!(to_wire("90d").as_deref(), Ok("2160h"));
        assert_eq!(to_wire("1d30m").as_deref(), Ok("88200s"));
        assert_eq!(to_wire("8760h").as_deref(), Ok("8760h"));
        assert_eq!(to_wire("forever").as_deref(), Ok("forever"));
        assert_eq!(to_wire("1.5h").as_deref(), Ok("1.5h"), "the server judges what we do not have to change");
        assert!(to_wire("1day").is_err());
    }
}
