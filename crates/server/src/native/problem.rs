//! The error shape (RFC 9457), and how answers are written.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

use crate::wire::{Problem, json_answer};

const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// Every error of this wire.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProblemBody {
    /// `about:blank`: the status says it all.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The status in words.
    title: &'static str,
    /// The status of the answer.
    status: u16,
    /// What is wrong here.
    detail: String,
    /// The value that is wrong: a query parameter, or a path into the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// Finds the request in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
}

/// What every operation of this wire can answer beside what it is for.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes what failures print")]
pub(super) enum Failures {
    /// The request is not good, or not allowed.
    #[response(status = "4XX", content_type = "application/problem+json")]
    Refused(ProblemBody),
    /// A fault of the server's, or too much at once.
    #[response(status = "5XX", content_type = "application/problem+json")]
    Faulty(ProblemBody),
}

impl ProblemBody {
    /// A problem without a field.
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or_default(),
            status: status.as_u16(),
            detail: detail.into(),
            field: None,
            request_id: None,
        }
    }

    /// 400: a value is wrong; `reason` is a fragment that follows the field's name.
    pub(super) fn of_field(field: String, reason: &str) -> Self {
        let problem = Self::new(StatusCode::BAD_REQUEST, format!("{field} {reason}"));
        Self { field: Some(field), ..problem }
    }

    fn of_request(status: StatusCode, detail: &str, request_id: &str) -> Self {
        Self { request_id: Some(request_id.to_owned()), ..Self::new(status, detail) }
    }
}

impl IntoResponse for ProblemBody {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = json_answer(status, &self);
        response.headers_mut().insert(header::CONTENT_TYPE, PROBLEM_JSON);
        response
    }
}

/// What can go wrong whatever the route.
pub(crate) fn refuse(problem: &Problem<'_>) -> Response {
    let problem = match problem {
        Problem::NoRoute { .. } => ProblemBody::new(StatusCode::NOT_FOUND, "there is nothing at this path"),
        Problem::WrongMethod { .. } => ProblemBody::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "this path has other methods; `Allow` names them",
        ),
        Problem::Unavailable { request_id, .. } => {
            let detail = "this cannot be answered now; ask again in a moment";
            ProblemBody::of_request(StatusCode::SERVICE_UNAVAILABLE, detail, request_id)
        }
        Problem::Fault { request_id } => {
            let detail = "a fault of the server's; its log has the cause under the request's id";
            ProblemBody::of_request(StatusCode::INTERNAL_SERVER_ERROR, detail, request_id)
        }
    };
    problem.into_response()
}
