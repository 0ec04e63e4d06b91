//! Where the store is that a command is about.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};
use countersign_domain::archive::Archive;
use countersign_domain::error::causes;
use countersign_domain::secret::Secret;
use countersign_store_postgres::{self as postgres, Address, PostgresArchive};
use countersign_store_sqlite::{self as sqlite, EmbeddedPlace, SqliteArchive};

use super::opened::Opened;
use crate::config::Config;

/// How a restore goes on when the present store tells nothing, or not the truth.
const WITHOUT: &str = "to restore all the same, say --without-present-store: what has ended since is then known from \
                       --audit alone";

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

    /// What people know it by.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Embedded(directory) => EmbeddedPlace::database(directory).display().to_string(),
            Self::Shared(_) => "the database".to_owned(),
        }
    }

    /// The store that is there now, to be read; no server uses it. `None`: there is none. That it is damaged, or cannot be
    /// reached, does not count as that.
    pub(crate) fn present(&self) -> anyhow::Result<Option<Box<dyn Archive>>> {
        match self {
            Self::Embedded(directory) if !EmbeddedPlace::has_database(directory) => Ok(None),
            Self::Embedded(directory) => match Opened::read(&EmbeddedPlace::database(directory)) {
                Ok(opened) => Ok(Some(Box::new(opened))),
                Err(sqlite::OpenError::NoStore { .. }) => Ok(None),
                Err(
                    why @ (sqlite::OpenError::Damaged { .. }
                    | sqlite::OpenError::Database { .. }
                    | sqlite::OpenError::ChangedMigration { .. }),
                ) => Err(self.untold(&why)),
                Err(why) => Err(anyhow!("{why}")),
            },
            Self::Shared(address) => match PostgresArchive::read(Address::clone(address)) {
                Ok(archive) => Ok(Some(Box::new(archive))),
                Err(postgres::OpenError::Empty) => Ok(None),
                Err(why @ postgres::OpenError::Changed { .. }) => Err(self.untold(&why)),
                Err(why) => Err(anyhow!("{}", causes(&why))),
            },
        }
    }

    /// The present store tells nothing, or not the truth, and there is a way on without it.
    pub(crate) fn untold(&self, why: impl Display) -> anyhow::Error {
        anyhow!("the present store, {}, cannot be believed: {why}; {WITHOUT}", self.name())
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
