//! What was done, newest first.

use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use axum::response::Response;
use countersign_authority::AuditFilter;
use countersign_domain::audit::{Action, Actor, AuditRecord, FieldChange, Subject};
use countersign_domain::store::{AuditPage, Revision};
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

/// Entries of a page when no number is asked for.
const ROWS: u32 = 50;
/// Most entries of a page.
const MOST_ROWS: u32 = 1000;

/// A page of the audit.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AuditOutput {
    /// Newest first.
    entries: Vec<EntryOutput>,
    /// For `cursor` of the next page; `null` at the end. A page may be short, even empty, and still have one.
    next_cursor: Option<String>,
}

/// One thing that was done.
#[derive(Debug, Serialize, ToSchema)]
struct EntryOutput {
    /// Unique.
    id: String,
    /// Its place in the order of changes.
    revision: u64,
    /// RFC 3339.
    at: Option<String>,
    /// Such as `service_token.rotate`.
    action: &'static str,
    actor: ActorOutput,
    /// To which the subject belongs.
    account: String,
    subject: SubjectOutput,
    /// Which values changed. Never a secret.
    changes: Vec<ChangeOutput>,
    /// Of the client, when it was known.
    address: Option<String>,
    /// As in the log and in the answer.
    request_id: Option<String>,
}

/// Who did it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
enum ActorOutput {
    /// The bearer of an access token.
    Token {
        /// Whose.
        account: String,
        /// Its handle.
        token: String,
    },
    /// Countersign itself.
    System {
        /// Always `true`.
        system: bool,
    },
}

/// To what it was done.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum SubjectOutput {
    /// An id or a handle.
    Token(String),
    /// An id.
    Account(String),
}

/// One value.
#[derive(Debug, Serialize, ToSchema)]
struct ChangeOutput {
    field: String,
    /// `null` when there was nothing.
    from: Option<String>,
    to: Option<String>,
}

impl AuditOutput {
    fn of(page: &AuditPage) -> Self {
        Self {
            entries: page.records.iter().map(EntryOutput::of).collect(),
            next_cursor: page.next.map(|revision| revision.to_string()),
        }
    }
}

impl EntryOutput {
    fn of(AuditRecord { revision, entry }: &AuditRecord) -> Self {
        Self {
            id: entry.id.to_string(),
            revision: revision.0,
            at: rfc3339(entry.at),
            action: entry.action.as_str(),
            actor: match entry.actor {
                Actor::Token { account, handle } => {
                    ActorOutput::Token { account: account.to_string(), token: handle.to_string() }
                }
                Actor::System => ActorOutput::System { system: true },
            },
            account: entry.account.to_string(),
            subject: match entry.subject {
                Subject::Token(token) => SubjectOutput::Token(token.to_string()),
                Subject::Account(account) => SubjectOutput::Account(account.to_string()),
            },
            changes: entry.changes.iter().map(ChangeOutput::of).collect(),
            address: entry.origin.address.map(|address| address.to_string()),
            request_id: entry.origin.request_id.as_deref().map(str::to_owned),
        }
    }
}

impl ChangeOutput {
    fn of(change: &FieldChange) -> Self {
        let owned = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
        Self { field: change.field.to_string(), from: owned(&change.from), to: owned(&change.to) }
    }
}

/// Which entries.
pub(super) struct AuditQuery(AuditFilter);

impl AuditQuery {
    fn parse(query: Option<&str>) -> Result<Self, Failure> {
        let known = ["token", "account", "action", "since", "until", "cursor", "limit"];
        let parameters = Parameters::read(query, &known)?;
        let time = |name| {
            let wanted = "an RFC 3339 date-time such as `2030-01-01T00:00:00Z`";
            parameters.find(name, wanted, parse_rfc3339_in_query)
        };
        let token = "a service token id (UUID) or a token handle (22 characters)";
        let limit = parameters.find("limit", "a whole number from 1 to 1000", |text| {
            text.parse().ok().filter(|rows| (1..=MOST_ROWS).contains(rows))
        })?;
        Ok(Self(AuditFilter {
            token: parameters.find("token", token, |text| text.parse().ok())?,
            account: parameters.find("account", "an account id", |text| text.parse().ok())?,
            action: parameters.find("action", "an action such as `service_token.rotate`", Action::parse)?,
            since: time("since")?,
            until: time("until")?,
            before: parameters
                .find("cursor", "a cursor of a page before", |text| text.parse().ok().map(Revision))?,
            limit: limit.unwrap_or(ROWS),
        }))
    }
}

impl<S: Sync> FromRequestParts<S> for AuditQuery {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        Self::parse(parts.uri.query())
    }
}

/// `GET /api/v1/audit`: what was done in an account, newest first.
///
/// Needs `countersign:audit:read`.
#[utoipa::path(
    get,
    path = "/api/v1/audit",
    operation_id = "list_audit",
    params(("token" = Option<String>, Query, description = "only about this token: an id or a handle"),
        ("account" = Option<String>, Query, description = "of this account; the caller's own when absent"),
        ("action" = Option<String>, Query, description = "only this, such as `service_token.rotate`"),
        ("since" = Option<String>, Query, description = "only from this time on, RFC 3339"),
        ("until" = Option<String>, Query, description = "only before this time, RFC 3339"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
        ("limit" = Option<u32>, Query, description = "most entries, at most 1000; 50 when absent")),
    responses((status = 200, description = "a page", body = AuditOutput), Failures),
    tag = "audit"
)]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Asking { caller }: Asking,
    AuditQuery(filter): AuditQuery,
) -> Result<Response, Failure> {
    let page = app.authority.list_audit(&caller, filter).await?;
    Ok(json_answer(StatusCode::OK, &AuditOutput::of(&page)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(query: &str) -> Option<AuditFilter> {
        AuditQuery::parse(Some(query)).ok().map(|query| query.0)
    }

    #[test]
    fn queries() {
        let since = |query: &str| filter(query).and_then(|filter| filter.since);
        assert_eq!(filter("").map(|filter| filter.limit), Some(50));
        assert_eq!(filter("limit=1000&cursor=7").and_then(|filter| filter.before), Some(Revision(7)));
        assert_eq!(
            filter("action=service_token.rotate").and_then(|filter| filter.action),
            Some(Action::RotateServiceToken)
        );
        assert!(since("since=2030-01-01T00:00:00Z").is_some());
        assert_eq!(since("since=2030-01-01T02:00:00+02:00"), since("since=2030-01-01T00:00:00Z"));
        for bad in [
            "limit=0",
            "limit=1001",
            "limit=",
            "limit=x",
            "cursor=-1",
            "action=nope",
            "since=2030-01-01",
            "token=x",
            "account=me",
            "Token=x",
            "tokens=",
            "limit=1&limit=1",
            "since=",
        ] {
            assert!(filter(bad).is_none(), "{bad}");
        }
    }
}
