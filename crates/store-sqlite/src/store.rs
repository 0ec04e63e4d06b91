//! The store as the rest of the program sees it.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use async_trait::async_trait;
use countersign_domain::access_token::AccessToken;
use countersign_domain::account::Account;
use countersign_domain::change::{Change, FactChange};
use countersign_domain::email::Email;
use countersign_domain::fact::CredentialKey;
use countersign_domain::id::{AccountId, Handle, MembershipId, OrganizationId, ServiceTokenId, TokenRef};
use countersign_domain::organization::{Membership, Organization};
use countersign_domain::service_token::{SecretVersion, ServiceToken};
use countersign_domain::signing_key::KeyGeneration;
use countersign_domain::stats::{Counters, WriterStats};
use countersign_domain::store::{
    AccessTokenQuery, AccountQuery, AuditPage, AuditQuery, ChangeSink, MembershipQuery, OrganizationQuery,
    Page, Revision, RootToken, ServiceTokenQuery, Store, StoreError, SweptEnded, TokenUsage,
};
use countersign_domain::time::Timestamp;
use countersign_domain::usage::{QuotaUse, Usage, UsageBatch};
use rusqlite::params;
use tokio::sync::oneshot;

use crate::apply::{find, handle_bytes};
use crate::audit;
use crate::checkpoint::Pacer;
use crate::chore::{Chore, Reply};
use crate::connection::{Database, last_revision};
use crate::filtered;
use crate::keys;
use crate::lists;
use crate::load;
use crate::open::{Directory, OpenError, SqliteOptions, migrate};
use crate::queue::{Queue, Rejected};
use crate::readers::Readers;
use crate::row;
use crate::sql;
use crate::usage;
use crate::writer::{Write, WriteQueue, Writer};

/// Most rows of one piece of background work. A longer one is done in several, so that no change waits for all of it.
const CHORE_ROWS: u32 = 1_000;
/// How far the threads of the store stand back: about a tenth of the weight of a thread that serves.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// The embedded store.
///
/// Closed when dropped: waits for what was accepted to be durable, empties SQLite's log, and lets go the directory.
pub struct SqliteStore {
    queue: Arc<WriteQueue>,
    readers: Arc<Readers>,
    counters: Arc<Counters>,
    pacer: Arc<Pacer>,
    /// What ends with the store; `None` once it has ended.
    running: Mutex<Option<Running>>,
}

struct Running {
    writer: JoinHandle<()>,
    checkpointer: JoinHandle<()>,
    /// Let go last.
    _directory: Directory,
}

impl SqliteStore {
    /// Opens the store in a directory, makes it when there is none, and publishes to `sink` what is committed.
    pub fn open(options: SqliteOptions, sink: Arc<dyn ChangeSink>) -> Result<Self, OpenError> {
        Self::open_with(options, sink, |_| {})
    }

    /// As [`SqliteStore::open`]; `prepare` is where tests reach the connections.
    pub(crate) fn open_with(
        options: SqliteOptions,
        sink: Arc<dyn ChangeSink>,
        prepare: impl FnOnce(&mut Database),
    ) -> Result<Self, OpenError> {
        let directory = Directory::take(&options.directory)?;
        let path = directory.database.clone();
        let counters = Arc::new(Counters::default());
        let mut database = Database::new(path.clone(), Arc::clone(&counters));
        prepare(&mut database);
        let failed = |cause| OpenError::database(&path, cause);
        let mut connection = database.connect_writer().map_err(failed)?;
        migrate(&path, &mut connection)?;
        let revision = last_revision(&connection).map_err(|failure| failed(failure.into_sqlite()))?;

        let database = Arc::new(database);
        let queue = Arc::new(Queue::new(options.queue));
        let pacer = Arc::new(Pacer::new());
        let writer = Writer::new(
            Arc::clone(&database),
            connection,
            revision,
            Arc::clone(&queue),
            sink,
            Arc::clone(&counters),
            Arc::clone(&pacer),
        );
        let writer = start_thread("writer", move || writer.run())?;
        let checkpointer = {
            let (pacer, database) = (Arc::clone(&pacer), Arc::clone(&database));
            start_thread("checkpointer", move || pacer.run(&database)).inspect_err(|_| queue.close())?
        };
        let running = Mutex::new(Some(Running { writer, checkpointer, _directory: directory }));
        let readers = Arc::new(Readers::new(database, options.readers));
        Ok(Self { queue, readers, counters, pacer, running })
    }

    /// What the writer has done; for metrics.
    pub fn stats(&self) -> WriterStats {
        self.counters.read(self.queue.len())
    }

    /// Ends the store: finishes what was accepted, empties the log, lets go the directory. Blocks meanwhile. Every
    /// call that follows answers [`StoreError::Unavailable`].
    pub fn close(&self) {
        let running = mem::take(&mut *self.running.lock().unwrap_or_else(PoisonError::into_inner));
        let Some(running) = running else { return };
        self.queue.close();
        let written = running.writer.join();
        self.pacer.close();
        self.readers.close();
        let emptied = running.checkpointer.join();
        if written.and(emptied).is_err() {
            tracing::error!("a thread of the store has panicked");
        }
    }

