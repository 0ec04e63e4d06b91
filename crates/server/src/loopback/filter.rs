//! The filter of a list: for now `limit` and `skip`, in JSON.

use axum::extract::FromRequestParts;
use http::request::Parts;
use serde_json::{Map, Value};

use super::failure::Failure;
use super::number::whole;
use crate::json;

/// Most rows of a page (space-invoices-loopback.md 2.6).
const MOST_ROWS: u32 = 100;
/// Longest value that an answer repeats, in characters: every credential is longer.
const LONGEST_ECHO: usize = 20;

/// Which part of a list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Filter {
    /// How many rows to leave out.
    pub(super) skip: u64,
    /// Most rows.
    pub(super) limit: u32,
}

impl Filter {
    /// The filter in a query. Other parameters are ignored, as in LoopBack; what a filter may one day say is
    /// refused, because a client that is not understood would take the wrong rows for the right ones.
    fn of_query(query: &str) -> Result<Self, Failure> {
        let parameters = || form_urlencoded::parse(query.as_bytes());
        if parameters().any(|(name, _)| name.starts_with("filter[")) {
            let message = "Filters in brackets are not supported yet; send `filter` as JSON";
            return Err(Failure::Malformed(message.into()));
        }
        let mut texts = parameters().filter(|(name, _)| name == "filter").map(|(_, text)| text);
        match (texts.next(), texts.next()) {
            (None, _) => Ok(Self::default()),
            (Some(text), None) => Self::parse(text.trim()),
            (Some(_), Some(_)) => Err(not_an_object()),
        }
    }

    fn parse(text: &str) -> Result<Self, Failure> {
        let mut filter = Self::default();
        if matches!(text, "" | "null") {
            return Ok(filter);
        }
        let properties: Map<String, Value> =
            json::parse(text.as_bytes(), false).map_err(|_| not_an_object())?;
        for (name, value) in properties.iter().filter(|(_, value)| !value.is_null()) {
            match name.as_str() {
                "limit" => filter.limit = limit(value)?,
                "skip" | "offset" => filter.skip = skip(value)?,
                other => {
                    let message = format!("The filter property {} is not supported yet", shown(other));
                    return Err(Failure::Malformed(message));
                }
            }
        }
        Ok(filter)
    }
}

impl Default for Filter {
    fn default() -> Self {
        Self { skip: 0, limit: MOST_ROWS }
    }
}

/// 0 and everything above the bound mean as many as there may be.
fn limit(value: &Value) -> Result<u32, Failure> {
    match whole(value) {
        Some(0) => Ok(MOST_ROWS),
        Some(rows @ 1..) => Ok(u32::try_from(rows).unwrap_or(MOST_ROWS).min(MOST_ROWS)),
        Some(_) | None => Err(not_valid("limit", value)),
    }
}

fn skip(value: &Value) -> Result<u64, Failure> {
    let rows = whole(value).and_then(|rows| u64::try_from(rows).ok());
    rows.ok_or_else(|| not_valid("offset/skip", value))
}

fn not_valid(parameter: &str, value: &Value) -> Failure {
    Failure::Malformed(format!("The {parameter} parameter {} is not valid", shown(&value.to_string())))
}

fn not_an_object() -> Failure {
    Failure::Malformed("Value is not an object.".into())
}

/// A value as an answer may repeat it.
fn shown(value: &str) -> String {
    if value.chars().count() <= LONGEST_ECHO {
        return value.to_owned();
    }
    value.chars().take(LONGEST_ECHO).chain(['…']).collect()
}

impl<S: Sync> FromRequestParts<S> for Filter {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        Self::of_query(parts.uri.query().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(filter: &str) -> Result<(u64, u32), String> {
        let query: String =
            form_urlencoded::Serializer::new(String::new()).append_pair("filter", filter).finish();
        match Filter::of_query(&query) {
            Ok(Filter { skip, limit }) => Ok((skip, limit)),
            Err(Failure::Malformed(message)) => Err(message),
            Err(other) => Err(format!("{other:?}")),
        }
    }

    /// Cases C02 to C13, C51 to C56, C70.
    #[test]
    fn limit_and_skip() {
        for (filter, rows) in [
            ("{}", (0, 100)),
            ("", (0, 100)),
            ("null", (0, 100)),
            (r#"{"limit":1}"#, (0, 1)),
            (r#"{"limit":"1"}"#, (0, 1)),
            (r#"{"limit":0}"#, (0, 100)),
            (r#"{"limit":null,"where":null}"#, (0, 100)),
            (r#"{"limit":1000000000}"#, (0, 100)),
            (r#"{"skip":1}"#, (1, 100)),
            (r#"{"offset":1,"limit":2}"#, (1, 2)),
            (r#"{"skip":99}"#, (99, 100)),
        ] {
            assert_eq!(parsed(filter), Ok(rows), "{filter}");
        }
        let limit = |value: &str| Err(format!("The limit parameter {value} is not valid"));
        assert_eq!(parsed(r#"{"limit":-1}"#), limit("-1"));
        assert_eq!(parsed(r#"{"limit":"abc"}"#), limit(r#""abc""#));
        assert_eq!(parsed(r#"{"limit":1.5}"#), limit("1.5"));
        assert_eq!(parsed(r#"{"limit":{"gt":"1"}}"#), limit(r#"{"gt":"1"}"#));
        assert_eq!(parsed(r#"{"skip":-1}"#), Err("The offset/skip parameter -1 is not valid".into()));
        assert_eq!(
            parsed(&format!(r#"{{"limit":"{}"}}"#, "x".repeat(64))),
            limit(&format!("\"{}…", "x".repeat(19)))
        );
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for filter in ["{bad", "5", "[]", "\"x\"", r#"{"limit":1,"limit":2}"#, &"[".repeat(10_000)] {
            assert_eq!(parsed(filter), Err("Value is not an object.".into()), "{filter}");
        }
        assert_eq!(parsed(r#"{"where":{}}"#), Err("The filter property where is not supported yet".into()));
        for query in ["filter[limit]=1", "filter%5Blimit%5D=1", "filter={}&filter={}"] {
            assert!(Filter::of_query(query).is_err(), "{query}");
        }
        assert_eq!(
            Filter::of_query("callback=steal&_format=xml&access_token=x").ok(),
            Some(Filter::default())
        );
    }
}
