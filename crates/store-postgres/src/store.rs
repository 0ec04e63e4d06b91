//! The store as the rest of the program sees it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use countersign_domain::access_token::AccessToken;
use countersign_domain::account::Account;
use countersign_domain::change::{Change, FactChange};
use countersign_domain::email::Email;
use countersign_domain::error::causes;
use countersign_domain::fact::CredentialKey;
use countersign_domain::id::{AccountId, Handle, MembershipId, OrganizationId, ServiceTokenId, TokenRef};
use countersign_domain::lease::Lease;
use countersign_domain::organization::{Membership, Organization};
use countersign_domain::publisher::Publisher;
use countersign_domain::service_token::{SecretVersion, ServiceToken};
use countersign_domain::signing_key::KeyGeneration;
use countersign_domain::stats::WriterStats;
use countersign_domain::store::{
    AccessTokenQuery, AccountQuery, AuditPage, AuditQuery, ChangeSink, MembershipQuery, OrganizationQuery,
    Page, Revision, RootToken, ServiceTokenQuery, Store, StoreError, SweptEnded, TokenUsage,
};
use countersign_domain::time::{Clock, Timestamp};
use countersign_domain::usage::{QuotaUse, Usage, UsageBatch};
use deadpool_postgres::{Object, Pool};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_postgres::Row;

use crate::accounts::uuid;
use crate::address::Address;
use crate::announcer::{Ears, announce, listen};
use crate::archive::COUNT_LIVING_NODES;
use crate::clock::DatabaseClock;
use crate::connect::Connector;
use crate::failure::{Failure, unavailable};
use crate::follower::{Follower, one_moment};
use crate::options::{OpenError, PostgresOptions};
use crate::row::{self, Cells};
use crate::session::{Values, find, list};
use crate::writer::{Lane, Write};
use crate::{audit, ended, keys, lists, load, migrate, pool, pooler, sql, usage};

/// Connections for following and telling, which requests cannot take away.
const OWN_CONNECTIONS: usize = 3;
/// Longest time to wait until a change is written. Who waits longer is told that nobody knows.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often it is forgotten what no node needs any more.
const BETWEEN_TIDYINGS: Duration = Duration::from_secs(1);

/// The first version with transaction ids that do not come again.
const OLDEST_SERVER: i32 = 130_000;

/// The shared store, as one node uses it.
pub struct PostgresStore {
    pool: Pool,
    /// Of those that follow and tell.
    own_pool: Pool,
    lane: Arc<Lane>,
    follower: Arc<Follower>,
    lease: Arc<Lease>,
    clock: Arc<DatabaseClock>,
    writes: mpsc::Sender<Write>,
    /// What goes on by itself, for as long as there is the store.
    _tasks: JoinSet<()>,
}

