//! The three operations.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use countersign_domain::access_token::AccessToken;
use countersign_domain::error::Error;
use http::{StatusCode, Uri};

use super::accounts::counted;
use super::auth::Asking;
use super::body::{AccessTokenInput, AccessTokenOutput, Done};
use super::error::Failures;
use super::failure::Failure;
use super::filter::{Fields, Filter};
use crate::App;
use crate::wire::json_answer;

/// `POST …/accessTokens`: makes a token; its text is in `id`, this once.
///
/// Needs `countersign:access-tokens:write`; the new token is within the caller's in every dimension.
#[utoipa::path(
    post,
    path = "/v1/Accounts/{id}/accessTokens",
    operation_id = "create_access_token",
    params(("id" = String, Path, description = "of the account: 32 hex digits, or `me`")),
    request_body(content((Option<AccessTokenInput> = "application/json"),
        (Option<AccessTokenInput> = "application/x-www-form-urlencoded"))),
    responses((status = 200, description = "the token", body = AccessTokenOutput), Failures),
    tag = "access_tokens"
)]
pub(super) async fn create(
    State(app): State<Arc<App>>,
    asking: Asking,
    input: AccessTokenInput,
) -> Result<Response, Failure> {
    let (token, text) = app.authority.issue_access_token(asking.asked(), input.wanted()?).await?;
    Ok(json_answer(StatusCode::OK, &AccessTokenOutput::issued(&token, &text)))
}

/// `GET …/accessTokens`: live tokens, in the order they were made unless the filter has another.
///
/// Needs `countersign:access-tokens:read`.
#[utoipa::path(
    get,
    path = "/v1/Accounts/{id}/accessTokens",
    operation_id = "list_access_tokens",
    params(("id" = String, Path, description = "of the account: 32 hex digits, or `me`"),
        ("filter" = Option<String>, Query, description = "JSON, or in brackets as `filter[where][ttl][gt]=60`: \
            `where` (properties id, ttl, scopes, created, userId, name; operators eq, neq, gt, gte, lt, lte, between, inq, \
            nin, like, nlike, ilike, nilike, regexp; `and`, `or`), `order`, `fields`, `limit` (at most 100), `skip`, \
            `include`")),
    responses((status = 200, description = "a page", body = Vec<AccessTokenOutput>,
            headers(("x-total-count" = u64, description = "how many match in all"))), Failures),
    tag = "access_tokens"
)]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    asking: Asking,
    filter: Filter,
) -> Result<Response, Failure> {
    let page = app.authority.list_access_tokens(asking.asked(), filter.list).await?;
    let listed = |token: &AccessToken| match app.authority.reveal_access_token(asking.caller(), token) {
        Some(text) => AccessTokenOutput::issued(token, &text),
        None => AccessTokenOutput::listed(token),
    };
    let mut tokens: Vec<_> = page.items.iter().map(listed).collect();
    if let Some(fields) = &filter.user {
        let account = app.shown(&app.authority.load_account(asking.asked()).await?);
        tokens = tokens.into_iter().map(|token| token.with_user(&account, Some(fields))).collect();
    }
    let response = match &filter.fields {
        Fields::All => json_answer(StatusCode::OK, &tokens),
        some => json_answer(StatusCode::OK, &tokens.iter().map(|token| some.of(token)).collect::<Vec<_>>()),
    };
    Ok(counted(response, page.total))
}

/// `DELETE …/accessTokens/{fk}`: ends a token before this is answered.
///
/// Needs `countersign:access-tokens:write`, except for the token in use.
#[utoipa::path(
    delete,
    path = "/v1/Accounts/{id}/accessTokens/{fk}",
    operation_id = "delete_access_token",
    params(("id" = String, Path, description = "of the account: 32 hex digits, or `me`"),
        ("fk" = String, Path, description = "the token's handle or its whole text"),
        ("descendants" = Option<bool>, Query, description = "`true`: with everything that stems from it")),
    responses((status = 200, description = "it is done", body = Done), Failures),
    tag = "access_tokens"
)]
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    asking: Asking,
    uri: Uri,
) -> Result<Response, Failure> {
    let (key, descendants) = (asking.foreign_key(), with_descendants(&uri)?);
    match app.authority.revoke_access_token(asking.asked(), key.handle, descendants).await {
        Ok(()) => Ok(json_answer(StatusCode::OK, &Done {})),
        Err(Error::NotFound) => Err(Failure::NoInstance { shown: key.shown }),
        Err(other) => Err(other.into()),
    }
}

/// What is not understood is refused: to end less than was meant is as bad as to end more.
fn with_descendants(uri: &Uri) -> Result<bool, Failure> {
    let query = uri.query().unwrap_or_default();
    let stated = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "descendants");
    let mut stated = stated.map(|(_, value)| value);
    match (stated.next().as_deref(), stated.next()) {
        (None, _) | (Some("false"), None) => Ok(false),
        (Some("true"), None) => Ok(true),
        _ => Err(Failure::Malformed("descendants must be true or false, once".into())),
    }
}
