//! What services have to refuse that check signed tokens by themselves.

use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use axum::response::Response;
use countersign_authority::Revocation;
use countersign_domain::store::Revision;
use countersign_domain::time::Timestamp;
use http::StatusCode;
use http::request::Parts;
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::Asking;
use super::failure::Failure;
use super::problem::Failures;
use super::query::Parameters;
use crate::App;
use crate::time_text::{parse_rfc3339_in_query, rfc3339};
use crate::wire::json_answer;

/// A part of what ended.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RevocationsOutput {
    /// Newest first.
    revocations: Vec<RevocationOutput>,
    /// For `cursor` of the next part; `null` at the end. A part may be short, even empty, and still have one.
    next_cursor: Option<String>,
    /// For `since` of the next question, when all parts of this one were read: that of the first.
    as_of: Option<String>,
}

/// Signed tokens that are to be refused from `from` on, if they were issued (`iat`) at `issued_until` or before, in whole seconds.
#[derive(Debug, Serialize, ToSchema)]
struct RevocationOutput {
    /// When it was decided; RFC 3339.
    at: Option<String>,
    /// RFC 3339; a minute after `at`. `null`: whenever they were issued.
    issued_until: Option<String>,
    /// RFC 3339; `at`, or later.
    from: Option<String>,
    /// `revoked`, `disabled`, `rotated_out`, `narrowed`, `account_disabled`, `account_deleted` or `restored`.
    reason: &'static str,
    /// Those of this account: `account` or one of `accounts_above` in the token. `null`: whosever.
    account: Option<String>,
    /// Those of this service token: `token` in the token. `null`: all of the account.
    token: Option<String>,
    /// Only those whose `secret_version` is lower than this. `null`: whatever it is.
    secret_version_below: Option<u32>,
}

impl RevocationOutput {
    fn of(revocation: &Revocation) -> Self {
        Self {
            at: rfc3339(revocation.at),
            issued_until: revocation.issued_until.and_then(rfc3339),
            from: rfc3339(revocation.from),
            reason: revocation.reason.as_str(),
            account: revocation.account.map(|account| account.to_string()),
            token: revocation.token.map(|token| token.to_string()),
            secret_version_below: revocation.secret_version_below,
        }
    }
}

/// Which part, since when.
pub(super) struct RevocationsQuery {
    since: Option<Timestamp>,
    before: Option<Revision>,
}

impl<S: Sync> FromRequestParts<S> for RevocationsQuery {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let parameters = Parameters::read(parts.uri.query(), &["since", "cursor"])?;
        let wanted = "an RFC 3339 date-time such as `2030-01-01T00:00:00Z`";
        let cursor = |text: &str| text.parse().ok().map(Revision);
        Ok(Self {
            since: parameters.find("since", wanted, parse_rfc3339_in_query)?,
            before: parameters.find("cursor", "a cursor of a part before", cursor)?,
        })
    }
}

/// `GET /api/v1/revocations`: which signed tokens are good no more, for services that check them by themselves.
///
/// Needs `countersign:verify`. Speaks of the caller's account and of accounts below it; that one below was deleted is heard by the root and by whoever
/// deleted it. Asked every minute with the `as_of` of
/// the time before it says what has come to it since; without `since`, all that can matter to a token which has not expired. To
/// hear of something twice does no harm.
#[utoipa::path(
    get,
    path = "/api/v1/revocations",
    operation_id = "list_revocations",
    params(("since" = Option<String>, Query, description = "only from this time on, RFC 3339"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the part before")),
    responses((status = 200, description = "a part", body = RevocationsOutput), Failures),
    tag = "verification"
)]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Asking { caller }: Asking,
    query: RevocationsQuery,
) -> Result<Response, Failure> {
    app.check_fresh()?;
    let found = app.authority.list_revocations(&caller, query.since, query.before).await?;
    let output = RevocationsOutput {
        revocations: found.items.iter().map(RevocationOutput::of).collect(),
        next_cursor: found.next.map(|revision| revision.to_string()),
        as_of: rfc3339(found.asked_at),
    };
    Ok(json_answer(StatusCode::OK, &output))
}
