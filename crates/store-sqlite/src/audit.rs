//! The audit: one record a change, its revision the key; read newest first.

use std::borrow::Cow;
use std::ops::ControlFlow;

use countersign_domain::audit::{Action, Actor, AuditEntry, AuditRecord, FieldChange, Origin, Subject};
use countersign_domain::id::ChangeId;
use countersign_domain::store::{AuditPage, AuditQuery, Revision};
use countersign_domain::time::Timestamp;
use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};

use crate::apply::{address_bytes, find, handle_bytes, run, signed, token_bytes};
use crate::failure::Failure;
use crate::row::Cells;
use crate::sql;

/// Most records that one query looks at.
const MOST_LOOKED_AT: usize = 10_000;
/// Revisions of a span, as a power of two.
const SPAN_BITS: u32 = 10;

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

/// Writes the times of every span that the revisions after `before` up to `now` complete.
pub(crate) fn complete_spans(
    connection: &Connection,
    before: Revision,
    now: Revision,
) -> Result<(), Failure> {
    // The last span, of `now` itself, may still grow.
    for span in (before.0 >> SPAN_BITS)..(now.0 >> SPAN_BITS) {
        let (first, last) = (span << SPAN_BITS, ((span + 1) << SPAN_BITS) - 1);
        run(connection, sql::INSERT_AUDIT_SPAN, params![signed(span), signed(first), signed(last)])?;
    }
    Ok(())
}

/// A page of the audit. `last` is the newest revision in what the connection sees.
pub(crate) fn list(
    connection: &Connection,
    query: &AuditQuery,
    last: Revision,
) -> Result<AuditPage, Failure> {
    let mut listing = Listing { query, records: Vec::new(), looked_at: 0, oldest: None };
    for range in ranges_of_interest(connection, query, last)? {
        if listing.read(connection, range)?.is_break() {
            return Ok(AuditPage { records: listing.records, next: listing.oldest });
        }
    }
    Ok(AuditPage { records: listing.records, next: None })
}

/// Revisions from the first to the last, both included.
type Range = (i64, i64);

/// Where records can match, newest first.
fn ranges_of_interest(
    connection: &Connection,
    query: &AuditQuery,
    last: Revision,
) -> Result<Vec<Range>, Failure> {
    let newest = signed(query.before.map_or(last.0, |before| before.0.saturating_sub(1)));
    if query.since.is_none() && query.until.is_none() {
        return Ok(vec![(0, newest)]);
    }
    // The span that still grows has no times yet: its records are always looked at.
    let growing = signed(last.0 >> SPAN_BITS << SPAN_BITS);
    let mut ranges = vec![(growing, newest)];
    let since = query.since.map_or(i64::MIN, Timestamp::as_micros);
    let until = query.until.map_or(i64::MAX, Timestamp::as_micros);
    let spans = find(connection, sql::FIND_AUDIT_SPANS, [since, until], |row| {
        Ok(row.get::<_, Option<i64>>(0)?.zip(row.get::<_, Option<i64>>(1)?))
    })?;
    if let Some((first, last)) = spans.flatten() {
        ranges.push((first << SPAN_BITS, newest.min(((last + 1) << SPAN_BITS) - 1)));
    }
    Ok(ranges)
}

/// A page while it is being filled.
struct Listing<'q> {
    query: &'q AuditQuery,
    records: Vec<AuditRecord>,
    looked_at: usize,
    /// The last record looked at.
    oldest: Option<Revision>,
}

impl Listing<'_> {
    /// Looks at the records of a range; breaks when the page must end before it does.
    fn read(&mut self, connection: &Connection, (first, last): Range) -> Result<ControlFlow<()>, Failure> {
        let mut statement = connection.prepare_cached(match (self.query.token, self.query.account) {
            (Some(_), _) => sql::LIST_AUDIT_OF_TOKEN,
            (None, Some(_)) => sql::LIST_AUDIT_OF_ACCOUNT,
            (None, None) => sql::LIST_AUDIT,
        })?;
        let mut rows = match (&self.query.token, &self.query.account) {
            (Some(token), _) => statement.query(params![first, last, token_bytes(token)])?,
            (None, Some(account)) => statement.query(params![first, last, account.as_bytes()])?,
            (None, None) => statement.query([first, last])?,
        };
        while let Some(row) = rows.next()? {
            if self.records.len() >= self.query.limit as usize || self.looked_at == MOST_LOOKED_AT {
                return Ok(ControlFlow::Break(()));
            }
            let record = read(row)?;
            self.looked_at += 1;
            self.oldest = Some(record.revision);
            if self.wants(&record.entry) {
                self.records.push(record);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn wants(&self, entry: &AuditEntry) -> bool {
        let query = self.query;
        query.account.is_none_or(|account| entry.account == account)
            && query.action.is_none_or(|action| entry.action == action)
            && query.since.is_none_or(|since| entry.at >= since)
            && query.until.is_none_or(|until| entry.at < until)
    }
}

fn read(row: &Row<'_>) -> Result<AuditRecord, Failure> {
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
