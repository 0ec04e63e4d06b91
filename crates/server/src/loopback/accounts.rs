//! The operations on accounts, but for logging in.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use countersign_authority::AccountStep;
use countersign_domain::account::Account;
use countersign_domain::email::Email;
use countersign_domain::error::Denial;
use http::{HeaderName, HeaderValue, StatusCode, Uri};
use serde::Serialize;
use utoipa::ToSchema;

use super::account_body::{AccountInput, AccountOutput};
use super::auth::{Anybody, Asking, Calling};
use super::error::Failures;
use super::failure::Failure;
use super::filter::{Paging, Unfiltered};
use super::kept::Edition;
use crate::App;
use crate::wire::{json_answer, json_body, json_text};

pub(super) static X_TOTAL_COUNT: HeaderName = HeaderName::from_static("x-total-count");

/// How many.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Count {
    pub(super) count: u64,
}

/// Whether an address is free.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Unique {
    is_unique: bool,
}

/// Whether mail to an address has arrived.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Verified {
    is_verified: bool,
}

/// `{"success":true}`: it is done.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Success {
    success: bool,
}

impl Success {
    /// 200.
    pub(super) fn answer() -> Response {
        json_answer(StatusCode::OK, &Self { success: true })
    }
}

impl App {
    /// An account as this wire shows it.
    pub(super) fn shown(&self, account: &Account) -> AccountOutput {
        AccountOutput::of(account, self.authority.root_of(account.id))
    }
}

/// `POST /v1/Accounts`: makes an account below the caller's; without a credential below the root, where sign-up is open.
///
/// Needs `countersign:accounts:write`; a caller with any restriction states no password.
#[utoipa::path(
    post,
    path = "/v1/Accounts",
    operation_id = "create_account",
    request_body(content((AccountInput = "application/json"), (AccountInput = "application/x-www-form-urlencoded"))),
    responses((status = 200, description = "the account", body = AccountOutput), Failures),
    tag = "accounts"
)]
pub(super) async fn create(
    State(app): State<Arc<App>>,
    anybody: Anybody,
    input: AccountInput,
) -> Result<Response, Failure> {
    let account = match &anybody.calling {
        Some(calling) => app.authority.create_account(calling.asked(), input.wanted()?).await?,
        None if app.authority.is_sign_up_open() => {
            app.authority.sign_up(input.wanted()?, &anybody.origin).await?
        }
        None => return Err(Failure::Denied(Denial::NoSignUp)),
    };
    Ok(json_answer(StatusCode::OK, &app.shown(&account)))
}

/// `GET /v1/Accounts`: the accounts directly below the caller's, in the order they were made.
///
/// Needs `countersign:accounts:read`.
#[utoipa::path(
    get,
    path = "/v1/Accounts",
    operation_id = "list_accounts",
    params(("filter" = Option<String>, Query, description = "JSON or brackets: `limit` (at most 100) and `skip`")),
    responses((status = 200, description = "a page", body = Vec<AccountOutput>,
            headers(("x-total-count" = u64, description = "how many there are in all"))), Failures),
    tag = "accounts"
)]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    calling: Calling,
    paging: Paging,
) -> Result<Response, Failure> {
    let page = app.authority.list_accounts(calling.asked(), paging.offset, paging.limit).await?;
    let accounts: Vec<_> = page.items.iter().map(|account| app.shown(account)).collect();
    Ok(counted(json_answer(StatusCode::OK, &accounts), page.total))
}

/// A page with how many there are in all.
pub(super) fn counted(mut response: Response, total: u64) -> Response {
    response.headers_mut().insert(&X_TOTAL_COUNT, HeaderValue::from(total));
    response
}

