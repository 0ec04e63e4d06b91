//! Forms: `application/x-www-form-urlencoded`, each name at most once (RFC 6749, 3.2), but for `resource` (RFC 8707, 2).

use std::borrow::Cow;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, header};

use super::failure::Failure;
use crate::json::{self, BodyFault};

/// Most parameters; none of ours needs so many.
const MOST: usize = 32;

/// The one parameter that may be given several times.
const RESOURCE: &str = "resource";

/// The parameters of a request, borrowed from its body.
pub(super) struct Form<'b>(Vec<(Cow<'b, str>, Cow<'b, str>)>);

/// Reads a body, if it is a form.
pub(super) async fn read(headers: &HeaderMap, body: Body) -> Result<Bytes, Failure> {
    if !is_form(headers) {
        return Err(Failure::invalid("the body must be of type application/x-www-form-urlencoded"));
    }
    json::read(body).await.map_err(|fault| match fault {
        BodyFault::Busy => Failure::Unready,
        other => Failure::Body(other),
    })
}

fn is_form(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (types.next(), types.next()) else { return false };
    let essence = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
}

impl<'b> Form<'b> {
    /// Takes a body apart. A parameter without a value counts as left out (RFC 6749, 3.2).
    pub(super) fn parse(body: &'b [u8]) -> Result<Self, Failure> {
        let mut parameters: Vec<(Cow<'b, str>, Cow<'b, str>)> = Vec::new();
        for (name, value) in form_urlencoded::parse(body) {
            if name != RESOURCE && parameters.iter().any(|(known, _)| *known == name) {
                return Err(Failure::invalid("a parameter is given twice"));
            }
            if parameters.len() == MOST {
                return Err(Failure::invalid("there are too many parameters"));
            }
            parameters.push((name, value));
        }
        Ok(Self(parameters))
    }

    /// The value of a parameter.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(known, _)| known == name)?;
        Some(&**value).filter(|value| !value.is_empty())
    }

    /// For whom a token is asked.
    pub(super) fn resources(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(name, value)| name == RESOURCE && !value.is_empty()).map(|(_, value)| &**value)
    }

    /// The token that the request is about.
    pub(super) fn token(&self) -> Result<&str, Failure> {
        self.get("token").ok_or(Failure::invalid("`token` is missing"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_once() {
        let form = Form::parse(b"token=a%3Ab&empty=&other").unwrap();
        assert_eq!((form.get("token"), form.get("empty"), form.get("other")), (Some("a:b"), None, None));
        for twice in ["token=a&token=b", "token=&token=a", "t%6Fken=a&token=a"] {
            assert!(Form::parse(twice.as_bytes()).is_err(), "{twice}");
        }
        let many: Vec<String> = (0..33).map(|number| format!("a{number}=b")).collect();
        assert!(Form::parse(many.join("&").as_bytes()).is_err());
    }
}
