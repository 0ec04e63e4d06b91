//! The filter of a list, as JSON or in brackets (space-invoices-loopback.md 2.6, 4.2): everything that it can say
//! becomes a value of a type here, once; what it cannot say is refused before anything is read.
//!
//! `like` finds a word anywhere in a text, with `%` for any run of characters and `_` for any one, and everything else
//! for itself, as LoopBack does over its memory (C43). Over MongoDB it would be a regular expression: a plain word means
//! the same in both, and for the rest there is `regexp`.

mod conditions;
mod fields;
mod operands;
mod order;
#[cfg(test)]
mod tests;

use axum::extract::FromRequestParts;
use countersign_authority::AccessTokenList;
use http::request::Parts;
use serde_json::{Map, Value};

use super::brackets::{BracketFault, decoded, object};
use super::failure::Failure;
use super::number::whole;
use crate::json::{self, BodyFault};

pub(super) use fields::Fields;

/// Most rows of a page (space-invoices-loopback.md 2.6).
const MOST_ROWS: u32 = 100;
/// Longest value that an answer repeats, in characters: every credential is longer.
const LONGEST_ECHO: usize = 20;
/// The relation that tokens have.
const USER: &str = "user";

/// What of a list, in which order, and how much of each row.
#[derive(Debug)]
pub(super) struct Filter {
    /// For the authority.
    pub(super) list: AccessTokenList,
    /// Which properties of each token.
    pub(super) fields: Fields,
    /// Which properties of the account of each token; `None` when it is not to be shown.
    pub(super) user: Option<Fields>,
}

/// Which part of a list that has no other filter.
#[derive(Debug)]
pub(super) struct Paging {
    /// How many rows to leave out.
    pub(super) offset: u64,
    /// Most rows.
    pub(super) limit: u32,
}

impl Paging {
    fn of_query(query: &str) -> Result<Self, Failure> {
        let properties = properties_of_query(query)?;
        let refused =
            ["where", "order", "include"].into_iter().find(|name| given(&properties, name).is_some());
        if let Some(name) = refused {
            // Whoever is not understood would take the wrong rows for the right ones.
            return Err(Failure::Malformed(format!("The filter property {name} is not supported here")));
        }
        Ok(Self { offset: offset_of(&properties)?, limit: limit_of(&properties)? })
    }
}

/// Nothing that would count other rows than the client means.
#[derive(Debug)]
pub(super) struct Unfiltered;

impl<S: Sync> FromRequestParts<S> for Unfiltered {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let query = parts.uri.query().unwrap_or_default();
        let name = |name: &str| name.split('[').next().is_some_and(|name| matches!(name, "where" | "filter"));
        if form_urlencoded::parse(query.as_bytes()).any(|(given, _)| name(&given)) {
            return Err(Failure::Malformed("A count has no filter here".into()));
        }
        Ok(Self)
    }
}

/// The properties of the filter in a query; none without one. Other parameters are ignored, as in LoopBack.
fn properties_of_query(query: &str) -> Result<Map<String, Value>, Failure> {
    let decode = |pair| decoded(pair).ok_or(BracketFault::Undecodable);
    // What cannot be decoded is part of the filter if it begins like it.
    let is_part = |pair: &Result<(String, String), _>, raw: &str| match pair {
        Ok((name, _)) => name == "filter" || name.starts_with("filter["),
        Err(_) => raw.starts_with("filter"),
    };
    let pairs = query.split('&').map(|raw| (decode(raw), raw));
    let parts = pairs.filter(|(pair, raw)| is_part(pair, raw)).map(|(pair, _)| pair);
    let mut object = object(parts).map_err(|fault| match fault {
        BracketFault::TooDeep => Failure::QueryTooDeep,
        BracketFault::Name(name, why) => Failure::Malformed(format!("The parameter {name} {why}")),
        BracketFault::TooMany | BracketFault::Undecodable => not_an_object(),
    })?;
    match object.remove("filter") {
        None => Ok(Map::new()),
        Some(Value::String(text)) => properties_of_json(text.trim()),
        Some(Value::Object(properties)) => Ok(properties),
        Some(_) => Err(not_an_object()),
    }
}

fn properties_of_json(text: &str) -> Result<Map<String, Value>, Failure> {
    if matches!(text, "" | "null") {
        return Ok(Map::new());
    }
    json::parse(text.as_bytes(), false).map_err(|fault| match fault {
        BodyFault::TooDeep => Failure::QueryTooDeep,
        _ => not_an_object(),
    })
}

fn given<'p>(properties: &'p Map<String, Value>, name: &str) -> Option<&'p Value> {
    properties.get(name).filter(|value| !is_none(value))
}

