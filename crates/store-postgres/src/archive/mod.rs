//! The shared store as something to be emptied into a stream of records, or filled from one.

mod export;
mod import;

use countersign_domain::archive::{Archive, Contents, ImportError, Record};
use countersign_domain::id::ChangeId;
use countersign_domain::store::{Cause, StoreError};
use deadpool_postgres::{Object, Pool};
use tokio::runtime::{Builder, Runtime};

pub(crate) use self::import::COUNT_LIVING_NODES;
use crate::accounts::uuid;
use crate::address::Address;
use crate::connect::Connector;
use crate::failure::unavailable;
use crate::options::OpenError;
use crate::session::find;
use crate::{migrate, pool, pooler, sql};

/// One works; another may be asked something meanwhile.
const CONNECTIONS: usize = 2;

/// What becomes of what is there when records come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    /// Nothing may be there.
    Nothing,
    /// It gives way, and nodes learn it by another epoch.
    Everything {
        /// What must be there, then; `None`: whatever is there.
        known: Option<Contents>,
    },
}

/// A database as an archive. It has threads of its own, so that others can block in it.
pub struct PostgresArchive {
    /// `None` when it has ended.
    runtime: Option<Runtime>,
    pool: Pool,
    over: Over,
}

impl PostgresArchive {
    /// Opens a database to read it. Nothing is written, not even its schema, which must be the one of this program.
    pub fn read(address: Address) -> Result<Self, OpenError> {
        let archive = Self::connect(address)?;
        archive.runtime()?.block_on(async {
            let client = archive.client().await?;
            migrate::check(&client).await
        })?;
        Ok(archive)
    }

    /// Opens a database and brings its schema to the last step, which must be the one of this program.
    pub fn open(address: Address) -> Result<Self, OpenError> {
        let archive = Self::connect(address)?;
        archive.runtime()?.block_on(async {
            let mut client = archive.client().await?;
            migrate::migrate(&mut client).await?;
            migrate::check(&client).await
        })?;
        Ok(archive)
    }

    /// From now on what is there gives way to what is imported, in the same transaction: if no server uses it, and if it
    /// is what is `known` of it.
    #[must_use]
    pub fn replacing(mut self, known: Option<Contents>) -> Self {
        self.over = Over::Everything { known };
        self
    }

    /// Whether its audit has a change.
    pub fn has_change(&self, id: ChangeId) -> Result<bool, StoreError> {
        self.runtime().map_err(unavailable)?.block_on(async {
            let client = self.client().await?;
            let found = find(&client, sql::IS_AUDITED, &[&uuid(id.as_bytes())], |_| Ok(())).await;
            Ok(found?.is_some())
        })
    }

    /// As [`Self::has_change`], of a change that was imported and whose commit was not answered.
    pub fn has_imported(&self, id: ChangeId) -> Result<bool, StoreError> {
        self.runtime().map_err(unavailable)?.block_on(async {
            let mut client = self.client().await?;
            Ok(import::is_committed(&mut client, id).await?)
        })
    }

    fn connect(address: Address) -> Result<Self, OpenError> {
        // One thread for the connection, while whoever asked blocks in another.
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(OpenError::Runtime)?;
        let connector = Connector::without_haste(address);
        let pool = runtime.block_on(async {
            pooler::refuse(&connector).await?;
            pool::pool(&connector, CONNECTIONS)
        })?;
        Ok(Self { runtime: Some(runtime), pool, over: Over::Nothing })
    }

    fn runtime(&self) -> Result<&Runtime, OpenError> {
        let ended = || OpenError::Runtime(std::io::ErrorKind::NotConnected.into());
        self.runtime.as_ref().ok_or_else(ended)
    }

    async fn client(&self) -> Result<Object, StoreError> {
        pool::lend(&self.pool).await
    }
}

impl Archive for PostgresArchive {
    fn export(&mut self, visit: &mut dyn FnMut(Record) -> Result<(), Cause>) -> Result<Contents, StoreError> {
        self.runtime().map_err(unavailable)?.block_on(async {
            let mut client = self.client().await?;
            Ok(export::export(&mut client, visit).await?)
        })
    }

    fn import(
        &mut self,
        records: &mut dyn Iterator<Item = Record>,
        check: &mut dyn FnMut(&Contents) -> Result<(), Cause>,
    ) -> Result<Contents, ImportError> {
        let over = self.over;
        self.runtime().map_err(unavailable)?.block_on(async {
            let mut client = self.client().await?;
            import::import(&mut client, over, records, check).await
        })
    }
}

impl Drop for PostgresArchive {
    fn drop(&mut self) {
        // Without a wait: it may be dropped where nobody may block.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
