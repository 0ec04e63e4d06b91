//! Pages of the audit, newest first. A query looks at a bounded number of records, so that a page may end early.

use std::ops::ControlFlow;

use countersign_domain::audit::{AuditEntry, AuditRecord};
use countersign_domain::store::{AuditPage, AuditQuery, Revision};
use countersign_domain::time::Timestamp;
use rusqlite::{Connection, params};

use super::read;
use super::spans::{self, Found, Range, Window};
use crate::apply::{signed, token_bytes};
use crate::failure::Failure;
use crate::sql;

/// Most records that one query reads.
const MOST_READ: usize = 10_000;

/// A page of the audit. `last` is the newest revision in what the connection sees.
pub(crate) fn list(
    connection: &Connection,
    query: &AuditQuery,
    last: Revision,
) -> Result<AuditPage, Failure> {
    let Found { ranges, next } = find_ranges(connection, query, last)?;
    let mut listing = Listing { query, records: Vec::new(), read: 0, oldest: None };
    for range in ranges {
        if listing.read(connection, range)?.is_break() {
            return Ok(AuditPage { records: listing.records, next: listing.oldest });
        }
    }
    Ok(AuditPage { records: listing.records, next })
}

/// Where records can match.
fn find_ranges(connection: &Connection, query: &AuditQuery, last: Revision) -> Result<Found, Failure> {
    let newest = signed(query.before.map_or(last.0, |before| before.0.saturating_sub(1)));
    let window = window(query);
    if window.is_none() && query.token.is_none() {
        return Ok(Found { ranges: vec![(0, newest)], next: None });
    }
    let window = window.unwrap_or((i64::MIN, i64::MAX));
    let mut found = match &query.token {
        Some(token) => spans::of_token(connection, token, window, newest)?,
        None => {
            let range = spans::of_window(connection, window)?;
            Found { ranges: range.into_iter().collect(), next: None }
        }
    };
    for (_, end) in &mut found.ranges {
        *end = newest.min(*end);
    }
    found.ranges.insert(0, (spans::growing(last), newest));
    Ok(found)
}

/// The time that is asked about, if any is.
fn window(query: &AuditQuery) -> Option<Window> {
    let micros = |time: Option<Timestamp>| time.map(Timestamp::as_micros);
    let (since, until) = (micros(query.since), micros(query.until));
    (since.is_some() || until.is_some()).then(|| (since.unwrap_or(i64::MIN), until.unwrap_or(i64::MAX)))
}

/// A page while it is being filled.
struct Listing<'q> {
    query: &'q AuditQuery,
    records: Vec<AuditRecord>,
    read: usize,
    /// The last record read.
    oldest: Option<Revision>,
}

impl Listing<'_> {
    /// Reads a range; breaks when the page must end before it does.
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
            if self.records.len() >= self.query.limit as usize || self.read == MOST_READ {
                return Ok(ControlFlow::Break(()));
            }
            let record = read(row)?;
            self.read += 1;
            self.oldest = Some(record.revision);
            if self.wants(&record.entry) {
                self.records.push(record);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Whether a record that the statement found matches in everything else too.
    fn wants(&self, entry: &AuditEntry) -> bool {
        let query = self.query;
        query.account.is_none_or(|account| entry.account == account)
            && query.action.is_none_or(|action| entry.action == action)
            && query.since.is_none_or(|since| entry.at >= since)
            && query.until.is_none_or(|until| entry.at < until)
    }
}
