//! Measurements of Countersign beside references, printed as ratios of one run. `README.md` says what each
//! is.

mod credentials;
mod load;
mod proc;
mod reference;
mod revoke;
mod run;
mod spread;
mod wire;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use serde::Serialize;

/// Measures Countersign beside references, and prints ratios.
#[derive(Parser)]
#[command(name = "countersign-bench")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// All but the first are started by the first, and can be started by hand.
#[derive(Subcommand)]
enum Command {
    /// Runs the measurements and prints the tables
    Run(run::Options),
    /// Sends a load: the plan as JSON on standard input, the report as JSON on standard output
    Load,
    /// Revokes tokens and verifies each at once on another connection
    RevokeThenVerify {
        /// The server
        #[arg(long)]
        address: SocketAddr,
        /// A file of tokens, one a line: id, client id, secret
        #[arg(long)]
        tokens: PathBuf,
        /// How many of them
        #[arg(long)]
        count: usize,
    },
    /// Changes something on one node and asks another about it until it knows, again and again
    Spread {
        /// What is changed
        kind: spread::Kind,
        /// The one
        #[arg(long)]
        at: SocketAddr,
        /// The other
        #[arg(long)]
        to: SocketAddr,
        /// A file of tokens, one a line: id, client id, secret
        #[arg(long)]
        tokens: PathBuf,
        /// How often
        #[arg(long)]
        count: usize,
    },
    /// Serves as the bare HTTP server
    ReferenceHyper {
        /// Address to listen on
        #[arg(long)]
        listen: SocketAddr,
        /// Verify against the tokens of this file; without it, 204 to everything
        #[arg(long)]
        map: Option<PathBuf>,
    },
    /// Hashes a password with argon2id, again and again
    ReferenceArgon2 {
        /// How long before anything is counted
        #[arg(long, default_value_t = 0.0)]
        warm_up: f64,
        /// How long
        #[arg(long)]
        seconds: f64,
    },
    /// Mints and reads short-lived tokens without HTTP, beside the bare signature and the bare check
    ReferenceSigned {
        /// A new directory for its data
        #[arg(long)]
        data: PathBuf,
        /// How long before anything is counted
        #[arg(long, default_value_t = 0.0)]
        warm_up: f64,
        /// How long
        #[arg(long)]
        seconds: f64,
    },
    /// Inserts rows durably into a PostgreSQL with pgbench, one to a commit
    ReferencePgbench {
        /// Where it is
        #[arg(long)]
        url: String,
        /// Its first process
        #[arg(long)]
        postgres: u32,
        /// How long before anything is counted
        #[arg(long, default_value_t = 0.0)]
        warm_up: f64,
        /// How long
        #[arg(long)]
        seconds: f64,
    },
    /// Inserts rows durably into a new SQLite database
    ReferenceSqlite {
        /// The database's file
        #[arg(long)]
        database: PathBuf,
        /// Rows to a commit
        #[arg(long)]
        per_commit: u32,
        /// How long before anything is counted
        #[arg(long, default_value_t = 0.0)]
        warm_up: f64,
        /// How long
        #[arg(long)]
        seconds: f64,
    },
}

fn main() -> Result<ExitCode> {
    match Arguments::parse().command {
        Command::Run(options) => return run::run(&options),
        Command::Load => {
            let plan = serde_json::from_reader(io::stdin().lock()).context("no plan on standard input")?;
            answer(&load::run(&plan)?)?;
        }
        Command::RevokeThenVerify { address, tokens, count } => {
            answer(&revoke::revoke_then_verify(address, &tokens, count)?)?;
        }
        Command::Spread { kind, at, to, tokens, count } => {
            answer(&spread::spread(kind, at, to, &tokens, count)?)?;
        }
        Command::ReferenceHyper { listen, map } => reference::hyper::serve(listen, map.as_deref())?,
        Command::ReferenceArgon2 { warm_up, seconds } => {
            let [warm_up, measured] = [warm_up, seconds].map(Duration::from_secs_f64);
            answer(&reference::argon2::hash(credentials::PASSWORD, warm_up, measured)?)?;
        }
        Command::ReferenceSigned { data, warm_up, seconds } => {
            let [warm_up, measured] = [warm_up, seconds].map(Duration::from_secs_f64);
            answer(&reference::signed::measure(&data, warm_up, measured)?)?;
        }
        Command::ReferencePgbench { url, postgres, warm_up, seconds } => {
            let [warm_up, measured] = [warm_up, seconds].map(Duration::from_secs_f64);
            answer(&reference::pgbench::insert(&url, postgres, warm_up, measured)?)?;
        }
        Command::ReferenceSqlite { database, per_commit, warm_up, seconds } => {
            let [warm_up, measured] = [warm_up, seconds].map(Duration::from_secs_f64);
            answer(&reference::sqlite::insert(&database, per_commit, warm_up, measured)?)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes a result as JSON to standard output.
fn answer(result: &impl Serialize) -> Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, result)?;
    Ok(writeln!(out)?)
}
