//! The store that the configuration names: the embedded one, or the shared one.

use std::str::FromStr as _;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use countersign_authority::{Authority, Directory, SigningSettings};
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

    /// Refuses what must not be done while other nodes use the store.
    pub(crate) async fn refuse_while_others_live(&self) -> anyhow::Result<()> {
        let Self::Shared(store) = self else { return Ok(()) };
        match store.count_others().await.context("cannot find out who else uses the database")? {
            0 => Ok(()),
            living => bail!(
                "servers that use the database: {living}; stop every one, and do it again (one that was killed counts for \
                 five seconds more)"
            ),
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

/// Opens the store and learns what is in it. Tokens are signed in the name of `issuer`; without one, none are.
pub(crate) async fn open(
    config: &Config,
    issuer: Option<&str>,
) -> anyhow::Result<(Arc<Authority>, OpenStore)> {
    let (authority, store) = open_sealed(config, issuer).await?;
    let has_keys = authority.load_keys().await.context("cannot read the signing keys of the store")?;
    if !has_keys {
        store.close().await;
        bail!(
            "the signing keys in the database are kept under another key than that of COUNTERSIGN_KEY_FILE: name the file \
             that the other nodes have; only if nobody has it any more, `countersign keys reset` removes them, and this node \
             makes new ones"
        );
    }
    Ok((authority, store))
}

/// As [`open`], whether or not the signing keys can be used.
pub(crate) async fn open_sealed(
    config: &Config,
    issuer: Option<&str>,
) -> anyhow::Result<(Arc<Authority>, OpenStore)> {
    let needs_seal = config.lists_texts || issuer.is_some();
    let load_seal = |data| seal::load(data, &OsEntropy, &environment::of_process).map(Arc::new);
    // Before the database is touched; the key of an embedded store is made in its directory, once that is this process's own.
    let is_shared = config.database_url.is_some();
    let shared_seal = (needs_seal && is_shared).then(|| load_seal(None)).transpose()?;
    let directory = Arc::new(Directory::default());
    let store = OpenStore::open(config, Arc::clone(&directory)).await?;
    let policy = config.policy.clone();
    let mut authority = Authority::new(store.port(), directory, store.clock(), Arc::new(OsEntropy), policy);
    if let OpenStore::Shared(shared) = &store {
        let uptime: Arc<dyn Uptime> = Arc::new(BootTime);
        authority = authority.leased(shared.lease(), uptime);
    }
    let own_seal = (needs_seal && !is_shared).then(|| load_seal(Some(config.data.as_path()))).transpose()?;
    if let Some(seal) = shared_seal.or(own_seal) {
        if config.lists_texts {
            authority = authority.listing_texts(Arc::clone(&seal));
        }
        if let Some(issuer) = issuer {
            authority = authority.signing_with(signing(config, issuer), seal);
        }
    }
    authority.load().await.context("cannot read the tokens of the store")?;
    Ok((Arc::new(authority), store))
}

fn signing(config: &Config, issuer: &str) -> SigningSettings {
    let resources = &config.jwt.resources;
    SigningSettings {
        issuer: issuer.into(),
        algorithm: config.jwt.algorithm,
        lifetime: config.jwt.lifetime,
        resources: (!resources.is_empty()).then(|| resources.clone()),
        is_alone: config.database_url.is_none(),
    }
}
