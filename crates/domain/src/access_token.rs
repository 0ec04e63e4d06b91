//! Access tokens: what an account-holder sends to call an API.

use std::collections::BTreeSet;
use std::fmt;

use crate::account::Epoch;
use crate::entropy::Entropy;
use crate::id::{AccountId, Handle};
use crate::lifetime::Ttl;
use crate::lineage::Lineage;
use crate::name::Name;
use crate::restrictions::Restrictions;
use crate::secret::{Digest, Secret, mint_access_text, parse_access_text};
use crate::store::Version;
use crate::time::Timestamp;

/// An access token as it is kept: its handle and a digest, never its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessToken {
    /// Names it in lists, logs and audit.
    pub handle: Handle,
    /// Of the whole text.
    pub digest: Digest,
    /// Who owns it.
    pub account: AccountId,
    /// What people call it.
    pub name: Option<Name>,
    /// As it was stated, clamped.
    pub ttl: Ttl,
    /// What it may be used for, on which requests, from where.
    pub restrictions: Restrictions,
    /// When it was issued.
    pub created_at: Timestamp,
    /// From then on it is refused.
    pub expires_at: Timestamp,
    /// How it came to be.
    pub source: Source,
    /// From which tokens it stems.
    pub lineage: Lineage,
    /// The epoch of its account; of an earlier one it is not accepted.
    pub epoch: Epoch,
    /// Its text, where the deployment keeps texts for those who may list them.
    pub sealed: Option<Sealed>,
    /// Of its row.
    pub version: Version,
}

/// The text of a token, encrypted under a key that is not in the store.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(Box<[u8]>);

impl Sealed {
    /// What a sealer made, or a store gave back.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// For a store or a sealer.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(…)")
    }
}

/// How an access token came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// It is, or was, the root token.
    Root,
    /// Another access token issued it.
    Issued,
    /// Somebody logged in.
    Login,
    /// A token of an account above issued it, to act in this account's name.
    Impersonation,
}

impl Source {
    /// Every source.
    pub const ALL: [Self; 4] = [Self::Root, Self::Issued, Self::Login, Self::Impersonation];

    /// The word for it, in the store, the API and the audit.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Issued => "issued",
            Self::Login => "login",
            Self::Impersonation => "impersonation",
        }
    }

    /// The source of a word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.as_str() == text)
    }
}

/// What is wanted of a new access token.
#[derive(Debug, Clone)]
pub struct NewAccessToken {
    /// Who owns it.
    pub account: AccountId,
    /// What people call it.
    pub name: Option<Name>,
    /// How long it lives.
    pub ttl: Ttl,
    /// What it may be used for, on which requests, from where.
    pub restrictions: Restrictions,
    /// How it comes to be.
    pub source: Source,
    /// From which tokens it stems.
    pub lineage: Lineage,
    /// The epoch of its account.
    pub epoch: Epoch,
}

impl AccessToken {
    /// Issues a token and gives its text, once.
    pub fn issue(new: NewAccessToken, entropy: &dyn Entropy, now: Timestamp) -> (Self, Secret) {
        let (handle, text) = mint_access_text(entropy);
        let token = Self {
            handle,
            digest: text.digest(),
            account: new.account,
            name: new.name,
            ttl: new.ttl,
            restrictions: new.restrictions,
            created_at: now,
            expires_at: new.ttl.expiry(now),
            source: new.source,
            lineage: new.lineage,
            epoch: new.epoch,
            sealed: None,
            version: Version::FIRST,
        };
        (token, text)
    }

    /// The access token that issued it.
    pub fn minted_by(&self) -> Option<Handle> {
        self.lineage.minter()
    }

    /// Spares it when the access tokens of its account end.
    #[must_use]
    pub fn kept_in(self, epoch: Epoch) -> Self {
        Self { epoch, version: self.version.next(), ..self }
    }

    /// A root token: unscoped, for ever, with a text that the operator chose. `None` when the text cannot be one:
    /// 32 to 128 characters of `[A-Za-z0-9_-]`, at least 10 of them different (design 2.1).
    pub fn root(text: &Secret, account: AccountId, epoch: Epoch, now: Timestamp) -> Option<Self> {
        let (handle, presented) = parse_access_text(text.reveal())?;
        let distinct: BTreeSet<u8> = text.reveal().bytes().collect();
        (distinct.len() >= 10).then_some(Self {
            handle,
            digest: presented.digest(),
            account,
            name: None,
            ttl: Ttl::Eternal,
            restrictions: Restrictions::NONE,
            created_at: now,
            expires_at: Timestamp::NEVER,
            source: Source::Root,
            lineage: Lineage::default(),
            epoch,
            sealed: None,
            version: Version::FIRST,
        })
    }
}
