//! The secret of a service token for a short-lived signed token: client credentials (RFC 6749, 4.4), narrowed by scope and by
//! resource (RFC 8707).

use countersign_domain::error::Error;
use countersign_domain::fact::Bearer;
use countersign_domain::scope::Scopes;
use countersign_domain::signed::SignedToken;
use countersign_domain::store::StoreError;
use countersign_domain::time::Timestamp;

use super::{Signing, token};
use crate::{Authority, Granted};

/// Longest name of a resource.
const LONGEST_RESOURCE: usize = 256;
/// Most resources of one token.
pub const MOST_RESOURCES: usize = 8;

/// What is asked of a signed token.
#[derive(Debug, Clone, Default)]
pub struct Exchange {
    /// What it is to be used for; `None` = whatever the service token may be.
    pub scopes: Option<Scopes>,
    /// For whom it is to be; none = for who issues it.
    pub resources: Vec<Box<str>>,
}

/// A signed token.
#[derive(Debug)]
pub struct Exchanged {
    /// Its text.
    pub text: String,
    /// How many seconds it lives.
    pub expires_in: u64,
    /// What it may be used for.
    pub scopes: Scopes,
}

/// Why there is none.
#[derive(Debug)]
pub enum ExchangeRefusal {
    /// A scope that the service token has not.
    Scope,
    /// A resource for which no token is issued here.
    Resource,
    /// What only a service token may do.
    NoServiceToken,
    /// The keys are not there, or cannot be used.
    Failed(Error),
}

impl Authority {
    /// A signed token for a service token that was let in just now. It ends with the secret that was shown, and with the
    /// service token.
    pub fn exchange(&self, granted: &Granted, asked: Exchange) -> Result<Exchanged, ExchangeRefusal> {
        let signing = self.signing().map_err(ExchangeRefusal::Failed)?;
        let fact = &granted.known.fact;
        let Bearer::Service { id, client_id } = fact.bearer else {
            return Err(ExchangeRefusal::NoServiceToken);
        };
        let scopes = match asked.scopes {
            None => fact.restrictions.scopes.clone(),
            Some(asked) if asked.within(&fact.restrictions.scopes) => asked,
            Some(_) => return Err(ExchangeRefusal::Scope),
        };
        let audiences = signing.audiences(asked.resources)?;
        let now = whole_seconds(self.clock.now());
        let expires_at = whole_seconds(now.after(signing.settings.lifetime).min(granted.expires_at()));
        let signed = SignedToken {
            service_token: id,
            client_id,
            account: fact.account,
            secret_version: granted.grant.secret_version,
            scopes,
            is_for_issuer: audiences.contains(&signing.settings.issuer),
            audiences,
            id: self.random_hex().into(),
            issued_at: now,
            expires_at,
        };
        let chain = granted.known.chain();
        let above = chain.iter().flat_map(|chain| chain.iter().skip(1)).map(|account| account.id.to_string());
        let above: Vec<String> = above.collect();
        let ring = signing.ring.load();
        let missing = || StoreError::Unavailable("there are no signing keys yet".into());
        let key = ring.signing(signing.settings.algorithm, now).ok_or_else(missing);
        let write = |key| token::write(&signing.settings.issuer, key, &signed, &above);
        let text = key.map_err(Error::Store).and_then(write).map_err(ExchangeRefusal::Failed)?;
        Ok(Exchanged { text, expires_in: expires_at.since(now).as_secs(), scopes: signed.scopes })
    }

    fn random_hex(&self) -> String {
        let mut bytes = [0; 16];
        self.entropy.fill(&mut bytes);
        format!("{:032x}", u128::from_be_bytes(bytes))
    }
}

/// Whether a text can name a resource: an absolute URI without a fragment (RFC 8707, 2), of reasonable length and in printable
/// ASCII.
pub fn is_resource(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    let is_rest = !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    is_scheme && is_rest && text.len() <= LONGEST_RESOURCE
}

impl Signing {
    fn audiences(&self, resources: Vec<Box<str>>) -> Result<Vec<Box<str>>, ExchangeRefusal> {
        if resources.is_empty() {
            return Ok(vec![self.settings.issuer.clone()]);
        }
        let issued = self.settings.resources.as_ref();
        let is_issued = |resource| issued.is_none_or(|issued| issued.contains(resource));
        let mut others = resources.iter().filter(|resource| **resource != self.settings.issuer);
        if others.all(is_issued) { Ok(resources) } else { Err(ExchangeRefusal::Resource) }
    }
}

/// Claims have no fractions: down, so that nothing lives longer than it may.
pub(super) fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_micros(time.as_seconds().saturating_mul(1_000_000))
}
