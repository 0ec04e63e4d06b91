//! What the model holds, and how a change is applied to it: first every check, then every write.

use std::collections::BTreeMap;

use countersign_domain::access_token::AccessToken;
use countersign_domain::account::{Account, AccountChain, AccountFact};
use countersign_domain::audit::AuditRecord;
use countersign_domain::change::{Change, FactChange, Guard, Mutation};
use countersign_domain::fact::CredentialKey;
use countersign_domain::id::{AccountId, Handle, ServiceTokenId, TokenRef};
use countersign_domain::service_token::{SecretVersion, ServiceToken};
use countersign_domain::store::{Revision, StoreError, Version};
use countersign_domain::time::Timestamp;
use countersign_domain::usage::{Refusals, Usage};

/// Everything the model holds.
pub(super) struct State {
    pub(super) revision: Revision,
    pub(super) accounts: BTreeMap<AccountId, Account>,
    pub(super) service_tokens: BTreeMap<ServiceTokenId, ServiceToken>,
    pub(super) access_tokens: BTreeMap<Handle, AccessToken>,
    /// Of every root token ever set, the last one last.
    pub(super) root_handles: Vec<Handle>,
    pub(super) uses: BTreeMap<(TokenRef, SecretVersion), Usage>,
    /// By token, start of the minute, and the word for the reason.
    pub(super) refusals: BTreeMap<(TokenRef, Timestamp, &'static str), Refusals>,
    /// Oldest first.
    pub(super) audit: Vec<AuditRecord>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            revision: Revision(0),
            accounts: BTreeMap::new(),
            service_tokens: BTreeMap::new(),
            access_tokens: BTreeMap::new(),
            root_handles: Vec::new(),
            uses: BTreeMap::new(),
            refusals: BTreeMap::new(),
            audit: Vec::new(),
        }
    }
}

/// Refuses with `error` unless `condition` holds.
fn ensure(condition: bool, error: StoreError) -> Result<(), StoreError> {
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
        let Guard::Token { handle, version } = guard else { return Ok(()) };
        let token = self.access_tokens.get(&handle).filter(|token| token.version == version);
        let chain = token.and_then(|token| AccountChain::collect(self.upwards(token.account)));
        ensure(chain.is_some_and(|chain| chain.is_enabled()), StoreError::GuardFailed)
    }

    /// An account and those above it.
    fn upwards(&self, account: AccountId) -> impl Iterator<Item = AccountFact> {
        let fact = |id: AccountId| self.accounts.get(&id).map(AccountFact::from);
        std::iter::successors(fact(account), move |below| fact(below.parent?))
    }

    fn check(&self, mutation: &Mutation) -> Result<(), StoreError> {
        match mutation {
            Mutation::CreateAccount(account) => self.check_new_account(account),
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
            Mutation::IssueAccessToken { token, limit } => {
                let of_account = || self.access_tokens.values().filter(|held| held.account == token.account);
                let expired = of_account().filter(|held| held.expires_at <= token.created_at).count();
                let held = of_account().count() - expired.min(*limit as usize);
                self.check_room(token.account, held, *limit)?;
                ensure(!self.access_tokens.contains_key(&token.handle), StoreError::Duplicate)
            }
            Mutation::RevokeAccessToken { account, handle, expected } => {
                let row = self.access_tokens.get(handle).filter(|row| row.account == *account);
                check_version(row.map(|row| row.version), *expected)
            }
            Mutation::SetRootToken { token, retire } => self.check_root_token(token, *retire),
        }
    }

    fn check_new_account(&self, account: &Account) -> Result<(), StoreError> {
        let mut others = self.accounts.values();
        let clash = others.any(|other| {
            let second_root = other.parent.is_none() && account.parent.is_none();
            other.id == account.id || other.email == account.email || second_root
        });
        ensure(!clash, StoreError::Duplicate)?;
        let parent_is_there = account.parent.is_none_or(|parent| self.accounts.contains_key(&parent));
        ensure(parent_is_there, StoreError::NotFound)
    }

    fn check_room(&self, account: AccountId, held: usize, limit: u32) -> Result<(), StoreError> {
        ensure(self.accounts.contains_key(&account), StoreError::NotFound)?;
        ensure(held < limit as usize, StoreError::LimitReached { limit })
    }

    fn check_root_token(
        &self,
        token: &AccessToken,
        retire: Option<(Handle, Version)>,
    ) -> Result<(), StoreError> {
        ensure(self.accounts.contains_key(&token.account), StoreError::NotFound)?;
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
            Mutation::CreateAccount(account) => {
                self.accounts.insert(account.id, account);
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
            Mutation::RevokeAccessToken { handle, .. } => self.remove_access_token(handle),
            Mutation::SetRootToken { token, retire } => {
                if let Some((handle, _)) = retire {
                    self.remove_access_token(handle);
                }
                self.root_handles.push(token.handle);
                self.access_tokens.insert(token.handle, token);
            }
        }
    }

    fn remove_access_token(&mut self, handle: Handle) {
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
    pub(super) fn facts(&self) -> impl Iterator<Item = FactChange> {
        let accounts = self.accounts.values().map(|account| FactChange::Account(account.into()));
        let service = self.service_tokens.values().map(|token| FactChange::Credential(token.into()));
        let access = self.access_tokens.values().map(|token| FactChange::Credential(token.into()));
        accounts.chain(service).chain(access)
    }
}

/// Promise 3: of the row that is there, if any.
fn check_version(row: Option<Version>, expected: Version) -> Result<(), StoreError> {
    match row {
        None => Err(StoreError::NotFound),
        Some(version) if version != expected => Err(StoreError::Stale),
        Some(_) => Ok(()),
    }
}
