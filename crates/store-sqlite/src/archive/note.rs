//! What a backup says of itself: a table of names and values, for people with a shell of SQLite, too.

use countersign_domain::archive::{Contents, RowCounts, Table};
use countersign_domain::store::Revision;
use countersign_domain::time::Timestamp;
use rusqlite::{Connection, OptionalExtension as _};

use super::SqliteArchive;
use crate::open::OpenError;

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupNote {
    /// When it was taken.
    pub taken_at: Timestamp,
    /// By which version of the program.
    pub version: String,
    /// Of which kind of store.
    pub store: String,
    /// What it holds.
    pub contents: Contents,
}

const TABLE: &str = "CREATE TABLE backup (name TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) STRICT";

impl SqliteArchive {
    /// Writes the note of a backup that was imported.
    pub fn write_note(&mut self, note: &BackupNote) -> Result<(), OpenError> {
        let mut write = || -> rusqlite::Result<()> {
            let transaction = self.connection.transaction()?;
            transaction.execute_batch(TABLE)?;
            for (name, value) in rows(note) {
                transaction.execute("INSERT INTO backup VALUES (?1, ?2)", [name, value])?;
            }
            transaction.commit()
        };
        write().map_err(|cause| OpenError::database(&self.path, cause))
    }

    /// The note; [`OpenError::NoBackup`] when there is none, or one that cannot be read.
    pub fn note(&self) -> Result<BackupNote, OpenError> {
        let found = read(&self.connection).map_err(|cause| OpenError::database(&self.path, cause))?;
        found.ok_or_else(|| OpenError::NoBackup { path: self.path.clone() })
    }
}

fn rows(note: &BackupNote) -> Vec<(String, String)> {
    let Contents { revision, rows, digest } = &note.contents;
    let mut all = vec![
        ("taken_at".to_owned(), format!("{:?}", note.taken_at)),
        ("taken_at_micros".to_owned(), note.taken_at.as_micros().to_string()),
        ("version".to_owned(), note.version.clone()),
        ("store".to_owned(), note.store.clone()),
        ("revision".to_owned(), revision.to_string()),
        ("digest".to_owned(), digest.to_string()),
    ];
    all.extend(rows.iter().map(|(table, rows)| (rows_of(table), rows.to_string())));
    all
}

fn rows_of(table: Table) -> String {
    format!("rows.{}", table.as_str())
}

fn read(connection: &Connection) -> rusqlite::Result<Option<BackupNote>> {
    let has_table = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'backup'";
    if connection.query_row(has_table, [], |_| Ok(())).optional()?.is_none() {
        return Ok(None);
    }
    let value = |name: &str| {
        let sql = "SELECT value FROM backup WHERE name = ?1";
        connection.query_row(sql, [name], |row| row.get::<_, String>(0)).optional()
    };
    let number = |name: &str| Ok::<_, rusqlite::Error>(value(name)?.and_then(|text| text.parse().ok()));
    let mut rows = RowCounts::default();
    for table in Table::ALL {
        let Some(count) = number(&rows_of(table))? else { return Ok(None) };
        rows.add(table, count);
    }
    let micros: Option<i64> = value("taken_at_micros")?.and_then(|text| text.parse().ok());
    let digest = value("digest")?.and_then(|text| text.parse().ok());
    let (revision, version, store) = (number("revision")?, value("version")?, value("store")?);
    Ok(read_all(micros, version, store, revision, rows, digest))
}

fn read_all(
    micros: Option<i64>,
    version: Option<String>,
    store: Option<String>,
    revision: Option<u64>,
    rows: RowCounts,
    digest: Option<countersign_domain::fact_digest::FactDigest>,
) -> Option<BackupNote> {
    let contents = Contents { revision: Revision(revision?), rows, digest: digest? };
    Some(BackupNote { taken_at: Timestamp::from_micros(micros?), version: version?, store: store?, contents })
}
