//! Operations on accounts, organizations and memberships.

use countersign_domain::access_token::AccessToken;
use countersign_domain::account::{Account, AccountState};
use countersign_domain::change::{MembershipLimits, Mutation};
use countersign_domain::id::{MembershipId, OrganizationId};
use countersign_domain::organization::{Consent, Membership, Organization, Role};
use countersign_domain::password::PasswordHash;
use countersign_domain::profile::Profile;
use countersign_domain::store::{SharedStore, Version};
use proptest::prelude::*;

use super::duel::{account_id, at, email, handle};
use super::{ACCOUNTS, Flaw, TOKENS, flaw, owner};
use crate::world::must;

/// How many organizations and memberships there are.
pub(super) const ORGANIZATIONS: u8 = 3;
pub(super) const MEMBERSHIPS: u8 = 5;

/// Something with accounts, organizations and memberships.
#[derive(Debug, Clone)]
pub enum Tenancy {
    /// Another state of an account.
    ReplaceAccount {
        /// Which.
        account: u8,
        /// What changes.
        how: HowAccount,
        /// What is wrong.
        flaw: Flaw,
    },
    /// A new organization with its owner's membership.
    CreateOrganization {
        /// Which.
        organization: u8,
        /// Whose.
        owner: u8,
        /// The number of the membership.
        membership: u8,
        /// The owner's limit.
        limit: u8,
    },
    /// An organization is active or not.
    Activate {
        /// Which.
        organization: u8,
        /// Which of the two.
        active: bool,
        /// What is wrong.
        flaw: Flaw,
    },
    /// A new membership.
    Invite {
        /// The number of the membership.
        membership: u8,
        /// Into which organization.
        organization: u8,
        /// Which account.
        account: u8,
        /// The limit of both.
        limit: u8,
    },
    /// Another state of a membership.
    ReplaceMembership {
        /// Which.
        membership: u8,
        /// Its role, consent and whether it is disabled, all by this number.
        how: u8,
        /// The account's limit.
        limit: u8,
        /// What is wrong.
        flaw: Flaw,
    },
    /// The end of a membership.
    DeleteMembership {
        /// Which.
        membership: u8,
        /// What is wrong.
        flaw: Flaw,
    },
}

/// What changes in an account.
#[derive(Debug, Clone, Copy)]
pub enum HowAccount {
    /// Another e-mail address.
    Email(u8),
    /// Another password; access tokens end, but for this one.
    Password(Option<u8>),
    /// Disabled or enabled.
    Enable(bool),
    /// Deleted.
    Delete,
}

pub(super) fn any_tenancy() -> impl Strategy<Value = Tenancy> {
    let how = prop_oneof![
        1 => (0..ACCOUNTS).prop_map(HowAccount::Email),
        3 => prop::option::of(0..TOKENS).prop_map(HowAccount::Password),
        2 => prop::bool::weighted(0.7).prop_map(HowAccount::Enable),
        1 => Just(HowAccount::Delete),
    ];
    let (organization, membership) = (|| 0..ORGANIZATIONS, || 0..MEMBERSHIPS);
    prop_oneof![
        3 => (0..ACCOUNTS, how, flaw())
            .prop_map(|(account, how, flaw)| Tenancy::ReplaceAccount { account, how, flaw }),
        2 => (organization(), owner(), membership(), 1u8..4).prop_map(
            |(organization, owner, membership, limit)| {
                Tenancy::CreateOrganization { organization, owner, membership, limit }
            }
        ),
        1 => (organization(), any::<bool>(), flaw())
            .prop_map(|(organization, active, flaw)| Tenancy::Activate { organization, active, flaw }),
        3 => (membership(), organization(), owner(), 1u8..4).prop_map(
            |(membership, organization, account, limit)| {
                Tenancy::Invite { membership, organization, account, limit }
            }
        ),
        2 => (membership(), 0u8..12, 1u8..4, flaw()).prop_map(|(membership, how, limit, flaw)| {
            Tenancy::ReplaceMembership { membership, how, limit, flaw }
        }),
        1 => (membership(), flaw())
            .prop_map(|(membership, flaw)| Tenancy::DeleteMembership { membership, flaw }),
    ]
}

pub(super) fn organization_id(number: u8) -> OrganizationId {
    OrganizationId::from_bytes([number + 1; 16])
}

pub(super) fn membership_id(number: u8) -> MembershipId {
    MembershipId::from_bytes([number + 1; 16])
}

fn flawed(version: Version, flaw: Flaw) -> Version {
    if flaw == Flaw::Version { version.next() } else { version }
}

