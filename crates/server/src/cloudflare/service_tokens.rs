//! The seven operations.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use countersign_authority::ServiceTokenView;
use countersign_domain::secret::Secret;
use http::StatusCode;

use super::auth::Asking;
use super::body::{Json, NoInput, RotateInput, ServiceTokenInput, ServiceTokenOutput};
use super::envelope::{ResultInfo, page, success};
use super::failure::Failure;
use super::openapi::{Failed, TokenAnswer, TokenPage};
use super::query::ListQuery;
use crate::App;

/// `POST …/service_tokens`: 201 and the token with its secret.
#[utoipa::path(
    post,
    path = "/accounts/{account_id}/access/service_tokens",
    params(("account_id" = String, Path, description = "32 hex digits")),
    request_body = ServiceTokenInput,
    responses(
        (status = 201, description = "the token", body = TokenAnswer),
        (status = "4XX", description = "refused; nothing has changed", body = Failed),
        (status = "5XX", description = "a fault of ours; a change may have been made", body = Failed)
    ),
    tag = "service_tokens"
)]
pub(super) async fn create(
    State(app): State<Arc<App>>,
    asking: Asking,
    Json(input): Json<ServiceTokenInput>,
) -> Result<Response, Failure> {
    let new = input.issue(app.authority.default_lifetime())?;
    let (view, secret) = app.authority.issue_service_token(asking.asked(), new).await?;
    Ok(success(StatusCode::CREATED, ServiceTokenOutput::new(&view, Some(&secret))))
}

/// `GET …/service_tokens`: a page; an empty one past the end, which is how SDKs know that they are there.
#[utoipa::path(
    get,
    path = "/accounts/{account_id}/access/service_tokens",
    params(("account_id" = String, Path, description = "32 hex digits"),
        ("name" = Option<String>, Query, description = "exactly this name"),
        ("search" = Option<String>, Query, description = "substring of name, id or client id"),
        ("page" = Option<u64>, Query, description = "from 1"),
        ("per_page" = Option<u32>, Query, description = "at most 1000")),
    responses(
        (status = 200, description = "a page of tokens", body = TokenPage),
        (status = "4XX", description = "refused; nothing has changed", body = Failed),
        (status = "5XX", description = "a fault of ours; a change may have been made", body = Failed)
    ),
    tag = "service_tokens"
)]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    asking: Asking,
    query: ListQuery,
) -> Result<Response, Failure> {
    let (number, per_page) = (query.page, query.per_page);
    let listed = app.authority.list_service_tokens(asking.asked(), query.list()).await?;
    let info = ResultInfo {
        page: number,
        per_page,
        count: listed.tokens.len(),
        total_count: listed.total,
        total_pages: listed.total.div_ceil(per_page.into()),
    };
    Ok(page(listed.tokens.iter().map(|view| ServiceTokenOutput::new(view, None)).collect(), info))
}

/// `GET …/service_tokens/{id}`.
#[utoipa::path(
    get,
    path = "/accounts/{account_id}/access/service_tokens/{service_token_id}",
    params(("account_id" = String, Path, description = "32 hex digits"),
        ("service_token_id" = String, Path, description = "UUID")),
    responses(
        (status = 200, description = "the token", body = TokenAnswer),
        (status = "4XX", description = "refused; nothing has changed", body = Failed),
        (status = "5XX", description = "a fault of ours; a change may have been made", body = Failed)
    ),
    tag = "service_tokens"
)]
pub(super) async fn show(State(app): State<Arc<App>>, asking: Asking) -> Result<Response, Failure> {
    let view = app.authority.load_service_token(asking.asked(), asking.token()).await?;
    Ok(token(&view, None))
}

/// `PUT …/service_tokens/{id}`: what is absent stays; the secret is shown when the update rotated.
#[utoipa::path(
    put,
    path = "/accounts/{account_id}/access/service_tokens/{service_token_id}",
    params(("account_id" = String, Path, description = "32 hex digits"),
        ("service_token_id" = String, Path, description = "UUID")),
    request_body = ServiceTokenInput,
    responses(
        (status = 200, description = "the token", body = TokenAnswer),
        (status = "4XX", description = "refused; nothing has changed", body = Failed),
        (status = "5XX", description = "a fault of ours; a change may have been made", body = Failed)
    ),
    tag = "service_tokens"
)]
pub(super) async fn update(
    State(app): State<Arc<App>>,
    asking: Asking,
    Json(input): Json<ServiceTokenInput>,
) -> Result<Response, Failure> {
    let (id, patch) = (asking.token(), input.patch()?);
    let (view, secret) =
        app.authority.update_service_token(asking.asked(), id, patch, asking.is_retry).await?;
    Ok(token(&view, secret.as_ref()))
}

/// `DELETE …/service_tokens/{id}`: the token as it was.
#[utoipa::path(
    delete,
    path = "/accounts/{account_id}/access/service_tokens/{service_token_id}",
    params(("account_id" = String, Path, description = "32 hex digits"),
        ("service_token_id" = String, Path, description = "UUID")),
    responses(
        (status = 200, description = "the token", body = TokenAnswer),
        (status = "4XX", description = "refused; nothing has changed", body = Failed),
        (status = "5XX", description = "a fault of ours; a change may have been made", body = Failed)
    ),
    tag = "service_tokens"
)]
pub(super) async fn delete(State(app): State<Arc<App>>, asking: Asking) -> Result<Response, Failure> {
    let view = app.authority.revoke_service_token(asking.asked(), asking.token()).await?;
    Ok(token(&view, None))
}

/// `POST …/service_tokens/{id}/refresh`.
#[utoipa::path(
    post,
    path = "/accounts/{account_id}/access/service_tokens/{service_token_id}/refresh",
    params(("account_id" = String, Path, description = "32 hex digits"),
        ("service_token_id" = String, Path, description = "UUID")),
    responses(
        (status = 200, description = "the token", body = TokenAnswer),
        (status = "4XX", description = "refused; nothing has changed", body = Failed),
        (status = "5XX", description = "a fault of ours; a change may have been made", body = Failed)
    ),
    tag = "service_tokens"
)]
pub(super) async fn refresh(
    State(app): State<Arc<App>>,
    asking: Asking,
    Json(NoInput {}): Json<NoInput>,
) -> Result<Response, Failure> {
    let view = app.authority.refresh_service_token(asking.asked(), asking.token()).await?;
    Ok(token(&view, None))
}

/// `POST …/service_tokens/{id}/rotate`: 200 and the token with its new secret.
#[utoipa::path(
    post,
    path = "/accounts/{account_id}/access/service_tokens/{service_token_id}/rotate",
    params(("account_id" = String, Path, description = "32 hex digits"),
        ("service_token_id" = String, Path, description = "UUID")),
    request_body = Option<RotateInput>,
    responses(
        (status = 200, description = "the token", body = TokenAnswer),
        (status = "4XX", description = "refused; nothing has changed", body = Failed),
        (status = "5XX", description = "a fault of ours; a change may have been made", body = Failed)
    ),
    tag = "service_tokens"
)]
pub(super) async fn rotate(
    State(app): State<Arc<App>>,
    asking: Asking,
    Json(input): Json<RotateInput>,
) -> Result<Response, Failure> {
    let (id, overlap_until) = (asking.token(), input.overlap_until()?);
    let (view, secret) =
        app.authority.rotate_service_token(asking.asked(), id, overlap_until, asking.is_retry).await?;
    Ok(token(&view, Some(&secret)))
}

fn token(view: &ServiceTokenView, secret: Option<&Secret>) -> Response {
    success(StatusCode::OK, ServiceTokenOutput::new(view, secret))
}
