//! LoopBack's error object, `{"error":{"statusCode","name","message","code"?,"details"?}}`, and how answers are
//! written.

use std::collections::BTreeMap;

use axum::extract::Request;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

use super::path::{shown, shown_account};
use crate::observe::method_word;
use crate::wire::{Problem, json_answer};

/// Longest path that an answer repeats, in characters.
const LONGEST_PATH: usize = 200;

/// Every error of this wire.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErrorBody {
    error: ErrorObject,
}

/// What every operation of this wire can answer beside what it is for.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes what failures print")]
pub(super) enum Failures {
    /// The request is not good, or not allowed.
    #[response(status = "4XX")]
    Refused(ErrorBody),
    /// A fault of the server's, or too much at once.
    #[response(status = "5XX")]
    Faulty(ErrorBody),
}

/// What is wrong. Faults of ours have neither `name` nor `code`, as in LoopBack, but the id of the request.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ErrorObject {
    /// The status of the answer.
    #[schema(value_type = u16)]
    #[serde(serialize_with = "as_number")]
    status_code: StatusCode,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'static str>,
    /// For people.
    message: String,
    /// For programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details>,
    /// Finds the request in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
}

/// What is wrong with one property.
#[derive(Debug)]
pub(super) struct Flaw {
    /// Its name.
    pub(super) property: &'static str,
    /// LoopBack's word for it.
    pub(super) code: &'static str,
    /// A fragment that follows its name.
    pub(super) reason: String,
}

impl Flaw {
    /// It is missing.
    pub(super) fn blank(property: &'static str) -> Self {
        Self { property, code: "presence", reason: "can't be blank".to_owned() }
    }
}

/// Which properties of an instance are not valid.
#[derive(Debug, Serialize, ToSchema)]
struct Details {
    /// The model.
    context: &'static str,
    /// By property.
    codes: BTreeMap<&'static str, [&'static str; 1]>,
    /// By property.
    messages: BTreeMap<&'static str, [String; 1]>,
}

fn as_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

impl ErrorObject {
    /// An error without code and details.
    pub(super) fn new(status: StatusCode, name: &'static str, message: impl Into<String>) -> Self {
        Self { name: Some(name), ..Self::nameless(status, message.into()) }
    }

    /// 422: properties of an instance are not valid.
    pub(super) fn invalid(model: &'static str, flaws: Vec<Flaw>) -> Self {
        let list: Vec<_> = flaws.iter().map(|flaw| format!("`{}` {}", flaw.property, flaw.reason)).collect();
        let message = format!("The `{model}` instance is not valid. Details: {}.", list.join("; "));
        let details = Details {
            context: model,
            codes: flaws.iter().map(|flaw| (flaw.property, [flaw.code])).collect(),
            messages: flaws.into_iter().map(|flaw| (flaw.property, [flaw.reason])).collect(),
        };
        let error = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "ValidationError", message);
        Self { details: Some(details), ..error }
    }

    /// With a word for programs.
    pub(super) fn coded(self, code: &'static str) -> Self {
        Self { code: Some(code), ..self }
    }

    fn nameless(status: StatusCode, message: String) -> Self {
        Self { status_code: status, name: None, message, code: None, details: None, request_id: None }
    }

    /// A fault of ours.
    fn fault(status: StatusCode, request_id: &str) -> Self {
        let message = status.canonical_reason().unwrap_or_default().to_owned();
        Self { request_id: Some(request_id.to_owned()), ..Self::nameless(status, message) }
    }
}

/// An error.
pub(super) fn refused(error: ErrorObject) -> Response {
    json_answer(error.status_code, &ErrorBody { error })
}

/// 401.
pub(super) fn unauthorized(message: &str, code: &'static str) -> Response {
    let mut response = refused(ErrorObject::new(StatusCode::UNAUTHORIZED, "Error", message).coded(code));
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

/// What stands where an account's id should, and is none: as any other account that the caller may not see.
pub(super) async fn no_such_account() -> Response {
    authorization_required()
}

/// The one answer to every denial.
pub(super) fn authorization_required() -> Response {
    unauthorized("Authorization Required", "AUTHORIZATION_REQUIRED")
}

/// Answers whatever no operation answers.
pub(super) async fn no_method(request: Request) -> Response {
    let path = request.uri().path();
    let below = path.strip_prefix("/v1").filter(|rest| !rest.is_empty()).unwrap_or("/");
    not_handled(&format!("{} {}", method_word(request.method()), shown_path(below)))
}

/// What can go wrong whatever the route.
pub(crate) fn refuse(problem: &Problem<'_>) -> Response {
    match problem {
        Problem::NoRoute { path } => not_handled(&shown_path(path)),
        Problem::WrongMethod { method } => not_handled(&format!("{method} here")),
        Problem::Unavailable { request_id, .. } => {
            refused(ErrorObject::fault(StatusCode::SERVICE_UNAVAILABLE, request_id))
        }
        Problem::Fault { request_id } => {
            refused(ErrorObject::fault(StatusCode::INTERNAL_SERVER_ERROR, request_id))
        }
    }
}

fn not_handled(what: &str) -> Response {
    let message = format!("There is no method to handle {what}");
    refused(ErrorObject::new(StatusCode::NOT_FOUND, "Error", message))
}

/// A path as an answer may repeat it.
fn shown_path(path: &str) -> String {
    let mut above = "";
    let part = |segment| {
        let text = percent_decode_str(segment).decode_utf8_lossy();
        let follows_accounts = std::mem::replace(&mut above, segment).eq_ignore_ascii_case("accounts");
        if follows_accounts { shown_account(&text) } else { shown(&text) }
    };
    let whole = path.split('/').map(part).collect::<Vec<_>>().join("/");
    whole.chars().take(LONGEST_PATH).collect()
}
