//! The bare store: how many rows a second SQLite makes durable, so many to a commit (*group* 100, *single*
//! 1).

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use countersign_domain::entropy::Entropy;
use rusqlite::{Connection, params};

use super::report;
use crate::credentials::Seeded;
use crate::load::{Report, Times};

/// About 250 bytes a row, and the two keys of a token: its id, ascending as a UUIDv7 does, and its client id, random
/// and unique, by which a store without a directory in memory has to find it. The random one is most of a row's cost
/// (18 us of 26, where an index in order of creation took 8 on the same machine); Countersign, which finds client ids
/// in memory, has indexes for its lists and its audit instead. The goals of W1 and W2 are in terms of this table.
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

/// The store at work.
struct Store {
    database: Connection,
    entropy: Seeded,
    per_commit: u32,
    rows: u64,
}

/// Inserts into a new database at `path`, `per_commit` rows to a commit, WAL, `synchronous=FULL`: for a while
/// that does not count, in which the log grows to its length, and then for `measured`.
pub(crate) fn insert(path: &Path, per_commit: u32, warm_up: Duration, measured: Duration) -> Result<Report> {
    let mut store = Store { database: open(path)?, entropy: Seeded::new(1), per_commit, rows: 0 };
    store.commit_for(warm_up)?;
    let rows = store.rows;
    report("insert", || store.commit_for(measured).map(|commits| (store.rows - rows, commits)))
}

impl Store {
    /// Commits again and again for this long. Gives the times of the commits, their inserts included.
    fn commit_for(&mut self, time: Duration) -> Result<Times> {
        let (start, mut times) = (Instant::now(), Times::new()?);
        while start.elapsed() < time {
            let begin = Instant::now();
            self.commit()?;
            times.add(begin.elapsed());
        }
        Ok(times)
    }

    fn commit(&mut self) -> Result<()> {
        let transaction = self.database.transaction()?;
        for _ in 0..self.per_commit {
            insert_row(&transaction, self.rows, &self.entropy)?;
            self.rows += 1;
        }
        Ok(transaction.commit()?)
    }
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
        let (warm_up, measured) = (Duration::ZERO, Duration::from_millis(50));
        let done = insert(&path, 100, warm_up, measured)?;
        let inserted = done.lanes[0].completed;
        assert!(inserted >= 100 && inserted.is_multiple_of(100) && done.seconds >= 0.05);
        let database = Connection::open(&path)?;
        let (rows, bytes): (i64, f64) = database.query_row(
            "SELECT count(*), avg(length(id) + length(account) + length(client_id) + length(digest) * 2
                + length(name) + length(duration) + length(restrictions) + 4 * 8) FROM token",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        assert_eq!(rows, i64::try_from(inserted)?);
        assert!((200.0..300.0).contains(&bytes), "{bytes} bytes a row");
        Ok(())
    }
}
