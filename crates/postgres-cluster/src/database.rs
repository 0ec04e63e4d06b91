//! A database of its own for a test, in the server that is named or started for all of them.

use std::io::{BufWriter, Write};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result, ensure};

use crate::{URL_VARIABLE, program};

/// What the databases of this process are called.
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// An empty database, dropped with it. Whoever is still connected is put out.
#[derive(Debug)]
pub struct Database {
    server: String,
    name: String,
}

impl Database {
    /// In the server that [`URL_VARIABLE`] names.
    pub fn create() -> Result<Self> {
        let server = std::env::var(URL_VARIABLE).with_context(|| {
            format!("{URL_VARIABLE} names no server: `cargo xtask test` and `cargo xtask postgres` start one")
        })?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let database = Self { server, name: format!("test_{}_{number}", std::process::id()) };
        psql(&database.server, &format!("CREATE DATABASE {}", database.name))?;
        Ok(database)
    }

    /// Where it is.
    pub fn url(&self) -> String {
        let (address, parameters) = match self.server.split_once('?') {
            Some((address, parameters)) => (address, format!("?{parameters}")),
            None => (self.server.as_str(), String::new()),
        };
        let end_of_host = address.find("://").map_or(0, |scheme| scheme + 3);
        let host = match address[end_of_host..].find('/') {
            Some(slash) => &address[..end_of_host + slash],
            None => address,
        };
        format!("{host}/{}{parameters}", self.name)
    }

    /// Everything in it, as `pg_dump` writes it.
    pub fn dump(&self) -> Result<String> {
        let output = program("pg_dump")?.args(["--inserts", "--dbname", &self.url()]).output();
        let output = output.context("cannot run pg_dump")?;
        ensure!(output.status.success(), "pg_dump: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Database {
    /// Puts out whoever is connected, and makes it once more from a dump.
    pub fn restore(&self, dump: &str) -> Result<()> {
        psql(&self.server, &format!("DROP DATABASE {} WITH (FORCE)", self.name))?;
        psql(&self.server, &format!("CREATE DATABASE {}", self.name))?;
        let mut command = program("psql")?;
        command.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--single-transaction"]);
        let mut restoring =
            command.args(["--dbname", &self.url()]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
        restoring.stdin.take().context("psql without input")?.write_all(dump.as_bytes())?;
        ensure!(restoring.wait()?.success(), "psql could not restore the dump");
        Ok(())
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // One that stays is nobody's.
        let _ = psql(&self.server, &format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }
}

/// Runs one statement; gives what it prints.
pub fn psql(url: &str, statement: &str) -> Result<String> {
    let mut command = program("psql")?;
    command.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]);
    let output = command.args(["--dbname", url, "--command", statement]).stdin(Stdio::null()).output();
    let output = output.context("cannot run psql")?;
    ensure!(output.status.success(), "psql: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

/// Writes rows into a table: `rows` writes what PostgreSQL reads with `COPY … FROM STDIN`, the statement. All of them are
/// there afterwards, or none.
pub fn copy_in(url: &str, statement: &str, rows: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let mut command = program("psql")?;
    command.args([
        "--no-psqlrc",
        "--quiet",
        "--set=ON_ERROR_STOP=1",
        "--dbname",
        url,
        "--command",
        statement,
    ]);
    let mut copying =
        command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().context("cannot run psql")?;
    let mut input = BufWriter::new(copying.stdin.take().context("psql without input")?);
    let written = rows(&mut input).and_then(|()| Ok(input.flush()?));
    if written.is_err() {
        // At the end of its input it would take what it has for everything.
        copying.kill()?;
    }
    drop(input);
    let ended = copying.wait()?;
    written?;
    ensure!(ended.success(), "psql could not copy: {statement}");
    Ok(())
}