/// The mutation of an operation, in the light of what the store holds.
pub(super) async fn mutation(store: &SharedStore, what: &Tenancy, seconds: u8) -> Mutation {
    match *what {
        Tenancy::ReplaceAccount { account, how, flaw } => {
            replace_account(store, account, how, flaw, seconds).await
        }
        Tenancy::CreateOrganization { organization, owner, membership, limit } => {
            Mutation::CreateOrganization {
                organization: new_organization(organization, owner),
                membership: new_membership(membership, organization, owner, 0),
                limit: limit.into(),
            }
        }
        Tenancy::Activate { organization, active, flaw } => {
            let stored = must(store.find_organization(organization_id(organization)).await);
            let stored = stored.unwrap_or_else(|| new_organization(organization, 0));
            let expected = flawed(stored.version, flaw);
            let mut organization = stored.set_active(active, at(seconds));
            if flaw == Flaw::Account {
                organization.owner = account_id(ACCOUNTS);
            }
            Mutation::ReplaceOrganization { expected, organization }
        }
        Tenancy::Invite { membership, organization, account, limit } => Mutation::CreateMembership {
            membership: new_membership(membership, organization, account, membership),
            limits: MembershipLimits { of_account: limit.into(), of_organization: limit.into() },
        },
        Tenancy::ReplaceMembership { membership, how, limit, flaw } => {
            let stored = stored_membership(store, membership).await;
            let expected = flawed(stored.version, flaw);
            let mut membership = stored
                .change_role(Role::ALL[usize::from(how % 3)], at(seconds))
                .set_disabled(how.is_multiple_of(2), at(seconds));
            membership.consent = Consent::ALL[usize::from(how / 4)];
            membership.version = expected.next();
            if flaw == Flaw::Account {
                membership.account = account_id(ACCOUNTS);
            }
            Mutation::ReplaceMembership { expected, membership, limit: limit.into() }
        }
        Tenancy::DeleteMembership { membership, flaw } => {
            let stored = stored_membership(store, membership).await;
            Mutation::DeleteMembership { id: stored.id, expected: flawed(stored.version, flaw) }
        }
    }
}

async fn replace_account(
    store: &SharedStore,
    number: u8,
    how: HowAccount,
    flaw: Flaw,
    seconds: u8,
) -> Mutation {
    let now = at(seconds);
    let stored = must(store.find_account(account_id(number)).await);
    let stored = stored.unwrap_or_else(|| super::duel::new_account(number, 0, number, true));
    let expected = flawed(stored.version, flaw);
    let mut keep = None;
    let account = match how {
        HowAccount::Email(number) => {
            let profile = must(Profile::from_json("{\"firstname\":\"A\"}"));
            stored.update(Some(email(number)), profile, now)
        }
        HowAccount::Password(kept) => {
            let next = stored.change_password(PasswordHash::from_phc("$argon2id$"), now);
            keep = kept_token(store, &next, kept, flaw).await;
            next
        }
        HowAccount::Enable(enabled) => {
            let state = if enabled { AccountState::Enabled } else { AccountState::Disabled };
            Account { state, updated_at: now, version: stored.version.next(), ..stored }
        }
        HowAccount::Delete if stored.parent.is_none() => stored.end_access_tokens(now),
        HowAccount::Delete => must(stored.delete(now)),
    };
    Mutation::ReplaceAccount { expected, account, keep }
}

/// The token that is kept, as it will be; one of another account where that is the flaw.
async fn kept_token(
    store: &SharedStore,
    account: &Account,
    number: Option<u8>,
    flaw: Flaw,
) -> Option<AccessToken> {
    let of = if flaw == Flaw::Account { account_id(0) } else { account.id };
    let token = must(store.find_access_token(of, handle(number?)).await)?;
    Some(token.kept_in(account.epoch))
}

async fn stored_membership(store: &SharedStore, number: u8) -> Membership {
    let stored = must(store.find_membership(membership_id(number)).await);
    stored.unwrap_or_else(|| new_membership(number, 0, 0, 0))
}

fn new_organization(number: u8, owner: u8) -> Organization {
    Organization {
        id: organization_id(number),
        owner: account_id(owner),
        profile: Profile::default(),
        active: true,
        created_at: at(number),
        updated_at: at(number),
        version: Version::FIRST,
    }
}

fn new_membership(number: u8, organization: u8, account: u8, consent: u8) -> Membership {
    Membership {
        id: membership_id(number),
        organization: organization_id(organization),
        account: account_id(account),
        role: Role::Default,
        consent: if consent.is_multiple_of(2) { Consent::Given } else { Consent::Asked },
        disabled: false,
        created_at: at(number % 2),
        updated_at: at(number),
        version: Version::FIRST,
    }
}
