//! Checks Countersign's tokens. Needs `cargo add jsonwebtoken@11 --no-default-features -F aws_lc_rs`, then
//! `cargo add jiff serde -F serde/derive` and `cargo add ureq -F json`.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, get_current_timestamp};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error as _};

const LEEWAY: u64 = 60;
const LONGEST: u64 = 24 * 3600 + 2 * LEEWAY; // No token lives longer, or is got later for what has ended.

pub type Error = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, Clone, Deserialize)]
pub struct Claims {
    pub iat: u64,
    pub token: String,
    pub secret_version: u64,
    pub account: String,
    pub accounts_above: Vec<String>,
    pub scope: Option<String>,
}

#[derive(Debug, Deserialize, PartialEq, Eq, Hash)]
struct Ended {
    #[serde(deserialize_with = "seconds")]
    at: u64,
    #[serde(deserialize_with = "optional_seconds")]
    issued_until: Option<u64>,
    #[serde(deserialize_with = "seconds")]
    from: u64,
    account: Option<String>,
    token: Option<String>,
    secret_version_below: Option<u64>,
}

#[derive(Deserialize)]
struct Part {
    revocations: Vec<Ended>,
    next_cursor: Option<String>,
    as_of: String,
}

pub struct Checker {
    pub url: String,
    pub account: String,
    pub scope: String,
    pub reader: String,
    demanded: Validation,
    keys: Mutex<(Option<Instant>, HashMap<String, DecodingKey>)>,
    ended: Mutex<(Option<String>, HashSet<Ended>)>,
}

impl Checker {
    pub fn new(
        url: &str,
        issuer: &str,
        audience: &str,
        account: &str,
        scope: &str,
        reader: &str,
        by: Algorithm,
    ) -> Self {
        let mut demanded = Validation::new(by);
        demanded.leeway = LEEWAY;
        demanded.validate_nbf = true;
        demanded.set_issuer(&[issuer]);
        demanded.set_audience(&[audience]);
        demanded.set_required_spec_claims(&["exp", "iss", "aud"]);
        let [url, account, scope, reader] = [url, account, scope, reader].map(str::to_owned);
        Self { url, account, scope, reader, demanded, keys: Mutex::default(), ended: Mutex::default() }
    }

    /// The claims of a good token.
    pub fn check(&self, token: &str) -> Result<Claims, Error> {
        let header = decode_header(token)?;
        if header.typ.as_deref() != Some("at+jwt") {
            return Err("not an access token".into());
        }
        let key = self.key(&header.kid.ok_or("without a key")?)?;
        let claims = decode::<Claims>(token, &key, &self.demanded)?.claims;
        if !claims.is_of(&self.account) {
            return Err("of another account".into());
        }
        let mut scopes = claims.scope.iter().flat_map(|scopes| scopes.split(' '));
        if !scopes.any(|scope| scope == self.scope || scope == "DEFAULT") {
            return Err("not for this".into());
        }
        if self.ended.lock().unwrap().1.iter().any(|entry| entry.ends(&claims)) {
            return Err("revoked".into());
        }
        Ok(claims)
    }

    fn key(&self, kid: &str) -> Result<DecodingKey, Error> {
        let is_due = {
            let (fetched, keys) = &mut *self.keys.lock().unwrap();
            let patience = Duration::from_secs(if keys.contains_key(kid) { 86_400 } else { 10 });
            let is_due = fetched.is_none_or(|fetched| fetched.elapsed() > patience);
            if is_due {
                *fetched = Some(Instant::now());
            }
            is_due
        };
        if is_due {
            match self.get::<JwkSet>("/.well-known/jwks.json", &[]) {
                Ok(set) => {
                    let known = |jwk: &_| DecodingKey::from_jwk(jwk).ok();
                    let keys =
                        set.keys.iter().filter_map(|jwk| Some((jwk.common.key_id.clone()?, known(jwk)?)));
                    self.keys.lock().unwrap().1 = keys.collect();
                }
                Err(error) => eprintln!("keys: {error}"),
            }
        }
        self.keys.lock().unwrap().1.get(kid).cloned().ok_or_else(|| "of an unknown key".into())
    }

    fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, String)]) -> Result<T, Error> {
        let url = format!("{}{path}", self.url);
        let request = ureq::get(url).config().timeout_global(Some(Duration::from_secs(5))).build();
        let request = request.query_pairs(query.iter().map(|(name, value)| (*name, value)));
        let authorization = format!("Bearer {}", self.reader);
        Ok(request.header("authorization", authorization).call()?.body_mut().read_json()?)
    }

    /// Asks what has ended: every minute, in a thread of its own. What fails once, the next time says.
    pub fn poll(&self) -> Result<(), Error> {
        let since = self.ended.lock().unwrap().0.clone();
        let mut query: Vec<(&str, String)> = since.map(|since| ("since", since)).into_iter().collect();
        let mut part: Part = self.get("/api/v1/revocations", &query)?;
        let (as_of, mut found) = (part.as_of, part.revocations);
        while let Some(cursor) = part.next_cursor {
            query.retain(|(name, _)| *name != "cursor");
            query.push(("cursor", cursor));
            part = self.get("/api/v1/revocations", &query)?;
            found.append(&mut part.revocations);
        }
        let mut known = self.ended.lock().unwrap();
        known.0 = Some(as_of);
        known.1.extend(found);
        known.1.retain(|entry| entry.at + LONGEST > get_current_timestamp());
        Ok(())
    }
}

impl Claims {
    fn is_of(&self, account: &str) -> bool {
        self.account == account || self.accounts_above.iter().any(|above| above == account)
    }
}

impl Ended {
    fn ends(&self, claims: &Claims) -> bool {
        self.account.as_ref().is_none_or(|account| claims.is_of(account))
            && self.token.as_ref().is_none_or(|token| *token == claims.token)
            && self.secret_version_below.is_none_or(|below| claims.secret_version < below)
            && self.issued_until.is_none_or(|until| claims.iat <= until)
            && get_current_timestamp() >= self.from
    }
}

fn seconds<'de, D: Deserializer<'de>>(text: D) -> Result<u64, D::Error> {
    optional_seconds(text)?.ok_or_else(|| D::Error::custom("a time is missing"))
}

fn optional_seconds<'de, D: Deserializer<'de>>(text: D) -> Result<Option<u64>, D::Error> {
    let Some(text) = Option::<String>::deserialize(text)? else { return Ok(None) };
    let time: jiff::Timestamp = text.parse().map_err(D::Error::custom)?;
    u64::try_from(time.as_second()).map(Some).map_err(D::Error::custom)
}
