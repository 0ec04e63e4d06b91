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

/// An organization of which nothing is known yet is not active.
#[derive(Default)]
struct OrganizationEntry {
    active: bool,
    version: Option<Version>,
    memberships: HashSet<MembershipId, RandomState>,
}

struct MembershipEntry {
    fact: MembershipFact,
    account: Arc<AccountNode>,
}

impl MembershipEntry {
    fn count(&self, active: bool) {
        if active && self.fact.effective {
            self.account.add_membership(self.fact.organization);
        }
    }

    fn discount(&self, active: bool) {
        if active && self.fact.effective {
            self.account.remove_membership(self.fact.organization);
        }
    }
}

impl Tenancy {
    pub(super) fn learn_organization(&mut self, fact: &OrganizationFact) {
        let entry = self.organizations.entry(fact.id).or_default();
        if entry.version.is_some_and(|known| known >= fact.version) {
            return;
        }
        entry.version = Some(fact.version);
        if entry.active == fact.active {
            return;
        }
        entry.active = fact.active;
        for membership in entry.memberships.iter().filter_map(|id| self.memberships.get(id)) {
            membership.discount(!fact.active);
            membership.count(fact.active);
        }
    }

    pub(super) fn learn_membership(&mut self, fact: MembershipFact, account: Arc<AccountNode>) {
        let organization = self.organizations.entry(fact.organization).or_default();
        let known = self.memberships.get(&fact.id);
        if known.is_some_and(|known| known.fact.version >= fact.version) {
            return;
        }
        // First what is new, so that nobody who may act is stopped for a moment.
        let entry = MembershipEntry { fact, account };
        entry.count(organization.active);
        organization.memberships.insert(fact.id);
        if let Some(old) = self.memberships.insert(fact.id, entry) {
            old.discount(organization.active);
        }
    }

    pub(super) fn forget_membership(&mut self, id: MembershipId, version: Version) {
        let is_older = self.memberships.get(&id).is_some_and(|known| known.fact.version < version);
        if is_older && let Some(old) = self.memberships.remove(&id) {
            let organization = self.organizations.entry(old.fact.organization).or_default();
            organization.memberships.remove(&id);
            old.discount(organization.active);
        }
    }

    /// Its memberships are gone before it.
    pub(super) fn forget_organization(&mut self, id: OrganizationId) {
        self.organizations.remove(&id);
    }
}