    /// Gives background work to the writer and waits for its answer.
    async fn chore<T>(&self, chore: impl FnOnce(Reply<T>) -> Chore) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.queue.push_chore(chore(reply)).map_err(rejected)?;
        answer.await.map_err(|_| writer_gone())?
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.close();
    }
}

fn start_thread(
    name: &'static str,
    work: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, OpenError> {
    let yielding = || {
        yield_to_doors();
        work();
    };
    thread::Builder::new().name(name.to_owned()).spawn(yielding).map_err(|cause| OpenError::Thread { cause })
}

/// Where the machine has too little for all, a request at a door, which takes microseconds, goes before the work of
/// this thread, which takes milliseconds.
fn yield_to_doors() {
    // To Linux this means the thread that asks; elsewhere it would mean the whole process.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::debug!(%error, "the store's threads run at the usual priority");
    }
}

fn rejected(rejected: Rejected) -> StoreError {
    match rejected {
        Rejected::Full => StoreError::Busy,
        Rejected::Closed => writer_gone(),
    }
}

fn writer_gone() -> StoreError {
    StoreError::Unavailable("the store is closed, or has given up on its disk".into())
}

#[async_trait]
impl Store for SqliteStore {
    async fn apply(&self, change: Change) -> Result<Revision, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.queue.push(Write { change, reply }).map_err(rejected)?;
        answer.await.map_err(|_| writer_gone())?.take()
    }

    async fn load_facts(&self, visit: Box<dyn FnMut(FactChange) + Send>) -> Result<Revision, StoreError> {
        self.chore(|reply| Chore::LoadFacts(visit, reply)).await
    }

    async fn load_used_secrets(
        &self,
        mut visit: Box<dyn FnMut(CredentialKey, SecretVersion) + Send>,
    ) -> Result<(), StoreError> {
        self.readers.search(move |c| load::used_secrets(c, &mut visit)).await
    }

    async fn load_quota_uses(
        &self,
        mut visit: Box<dyn FnMut(CredentialKey, QuotaUse) + Send>,
    ) -> Result<(), StoreError> {
        self.readers.search(move |c| load::quota_uses(c, &mut visit)).await
    }

    async fn find_account(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        self.readers.read(move |c| find(c, sql::FIND_ACCOUNT, [id.as_bytes()], row::account)).await
    }

    async fn find_root_account(&self) -> Result<Option<Account>, StoreError> {
        self.readers.read(|c| find(c, sql::FIND_ROOT_ACCOUNT, [], row::account)).await
    }

    async fn find_account_by_email(&self, email: &Email) -> Result<Option<Account>, StoreError> {
        let email = email.clone();
        let read = move |c: &_| find(c, sql::FIND_ACCOUNT_BY_EMAIL, [email.as_str()], row::account);
        self.readers.read(read).await
    }

    async fn list_accounts(&self, query: AccountQuery) -> Result<Page<Account>, StoreError> {
        self.readers.read(move |c| lists::accounts(c, &query)).await
    }

    async fn find_organization(&self, id: OrganizationId) -> Result<Option<Organization>, StoreError> {
        self.readers.read(move |c| find(c, sql::FIND_ORGANIZATION, [id.as_bytes()], row::organization)).await
    }

    async fn list_organizations(&self, query: OrganizationQuery) -> Result<Page<Organization>, StoreError> {
        self.readers.read(move |c| lists::organizations(c, &query)).await
    }

    async fn find_membership(&self, id: MembershipId) -> Result<Option<Membership>, StoreError> {
        self.readers.read(move |c| find(c, sql::FIND_MEMBERSHIP, [id.as_bytes()], row::membership)).await
    }

    async fn find_membership_of(
        &self,
        organization: OrganizationId,
        account: AccountId,
    ) -> Result<Option<Membership>, StoreError> {
        let read = move |c: &_| {
            let key = params![account.as_bytes(), organization.as_bytes()];
            find(c, sql::FIND_MEMBERSHIP_OF, key, row::membership)
        };
        self.readers.read(read).await
    }

    async fn list_memberships(&self, query: MembershipQuery) -> Result<Page<Membership>, StoreError> {
        self.readers.read(move |c| lists::memberships(c, &query)).await
    }

    async fn sweep_ended(&self, limit: u32) -> Result<SweptEnded, StoreError> {
        self.chore(|reply| Chore::SweepEnded { limit: limit.min(CHORE_ROWS), reply }).await
    }

    async fn find_root_token(&self) -> Result<Option<RootToken>, StoreError> {
        self.readers.read(|c| find(c, sql::FIND_ROOT_TOKEN, [], row::root_token)).await
    }

    async fn find_service_token_with_uses(
        &self,
        account: AccountId,
        id: ServiceTokenId,
    ) -> Result<Option<(ServiceToken, Vec<Usage>)>, StoreError> {
        let read = move |c: &_| {
            let key = params![id.as_bytes(), account.as_bytes()];
            let Some(token) = find(c, sql::FIND_SERVICE_TOKEN, key, row::service_token)? else {
                return Ok(None);
            };
            let mut uses = Vec::new();
            usage::list_uses(c, TokenRef::Service(id), &mut uses)?;
            Ok(Some((token, uses)))
        };
        self.readers.read(read).await
    }

    async fn list_service_tokens(&self, query: ServiceTokenQuery) -> Result<Page<ServiceToken>, StoreError> {
        if query.search.is_some() {
            return self.readers.search(move |c| lists::service_tokens(c, &query)).await;
        }
        self.readers.read(move |c| lists::service_tokens(c, &query)).await
    }

    async fn find_access_token_anywhere(&self, handle: Handle) -> Result<Option<AccessToken>, StoreError> {
        let read = move |c: &_| find(c, sql::FIND_ACCESS_TOKEN, [handle_bytes(&handle)], row::access_token);
        self.readers.read(read).await
    }

    async fn list_access_tokens(&self, query: AccessTokenQuery) -> Result<Page<AccessToken>, StoreError> {
        if filtered::is_wide(&query) {
            return self.readers.search(move |c| lists::access_tokens(c, &query)).await;
        }
        self.readers.read(move |c| lists::access_tokens(c, &query)).await
    }

    async fn sweep_access_tokens(&self, before: Timestamp, limit: u32) -> Result<u32, StoreError> {
        in_parts(limit, |limit| self.chore(move |reply| Chore::SweepAccessTokens { before, limit, reply }))
            .await
    }

    async fn record_usage(&self, batch: UsageBatch) -> Result<(), StoreError> {
        for part in split(batch) {
            self.chore(|reply| Chore::Record(part, reply)).await?;
        }
        Ok(())
    }

    async fn add_quota_uses(&self, uses: Vec<QuotaUse>) -> Result<Vec<QuotaUse>, StoreError> {
        let mut sums = Vec::with_capacity(uses.len());
        for part in uses.chunks(CHORE_ROWS as usize) {
            let part = part.to_vec();
            sums.extend(self.chore(|reply| Chore::AddQuotaUses(part, reply)).await?);
        }
        Ok(sums)
    }

    async fn sweep_quota_uses(&self, before: Timestamp, limit: u32) -> Result<u32, StoreError> {
        in_parts(limit, |limit| self.chore(move |reply| Chore::SweepQuotaUses { before, limit, reply })).await
    }

    async fn load_key_generations(&self) -> Result<Vec<KeyGeneration>, StoreError> {
        self.readers.read(keys::load).await
    }

    async fn find_usage(&self, token: TokenRef) -> Result<TokenUsage, StoreError> {
        self.readers.read(move |c| usage::find(c, token)).await
    }

    async fn list_uses(&self, tokens: Vec<TokenRef>) -> Result<Vec<Usage>, StoreError> {
        let read = move |c: &_| {
            let mut uses = Vec::new();
            tokens.into_iter().try_for_each(|token| usage::list_uses(c, token, &mut uses))?;
            Ok(uses)
        };
        self.readers.read(read).await
    }

    async fn sweep_refusals(&self, before: Timestamp, limit: u32) -> Result<u32, StoreError> {
        in_parts(limit, |limit| self.chore(move |reply| Chore::SweepRefusals { before, limit, reply })).await
    }

    async fn list_audit(&self, query: AuditQuery) -> Result<AuditPage, StoreError> {
        self.readers.read(move |c| audit::list(c, &query, last_revision(c)?)).await
    }

    async fn sweep_audit(&self, before: Timestamp, limit: u32) -> Result<u32, StoreError> {
        in_parts(limit, |limit| self.chore(move |reply| Chore::SweepAudit { before, limit, reply })).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.readers.read(last_revision).await?;
        self.chore(Chore::Check).await
    }
}

/// Sweeps `limit` rows in parts, until a part finds fewer than it may take; gives how many.
async fn in_parts<F: Future<Output = Result<u32, StoreError>>>(
    limit: u32,
    sweep: impl Fn(u32) -> F,
) -> Result<u32, StoreError> {
    let mut swept = 0;
    loop {
        let part = (limit - swept).min(CHORE_ROWS);
        let found = sweep(part).await?;
        swept += found;
        if found < part || swept == limit {
            return Ok(swept);
        }
    }
}

/// A batch as several of at most [`CHORE_ROWS`] rows of each kind.
fn split(mut batch: UsageBatch) -> Vec<UsageBatch> {
    let mut parts = Vec::new();
    while !batch.uses.is_empty() || !batch.refusals.is_empty() {
        let uses = batch.uses.split_off(batch.uses.len().saturating_sub(CHORE_ROWS as usize));
        let refusals = batch.refusals.split_off(batch.refusals.len().saturating_sub(CHORE_ROWS as usize));
        parts.push(UsageBatch { uses, refusals });
    }
    parts.reverse();
    parts
}