fn limit_of(properties: &Map<String, Value>) -> Result<u32, Failure> {
    given(properties, "limit").map_or(Ok(MOST_ROWS), limit)
}

fn offset_of(properties: &Map<String, Value>) -> Result<u64, Failure> {
    given(properties, "skip").or_else(|| given(properties, "offset")).map_or(Ok(0), offset)
}

impl Filter {
    fn of_query(query: &str) -> Result<Self, Failure> {
        Self::of_object(&properties_of_query(query)?)
    }

    /// What is unknown is ignored, as in LoopBack (C60, C61).
    fn of_object(properties: &Map<String, Value>) -> Result<Self, Failure> {
        let given = |name| given(properties, name);
        Ok(Self {
            list: AccessTokenList {
                condition: conditions::read(given("where"))?,
                order: order::read(given("order"))?,
                offset: offset_of(properties)?,
                limit: limit_of(properties)?,
            },
            fields: given("fields").map_or(Fields::All, Fields::read),
            user: given("include").map_or(Ok(None), include)?,
        })
    }
}

/// What JavaScript takes for nothing said, but for 0.
fn is_none(value: &Value) -> bool {
    matches!(value, Value::Null | Value::Bool(false)) || value.as_str() == Some("")
}

/// 0 and everything above the bound mean as many as there may be.
fn limit(value: &Value) -> Result<u32, Failure> {
    match whole(value) {
        Some(0) => Ok(MOST_ROWS),
        Some(rows @ 1..) => Ok(u32::try_from(rows).unwrap_or(MOST_ROWS).min(MOST_ROWS)),
        Some(_) | None => Err(not_valid("limit", value)),
    }
}

fn offset(value: &Value) -> Result<u64, Failure> {
    let rows = whole(value).and_then(|rows| u64::try_from(rows).ok());
    rows.ok_or_else(|| not_valid("offset/skip", value))
}

/// `"user"`, `{"relation":"user","scope":{"fields":…}}`, `{"user":…}`, or a list of them. What is to be shown below the
/// account is ignored: nothing below it can be (C72).
fn include(value: &Value) -> Result<Option<Fields>, Failure> {
    let user = |name: &str, fields: Fields| match name {
        USER => Ok(Some(fields)),
        other => {
            let message = format!("Relation {} is not defined for AccessToken model", echo(&other.into()));
            Err(Failure::Malformed(message))
        }
    };
    match value {
        Value::String(name) => user(name, Fields::All),
        Value::Array(relations) => {
            relations.iter().try_fold(None, |found, relation| Ok(include(relation)?.or(found)))
        }
        Value::Object(properties) => match properties.get("relation") {
            Some(Value::String(name)) => {
                let fields = value.pointer("/scope/fields").filter(|fields| !is_none(fields));
                user(name, fields.map_or(Fields::All, Fields::read))
            }
            _ => properties.keys().try_fold(None, |_, name| user(name, Fields::All)),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            Err(Failure::Malformed(format!("The include {} is not valid", echo(value))))
        }
    }
}

fn not_valid(parameter: &str, value: &Value) -> Failure {
    Failure::Malformed(format!("The {parameter} parameter {} is not valid", echo(value)))
}

fn not_an_object() -> Failure {
    Failure::Malformed("Value is not an object.".into())
}

/// A value as an answer may repeat it.
fn echo(value: &Value) -> String {
    shown(&value.to_string())
}

/// A text as an answer may repeat it.
fn shown(text: &str) -> String {
    if text.chars().count() <= LONGEST_ECHO {
        return text.to_owned();
    }
    text.chars().take(LONGEST_ECHO).chain(['…']).collect()
}

/// A list, or what `qs` makes of a long one: an object with the keys 0, 1, 2 and so on. Otherwise, why it is neither.
fn listed(value: &Value) -> Result<Vec<&Value>, &'static str> {
    const NEITHER: &str = "Value is not an array or object with sequential numeric indices";
    match value {
        Value::Array(items) => Ok(items.iter().collect()),
        Value::Object(object) if object.is_empty() => Err("Value is an empty object"),
        Value::Object(object) => {
            let items = (0..object.len()).map(|index| object.get(&index.to_string()));
            items.collect::<Option<_>>().ok_or(NEITHER)
        }
        _ => Err(NEITHER),
    }
}

impl<S: Sync> FromRequestParts<S> for Filter {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        Self::of_query(parts.uri.query().unwrap_or_default())
    }
}

impl<S: Sync> FromRequestParts<S> for Paging {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        Self::of_query(parts.uri.query().unwrap_or_default())
    }
}
