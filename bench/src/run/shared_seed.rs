//! PostgreSQL with the tokens of a [`Seed`]: the rows of its database, copied into one that the server has made.
//!
//! Through the API a million tokens would take as long as everything else. A row that is wrong is not granted, or stops the
//! start, which every step notices. The record of what was done is left behind: nothing that is measured reads it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use countersign_postgres_cluster::copy_in;
use rusqlite::{Connection, OpenFlags};

use super::bench::Bench;
use super::countersign::Countersign;
use super::database::Database;
use super::seed::{DATABASE, Seed};

/// Where PostgreSQL's data is, beside that of the seed.
const DIRECTORY: &str = "postgres";

/// Tables: what PostgreSQL is told, and the lines of CSV in SQLite. All tokens are as they were created: without
/// restrictions, with one secret. The root account and its access token have the same names in both databases.
const TABLES: [(&str, &str); 2] = [
    (
        "COPY service_tokens (id, account, client_id, name, lifetime, enabled, secret_version, secret_digest, \
         secret_created_at, created_at, updated_at, expires_at, lineage, version) FROM STDIN (FORMAT csv)",
        "SELECT concat_ws(',', hex(id), hex(account), hex(client_id), name, lifetime, enabled, secret_version, \
         '\\x' || hex(secret_digest), secret_created_at, created_at, updated_at, expires_at, \
         '\\x' || hex(lineage), version) FROM service_tokens",
    ),
    (
        "COPY uses (token, secret_version, count, first_at, last_at, user_agent, door) FROM STDIN (FORMAT csv)",
        "SELECT concat_ws(',', concat_ws('-', substr(id, 1, 8), substr(id, 9, 4), substr(id, 13, 4), \
         substr(id, 17, 4), substr(id, 21)), secret_version, count, first_at, last_at, '\"bench\"', door) \
         FROM (SELECT *, lower(hex(token)) AS id FROM uses WHERE length(token) = 16)",
    ),
];

/// What the store keeps beside the rows.
const COUNT: &str = "UPDATE account_counts SET service_tokens = \
    (SELECT count(*) FROM service_tokens WHERE account = account_counts.account)";

/// PostgreSQL's directory with the tokens of a seed: that of an earlier run, or a new one.
pub(crate) fn open(bench: &Bench, seed: &Seed) -> Result<PathBuf> {
    let directory = seed.data.with_file_name(DIRECTORY);
    if !directory.exists() {
        let part = seed.data.with_file_name(format!("{DIRECTORY}.part"));
        make(bench, seed, &part)
            .with_context(|| format!("cannot copy {} tokens into PostgreSQL", seed.count))?;
        fs::rename(part, &directory)?;
    }
    Ok(directory)
}

fn make(bench: &Bench, seed: &Seed, directory: &Path) -> Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory)?;
    }
    // It may have been made by an earlier version: the server brings it to today's schema.
    bench.start(&seed.data)?.stop()?;
    let database = Database::open(directory)?;
    let scratch = bench.scratch("copied")?;
    let mut setting = bench.setting(&scratch);
    setting.environment = vec![("COUNTERSIGN_DATABASE_URL", database.address()?.url)];
    Countersign::start(&setting)?.stop()?;

    let from = Connection::open_with_flags(seed.data.join(DATABASE), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    for (into, rows) in TABLES {
        copy_in(&database.address()?.url, into, |to| write_rows(&from, rows, to))?;
    }
    database.ask(COUNT)?;
    let there = database.ask_number("SELECT sum(service_tokens) FROM account_counts")?;
    anyhow::ensure!(there == seed.count as u64, "{there} of {} tokens were copied", seed.count);
    // As the server's housekeeper would have done by and by.
    database.ask("VACUUM (ANALYZE)")?;
    database.stop()
}

/// Writes what a statement gives, line by line.
fn write_rows(from: &Connection, rows: &str, to: &mut dyn Write) -> Result<()> {
    let mut statement = from.prepare(rows)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        writeln!(to, "{}", row.get_ref(0)?.as_str()?)?;
    }
    Ok(())
}
