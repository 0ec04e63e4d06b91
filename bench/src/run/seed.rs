//! Directories of data with a known number of live tokens, made once through the create endpoint.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use rusqlite::Connection;

use super::bench::Bench;
use crate::credentials;
use crate::load::{LanePlan, Plan, WorkPlan};

/// Longest time to make the tokens of one directory.
const PATIENCE: Duration = Duration::from_secs(3600);

/// The server's database in its directory.
pub(super) const DATABASE: &str = "countersign.db";

const NOTE_USES: &str = "INSERT OR IGNORE INTO uses \
    (token, secret_version, count, first_at, last_at, address, user_agent, door) \
    SELECT id, secret_version, 1, created_at, created_at, NULL, 'bench', 'authz' \
    FROM service_tokens";

/// A directory of data and the file of its tokens.
#[derive(Debug, Clone)]
pub(crate) struct Seed {
    /// What the server is started on. It may verify and list; for anything else take a [`Bench::copy_of`].
    pub(crate) data: PathBuf,
    /// Its live tokens.
    pub(crate) tokens: PathBuf,
    /// How many they are.
    pub(crate) count: usize,
}

/// The directory with `count` tokens, if `limited` with limits that are never reached: the one of an earlier run, or a new
/// one.
pub(crate) fn open(bench: &mut Bench, dir: &Path, count: usize, limited: bool) -> Result<Seed> {
    let seed = Seed { data: dir.join("data"), tokens: dir.join("tokens"), count };
    if !seed.tokens.exists() {
        make(bench, dir, &seed, limited).with_context(|| format!("cannot make {count} tokens"))?;
    }
    Ok(seed)
}

/// The file of tokens gets its name last: when it is there, everything is.
fn make(bench: &mut Bench, dir: &Path, seed: &Seed, limited: bool) -> Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir)?;
    }
    fs::create_dir_all(dir)?;
    let answered = dir.join("tokens.part");
    let server = bench.start(&seed.data)?;
    create(bench, &server, seed.count, limited, &answered)?;
    server.stop()?;
    note_uses(&seed.data)?;
    Ok(fs::rename(answered, &seed.tokens)?)
}

/// Notes one use of each token, as the server would have stored it. A secret is used for the first time
/// once in its life; a hundred thousand that all are at the same moment are no door that anybody has.
fn note_uses(data: &Path) -> Result<()> {
    let database = Connection::open(data.join(DATABASE))?;
    let noted = database.execute(NOTE_USES, [])?;
    anyhow::ensure!(noted > 0, "there is no token");
    Ok(())
}

/// Creates `count` tokens, if `limited` with limits that are never reached, and writes them to a file.
pub(crate) fn create(
    bench: &Bench,
    server: &super::countersign::Countersign,
    count: usize,
    limited: bool,
    answered: &Path,
) -> Result<()> {
    let work = WorkPlan::Create { count: Some(count as u64), answered: Some(answered.to_owned()), limited };
    let lane = LanePlan { name: "create".into(), connections: 64, rate: None, work };
    let plan = Plan {
        address: server.address,
        server: Some(server.pid()),
        database: None,
        warm_up_ms: 0,
        measured_ms: PATIENCE.as_millis() as u64,
        until_closed: false,
        awake: false,
        lanes: vec![lane],
    };
    let report = bench.send(&plan)?;
    let wrong: Vec<_> = report.lanes.iter().filter_map(|lane| lane.first_wrong.as_deref()).collect();
    anyhow::ensure!(wrong.is_empty(), "the server does not create tokens: {}", wrong.join(", "));
    let written = credentials::read(answered)?.lines().count();
    anyhow::ensure!(written == count, "{written} tokens were answered, not {count}");
    Ok(())
}

/// Copies a directory, cheaply where the file system can.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    let copied = Command::new("cp").args(["-a", "--reflink=auto"]).arg(from).arg(to).status()?;
    anyhow::ensure!(copied.success(), "cannot copy {} to {}", from.display(), to.display());
    Ok(())
}

/// Reads every file in a directory, so that the page cache holds it.
pub(crate) fn warm(dir: &Path) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            warm(&path)?;
        } else if path.is_file() {
            std::io::copy(&mut fs::File::open(path)?, &mut std::io::sink())?;
        }
    }
    Ok(())
}
