//! How long a credential lives: a service token's `duration` and an access token's `ttl`.

use std::fmt;
use std::time::Duration;

use crate::time::Timestamp;

/// Longest `duration` text; Go's grammar has no bound, but nothing sensible is longer.
const LONGEST_TEXT: usize = 64;

/// A service token's duration: Go's `time.ParseDuration` grammar, or `forever`
/// (cloudflare-access.md 1.2). The text is kept and echoed as it came: `8760h` never becomes `8760h0m0s`.
#[derive(Clone, PartialEq, Eq)]
pub struct Lifetime {
    text: Box<str>,
    span: Span,
}

/// What a [`Lifetime`] means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// This long from the moment of issue or refresh.
    Finite(Duration),
    /// For ever: shown as a hundred years after creation.
    Forever,
}

/// Why a text is no duration. The message is a fragment that follows the name of the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLifetime {
    /// Nothing was given.
    #[error("must not be empty; for example `8760h`, or `forever`")]
    Empty,
    /// More than 64 characters.
    #[error("is longer than 64 characters")]
    TooLong,
    /// Not in the grammar.
    #[error(
        "must be numbers with units, such as `300ms`, `2h45m` or `8760h` (ns, us, ms, s, m, h), or `forever`"
    )]
    Syntax,
    /// A number without one of the units.
    #[error("has a number without a known unit (ns, us, ms, s, m, h); for a day write `24h`")]
    Unit,
    /// Beyond Go's range of about 292 years.
    #[error("is longer than 292 years; write `forever` for a token that does not expire")]
    Overflow,
    /// Zero or less.
    #[error("must be longer than zero")]
    NotPositive,
}

impl Lifetime {
    /// The default of the wire: one year.
    pub fn year() -> Self {
        Self { text: "8760h".into(), span: Span::Finite(Duration::from_secs(8760 * 3600)) }
    }

    /// Reads a text in the grammar.
    pub fn parse(text: &str) -> Result<Self, InvalidLifetime> {
        let span = match text {
            "" => return Err(InvalidLifetime::Empty),
            _ if text.len() > LONGEST_TEXT => return Err(InvalidLifetime::TooLong),
            "forever" => Span::Forever,
            _ => Span::Finite(parse_go(text)?),
        };
        Ok(Self { text: text.into(), span })
    }

    /// The text as it came.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What it means.
    pub const fn span(&self) -> Span {
        self.span
    }

    /// When a credential that was made at `created` and is given this duration at `now` ends.
    pub fn expiry(&self, created: Timestamp, now: Timestamp) -> Timestamp {
        match self.span {
            Span::Finite(span) => now.after(span),
            Span::Forever => created.plus_century(),
        }
    }
}

impl fmt::Debug for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Go's `time.ParseDuration`: `[-+]?` and either `0` or one or more `decimal unit`. Less than a microsecond
/// counts as one, since the clock has no finer step.
fn parse_go(text: &str) -> Result<Duration, InvalidLifetime> {
    let (negative, unsigned) = match text.as_bytes() {
        [b'-', ..] => (true, &text[1..]),
        [b'+', ..] => (false, &text[1..]),
        _ => (false, text),
    };
    if unsigned.is_empty() {
        return Err(InvalidLifetime::Syntax);
    }
    if unsigned == "0" {
        return Err(InvalidLifetime::NotPositive);
    }
    let mut rest = unsigned;
    let mut total_nanos: u128 = 0;
    while !rest.is_empty() {
        let (nanos, after) = parse_term(rest)?;
        // Each term is below 2^64 nanoseconds and there are fewer than 64 of them: the sum cannot overflow.
        total_nanos += nanos;
        rest = after;
    }
    if total_nanos > i64::MAX as u128 {
        return Err(InvalidLifetime::Overflow);
    }
    if negative || total_nanos == 0 {
        return Err(InvalidLifetime::NotPositive);
    }
    Ok(Duration::from_nanos(total_nanos as u64).max(Duration::from_micros(1)))
}

/// One `decimal unit`, in nanoseconds, and what follows it.
fn parse_term(text: &str) -> Result<(u128, &str), InvalidLifetime> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let (whole, after_whole) = text.split_at(digits(text));
    let (fraction, after_number) = match after_whole.strip_prefix('.') {
        Some(after_point) => after_point.split_at(digits(after_point)),
        None => ("", after_whole),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err(InvalidLifetime::Syntax);
    }
    let unit_len = after_number.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after_number.len());
    let (unit, rest) = after_number.split_at(unit_len);
    let unit_nanos = unit_nanos(unit).ok_or(InvalidLifetime::Unit)?;
    let whole = match whole.trim_start_matches('0') {
        "" => 0,
        number => number.parse::<u64>().map_err(|_| InvalidLifetime::Overflow)?,
    };
    let nanos = u128::from(whole) * u128::from(unit_nanos);
    if nanos > i64::MAX as u128 {
        return Err(InvalidLifetime::Overflow);
    }
    Ok((nanos + fraction_nanos(fraction, unit_nanos), rest))
}

/// `0.fraction` of a unit, rounded down. Digits after the eighteenth are below a nanosecond of any unit.
fn fraction_nanos(fraction: &str, unit_nanos: u64) -> u128 {
    let mut value: u128 = 0;
    let mut scale: u128 = 1;
    for digit in fraction.bytes().take(18) {
        value = value * 10 + u128::from(digit - b'0');
        scale *= 10;
    }
    value * u128::from(unit_nanos) / scale
}

