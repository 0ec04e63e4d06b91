//! What a door answers. Bearers who are turned away all see the same bytes.

use std::fmt::Write as _;

use bytes::Bytes;
use countersign_authority::{Granted, Known, Refused};
use countersign_domain::id::TokenRef;
use countersign_domain::scope::Scope;
use countersign_domain::verdict::{Outgoing, Refusal};
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::DoorResponse;
use crate::limits::{say_exceeded, say_left};
use crate::time_text::http_date;

static ACCOUNT: HeaderName = HeaderName::from_static("x-countersign-account");
static TOKEN: HeaderName = HeaderName::from_static("x-countersign-token");
static KIND: HeaderName = HeaderName::from_static("x-countersign-kind");
static NAME: HeaderName = HeaderName::from_static("x-countersign-name");
static SCOPES: HeaderName = HeaderName::from_static("x-countersign-scopes");
static ORGANIZATIONS: HeaderName = HeaderName::from_static("x-countersign-organizations");
/// Who it is, signed, for a service that believes nobody else.
static ASSERTION: HeaderName = HeaderName::from_static("cf-access-jwt-assertion");
static DEPRECATION: HeaderName = HeaderName::from_static("deprecation");
static SUNSET: HeaderName = HeaderName::from_static("sunset");

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const NOTHING: HeaderValue = HeaderValue::from_static("");

/// Longest name in a header, in bytes.
const LONGEST_NAME: usize = 256;
/// Longest list in a header, in bytes, before it is cut.
const LONGEST_LIST: usize = 1024;
/// Length of an organization's id.
const ID: usize = 32;
/// So many ids, joined by commas, fit into a list.
const MOST_ORGANIZATIONS: usize = (LONGEST_LIST + 1) / (ID + 1);
/// Printable ASCII stays; `%` itself is encoded, so that decoding is unambiguous.
const UNPRINTABLE: &AsciiSet = &CONTROLS.add(b'%');

/// 200 with who it is. Every header is there, so that a client's own copy is always overwritten.
pub(super) fn granted(granted: &Granted, assertion: Option<&str>) -> DoorResponse {
    let fact = &granted.known.fact;
    let mut response = Response::new(Full::new(Bytes::new()));
    let headers = response.headers_mut();
    headers.reserve(8);
    headers.insert(header::CACHE_CONTROL, NO_STORE);
    headers.insert(&ACCOUNT, value(fact.account.encode(&mut [0; 32])));
    headers.insert(&TOKEN, token(fact.token()));
    headers.insert(&KIND, HeaderValue::from_static(fact.kind().as_str()));
    headers.insert(&NAME, name(&fact.name));
    headers.insert(&SCOPES, scopes(granted.scopes().stated()));
    headers.insert(&ORGANIZATIONS, organizations(&granted.known));
    if let Some(Outgoing { deprecated_at, sunset_at }) = granted.grant.outgoing {
        headers.insert(&DEPRECATION, value(&format!("@{}", deprecated_at.as_seconds())));
        if let Some(date) = http_date(sunset_at) {
            headers.insert(&SUNSET, value(&date));
        }
    }
    if let Some(assertion) = assertion {
        headers.insert(&ASSERTION, value(assertion));
    }
    if let Some(allowance) = &granted.allowance {
        say_left(headers, allowance);
    }
    response
}

