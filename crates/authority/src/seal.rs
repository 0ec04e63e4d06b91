//! Sealing the texts of access tokens, for deployments that list them (design 2.3). Off, nothing recoverable is kept.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use countersign_domain::access_token::{AccessToken, Sealed};
use countersign_domain::entropy::Entropy;
use countersign_domain::error::Error;
use countersign_domain::secret::Secret;
use countersign_domain::store::StoreError;
use zeroize::Zeroizing;

/// Bytes of a key.
pub const KEY: usize = 32;

/// AES-256-GCM (NIST SP 800-38D) under one key. Each text has a random nonce before it, and is bound to its token and
/// account, so that a row of one cannot be taken for another's. With random nonces a key is good for 2^32 texts.
pub struct Seal(LessSafeKey);

/// Says nothing.
impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal(…)")
    }
}

impl Seal {
    /// Of this key. `None` when the provider does not take it: never, for one of this length.
    pub fn new(key: &[u8; KEY]) -> Option<Self> {
        UnboundKey::new(&AES_256_GCM, key).ok().map(|key| Self(LessSafeKey::new(key)))
    }

    /// The text of a token that was made just now.
    pub(crate) fn seal(
        &self,
        token: &AccessToken,
        text: &Secret,
        entropy: &dyn Entropy,
    ) -> Result<Sealed, Error> {
        self.seal_bytes(&aad(token), text.reveal().as_bytes(), entropy)
    }

    /// The text of a token. `None` when it was sealed under another key, or for another token.
    pub(crate) fn open(&self, token: &AccessToken) -> Option<Secret> {
        let text = self.open_bytes(&aad(token), token.sealed.as_ref()?)?;
        std::str::from_utf8(&text).ok().map(|text| Secret::from_operator(text.to_owned()))
    }

    /// Bytes, bound to what they are for.
    pub(crate) fn seal_bytes(
        &self,
        purpose: &[u8],
        bytes: &[u8],
        entropy: &dyn Entropy,
    ) -> Result<Sealed, Error> {
        let mut nonce = [0; NONCE_LEN];
        entropy.fill(&mut nonce);
        let mut sealed = nonce.to_vec();
        let mut body = Zeroizing::new(bytes.to_vec());
        self.0
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(purpose), &mut *body)
            .map_err(|_| Error::Store(StoreError::Unavailable("a secret cannot be sealed".into())))?;
        sealed.extend_from_slice(&body);
        Ok(Sealed::from_bytes(&sealed))
    }

    /// Bytes that were sealed for this. `None` when it was under another key, or for something else.
    pub(crate) fn open_bytes(&self, purpose: &[u8], sealed: &Sealed) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, body) = sealed.as_bytes().split_first_chunk::<NONCE_LEN>()?;
        let mut body = Zeroizing::new(body.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = self.0.open_in_place(nonce, Aad::from(purpose), &mut body).ok()?.len();
        body.truncate(length);
        Some(body)
    }
}

fn aad(token: &AccessToken) -> Vec<u8> {
    [token.handle.as_str().as_bytes(), token.account.as_bytes()].concat()
}