/// `GET /v1/Accounts/count`: how many accounts are directly below the caller's.
///
/// Needs `countersign:accounts:read`.
#[utoipa::path(
    get,
    path = "/v1/Accounts/count",
    operation_id = "count_accounts",
    responses((status = 200, description = "how many", body = Count), Failures),
    tag = "accounts"
)]
pub(super) async fn count(
    State(app): State<Arc<App>>,
    calling: Calling,
    Unfiltered: Unfiltered,
) -> Result<Response, Failure> {
    let page = app.authority.list_accounts(calling.asked(), 0, 0).await?;
    Ok(json_answer(StatusCode::OK, &Count { count: page.total }))
}

/// `GET /v1/Accounts/authorized`: the account of the token in use.
///
/// Any good access token will do; no scope is needed.
#[utoipa::path(
    get,
    path = "/v1/Accounts/authorized",
    operation_id = "show_authorized",
    responses((status = 200, description = "the account", body = AccountOutput), Failures),
    tag = "accounts"
)]
pub(super) async fn authorized(State(app): State<Arc<App>>, calling: Calling) -> Result<Response, Failure> {
    let id = calling.caller.account;
    let version = app.authority.version_of(id);
    // Before the account is read, which may be after everything has changed.
    let reloads = app.authority.directory().reloads();
    let known = |version| app.own_accounts.find(id, Edition { version, reloads });
    if let Some(body) = version.and_then(known) {
        return Ok(json_text(StatusCode::OK, body));
    }
    let account = app.authority.load_own_account(&calling.caller).await?;
    let (status, body) = json_body(StatusCode::OK, &app.shown(&account));
    if status == StatusCode::OK {
        app.own_accounts.keep(id, Edition { version: account.version, reloads }, &body);
    }
    Ok(json_text(status, body))
}

/// `GET /v1/Accounts/is-unique?email=`: whether no account has this address. Answers anybody.
#[utoipa::path(
    get,
    path = "/v1/Accounts/is-unique",
    operation_id = "is_email_unique",
    params(("email" = String, Query, description = "the address")),
    responses((status = 200, description = "whether it is free", body = Unique), Failures),
    security(()),
    tag = "accounts"
)]
pub(super) async fn is_unique(State(app): State<Arc<App>>, uri: Uri) -> Result<Response, Failure> {
    app.check_ready()?;
    let query = uri.query().unwrap_or_default();
    let email = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "email");
    let (_, text) = email.ok_or_else(|| Failure::Malformed("email is a required argument".into()))?;
    let invalid = |_| Failure::Coded(StatusCode::BAD_REQUEST, "Invalid email", "INVALID_EMAIL");
    let is_unique = app.authority.is_email_unique(&Email::parse(&text).map_err(invalid)?).await?;
    Ok(json_answer(StatusCode::OK, &Unique { is_unique }))
}

/// `GET /v1/Accounts/{id}`: an account, the caller's or below.
///
/// Needs `countersign:accounts:read`.
#[utoipa::path(
    get,
    path = "/v1/Accounts/{id}",
    operation_id = "show_account",
    params(("id" = String, Path, description = "of the account: 32 hex digits, or `me`")),
    responses((status = 200, description = "the account", body = AccountOutput), Failures),
    tag = "accounts"
)]
pub(super) async fn show(State(app): State<Arc<App>>, asking: Asking) -> Result<Response, Failure> {
    let account = app.authority.load_account(asking.asked()).await?;
    Ok(json_answer(StatusCode::OK, &app.shown(&account)))
}

/// `PATCH /v1/Accounts/{id}`: changes what is stated of an account.
///
/// Needs `countersign:accounts:write`; a caller with any restriction states neither `email` nor `password`. Another
/// address or password ends the account's access tokens, but for the one in use.
#[utoipa::path(
    patch,
    path = "/v1/Accounts/{id}",
    operation_id = "update_account",
    params(("id" = String, Path, description = "of the account: 32 hex digits, or `me`")),
    request_body(content((AccountInput = "application/json"), (AccountInput = "application/x-www-form-urlencoded"))),
    responses((status = 200, description = "the account", body = AccountOutput), Failures),
    tag = "accounts"
)]
pub(super) async fn update(
    State(app): State<Arc<App>>,
    asking: Asking,
    input: AccountInput,
) -> Result<Response, Failure> {
    let merge = |before: &_| input.merge(before);
    let account = app.authority.update_account(asking.asked(), input.patch()?, &merge).await?;
    Ok(json_answer(StatusCode::OK, &app.shown(&account)))
}

