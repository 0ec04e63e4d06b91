//! Objects as pairs of names and texts, the way LoopBack's clients write them in queries and forms:
//! `filter[where][ttl][gt]=60`, `scopes[]=read&scopes[]=write` (the grammar of the `qs` library).

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

/// Deepest nesting, as of JSON (design 5, invariant 9).
const DEEPEST: usize = 32;
/// Most pairs, as of `qs`.
const MOST_PAIRS: usize = 1000;

/// Why pairs are no object. What `qs` would guess at, or leave out without a word, is refused: a client that is not
/// understood would take the wrong rows for the right ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BracketFault {
    /// Nested deeper than [`DEEPEST`].
    TooDeep,
    /// More than [`MOST_PAIRS`].
    TooMany,
    /// An escape is not whole, or not UTF-8.
    Undecodable,
    /// What is wrong with the name before the first bracket, as a fragment that follows it.
    Name(String, &'static str),
}

/// A pair, decoded; `None` when it cannot be.
pub(super) fn decoded(pair: &str) -> Option<(String, String)> {
    let (name, text) = pair.split_once('=').unwrap_or((pair, ""));
    Some((plain(name)?, plain(text)?))
}

fn plain(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    let is_whole =
        |after: &str| after.as_bytes().get(..2).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
    if !spaced.split('%').skip(1).all(is_whole) {
        return None;
    }
    percent_decode_str(&spaced).decode_utf8().ok().map(Cow::into_owned)
}

/// A form's body as an object.
pub(super) fn parse_form(body: &str) -> Result<Map<String, Value>, BracketFault> {
    let pairs = body.split('&').filter(|pair| !pair.is_empty());
    object(pairs.map(|pair| decoded(pair).ok_or(BracketFault::Undecodable)))
}

/// Pairs as an object. Values are texts, lists or objects. A name that is given several times is a list; brackets that
/// hold only numbers make a list, however many there are (C50).
pub(super) fn object(
    pairs: impl Iterator<Item = Result<(String, String), BracketFault>>,
) -> Result<Map<String, Value>, BracketFault> {
    let mut object = Map::new();
    for (number, pair) in pairs.enumerate() {
        if number == MOST_PAIRS {
            return Err(BracketFault::TooMany);
        }
        let (name, text) = pair?;
        let path = segments(&name)?;
        let (first, rest) = path.split_first().unwrap_or((&"", &[]));
        insert(&mut object, first, rest, text).map_err(|why| BracketFault::Name((*first).to_owned(), why))?;
    }
    Ok(object.into_iter().map(|(name, value)| (name, with_lists(value))).collect())
}

/// `a[b][c]` as `a`, `b`, `c`.
fn segments(name: &str) -> Result<Vec<&str>, BracketFault> {
    let (first, mut rest) = name.split_at(name.find('[').unwrap_or(name.len()));
    let unpaired = || BracketFault::Name(first.to_owned(), "has brackets that do not fit together");
    let mut segments = Vec::from_iter((!first.is_empty()).then_some(first));
    while let Some(inside) = rest.strip_prefix('[') {
        let (segment, after) =
            inside.split_once(']').filter(|(s, _)| !s.contains('[')).ok_or_else(unpaired)?;
        segments.push(segment);
        rest = after;
        if segments.len() > DEEPEST {
            return Err(BracketFault::TooDeep);
        }
    }
    if rest.is_empty() { Ok(segments) } else { Err(unpaired()) }
}

const TWO_WAYS: &str = "is given in two ways";
const UNNUMBERED: &str = "has `[]` before other brackets; number them";

fn insert(
    object: &mut Map<String, Value>,
    key: &str,
    below: &[&str],
    text: String,
) -> Result<(), &'static str> {
    match below {
        [] => add(object, key, text, Value::String),
        [""] => add(object, key, text, |text| Value::Array(vec![Value::String(text)])),
        // In `qs` what follows is merged into one element, or starts another one, by rules that nobody remembers.
        ["", ..] => Err(UNNUMBERED),
        [next, below @ ..] => {
            let entry = object.entry(key).or_insert_with(|| Value::Object(Map::new()));
            insert(entry.as_object_mut().ok_or(TWO_WAYS)?, next, below, text)
        }
    }
}

/// One more text under a key; the first one as `new` makes it.
fn add(
    object: &mut Map<String, Value>,
    key: &str,
    text: String,
    new: impl FnOnce(String) -> Value,
) -> Result<(), &'static str> {
    match object.get_mut(key) {
        None => {
            object.insert(key.to_owned(), new(text));
        }
        Some(Value::Array(texts)) => texts.push(Value::String(text)),
        Some(only @ Value::String(_)) => {
            let earlier = only.take();
            *only = Value::Array(vec![earlier, Value::String(text)]);
        }
        Some(_) => return Err(TWO_WAYS),
    }
    Ok(())
}

