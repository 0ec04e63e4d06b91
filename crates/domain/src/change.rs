//! Writes as data.

use crate::access_token::AccessToken;
use crate::account::{Account, AccountFact};
use crate::audit::AuditEntry;
use crate::fact::{CredentialKey, Fact};
use crate::id::{AccountId, ClientId, Handle, ServiceTokenId};
use crate::service_token::ServiceToken;
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
    /// Countersign itself.
    System,
}

/// What is written. `expected` versions make a change that was decided on an outdated row fail as stale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mutation {
    /// A new account.
    CreateAccount(Account),
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
    /// A new access token, unless its account holds `limit` already.
    IssueAccessToken {
        /// The token.
        token: AccessToken,
        /// Most tokens of the account.
        limit: u32,
    },
    /// The end of an access token.
    RevokeAccessToken {
        /// Whose.
        account: AccountId,
        /// Which.
        handle: Handle,
        /// The version it was decided on.
        expected: Version,
    },
    /// A new root token; the one set before it ends. A handle that was set once can never be set again
    /// (`Duplicate`).
    SetRootToken {
        /// The token.
        token: AccessToken,
        /// The one set before it, when it still lives, and the version of its row.
        retire: Option<(Handle, Version)>,
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
}

impl Mutation {
    /// What the mutation means for the doors, in order.
    pub fn fact_changes(&self) -> Vec<FactChange> {
        let gone = |key, last: Version| FactChange::CredentialGone { key, version: last.next() };
        match self {
            Self::CreateAccount(account) => vec![FactChange::Account(account.into())],
            Self::IssueServiceToken { token, .. } | Self::ReplaceServiceToken { token, .. } => {
                vec![FactChange::Credential(token.into())]
            }
            Self::RevokeServiceToken { client_id, expected, .. } => {
                vec![gone(CredentialKey::Client(*client_id), *expected)]
            }
            Self::IssueAccessToken { token, .. } => vec![FactChange::Credential(token.into())],
            Self::RevokeAccessToken { handle, expected, .. } => {
                vec![gone(CredentialKey::Handle(*handle), *expected)]
            }
            Self::SetRootToken { token, retire } => {
                let retired = retire.map(|(handle, version)| gone(CredentialKey::Handle(handle), version));
                retired.into_iter().chain([FactChange::Credential(token.into())]).collect()
            }
        }
    }
}
