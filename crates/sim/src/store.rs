//! The store as one node uses it: it takes time, answers get lost, and it is followed what others change. Written after
//! the store over PostgreSQL, with the same parts of the domain.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use countersign_domain::access_token::AccessToken;
use countersign_domain::account::Account;
use countersign_domain::change::{Change, FactChange};
use countersign_domain::email::Email;
use countersign_domain::fact::CredentialKey;
use countersign_domain::following::{Lost, Place, Transaction};
use countersign_domain::id::{
    AccountId, ChangeId, Handle, MembershipId, OrganizationId, ServiceTokenId, TokenRef,
};
use countersign_domain::lease::Lease;
use countersign_domain::organization::{Membership, Organization};
use countersign_domain::publisher::Publisher;
use countersign_domain::service_token::{SecretVersion, ServiceToken};
use countersign_domain::signing_key::KeyGeneration;
use countersign_domain::store::{
    AccessTokenQuery, AccountQuery, AuditPage, AuditQuery, ChangeSink, MembershipQuery, OrganizationQuery,
    Page, Revision, RootToken, ServiceTokenQuery, Store, StoreError, SweptEnded, TokenUsage,
};
use countersign_domain::time::Timestamp;
use countersign_domain::usage::{QuotaUse, Usage, UsageBatch};

use crate::database::{Database, Done, Fate, Link, TransactionLost, Work};
use crate::pause::{Turn, finish, lock, pause};

/// How often it is asked what became of a commit.
const INQUIRIES: u32 = 8;

pub(crate) struct NodeStore {
    node: usize,
    database: Arc<Database>,
    publisher: Publisher,
    lease: Arc<Lease>,
    standing: Mutex<Option<Standing>>,
    /// Held while following.
    following: Turn,
    /// Held from the beginning of a transaction until what it means was published.
    writing: Turn,
}

/// Where the node stands, and its row.
#[derive(Clone)]
struct Standing {
    /// Or why there is none, until everything was read afresh.
    place: Result<Place, Lost>,
    row: u64,
}

impl NodeStore {
    pub(crate) fn new(
        node: usize,
        database: Arc<Database>,
        sink: Arc<dyn ChangeSink>,
        lease: Arc<Lease>,
    ) -> Self {
        Self {
            node,
            database,
            publisher: Publisher::new(sink),
            lease,
            standing: Mutex::default(),
            following: Turn::default(),
            writing: Turn::default(),
        }
    }

    /// Waits until something can be sent, or an answer can come.
    async fn reach(&self) -> Result<(), StoreError> {
        loop {
            match self.database.link(self.node) {
                Link::Up => return Ok(()),
                Link::Cut => return Err(unavailable("the connection broke")),
                Link::Hanging => pause().await,
            }
        }
    }

    /// Sends something, has it done, and waits for the answer.
    async fn ask<T>(&self, what: impl FnOnce(&Database) -> T) -> Result<T, StoreError> {
        self.reach().await?;
        pause().await;
        let history = self.database.history();
        let answer = what(&self.database);
        pause().await;
        self.reach().await?;
        if self.database.history() != history {
            return Err(unavailable("the server is gone"));
        }
        Ok(answer)
    }

    async fn transact(&self, work: Work) -> Result<Done, StoreError> {
        let _turn = self.writing.take().await;
        let node = self.node;
        let (id, facts) = match &work {
            Work::Change(change) => (Some(change.audit.id), Some(change.mutation.fact_changes())),
            Work::SweepEnded(_) | Work::Nothing => (None, None),
        };
        let (transaction, (revision, found)) = self.commit(work, node, id).await?;
        pause().await;
        let facts = facts.unwrap_or(found);
        self.publisher.publish_own(revision, Some(&transaction), facts.clone());
        pause().await;
        Ok((revision, facts))
    }

    async fn commit(
        &self,
        work: Work,
        node: usize,
        id: Option<ChangeId>,
    ) -> Result<(Transaction, Done), StoreError> {
        let transaction = self.ask(|database| database.begin(work, Some(node))).await?;
        let is_sent = self.reach().await.is_ok();
        if is_sent || self.database.has_arrived() {
            self.database.ask_commit(&transaction);
        }
        if is_sent {
            loop {
                pause().await;
                match self.database.link(self.node) {
                    Link::Cut => break,
                    Link::Hanging => continue,
                    Link::Up => {}
                }
                match self.database.answer(&transaction) {
                    Ok(Some(answer)) => return answer.map(|done| (transaction, done)),
                    Ok(None) => {}
                    Err(TransactionLost) => break,
                }
            }
        }
        self.database.leave_alone(&transaction);
        match id {
            Some(id) => Ok((transaction, self.find_out(id).await?)),
            None => Err(unavailable("the connection broke")),
        }
    }

