//! The properties that a filter can ask about, and what it compares them with: everything is coerced to the property's
//! type, as LoopBack does.

use countersign_domain::access_token_filter::{Bounds, Condition, TextProperty, TextTest};
use countersign_domain::pattern::Pattern;
use countersign_domain::secret::{is_access_text, parse_access_text};
use countersign_domain::time::Timestamp;
use serde_json::Value;

use crate::loopback::path::handle_of;
use crate::time_text::parse_date;

/// A property of an access token that can be asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Property {
    /// `id`, `userId`, `name`.
    Text(TextProperty),
    /// `scopes`: one among them.
    Scopes,
    /// `ttl`.
    Ttl,
    /// `created`, in milliseconds, as it is shown.
    Created,
}

/// How a property is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Less,
    AtMost,
    AtLeast,
    Greater,
}

/// Why something cannot be compared with a property: the end of a sentence about the clause.
pub(super) type Incomparable = &'static str;

/// A millisecond less the step of the clock, in microseconds.
const REST_OF_MILLISECOND: i64 = 999;

impl Property {
    /// The property of this name.
    pub(super) fn of(name: &str) -> Option<Self> {
        match name {
            "id" => Some(Self::Text(TextProperty::Handle)),
            "userId" => Some(Self::Text(TextProperty::Account)),
            "name" => Some(Self::Text(TextProperty::Name)),
            "scopes" => Some(Self::Scopes),
            "ttl" => Some(Self::Ttl),
            "created" => Some(Self::Created),
            _ => None,
        }
    }

    /// It is this value; nothing is what cannot be made one of the property's.
    pub(super) fn equals(self, value: &Value) -> Result<Condition, Incomparable> {
        Ok(match (self, value) {
            (Self::Scopes, Value::Null) => Condition::Scopes(None),
            (Self::Scopes, Value::Array(items)) => {
                let texts: Option<Vec<String>> = items.iter().map(text).collect();
                texts.map_or(Condition::NOTHING, |texts| Condition::Scopes(Some(texts)))
            }
            (Self::Text(property), Value::Null) => Condition::Without(property),
            (Self::Text(TextProperty::Handle), value) => {
                // A whole token stands for its handle.
                let handle = text(value).and_then(|text| handle_of(&text));
                let is = |handle: &_| TextTest::Equals(format!("{handle}"));
                handle.map_or(Condition::NOTHING, |handle| Condition::Text(TextProperty::Handle, is(&handle)))
            }
            (Self::Text(_) | Self::Scopes, value) => self.tested(text(value).map(TextTest::Equals)),
            (Self::Ttl, value) => match number(value).filter(|number| number.fract() == 0.0) {
                Some(number) => Condition::Ttl(Bounds::between(number as i64, number as i64)),
                None => Condition::NOTHING,
            },
            (Self::Created, value) => match moment(value)? {
                Some(first) => Condition::Created(Bounds::between(first, last_of_millisecond(first))),
                None => Condition::NOTHING,
            },
        })
    }

    /// It compares so with this value.
    pub(super) fn compares(self, comparison: Comparison, value: &Value) -> Result<Condition, Incomparable> {
        Ok(match self {
            Self::Text(_) | Self::Scopes => self.compares_with_text(comparison, text(value)),
            Self::Ttl => number(value)
                .map_or(Condition::NOTHING, |number| Condition::Ttl(bounds_of_ttl(comparison, number))),
            Self::Created => moment(value)?
                .map_or(Condition::NOTHING, |moment| Condition::Created(bounds_of_time(comparison, moment))),
        })
    }

    /// The pattern is found in it. Numbers and times are no texts.
    pub(super) fn matches(self, pattern: Pattern) -> Result<Condition, Incomparable> {
        match self {
            Self::Text(_) | Self::Scopes => Ok(self.tested(Some(TextTest::Matches(pattern)))),
            Self::Ttl | Self::Created => Err("Only texts match patterns"),
        }
    }

    fn tested(self, test: Option<TextTest>) -> Condition {
        match (self, test) {
            (Self::Text(property), Some(test)) => Condition::Text(property, test),
            (Self::Scopes, Some(test)) => Condition::Scope(test),
            _ => Condition::NOTHING,
        }
    }

    fn compares_with_text(self, comparison: Comparison, text: Option<String>) -> Condition {
        let Some(text) = text.map(without_secret) else { return Condition::NOTHING };
        let equals = self.tested(Some(TextTest::Equals(text.clone())));
        match comparison {
            Comparison::Less => self.tested(Some(TextTest::Before(text))),
            Comparison::AtMost => Condition::Any(vec![self.tested(Some(TextTest::Before(text))), equals]),
            Comparison::AtLeast => Condition::Any(vec![self.tested(Some(TextTest::After(text))), equals]),
            Comparison::Greater => self.tested(Some(TextTest::After(text))),
        }
    }
}

/// A whole token as its handle; other texts as they are.
fn without_secret(text: String) -> String {
    let handle =
        parse_access_text(&text).filter(|_| is_access_text(&text)).map(|(handle, _)| handle.to_string());
    handle.unwrap_or(text)
}

/// A text, or what JavaScript prints for it. `None` for what is no single value.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A number, or what JavaScript reads as one. `None` for what is not a number.
fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64()?,
        Value::Bool(truth) => f64::from(u8::from(*truth)),
        Value::String(text) if text.trim().is_empty() => 0.0,
        Value::String(text) => text.trim().parse().ok()?,
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    (!number.is_nan()).then_some(number)
}

/// A point in time, cut to the millisecond: a text in one of the forms of ISO 8601, or milliseconds since 1970. `None`
/// for null, which compares with no time.
fn moment(value: &Value) -> Result<Option<Timestamp>, Incomparable> {
    let millis = match value {
        Value::Null => return Ok(None),
        Value::Number(number) => number.as_f64().map(|millis| millis.trunc() as i64),
        Value::String(text) => parse_date(text.trim()).map(|time| time.as_micros().div_euclid(1000)),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    let millis = millis.ok_or("Expected a date")?;
    Ok(Some(Timestamp::from_micros(millis.saturating_mul(1000))))
}

fn last_of_millisecond(first: Timestamp) -> Timestamp {
    Timestamp::from_micros(first.as_micros().saturating_add(REST_OF_MILLISECOND))
}

/// A ttl is whole, so a bound between two numbers is the one or the other. Conversion stops at the ends of the type,
/// which no ttl reaches.
fn bounds_of_ttl(comparison: Comparison, number: f64) -> Bounds<i64> {
    let (below, above) = (number.floor() as i64, number.ceil() as i64);
    match comparison {
        Comparison::Less => Bounds::to(above.saturating_sub(1)),
        Comparison::AtMost => Bounds::to(below),
        Comparison::AtLeast => Bounds::from(above),
        Comparison::Greater => Bounds::from(below.saturating_add(1)),
    }
}

/// Times are shown in milliseconds and kept in microseconds: all of a millisecond is equal.
fn bounds_of_time(comparison: Comparison, first: Timestamp) -> Bounds<Timestamp> {
    let by = |micros: i64| Timestamp::from_micros(first.as_micros().saturating_add(micros));
    match comparison {
        Comparison::Less => Bounds::to(by(-1)),
        Comparison::AtMost => Bounds::to(last_of_millisecond(first)),
        Comparison::AtLeast => Bounds::from(first),
        Comparison::Greater => Bounds::from(by(REST_OF_MILLISECOND + 1)),
    }
}
