//! PostgreSQL as it is: how many rows a second it makes durable, one to a commit, for as many connections as the server
//! has.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use countersign_postgres_cluster::PROGRAMS;

use super::{Counters, UNTIMED, lane, reported};
use crate::load::Report;

/// Those of the load that it is compared with.
const CONNECTIONS: &str = "64";

/// A row as wide as one of *group*, and its two keys: one that ascends, one random and unique.
const SCHEMA: &str = "
    DROP TABLE IF EXISTS rows;
    CREATE TABLE rows (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        account uuid NOT NULL,
        client_id uuid NOT NULL UNIQUE,
        digest bytea NOT NULL,
        previous_digest bytea NOT NULL,
        name text NOT NULL,
        duration text NOT NULL,
        created_at bigint NOT NULL,
        updated_at bigint NOT NULL,
        expires_at bigint NOT NULL,
        version bigint NOT NULL,
        restrictions text NOT NULL
    )";

/// One transaction: prepared once in each connection, as all of its values but one are always the same.
const SCRIPT: &str = "\
INSERT INTO rows (account, client_id, digest, previous_digest, name, duration, created_at, updated_at, expires_at,
    version, restrictions)
VALUES ('07070707-0707-0707-0707-070707070707', gen_random_uuid(),
    '\\x0101010101010101010101010101010101010101010101010101010101010101',
    '\\x0202020202020202020202020202020202020202020202020202020202020202',
    'bench-0000000001', '8760h', 1800000000000000, 1800000000000000, 1800000000000000, 1,
    '[][][][][][][][][][][][][][][][][][][][][][]');
";

/// Inserts with pgbench into the server at `url`, whose process is `postgres`: for a while that does not count, in which
/// connections are made, and then for `measured`.
pub(crate) fn insert(url: &str, postgres: u32, warm_up: Duration, measured: Duration) -> Result<Report> {
    for setting in ["fsync", "synchronous_commit"] {
        ensure!(ask(url, &format!("SHOW {setting}"))? == "on", "{setting} is off: nothing would be durable");
    }
    ask(url, SCHEMA)?;
    let mut pgbench = start(url, warm_up + measured)?;
    sleep(warm_up);
    let (start, before, rows) = (Instant::now(), Counters::of(postgres)?, rows(url)?);
    sleep(measured);
    let (seconds, after) = (start.elapsed().as_secs_f64(), Counters::of(postgres)?);
    let rows = self::rows(url)? - rows;
    ensure!(pgbench.wait()?.success(), "pgbench has failed");
    ensure!(rows > 0, "pgbench has inserted nothing");
    Ok(reported(vec![lane("insert", rows, seconds, UNTIMED)], seconds, &before, &after))
}

/// Rows that were inserted so far, but for a few that are being inserted.
fn rows(url: &str) -> Result<u64> {
    let last = ask(url, "SELECT last_value FROM rows_id_seq")?;
    last.parse().with_context(|| format!("not a number: {last}"))
}

fn ask(url: &str, sql: &str) -> Result<String> {
    let psql = Command::new(Path::new(PROGRAMS).join("psql"))
        .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--command", sql, url])
        .output()
        .context("cannot run psql")?;
    ensure!(psql.status.success(), "psql: {}", String::from_utf8_lossy(&psql.stderr));
    Ok(String::from_utf8(psql.stdout)?.trim().to_owned())
}

/// Starts it for a little longer than that.
fn start(url: &str, time: Duration) -> Result<Child> {
    let seconds = time.as_secs() + 2;
    let mut pgbench = Command::new(Path::new(PROGRAMS).join("pgbench"))
        .args([
            "--no-vacuum",
            "--protocol=prepared",
            "--jobs=1",
            "--client",
            CONNECTIONS,
            "--file=-",
            "--time",
        ])
        .arg(seconds.to_string())
        .arg(url)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot run pgbench: install postgresql-15")?;
    let mut input = pgbench.stdin.take().context("pgbench reads nothing")?;
    std::io::Write::write_all(&mut input, SCRIPT.as_bytes())?;
    Ok(pgbench)
}
