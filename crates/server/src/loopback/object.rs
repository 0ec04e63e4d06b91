//! Bodies as objects, be they JSON or a form: every operation reads its own from here.

use axum::extract::Request;
use http::{HeaderMap, header};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::brackets::{BracketFault, parse_form};
use super::failure::Failure;
use crate::json::{self, BodyFault};

/// Longest part of a header that an answer repeats, in characters.
const LONGEST_ECHO: usize = 22;

/// What a body is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    UrlEncoded,
}

/// The body of a request. None at all and `null` are the empty object (B02, B37). Every value of a form is a text, a
/// list or an object.
pub(super) async fn read_object(request: Request) -> Result<Map<String, Value>, Failure> {
    let (parts, body) = request.into_parts();
    let bytes = json::read(body).await?;
    if bytes.is_empty() {
        return Ok(Map::new());
    }
    match form(&parts.headers)? {
        Form::Json if bytes.trim_ascii() == b"null" => Ok(Map::new()),
        Form::Json => json::parse(&bytes, false).map_err(Failure::Body),
        Form::UrlEncoded => of_form(&bytes).map_err(Failure::Body),
    }
}

/// The body of a request as a type that names its properties.
pub(super) async fn read_typed<T: DeserializeOwned>(request: Request) -> Result<T, Failure> {
    json::from_object(read_object(request).await?).map_err(Failure::Body)
}

fn of_form(bytes: &[u8]) -> Result<Map<String, Value>, BodyFault> {
    let not_utf8 = || BodyFault::Malformed("not UTF-8".into());
    let text = std::str::from_utf8(bytes).map_err(|_| not_utf8())?;
    parse_form(text).map_err(|fault| match fault {
        BracketFault::TooDeep => BodyFault::TooDeep,
        BracketFault::TooMany => BodyFault::TooLarge,
        BracketFault::Undecodable => not_utf8(),
        BracketFault::Name(name, why) => BodyFault::field(&name, why),
    })
}

/// Only JSON and forms in UTF-8 are read. A body without a type is taken for JSON, so a form without one is malformed:
/// LoopBack ignores such bodies without a word and makes another token than was wanted (B5).
fn form(headers: &HeaderMap) -> Result<Form, Failure> {
    let text = |name| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).to_lowercase());
    let encoding = text(header::CONTENT_ENCODING).filter(|encoding| encoding != "identity");
    if let Some(encoding) = encoding {
        return Err(unsupported("content encoding", &encoding));
    }
    let Some(media_type) = text(header::CONTENT_TYPE) else { return Ok(Form::Json) };
    let (essence, parameters) = media_type.split_once(';').unwrap_or((&media_type, ""));
    let form = match essence.trim() {
        "application/x-www-form-urlencoded" => Form::UrlEncoded,
        "application/json" => Form::Json,
        other if other.ends_with("+json") => Form::Json,
        _ => {
            let message = "the body must be application/json or application/x-www-form-urlencoded";
            return Err(Failure::UnsupportedBody(message.into()));
        }
    };
    let charset = parameters.split(';').find_map(|parameter| parameter.trim().strip_prefix("charset="));
    match charset.map(|charset| charset.trim_matches('"')) {
        None | Some("utf-8" | "utf8") => Ok(form),
        Some(charset) => Err(unsupported("charset", &charset.to_uppercase())),
    }
}

/// In LoopBack's words, which repeat what was said; of what is long, the beginning.
fn unsupported(what: &str, stated: &str) -> Failure {
    let shown: String = stated.chars().take(LONGEST_ECHO).collect();
    Failure::UnsupportedBody(format!("unsupported {what} \"{shown}\""))
}
