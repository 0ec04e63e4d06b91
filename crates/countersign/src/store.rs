//! The store that the configuration names: the embedded one, or the shared one.

use std::str::FromStr as _;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use countersign_authority::{Authority, Directory};
use countersign_domain::stats::WriterStats;
use countersign_domain::store::SharedStore;
use countersign_domain::time::{Clock, Uptime};
use countersign_store_postgres::{Address, PostgresOptions, PostgresStore};
use countersign_store_sqlite::{SqliteOptions, SqliteStore};

use crate::config::Config;
use crate::ports::{BootTime, OsEntropy, SystemClock};
use crate::{environment, seal};

/// An open store. Has to be closed by whoever gets it.
#[derive(Clone)]
pub(crate) enum OpenStore {
    /// SQLite, for one node.
    Embedded(Arc<SqliteStore>),
    /// PostgreSQL, for many.
    Shared(Arc<PostgresStore>),
}

impl OpenStore {
    /// Opens what is configured; it feeds `directory`.
    async fn open(config: &Config, directory: Arc<Directory>) -> anyhow::Result<Self> {
        let Some(url) = &config.database_url else {
            let options = SqliteOptions { queue: config.queue, ..SqliteOptions::new(&config.data) };
            // Its message names the causes already.
            let store = SqliteStore::open(options, directory).map_err(|error| anyhow!("{error}"))?;
            return Ok(Self::Embedded(Arc::new(store)));
        };
        let address = Address::from_str(url.reveal()).map_err(|error| anyhow!("{error} (`database_url`)"))?;
        let options = PostgresOptions {
            connections: config.database_connections,
            queue: config.queue,
            serve_stale_for: config.serve_stale_for,
            ..PostgresOptions::new(address, Arc::new(BootTime))
        };
        let store = PostgresStore::open(options, directory).await.context("cannot open the database")?;
        Ok(Self::Shared(Arc::new(store)))
    }

    fn port(&self) -> SharedStore {
        match self {
            Self::Embedded(store) => Arc::clone(store) as _,
            Self::Shared(store) => Arc::clone(store) as _,
        }
    }

    /// The time: of this machine, or of the database where others need the same one.
    fn clock(&self) -> Arc<dyn Clock> {
        match self {
            Self::Embedded(_) => Arc::new(SystemClock),
            Self::Shared(store) => store.clock(),
        }
    }

    /// What the writer has done.
    pub(crate) fn stats(&self) -> WriterStats {
        match self {
            Self::Embedded(store) => store.stats(),
            Self::Shared(store) => store.stats(),
        }
    }

    /// Whether it is this process's own.
    pub(crate) fn is_embedded(&self) -> bool {
        matches!(self, Self::Embedded(_))
    }

    /// Ends the store: finishes what was accepted, lets go what it holds.
    pub(crate) async fn close(&self) {
        match self {
            Self::Embedded(store) => store.close(),
            Self::Shared(store) => store.close().await,
        }
    }
}

/// Opens the store and learns what is in it.
pub(crate) async fn open(config: &Config) -> anyhow::Result<(Arc<Authority>, OpenStore)> {
    let directory = Arc::new(Directory::default());
    let store = OpenStore::open(config, Arc::clone(&directory)).await?;
    let policy = config.policy.clone();
    let mut authority = Authority::new(store.port(), directory, store.clock(), Arc::new(OsEntropy), policy);
    if let OpenStore::Shared(shared) = &store {
        let uptime: Arc<dyn Uptime> = Arc::new(BootTime);
        authority = authority.leased(shared.lease(), uptime);
    }
    if config.lists_texts {
        let own_key = store.is_embedded().then_some(config.data.as_path());
        authority = authority.listing_texts(seal::load(own_key, &OsEntropy, &environment::of_process)?);
    }
    authority.load().await.context("cannot read the tokens of the store")?;
    Ok((Arc::new(authority), store))
}
