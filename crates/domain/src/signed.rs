//! A short-lived token that was exchanged for the secret of a service token, and is signed (RFC 9068).

use crate::id::{AccountId, ClientId, ServiceTokenId};
use crate::scope::Scopes;
use crate::service_token::SecretVersion;
use crate::time::Timestamp;

/// What a token says whose signature is good. It is a reference and no authority of its own: whoever shows it may do what the
/// service token may *now*, as far as it was not narrowed when it was exchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedToken {
    /// The service token that it was exchanged for.
    pub service_token: ServiceTokenId,
    /// Its public half.
    pub client_id: ClientId,
    /// To whom that belongs.
    pub account: AccountId,
    /// Which of its secrets was shown. When that one ends, so does this.
    pub secret_version: SecretVersion,
    /// What it may be used for at most.
    pub scopes: Scopes,
    /// For whom it is (`aud`).
    pub audiences: Vec<Box<str>>,
    /// Whether one of them is who issued it: then it is for every door that says nothing else.
    pub is_for_issuer: bool,
    /// Names it (`jti`).
    pub id: Box<str>,
    /// When it was issued; whole seconds.
    pub issued_at: Timestamp,
    /// From then on it is refused; whole seconds.
    pub expires_at: Timestamp,
}
