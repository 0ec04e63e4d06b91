//! The tables of the directory: every credential, account, organization and cut.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use countersign_domain::account::{AccountChain, AccountFact, AccountState};
use countersign_domain::change::FactChange;
use countersign_domain::fact::{CredentialKey, Fact, Kind};
use countersign_domain::id::{AccountId, Handle, OrganizationId};
use countersign_domain::lineage::Lineage;
use countersign_domain::organization::MembershipFact;
use countersign_domain::service_token::SecretVersion;
use countersign_domain::store::Version;
use countersign_domain::time::Timestamp;
use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet, HashTable};

use super::Census;
use super::account::AccountNode;
use super::known::{Found, Known};
use super::tenancy::Tenancy;

/// Tables that are locked apart, so that a write disturbs few reads. A power of two.
const SHARDS: usize = 256;

/// Every live credential and every account. Reading takes one uncontended lock of one shard.
pub(super) struct Tables {
    /// Credentials by the hash of their key. The keys in it are random bits of our own making, so no stranger can
    /// choose where they land.
    shards: Box<[RwLock<HashTable<Arc<Known>>>]>,
    hasher: RandomState,
    /// Accounts by id. Asked when a credential is learnt or managed, not when it is verified.
    accounts: RwLock<HashMap<AccountId, Arc<AccountNode>, RandomState>>,
    /// Asked when something of it changes.
    tenancy: Mutex<Tenancy>,
    /// Access tokens that ended with everything that stems from them. Nearly always none.
    cuts: RwLock<HashSet<Handle, RandomState>>,
    /// Whether there are any, so that a door takes no lock to find out.
    has_cuts: AtomicBool,
}

impl Default for Tables {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            hasher: RandomState::default(),
            accounts: RwLock::default(),
            tenancy: Mutex::default(),
            cuts: RwLock::default(),
            has_cuts: AtomicBool::new(false),
        }
    }
}

impl Tables {
    /// The credential of this key, and whether a token from which it stems ended with everything that stems from it.
    pub(super) fn find(&self, key: &CredentialKey) -> Option<Found> {
        let hash = self.hash(key);
        // A poisoned lock means that a writer panicked between two consistent states: every step below leaves the
        // table whole, so what it holds is still true.
        let table = self.shard(hash).read().unwrap_or_else(PoisonError::into_inner);
        let known = table.find(hash, |known| known.fact.key() == *key)?;
        // While the shard is held: a cut is healed after all below it is gone, and this is not gone yet.
        Some(Found { is_cut: self.is_cut(&known.fact.lineage), known: Arc::clone(known) })
    }

    /// Whether the account may act in the organization right now.
    pub(super) fn acts_in(&self, account: AccountId, organization: OrganizationId) -> bool {
        self.node(account).is_some_and(|node| node.acts_in(organization))
    }

    /// An account and those above it; `None` when there is no such account.
    pub(super) fn chain(&self, id: AccountId) -> Option<AccountChain> {
        let accounts = self.accounts.read().unwrap_or_else(PoisonError::into_inner);
        accounts.get(&id).and_then(|node| node.chain())
    }

    /// Takes in one change. A fact of a version that is not newer than the one known is ignored, so that nothing
    /// old comes back.
    pub(super) fn learn(&self, change: FactChange) {
        match change {
            FactChange::Credential(fact) => self.learn_credential(fact),
            FactChange::CredentialGone { key, version } => self.forget(&key, version),
            FactChange::Account(fact) => self.learn_account(&fact),
            FactChange::AccountGone(id) => {
                self.accounts.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
            }
            FactChange::Organization(fact) => {
                let owner = self.node(fact.owner);
                self.tenancy().learn_organization(&fact, owner);
            }
            FactChange::OrganizationGone(id) => self.tenancy().forget_organization(id),
            FactChange::Membership(fact) => self.learn_membership(fact),
            FactChange::MembershipGone { id, version } => self.tenancy().forget_membership(id, version),
            FactChange::Cut(handle) => self.change_cuts(|cuts| cuts.insert(handle)),
            FactChange::CutHealed(handle) => self.change_cuts(|cuts| cuts.remove(&handle)),
        }
    }

    fn learn_credential(&self, fact: Fact) {
        let Some(account) = self.node(fact.account) else {
            tracing::error!(token = %fact.token(), account = %fact.account, "a token without an account is not served");
            return;
        };
        let key = fact.key();
        let hash = self.hash(&key);
        let mut new = Known::new(fact, account);
        let mut table = self.shard(hash).write().unwrap_or_else(PoisonError::into_inner);
        match table.find_mut(hash, |known| known.fact.key() == key) {
            Some(known) if known.fact.version < new.fact.version => {
                new.inherit(known);
                *known = Arc::new(new);
            }
            Some(_) => {}
            None => {
                table.insert_unique(hash, Arc::new(new), |known| self.hash(&known.fact.key()));
            }
        }
    }

