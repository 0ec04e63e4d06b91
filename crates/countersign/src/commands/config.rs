//! `countersign config …`: what would be in effect.

use clap::Subcommand;

use crate::config::{ConfigArgs, load_for_process, show};
use crate::failure::Failure;
use crate::{environment, output, root};

/// What can be done with the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print the configuration in effect as TOML, and where each value comes from; secrets are not shown
    Show(ConfigArgs),
    /// Check every flag, variable, key and root setting, and nothing beyond them: not whether the port is free or the
    /// data directory can be used; exit code 0 or 1
    Check(ConfigArgs),
}

impl Command {
    /// Does it.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        match self {
            Self::Show(args) => {
                let effective = load_for_process(args)?;
                Ok(output::print(&show(&effective, &environment::of_process))?)
            }
            Self::Check(args) => {
                load_for_process(args)?;
                root::settings(&environment::of_process)?;
                Ok(output::print("the configuration is right\n")?)
            }
        }
    }
}
