//! Writes as data.

use crate::access_token::AccessToken;
use crate::account::{Account, AccountFact};
use crate::audit::AuditEntry;
use crate::fact::{CredentialKey, Fact};
use crate::id::{AccountId, ClientId, Handle, MembershipId, OrganizationId, ServiceTokenId};
use crate::organization::{Membership, MembershipFact, Organization, OrganizationFact};
use crate::service_token::ServiceToken;
use crate::signing_key::KeyGeneration;
use crate::store::Version;

/// One mutation, its audit entry and the condition under which it holds. A store makes all of it durable in one
/// transaction, or nothing.
#[derive(Debug, Clone)]
pub struct Change {
    /// What must still be so.
    pub guard: Guard,
    /// What is written.
    pub mutation: Mutation,
    /// What is remembered of it.
    pub audit: AuditEntry,
}

/// In whose name a change is made. A change by a token that ended a moment ago must not be made: otherwise a
/// revoked token could leave a successor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// The access token's row has still this version, and its account and all above are enabled.
    Token {
        /// Which token.
        handle: Handle,
        /// As the caller was judged by.
        version: Version,
    },
    /// The account's row has still this version, and it and all above are enabled: somebody has logged in.
    Account {
        /// Which account.
        id: AccountId,
        /// As the password was compared with.
        version: Version,
    },
    /// Countersign itself.
    System,
}

/// How many memberships there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MembershipLimits {
    /// Of an account, of those it agrees to: strangers who invite it take nothing from it.
    pub of_account: u32,
    /// Of an organization, whether the accounts agree or not.
    pub of_organization: u32,
}

/// How many access tokens an account may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessTokenLimits {
    /// Of all kinds.
    pub all: u32,
    /// From logging in: people forget to log out.
    pub of_logins: u32,
}

/// What is written. `expected` versions make a change that was decided on an outdated row fail as stale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mutation {
    /// A new account, unless the one above holds `limit` already.
    CreateAccount {
        /// The account.
        account: Account,
        /// Most accounts directly below the one above.
        limit: u32,
    },
    /// The next state of an account.
    ReplaceAccount {
        /// The version it was decided on.
        expected: Version,
        /// The next state.
        account: Account,
        /// The next state of the one access token that does not end with the account's epoch.
        keep: Option<AccessToken>,
    },
    /// A new organization, and that its owner belongs to it, unless the owner belongs to `limit` already.
    CreateOrganization {
        /// The organization.
        organization: Organization,
        /// Its owner's.
        membership: Membership,
        /// Most memberships of the owner.
        limit: u32,
    },
    /// The next state of an organization.
    ReplaceOrganization {
        /// The version it was decided on.
        expected: Version,
        /// The next state.
        organization: Organization,
    },
    /// A new membership, unless its account or its organization has as many as it may.
    CreateMembership {
        /// The membership.
        membership: Membership,
        /// How many there may be.
        limits: MembershipLimits,
    },
    /// The next state of a membership, unless its account agrees by it and has agreed to `limit` already.
    ReplaceMembership {
        /// The version it was decided on.
        expected: Version,
        /// The next state.
        membership: Membership,
        /// Most memberships of its account.
        limit: u32,
    },
    /// The end of a membership.
    DeleteMembership {
        /// Which.
        id: MembershipId,
        /// The version it was decided on.
        expected: Version,
    },
    /// A new service token, unless its account holds `limit` already.
    IssueServiceToken {
        /// The token.
        token: ServiceToken,
        /// Most tokens of the account.
        limit: u32,
    },
    /// The next state of a service token.
    ReplaceServiceToken {
        /// The version it was decided on.
        expected: Version,
        /// The next state.
        token: ServiceToken,
    },
    /// The end of a service token.
    RevokeServiceToken {
        /// Whose.
        account: AccountId,
        /// Which.
        id: ServiceTokenId,
        /// Its public half.
        client_id: ClientId,
        /// The version it was decided on.
        expected: Version,
    },
    /// A new access token, unless its account holds `limits` already. Its epoch must be the account's.
    IssueAccessToken {
        /// The token.
        token: AccessToken,
        /// Most tokens of the account.
        limits: AccessTokenLimits,
    },
    /// The end of an access token.
    RevokeAccessToken {
        /// Whose.
        account: AccountId,
        /// Which.
        handle: Handle,
        /// The version it was decided on.
        expected: Version,
        /// Whether everything that stems from it ends with it.
        descendants: bool,
    },
    /// A new root token; the one set before it ends. A handle that was set once can never be set again
    /// (`Duplicate`).
    SetRootToken {
        /// The token.
        token: AccessToken,
        /// The one set before it, when it still lives, and the version of its row.
        retire: Option<(Handle, Version)>,
    },
    /// The next keys that sign. One of this number must not be there (`Duplicate`).
    AddKeyGeneration(Box<KeyGeneration>),
    /// Another interval until the keys after these sign.
    ReplaceKeyInterval {
        /// The generation.
        number: u32,
        /// The version it was decided on.
        expected: Version,
        /// The interval.
        days: u16,
    },
    /// The end of keys that nobody needs any more.
    RemoveKeyGeneration {
        /// The generation.
        number: u32,
        /// The version it was decided on.
        expected: Version,
    },
}

