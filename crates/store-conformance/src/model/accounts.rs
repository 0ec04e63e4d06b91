//! Accounts, organizations and memberships of the model: the checks of changes.

use countersign_domain::access_token::AccessToken;
use countersign_domain::account::{Account, AccountState};
use countersign_domain::change::MembershipLimits;
use countersign_domain::id::{AccountId, OrganizationId};
use countersign_domain::organization::{Membership, Organization};
use countersign_domain::store::{StoreError, Version};

use super::state::{State, check_version, ensure};

impl State {
    /// Whether there is such an account, and it is not deleted.
    pub(super) fn is_there(&self, account: AccountId) -> bool {
        self.accounts.get(&account).is_some_and(|account| account.state != AccountState::Deleted)
    }

    /// The accounts directly below, but for deleted ones.
    pub(super) fn children(&self, parent: AccountId) -> impl Iterator<Item = &Account> {
        let is_child = move |account: &&Account| {
            account.parent == Some(parent) && account.state != AccountState::Deleted
        };
        self.accounts.values().filter(is_child)
    }

    pub(super) fn is_of_earlier_epoch(&self, token: &AccessToken) -> bool {
        self.accounts.get(&token.account).is_none_or(|account| token.epoch < account.epoch)
    }

    /// Whether the token ended with others.
    pub(super) fn has_ended(&self, token: &AccessToken) -> bool {
        self.is_of_earlier_epoch(token)
            || token.lineage.handles().iter().any(|handle| self.cuts.contains(handle))
    }

    pub(super) fn check_epoch(&self, token: &AccessToken) -> Result<(), StoreError> {
        let epoch = self.accounts.get(&token.account).map(|account| account.epoch);
        ensure(epoch == Some(token.epoch), StoreError::Stale)
    }

    pub(super) fn check_new_account(&self, account: &Account, limit: u32) -> Result<(), StoreError> {
        if let Some(parent) = account.parent {
            self.check_room(parent, self.children(parent).count(), limit)?;
        }
        let clash = self.accounts.values().any(|other| {
            let second_root = other.parent.is_none() && account.parent.is_none();
            other.id == account.id || other.email == account.email || second_root
        });
        ensure(!clash, StoreError::Duplicate)
    }

    pub(super) fn check_next_account(
        &self,
        expected: Version,
        account: &Account,
        keep: Option<&AccessToken>,
    ) -> Result<(), StoreError> {
        let row = self.accounts.get(&account.id).filter(|row| row.state != AccountState::Deleted);
        check_version(row.map(|row| row.version), expected)?;
        let is_taken =
            self.accounts.values().any(|other| other.id != account.id && other.email == account.email);
        ensure(!is_taken, StoreError::Duplicate)?;
        let Some(token) = keep else { return Ok(()) };
        let row = self.access_tokens.get(&token.handle).filter(|row| row.account == token.account);
        ensure(row.is_some_and(|row| row.version.next() == token.version), StoreError::Stale)
    }

    pub(super) fn check_new_organization(
        &self,
        organization: &Organization,
        membership: &Membership,
        limit: u32,
    ) -> Result<(), StoreError> {
        self.check_room(organization.owner, self.agreed_by(organization.owner), limit)?;
        let is_new = !self.organizations.contains_key(&organization.id)
            && !self.memberships.contains_key(&membership.id);
        ensure(is_new, StoreError::Duplicate)
    }

    pub(super) fn check_new_membership(
        &self,
        membership: &Membership,
        limits: MembershipLimits,
    ) -> Result<(), StoreError> {
        let of_account = if membership.is_agreed() { limits.of_account } else { u32::MAX };
        self.check_room(membership.account, self.agreed_by(membership.account), of_account)?;
        ensure(self.organizations.contains_key(&membership.organization), StoreError::NotFound)?;
        let rows = self.memberships.values();
        let of_organization = rows.filter(|row| row.organization == membership.organization).count();
        let limit = limits.of_organization;
        ensure(of_organization < limit as usize, StoreError::LimitReached { limit })?;
        let pair = self.find_membership_of(membership.organization, membership.account);
        let is_new = pair.is_none() && !self.memberships.contains_key(&membership.id);
        ensure(is_new, StoreError::Duplicate)
    }

    /// To how many organizations an account agrees to belong.
    fn agreed_by(&self, account: AccountId) -> usize {
        self.memberships.values().filter(|row| row.account == account && row.is_agreed()).count()
    }

    pub(super) fn check_next_membership(
        &self,
        expected: Version,
        membership: &Membership,
        limit: u32,
    ) -> Result<(), StoreError> {
        let (account, organization) = (membership.account, membership.organization);
        let row = self.memberships.get(&membership.id);
        let row = row.filter(|row| row.account == account && row.organization == organization);
        check_version(row.map(|row| row.version), expected)?;
        let agrees_by_it = membership.is_agreed() && row.is_some_and(|row| !row.is_agreed());
        if agrees_by_it { self.check_room(account, self.agreed_by(account), limit) } else { Ok(()) }
    }

    pub(super) fn find_membership_of(
        &self,
        organization: OrganizationId,
        account: AccountId,
    ) -> Option<&Membership> {
        self.memberships.values().find(|row| row.organization == organization && row.account == account)
    }
}
