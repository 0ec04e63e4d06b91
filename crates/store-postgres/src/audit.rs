//! The audit: one record a change, its revision the key.

use countersign_domain::audit::{Action, Actor, AuditEntry, AuditRecord, FieldChange, Origin, Subject};
use countersign_domain::id::{AccountId, ChangeId};
use countersign_domain::store::{AuditPage, AuditQuery, Revision};
use countersign_domain::time::Timestamp;
use deadpool_postgres::GenericClient;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::accounts::uuid;
use crate::apply::signed;
use crate::failure::Failure;
use crate::many::{Cell, Insert, cell};
use crate::row::Cells;
use crate::session::{Tx, list as rows};
use crate::sql;

static RECORDS: Insert = Insert::new(sql::INSERT_AUDIT);

/// Writes the records of changes.
pub(crate) async fn insert(tx: &Tx<'_>, records: &[(Revision, &AuditEntry)]) -> Result<(), Failure> {
    let rows: Vec<_> = records.iter().map(|(revision, entry)| row(*revision, entry)).collect();
    RECORDS.run(tx, &rows).await?;
    Ok(())
}

fn row(revision: Revision, entry: &AuditEntry) -> Vec<Cell<'_>> {
    let id = |account: &AccountId| uuid(account.as_bytes());
    let (actor_account, actor_handle) = match &entry.actor {
        Actor::Token { account, handle } => (Some(id(account)), Some(handle.as_str())),
        Actor::System => (None, None),
    };
    let (subject_account, token) = match &entry.subject {
        Subject::Account(account) => (Some(id(account)), None),
        Subject::Token(token) => (None, Some(token.to_string())),
    };
    let fields: Vec<&str> = entry.changes.iter().map(|change| &*change.field).collect();
    let befores: Vec<Option<&str>> = entry.changes.iter().map(|change| change.from.as_deref()).collect();
    let afters: Vec<Option<&str>> = entry.changes.iter().map(|change| change.to.as_deref()).collect();
    vec![
        cell(signed(revision.0)),
        cell(uuid(entry.id.as_bytes())),
        cell(entry.at.as_micros()),
        cell(actor_account),
        cell(actor_handle),
        cell(entry.action.as_str()),
        cell(id(&entry.account)),
        cell(subject_account),
        cell(token),
        cell(entry.origin.address),
        cell(entry.origin.request_id.as_deref()),
        cell(fields),
        cell(befores),
        cell(afters),
    ]
}

pub(crate) fn read(row: &Row) -> Result<AuditRecord, Failure> {
    let mut cells = Cells::of(row, "audit");
    let revision = Revision(cells.number("revision")?);
    let id = cells.cell("id", |id: Uuid| Some(ChangeId::from_bytes(id.into_bytes())))?;
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
    let subject_token = cells.optional("token", |token: &str| token.parse().ok())?.map(Subject::Token);
    let subject = subject_token.or(subject_account).ok_or_else(|| cells.broken("subject_account"))?;
    let address = cells.address()?;
    let request_id = cells.optional("request_id", |id: &str| Some(id.into()))?;
    let origin = Origin { address, request_id };
    let changes = read_changes(&mut cells)?;
    Ok(AuditRecord {
        revision,
        entry: AuditEntry { id, at, actor, action, account, subject, origin, changes },
    })
}

fn read_changes(cells: &mut Cells<'_>) -> Result<Vec<FieldChange>, Failure> {
    let fields: Vec<&str> = cells.plain("fields")?;
    let befores: Vec<Option<&str>> = cells.plain("befores")?;
    let afters: Vec<Option<&str>> = cells.plain("afters")?;
    if befores.len() != fields.len() || afters.len() != fields.len() {
        return Err(cells.broken("fields").into());
    }
    let values = befores.into_iter().zip(afters);
    let change = |(field, (from, to)): (&str, (Option<&str>, Option<&str>))| FieldChange {
        field: field.into(),
        from: from.map(Into::into),
        to: to.map(Into::into),
    };
    Ok(fields.into_iter().zip(values).map(change).collect())
}

/// A page of the audit.
pub(crate) async fn list(client: &impl GenericClient, query: &AuditQuery) -> Result<AuditPage, Failure> {
    let before = query.before.map_or(i64::MAX, |before| signed(before.0));
    let account = query.account.map(|account| uuid(account.as_bytes()));
    let token = query.token.map(|token| token.to_string());
    let action = query.action.map(Action::as_str);
    let since = query.since.map_or(i64::MIN, Timestamp::as_micros);
    let until = query.until.map_or(i64::MAX, Timestamp::as_micros);
    // One more than the page, so that the end is known when it comes.
    let limit = i64::from(query.limit) + 1;
    let mut records =
        rows(client, sql::LIST_AUDIT, &[&before, &account, &token, &action, &since, &until, &limit], read)
            .await?;
    let more = records.len() > query.limit as usize;
    records.truncate(query.limit as usize);
    let next = records.last().filter(|_| more).map(|record| record.revision);
    Ok(AuditPage { records, next })
}

/// Forgets records from the oldest on, up to the first that is not older than `before`, at most `limit`; gives how
/// many. The newest stays.
pub(crate) async fn sweep(tx: &Tx<'_>, before: Timestamp, limit: u32) -> Result<u32, Failure> {
    // One more than may go, so that the newest is known when it comes.
    let oldest = tx
        .list(sql::LIST_OLDEST_AUDIT, &[&(i64::from(limit) + 1)], |row| {
            let mut cells = Cells::of(row, "audit");
            Ok((cells.plain::<i64>("revision")?, cells.time("at")?))
        })
        .await;
    let mut oldest = oldest?;
    oldest.pop();
    let swept = oldest.into_iter().take_while(|(_, at)| *at < before);
    let swept: Vec<i64> = swept.map(|(revision, _)| revision).collect();
    if let Some(last) = swept.last() {
        tx.run(sql::DELETE_AUDIT, &[last]).await?;
    }
    Ok(u32::try_from(swept.len()).unwrap_or(u32::MAX))
}
