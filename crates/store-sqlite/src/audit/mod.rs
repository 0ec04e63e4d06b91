//! The audit: one record a change, its revision the key.

mod list;
mod spans;
mod sweep;

use std::borrow::Cow;

use countersign_domain::audit::{Action, Actor, AuditEntry, AuditRecord, FieldChange, Origin, Subject};
use countersign_domain::id::ChangeId;
use countersign_domain::store::Revision;
use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};

use crate::apply::{address_bytes, handle_bytes, run, signed, token_bytes};
use crate::failure::Failure;
use crate::row::Cells;
use crate::sql;

pub(crate) use list::list;
pub(crate) use spans::{complete, complete_all};
pub(crate) use sweep::sweep;

/// A changed value as it is stored.
#[derive(Serialize, Deserialize)]
struct StoredChange<'a> {
    field: Cow<'a, str>,
    from: Option<Cow<'a, str>>,
    to: Option<Cow<'a, str>>,
}

impl<'a> From<&'a FieldChange> for StoredChange<'a> {
    fn from(change: &'a FieldChange) -> Self {
        Self {
            field: Cow::from(&*change.field),
            from: change.from.as_deref().map(Cow::from),
            to: change.to.as_deref().map(Cow::from),
        }
    }
}

impl From<StoredChange<'_>> for FieldChange {
    fn from(stored: StoredChange<'_>) -> Self {
        Self { field: stored.field.into(), from: stored.from.map(Into::into), to: stored.to.map(Into::into) }
    }
}

/// The changes as JSON; nothing when there are none.
fn print_changes(changes: &[FieldChange]) -> rusqlite::Result<Option<String>> {
    if changes.is_empty() {
        return Ok(None);
    }
    let stored: Vec<_> = changes.iter().map(StoredChange::from).collect();
    serde_json::to_string(&stored).map(Some).map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))
}

fn parse_changes(text: &str) -> Option<Vec<FieldChange>> {
    let stored: Vec<StoredChange<'_>> = serde_json::from_str(text).ok()?;
    Some(stored.into_iter().map(FieldChange::from).collect())
}

/// Writes the record of a change.
pub(crate) fn insert(connection: &Connection, revision: Revision, entry: &AuditEntry) -> Result<(), Failure> {
    let (actor_account, actor_handle) = match &entry.actor {
        Actor::Token { account, handle } => (Some(account.as_bytes()), Some(handle_bytes(handle))),
        Actor::System => (None, None),
    };
    let (subject_account, token) = match &entry.subject {
        Subject::Account(account) => (Some(account.as_bytes()), None),
        Subject::Token(token) => (None, Some(token_bytes(token))),
    };
    let values = params![
        signed(revision.0),
        entry.id.as_bytes(),
        entry.at.as_micros(),
        actor_account,
        actor_handle,
        entry.action.as_str(),
        entry.account.as_bytes(),
        subject_account,
        token,
        entry.origin.address.map(address_bytes),
        entry.origin.request_id.as_deref(),
        print_changes(&entry.changes)?,
    ];
    run(connection, sql::INSERT_AUDIT, values)?;
    Ok(())
}

pub(crate) fn read(row: &Row<'_>) -> Result<AuditRecord, Failure> {
    let mut cells = Cells::of(row, "audit");
    let revision = Revision(cells.number("revision")?);
    let id = ChangeId::from_bytes(cells.bytes("id")?);
    let at = cells.time("at")?;
    let actor_account = cells.optional_account_id("actor_account")?;
    let actor_handle = cells.optional_handle("actor_handle")?;
    let actor = match actor_account.zip(actor_handle) {
        Some((account, handle)) => Actor::Token { account, handle },
        None => Actor::System,
    };
    let action = cells.parsed("action", Action::parse)?;
    let account = cells.account_id("account")?;
    let subject_account = cells.optional_account_id("subject_account")?.map(Subject::Account);
    let subject_token = cells.optional_token("token")?.map(Subject::Token);
    let subject = subject_token.or(subject_account).ok_or_else(|| cells.broken("subject_account"))?;
    let origin = Origin {
        address: cells.address("address")?,
        request_id: cells.optional_text("request_id")?.map(Into::into),
    };
    let changes = cells.optional("changes", |value| parse_changes(value.as_str().ok()?))?.unwrap_or_default();
    Ok(AuditRecord {
        revision,
        entry: AuditEntry { id, at, actor, action, account, subject, origin, changes },
    })
}