/// 401 or 403, the same bytes for every cause of each; 429 with what is left, and when to come again.
pub(super) fn denied(Refused { reason, exceeded }: &Refused) -> DoorResponse {
    let (status, challenge, body) = match reason.refusal() {
        Refusal::Unauthenticated => (
            StatusCode::UNAUTHORIZED,
            Some("Bearer realm=\"countersign\", error=\"invalid_token\""),
            "{\"error\":\"invalid_token\"}",
        ),
        Refusal::Forbidden => (
            StatusCode::FORBIDDEN,
            Some("Bearer realm=\"countersign\", error=\"insufficient_scope\""),
            "{\"error\":\"insufficient_scope\"}",
        ),
        Refusal::Limited => (StatusCode::TOO_MANY_REQUESTS, None, "{\"error\":\"rate_limited\"}"),
    };
    let mut response = fixed(status, body);
    let headers = response.headers_mut();
    if let Some(challenge) = challenge {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    if let Some(exceeded) = exceeded {
        say_exceeded(headers, exceeded);
    }
    response
}

/// 503: nothing is known yet.
pub(super) fn unready() -> DoorResponse {
    let mut response = fixed(StatusCode::SERVICE_UNAVAILABLE, "{\"error\":\"temporarily_unavailable\"}");
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// 403 for whoever connects without the certificate that the doors ask for: a proxy that is not set up yet, or nobody
/// who has any business here.
pub(super) fn without_certificate() -> DoorResponse {
    fixed(StatusCode::FORBIDDEN, "{\"error\":\"client_certificate_required\"}")
}

fn fixed(status: StatusCode, body: &'static str) -> DoorResponse {
    let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, NO_STORE);
    headers.insert(header::CONTENT_TYPE, JSON);
    response
}

/// Whether a header, named in lower case, says who it is that was let in.
pub(super) fn is_identity(name: &str) -> bool {
    [&ACCOUNT, &TOKEN, &KIND, &NAME, &SCOPES, &ORGANIZATIONS].into_iter().any(|identity| *identity == name)
}

/// Whether a header of a grant is meant for the client, and not for the app.
pub(super) fn is_for_client(name: &HeaderName) -> bool {
    *name == DEPRECATION || *name == SUNSET
}

/// A value that is printable by construction; an empty one where it is not after all.
fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(NOTHING)
}

fn token(token: TokenRef) -> HeaderValue {
    match token {
        TokenRef::Service(id) => value(id.encode(&mut [0; 36])),
        TokenRef::Access(handle) => value(handle.as_str()),
    }
}

/// The name in printable ASCII, cut between characters. Most names need neither.
fn name(name: &str) -> HeaderValue {
    let stays = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'%';
    if name.len() <= LONGEST_NAME && name.bytes().all(stays) {
        return value(name);
    }
    let mut text = String::with_capacity(LONGEST_NAME);
    for character in name.chars() {
        let mut buffer = [0; 4];
        let encoded = utf8_percent_encode(character.encode_utf8(&mut buffer), UNPRINTABLE);
        let before = text.len();
        let _ = write!(text, "{encoded}");
        if text.len() > LONGEST_NAME {
            text.truncate(before);
            break;
        }
    }
    value(&text)
}

/// The ids, as many as fit. Most credentials have none.
fn organizations(known: &Known) -> HeaderValue {
    let list = known.organizations(MOST_ORGANIZATIONS + 1);
    if list.is_empty() {
        return NOTHING;
    }
    let mut text = String::with_capacity(list.len() * (ID + 1));
    for (index, organization) in list.iter().take(MOST_ORGANIZATIONS).enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str(organization.encode(&mut [0; ID]));
    }
    if list.len() > MOST_ORGANIZATIONS {
        text.push_str(",…");
    }
    HeaderValue::from_bytes(text.as_bytes()).unwrap_or(NOTHING)
}

/// `DEFAULT` for an unscoped credential, so that it cannot be mistaken for one that may do nothing.
fn scopes(stated: Option<&[Scope]>) -> HeaderValue {
    let Some(list) = stated else { return HeaderValue::from_static(Scope::DEFAULT) };
    let mut text = String::new();
    for (index, scope) in list.iter().enumerate() {
        if text.len() + 1 + scope.as_str().len() > LONGEST_LIST {
            text.push_str(",…");
            break;
        }
        if index > 0 {
            text.push(',');
        }
        text.push_str(scope.as_str());
    }
    HeaderValue::from_bytes(text.as_bytes()).unwrap_or(NOTHING)
}
