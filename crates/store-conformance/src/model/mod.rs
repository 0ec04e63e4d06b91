//! The reference: a store in memory, as simple as the contract allows. What a real store does must be the same.

mod accounts;
mod archive;
mod ended;
mod lists;
mod state;
mod usage;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

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
use countersign_domain::store::{
    AccessTokenQuery, AccountQuery, AuditPage, AuditQuery, ChangeSink, MembershipQuery, OrganizationQuery,
    Page, Revision, RootToken, ServiceTokenQuery, Store, StoreError, SweptEnded, TokenUsage,
};
use countersign_domain::time::Timestamp;
use countersign_domain::usage::{QuotaUse, Usage, UsageBatch};

use crate::doubles::lock;
use state::State;

/// A store in memory. Also the double for tests of whatever stands on a store: it keeps every promise, and can be
/// told to fail.
pub struct ModelStore {
    /// One lock around everything: publishing happens under it, so that it is in the order of revisions.
    state: Mutex<State>,
    sink: Arc<dyn ChangeSink>,
    failing: AtomicBool,
    busy: AtomicBool,
    resting: AtomicBool,
}

impl ModelStore {
    /// An empty store that publishes to `sink`.
    pub fn new(sink: Arc<dyn ChangeSink>) -> Self {
        let [failing, busy, resting] = [false; 3].map(AtomicBool::new);
        Self { state: Mutex::default(), sink, failing, busy, resting }
    }

    /// From now on every call answers [`StoreError::Unavailable`] and does nothing, or no longer.
    pub fn set_failing(&self, failing: bool) {
        self.failing.store(failing, Ordering::SeqCst);
    }

    /// From now on every call that needs the queue of writes answers [`StoreError::Busy`] and does nothing, or no
    /// longer.
    pub fn set_busy(&self, busy: bool) {
        self.busy.store(busy, Ordering::SeqCst);
    }

    /// From now on [`Store::sweep_ended`] answers [`StoreError::Busy`] and does nothing, or no longer: what has ended by
    /// a mark stays where it is.
    pub fn set_resting(&self, resting: bool) {
        self.resting.store(resting, Ordering::SeqCst);
    }

    fn state(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        if self.failing.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("the model was told to fail".into()));
        }
        Ok(lock(&self.state))
    }

    /// The state, for a call that has to go through the queue of writes.
    fn queued(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        if self.busy.load(Ordering::SeqCst) {
            return Err(StoreError::Busy);
        }
        self.state()
    }
}

#[async_trait]
impl Store for ModelStore {
    async fn apply(&self, change: Change) -> Result<Revision, StoreError> {
        let mut state = self.queued()?;
        let published = change.mutation.fact_changes();
        let revision = state.apply(change)?;
        self.sink.publish(revision, published);
        Ok(revision)
    }

    async fn load_facts(&self, mut visit: Box<dyn FnMut(FactChange) + Send>) -> Result<Revision, StoreError> {
        let state = self.state()?;
        state.facts().for_each(&mut visit);
        Ok(state.revision)
    }

    async fn load_used_secrets(
        &self,
        mut visit: Box<dyn FnMut(CredentialKey, SecretVersion) + Send>,
    ) -> Result<(), StoreError> {
        self.state()?.used_secrets().for_each(|(key, version)| visit(key, version));
        Ok(())
    }

    async fn load_quota_uses(
        &self,
        mut visit: Box<dyn FnMut(CredentialKey, QuotaUse) + Send>,
    ) -> Result<(), StoreError> {
        self.state()?.quota_uses().for_each(|(key, uses)| visit(key, uses));
        Ok(())
    }

    async fn find_account(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        Ok(self.state()?.accounts.get(&id).cloned())
    }

    async fn find_root_account(&self) -> Result<Option<Account>, StoreError> {
        Ok(self.state()?.accounts.values().find(|account| account.parent.is_none()).cloned())
    }

    async fn find_account_by_email(&self, email: &Email) -> Result<Option<Account>, StoreError> {
        Ok(self.state()?.accounts.values().find(|account| account.email == *email).cloned())
    }

    async fn list_accounts(&self, query: AccountQuery) -> Result<Page<Account>, StoreError> {
        Ok(self.state()?.list_accounts(&query))
    }

    async fn find_organization(&self, id: OrganizationId) -> Result<Option<Organization>, StoreError> {
        Ok(self.state()?.organizations.get(&id).cloned())
    }