/// `DELETE /v1/Accounts/{id}`: ends an account and everything below it before this is answered.
///
/// Needs `countersign:accounts:write`.
#[utoipa::path(
    delete,
    path = "/v1/Accounts/{id}",
    operation_id = "delete_account",
    params(("id" = String, Path, description = "of the account: 32 hex digits, or `me`")),
    responses((status = 200, description = "it is done", body = Count), Failures),
    tag = "accounts"
)]
pub(super) async fn delete(State(app): State<Arc<App>>, asking: Asking) -> Result<Response, Failure> {
    app.authority.step_account(asking.asked(), AccountStep::Delete).await?;
    Ok(json_answer(StatusCode::OK, &Count { count: 1 }))
}

/// `POST /v1/Accounts/{id}/disable`: stops an account and everything below it before this is answered.
///
/// Needs `countersign:accounts:write`.
#[utoipa::path(
    post,
    path = "/v1/Accounts/{id}/disable",
    operation_id = "disable_account",
    params(("id" = String, Path, description = "of the account: 32 hex digits, or `me`")),
    responses((status = 200, description = "it is done", body = Success), Failures),
    tag = "accounts"
)]
pub(super) async fn disable(State(app): State<Arc<App>>, asking: Asking) -> Result<Response, Failure> {
    app.authority.step_account(asking.asked(), AccountStep::Disable).await?;
    Ok(Success::answer())
}

/// `POST /v1/Accounts/{id}/enable`: lets an account that was stopped go on.
///
/// Needs `countersign:accounts:write` and a token without restrictions.
#[utoipa::path(
    post,
    path = "/v1/Accounts/{id}/enable",
    operation_id = "enable_account",
    params(("id" = String, Path, description = "of the account: 32 hex digits")),
    responses((status = 200, description = "it is done", body = Success), Failures),
    tag = "accounts"
)]
pub(super) async fn enable(State(app): State<Arc<App>>, asking: Asking) -> Result<Response, Failure> {
    app.authority.step_account(asking.asked(), AccountStep::Enable).await?;
    Ok(Success::answer())
}

/// `POST /v1/Accounts/{id}/revoke-access-tokens`: ends every access token of an account but the one in use, before this
/// is answered.
///
/// Needs `countersign:access-tokens:write`.
#[utoipa::path(
    post,
    path = "/v1/Accounts/{id}/revoke-access-tokens",
    operation_id = "revoke_access_tokens",
    params(("id" = String, Path, description = "of the account: 32 hex digits, or `me`")),
    responses((status = 200, description = "it is done", body = Success), Failures),
    tag = "access_tokens"
)]
pub(super) async fn revoke_access_tokens(
    State(app): State<Arc<App>>,
    asking: Asking,
) -> Result<Response, Failure> {
    app.authority.revoke_all_access_tokens(asking.asked()).await?;
    Ok(Success::answer())
}

/// `GET /v1/Accounts/{id}/is-verified`: whether mail to the account's address has arrived. None is sent yet.
///
/// Needs `countersign:accounts:read`.
#[utoipa::path(
    get,
    path = "/v1/Accounts/{id}/is-verified",
    operation_id = "is_account_verified",
    params(("id" = String, Path, description = "of the account: 32 hex digits, or `me`")),
    responses((status = 200, description = "whether it has", body = Verified), Failures),
    tag = "accounts"
)]
pub(super) async fn is_verified(State(app): State<Arc<App>>, asking: Asking) -> Result<Response, Failure> {
    app.authority.load_account(asking.asked()).await?;
    Ok(json_answer(StatusCode::OK, &Verified { is_verified: false }))
}