/// Objects of which every key is a number as lists, in the order of the numbers. A number left out leaves no gap.
fn with_lists(value: Value) -> Value {
    let Value::Object(object) = value else { return value };
    let mut items = Vec::new();
    for key in object.keys() {
        let number = key.parse::<u32>().ok().filter(|number| number.to_string() == *key);
        items.extend(number);
    }
    let is_list = !object.is_empty() && items.len() == object.len();
    let entries = object.into_iter().map(|(key, value)| (key, with_lists(value)));
    if !is_list {
        return Value::Object(entries.collect());
    }
    let mut numbered: Vec<_> = items.into_iter().zip(entries.map(|(_, value)| value)).collect();
    numbered.sort_unstable_by_key(|(number, _)| *number);
    Value::Array(numbered.into_iter().map(|(_, value)| value).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(form: &str) -> Value {
        parse_form(form).map(Value::Object).unwrap_or_else(|fault| panic!("{form}: {fault:?}"))
    }

    #[test]
    fn objects_lists_and_texts() {
        for (form, object) in [
            ("", json!({})),
            ("&&", json!({})),
            ("a=1&b=x+y%26", json!({"a": "1", "b": "x y&"})),
            ("a", json!({"a": ""})),
            ("a=b=c", json!({"a": "b=c"})),
            ("ttl=60&scopes[]=read&scopes[]=write", json!({"ttl": "60", "scopes": ["read", "write"]})),
            ("scopes%5B%5D=read", json!({"scopes": ["read"]})),
            ("a=1&a=2&a=3", json!({"a": ["1", "2", "3"]})),
            ("a=1&a[]=2", json!({"a": ["1", "2"]})),
            ("a[1]=y&a[0]=x", json!({"a": ["x", "y"]})),
            ("a[10]=z&a[9]=y&a[2]=x", json!({"a": ["x", "y", "z"]})),
            ("a[4294967295]=x&a[7]=y", json!({"a": ["y", "x"]})),
            ("a[b][c]=1&a[b][d]=2", json!({"a": {"b": {"c": "1", "d": "2"}}})),
            ("a[0][b]=1&a[1][b]=2", json!({"a": [{"b": "1"}, {"b": "2"}]})),
            ("a[01]=x&a[-1]=y", json!({"a": {"01": "x", "-1": "y"}})),
            ("a[0]=x&a[b]=y", json!({"a": {"0": "x", "b": "y"}})),
            ("[a]=1&[b][c]=2", json!({"a": "1", "b": {"c": "2"}})),
            ("0=x", json!({"0": "x"})),
            ("a[__proto__][b]=1&__proto__=2", json!({"a": {"__proto__": {"b": "1"}}, "__proto__": "2"})),
        ] {
            assert_eq!(read(form), object, "{form}");
        }
        let many: String = (0..22).map(|number| format!("a[{number}]={number}&")).collect();
        assert_eq!(read(&many)["a"].as_array().map(Vec::len), Some(22));
    }

    #[test]
    fn what_is_not_clear_is_refused() {
        let name = |why| Err(BracketFault::Name("a".into(), why));
        for form in ["a=1&a[b]=2", "a[b]=1&a=2", "a[b]=1&a[]=2", "a[]=1&a[0]=2", "a=1&a[b][c]=2"] {
            assert_eq!(parse_form(form), name(TWO_WAYS), "{form}");
        }
        for form in ["a[b=1", "a[b]c=1", "a[b]]=1", "a[b[c]]=1", "a[b][c=1"] {
            assert_eq!(parse_form(form), name("has brackets that do not fit together"), "{form}");
        }
        assert_eq!(parse_form("a[][b]=1"), name(UNNUMBERED));
        for form in ["a=%", "a=%4", "a=%zz", "%FF=1", "a=%C3"] {
            assert_eq!(parse_form(form), Err(BracketFault::Undecodable), "{form}");
        }
        let deep = |levels: usize| format!("a{}=1", "[b]".repeat(levels - 1));
        assert!(parse_form(&deep(32)).is_ok());
        assert_eq!(parse_form(&deep(33)), Err(BracketFault::TooDeep));
        assert_eq!(parse_form(&deep(100_000)), Err(BracketFault::TooDeep));
        assert!(parse_form(&"a=1&".repeat(1000)).is_ok());
        assert_eq!(parse_form(&"a=1&".repeat(1001)), Err(BracketFault::TooMany));
    }
}
