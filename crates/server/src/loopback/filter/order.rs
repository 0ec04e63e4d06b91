//! The order of a list.

use countersign_domain::access_token_filter::TextProperty;
use countersign_domain::access_token_list::{Direction, Order, OrderProperty};
use serde_json::Value;

use super::{echo, listed};
use crate::loopback::failure::Failure;

/// `"ttl DESC"`, `"ttl DESC, id"`, `["ttl DESC","id"]`, or `{"ttl":"ASC"}`, which LoopBack refuses though the vendor
/// shows it (C19).
pub(super) fn read(value: Option<&Value>) -> Result<Order, Failure> {
    let Some(value) = value else { return Ok(Order::CREATION) };
    let items = match value {
        Value::Array(items) => items.iter().collect(),
        value => listed(value).unwrap_or_else(|_| vec![value]),
    };
    let mut parts = Vec::new();
    for item in items {
        match item {
            Value::String(text) => {
                for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
                    parts.extend(of_text(part)?);
                }
            }
            item => parts.extend(of_object(item)?),
        }
    }
    Ok(Order::by(parts))
}

/// `ttl` or `ttl DESC`, the direction in any case.
fn of_text(part: &str) -> Result<Option<(OrderProperty, Direction)>, Failure> {
    let mut words = part.split_whitespace();
    let name = words.next().unwrap_or_default();
    let direction = words.next().map_or(Some(Direction::Ascending), direction);
    let direction = direction.ok_or_else(|| {
        Failure::Malformed(format!("The order {} has invalid direction", echo(&part.into())))
    })?;
    Ok(property(name).map(|property| (property, direction)))
}

/// Of two properties none would be the first: they have no order of their own.
fn of_object(item: &Value) -> Result<Option<(OrderProperty, Direction)>, Failure> {
    let not_valid = || Failure::Malformed(format!("The order {} is not valid", echo(item)));
    let mut entries = item.as_object().ok_or_else(not_valid)?.iter();
    let (Some((name, word)), None) = (entries.next(), entries.next()) else { return Err(not_valid()) };
    let direction = word.as_str().and_then(direction).ok_or_else(not_valid)?;
    Ok(property(name).map(|property| (property, direction)))
}

fn direction(word: &str) -> Option<Direction> {
    match word.to_ascii_uppercase().as_str() {
        "ASC" => Some(Direction::Ascending),
        "DESC" => Some(Direction::Descending),
        _ => None,
    }
}

/// By what is unknown nothing is ordered (C17).
fn property(name: &str) -> Option<OrderProperty> {
    match name {
        "id" => Some(OrderProperty::Text(TextProperty::Handle)),
        "ttl" => Some(OrderProperty::Ttl),
        "scopes" => Some(OrderProperty::Scopes),
        "created" => Some(OrderProperty::Created),
        "userId" => Some(OrderProperty::Text(TextProperty::Account)),
        "name" => Some(OrderProperty::Text(TextProperty::Name)),
        _ => None,
    }
}
