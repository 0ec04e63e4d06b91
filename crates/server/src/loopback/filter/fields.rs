//! Which properties of each row are shown.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

/// Which properties are shown.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::loopback) enum Fields {
    /// Every one.
    All,
    /// These alone.
    Only(BTreeSet<String>),
    /// Every one but these.
    Except(BTreeSet<String>),
}

impl Fields {
    /// `{"ttl":true}`, `{"id":false}`, `["ttl"]` or `"ttl"`. A property that is wanted takes away those that are not
    /// named; names of nothing show nothing (C20 to C22).
    pub(super) fn read(value: &Value) -> Self {
        match value {
            Value::String(name) => Self::Only(BTreeSet::from([name.clone()])),
            Value::Array(names) if !names.is_empty() => {
                Self::Only(names.iter().filter_map(Value::as_str).map(str::to_owned).collect())
            }
            Value::Object(properties) => {
                let named = |wanted| {
                    let chosen = properties.iter().filter(move |(_, value)| is_true(value) == wanted);
                    chosen.map(|(name, _)| name.clone()).collect::<BTreeSet<_>>()
                };
                let only = named(true);
                if only.is_empty() { Self::Except(named(false)) } else { Self::Only(only) }
            }
            _ => Self::All,
        }
    }

    fn show(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.contains(name),
            Self::Except(names) => !names.contains(name),
        }
    }

    /// What is shown of a row.
    pub(in crate::loopback) fn of<T: Serialize>(&self, row: &T) -> Value {
        // Never fails: rows are made of texts, numbers and lists.
        let mut value = serde_json::to_value(row).unwrap_or_default();
        if let Value::Object(properties) = &mut value {
            properties.retain(|name, _| self.show(name));
        }
        value
    }
}

/// In brackets everything is a text.
fn is_true(value: &Value) -> bool {
    match value {
        Value::Bool(truth) => *truth,
        Value::String(text) => !matches!(text.as_str(), "" | "false" | "0"),
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::Null => false,
        Value::Array(_) | Value::Object(_) => true,
    }
}
