//! The bare store: how many rows a second SQLite makes durable, so many to a commit (*group* 100, *single*
//! 1).

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use countersign_domain::entropy::Entropy;
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use crate::credentials::Seeded;

/// What was made durable.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Rows {
    /// Rows inserted, all committed.
    pub(crate) rows: u64,
    /// How long it took.
    pub(crate) seconds: f64,
}

impl Rows {
    /// Durable rows a second.
    pub(crate) fn per_second(self) -> f64 {
        self.rows as f64 / self.seconds
    }
}

/// About 250 bytes a row, one key and one index, as a table of tokens has at the least.
const SCHEMA: &str = "
    CREATE TABLE token (
        id BLOB PRIMARY KEY,
        account BLOB NOT NULL,
        client_id BLOB NOT NULL UNIQUE,
        digest BLOB NOT NULL,
        previous_digest BLOB NOT NULL,
        name TEXT NOT NULL,
        duration TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        version INTEGER NOT NULL,
        restrictions TEXT NOT NULL
    ) STRICT, WITHOUT ROWID";

/// Inserts for `seconds` into a new database at `path`, `per_commit` rows to a commit, WAL,
/// `synchronous=FULL`.
pub(crate) fn insert(path: &Path, per_commit: u32, seconds: f64) -> Result<Rows> {
    let mut database = open(path)?;
    let entropy = Seeded::new(1);
    let limit = Duration::from_secs_f64(seconds);
    let start = Instant::now();
    let mut rows = 0;
    while start.elapsed() < limit {
        let transaction = database.transaction()?;
        for _ in 0..per_commit {
            insert_row(&transaction, rows, &entropy)?;
            rows += 1;
        }
        transaction.commit()?;
    }
    Ok(Rows { rows, seconds: start.elapsed().as_secs_f64() })
}

fn open(path: &Path) -> Result<Connection> {
    let database = Connection::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mode: String = database.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    anyhow::ensure!(mode == "wal", "the journal mode is {mode}, not wal");
    database.pragma_update(None, "synchronous", "FULL")?;
    database.execute_batch(SCHEMA)?;
    Ok(database)
}

/// Ids ascend as a UUIDv7 does; client ids are random.
fn insert_row(database: &Connection, serial: u64, entropy: &Seeded) -> Result<()> {
    let (mut id, mut client_id, mut digest) = ([0; 16], [0; 16], [0; 32]);
    entropy.fill(&mut id);
    id[..8].copy_from_slice(&serial.to_be_bytes());
    entropy.fill(&mut client_id);
    entropy.fill(&mut digest);
    let time = 1_800_000_000_000_000_i64 + i64::try_from(serial)?;
    database
        .prepare_cached("INSERT INTO token VALUES (?1, ?2, ?3, ?4, ?4, ?5, '8760h', ?6, ?6, ?6, 1, ?7)")?
        .execute(params![
            id,
            [7_u8; 16],
            client_id,
            digest,
            format!("bench-{serial:010}"),
            time,
            "[]".repeat(22)
        ])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_that_is_counted_is_there() -> Result<()> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("group.db");
        let done = insert(&path, 100, 0.05)?;
        assert!(done.rows >= 100 && done.rows.is_multiple_of(100) && done.seconds >= 0.05);
        let database = Connection::open(&path)?;
        let (rows, bytes): (i64, f64) = database.query_row(
            "SELECT count(*), avg(length(id) + length(account) + length(client_id) + length(digest) * 2
                + length(name) + length(duration) + length(restrictions) + 4 * 8) FROM token",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        assert_eq!(rows, i64::try_from(done.rows)?);
        assert!((200.0..300.0).contains(&bytes), "{bytes} bytes a row");
        Ok(())
    }
}
