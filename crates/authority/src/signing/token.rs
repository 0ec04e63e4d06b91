//! Signed tokens in their compact form (RFC 7515, 7.1): how one is written, and how one is read.

use std::borrow::Cow;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_domain::error::Error;
use countersign_domain::scope::{Scope, Scopes};
use countersign_domain::signed::SignedToken;
use countersign_domain::signing_key::LONGEST_SIGNED;
use countersign_domain::store::StoreError;
use countersign_domain::time::Timestamp;
use countersign_domain::verdict::Reason;
use serde::{Deserialize, Serialize};

use super::Signing;
use super::ring::{Key, TokenType};

/// Longest token that is read: ours are far shorter.
const LONGEST: usize = 8 * 1024;
/// Longest signature: RSA with 2048 bits.
const LONGEST_SIGNATURE: usize = 256;

/// The claims of an access token (RFC 9068, 2.2), and ours beside them. They are borrowed: none of ours has a character that
/// JSON escapes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AccessClaims<'a> {
    #[serde(borrow)]
    iss: Cow<'a, str>,
    /// The client: nobody else is concerned (RFC 9068, 2.2).
    sub: &'a str,
    aud: Audience,
    exp: i64,
    iat: i64,
    jti: &'a str,
    client_id: &'a str,
    /// The id of the service token.
    token: &'a str,
    /// Left out when it may be used for nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
    account: &'a str,
    /// The accounts above that one, the root last.
    accounts_above: Vec<&'a str>,
    secret_version: u32,
}

/// One, or several (RFC 7519, 4.1.3).
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(Box<str>),
    Many(Vec<Box<str>>),
}

/// Whether a text has the form of a signed token, ours or anybody's: three parts, the first a JSON object in base64url.
pub fn looks_signed(text: &str) -> bool {
    text.starts_with("eyJ") && text.matches('.').count() == 2
}

/// The text of an access token.
pub(super) fn write(
    issuer: &str,
    key: &Key,
    token: &SignedToken,
    accounts_above: &[String],
) -> Result<String, Error> {
    let audience = match token.audiences.as_slice() {
        [one] => Audience::One(one.clone()),
        many => Audience::Many(many.to_vec()),
    };
    let client_id = token.client_id.to_string();
    let service_token = token.service_token.to_string();
    let account = token.account.to_string();
    let scope = match token.scopes.is_full() {
        true => Some(Scope::DEFAULT.to_owned()),
        false => token.scopes.joined().filter(|scope| !scope.is_empty()),
    };
    let claims = AccessClaims {
        iss: issuer.into(),
        sub: &client_id,
        aud: audience,
        exp: token.expires_at.as_seconds(),
        iat: token.issued_at.as_seconds(),
        jti: &token.id,
        client_id: &client_id,
        token: &service_token,
        scope: scope.as_deref(),
        account: &account,
        accounts_above: accounts_above.iter().map(String::as_str).collect(),
        secret_version: token.secret_version,
    };
    let claims =
        serde_json::to_vec(&claims).map_err(|error| Error::Store(StoreError::Unavailable(error.into())))?;
    key.sign(TokenType::Access, &claims)
}

impl Signing {
    /// Whether a text begins as a token of ours does, whatever it goes on with.
    pub(crate) fn has_signed(&self, text: &str) -> bool {
        let header = text.split_once('.').map_or("", |(header, _)| header);
        header.len() <= LONGEST && self.ring.load().find(header).is_some()
    }

    /// What a token says whose signature is good: what was found once is not computed again, but that its key is still
    /// accepted is looked at each time. Whether the token is good for anything, [`judge`](countersign_domain::verdict::judge)
    /// says.
    pub(crate) fn read(&self, text: &str, now: Timestamp) -> Result<Arc<SignedToken>, Reason> {
        if text.len() > LONGEST {
            return Err(Reason::Malformed);
        }
        let (header, rest) = text.split_once('.').ok_or(Reason::Malformed)?;
        let ring = self.ring.load();
        let (number, key, typ) = ring.find(header).ok_or(Reason::Unknown)?;
        if typ != TokenType::Access || !ring.timetable.accepts(number, now) {
            return Err(Reason::Unknown);
        }
        let id = digest(&SHA256, text.as_bytes());
        let id: [u8; 32] = id.as_ref().try_into().map_err(|_| Reason::Malformed)?;
        if let Some(known) = self.seen.get(&id) {
            return Ok(known);
        }
        let (payload, signature) = rest.split_once('.').ok_or(Reason::Malformed)?;
        let mut buffer = [0; LONGEST_SIGNATURE];
        let length = URL_SAFE_NO_PAD.decode_slice(signature, &mut buffer).map_err(|_| Reason::Malformed)?;
        let signed = &text.as_bytes()[..header.len() + 1 + payload.len()];
        if !key.public.verifies(signed, &buffer[..length]) {
            return Err(Reason::WrongSecret);
        }
        let token = Arc::new(self.parse(payload).ok_or(Reason::Malformed)?);
        let is_of_its_time = ring.timetable.may_have_signed(number, token.issued_at)
            && token.expires_at <= token.issued_at.after(LONGEST_SIGNED);
        if !is_of_its_time {
            return Err(Reason::Unknown);
        }
        self.seen.insert(id, Arc::clone(&token));
        Ok(token)
    }

    /// The claims of a token that we have signed. `None`: as another issuer, who has our keys.
    fn parse(&self, payload: &str) -> Option<SignedToken> {
        let json = URL_SAFE_NO_PAD.decode(payload).ok()?;
        let claims: AccessClaims<'_> = serde_json::from_slice(&json).ok()?;
        if *claims.iss != *self.settings.issuer {
            return None;
        }
        let audiences = match claims.aud {
            Audience::One(one) => vec![one],
            Audience::Many(many) => many,
        };
        let time = |seconds: i64| Timestamp::from_micros(seconds.saturating_mul(1_000_000));
        Some(SignedToken {
            service_token: claims.token.parse().ok()?,
            client_id: claims.client_id.parse().ok()?,
            account: claims.account.parse().ok()?,
            secret_version: claims.secret_version,
            scopes: Scopes::from_joined(claims.scope.unwrap_or_default()).ok()?,
            is_for_issuer: audiences.contains(&self.settings.issuer),
            audiences,
            id: claims.jti.into(),
            issued_at: time(claims.iat),
            expires_at: time(claims.exp),
        })
    }
}
