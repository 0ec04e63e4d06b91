//! Developer commands, run as `cargo xtask <command>`. `cargo xtask test` is the one that decides whether a
//! change is good; the others are parts of it, or show that its tests bite.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "these commands speak to a person")]

mod deny;
mod imports;
mod long;
mod sabotage;
mod sources;
mod suite;
mod tally;
mod workspace;

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};
use countersign_postgres_cluster::{Cluster, URL_VARIABLE};

use crate::suite::Stage;
use crate::workspace::Workspace;

/// Developer commands of Countersign.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Set up what is missing, format, lint and run every test.
    Test {
        /// Run these stages alone, in their usual order.
        #[arg(long, value_delimiter = ',')]
        only: Vec<Stage>,
    },
    /// Check who imports whom, and the size and names of source files.
    Imports,
    /// Check licences, banned crates and duplicate versions against deny.toml.
    Deny,
    /// Break the code on purpose, one patch of tests/sabotage at a time, and show that a test fails each
    /// time.
    Sabotage {
        /// Patches to apply, without `.patch`; all when none is named.
        names: Vec<String>,
    },
    /// Measure beside references, on a quiet machine: about 20 minutes.
    Bench {
        /// For the bench, such as `--quick` or `--only V1,W1`; `--help` tells all.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run a throw-away PostgreSQL, as the tests do, until a line is read.
    Postgres,
    /// Kill the server many more times than the tests do.
    Soak {
        /// How often.
        #[arg(default_value_t = 400)]
        kills: u32,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    match command {
        Command::Test { only } => return Ok(suite::run(&workspace, &only)),
        Command::Imports => check_imports(&workspace)?,
        Command::Deny => check_dependencies(&workspace)?,
        Command::Sabotage { names } => sabotage::run(&workspace, &names)?,
        Command::Bench { arguments } => long::bench(&workspace, &arguments)?,
        Command::Postgres => postgres()?,
        Command::Soak { kills } => long::soak(&workspace, kills)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn postgres() -> Result<()> {
    let cluster = Cluster::start(&[])?;
    println!("export {URL_VARIABLE}={}", cluster.url());
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}

fn check_imports(workspace: &Workspace) -> Result<()> {
    let mut violations = imports::violations(&workspace.members()?);
    violations.extend(sources::violations(workspace.root())?);
    none_of("imports and sources", &violations)
}

fn check_dependencies(workspace: &Workspace) -> Result<()> {
    none_of("deny.toml", &deny::violations(workspace)?)
}

/// Succeeds when there are no violations of `rule`, otherwise prints them.
fn none_of(rule: &str, violations: &[String]) -> Result<()> {
    if violations.is_empty() {
        println!("{rule}: all as it should be");
        return Ok(());
    }
    for violation in violations {
        eprintln!("{violation}");
    }
    bail!("{rule}: {} violations", violations.len())
}
