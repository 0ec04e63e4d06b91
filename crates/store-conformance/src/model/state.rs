//! What the model holds, and how a change is applied to it: first every check, then every write.

use std::collections::{BTreeMap, BTreeSet};

use countersign_domain::access_token::{AccessToken, Source};
use countersign_domain::account::{Account, AccountChain, AccountFact};
use countersign_domain::audit::AuditRecord;
use countersign_domain::change::{Change, FactChange, Guard, Mutation};
use countersign_domain::fact::CredentialKey;
use countersign_domain::id::{AccountId, Handle, MembershipId, OrganizationId, ServiceTokenId, TokenRef};
use countersign_domain::limits::Window;
use countersign_domain::organization::{Membership, Organization};
use countersign_domain::service_token::{SecretVersion, ServiceToken};
use countersign_domain::signing_key::KeyGeneration;
use countersign_domain::store::{MOST_CUTS, Revision, StoreError, Version};
use countersign_domain::time::Timestamp;
use countersign_domain::usage::{Refusals, Usage};

/// Everything the model holds.
pub(super) struct State {
    pub(super) revision: Revision,
    pub(super) accounts: BTreeMap<AccountId, Account>,
    pub(super) organizations: BTreeMap<OrganizationId, Organization>,
    pub(super) memberships: BTreeMap<MembershipId, Membership>,
    /// Access tokens that were ended with what stems from them.
    pub(super) cuts: BTreeSet<Handle>,
    /// Accounts whose epoch has grown since the last sweep.
    pub(super) epoch_sweeps: BTreeSet<AccountId>,
    pub(super) service_tokens: BTreeMap<ServiceTokenId, ServiceToken>,
    pub(super) access_tokens: BTreeMap<Handle, AccessToken>,
    /// Of every root token ever set, the last one last.
    pub(super) root_handles: Vec<Handle>,
    pub(super) uses: BTreeMap<(TokenRef, SecretVersion), Usage>,
    /// By token, start of the minute, and the word for the reason.
    pub(super) refusals: BTreeMap<(TokenRef, Timestamp, &'static str), Refusals>,
    pub(super) quota_uses: BTreeMap<(TokenRef, Window), u64>,
    pub(super) key_generations: BTreeMap<u32, KeyGeneration>,
    /// Oldest first.
    pub(super) audit: Vec<AuditRecord>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            revision: Revision(0),
            accounts: BTreeMap::new(),
            organizations: BTreeMap::new(),
            memberships: BTreeMap::new(),
            cuts: BTreeSet::new(),
            epoch_sweeps: BTreeSet::new(),
            service_tokens: BTreeMap::new(),
            access_tokens: BTreeMap::new(),
            root_handles: Vec::new(),
            uses: BTreeMap::new(),
            refusals: BTreeMap::new(),
            quota_uses: BTreeMap::new(),
            key_generations: BTreeMap::new(),
            audit: Vec::new(),
        }
    }
}

/// Refuses with `error` unless `condition` holds.
pub(super) fn ensure(condition: bool, error: StoreError) -> Result<(), StoreError> {
    if condition { Ok(()) } else { Err(error) }
}

impl State {
    /// Applies a change, or leaves everything as it is.
    pub(super) fn apply(&mut self, change: Change) -> Result<Revision, StoreError> {
        self.check_guard(change.guard)?;
        self.check(&change.mutation)?;
        self.write(change.mutation);
        self.revision = Revision(self.revision.0 + 1);
        self.audit.push(AuditRecord { revision: self.revision, entry: change.audit });
        Ok(self.revision)
    }

    fn check_guard(&self, guard: Guard) -> Result<(), StoreError> {
        let holds = match guard {
            Guard::Token { handle, version } => {
                let token = self.access_tokens.get(&handle).filter(|token| token.version == version);
                token.is_some_and(|token| !self.has_ended(token) && self.is_enabled(token.account))
            }
            Guard::Account { id, version } => {
                let account = self.accounts.get(&id).filter(|account| account.version == version);
                account.is_some() && self.is_enabled(id)
            }
            Guard::System => true,
        };
        ensure(holds, StoreError::GuardFailed)
    }

    fn is_enabled(&self, account: AccountId) -> bool {
        AccountChain::collect(self.upwards(account)).is_some_and(|chain| chain.is_enabled())
    }

    /// An account and those above it.
    pub(super) fn upwards(&self, account: AccountId) -> impl Iterator<Item = AccountFact> {
        let fact = |id: AccountId| self.accounts.get(&id).map(AccountFact::from);
        std::iter::successors(fact(account), move |below| fact(below.parent?))
    }

