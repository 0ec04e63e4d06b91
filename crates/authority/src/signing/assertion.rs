//! What a door says to the service behind it, signed: who it was that was let in, in the shape that origins of Cloudflare Access
//! know (cloudflare-access.md 5.3).

use std::sync::Arc;
use std::time::Duration;

use countersign_domain::error::Error;
use countersign_domain::fact::Bearer;
use countersign_domain::id::TokenRef;
use countersign_domain::store::StoreError;
use countersign_domain::time::Timestamp;
use serde::Serialize;

use super::exchange::whole_seconds;
use super::key::Algorithm;
use super::ring::TokenType;
use crate::{Authority, Granted};

/// Most assertions that are kept: about 1 kB each.
pub(super) const MOST_KEPT: usize = 16_384;
/// Longest life of one, whatever access tokens have: it is for the one request with which it comes, and nobody revokes it.
const LONGEST: Duration = Duration::from_secs(5 * 60);

/// For whom one is: whose it says, for which service, signed by which generation of keys.
pub(super) type Subject = (TokenRef, Box<str>, u32);

/// One that is good for a while yet: an RSA signature costs about as much as a hundred verifications.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    text: Arc<str>,
    expires_at: Timestamp,
    /// Until when it is said again: for half of its life.
    until: Timestamp,
}

/// Exactly these, in this order.
#[derive(Serialize)]
struct Claims<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    aud: [&'a str; 1],
    exp: i64,
    iss: &'a str,
    /// Of a service token.
    #[serde(skip_serializing_if = "Option::is_none")]
    common_name: Option<String>,
    iat: i64,
    /// Of an access token: the account.
    sub: String,
}

impl Authority {
    /// The assertion that an application is told of who was let in just now. It ends with the credential that was shown, or sooner.
    pub fn assertion(&self, granted: &Granted, audience: &str) -> Result<Arc<str>, Error> {
        let signing = self.signing()?;
        let (ring, now) = (signing.ring.load(), self.clock.now());
        let missing = || Error::Store(StoreError::Unavailable("there are no signing keys yet".into()));
        let turn = ring.timetable.signing(now).ok_or_else(missing)?;
        let fact = &granted.known.fact;
        let subject: Subject = (fact.token(), audience.into(), turn.number);
        let ends = granted.expires_at();
        let is_fit = |kept: &Kept| now < kept.until && kept.expires_at <= ends;
        if let Some(kept) = signing.assertions.get(&subject).filter(is_fit) {
            return Ok(kept.text);
        }
        let issued_at = whole_seconds(now);
        let expires_at = whole_seconds(now.after(signing.settings.lifetime.min(LONGEST)).min(ends));
        let (common_name, sub) = match fact.bearer {
            Bearer::Service { client_id, .. } => (Some(client_id.to_string()), String::new()),
            Bearer::Access(_) => (None, fact.account.to_string()),
        };
        let claims = Claims {
            kind: "app",
            aud: [audience],
            exp: expires_at.as_seconds(),
            iss: &signing.settings.issuer,
            common_name,
            iat: issued_at.as_seconds(),
            sub,
        };
        let claims = serde_json::to_vec(&claims)
            .map_err(|error| Error::Store(StoreError::Unavailable(error.into())))?;
        let key = ring.signing(Algorithm::Rs256, now).ok_or_else(missing)?;
        let text: Arc<str> = key.sign(TokenType::Assertion, &claims)?.into();
        let until = issued_at.after(expires_at.since(issued_at) / 2);
        signing.assertions.insert(subject, Kept { text: Arc::clone(&text), expires_at, until });
        Ok(text)
    }
}