    fn forget(&self, key: &CredentialKey, version: Version) {
        let hash = self.hash(key);
        let mut table = self.shard(hash).write().unwrap_or_else(PoisonError::into_inner);
        let older = |known: &Arc<Known>| known.fact.key() == *key && known.fact.version < version;
        if let Ok(entry) = table.find_entry(hash, older) {
            entry.remove();
        }
    }

    /// Takes in that a use of this secret was written before.
    pub(super) fn mark_used(&self, key: &CredentialKey, version: SecretVersion) {
        if let Some(Found { known, .. }) = self.find(key).filter(|found| found.known.has_secret(version)) {
            known.used(version).store(true, Ordering::Relaxed);
        }
    }

    /// Takes over from `old` which secrets are known to have been used, and how often limited tokens were. Nobody else
    /// looks at these tables yet.
    pub(super) fn inherit_uses(&self, old: &Self) {
        for shard in &self.shards {
            for new in shard.write().unwrap_or_else(PoisonError::into_inner).iter_mut() {
                let key = new.fact.key();
                if let (Some(new), Some(old)) = (Arc::get_mut(new), old.find(&key)) {
                    new.inherit(&old.known);
                }
            }
        }
    }

    fn learn_account(&self, fact: &AccountFact) {
        let parent = fact.parent.map(|parent| self.node(parent));
        let Some(parent) = parent.map_or(Some(None), |node| node.map(Some)) else {
            tracing::error!(account = %fact.id, "an account without its parent is not served");
            return;
        };
        let mut accounts = self.accounts.write().unwrap_or_else(PoisonError::into_inner);
        let node = accounts.entry(fact.id).or_insert_with(|| Arc::new(AccountNode::new(fact, parent)));
        // The table's lock is held, so nobody else writes here.
        node.learn(fact);
        drop(accounts);
        if fact.state == AccountState::Deleted {
            self.tenancy().end_account();
        }
    }

    fn learn_membership(&self, fact: MembershipFact) {
        match self.node(fact.account) {
            Some(account) => self.tenancy().learn_membership(fact, account),
            None => {
                tracing::error!(membership = %fact.id, account = %fact.account, "a membership without an account is not served");
            }
        }
    }

    fn tenancy(&self) -> MutexGuard<'_, Tenancy> {
        self.tenancy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change_cuts(&self, change: impl FnOnce(&mut HashSet<Handle, RandomState>) -> bool) {
        let mut cuts = self.cuts.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut cuts);
        self.has_cuts.store(!cuts.is_empty(), Ordering::Release);
    }

    /// Whether a token from which this stems ended with everything that stems from it.
    fn is_cut(&self, lineage: &Lineage) -> bool {
        if !self.has_cuts.load(Ordering::Acquire) {
            return false;
        }
        let cuts = self.cuts.read().unwrap_or_else(PoisonError::into_inner);
        lineage.handles().iter().any(|handle| cuts.contains(handle))
    }

    /// Counts credentials, one shard after the other.
    pub(super) fn census(&self, now: Timestamp) -> Census {
        let days = |days: u64| now.after(std::time::Duration::from_secs(days * 86_400));
        let (in_7d, in_30d) = (days(7), days(30));
        let mut census = Census::default();
        for shard in &self.shards {
            let table = shard.read().unwrap_or_else(PoisonError::into_inner);
            for known in table.iter() {
                let fact = &known.fact;
                let is_service = fact.kind() == Kind::Service;
                let expired = fact.expires_at <= now;
                let expiring = is_service && fact.enabled && !expired;
                census.service_tokens += u64::from(is_service);
                census.access_tokens += u64::from(!is_service);
                census.expired += u64::from(expired);
                census.expiring_7d += u64::from(expiring && fact.expires_at <= in_7d);
                census.expiring_30d += u64::from(expiring && fact.expires_at <= in_30d);
            }
        }
        census
    }

    fn node(&self, id: AccountId) -> Option<Arc<AccountNode>> {
        self.accounts.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// Eight of the key's bytes are hashed: they are random, and the whole key is compared afterwards.
    fn hash(&self, key: &CredentialKey) -> u64 {
        let bytes = match key {
            CredentialKey::Client(id) => id.as_bytes().first_chunk(),
            CredentialKey::Handle(handle) => handle.as_str().as_bytes().first_chunk(),
        };
        self.hasher.hash_one(u64::from_le_bytes(bytes.copied().unwrap_or_default()))
    }

    fn shard(&self, hash: u64) -> &RwLock<HashTable<Arc<Known>>> {
        // The table itself uses the low bits and the highest seven.
        &self.shards[(hash >> 32) as usize % SHARDS]
    }
}
