//! Organizations and memberships as the doors know them. What they come to is kept with the accounts; here is what is
//! needed to keep that up to date.

use std::collections::HashSet;
use std::sync::Arc;

use countersign_domain::id::{MembershipId, OrganizationId};
use countersign_domain::organization::{MembershipFact, OrganizationFact};
use countersign_domain::store::Version;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::account::AccountNode;

/// Every organization and every membership.
#[derive(Default)]
pub(super) struct Tenancy {
    organizations: HashMap<OrganizationId, OrganizationEntry, RandomState>,
    memberships: HashMap<MembershipId, MembershipEntry, RandomState>,
}

/// An organization of which nothing is known yet is not open.
#[derive(Default)]
struct OrganizationEntry {
    active: bool,
    owner: Option<Arc<AccountNode>>,
    version: Option<Version>,
    memberships: HashSet<MembershipId, RandomState>,
}

impl OrganizationEntry {
    /// Whether anybody may act in it: it ends with its owner.
    fn is_open(&self) -> bool {
        self.active && self.owner.as_ref().is_some_and(|owner| !owner.has_ended())
    }
}

struct MembershipEntry {
    fact: MembershipFact,
    account: Arc<AccountNode>,
    /// Whether it is counted with its account and those above.
    counted: bool,
}

impl MembershipEntry {
    /// Counts it, or no longer, as it should be.
    fn settle(&mut self, is_open: bool) {
        let should = is_open && self.fact.effective && !self.account.has_ended();
        match (self.counted, should) {
            (false, true) => self.account.add_membership(self.fact.organization),
            (true, false) => self.account.remove_membership(self.fact.organization),
            (false, false) | (true, true) => {}
        }
        self.counted = should;
    }
}

impl Tenancy {
    /// `owner`: the account of that id.
    pub(super) fn learn_organization(&mut self, fact: &OrganizationFact, owner: Option<Arc<AccountNode>>) {
        let entry = self.organizations.entry(fact.id).or_default();
        if entry.version.is_some_and(|known| known >= fact.version) {
            return;
        }
        (entry.version, entry.active, entry.owner) = (Some(fact.version), fact.active, owner);
        let is_open = entry.is_open();
        for id in &entry.memberships {
            if let Some(membership) = self.memberships.get_mut(id) {
                membership.settle(is_open);
            }
        }
    }

    pub(super) fn learn_membership(&mut self, fact: MembershipFact, account: Arc<AccountNode>) {
        let organization = self.organizations.entry(fact.organization).or_default();
        let known = self.memberships.get(&fact.id);
        if known.is_some_and(|known| known.fact.version >= fact.version) {
            return;
        }
        // First what is new, so that nobody who may act is stopped for a moment.
        let mut entry = MembershipEntry { fact, account, counted: false };
        entry.settle(organization.is_open());
        organization.memberships.insert(fact.id);
        if let Some(mut old) = self.memberships.insert(fact.id, entry) {
            old.settle(false);
        }
    }

    pub(super) fn forget_membership(&mut self, id: MembershipId, version: Version) {
        let is_older = self.memberships.get(&id).is_some_and(|known| known.fact.version < version);
        if is_older && let Some(mut old) = self.memberships.remove(&id) {
            old.settle(false);
            if let Some(organization) = self.organizations.get_mut(&old.fact.organization) {
                organization.memberships.remove(&id);
            }
        }
    }

    /// Its memberships are gone before it.
    pub(super) fn forget_organization(&mut self, id: OrganizationId) {
        self.organizations.remove(&id);
    }

    /// An account has ended: nobody acts by its memberships any more, nor in its organizations, nor by or in those of
    /// accounts below it. Everything is looked at, which takes milliseconds and happens rarely.
    pub(super) fn end_account(&mut self) {
        for membership in self.memberships.values_mut() {
            let organization = self.organizations.get(&membership.fact.organization);
            membership.settle(organization.is_some_and(OrganizationEntry::is_open));
        }
    }
}