    async fn list_organizations(&self, query: OrganizationQuery) -> Result<Page<Organization>, StoreError> {
        Ok(self.state()?.list_organizations(&query))
    }

    async fn find_membership(&self, id: MembershipId) -> Result<Option<Membership>, StoreError> {
        Ok(self.state()?.memberships.get(&id).cloned())
    }

    async fn find_membership_of(
        &self,
        organization: OrganizationId,
        account: AccountId,
    ) -> Result<Option<Membership>, StoreError> {
        Ok(self.state()?.find_membership_of(organization, account).cloned())
    }

    async fn list_memberships(&self, query: MembershipQuery) -> Result<Page<Membership>, StoreError> {
        Ok(self.state()?.list_memberships(&query))
    }

    async fn sweep_ended(&self, _limit: u32) -> Result<SweptEnded, StoreError> {
        if self.resting.load(Ordering::SeqCst) {
            return Err(StoreError::Busy);
        }
        let mut state = self.queued()?;
        let (swept, gone) = state.sweep_ended();
        if !gone.is_empty() {
            self.sink.publish(state.revision, gone);
        }
        Ok(swept)
    }

    async fn find_root_token(&self) -> Result<Option<RootToken>, StoreError> {
        let state = self.state()?;
        let last = state.root_handles.last();
        Ok(last.map(|handle| RootToken { handle: *handle, live: state.live_root_token().map(|(_, v)| v) }))
    }

    async fn find_service_token_with_uses(
        &self,
        account: AccountId,
        id: ServiceTokenId,
    ) -> Result<Option<(ServiceToken, Vec<Usage>)>, StoreError> {
        let state = self.state()?;
        let token = state.service_tokens.get(&id).filter(|token| token.account == account).cloned();
        Ok(token.map(|token| (token, state.list_uses(&[TokenRef::Service(id)]))))
    }

    async fn list_service_tokens(&self, query: ServiceTokenQuery) -> Result<Page<ServiceToken>, StoreError> {
        Ok(self.state()?.list_service_tokens(&query))
    }

    async fn find_access_token_anywhere(&self, handle: Handle) -> Result<Option<AccessToken>, StoreError> {
        Ok(self.state()?.access_tokens.get(&handle).cloned())
    }

    async fn list_access_tokens(&self, query: AccessTokenQuery) -> Result<Page<AccessToken>, StoreError> {
        Ok(self.state()?.list_access_tokens(&query))
    }

    async fn sweep_access_tokens(&self, before: Timestamp, limit: u32) -> Result<u32, StoreError> {
        let mut state = self.queued()?;
        let gone = state.sweep_access_tokens(before, limit);
        let count = gone.len() as u32;
        if count > 0 {
            self.sink.publish(state.revision, gone);
        }
        Ok(count)
    }

    async fn record_usage(&self, batch: UsageBatch) -> Result<(), StoreError> {
        self.queued()?.record(batch);
        Ok(())
    }

    async fn add_quota_uses(&self, uses: Vec<QuotaUse>) -> Result<Vec<QuotaUse>, StoreError> {
        Ok(self.queued()?.add_quota_uses(&uses))
    }

    async fn sweep_quota_uses(&self, before: Timestamp, limit: u32) -> Result<u32, StoreError> {
        Ok(self.queued()?.sweep_quota_uses(before, limit))
    }

    async fn load_key_generations(&self) -> Result<Vec<KeyGeneration>, StoreError> {
        Ok(self.state()?.key_generations.values().cloned().collect())
    }

    async fn find_usage(&self, token: TokenRef) -> Result<TokenUsage, StoreError> {
        Ok(self.state()?.find_usage(token))
    }

    async fn list_uses(&self, tokens: Vec<TokenRef>) -> Result<Vec<Usage>, StoreError> {
        Ok(self.state()?.list_uses(&tokens))
    }

    async fn sweep_refusals(&self, before: Timestamp, limit: u32) -> Result<u32, StoreError> {
        Ok(self.queued()?.sweep_refusals(before, limit))
    }

    async fn list_audit(&self, query: AuditQuery) -> Result<AuditPage, StoreError> {
        Ok(self.state()?.list_audit(&query))
    }

    async fn sweep_audit(&self, before: Timestamp, limit: u32) -> Result<u32, StoreError> {
        Ok(self.queued()?.sweep_audit(before, limit))
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.queued().map(|_| ())
    }
}
