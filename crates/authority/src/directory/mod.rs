//! What the doors know: every live credential and every account, in memory.

mod account;
mod known;
mod tables;
mod tenancy;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use countersign_domain::account::AccountChain;
use countersign_domain::change::FactChange;
use countersign_domain::fact::CredentialKey;
use countersign_domain::id::{AccountId, OrganizationId};
use countersign_domain::service_token::SecretVersion;
use countersign_domain::store::{ChangeSink, Reload, Revision};
use countersign_domain::time::Timestamp;

pub use known::{Found, Known};
use tables::Tables;

/// Every live credential and every account, fed by the store in commit order. Reading touches neither disk nor network.
#[derive(Default)]
pub struct Directory {
    /// Replaced as a whole when everything is read afresh, so that nobody judges by a mixture of old and new.
    tables: ArcSwap<Tables>,
    /// Whether everything that is stored has been learnt.
    ready: AtomicBool,
    reloads: AtomicU64,
}

/// Credentials counted at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Census {
    /// Service tokens, whatever their state.
    pub service_tokens: u64,
    /// Access tokens, whatever their state.
    pub access_tokens: u64,
    /// Of both, those that have expired.
    pub expired: u64,
    /// Service tokens that are enabled and expire within 7 days.
    pub expiring_7d: u64,
    /// Service tokens that are enabled and expire within 30 days.
    pub expiring_30d: u64,
}

impl Directory {
    /// The credential of this key.
    pub fn find(&self, key: &CredentialKey) -> Option<Arc<Known>> {
        self.look_for(key).map(|found| found.known)
    }

    /// As [`Directory::find`], for one who judges it.
    pub fn look_for(&self, key: &CredentialKey) -> Option<Found> {
        self.tables.load().find(key)
    }

    /// Whether the account may act in the organization right now.
    pub(crate) fn acts_in(&self, account: AccountId, organization: OrganizationId) -> bool {
        self.tables.load().acts_in(account, organization)
    }

    /// An account and those above it; `None` when there is no such account.
    pub fn chain(&self, id: AccountId) -> Option<AccountChain> {
        self.tables.load().chain(id)
    }

    /// Takes in one change. A fact of a version that is not newer than the one known is ignored, so that nothing
    /// old comes back.
    pub fn learn(&self, change: FactChange) {
        self.tables.load().learn(change);
    }

    /// Takes in that a use of this secret was written before.
    pub(crate) fn mark_used(&self, key: &CredentialKey, version: SecretVersion) {
        self.tables.load().mark_used(key, version);
    }

    /// Counts credentials, one shard after the other.
    pub fn census(&self, now: Timestamp) -> Census {
        self.tables.load_full().census(now)
    }

    /// How often everything was read afresh, because what was known may not have been true any more. What was the row of a
    /// version before may be another one since.
    pub fn reloads(&self) -> u64 {
        self.reloads.load(Ordering::Acquire)
    }

    /// Declares that everything stored has been learnt.
    pub(crate) fn ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// Whether everything stored has been learnt.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }
}

impl ChangeSink for Directory {
    fn publish(&self, _revision: Revision, changes: Vec<FactChange>) {
        let tables = self.tables.load();
        changes.into_iter().for_each(|change| tables.learn(change));
    }

    fn begin_reload(self: Arc<Self>) -> Box<dyn Reload> {
        Box::new(Afresh { directory: self, tables: Tables::default() })
    }
}

/// Tables that are being filled beside those in use.
struct Afresh {
    directory: Arc<Directory>,
    tables: Tables,
}

impl Reload for Afresh {
    fn learn(&mut self, change: FactChange) {
        self.tables.learn(change);
    }

    fn finish(self: Box<Self>) {
        let Self { directory, tables } = *self;
        tables.inherit_uses(&directory.tables.load());
        // First, so that who sees the new tables sees this, too.
        directory.reloads.fetch_add(1, Ordering::AcqRel);
        directory.tables.store(Arc::new(tables));
    }
}
