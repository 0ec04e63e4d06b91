//! Spans: what is known of each 1,024 revisions that are complete, so that a query by time or by token need not read
//! the whole audit.
//!
//! An index by token would cost every change a page of its own, since tokens are changed in no order; a span costs four
//! bytes a change, and a query looks through the spans of a million changes in some milliseconds.

use countersign_domain::id::TokenRef;
use countersign_domain::store::Revision;
use rusqlite::{Connection, params};

use crate::apply::{find, run, signed, token_bytes};
use crate::failure::Failure;
use crate::sql;

/// Revisions of a span, as a power of two.
const BITS: u32 = 10;
/// Most spans that one query looks at ...
const MOST_LOOKED_AT: usize = 4_096;
/// ... and most that it finds to have a token.
const MOST_FOUND: usize = 256;

/// Revisions from the first to the last, both included.
pub(super) type Range = (i64, i64);

/// Times from the first (included) to the last (excluded).
pub(super) type Window = (i64, i64);

/// Four bytes of a token's id. Ids end in random bytes; when two tokens share these, a span is read in vain.
type Mark = [u8; 4];

fn mark(token: &[u8]) -> Option<&Mark> {
    token.last_chunk()
}

/// Where a span begins and ends.
fn range(span: i64) -> Range {
    (span << BITS, ((span + 1) << BITS) - 1)
}

/// The span of a revision.
pub(super) fn of(revision: i64) -> i64 {
    revision >> BITS
}

/// The first revision of the span that still grows. Nothing is known yet of the records from there on.
pub(super) fn growing(last: Revision) -> i64 {
    range(of(signed(last.0))).0
}

/// Enters every span that the revisions after `before` up to `now` complete.
pub(crate) fn complete(connection: &Connection, before: Revision, now: Revision) -> Result<(), Failure> {
    for span in of(signed(before.0))..of(signed(now.0)) {
        enter(connection, span)?;
    }
    Ok(())
}

/// Enters every complete span that has records, where none is entered yet. `last` is the newest revision.
pub(crate) fn complete_all(connection: &Connection, last: Revision) -> Result<(), Failure> {
    let end = growing(last);
    let mut first = 0;
    while let Some(revision) =
        find(connection, sql::FIND_AUDIT_FROM, [first, end - 1], |row| Ok(row.get(0)?))?
    {
        enter(connection, of(revision))?;
        first = range(of(revision) + 1).0;
    }
    Ok(())
}

fn enter(connection: &Connection, span: i64) -> Result<(), Failure> {
    let (first, last) = range(span);
    let mut statement = connection.prepare_cached(sql::READ_AUDIT_SPAN)?;
    let mut rows = statement.query([first, last])?;
    let (mut earliest, mut latest) = (i64::MAX, i64::MIN);
    let mut marks = Vec::new();
    while let Some(row) = rows.next()? {
        let at: i64 = row.get(0)?;
        (earliest, latest) = (earliest.min(at), latest.max(at));
        let token = row.get_ref(1)?.as_blob_or_null().map_err(rusqlite::Error::from)?;
        marks.extend(token.and_then(mark).into_iter().flatten());
    }
    run(connection, sql::INSERT_AUDIT_SPAN, params![span, earliest, latest, marks])?;
    Ok(())
}

/// The complete revisions among which all records of a window of time are, and others too.
pub(super) fn of_window(connection: &Connection, window: Window) -> Result<Option<Range>, Failure> {
    let spans = find(connection, sql::FIND_AUDIT_SPANS, window, |row| {
        Ok(row.get::<_, Option<i64>>(0)?.zip(row.get::<_, Option<i64>>(1)?))
    })?;
    Ok(spans.flatten().map(|(first, last)| (range(first).0, range(last).1)))
}

/// Spans that have a token, newest first.
pub(super) struct Found {
    pub(super) ranges: Vec<Range>,
    /// Where to go on: no older span was looked at.
    pub(super) next: Option<Revision>,
}

/// Looks for a token in the spans of a window of time up to a revision.
pub(super) fn of_token(
    connection: &Connection,
    token: &TokenRef,
    window: Window,
    newest: i64,
) -> Result<Found, Failure> {
    let wanted = mark(token_bytes(token));
    let mut statement = connection.prepare_cached(sql::LIST_AUDIT_SPANS)?;
    let mut rows = statement.query(params![of(newest), window.0, window.1])?;
    let (mut ranges, mut looked_at) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let span: i64 = row.get(0)?;
        let (marks, _) = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?.as_chunks();
        if marks.iter().any(|mark| Some(mark) == wanted) {
            ranges.push(range(span));
        }
        looked_at += 1;
        if looked_at == MOST_LOOKED_AT || ranges.len() == MOST_FOUND {
            let next = Revision(u64::try_from(range(span).0).unwrap_or(0));
            return Ok(Found { ranges, next: Some(next) });
        }
    }
    Ok(Found { ranges, next: None })
}