fn unit_nanos(unit: &str) -> Option<u64> {
    match unit {
        "ns" => Some(1),
        "us" | "\u{b5}s" | "\u{3bc}s" => Some(1_000),
        "ms" => Some(1_000_000),
        "s" => Some(1_000_000_000),
        "m" => Some(60 * 1_000_000_000),
        "h" => Some(3600 * 1_000_000_000),
        _ => None,
    }
}

/// An access token's `ttl` in seconds, or eternal (space-invoices-loopback.md 2.2, design 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ttl {
    /// This many seconds, 1 to [`Ttl::LONGEST_SECONDS`].
    Seconds(u32),
    /// `-1` on the wire.
    Eternal,
}

/// The number is no ttl.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a whole number of seconds, at least 1, or -1 for a token that does not expire")]
pub struct InvalidTtl;

impl Default for Ttl {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Ttl {
    /// Two weeks: what 0 and an absent `ttl` mean.
    pub const DEFAULT: Self = Self::Seconds(1_209_600);
    /// One year; a longer wish is clamped to it.
    pub const LONGEST_SECONDS: u32 = 31_556_926;

    /// The ttl for a number on the wire.
    pub fn from_number(seconds: i64) -> Result<Self, InvalidTtl> {
        match seconds {
            -1 => Ok(Self::Eternal),
            0 => Ok(Self::DEFAULT),
            1.. => {
                let clamped = u32::try_from(seconds).unwrap_or(u32::MAX).min(Self::LONGEST_SECONDS);
                Ok(Self::Seconds(clamped))
            }
            _ => Err(InvalidTtl),
        }
    }

    /// The number on the wire.
    pub const fn as_number(self) -> i64 {
        match self {
            Self::Seconds(seconds) => seconds as i64,
            Self::Eternal => -1,
        }
    }

    /// When a token made at `created` ends.
    pub fn expiry(self, created: Timestamp) -> Timestamp {
        match self {
            Self::Seconds(seconds) => created.after(Duration::from_secs(seconds.into())),
            Self::Eternal => Timestamp::NEVER,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// From the documentation and the tests of Go's `time` package.
    #[test]
    fn go_grammar() {
        let nanos = |text: &str| match Lifetime::parse(text).map(|lifetime| lifetime.span()) {
            Ok(Span::Finite(span)) => span.as_nanos(),
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(nanos("8760h"), 8760 * 3_600_000_000_000);
        assert_eq!(nanos("2h45m"), 9_900_000_000_000);
        assert_eq!(nanos("+5s"), 5_000_000_000);
        assert_eq!(nanos("300ms"), 300_000_000);
        assert_eq!(nanos("1.5h"), 5_400_000_000_000);
        assert_eq!(nanos(".5m"), 30_000_000_000);
        assert_eq!(nanos("5.s"), 5_000_000_000);
        assert_eq!(nanos("10.5s4m"), 250_500_000_000);
        assert_eq!(nanos("12\u{b5}s"), 12_000);
        assert_eq!(nanos("12\u{3bc}s"), 12_000);
        assert_eq!(nanos("0000000000000000000000000000001h"), 3_600_000_000_000);
        assert_eq!(nanos("0.3333333333333333333h"), 1_199_999_999_999);
        assert_eq!(nanos("2562047h47m16.854775807s"), i64::MAX as u128);
        assert_eq!(nanos("1ns"), 1_000, "less than the clock's step counts as one step");
    }

    #[test]
    fn refusals_say_why() {
        use InvalidLifetime::*;
        let cases = [
            ("", Empty),
            ("0", NotPositive),
            ("-0", NotPositive),
            ("0s", NotPositive),
            ("0.0h", NotPositive),
            ("-1h", NotPositive),
            ("-1h0m", NotPositive),
            ("1d", Unit),
            ("3", Unit),
            ("1H", Unit),
            ("1 h", Unit),
            ("1h ", Unit),
            (".", Syntax),
            ("-", Syntax),
            ("-.", Syntax),
            (".s", Syntax),
            (" 1h", Syntax),
            ("h", Syntax),
            ("Forever", Syntax),
            ("2562047h47m16.854775808s", Overflow),
            ("9223372036854775808ns", Overflow),
            ("99999999999999999999h", Overflow),
        ];
        for (text, why) in cases {
            assert_eq!(Lifetime::parse(text), Err(why), "{text:?}");
        }
        assert_eq!(Lifetime::parse(&"9".repeat(1 << 20)), Err(TooLong));
    }

    #[test]
    fn ttl_edges() {
        assert_eq!(Ttl::from_number(0), Ok(Ttl::DEFAULT));
        assert_eq!(Ttl::from_number(-1), Ok(Ttl::Eternal));
        assert_eq!(Ttl::from_number(i64::MAX), Ok(Ttl::Seconds(Ttl::LONGEST_SECONDS)));
        assert_eq!(Ttl::from_number(-2), Err(InvalidTtl));
        assert_eq!(Ttl::from_number(i64::MIN), Err(InvalidTtl));
    }

    proptest! {
        #[test]
        fn echoed_as_given(hours in 1u32..100_000, minutes in 0u32..1_000_000) {
            let text = format!("{hours}h{minutes}m");
            let lifetime = Lifetime::parse(&text).map_err(|e| TestCaseError::fail(e.to_string()))?;
            prop_assert_eq!(lifetime.as_str(), text.as_str());
            let seconds = u64::from(hours) * 3600 + u64::from(minutes) * 60;
            prop_assert_eq!(lifetime.span(), Span::Finite(Duration::from_secs(seconds)));
        }

        #[test]
        fn never_panics(text in "[-+0-9.hmsnuµ ]{0,70}") {
            let _ = Lifetime::parse(&text);
        }
    }
}
