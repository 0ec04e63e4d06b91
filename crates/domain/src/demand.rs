//! What comes to a door: a credential as it was presented, and what the door wants of it.

use std::net::IpAddr;
use std::sync::Arc;

use crate::fact::{CredentialKey, Kind};
use crate::id::{AccountId, ClientId, Handle, OrganizationId};
use crate::resource::ResourcePath;
use crate::scope::Scope;
use crate::secret::{PresentedSecret, parse_access_text, parse_service_secret};
use crate::signed::SignedToken;

/// A well-formed credential as it came, borrowed from the request.
#[derive(Debug, Clone, Copy)]
pub enum Presented<'a> {
    /// A client id and a secret.
    Service {
        /// The public half.
        client_id: ClientId,
        /// The secret half.
        secret: PresentedSecret<'a>,
    },
    /// An access token.
    Access {
        /// The public part.
        handle: Handle,
        /// The whole text.
        text: PresentedSecret<'a>,
    },
    /// A token whose signature is good.
    Signed(&'a Arc<SignedToken>),
}

impl<'a> Presented<'a> {
    /// A client id and a secret; `None` when either is malformed or the secret's checksum is wrong.
    pub fn service(client_id: &str, secret: &'a str) -> Option<Self> {
        let client_id = client_id.parse().ok()?;
        Some(Self::Service { client_id, secret: parse_service_secret(secret)? })
    }

    /// The text of an access token; `None` when it is malformed.
    pub fn access(text: &'a str) -> Option<Self> {
        parse_access_text(text).map(|(handle, text)| Self::Access { handle, text })
    }

    /// Under what to look for the fact.
    pub fn key(&self) -> CredentialKey {
        match self {
            Self::Service { client_id, .. } => CredentialKey::Client(*client_id),
            Self::Access { handle, .. } => CredentialKey::Handle(*handle),
            Self::Signed(token) => CredentialKey::Client(token.client_id),
        }
    }

    /// The secret in it; a signed token has none.
    pub(crate) const fn secret(&self) -> Option<PresentedSecret<'a>> {
        match self {
            Self::Service { secret, .. } => Some(*secret),
            Self::Access { text, .. } => Some(*text),
            Self::Signed(_) => None,
        }
    }

    /// The signed token, if it is one.
    pub const fn signed(&self) -> Option<&'a Arc<SignedToken>> {
        match self {
            Self::Signed(token) => Some(token),
            Self::Service { .. } | Self::Access { .. } => None,
        }
    }
}

/// What is known of the request that shows a credential: at a door the client's own, on a management route that one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Circumstances<'a> {
    /// Its method and target, as they came. `None`: not stated.
    pub request: Option<RequestLine<'a>>,
    /// From where it comes. `None`: unknown.
    pub address: Option<IpAddr>,
}

/// A request's method and target.
#[derive(Debug, Clone, Copy)]
pub struct RequestLine<'a> {
    /// As it was spelled.
    pub method: &'a str,
    /// Path and query, not decoded.
    pub target: &'a [u8],
}

impl<'a> Circumstances<'a> {
    /// The method and the path by which resources are judged; `None` when they are not stated or cannot be read.
    pub(crate) fn resource(&self) -> Option<(&'a str, ResourcePath<'a>)> {
        let RequestLine { method, target } = self.request?;
        ResourcePath::read(target).map(|path| (method, path))
    }
}

/// What a door wants of a credential. Every part must hold, so that whoever can add a part can only narrow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Demand {
    /// For each entry, at least one of its scopes.
    pub scopes: Vec<Vec<Scope>>,
    /// For each entry: the credential's account is it or below it.
    pub accounts: Vec<AccountId>,
    /// For each entry: the bearer may act in it right now.
    pub organizations: Vec<OrganizationId>,
    /// For each entry: the credential is of this kind.
    pub kinds: Vec<Kind>,
    /// For each entry: a signed token is for it. Whoever knows a secret is bound to none.
    pub audiences: Vec<Box<str>>,
    /// Whether one of several who demand names a scope, but no account or organization.
    pub has_scope_of_no_place: bool,
}

impl Demand {
    /// Demands all that another one does, too.
    pub fn add(&mut self, other: Self) {
        self.has_scope_of_no_place = !self.takes_unscoped() || !other.takes_unscoped();
        let Self { scopes, accounts, organizations, kinds, audiences, has_scope_of_no_place: _ } = other;
        self.scopes.extend(scopes);
        self.accounts.extend(accounts);
        self.organizations.extend(organizations);
        self.kinds.extend(kinds);
        self.audiences.extend(audiences);
    }

    /// Whether an unscoped token below the root meets the scopes. Being unscoped means full authority *of its own account*: a
    /// customer's unscoped token must not open the operator's admin door, so it does only where the door names an account or
    /// an organization as well (design 2.3): whoever demands the scope, not somebody who adds to it.
    pub(crate) fn takes_unscoped(&self) -> bool {
        let has_place = !self.accounts.is_empty() || !self.organizations.is_empty();
        !self.has_scope_of_no_place && (self.scopes.is_empty() || has_place)
    }
}