    fn check(&self, mutation: &Mutation) -> Result<(), StoreError> {
        match mutation {
            Mutation::CreateAccount { account, limit } => self.check_new_account(account, *limit),
            Mutation::ReplaceAccount { expected, account, keep } => {
                self.check_next_account(*expected, account, keep.as_ref())
            }
            Mutation::CreateOrganization { organization, membership, limit } => {
                self.check_new_organization(organization, membership, *limit)
            }
            Mutation::ReplaceOrganization { expected, organization } => {
                let row = self.organizations.get(&organization.id);
                let row = row.filter(|row| row.owner == organization.owner);
                check_version(row.map(|row| row.version), *expected)
            }
            Mutation::CreateMembership { membership, limits } => {
                self.check_new_membership(membership, *limits)
            }
            Mutation::ReplaceMembership { expected, membership, limit } => {
                self.check_next_membership(*expected, membership, *limit)
            }
            Mutation::DeleteMembership { id, expected } => {
                check_version(self.memberships.get(id).map(|row| row.version), *expected)
            }
            Mutation::IssueServiceToken { token, limit } => {
                let held = self.service_tokens.values().filter(|held| held.account == token.account).count();
                self.check_room(token.account, held, *limit)?;
                ensure(!self.service_tokens.contains_key(&token.id), StoreError::Duplicate)
            }
            Mutation::ReplaceServiceToken { expected, token } => {
                let row = self
                    .service_tokens
                    .get(&token.id)
                    .filter(|row| row.account == token.account && row.client_id == token.client_id);
                check_version(row.map(|row| row.version), *expected)
            }
            Mutation::RevokeServiceToken { account, id, client_id, expected } => {
                let row = self.service_tokens.get(id);
                let row = row.filter(|row| row.account == *account && row.client_id == *client_id);
                check_version(row.map(|row| row.version), *expected)
            }
            Mutation::IssueAccessToken { token, limits } => {
                let of_account = || self.access_tokens.values().filter(|held| held.account == token.account);
                let expired = of_account().filter(|held| held.expires_at <= token.created_at).count();
                let held = of_account().count() - expired.min(limits.all as usize);
                self.check_room(token.account, held, limits.all)?;
                let live_login = |held: &&AccessToken| {
                    let is_current = !self.is_of_earlier_epoch(held);
                    held.source == Source::Login && held.expires_at > token.created_at && is_current
                };
                let is_full = of_account().filter(live_login).count() >= limits.of_logins as usize;
                let limit = limits.of_logins;
                ensure(token.source != Source::Login || !is_full, StoreError::LimitReached { limit })?;
                self.check_epoch(token)?;
                ensure(!self.access_tokens.contains_key(&token.handle), StoreError::Duplicate)
            }
            Mutation::RevokeAccessToken { account, handle, expected, descendants } => {
                let row = self.access_tokens.get(handle).filter(|row| row.account == *account);
                check_version(row.map(|row| row.version), *expected)?;
                ensure(!descendants || self.cuts.len() < MOST_CUTS as usize, StoreError::Busy)
            }
            Mutation::SetRootToken { token, retire } => self.check_root_token(token, *retire),
            Mutation::AddKeyGeneration(added) => {
                ensure(!self.key_generations.contains_key(&added.number), StoreError::Duplicate)
            }
            Mutation::ReplaceKeyInterval { number, expected, .. }
            | Mutation::RemoveKeyGeneration { number, expected } => {
                check_version(self.key_generations.get(number).map(|row| row.version), *expected)
            }
        }
    }

    pub(super) fn check_room(&self, account: AccountId, held: usize, limit: u32) -> Result<(), StoreError> {
        ensure(self.is_there(account), StoreError::NotFound)?;
        ensure(held < limit as usize, StoreError::LimitReached { limit })
    }

    fn check_root_token(
        &self,
        token: &AccessToken,
        retire: Option<(Handle, Version)>,
    ) -> Result<(), StoreError> {
        ensure(self.is_there(token.account), StoreError::NotFound)?;
        self.check_epoch(token)?;
        let is_new =
            !self.root_handles.contains(&token.handle) && !self.access_tokens.contains_key(&token.handle);
        ensure(is_new, StoreError::Duplicate)?;
        ensure(retire == self.live_root_token(), StoreError::Stale)
    }

    /// The root token set last, when it still lives, and the version of its row.
    pub(super) fn live_root_token(&self) -> Option<(Handle, Version)> {
        let row = self.access_tokens.get(self.root_handles.last()?)?;
        Some((row.handle, row.version))
    }

