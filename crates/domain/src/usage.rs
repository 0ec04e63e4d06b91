//! Who used which secret, when and from where; and who was turned away. Kept apart from the tokens' own rows, so
//! that bookkeeping can never damage a secret (cloudflare-access.md 6, row 19).

use std::net::IpAddr;

use crate::id::TokenRef;
use crate::limits::Window;
use crate::service_token::SecretVersion;
use crate::time::Timestamp;
use crate::verdict::Reason;

/// Where a credential was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Door {
    /// Forward-auth for proxies.
    Authz,
    /// Envoy's gRPC authorization.
    ExtAuthz,
    /// The JSON verify API.
    Verify,
    /// Introspection (RFC 7662).
    Introspect,
    /// Countersign's own API.
    Api,
    /// Where a secret is exchanged for a signed token (RFC 6749, 4.4).
    Token,
}

impl Door {
    /// Every door.
    pub const ALL: [Self; 6] =
        [Self::Authz, Self::ExtAuthz, Self::Verify, Self::Introspect, Self::Api, Self::Token];

    /// The word for it, in the store, the API and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authz => "authz",
            Self::ExtAuthz => "ext_authz",
            Self::Verify => "verify",
            Self::Introspect => "introspect",
            Self::Api => "api",
            Self::Token => "token",
        }
    }

    /// The door of a word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|door| door.as_str() == text)
    }
}

/// Uses of one secret. To record one adds to what is known: counts are summed, the latest use wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// Whose secret.
    pub token: TokenRef,
    /// Which of its secrets.
    pub secret_version: SecretVersion,
    /// How often.
    pub count: u64,
    /// The first time.
    pub first_at: Timestamp,
    /// The last time.
    pub last_at: Timestamp,
    /// From where the last time, when that was known.
    pub address: Option<IpAddr>,
    /// By which program the last time, at most 128 bytes.
    pub user_agent: Box<str>,
    /// At which door the last time.
    pub door: Door,
}

impl Usage {
    /// Uses are kept of this many of a token's secrets, the newest of those that were used, so that rotating cannot
    /// fill a store.
    pub const KEPT_SECRETS: u32 = 100;

    /// Adds uses of the same secret: counts are summed, the latest use wins.
    pub fn add(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        self.first_at = self.first_at.min(other.first_at);
        if other.last_at >= self.last_at {
            self.last_at = other.last_at;
            self.address = other.address;
            self.user_agent.clone_from(&other.user_agent);
            self.door = other.door;
        }
    }
}

/// Refusals of a known credential within one minute, for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusals {
    /// Whose credential.
    pub token: TokenRef,
    /// Why.
    pub reason: Reason,
    /// The start of the minute.
    pub minute: Timestamp,
    /// How often.
    pub count: u64,
    /// From where the last time, when that was known.
    pub address: Option<IpAddr>,
}

/// What was used of a token's quota in a day or month. To add it is to sum: nodes share a quota, and each says what was used
/// of it there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct QuotaUse {
    /// Whose quota.
    pub token: TokenRef,
    /// The day or month.
    pub window: Window,
    /// How many requests.
    pub used: u64,
}

/// What is recorded together.
#[derive(Debug, Clone, Default)]
pub struct UsageBatch {
    /// Uses.
    pub uses: Vec<Usage>,
    /// Refusals.
    pub refusals: Vec<Refusals>,
}
