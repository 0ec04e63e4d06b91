//! Who used a token's secrets, and who was turned away with them.

use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use axum::response::Response;
use countersign_domain::id::{AccountId, TokenRef};
use countersign_domain::store::TokenUsage;
use countersign_domain::usage::{Refusals, Usage};
use http::StatusCode;
use http::request::Parts;
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::Asking;
use super::failure::Failure;
use super::problem::Failures;
use super::query::Parameters;
use crate::App;
use crate::time_text::rfc3339;
use crate::wire::json_answer;

/// What was recorded about a token.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UsageOutput {
    /// An id or a handle.
    token: String,
    /// Of each secret that was used, newest first.
    secrets: Vec<SecretUsageOutput>,
    /// Of each minute and reason, newest first, at most 1000.
    refusals: Vec<RefusalsOutput>,
}

/// Uses of one secret.
#[derive(Debug, Serialize, ToSchema)]
struct SecretUsageOutput {
    /// The secret's number.
    version: u32,
    count: u64,
    first_seen_at: Option<String>,
    last_seen_at: Option<String>,
    /// From where the last time, when that was known.
    address: Option<String>,
    /// By which program the last time.
    user_agent: String,
    /// Where the last time: `authz`, `verify` or `api`.
    door: &'static str,
}

/// Refusals within a minute.
#[derive(Debug, Serialize, ToSchema)]
struct RefusalsOutput {
    /// Its start.
    minute: Option<String>,
    reason: &'static str,
    count: u64,
    /// From where the last time, when that was known.
    address: Option<String>,
}

impl UsageOutput {
    fn of(token: TokenRef, usage: &TokenUsage) -> Self {
        Self {
            token: token.to_string(),
            secrets: usage.uses.iter().map(SecretUsageOutput::of).collect(),
            refusals: usage.refusals.iter().map(RefusalsOutput::of).collect(),
        }
    }
}

impl SecretUsageOutput {
    fn of(usage: &Usage) -> Self {
        Self {
            version: usage.secret_version,
            count: usage.count,
            first_seen_at: rfc3339(usage.first_at),
            last_seen_at: rfc3339(usage.last_at),
            address: usage.address.map(|address| address.to_string()),
            user_agent: usage.user_agent.to_string(),
            door: usage.door.as_str(),
        }
    }
}

impl RefusalsOutput {
    fn of(refusals: &Refusals) -> Self {
        Self {
            minute: rfc3339(refusals.minute),
            reason: refusals.reason.as_str(),
            count: refusals.count,
            address: refusals.address.map(|address| address.to_string()),
        }
    }
}

/// Which token of which account; `None` = of the caller's.
pub(super) struct UsageQuery {
    token: TokenRef,
    account: Option<AccountId>,
}

impl<S: Sync> FromRequestParts<S> for UsageQuery {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let parameters = Parameters::read(parts.uri.query(), &["token", "account"])?;
        let wanted = "a service token id (UUID) or a token handle (22 characters)";
        let token = parameters.find("token", wanted, |text| text.parse().ok())?;
        let token = token.ok_or_else(|| Failure::invalid("token", "is required"))?;
        let account = parameters.find("account", "an account id", |text| text.parse().ok())?;
        Ok(Self { token, account })
    }
}

/// `GET /api/v1/usage`: uses and refusals of a token.
///
/// Needs `countersign:audit:read`.
#[utoipa::path(
    get,
    path = "/api/v1/usage",
    operation_id = "show_usage",
    params(("token" = String, Query, description = "an id or a handle"),
        ("account" = Option<String>, Query, description = "whose it is; the caller's own when absent")),
    responses((status = 200, description = "what was recorded", body = UsageOutput), Failures),
    tag = "audit"
)]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Asking { caller }: Asking,
    UsageQuery { token, account }: UsageQuery,
) -> Result<Response, Failure> {
    let account = account.unwrap_or(caller.account);
    let usage = app.authority.load_usage(&caller, account, token).await?;
    Ok(json_answer(StatusCode::OK, &UsageOutput::of(token, &usage)))
}
