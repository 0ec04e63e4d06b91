//! Organizations: the tenants in which bearers act, and who belongs to them.

use crate::allowlist::{Allowable, Allowlist};
use crate::entropy::Entropy;
use crate::id::{AccountId, MembershipId, OrganizationId};
use crate::profile::Profile;
use crate::store::Version;
use crate::time::Timestamp;

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// Its id.
    pub id: OrganizationId,
    /// The account that made it: it and those above manage it.
    pub owner: AccountId,
    /// What it says of itself.
    pub profile: Profile,
    /// Nobody acts in one that is not.
    pub active: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Of its row.
    pub version: Version,
}

impl Organization {
    /// A new one, and that its owner belongs to it.
    pub fn create(
        owner: AccountId,
        profile: Profile,
        entropy: &dyn Entropy,
        now: Timestamp,
    ) -> (Self, Membership) {
        let id = OrganizationId::mint(now, entropy);
        let version = Version::FIRST;
        let organization =
            Self { id, owner, profile, active: true, created_at: now, updated_at: now, version };
        let membership = Membership::create(id, owner, Role::Admin, Consent::Given, entropy, now);
        (organization, membership)
    }

    /// What it says of itself.
    #[must_use]
    pub fn update(self, profile: Profile, now: Timestamp) -> Self {
        Self { profile, ..self.changed(now) }
    }

    /// Lets its members act in it, or stops them.
    #[must_use]
    pub fn set_active(self, active: bool, now: Timestamp) -> Self {
        Self { active, ..self.changed(now) }
    }

    fn changed(self, now: Timestamp) -> Self {
        Self { updated_at: now, version: self.version.next(), ..self }
    }
}

/// That an account belongs to an organization. At most one for each pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// Its id.
    pub id: MembershipId,
    /// The organization.
    pub organization: OrganizationId,
    /// The account.
    pub account: AccountId,
    /// As what; no rule of ours depends on it.
    pub role: Role,
    /// Whether the account agrees.
    pub consent: Consent,
    /// Stopped by those who manage the organization.
    pub disabled: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Of its row.
    pub version: Version,
}

/// Whether an account agrees to belong to an organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Consent {
    /// It was invited and has not answered.
    Asked,
    /// It does, or was not asked.
    Given,
    /// It does not.
    Refused,
}

impl Consent {
    /// Every consent.
    pub const ALL: [Self; 3] = [Self::Asked, Self::Given, Self::Refused];

    /// The word for it, in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Given => "given",
            Self::Refused => "refused",
        }
    }

    /// The consent of a word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|consent| consent.as_str() == text)
    }
}

/// As what an account belongs to an organization (space-invoices-loopback.md 2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// As everybody.
    Default,
    /// As one who manages it.
    Admin,
    /// As one who only looks.
    ReadOnly,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::Default, Self::Admin, Self::ReadOnly];

    /// The word for it, in the store and on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Admin => "admin",
            Self::ReadOnly => "readonly",
        }
    }

    /// The role of a word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

impl Membership {
    /// A new one.
    pub fn create(
        organization: OrganizationId,
        account: AccountId,
        role: Role,
        consent: Consent,
        entropy: &dyn Entropy,
        now: Timestamp,
    ) -> Self {
        Self {
            id: MembershipId::mint(now, entropy),
            organization,
            account,
            role,
            consent,
            disabled: false,
            created_at: now,
            updated_at: now,
            version: Version::FIRST,
        }
    }

    /// Whether the account agrees, or was not asked.
    pub fn is_agreed(&self) -> bool {
        self.consent == Consent::Given
    }

    /// Whether the account may act in the organization by it.
    pub fn is_effective(&self) -> bool {
        self.is_agreed() && !self.disabled
    }

    /// Another role.
    #[must_use]
    pub fn change_role(self, role: Role, now: Timestamp) -> Self {
        Self { role, ..self.changed(now) }
    }

    /// The account's answer, or another question.
    #[must_use]
    pub fn with_consent(self, consent: Consent, now: Timestamp) -> Self {
        Self { consent, ..self.changed(now) }
    }

    /// Stops it, or lets it go on.
    #[must_use]
    pub fn set_disabled(self, disabled: bool, now: Timestamp) -> Self {
        Self { disabled, ..self.changed(now) }
    }

    fn changed(self, now: Timestamp) -> Self {
        Self { updated_at: now, version: self.version.next(), ..self }
    }
}

/// What the doors need to know of an organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrganizationFact {
    /// Which.
    pub id: OrganizationId,
    /// The account that made it; the organization ends with it.
    pub owner: AccountId,
    /// Whether anybody may act in it.
    pub active: bool,
    /// Of its row.
    pub version: Version,
}

impl From<&Organization> for OrganizationFact {
    fn from(organization: &Organization) -> Self {
        let Organization { id, owner, active, version, .. } = *organization;
        Self { id, owner, active, version }
    }
}

/// What the doors need to know of a membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MembershipFact {
    /// Which.
    pub id: MembershipId,
    /// The organization.
    pub organization: OrganizationId,
    /// The account.
    pub account: AccountId,
    /// Whether the account may act in the organization by it.
    pub effective: bool,
    /// Of its row.
    pub version: Version,
}

impl From<&Membership> for MembershipFact {
    fn from(membership: &Membership) -> Self {
        let Membership { id, organization, account, version, .. } = *membership;
        Self { id, organization, account, effective: membership.is_effective(), version }
    }
}

/// In which organizations a credential may act: in all that its account may act in, or in those of a list among them.
pub type Organizations = Allowlist<OrganizationId>;

/// Why a text names no organization, or a list is none of organizations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOrganization {
    /// Not an id.
    #[error("must be an organization id (32 lower-case hex digits)")]
    Syntax,
    /// More than 100 in a list.
    #[error("must name at most 100 organizations")]
    TooMany,
}

impl Allowable for OrganizationId {
    const MOST: usize = 100;
    const SEPARATOR: &str = " ";
    type Invalid = InvalidOrganization;
    const TOO_MANY: InvalidOrganization = InvalidOrganization::TooMany;

    fn parse(text: &str) -> Result<Self, InvalidOrganization> {
        text.parse().map_err(|_| InvalidOrganization::Syntax)
    }

    fn within(&self, other: &Self) -> bool {
        self == other
    }
}

impl Organizations {
    /// Whether the organization is not left out.
    pub fn cover(&self, organization: OrganizationId) -> bool {
        self.is_any(|one| *one == organization)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(numbers: &[u8]) -> Organizations {
        let ids = numbers.iter().map(|number| OrganizationId::from_bytes([*number; 16])).collect();
        Organizations::list(ids).unwrap_or_default()
    }

    #[test]
    fn within_is_no_more() {
        assert!(list(&[1]).within(&Organizations::ALL));
        assert!(list(&[1]).within(&list(&[1, 2])));
        assert!(list(&[]).within(&list(&[])));
        assert!(!list(&[3]).within(&list(&[1, 2])));
        assert!(!Organizations::ALL.within(&list(&[1])));
        assert!(Organizations::list(vec![OrganizationId::OF_NONE; 101]).is_err());
    }
}
