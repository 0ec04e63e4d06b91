//! A bearer about itself.

use axum::response::Response;
use http::StatusCode;

use super::auth::Recognised;
use super::identity::Identity;
use super::problem::{ProblemBody, answer};

/// `GET /api/v1/self`: tells the bearer of a good credential of either kind whose it is and what it may be used for.
#[utoipa::path(
    get,
    path = "/api/v1/self",
    operation_id = "show_self",
    responses((status = 200, body = Identity),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", body = ProblemBody, content_type = "application/problem+json")),
    security(("bearer" = []), ("basic" = []), ("bare" = []), ("header" = []), ("client_id" = [], "client_secret" = [])),
    tag = "verification"
)]
pub(super) async fn show(Recognised(granted): Recognised) -> Response {
    answer(StatusCode::OK, &Identity::of(&granted))
}