    async fn find_out(&self, id: ChangeId) -> Result<Done, StoreError> {
        for _ in 0..INQUIRIES {
            pause().await;
            match self.ask(|database| database.fate(id)).await {
                Ok(Fate::Committed(done)) if self.ask(|_| ()).await.is_ok() => return Ok(done),
                Ok(Fate::NotThere) => return Err(unavailable("the connection broke before the commit")),
                Ok(Fate::Committed(_) | Fate::StillOpen) | Err(_) => {}
            }
        }
        Err(StoreError::InDoubt("the database cannot be asked".into()))
    }

    /// Publishes what other nodes have changed, and renews the lease where that is wanted.
    pub(crate) async fn follow(&self, renews: bool) -> Result<(), StoreError> {
        let _turn = self.following.take().await;
        let Some(standing) = lock(&self.standing).clone() else { return Ok(()) };
        let asked = self.database.uptime();
        match self.follow_on(&standing, renews).await? {
            Ok(()) if renews => self.lease.renew(asked),
            Ok(()) => {}
            Err(lost) => {
                *lock(&self.standing) = Some(Standing { place: Err(lost), row: standing.row });
                self.reload(standing.row).await?;
            }
        }
        Ok(())
    }

    async fn follow_on(&self, standing: &Standing, renews: bool) -> Result<Result<(), Lost>, StoreError> {
        let place = match &standing.place {
            Ok(place) => place,
            Err(lost) => return Ok(Err(*lost)),
        };
        self.publisher.begin_reading();
        let history = self.database.history();
        let (moment, revision, changes) = match self.ask(|database| database.read_since(place)).await? {
            Ok(read) => read,
            Err(lost) => return Ok(Err(lost)),
        };
        if renews {
            let stays = self.ask(|database| {
                let is_same = database.history() == history;
                is_same.then(|| database.stay(standing.row, place.cursor()))
            });
            match stays.await? {
                Some(true) => {}
                Some(false) => return Ok(Err(Lost::Forgotten)),
                None => return Err(unavailable("the server is gone")),
            }
        }
        self.publisher.publish_read(revision, &moment, changes);
        let standing = Standing { place: Ok(Place::at(moment)), row: standing.row };
        *lock(&self.standing) = Some(standing);
        pause().await;
        Ok(Ok(()))
    }

    /// Reads everything afresh, which then takes the place of all that was known.
    async fn reload(&self, row: u64) -> Result<(), StoreError> {
        let row = self.ask(|database| database.enter(Some(row))).await?;
        let mut reload = self.publisher.begin_reload();
        let (moment, _, facts) = self.ask(Database::load).await?;
        facts.into_iter().for_each(|fact| reload.learn(fact));
        pause().await;
        self.publisher.finish_reload(&moment, reload);
        *lock(&self.standing) = Some(Standing { place: Ok(Place::at(moment)), row });
        Ok(())
    }

    /// Reads from the tables, as they are at some moment from now until the answer.
    async fn read<T>(&self, read: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        self.ask(|_| finish(read)).await?
    }
}

fn unavailable(why: &'static str) -> StoreError {
    StoreError::Unavailable(why.into())
}

#[async_trait]
impl Store for NodeStore {
    async fn apply(&self, change: Change) -> Result<Revision, StoreError> {
        Ok(self.transact(Work::Change(Box::new(change))).await?.0)
    }

    async fn load_facts(&self, mut visit: Box<dyn FnMut(FactChange) + Send>) -> Result<Revision, StoreError> {
        let revision = {
            let _turn = self.following.take().await;
            let row = self.ask(|database| database.enter(None)).await?;
            let (moment, revision, facts) = self.ask(Database::load).await?;
            facts.into_iter().for_each(&mut visit);
            self.publisher.loaded(&moment);
            *lock(&self.standing) = Some(Standing { place: Ok(Place::at(moment)), row });
            revision
        };
        self.follow(true).await?;
        Ok(revision)
    }

    async fn load_used_secrets(
        &self,
        visit: Box<dyn FnMut(CredentialKey, SecretVersion) + Send>,
    ) -> Result<(), StoreError> {
        self.read(self.database.tables().load_used_secrets(visit)).await
    }

    async fn load_quota_uses(
        &self,
        visit: Box<dyn FnMut(CredentialKey, QuotaUse) + Send>,
    ) -> Result<(), StoreError> {
        self.read(self.database.tables().load_quota_uses(visit)).await
    }

