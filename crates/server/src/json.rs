//! Bodies: read whole within a bound, checked for shape, then parsed into types with errors that name the field.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use bytes::Bytes;
use http_body_util::LengthLimitError;
use serde::Deserialize;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::upload::UploadError;
use crate::wire::abridged;

/// Largest body (design 5, invariant 9).
pub(crate) const LARGEST_BODY: usize = 100 * 1024;
/// Longest time for a body to arrive.
pub(crate) const BODY_DEADLINE: Duration = Duration::from_secs(20);
/// Deepest nesting.
const DEEPEST: usize = 32;

/// Why a body is not what it should be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BodyFault {
    /// More than [`LARGEST_BODY`].
    TooLarge,
    /// The client went away or broke the framing.
    Unreadable,
    /// It did not arrive within [`BODY_DEADLINE`].
    Late,
    /// Too much is being sent at once: a fault of ours.
    Busy,
    /// Not JSON, not UTF-8, or followed by something.
    Malformed(String),
    /// Nested deeper than [`DEEPEST`].
    TooDeep,
    /// JSON, but not an object.
    NotAnObject,
    /// A value is wrong: where (as a JSON pointer, RFC 6901) and why.
    Field {
        /// Such as `/duration`.
        pointer: String,
        /// A fragment that follows the name.
        reason: String,
    },
}

/// Reads a body up to the bound.
pub(crate) async fn read(body: Body) -> Result<Bytes, BodyFault> {
    let read = tokio::time::timeout(BODY_DEADLINE, to_bytes(body, LARGEST_BODY));
    read.await.map_err(|_elapsed| BodyFault::Late)?.map_err(|error| why_not(&error))
}

fn why_not(error: &axum::Error) -> BodyFault {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<LengthLimitError>() {
            return BodyFault::TooLarge;
        }
        if let Some(UploadError::Busy) = error.downcast_ref() {
            return BodyFault::Busy;
        }
        cause = error.source();
    }
    BodyFault::Unreadable
}

impl BodyFault {
    /// A fault of one field at the top.
    pub(crate) fn field(name: &str, reason: &str) -> Self {
        Self::Field { pointer: format!("/{}", escaped(name)), reason: reason.to_owned() }
    }
}

/// Parses an object. An empty body counts as `{}` where `empty_is_object`.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8], empty_is_object: bool) -> Result<T, BodyFault> {
    let bytes = match bytes {
        [] if empty_is_object => b"{}",
        bytes => bytes,
    };
    let text = std::str::from_utf8(bytes).map_err(|_| BodyFault::Malformed("not UTF-8".into()))?;
    check_shape(text)?;
    // To know the path to what is wrong has its price, and most are right.
    serde_json::from_str(text).or_else(|_| typed(&mut serde_json::Deserializer::from_str(text)))
}

/// An object that was read already, as a type that names its properties.
pub(crate) fn from_object<T: DeserializeOwned>(object: Map<String, Value>) -> Result<T, BodyFault> {
    typed(Value::Object(object))
}

fn typed<'de, T, D>(deserializer: D) -> Result<T, BodyFault>
where
    T: DeserializeOwned,
    D: Deserializer<'de, Error = serde_json::Error>,
{
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let reason = reason_of(&error.inner().to_string());
        BodyFault::Field { pointer: pointer_of(error.path()), reason }
    })
}

/// One pass over the whole text before any type is asked: depth, repeated keys at any level (of which parsers
/// would each pick another), an object at the top, nothing behind it.
fn check_shape(text: &str) -> Result<(), BodyFault> {
    let fault = std::cell::RefCell::new(None);
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let shape = Shape { place: None, fault: &fault };
    let outcome = shape.deserialize(&mut deserializer).and_then(|top| deserializer.end().map(|()| top));
    match (outcome, fault.into_inner()) {
        (_, Some(fault)) => Err(fault),
        (Err(error), None) => Err(BodyFault::Malformed(error.to_string())),
        (Ok(Top::Object), None) => Ok(()),
        (Ok(Top::Other), None) => Err(BodyFault::NotAnObject),
    }
}