impl PostgresStore {
    /// Opens the store, brings its schema to the last step, and publishes to `sink` what this node commits; and what other
    /// nodes do, once everything was loaded.
    pub async fn open(options: PostgresOptions, sink: Arc<dyn ChangeSink>) -> Result<Self, OpenError> {
        let ears = Arc::<Ears>::default();
        let connector = Connector::new(options.address.clone(), Arc::clone(&ears));
        pooler::refuse(&connector).await?;
        let pool = pool::pool(&connector, options.connections)?;
        let own_pool = pool::pool(&connector, OWN_CONNECTIONS)?;
        prepare(&options.address).await?;
        let client = pool::lend(&pool).await?;
        for statement in sql::ALL {
            client.prepare_cached(statement).await?;
        }
        let me = client.query_one("SELECT gen_random_uuid()", &[]).await?.try_get(0)?;
        ears.know_myself(me);
        drop(client);

        let lease = Arc::new(Lease::new(options.serve_stale_for));
        let clock = Arc::new(DatabaseClock::new(Arc::clone(&options.uptime)));
        let publisher = Arc::new(Publisher::new(sink));
        let follower = Arc::new(Follower::new(
            own_pool.clone(),
            Arc::clone(&publisher),
            Arc::clone(&lease),
            Arc::clone(&clock),
            Arc::clone(&options.uptime),
        ));
        follower.ask_time().await.map_err(StoreError::from)?;
        let committed = Arc::<Notify>::default();
        let lane =
            Arc::new(Lane::new(pool.clone(), publisher, Arc::clone(&follower), Arc::clone(&committed)));
        let (writes, waiting) = mpsc::channel(options.queue);
        // Of this one there is an end: what was accepted is written.
        tokio::spawn(Arc::clone(&lane).run(waiting));
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(&follower).run(ears.wake()));
        tasks.spawn(keep_tidy(own_pool.clone(), Arc::clone(&follower)));
        tasks.spawn(announce(own_pool.clone(), me, committed));
        tasks.spawn(listen(own_pool.clone(), connector, ears.wake()));
        Ok(Self { pool, own_pool, lane, follower, lease, clock, writes, _tasks: tasks })
    }

    /// Publishes now what other nodes have changed, without waiting for the next time that is looked.
    pub async fn follow(&self) -> Result<(), StoreError> {
        Ok(self.follower.follow().await?)
    }

    /// Forgets now what no node needs any more, without waiting for the next time that this is done.
    pub async fn tidy(&self) -> Result<(), StoreError> {
        self.follower.tidy().await
    }

    /// Until when all that other nodes changed is known.
    pub fn lease(&self) -> Arc<Lease> {
        Arc::clone(&self.lease)
    }

    /// The database's time.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock) as _
    }

    /// How many other nodes use the database; one that was killed counts for five seconds more. Ask when everything was loaded:
    /// this one counts from then on.
    pub async fn count_others(&self) -> Result<u64, StoreError> {
        let number = |row: &Row| Cells::of(row, "nodes").number("count");
        let living: Option<u64> = self.find(COUNT_LIVING_NODES, &[], number).await?;
        Ok(living.unwrap_or(0).saturating_sub(1))
    }

    /// What the writer has done.
    pub fn stats(&self) -> WriterStats {
        self.lane.stats(self.writes.max_capacity() - self.writes.capacity())
    }

    /// Ends the store: lets what is being written come to its end, and tells the others that this node is gone. What comes
    /// later is answered with [`StoreError::Unavailable`].
    pub async fn close(&self) {
        let _turn = self.lane.take_turn().await;
        if let Err(failure) = self.follower.leave().await {
            let error = StoreError::from(failure);
            tracing::warn!(cause = %causes(&error), "other nodes do not know yet that this one has ended");
        }
        self.pool.close();
        self.own_pool.close();
    }

    async fn client(&self) -> Result<Object, StoreError> {
        pool::lend(&self.pool).await
    }

    async fn find<T>(
        &self,
        sql: &str,
        values: Values<'_>,
        read: impl FnOnce(&Row) -> Result<T, Failure>,
    ) -> Result<Option<T>, StoreError> {
        let client = self.client().await?;
        Ok(find(&client, sql, values, read).await?)
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn apply(&self, change: Change) -> Result<Revision, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.writes.try_send(Write { change, reply }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::Busy,
            mpsc::error::TrySendError::Closed(_) => unavailable("the store is closed"),
        })?;
        match timeout(PATIENCE, answer).await {
            Ok(answer) => answer.map_err(|_| unavailable("the store is closed"))?,
            Err(_elapsed) => Err(StoreError::InDoubt("the database has not answered in time".into())),
        }
    }

    async fn load_facts(&self, mut visit: Box<dyn FnMut(FactChange) + Send>) -> Result<Revision, StoreError> {
        let revision = self.follower.load(&mut visit).await?;
        self.follower.follow().await?;
        Ok(revision)
    }

    async fn load_used_secrets(
        &self,
        mut visit: Box<dyn FnMut(CredentialKey, SecretVersion) + Send>,
    ) -> Result<(), StoreError> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await.map_err(Failure::from)?;
        load::take_the_time(&transaction).await?;
        load::used_secrets(&transaction, &mut visit).await?;
        Ok(transaction.commit().await.map_err(Failure::from)?)
    }

    async fn load_quota_uses(
        &self,
        mut visit: Box<dyn FnMut(CredentialKey, QuotaUse) + Send>,
    ) -> Result<(), StoreError> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await.map_err(Failure::from)?;
        load::take_the_time(&transaction).await?;
        load::quota_uses(&transaction, &mut visit).await?;
        Ok(transaction.commit().await.map_err(Failure::from)?)
    }

    async fn find_account(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        self.find(sql::FIND_ACCOUNT, &[&uuid(id.as_bytes())], row::account).await
    }

    async fn find_root_account(&self) -> Result<Option<Account>, StoreError> {
        self.find(sql::FIND_ROOT_ACCOUNT, &[], row::account).await
    }

    async fn find_account_by_email(&self, email: &Email) -> Result<Option<Account>, StoreError> {
        self.find(sql::FIND_ACCOUNT_BY_EMAIL, &[&email.as_str()], row::account).await
    }

    async fn list_accounts(&self, query: AccountQuery) -> Result<Page<Account>, StoreError> {
        let mut client = self.client().await?;
        Ok(lists::accounts(&one_moment(&mut client).await?, &query).await?)
    }

    async fn find_organization(&self, id: OrganizationId) -> Result<Option<Organization>, StoreError> {
        self.find(sql::FIND_ORGANIZATION, &[&uuid(id.as_bytes())], row::organization).await
    }

    async fn list_organizations(&self, query: OrganizationQuery) -> Result<Page<Organization>, StoreError> {
        let mut client = self.client().await?;
        Ok(lists::organizations(&one_moment(&mut client).await?, &query).await?)
    }

    async fn find_membership(&self, id: MembershipId) -> Result<Option<Membership>, StoreError> {
        self.find(sql::FIND_MEMBERSHIP, &[&uuid(id.as_bytes())], row::membership).await
    }

    async fn find_membership_of(
        &self,
        organization: OrganizationId,
        account: AccountId,
    ) -> Result<Option<Membership>, StoreError> {
        self.find(
            sql::FIND_MEMBERSHIP_OF,
            &[&uuid(account.as_bytes()), &uuid(organization.as_bytes())],
            row::membership,
        )
        .await
    }

    async fn list_memberships(&self, query: MembershipQuery) -> Result<Page<Membership>, StoreError> {
        let mut client = self.client().await?;
        Ok(lists::memberships(&one_moment(&mut client).await?, &query).await?)
    }

    async fn sweep_ended(&self, limit: u32) -> Result<SweptEnded, StoreError> {
        let mut turn = self.lane.take_turn().await?;
        let tx = turn.begin().await?;
        let (swept, gone) = ended::sweep(&tx, limit).await?;
        self.lane.finish(tx, gone).await?;
        Ok(swept)
    }

    async fn find_root_token(&self) -> Result<Option<RootToken>, StoreError> {
        self.find(sql::FIND_ROOT_TOKEN, &[], row::root_token).await
    }

    async fn find_service_token_with_uses(
        &self,
        account: AccountId,
        id: ServiceTokenId,
    ) -> Result<Option<(ServiceToken, Vec<Usage>)>, StoreError> {
        let mut client = self.client().await?;
        let moment = one_moment(&mut client).await?;
        let token = find(
            &moment,
            sql::FIND_SERVICE_TOKEN,
            &[&uuid(id.as_bytes()), &uuid(account.as_bytes())],
            row::service_token,
        )
        .await?;
        let Some(token) = token else { return Ok(None) };
        let uses = usage::list_uses(&moment, &[TokenRef::Service(id)]).await?;
        Ok(Some((token, uses)))
    }

    async fn list_service_tokens(&self, query: ServiceTokenQuery) -> Result<Page<ServiceToken>, StoreError> {
        let mut client = self.client().await?;
        Ok(lists::service_tokens(&one_moment(&mut client).await?, &query).await?)
    }

    async fn find_access_token_anywhere(&self, handle: Handle) -> Result<Option<AccessToken>, StoreError> {
        self.find(sql::FIND_ACCESS_TOKEN, &[&handle.as_str()], row::access_token).await
    }

    async fn list_access_tokens(&self, query: AccessTokenQuery) -> Result<Page<AccessToken>, StoreError> {
        let mut client = self.client().await?;
        Ok(lists::access_tokens(&one_moment(&mut client).await?, &query).await?)
    }

    async fn sweep_access_tokens(&self, before: Timestamp, limit: u32) -> Result<u32, StoreError> {
        let mut turn = self.lane.take_turn().await?;
        let tx = turn.begin().await?;
        let (swept, gone) = ended::sweep_expired(&tx, before, limit).await?;
        self.lane.finish(tx, gone).await?;
        Ok(swept)
    }

    async fn record_usage(&self, batch: UsageBatch) -> Result<(), StoreError> {
        let mut turn = self.lane.take_turn().await?;
        let tx = turn.begin().await?;
        let done = usage::record(&tx, &batch).await?;
        self.lane.finish(tx, Vec::new()).await?;
        Ok(done)
    }

    async fn add_quota_uses(&self, uses: Vec<QuotaUse>) -> Result<Vec<QuotaUse>, StoreError> {
        let mut turn = self.lane.take_turn().await?;
        let tx = turn.begin().await?;
        let sums = usage::add_quota_uses(&tx, &uses).await?;
        self.lane.finish(tx, Vec::new()).await?;
        Ok(sums)
    }

    async fn sweep_quota_uses(&self, before: Timestamp, limit: u32) -> Result<u32, StoreError> {
        let mut turn = self.lane.take_turn().await?;
        let tx = turn.begin().await?;
        let done = usage::sweep_quota_uses(&tx, before, limit).await?;
        self.lane.finish(tx, Vec::new()).await?;
        Ok(done)
    }

    async fn load_key_generations(&self) -> Result<Vec<KeyGeneration>, StoreError> {
        let client = self.client().await?;
        Ok(list(&client, sql::LOAD_KEY_GENERATIONS, &[], keys::read).await?)
    }

    async fn find_usage(&self, token: TokenRef) -> Result<TokenUsage, StoreError> {
        let mut client = self.client().await?;
        Ok(usage::find(&one_moment(&mut client).await?, token).await?)
    }

    async fn list_uses(&self, tokens: Vec<TokenRef>) -> Result<Vec<Usage>, StoreError> {
        let client = self.client().await?;
        Ok(usage::list_uses(&client, &tokens).await?)
    }

    async fn sweep_refusals(&self, before: Timestamp, limit: u32) -> Result<u32, StoreError> {
        let mut turn = self.lane.take_turn().await?;
        let tx = turn.begin().await?;
        let done = usage::sweep_refusals(&tx, before, limit).await?;
        self.lane.finish(tx, Vec::new()).await?;
        Ok(done)
    }

    async fn list_audit(&self, query: AuditQuery) -> Result<AuditPage, StoreError> {
        let client = self.client().await?;
        Ok(audit::list(&client, &query).await?)
    }

    async fn sweep_audit(&self, before: Timestamp, limit: u32) -> Result<u32, StoreError> {
        let mut turn = self.lane.take_turn().await?;
        let tx = turn.begin().await?;
        let done = audit::sweep(&tx, before, limit).await?;
        self.lane.finish(tx, Vec::new()).await?;
        Ok(done)
    }

    async fn check(&self) -> Result<(), StoreError> {
        let is_standby =
            self.find(sql::PROBE, &[], |row| Cells::of(row, "server").plain("is_standby")).await?;
        match is_standby {
            Some(true) => Err(unavailable("the database is a standby, which takes no changes")),
            _ => Ok(()),
        }
    }
}

