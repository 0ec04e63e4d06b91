//! The measurements: which run, in which order, and what is printed.

mod bench;
mod countersign;
mod database;
mod goals;
mod job;
mod ledger;
mod nodes;
mod peer;
mod process;
mod proxy;
mod quiet;
mod scale;
mod seed;
mod shared_seed;
mod slow_disk;
mod steps;
mod table;
mod taken;
mod tenants;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;

use bench::Bench;
use scale::Scale;
use steps::{Row, Step};

/// How to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// A short run of small sizes that shows only that everything works; its numbers mean nothing
    #[arg(long)]
    quick: bool,
    /// Take every run once and at once, however busy the machine is: only ratios of pairs mean something then
    #[arg(long)]
    no_wait: bool,
    /// Only these rows of the table, and what they are compared with
    #[arg(long, value_delimiter = ',', ignore_case = true)]
    only: Vec<Row>,
    /// How often everything is measured
    #[arg(long)]
    rounds: Option<u32>,
    /// The server to measure
    #[arg(long, default_value = "target/release/countersign")]
    server: PathBuf,
    /// Where data is kept; the tokens made here are used again by the next run
    #[arg(long, default_value = "target/bench")]
    dir: PathBuf,
}

/// Measures and prints. The exit code is 1 when anything was wrong, whatever the numbers are.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let scale = Scale::of(options.quick);
    let scale = Scale { quiet: scale.quiet && !options.no_wait, ..scale };
    let rounds = options.rounds.unwrap_or(scale.rounds);
    let steps = Step::selected(&options.only);
    let mut bench = Bench::prepare(&options.server, &options.dir, scale)?;
    for round in 1..=rounds {
        bench.begin_round(round);
        for step in &steps {
            say(&format!("round {round} of {rounds}: {}", step.what()))?;
            step.take(&mut bench).with_context(|| format!("round {round}, {}", step.what()))?;
        }
    }
    let (ledger, runs) = bench.finish();
    say(&table::results(&ledger))?;
    say(&table::runs(&runs))?;
    for note in ledger.notes() {
        say(note)?;
    }
    if ledger.wrong_answers().is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    say("\nWRONG: none of the numbers counts.")?;
    ledger.wrong_answers().iter().try_for_each(|wrong| say(wrong))?;
    Ok(ExitCode::FAILURE)
}

/// Prints a line.
fn say(line: &str) -> Result<()> {
    Ok(writeln!(io::stdout().lock(), "{line}")?)
}
