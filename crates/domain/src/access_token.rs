//! Access tokens: what an account-holder sends to call an API.

use std::collections::BTreeSet;

use crate::entropy::Entropy;
use crate::id::{AccountId, Handle};
use crate::lifetime::Ttl;
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
    /// As it was stated, clamped.
    pub ttl: Ttl,
    /// What it may be used for, on which requests, from where.
    pub restrictions: Restrictions,
    /// When it was issued.
    pub created_at: Timestamp,
    /// From then on it is refused.
    pub expires_at: Timestamp,
    /// The access token that issued it; `None` for the root token.
    pub minted_by: Option<Handle>,
    /// Of its row.
    pub version: Version,
}

impl AccessToken {
    /// Issues a token for `account` and gives its text, once.
    pub fn issue(
        account: AccountId,
        ttl: Ttl,
        restrictions: Restrictions,
        minted_by: Option<Handle>,
        entropy: &dyn Entropy,
        now: Timestamp,
    ) -> (Self, Secret) {
        let (handle, text) = mint_access_text(entropy);
        let token = Self {
            handle,
            digest: text.digest(),
            account,
            ttl,
            restrictions,
            created_at: now,
            expires_at: ttl.expiry(now),
            minted_by,
            version: Version::FIRST,
        };
        (token, text)
    }

    /// A root token: unscoped, for ever, with a text that the operator chose. `None` when the text cannot be one:
    /// 32 to 128 characters of `[A-Za-z0-9_-]`, at least 10 of them different (design 2.1).
    pub fn root(text: &Secret, account: AccountId, now: Timestamp) -> Option<Self> {
        let (handle, presented) = parse_access_text(text.reveal())?;
        let distinct: BTreeSet<u8> = text.reveal().bytes().collect();
        (distinct.len() >= 10).then_some(Self {
            handle,
            digest: presented.digest(),
            account,
            ttl: Ttl::Eternal,
            restrictions: Restrictions::NONE,
            created_at: now,
            expires_at: Timestamp::NEVER,
            minted_by: None,
            version: Version::FIRST,
        })
    }
}
