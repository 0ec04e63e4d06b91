//! The OpenAPI documents.

use std::sync::LazyLock;

use axum::extract::{Path, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderValue, header};

use super::problem::{Failures, refuse};
use crate::openapi::documents;
use crate::wire::Problem;

/// By file name. Made once: they are the same as long as the process lives.
static DOCUMENTS: LazyLock<[(String, Bytes); 4]> =
    LazyLock::new(|| documents().map(|(wire, text)| (format!("{wire}.json"), Bytes::from(text))));

/// `GET /openapi/{document}`: the description of a wire (OpenAPI 3.1).
#[utoipa::path(
    get,
    path = "/openapi/{document}",
    operation_id = "show_document",
    params(("document" = String, Path, description = "`cloudflare.json`, `loopback.json`, `native.json` or `oauth.json`")),
    responses((status = 200, description = "the document", body = Object, content_type = "application/json"), Failures),
    security(()),
    tag = "documents"
)]
pub(super) async fn show(Path(name): Path<String>, request: Request) -> Response {
    match DOCUMENTS.iter().find(|(document, _)| *document == name) {
        Some((_, text)) => {
            let json = HeaderValue::from_static("application/json");
            ([(header::CONTENT_TYPE, json)], text.clone()).into_response()
        }
        None => refuse(&Problem::NoRoute { path: request.uri().path() }),
    }
}
