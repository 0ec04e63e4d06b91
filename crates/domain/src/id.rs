//! Typed ids. An id of one kind cannot be passed where another is meant.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use crate::entropy::Entropy;
use crate::time::Timestamp;

/// The text is not an id of the wanted kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not {0}")]
pub struct InvalidId(&'static str);

/// A UUIDv7 (RFC 9562, 5.7) of `now`. The 12 bits after the milliseconds hold the fraction of the millisecond
/// (6.2, method 3), so that ids sort as their times do, down to the microsecond.
fn uuid_v7(now: Timestamp, entropy: &dyn Entropy) -> Uuid {
    let micros = u64::try_from(now.as_micros()).unwrap_or(0);
    let fraction = (micros % 1000) * 4096 / 1000;
    let mut tail = [0u8; 10];
    entropy.fill(&mut tail);
    tail[0] = (fraction >> 8) as u8;
    tail[1] = (fraction & 0xff) as u8;
    uuid::Builder::from_unix_timestamp_millis(micros / 1000, &tail).into_uuid()
}

/// 32 lower-case hex digits as 16 bytes; upper case is refused, so that a printed id has one spelling.
fn parse_hex(text: &[u8]) -> Option<[u8; 16]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let text: &[u8; 32] = text.try_into().ok()?;
    let mut out = [0u8; 16];
    for (index, pair) in text.chunks_exact(2).enumerate() {
        out[index] = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(out)
}

/// Ids that are written as 32 lower-case hex digits and made as UUIDv7 without hyphens.
macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// Names nothing that there is: what stands for an id that cannot be read.
            pub const OF_NONE: Self = Self([0; 16]);

            /// A new id, sorted by `now`.
            pub fn mint(now: Timestamp, entropy: &dyn Entropy) -> Self {
                Self(uuid_v7(now, entropy).into_bytes())
            }

            /// The id of these bytes, as a store keeps them.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The bytes, as a store keeps them.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// The text, written into `buffer`: for where formatting would be felt.
            pub fn encode<'b>(&self, buffer: &'b mut [u8; 32]) -> &'b str {
                Uuid::from_bytes(self.0).simple().encode_lower(buffer)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let invalid = InvalidId(concat!($what, " (32 lower-case hex digits)"));
                parse_hex(text.as_bytes()).map(Self).ok_or(invalid)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.encode(&mut [0; 32]))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

hex_id! {
    /// An account. One id on both wires.
    AccountId, "an account id"
}

hex_id! {
    /// An organization: the tenant in which bearers act.
    OrganizationId, "an organization id"
}

hex_id! {
    /// That an account belongs to an organization.
    MembershipId, "a membership id"
}

/// A service token's id: a hyphenated UUID. Policies and the API name a token by it; headers name it by
/// [`ClientId`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceTokenId(Uuid);

impl ServiceTokenId {
    /// The nil UUID (RFC 9562, 5.9), which is no token's: what stands for an id that cannot be read.
    pub const OF_NONE: Self = Self(Uuid::nil());

    /// A new id, sorted by `now`.
    pub fn mint(now: Timestamp, entropy: &dyn Entropy) -> Self {
        Self(uuid_v7(now, entropy))
    }

    /// The id of these bytes, as a store keeps them.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// The bytes, as a store keeps them.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The text, written into `buffer`: for where formatting would be felt.
    pub fn encode<'b>(&self, buffer: &'b mut [u8; 36]) -> &'b str {
        self.0.as_hyphenated().encode_lower(buffer)
    }
}

impl FromStr for ServiceTokenId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() != 36 {
            return Err(InvalidId("a service token id (a hyphenated UUID)"));
        }
        Uuid::try_parse(text).map(Self).map_err(|_| InvalidId("a service token id (a hyphenated UUID)"))
    }
}

impl fmt::Display for ServiceTokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.as_hyphenated(), f)
    }
}

impl fmt::Debug for ServiceTokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The public half of a service token's credential: 32 lower-case hex digits and `.access`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId([u8; 16]);

impl ClientId {
    /// Ends every client id.
    const SUFFIX: &'static str = ".access";

    /// A new id: 128 random bits. It is no secret, but must not be guessable from another one.
    pub fn mint(entropy: &dyn Entropy) -> Self {
        let mut bytes = [0u8; 16];
        entropy.fill(&mut bytes);
        Self(bytes)
    }

