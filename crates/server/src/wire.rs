//! Which wire a path belongs to, and the answers that every wire must be able to give in its own shape.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use bytes::Bytes;
use countersign_domain::error::{Denial, Error};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::{cloudflare, loopback, native, oauth};

/// Longest word of a client's own that an answer repeats whole: every credential is longer.
const LONGEST_ECHO: usize = 22;
/// Of a longer word, this much is repeated.
const SHORT_ECHO: usize = 8;

/// The one name of ours that is longer than [`LONGEST_NAME`].
const LONG_NAME: &str = "previous_client_secret_expires_at";
/// Longest word that may be taken for a name of ours: the shortest root token is longer.
const LONGEST_NAME: usize = 31;

/// A word of a client's own, such as a part of a path or a key in a body, as an answer may repeat it: clients do put
/// secrets in such places. Words that look like names of ours stay whole.
pub(crate) fn abridged(word: &str) -> Cow<'_, str> {
    let looks_like_name = word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let is_name = looks_like_name && word.len() <= LONGEST_NAME || word == LONG_NAME;
    if is_name || word.chars().count() <= LONGEST_ECHO {
        return Cow::Borrowed(word);
    }
    Cow::Owned(word.chars().take(SHORT_ECHO).chain(['…']).collect())
}

/// A family of routes with one error shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    /// `/client/v4/…` and `/accounts/…`: the v4 envelope.
    Cloudflare,
    /// `/v1/…`: LoopBack's error object.
    LoopBack,
    /// `/oauth2/…` and `/.well-known/…`: RFC 6749.
    OAuth,
    /// Everything else: RFC 9457.
    Native,
}

/// What can go wrong before or behind the handlers, whatever the route.
#[derive(Debug)]
pub(crate) enum Problem<'a> {
    /// No such path.
    NoRoute {
        /// As it came, without the query.
        path: &'a str,
    },
    /// The path exists, with other methods.
    WrongMethod {
        /// As it came.
        method: &'a str,
    },
    /// The store cannot be reached, or too much goes on at once.
    Unavailable {
        /// In log and answer.
        request_id: &'a str,
        /// When to ask again.
        retry_after: Duration,
    },
    /// A fault of ours.
    Fault {
        /// In log and answer.
        request_id: &'a str,
    },
}

impl Wire {
    /// The wire of a path; case does not matter where it does not for the routes.
    pub(crate) fn of(path: &str) -> Self {
        let begins = |prefix: &str| {
            path.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
                && matches!(path.as_bytes().get(prefix.len()), None | Some(b'/'))
        };
        if path.starts_with("/client/v4/") || path == "/client/v4" || path.starts_with("/accounts/") {
            return Self::Cloudflare;
        }
        if oauth::is_path(path) {
            return Self::OAuth;
        }
        if begins("/v1") { Self::LoopBack } else { Self::Native }
    }

    /// The problem in the wire's shape.
    pub(crate) fn refuse(self, problem: &Problem<'_>) -> Response {
        let mut response = match self {
            Self::Cloudflare => cloudflare::refuse(problem),
            Self::LoopBack => loopback::refuse(problem),
            Self::OAuth => oauth::refuse(problem),
            Self::Native => native::refuse(problem),
        };
        if let Problem::Unavailable { retry_after, .. } = problem {
            let seconds = HeaderValue::from(retry_after.as_secs().max(1));
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}

/// Room for the body of an answer: most fit, a page grows.
const USUAL_BODY: usize = 1024;

/// An answer in JSON. Secrets are in some, and all are true for a moment and meant for one caller, so nobody on the way
/// may keep it.
pub(crate) fn json_answer<T: Serialize>(status: StatusCode, body: &T) -> Response {
    let (status, text) = json_body(status, body);
    json_text(status, text)
}

/// Status and text of [`json_answer`], for [`json_text`].
pub(crate) fn json_body<T: Serialize>(mut status: StatusCode, body: &T) -> (StatusCode, Bytes) {
    let mut bytes = Vec::with_capacity(USUAL_BODY);
    if let Err(error) = serde_json::to_writer(&mut bytes, body) {
        // Never: what we answer with is made of texts, numbers and lists.
        tracing::error!(%error, "an answer could not be written");
        bytes.clear();
        status = StatusCode::INTERNAL_SERVER_ERROR;
    }
    (status, bytes.into())
}

/// As [`json_answer`], of a text that is JSON.
pub(crate) fn json_text(status: StatusCode, text: Bytes) -> Response {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Why a caller with a good credential was denied. Its answer does not say; it travels in the response's extensions to
/// [`crate::observe`], which logs it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Denied(pub(crate) Denial);

impl Denied {
    /// The answer with the cause of the denial beside it.
    pub(crate) fn beside(denial: Denial, mut response: Response) -> Response {
        response.extensions_mut().insert(Self(denial));
        response
    }
}

/// A fault that a handler met. It travels in the response's extensions to [`crate::observe`], which logs it once
/// with its chain of causes and writes the answer with the request's id.
#[derive(Clone)]
pub(crate) struct Fault(pub(crate) Arc<Error>);

impl Fault {
    /// An answer that carries the fault; its status and body are written later.
    pub(crate) fn response(error: Error) -> Response {
        let mut response = Response::default();
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response.extensions_mut().insert(Self(Arc::new(error)));
        response
    }
}
