//! Accounts as the doors know them: a tree of nodes, each with the organizations in which it may act.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use countersign_domain::account::{AccountChain, AccountFact, AccountState, Epoch};
use countersign_domain::id::{AccountId, OrganizationId};
use countersign_domain::store::Version;

/// An account in the tree. A credential points to its account and that one to its parent.
#[derive(Debug)]
pub(super) struct AccountNode {
    id: AccountId,
    parent: Option<Arc<AccountNode>>,
    state: AtomicU8,
    epoch: AtomicU32,
    version: AtomicU64,
    /// The organizations in which it may act right now, each with the number of memberships by which it may: its own
    /// and those of all accounts below it.
    reach: RwLock<BTreeMap<OrganizationId, u32>>,
    /// Whether there are any, so that a door which does not ask takes no lock.
    has_reach: AtomicBool,
}

impl AccountNode {
    pub(super) fn new(fact: &AccountFact, parent: Option<Arc<Self>>) -> Self {
        Self {
            id: fact.id,
            parent,
            state: AtomicU8::new(fact.state as u8),
            epoch: AtomicU32::new(fact.epoch.number()),
            version: AtomicU64::new(fact.version.number()),
            reach: RwLock::default(),
            has_reach: AtomicBool::new(false),
        }
    }

    /// Takes in a fact, unless a newer one is known. One caller at a time.
    pub(super) fn learn(&self, fact: &AccountFact) {
        if self.version.load(Ordering::Acquire) < fact.version.number() {
            self.epoch.store(fact.epoch.number(), Ordering::Release);
            self.state.store(fact.state as u8, Ordering::Release);
            self.version.store(fact.version.number(), Ordering::Release);
        }
    }

    fn fact(&self) -> AccountFact {
        AccountFact {
            id: self.id,
            parent: self.parent.as_ref().map(|parent| parent.id),
            state: state_of(self.state.load(Ordering::Acquire)),
            epoch: Epoch::from_number(self.epoch.load(Ordering::Acquire)),
            version: Version::from_number(self.version.load(Ordering::Acquire)),
        }
    }

    fn upwards(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |node| node.parent.as_deref())
    }

    /// Whether it, or one above it, is deleted.
    pub(super) fn has_ended(&self) -> bool {
        self.upwards().any(|node| state_of(node.state.load(Ordering::Acquire)) == AccountState::Deleted)
    }

    /// The account and those above it.
    pub(super) fn chain(&self) -> Option<AccountChain> {
        AccountChain::collect(self.upwards().map(Self::fact))
    }

    /// One more membership by which this account, and those above it, may act in an organization.
    pub(super) fn add_membership(&self, organization: OrganizationId) {
        for node in self.upwards() {
            let mut reach = node.reach.write().unwrap_or_else(PoisonError::into_inner);
            *reach.entry(organization).or_default() += 1;
            node.has_reach.store(true, Ordering::Release);
        }
    }

    /// One less.
    pub(super) fn remove_membership(&self, organization: OrganizationId) {
        for node in self.upwards() {
            let mut reach = node.reach.write().unwrap_or_else(PoisonError::into_inner);
            let left = reach.get_mut(&organization).map(|count| {
                *count = count.saturating_sub(1);
                *count
            });
            if left == Some(0) {
                reach.remove(&organization);
            }
            node.has_reach.store(!reach.is_empty(), Ordering::Release);
        }
    }

    /// Whether it may act in the organization.
    pub(super) fn acts_in(&self, organization: OrganizationId) -> bool {
        self.has_reach.load(Ordering::Acquire)
            && self.reach.read().unwrap_or_else(PoisonError::into_inner).contains_key(&organization)
    }

    /// The first organizations in which it may act, at most `most`.
    pub(super) fn organizations(&self, most: usize) -> Vec<OrganizationId> {
        if !self.has_reach.load(Ordering::Acquire) {
            return Vec::new();
        }
        let reach = self.reach.read().unwrap_or_else(PoisonError::into_inner);
        reach.keys().take(most).copied().collect()
    }
}

/// The reverse of `as u8`. What is none of the others is deleted, which refuses.
const fn state_of(number: u8) -> AccountState {
    match number {
        number if number == AccountState::Enabled as u8 => AccountState::Enabled,
        number if number == AccountState::Disabled as u8 => AccountState::Disabled,
        _ => AccountState::Deleted,
    }
}
