//! Countersign: a self-hosted token authority in one binary. This crate reads the configuration, puts the parts
//! together, and speaks to a running server from the command line.

mod cli;
mod client;
mod commands;
mod config;
mod duration;
mod environment;
mod failure;
mod gauges;
mod house;
mod lifecycle;
mod output;
mod ports;
mod root;
mod seal;
mod serve;
mod store;
mod table;
mod telemetry;
mod tls;
mod when;

use std::process::ExitCode;

use clap::Parser as _;

/// Small allocations of one thread are freed by another all day: by the writer, and by workers that take over a task.
/// glibc's allocator spends a tenth of a change on that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        // Help and version end well and go to standard output; everything else is a wrong command line.
        Err(error) => {
            let printed = error.print();
            return if error.use_stderr() || printed.is_err() {
                ExitCode::from(2)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    match cli.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