    async fn find_account(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        self.read(self.database.tables().find_account(id)).await
    }

    async fn find_root_account(&self) -> Result<Option<Account>, StoreError> {
        self.read(self.database.tables().find_root_account()).await
    }

    async fn find_account_by_email(&self, email: &Email) -> Result<Option<Account>, StoreError> {
        self.read(self.database.tables().find_account_by_email(email)).await
    }

    async fn list_accounts(&self, query: AccountQuery) -> Result<Page<Account>, StoreError> {
        self.read(self.database.tables().list_accounts(query)).await
    }

    async fn find_organization(&self, id: OrganizationId) -> Result<Option<Organization>, StoreError> {
        self.read(self.database.tables().find_organization(id)).await
    }

    async fn list_organizations(&self, query: OrganizationQuery) -> Result<Page<Organization>, StoreError> {
        self.read(self.database.tables().list_organizations(query)).await
    }

    async fn find_membership(&self, id: MembershipId) -> Result<Option<Membership>, StoreError> {
        self.read(self.database.tables().find_membership(id)).await
    }

    async fn find_membership_of(
        &self,
        organization: OrganizationId,
        account: AccountId,
    ) -> Result<Option<Membership>, StoreError> {
        self.read(self.database.tables().find_membership_of(organization, account)).await
    }

    async fn list_memberships(&self, query: MembershipQuery) -> Result<Page<Membership>, StoreError> {
        self.read(self.database.tables().list_memberships(query)).await
    }

    async fn sweep_ended(&self, limit: u32) -> Result<SweptEnded, StoreError> {
        let (_, gone) = self.transact(Work::SweepEnded(limit)).await?;
        Ok(SweptEnded { removed: u32::try_from(gone.len()).unwrap_or(u32::MAX), more: false })
    }

    async fn find_root_token(&self) -> Result<Option<RootToken>, StoreError> {
        self.read(self.database.tables().find_root_token()).await
    }

    async fn find_service_token_with_uses(
        &self,
        account: AccountId,
        id: ServiceTokenId,
    ) -> Result<Option<(ServiceToken, Vec<Usage>)>, StoreError> {
        self.read(self.database.tables().find_service_token_with_uses(account, id)).await
    }

    async fn list_service_tokens(&self, query: ServiceTokenQuery) -> Result<Page<ServiceToken>, StoreError> {
        self.read(self.database.tables().list_service_tokens(query)).await
    }

    async fn find_access_token_anywhere(&self, handle: Handle) -> Result<Option<AccessToken>, StoreError> {
        self.read(self.database.tables().find_access_token_anywhere(handle)).await
    }

    async fn list_access_tokens(&self, query: AccessTokenQuery) -> Result<Page<AccessToken>, StoreError> {
        self.read(self.database.tables().list_access_tokens(query)).await
    }

    /// Nothing of a schedule is as old as that.
    async fn sweep_access_tokens(&self, _before: Timestamp, _limit: u32) -> Result<u32, StoreError> {
        Ok(0)
    }

    async fn record_usage(&self, batch: UsageBatch) -> Result<(), StoreError> {
        self.read(self.database.tables().record_usage(batch)).await
    }

    async fn add_quota_uses(&self, uses: Vec<QuotaUse>) -> Result<Vec<QuotaUse>, StoreError> {
        self.read(self.database.tables().add_quota_uses(uses)).await
    }

    async fn sweep_quota_uses(&self, before: Timestamp, limit: u32) -> Result<u32, StoreError> {
        self.read(self.database.tables().sweep_quota_uses(before, limit)).await
    }

    async fn load_key_generations(&self) -> Result<Vec<KeyGeneration>, StoreError> {
        self.read(self.database.tables().load_key_generations()).await
    }

    async fn find_usage(&self, token: TokenRef) -> Result<TokenUsage, StoreError> {
        self.read(self.database.tables().find_usage(token)).await
    }

    async fn list_uses(&self, tokens: Vec<TokenRef>) -> Result<Vec<Usage>, StoreError> {
        self.read(self.database.tables().list_uses(tokens)).await
    }

    async fn sweep_refusals(&self, before: Timestamp, limit: u32) -> Result<u32, StoreError> {
        self.read(self.database.tables().sweep_refusals(before, limit)).await
    }

    async fn list_audit(&self, query: AuditQuery) -> Result<AuditPage, StoreError> {
        self.read(self.database.tables().list_audit(query)).await
    }

    async fn sweep_audit(&self, before: Timestamp, limit: u32) -> Result<u32, StoreError> {
        self.read(self.database.tables().sweep_audit(before, limit)).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.ask(|_| ()).await
    }
}
