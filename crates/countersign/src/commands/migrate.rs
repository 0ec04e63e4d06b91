//! `countersign migrate`: from the embedded store into PostgreSQL.

use std::path::PathBuf;

use anyhow::{anyhow, bail};
use clap::Args;
use countersign_domain::archive::{Archive, ImportError, Record};
use countersign_domain::error::causes;
use countersign_domain::id::ChangeId;
use countersign_domain::secret::Secret;
use countersign_domain::store::StoreError;
use countersign_store_postgres::PostgresArchive;
use countersign_store_sqlite::{EmbeddedPlace, SqliteArchive};

use crate::config::{ConfigArgs, load_for_process};
use crate::house::{address, check_has_store, copy, text, unchanged};
use crate::output;

/// From where to where.
#[derive(Debug, Args)]
pub(crate) struct MigrateArgs {
    /// The data directory of the embedded store [default: the one of the configuration]
    #[arg(long, value_name = "DIRECTORY")]
    from: Option<PathBuf>,

    /// An empty database, such as postgres://user@host/database; better in the environment, because others see the flags
    /// of a process [env: COUNTERSIGN_DATABASE_URL]
    #[arg(long, value_name = "URL")]
    to: Option<String>,

    /// TOML file of the configuration [env: COUNTERSIGN_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Copies everything in one transaction: until it is committed, nothing is there, and it can be done again.
pub(crate) fn migrate(args: &MigrateArgs) -> anyhow::Result<()> {
    let flags = ConfigArgs { config: args.config.clone(), ..ConfigArgs::default() };
    let config = load_for_process(&flags)?.config;
    let from = args.from.as_ref().unwrap_or(&config.data);
    let url = args.to.clone().map(Secret::from_operator).or(config.database_url);
    let url = url.ok_or_else(|| anyhow!("name the database with --to postgres://user@host/database"))?;
    check_has_store(from)?;
    let place = EmbeddedPlace::take(from).map_err(|error| anyhow!("{error}"))?;
    let mut source = place.open().map_err(|error| anyhow!("{error}"))?;
    let opened = PostgresArchive::open(address(&url)?);
    let mut destination = opened.map_err(|error| anyhow!("{}", causes(&error)))?;
    let from = from.display();
    match copy(&mut source, &mut destination, &mut unchanged) {
        Ok(contents) => {
            output::print(&format!("{from} was moved: {}\n", text::contents(&contents)))?;
            output::note(&next_steps(&from.to_string()));
            Ok(())
        }
        Err(ImportError::NotEmpty) if is_there(&mut source, &destination)? => {
            output::print(&format!("{from} was moved to this database before; nothing was changed\n"))
        }
        Err(ImportError::NotEmpty) => {
            bail!("the database holds another store, and nothing was changed; name an empty database")
        }
        Err(ImportError::Store(StoreError::InDoubt(why))) => {
            let why = causes(why.as_ref());
            bail!("it is not known whether all was moved ({why}): do it again, it says so when it was")
        }
        Err(error) => bail!("nothing was moved: {}; it can be done again", causes(&error)),
    }
}

/// Whether the last change of the one is in the other: it stays in the audit for as long as any.
fn is_there(source: &mut SqliteArchive, destination: &PostgresArchive) -> anyhow::Result<bool> {
    let mut last: Option<ChangeId> = None;
    let read = source.export(&mut |record| {
        if let Record::Audit(record) = record {
            last = Some(record.entry.id);
        }
        Ok(())
    });
    read.map_err(|error| anyhow!("{}", causes(&error)))?;
    let Some(last) = last else { return Ok(false) };
    destination.has_change(last).map_err(|error| anyhow!("{}", causes(&error)))
}

fn next_steps(from: &str) -> String {
    format!(
        "Next: start the server, on as many machines as you like, with COUNTERSIGN_DATABASE_URL set to that database, and \
         COUNTERSIGN_KEY_FILE to the same key: a copy of {from}/seal.key, unless another was named before. The store in \
         {from} holds what it held, in the schema of this version: do not start it again, and remove it when all is well."
    )
}