/// What a change means for the doors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FactChange {
    /// A credential is as said.
    Credential(Fact),
    /// A credential is gone; its last row had a version below this one.
    CredentialGone {
        /// Which.
        key: CredentialKey,
        /// Greater than any version of its row.
        version: Version,
    },
    /// An account is as said.
    Account(AccountFact),
    /// An account is gone; so is whatever was its.
    AccountGone(AccountId),
    /// An organization is as said.
    Organization(OrganizationFact),
    /// An organization is gone; so are its memberships.
    OrganizationGone(OrganizationId),
    /// A membership is as said.
    Membership(MembershipFact),
    /// A membership is gone; its last row had a version below this one.
    MembershipGone {
        /// Which.
        id: MembershipId,
        /// Greater than any version of its row.
        version: Version,
    },
    /// Whatever stems from this access token has ended.
    Cut(Handle),
    /// Nothing that stems from this access token is left.
    CutHealed(Handle),
}

/// What a change is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A credential.
    Credential(CredentialKey),
    /// An account.
    Account(AccountId),
    /// An organization.
    Organization(OrganizationId),
    /// A membership.
    Membership(MembershipId),
    /// Whatever stems from an access token.
    Cut(Handle),
}

impl Subject {
    /// Of this change.
    pub const fn of(change: &FactChange) -> Self {
        match change {
            FactChange::Credential(fact) => Self::Credential(fact.key()),
            FactChange::CredentialGone { key, .. } => Self::Credential(*key),
            FactChange::Account(AccountFact { id, .. }) | FactChange::AccountGone(id) => Self::Account(*id),
            FactChange::Organization(OrganizationFact { id, .. }) | FactChange::OrganizationGone(id) => {
                Self::Organization(*id)
            }
            FactChange::Membership(MembershipFact { id, .. }) | FactChange::MembershipGone { id, .. } => {
                Self::Membership(*id)
            }
            FactChange::Cut(handle) | FactChange::CutHealed(handle) => Self::Cut(*handle),
        }
    }
}

impl Mutation {
    /// Whether an access token or an account is another one after it, so that what was found of a guard before may hold
    /// no longer.
    pub const fn touches_guards(&self) -> bool {
        match self {
            Self::IssueServiceToken { .. }
            | Self::ReplaceServiceToken { .. }
            | Self::RevokeServiceToken { .. }
            | Self::IssueAccessToken { .. }
            | Self::CreateOrganization { .. }
            | Self::ReplaceOrganization { .. }
            | Self::CreateMembership { .. }
            | Self::ReplaceMembership { .. }
            | Self::DeleteMembership { .. }
            | Self::AddKeyGeneration(_)
            | Self::ReplaceKeyInterval { .. }
            | Self::RemoveKeyGeneration { .. } => false,
            Self::CreateAccount { .. }
            | Self::ReplaceAccount { .. }
            | Self::RevokeAccessToken { .. }
            | Self::SetRootToken { .. } => true,
        }
    }

    /// What the mutation means for the doors, in order.
    pub fn fact_changes(&self) -> Vec<FactChange> {
        let gone = |key, last: Version| FactChange::CredentialGone { key, version: last.next() };
        match self {
            Self::CreateAccount { account, .. } => vec![FactChange::Account(account.into())],
            Self::ReplaceAccount { account, keep, .. } => {
                // The token first: one of an epoch to come is accepted, one of an epoch that is over is not.
                let kept = keep.as_ref().map(|token| FactChange::Credential(token.into()));
                kept.into_iter().chain([FactChange::Account(account.into())]).collect()
            }
            Self::CreateOrganization { organization, membership, .. } => {
                vec![FactChange::Organization(organization.into()), FactChange::Membership(membership.into())]
            }
            Self::ReplaceOrganization { organization, .. } => {
                vec![FactChange::Organization(organization.into())]
            }
            Self::CreateMembership { membership, .. } | Self::ReplaceMembership { membership, .. } => {
                vec![FactChange::Membership(membership.into())]
            }
            Self::DeleteMembership { id, expected } => {
                vec![FactChange::MembershipGone { id: *id, version: expected.next() }]
            }
            Self::IssueServiceToken { token, .. } | Self::ReplaceServiceToken { token, .. } => {
                vec![FactChange::Credential(token.into())]
            }
            Self::RevokeServiceToken { client_id, expected, .. } => {
                vec![gone(CredentialKey::Client(*client_id), *expected)]
            }
            Self::IssueAccessToken { token, .. } => vec![FactChange::Credential(token.into())],
            Self::RevokeAccessToken { handle, expected, descendants, .. } => {
                let cut = descendants.then_some(FactChange::Cut(*handle));
                cut.into_iter().chain([gone(CredentialKey::Handle(*handle), *expected)]).collect()
            }
            Self::SetRootToken { token, retire } => {
                let retired = retire.map(|(handle, version)| gone(CredentialKey::Handle(handle), version));
                retired.into_iter().chain([FactChange::Credential(token.into())]).collect()
            }
            // Every node looks for keys by itself, long before they sign.
            Self::AddKeyGeneration(_)
            | Self::ReplaceKeyInterval { .. }
            | Self::RemoveKeyGeneration { .. } => vec![],
        }
    }
}
