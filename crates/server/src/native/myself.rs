//! A bearer about itself.

use axum::response::Response;
use http::StatusCode;

use super::auth::Recognised;
use super::identity::Identity;
use super::problem::Failures;
use crate::wire::json_answer;

/// `GET /api/v1/self`: tells a bearer about itself.
///
/// Any good credential of either kind will do; no scope is needed.
#[utoipa::path(
    get,
    path = "/api/v1/self",
    operation_id = "show_self",
    responses((status = 200, description = "who it is", body = Identity), Failures),
    security(("bearer" = []), ("basic" = []), ("bare" = []), ("header" = []), ("client_id" = [], "client_secret" = [])),
    tag = "verification"
)]
pub(super) async fn show(Recognised(granted): Recognised) -> Response {
    json_answer(StatusCode::OK, &Identity::of(&granted))
}
