//! Who asks, and what they may ask for.

use crate::id::{AccountId, Handle};
use crate::lineage::Lineage;
use crate::restrictions::Restrictions;
use crate::store::Version;
use crate::time::Timestamp;

/// What an operation of Countersign's own needs from an access token. Written as scopes (design 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// See service tokens.
    ReadServiceTokens,
    /// Issue, change and revoke service tokens.
    WriteServiceTokens,
    /// See access tokens.
    ReadAccessTokens,
    /// Issue and revoke access tokens.
    WriteAccessTokens,
    /// See accounts.
    ReadAccounts,
    /// Make and change accounts.
    WriteAccounts,
    /// Ask whether somebody else's credential is good.
    Verify,
    /// Read the audit and usage.
    ReadAudit,
    /// See when the keys that sign take turns.
    ReadKeys,
    /// Set when they do, and have the next ones made.
    WriteKeys,
}

impl Permission {
    /// The scope that grants it.
    pub const fn scope(self) -> &'static str {
        match self {
            Self::ReadServiceTokens => "countersign:service-tokens:read",
            Self::WriteServiceTokens => "countersign:service-tokens:write",
            Self::ReadAccessTokens => "countersign:access-tokens:read",
            Self::WriteAccessTokens => "countersign:access-tokens:write",
            Self::ReadAccounts => "countersign:accounts:read",
            Self::WriteAccounts => "countersign:accounts:write",
            Self::Verify => "countersign:verify",
            Self::ReadAudit => "countersign:audit:read",
            Self::ReadKeys => "countersign:keys:read",
            Self::WriteKeys => "countersign:keys:write",
        }
    }

    /// The stronger permission that includes it: whoever may write may read.
    const fn included_in(self) -> Option<Self> {
        match self {
            Self::ReadServiceTokens => Some(Self::WriteServiceTokens),
            Self::ReadAccessTokens => Some(Self::WriteAccessTokens),
            Self::ReadAccounts => Some(Self::WriteAccounts),
            Self::ReadKeys => Some(Self::WriteKeys),
            Self::WriteServiceTokens
            | Self::WriteAccessTokens
            | Self::WriteAccounts
            | Self::WriteKeys
            | Self::Verify
            | Self::ReadAudit => None,
        }
    }
}

/// The bearer of an access token who asks for something.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The account of the token.
    pub account: AccountId,
    /// The token.
    pub handle: Handle,
    /// Of the token's row when it was judged; a change made in its name holds only while this is still so.
    pub version: Version,
    /// What the token may be used for, on which requests, from where.
    pub restrictions: Restrictions,
    /// From which tokens the token stems.
    pub lineage: Lineage,
    /// When the token ends.
    pub expires_at: Timestamp,
}

impl Caller {
    /// Whether the token may be used for `permission`.
    pub fn may(&self, permission: Permission) -> bool {
        self.restrictions.scopes.cover(permission.scope())
            || permission.included_in().is_some_and(|wider| self.restrictions.scopes.cover(wider.scope()))
    }

    /// Whether anything restricts the token.
    pub fn is_restricted(&self) -> bool {
        !self.restrictions.is_none()
    }

    /// Whether a credential with these restrictions and this expiry is within the caller in every dimension: nothing
    /// hands out more than it has, and a restricted caller makes nothing that outlives it (design 2.3).
    pub fn can_hand_out(&self, restrictions: &Restrictions, expires_at: Timestamp) -> bool {
        let within_time = !self.is_restricted() || expires_at <= self.expires_at;
        within_time && restrictions.within(&self.restrictions)
    }
}
