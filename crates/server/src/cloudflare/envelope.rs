//! The v4 envelope: `{"success", "errors", "messages", "result", "result_info"?}` (cloudflare-access.md 2).

use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::wire::{Problem, abridged, json_answer};

/// The envelope. On success `errors` and `messages` stay empty: some clients type them as lists of strings.
#[derive(Debug, Serialize)]
struct Envelope<T> {
    success: bool,
    errors: Vec<ErrorItem>,
    messages: [(); 0],
    result: Option<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result_info: Option<ResultInfo>,
}

/// One error.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErrorItem {
    /// As Cloudflare numbers it.
    pub(super) code: u32,
    /// What is wrong.
    pub(super) message: String,
    /// The value that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) source: Option<Source>,
    /// The gateway's details.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) error_chain: Vec<ChainItem>,
}

/// Where a wrong value stands.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Source {
    /// A JSON pointer into the body, or `/` and the name of a query parameter.
    pub(super) pointer: String,
}

/// A detail of an error.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ChainItem {
    pub(super) code: u32,
    pub(super) message: &'static str,
}

/// Where a page stands in the whole.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ResultInfo {
    /// The page, from 1.
    pub(super) page: u64,
    /// Most rows of a page.
    pub(super) per_page: u32,
    /// Rows of this page.
    pub(super) count: usize,
    /// Rows that match in all.
    pub(super) total_count: u64,
    /// Pages that are not empty.
    pub(super) total_pages: u64,
}

impl ErrorItem {
    /// An error without details.
    pub(super) fn new(code: u32, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), source: None, error_chain: Vec::new() }
    }
}

/// A success.
pub(super) fn success<T: Serialize>(status: StatusCode, result: T) -> Response {
    json_answer(status, &enveloped(result, None))
}

/// A page.
pub(super) fn page<T: Serialize>(result: Vec<T>, info: ResultInfo) -> Response {
    json_answer(StatusCode::OK, &enveloped(result, Some(info)))
}

fn enveloped<T>(result: T, result_info: Option<ResultInfo>) -> Envelope<T> {
    Envelope { success: true, errors: Vec::new(), messages: [], result: Some(result), result_info }
}

/// A failure.
pub(super) fn failure(status: StatusCode, errors: Vec<ErrorItem>) -> Response {
    let envelope: Envelope<()> =
        Envelope { success: false, errors, messages: [], result: None, result_info: None };
    json_answer(status, &envelope)
}

/// What can go wrong whatever the route.
pub(crate) fn refuse(problem: &Problem<'_>) -> Response {
    match problem {
        Problem::NoRoute { path } => no_route(path),
        Problem::WrongMethod { method } => {
            let error = ErrorItem::new(10000, format!("{method} method not allowed"));
            failure(StatusCode::METHOD_NOT_ALLOWED, vec![error])
        }
        Problem::Unavailable { request_id, .. } => {
            let message =
                format!("access.api.error.unavailable: try again in a moment (request {request_id})");
            failure(StatusCode::SERVICE_UNAVAILABLE, vec![ErrorItem::new(10001, message)])
        }
        Problem::Fault { request_id } => {
            let message = format!("access.api.error.internal_server_error (request {request_id})");
            failure(StatusCode::INTERNAL_SERVER_ERROR, vec![ErrorItem::new(10001, message)])
        }
    }
}

/// 404 with the gateway's two errors.
pub(super) fn no_route(path: &str) -> Response {
    let shown = path.split('/').map(abridged).collect::<Vec<_>>().join("/");
    let shown: String = shown.chars().take(200).collect();
    let first = format!("Could not route to {shown}, perhaps your object identifier is invalid?");
    let errors = vec![ErrorItem::new(7003, first), ErrorItem::new(7000, "No route for that URI")];
    failure(StatusCode::NOT_FOUND, errors)
}
