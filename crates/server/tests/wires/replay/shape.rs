//! Whether an answer is as it was recorded, where the recording has placeholders.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_domain::id::{AccountId, Handle};
use countersign_domain::secret::is_access_text;
use serde_json::{Map, Value, json};

use super::recording::Case;
use crate::harness::Answer;

/// What the text of a token is longer than: a handle is its beginning.
const HANDLE: usize = Handle::LEN;
/// When everything happens: the clock of the tests hardly moves.
const NOW: &str = "2026-11-21T10:";

/// The values of the placeholders so far, by name.
#[derive(Clone)]
pub(super) struct Seen(BTreeMap<String, String>);

impl Seen {
    pub(super) fn new() -> Self {
        Self(BTreeMap::from([("mark".to_owned(), "1".to_owned()), ("etag".to_owned(), "\"1\"".to_owned())]))
    }

    pub(super) fn bind(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }

    pub(super) fn value(&self, name: &str) -> &str {
        self.0.get(name).unwrap_or_else(|| panic!("nothing stands for {name} yet"))
    }

    /// A text of a request.
    pub(super) fn fill(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, value) in &self.0 {
            for end in ["", ":"] {
                let encoded = STANDARD.encode(format!("{value}{end}"));
                text = text.replace(&format!("base64{{{name}{end}}}"), &encoded);
            }
            text = text.replace(&format!("{{{name}}}"), value);
        }
        let unknown = ["{new", "{token", "{account", "{mark", "{etag", "base64{"];
        assert!(!unknown.iter().any(|name| text.contains(name)), "a placeholder is left: {text}");
        text
    }

    /// A text of an answer: of a token it has only the handle.
    fn fill_shown(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (name, value)| {
            let is_token = name.contains("oken");
            text.replace(&format!("{{{name}}}"), if is_token { &value[..HANDLE] } else { value })
        })
    }

    fn text(&mut self, expected: &str, actual: &str, made_here: bool) -> bool {
        match expected {
            "{date}" => actual.starts_with(NOW) && actual.ends_with('Z') && actual.len() == 24,
            "{newToken}" if made_here => {
                self.bind("newToken", actual);
                is_access_text(actual)
            }
            "{newToken}" => actual.parse::<Handle>().is_ok(),
            // Of an account of which nothing else is asked.
            "{otherId}" => actual.parse::<AccountId>().is_ok(),
            "{newId}" if !self.0.contains_key("newId") => {
                self.bind("newId", actual);
                actual.parse::<AccountId>().is_ok()
            }
            expected => self.fill_shown(expected) == actual,
        }
    }

    fn value_fits(&mut self, expected: &Value, actual: &Value, made_here: bool) -> Result<(), String> {
        match (expected, actual) {
            (Value::String(wanted), Value::String(text)) if self.text(wanted, text, made_here) => Ok(()),
            (Value::Array(wanted), Value::Array(items)) if wanted.len() == items.len() => wanted
                .iter()
                .zip(items)
                .try_for_each(|(wanted, item)| self.value_fits(wanted, item, made_here)),
            (Value::Object(wanted), Value::Object(object)) if has_keys_of(wanted, object) => {
                wanted.iter().try_for_each(|(name, wanted)| self.value_fits(wanted, &object[name], made_here))
            }
            _ if expected == actual => Ok(()),
            _ => Err(format!("{actual} is to be {expected}")),
        }
    }
}

/// The same properties; of an account, at least those.
fn has_keys_of(expected: &Map<String, Value>, actual: &Map<String, Value>) -> bool {
    let is_account = expected.keys().eq(["email", "id"]);
    expected.keys().all(|key| actual.contains_key(key)) && (is_account || expected.len() == actual.len())
}

/// Whether the body of an answer is this one.
pub(super) fn fits(
    seen: &mut Seen,
    case: &Case,
    expected: Option<&Value>,
    answer: &Answer,
) -> Result<(), String> {
    let Some(expected) = expected else {
        return if answer.body.is_empty() { Ok(()) } else { Err("is to have no body".into()) };
    };
    let is_ping = *expected == json!({"ok": true});
    let account = json!({"id": "{accountA}", "email": "a-documented-{mark}@example.com"});
    let expected = if is_ping { &account } else { expected };
    let mut actual = serde_json::from_str(&answer.body).unwrap_or(Value::Null);
    if let Value::Array(items) = &mut actual
        && case.is_sorted_by_ttl()
    {
        items.sort_by_key(|token| token["ttl"].as_i64());
    }
    seen.value_fits(expected, &actual, case.request.method == "POST")
}
