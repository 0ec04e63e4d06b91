//! Migrations: forward only, each with the SHA-256 of its text, so that a database is never opened by a program that
//! was not made for it.

use rusqlite::{Connection, OptionalExtension as _, params};
use sha2::{Digest as _, Sha256};

/// One step of the schema. Numbers count from 1 without a gap; a released step is never changed.
pub(crate) struct Migration {
    pub(crate) number: u32,
    pub(crate) sql: &'static str,
}

/// Every step.
pub(crate) const ALL: &[Migration] = &[
    Migration { number: 1, sql: include_str!("../migrations/0001_tokens.sql") },
    Migration { number: 2, sql: include_str!("../migrations/0002_expired_access_tokens.sql") },
    Migration { number: 3, sql: include_str!("../migrations/0003_restrictions.sql") },
    Migration { number: 4, sql: include_str!("../migrations/0004_accounts.sql") },
    Migration { number: 5, sql: include_str!("../migrations/0005_sealed.sql") },
    Migration { number: 6, sql: include_str!("../migrations/0006_agreed_memberships.sql") },
    Migration { number: 7, sql: include_str!("../migrations/0007_limits.sql") },
    Migration { number: 8, sql: include_str!("../migrations/0008_keys.sql") },
];

const LEDGER: &str = "CREATE TABLE IF NOT EXISTS migrations (
    number INTEGER PRIMARY KEY,
    checksum BLOB NOT NULL CHECK (length(checksum) = 32)
) STRICT";

/// Why a database was not migrated. It is as it was.
#[derive(Debug)]
pub(crate) enum Unmigrated {
    /// It was used by a newer program.
    Newer { found: u32, known: u32 },
    /// It was used by an older program; a connection that only reads cannot change that.
    Older { found: u32, known: u32 },
    /// It was never used; as [`Unmigrated::Older`].
    None,
    /// A step that was applied is not the one of this program.
    Changed { number: u32 },
    /// SQLite failed.
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for Unmigrated {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// Brings the database to the last step, in one transaction.
pub(crate) fn migrate(connection: &mut Connection, steps: &[Migration]) -> Result<(), Unmigrated> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    transaction.execute_batch(LEDGER)?;
    let known = steps.last().map_or(0, |step| step.number);
    let found: Option<u32> =
        transaction.query_row("SELECT max(number) FROM migrations", [], |row| row.get(0))?;
    if let Some(found) = found.filter(|found| *found > known) {
        return Err(Unmigrated::Newer { found, known });
    }
    for step in steps {
        apply(&transaction, step)?;
    }
    Ok(transaction.commit()?)
}

/// Whether the database is at the last step, without a write.
pub(crate) fn check(connection: &Connection, steps: &[Migration]) -> Result<(), Unmigrated> {
    let has_ledger = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'migrations'";
    if connection.query_row(has_ledger, [], |_| Ok(())).optional()?.is_none() {
        return Err(Unmigrated::None);
    }
    let known = steps.last().map_or(0, |step| step.number);
    let found: Option<u32> =
        connection.query_row("SELECT max(number) FROM migrations", [], |row| row.get(0))?;
    match found {
        Some(found) if found > known => return Err(Unmigrated::Newer { found, known }),
        Some(found) if found < known => return Err(Unmigrated::Older { found, known }),
        Some(_) => {}
        None => return Err(Unmigrated::None),
    }
    for step in steps {
        match find_applied(connection, step)? {
            Some(applied) if applied == checksum(step) => {}
            _ => return Err(Unmigrated::Changed { number: step.number }),
        }
    }
    Ok(())
}

fn checksum(step: &Migration) -> [u8; 32] {
    Sha256::digest(step.sql.as_bytes()).into()
}

fn find_applied(connection: &Connection, step: &Migration) -> rusqlite::Result<Option<[u8; 32]>> {
    let sql = "SELECT checksum FROM migrations WHERE number = ?1";
    connection.query_row(sql, [step.number], |row| row.get(0)).optional()
}

fn apply(connection: &Connection, step: &Migration) -> Result<(), Unmigrated> {
    let checksum = checksum(step);
    match find_applied(connection, step)? {
        Some(applied) if applied == checksum => Ok(()),
        Some(_) => Err(Unmigrated::Changed { number: step.number }),
        None => {
            connection.execute_batch(step.sql)?;
            let row = params![step.number, checksum];
            connection.execute("INSERT INTO migrations (number, checksum) VALUES (?1, ?2)", row)?;
            Ok(())
        }
    }
}