/// What stands at the top.
enum Top {
    Object,
    Other,
}

/// Where a value stands: a key or an index, below another place. Written out only when something is wrong there.
struct Place<'p> {
    above: Option<&'p Place<'p>>,
    depth: usize,
    part: Part<'p>,
}

enum Part<'p> {
    Key(&'p str),
    Index(usize),
}

impl Place<'_> {
    /// The JSON pointer (RFC 6901), long keys abridged.
    fn pointer(&self) -> String {
        let above = self.above.map(Place::pointer).unwrap_or_default();
        match self.part {
            Part::Key(key) => format!("{above}/{}", escaped(key)),
            Part::Index(index) => format!("{above}/{index}"),
        }
    }
}

/// A key as a part of a JSON pointer.
fn escaped(key: &str) -> String {
    abridged(key).replace('~', "~0").replace('/', "~1")
}

/// A key, as it stands in the text if nothing in it is escaped.
#[derive(Deserialize)]
#[serde(transparent)]
struct Key<'t>(#[serde(borrow)] Cow<'t, str>);

/// A value that is looked at and thrown away.
struct Shape<'p> {
    /// `None` at the top.
    place: Option<&'p Place<'p>>,
    fault: &'p std::cell::RefCell<Option<BodyFault>>,
}

impl<'p> Shape<'p> {
    fn below(&self, part: Part<'p>) -> Place<'p> {
        Place { above: self.place, depth: self.depth() + 1, part }
    }

    fn depth(&self) -> usize {
        self.place.map_or(0, |place| place.depth)
    }

    fn refuse<E: de::Error>(&self, fault: BodyFault) -> E {
        *self.fault.borrow_mut() = Some(fault);
        E::custom("refused")
    }

    fn check_depth<E: de::Error>(&self) -> Result<(), E> {
        if self.depth() >= DEEPEST { Err(self.refuse(BodyFault::TooDeep)) } else { Ok(()) }
    }
}

impl<'de> DeserializeSeed<'de> for Shape<'_> {
    type Value = Top;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Top, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Shape<'_> {
    type Value = Top;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Top, E> {
        Ok(Top::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Top, E> {
        Ok(Top::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Top, E> {
        Ok(Top::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Top, E> {
        Ok(Top::Other)
    }

    fn visit_str<E>(self, _: &str) -> Result<Top, E> {
        Ok(Top::Other)
    }

    fn visit_unit<E>(self) -> Result<Top, E> {
        Ok(Top::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Top, A::Error> {
        self.check_depth()?;
        for index in 0.. {
            let place = self.below(Part::Index(index));
            let item = Shape { place: Some(&place), fault: self.fault };
            if items.next_element_seed(item)?.is_none() {
                break;
            }
        }
        Ok(Top::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Top, A::Error> {
        self.check_depth()?;
        let mut seen = BTreeSet::new();
        while let Some(Key(key)) = entries.next_key()? {
            let place = self.below(Part::Key(&key));
            if seen.contains(&*key) {
                let pointer = place.pointer();
                return Err(self.refuse(BodyFault::Field { pointer, reason: "is given twice".into() }));
            }
            entries.next_value_seed(Shape { place: Some(&place), fault: self.fault })?;
            seen.insert(key);
        }
        Ok(Top::Object)
    }
}

/// A JSON pointer for the path of an error.
fn pointer_of(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let segment = |segment: &Segment| match segment {
        Segment::Map { key } => format!("/{}", abridged(key)),
        Segment::Seq { index } => format!("/{index}"),
        Segment::Enum { .. } | Segment::Unknown => String::new(),
    };
    path.iter().map(segment).collect()
}

/// serde's message without the place in the text and without the client's own words, as a fragment that follows the
/// field's name.
fn reason_of(message: &str) -> String {
    let message = message.rsplit_once(" at line ").map_or(message, |(before, _)| before);
    let expected_instead_of = |fault: &str| Some(message.strip_prefix(fault)?.split_once(", expected ")?.1);
    if let Some(expected) = expected_instead_of("unknown field ") {
        return format!("is not known; expected {expected}");
    }
    match expected_instead_of("invalid type: ").or_else(|| expected_instead_of("invalid value: ")) {
        Some(expected) => format!("must be {expected}"),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Sample {
        name: Option<String>,
        list: Option<Vec<String>>,
    }

    fn fault(text: &str) -> BodyFault {
        parse::<Sample>(text.as_bytes(), false).unwrap_err()
    }

    fn field(pointer: &str, reason: &str) -> BodyFault {
        BodyFault::Field { pointer: pointer.into(), reason: reason.into() }
    }

    #[tokio::test]
    async fn too_much_at_once_is_told_from_what_is_broken() {
        let too_much = || futures_util::stream::iter([Err::<Bytes, _>(UploadError::Busy)]);
        assert_eq!(read(Body::from_stream(too_much())).await, Err(BodyFault::Busy));
        let broken = futures_util::stream::iter([Err::<Bytes, _>(std::io::Error::other("reset"))]);
        assert_eq!(read(Body::from_stream(broken)).await, Err(BodyFault::Unreadable));
        let large = Body::from(vec![b' '; LARGEST_BODY + 1]);
        assert_eq!(read(large).await, Err(BodyFault::TooLarge));
    }

    #[test]
    fn errors_name_the_field() {
        assert_eq!(fault(r#"{"name":5}"#), field("/name", "must be a string"));
        assert_eq!(fault(r#"{"list":["a",{}]}"#), field("/list/1", "must be a string"));
        assert_eq!(fault(r#"{"name":"a","name":"b"}"#), field("/name", "is given twice"));
        assert_eq!(fault(r#"{"x":[{"a/b":1,"a/b":2}]}"#), field("/x/0/a~1b", "is given twice"));
        assert_eq!(fault(r#"{"n\u0061me":"a","name":"b"}"#), field("/name", "is given twice"));
        // Where a key should stand may stand a secret.
        let secret = "csst_0123456789abcdefghijklmnopqrstuvwxyzABCD01234567";
        let text = format!("{{\"{secret}\":1,\"{secret}\":2}}");
        assert_eq!(fault(&text), field("/csst_012…", "is given twice"));
        let long = "a".repeat(40_000);
        assert_eq!(fault(&format!("{{\"{long}\":1,\"{long}\":2}}")), field("/aaaaaaaa…", "is given twice"));
    }

    #[test]
    fn shape() {
        for text in ["", "{", "{}x", "{} {}", "\u{0}", "nul", "{'a':1}", r#"{"a":01}"#] {
            assert!(matches!(fault(text), BodyFault::Malformed(_)), "{text:?}");
        }
        for text in ["null", "5", "\"x\"", "[]", "[{}]", "1e400"] {
            assert!(matches!(fault(text), BodyFault::NotAnObject | BodyFault::Malformed(_)), "{text:?}");
        }
        assert!(matches!(parse::<Sample>(b"{\"name\":\"\xff\"}", false), Err(BodyFault::Malformed(_))));
        assert!(parse::<Sample>(b"", true).is_ok());
    }

    #[test]
    fn nesting_is_bounded() {
        let nested =
            |levels: usize| format!("{{\"x\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
        assert!(parse::<Sample>(nested(32).as_bytes(), false).is_ok());
        assert_eq!(fault(&nested(33)), BodyFault::TooDeep);
        assert_eq!(fault(&nested(90)), BodyFault::TooDeep);
        assert_eq!(fault(&format!("{{\"x\":{}", "[".repeat(100_000))), BodyFault::TooDeep);
    }
}
