//! What verification needs to know of a credential, and no more.

use crate::access_token::AccessToken;
use crate::account::Epoch;
use crate::demand::Presented;
use crate::id::{AccountId, ClientId, Handle, ServiceTokenId, TokenRef};
use crate::lineage::Lineage;
use crate::name::Name;
use crate::restrictions::Restrictions;
use crate::secret::Digest;
use crate::service_token::{SecretVersion, ServiceToken};
use crate::store::Version;
use crate::time::Timestamp;

/// The public half of a credential, by which a fact is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CredentialKey {
    /// Of a service token.
    Client(ClientId),
    /// Of an access token.
    Handle(Handle),
}

/// The kind of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A service token: a machine at a door.
    Service,
    /// An access token: an account-holder, at an API or at a door.
    Access,
}

impl Kind {
    /// The word for it, in headers, demands and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Access => "access",
        }
    }
}

/// Whose credential it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bearer {
    /// A service token.
    Service {
        /// Names it in the API.
        id: ServiceTokenId,
        /// Names it at the door.
        client_id: ClientId,
    },
    /// An access token.
    Access(Handle),
}

/// What verification needs to know of a live credential. Every node holds one for each in memory, so it is kept
/// small: about 200 bytes with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// Whose it is.
    pub bearer: Bearer,
    /// Who owns it.
    pub account: AccountId,
    /// Of the current secret.
    pub digest: Digest,
    /// Number of the current secret; 1 for access tokens.
    pub secret_version: SecretVersion,
    /// Whether it is enabled.
    pub enabled: bool,
    /// From then on it is refused.
    pub expires_at: Timestamp,
    /// Of its row: a fact never gives way to an older one.
    pub version: Version,
    /// The secret before the current one; boxed because few tokens are in rotation.
    pub previous: Option<Box<PreviousFact>>,
    /// What people call it; empty when nothing.
    pub name: Box<str>,
    /// From which tokens it stems.
    pub lineage: Lineage,
    /// Of an access token: the epoch of its account, of which an earlier one is not accepted.
    pub epoch: Option<Epoch>,
    /// What it may be used for, on which requests, from where.
    pub restrictions: Restrictions,
}

/// The secret before the current one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviousFact {
    /// What is kept of it.
    pub digest: Digest,
    /// Its number.
    pub secret_version: SecretVersion,
    /// Since when it is deprecated.
    pub replaced_at: Timestamp,
    /// From then on it is refused; not later than `replaced_at`: it has ended for good.
    pub expires_at: Timestamp,
}

impl PreviousFact {
    /// Whether it is refused at `now`.
    pub fn has_ended(&self, now: Timestamp) -> bool {
        self.expires_at <= self.replaced_at || self.expires_at <= now
    }
}

impl Fact {
    /// By what it is found.
    pub const fn key(&self) -> CredentialKey {
        match self.bearer {
            Bearer::Service { client_id, .. } => CredentialKey::Client(client_id),
            Bearer::Access(handle) => CredentialKey::Handle(handle),
        }
    }

    /// Whether its current secret is the one that is shown, compared in constant time.
    pub fn is_shown_by(&self, presented: &Presented<'_>) -> bool {
        presented.secret().is_some_and(|secret| secret.digest() == self.digest)
    }

    /// How the store and the audit name its bearer.
    pub const fn token(&self) -> TokenRef {
        match self.bearer {
            Bearer::Service { id, .. } => TokenRef::Service(id),
            Bearer::Access(handle) => TokenRef::Access(handle),
        }
    }

    /// Its kind.
    pub const fn kind(&self) -> Kind {
        match self.bearer {
            Bearer::Service { .. } => Kind::Service,
            Bearer::Access(_) => Kind::Access,
        }
    }
}

impl From<&ServiceToken> for Fact {
    fn from(token: &ServiceToken) -> Self {
        Self {
            bearer: Bearer::Service { id: token.id, client_id: token.client_id },
            account: token.account,
            digest: token.current.digest,
            secret_version: token.current.version,
            enabled: token.enabled,
            expires_at: token.expires_at,
            version: token.version,
            previous: token.previous.as_ref().map(|previous| {
                Box::new(PreviousFact {
                    digest: previous.digest,
                    secret_version: previous.version,
                    replaced_at: previous.replaced_at,
                    expires_at: previous.expires_at,
                })
            }),
            name: token.name.as_str().into(),
            lineage: token.lineage.clone(),
            epoch: None,
            restrictions: token.restrictions.clone(),
        }
    }
}

impl From<&AccessToken> for Fact {
    fn from(token: &AccessToken) -> Self {
        Self {
            bearer: Bearer::Access(token.handle),
            account: token.account,
            digest: token.digest,
            secret_version: 1,
            enabled: true,
            expires_at: token.expires_at,
            version: token.version,
            previous: None,
            name: token.name.as_ref().map_or("", Name::as_str).into(),
            lineage: token.lineage.clone(),
            epoch: Some(token.epoch),
            restrictions: token.restrictions.clone(),
        }
    }
}