    fn write(&mut self, mutation: Mutation) {
        match mutation {
            Mutation::CreateAccount { account, .. } => {
                self.accounts.insert(account.id, account);
            }
            Mutation::ReplaceAccount { account, keep, .. } => {
                let (id, epoch) = (account.id, account.epoch);
                let before = self.accounts.insert(id, account);
                let has_grown = before.is_some_and(|before| before.epoch < epoch);
                self.epoch_sweeps.extend(has_grown.then_some(id));
                self.access_tokens.extend(keep.map(|token| (token.handle, token)));
            }
            Mutation::CreateOrganization { organization, membership, .. } => {
                self.organizations.insert(organization.id, organization);
                self.memberships.insert(membership.id, membership);
            }
            Mutation::ReplaceOrganization { organization, .. } => {
                self.organizations.insert(organization.id, organization);
            }
            Mutation::CreateMembership { membership, .. }
            | Mutation::ReplaceMembership { membership, .. } => {
                self.memberships.insert(membership.id, membership);
            }
            Mutation::DeleteMembership { id, .. } => {
                self.memberships.remove(&id);
            }
            Mutation::IssueServiceToken { token, .. } | Mutation::ReplaceServiceToken { token, .. } => {
                self.service_tokens.insert(token.id, token);
            }
            Mutation::RevokeServiceToken { id, .. } => {
                self.service_tokens.remove(&id);
                self.forget_usage(TokenRef::Service(id));
            }
            Mutation::IssueAccessToken { token, .. } => {
                self.access_tokens.insert(token.handle, token);
            }
            Mutation::RevokeAccessToken { handle, descendants, .. } => {
                self.cuts.extend(descendants.then_some(handle));
                self.remove_access_token(handle);
            }
            Mutation::SetRootToken { token, retire } => {
                if let Some((handle, _)) = retire {
                    self.remove_access_token(handle);
                }
                self.root_handles.push(token.handle);
                self.access_tokens.insert(token.handle, token);
            }
            Mutation::AddKeyGeneration(added) => {
                self.key_generations.insert(added.number, *added);
            }
            Mutation::ReplaceKeyInterval { number, days, .. } => {
                if let Some(row) = self.key_generations.get_mut(&number) {
                    (row.interval_days, row.version) = (days, row.version.next());
                }
            }
            Mutation::RemoveKeyGeneration { number, .. } => {
                self.key_generations.remove(&number);
            }
        }
    }

    pub(super) fn remove_access_token(&mut self, handle: Handle) {
        self.access_tokens.remove(&handle);
        self.forget_usage(TokenRef::Access(handle));
    }

    /// Removes expired access tokens, the longest expired ones first; gives what that means for the doors.
    pub(super) fn sweep_access_tokens(&mut self, before: Timestamp, limit: u32) -> Vec<FactChange> {
        let mut expired: Vec<_> = self
            .access_tokens
            .values()
            .filter(|token| token.expires_at < before)
            .map(|token| (token.expires_at, token.handle, token.version))
            .collect();
        expired.sort_unstable();
        expired.truncate(limit as usize);
        if !expired.is_empty() {
            self.revision = Revision(self.revision.0 + 1);
        }
        let mut remove = |(_, handle, version): (Timestamp, Handle, Version)| {
            self.remove_access_token(handle);
            FactChange::CredentialGone { key: CredentialKey::Handle(handle), version: version.next() }
        };
        expired.into_iter().map(&mut remove).collect()
    }

    /// Forgets the oldest records before the first that is not older than `before`, but never the newest.
    pub(super) fn sweep_audit(&mut self, before: Timestamp, limit: u32) -> u32 {
        let older = self.audit.iter().take_while(|record| record.entry.at < before).count();
        let swept = older.min(limit as usize).min(self.audit.len().saturating_sub(1));
        self.audit.drain(..swept);
        swept as u32
    }

    /// Every fact, accounts before tokens.
    /// How many accounts stand above this one.
    fn level(&self, account: &Account) -> usize {
        let parent = |account: &&Account| self.accounts.get(&account.parent?);
        std::iter::successors(Some(account), parent).count()
    }

    pub(super) fn facts(&self) -> impl Iterator<Item = FactChange> {
        let mut accounts: Vec<_> = self.accounts.values().collect();
        accounts.sort_by_key(|account| self.level(account));
        let accounts = accounts.into_iter().map(|account| FactChange::Account(account.into()));
        let service = self.service_tokens.values().map(|token| FactChange::Credential(token.into()));
        let access = self.access_tokens.values().map(|token| FactChange::Credential(token.into()));
        let organizations = self.organizations.values().map(|row| FactChange::Organization(row.into()));
        let memberships = self.memberships.values().map(|row| FactChange::Membership(row.into()));
        let cuts = self.cuts.iter().map(|handle| FactChange::Cut(*handle));
        accounts.chain(organizations).chain(memberships).chain(cuts).chain(service).chain(access)
    }
}

/// Promise 3: of the row that is there, if any.
pub(super) fn check_version(row: Option<Version>, expected: Version) -> Result<(), StoreError> {
    match row {
        None => Err(StoreError::NotFound),
        Some(version) if version != expected => Err(StoreError::Stale),
        Some(_) => Ok(()),
    }
}
