//! Where the store is that a command is about.

use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};
use countersign_domain::archive::Archive;
use countersign_domain::error::causes;
use countersign_domain::secret::Secret;
use countersign_store_postgres::{Address, PostgresArchive};
use countersign_store_sqlite::{EmbeddedPlace, SqliteArchive};

use crate::config::Config;

/// Where the configured store is.
pub(crate) enum Place {
    /// In a data directory.
    Embedded(PathBuf),
    /// In PostgreSQL.
    Shared(Box<Address>),
}

impl Place {
    pub(crate) fn of(config: &Config) -> anyhow::Result<Self> {
        Ok(match &config.database_url {
            Some(url) => Self::Shared(Box::new(address(url)?)),
            None => Self::Embedded(config.data.clone()),
        })
    }

    /// What kind of store it is.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Embedded(_) => "embedded",
            Self::Shared(_) => "postgres",
        }
    }

    /// The store, to be read, also while servers use it.
    pub(crate) fn read(&self) -> anyhow::Result<Box<dyn Archive>> {
        match self {
            Self::Embedded(directory) => {
                check_has_store(directory)?;
                let database = EmbeddedPlace::database(directory);
                Ok(Box::new(SqliteArchive::read(&database).map_err(|error| anyhow!("{error}"))?))
            }
            Self::Shared(address) => {
                let archive = PostgresArchive::read(Address::clone(address));
                Ok(Box::new(archive.map_err(|error| anyhow!("{}", causes(&error)))?))
            }
        }
    }
}

/// Where a database is. What is wrong is said without the URL, which may hold a password.
pub(crate) fn address(url: &Secret) -> anyhow::Result<Address> {
    url.reveal().parse().map_err(|error| anyhow!("{error} (`database_url`)"))
}

pub(crate) fn check_has_store(directory: &Path) -> anyhow::Result<()> {
    if EmbeddedPlace::has_database(directory) {
        return Ok(());
    }
    bail!("there is no store in {}; name its directory", directory.display());
}
