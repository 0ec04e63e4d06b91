//! The end of old records.

use countersign_domain::time::Timestamp;
use rusqlite::{Connection, params};

use super::spans;
use crate::apply::run;
use crate::failure::Failure;
use crate::sql;

/// Forgets records from the oldest on, up to the first that is not older than `before`, at most `limit`; gives how
/// many. The newest stays: the next revision is counted from it.
pub(crate) fn sweep(connection: &Connection, before: Timestamp, limit: u32) -> Result<u32, Failure> {
    let mut statement = connection.prepare_cached(sql::LIST_OLDEST_AUDIT)?;
    // One more than may go, so that the newest is known when it comes.
    let mut rows = statement.query([i64::from(limit) + 1])?;
    let (mut swept, mut last_swept, mut next) = (0, None, rows.next()?);
    while let Some(row) = next {
        let (revision, at): (i64, i64) = (row.get(0)?, row.get(1)?);
        if swept == limit || at >= before.as_micros() {
            break;
        }
        next = rows.next()?;
        if next.is_none() {
            break;
        }
        swept += 1;
        last_swept = Some(revision);
    }
    if let Some(last) = last_swept {
        run(connection, sql::DELETE_AUDIT, [last])?;
        run(connection, sql::DELETE_AUDIT_SPANS, params![spans::of(last)])?;
    }
    Ok(swept)
}