/// Brings the schema to the last step, where this store can be kept.
async fn prepare(address: &Address) -> Result<(), OpenError> {
    let pool = pool::pool(&Connector::without_haste(address.clone()), 1)?;
    let mut client = pool::lend(&pool).await?;
    check_server(&client).await?;
    migrate::migrate(&mut client).await
}

/// Whether this store can be kept there.
async fn check_server(client: &Object) -> Result<(), OpenError> {
    let settings = "SELECT current_setting('server_version_num')::integer, current_setting('server_version'), \
                    current_setting('synchronous_commit')";
    let row = client.query_one(settings, &[]).await?;
    let (number, found): (i32, String) = (row.try_get(0)?, row.try_get(1)?);
    if number < OLDEST_SERVER {
        return Err(OpenError::TooOld { found });
    }
    match row.try_get(2)? {
        found @ ("off" | "local") => Err(OpenError::NotDurable { found: found.to_owned() }),
        _ => Ok(()),
    }
}

/// Forgets what no node needs any more, until the pool is closed.
async fn keep_tidy(pool: Pool, follower: Arc<Follower>) {
    while !pool.is_closed() {
        tokio::time::sleep(BETWEEN_TIDYINGS).await;
        if let Err(error) = follower.tidy().await {
            tracing::debug!(error = %causes(&error), "what no node needs is not forgotten yet");
        }
    }
}