    /// The id of these bytes, as a store keeps them.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes, as a store keeps them.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl FromStr for ClientId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_suffix(Self::SUFFIX)
            .and_then(|hex| parse_hex(hex.as_bytes()))
            .map(Self)
            .ok_or(InvalidId("a client id (32 lower-case hex digits and `.access`)"))
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Uuid::from_bytes(self.0).simple().encode_lower(&mut [0; 32]))?;
        f.write_str(Self::SUFFIX)
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The public half of an access token: 22 base62 characters. It names the token in lists, logs and audit, and
/// opens nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle([u8; Handle::LEN]);

impl Handle {
    /// Characters of a handle.
    pub const LEN: usize = 22;

    /// Names no token: that one gets it is as likely as to guess another's. To ask for a token that cannot exist.
    pub const OF_NONE: Self = Self([b'0'; Self::LEN]);

    /// The text of the handle.
    pub fn as_str(&self) -> &str {
        // Every constructor has checked that the bytes are base62; the fallback is never reached.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The handle of 22 characters known to be base62.
    pub(crate) const fn from_base62(digits: [u8; Self::LEN]) -> Self {
        Self(digits)
    }

    /// The handle of exactly these characters, when they are base62.
    pub fn from_ascii(text: &[u8]) -> Option<Self> {
        let bytes: [u8; Self::LEN] = text.try_into().ok()?;
        bytes.iter().all(u8::is_ascii_alphanumeric).then_some(Self(bytes))
    }
}

impl FromStr for Handle {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::from_ascii(text.as_bytes()).ok_or(InvalidId("a token handle (22 characters of 0-9A-Za-z)"))
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One change of the store, unique over all nodes; sorted by the time at which it was decided.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChangeId(Uuid);

impl ChangeId {
    /// A new id, sorted by `now`.
    pub fn mint(now: Timestamp, entropy: &dyn Entropy) -> Self {
        Self(uuid_v7(now, entropy))
    }

    /// The id of these bytes, as a store keeps them.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// The bytes, as a store keeps them.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl FromStr for ChangeId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::try_parse(text).map(Self).map_err(|_| InvalidId("the id of a change (a UUID)"))
    }
}

impl fmt::Display for ChangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.as_hyphenated(), f)
    }
}

impl fmt::Debug for ChangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The bearer of a credential as the store and the audit know it: a service token or an access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TokenRef {
    /// A service token, by its id.
    Service(ServiceTokenId),
    /// An access token, by its handle.
    Access(Handle),
}

impl FromStr for TokenRef {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let service = || text.parse().map(Self::Service).ok();
        let access = || text.parse().map(Self::Access).ok();
        service()
            .or_else(access)
            .ok_or(InvalidId("a service token id (UUID) or a token handle (22 characters)"))
    }
}

impl fmt::Display for TokenRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(id) => fmt::Display::fmt(id, f),
            Self::Access(handle) => fmt::Display::fmt(handle, f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_spelling_for_each_id() {
        let hex = "0192f3c4a5b67c8d9e0f1a2b3c4d5e6f";
        assert_eq!(hex.parse::<AccountId>().map(|id| id.to_string()).as_deref(), Ok(hex));
        assert!(hex.to_uppercase().parse::<AccountId>().is_err());
        assert!(format!("{hex}0").parse::<AccountId>().is_err());
        assert!("f174e90afafe46 43bbbc4a0ed4fc8415".parse::<AccountId>().is_err());
        let client = format!("{hex}.access");
        assert_eq!(client.parse::<ClientId>().map(|id| id.to_string()), Ok(client));
        assert!(hex.parse::<ClientId>().is_err());
        assert!("{f174e90a-fafe-4643-bbbc-4a0ed4fc8415}".parse::<ServiceTokenId>().is_err());
        assert!("f174e90afafe4643bbbc4a0ed4fc8415".parse::<ServiceTokenId>().is_err());
        assert!("f174e90a-fafe-4643-bbbc-4a0ed4fc8415".parse::<ServiceTokenId>().is_ok());
    }

    proptest! {
        #[test]
        fn ids_sort_as_their_times(a in 0i64..4_000_000_000_000_000, b in 0i64..4_000_000_000_000_000) {
            struct Zero;
            impl Entropy for Zero {
                fn fill(&self, out: &mut [u8]) { out.fill(0); }
            }
            let id = |micros| ServiceTokenId::mint(Timestamp::from_micros(micros), &Zero);
            prop_assert_eq!(a.cmp(&b), id(a).cmp(&id(b)));
        }

        #[test]
        fn parse_never_panics(text in ".{0,80}") {
            let _ = text.parse::<AccountId>();
            let _ = text.parse::<ClientId>();
            let _ = text.parse::<TokenRef>();
        }
    }
}
