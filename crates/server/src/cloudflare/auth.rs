//! Who calls, about which account and token (cloudflare-access.md 3, design 2.3).

use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams};
use countersign_authority::Asked;
use countersign_domain::audit::Origin;
use countersign_domain::caller::Caller;
use countersign_domain::demand::Presented;
use countersign_domain::email::Email;
use countersign_domain::error::Denial;
use countersign_domain::id::{AccountId, ServiceTokenId};
use countersign_domain::verdict::Reason;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::failure::{CredentialHeader, Failure};
use crate::App;
use crate::credential::Authorization;
use crate::observe::{Arrival, arrival, single};

static X_AUTH_EMAIL: HeaderName = HeaderName::from_static("x-auth-email");
static X_AUTH_KEY: HeaderName = HeaderName::from_static("x-auth-key");
static X_ACCESS_TOKEN: HeaderName = HeaderName::from_static("x-access-token");
static RETRY_COUNT: HeaderName = HeaderName::from_static("x-stainless-retry-count");

/// A caller who was let in, and what the path names.
pub(super) struct Asking {
    caller: Caller,
    origin: Arc<Origin>,
    account: AccountId,
    /// The id in the path as it came; most routes have none.
    token: Option<String>,
    /// Whether the client says that it repeats a request whose answer it did not get.
    pub(super) is_retry: bool,
}

impl Asking {
    /// For the authority.
    pub(super) fn asked(&self) -> Asked<'_> {
        Asked { caller: &self.caller, account: self.account, origin: &self.origin }
    }

    /// The token in the path. What is no id is no token either, which the authority says only to those who may know.
    pub(super) fn token(&self) -> ServiceTokenId {
        self.token.as_deref().and_then(|text| text.parse().ok()).unwrap_or(ServiceTokenId::OF_NONE)
    }
}

impl FromRequestParts<Arc<App>> for Asking {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Failure> {
        app.check_ready()?;
        let arrival = arrival(&parts.extensions);
        let caller = authenticate(app, &parts.headers, &arrival).await.inspect_err(|failure| {
            if matches!(failure, Failure::NoCredential | Failure::MalformedHeader(_)) {
                app.refuse_caller(Reason::Malformed, &arrival);
            }
        })?;
        let no_account = Failure::Denied(Denial::ForeignAccount);
        let Ok(path) = RawPathParams::from_request_parts(parts, app).await else { return Err(no_account) };
        let named = |wanted: &str| path.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value);
        let account = named("account_id").and_then(|text| text.parse().ok()).ok_or(no_account)?;
        let is_retry = parts.headers.get(&RETRY_COUNT).is_some_and(is_repeated);
        let token = named("service_token_id").map(str::to_owned);
        Ok(Self { caller, origin: arrival.origin, account, token, is_retry })
    }
}

/// Whether a retry count says that the request was sent before.
fn is_repeated(count: &HeaderValue) -> bool {
    count.to_str().ok().and_then(|count| count.parse::<u32>().ok()).is_some_and(|count| count > 0)
}

/// `Authorization` is used when it is there, because one SDK sends every scheme it has; then `X-Access-Token`, then
/// the key pair.
async fn authenticate(app: &App, headers: &HeaderMap, arrival: &Arrival) -> Result<Caller, Failure> {
    let one = |name: &HeaderName, header| {
        let value = single(headers, name).map_err(|()| Failure::MalformedHeader(header))?;
        Ok::<_, Failure>(value.map(|value| value.as_bytes()))
    };
    let authorization = one(&header::AUTHORIZATION, CredentialHeader::Authorization)?;
    let access_token = one(&X_ACCESS_TOKEN, CredentialHeader::AccessToken)?;
    let email = one(&X_AUTH_EMAIL, CredentialHeader::AuthEmail)?;
    let key = one(&X_AUTH_KEY, CredentialHeader::AuthKey)?;
    if let Some(value) = authorization {
        let header = CredentialHeader::Authorization;
        let parsed = Authorization::parse(value).ok_or(Failure::MalformedHeader(header))?;
        return match &parsed {
            Authorization::Bearer(text) | Authorization::Bare(text) => judge(app, text, header, arrival),
            Authorization::Basic(pair) => judge(app, pair.longer(), header, arrival),
            Authorization::Json(_) => {
                app.refuse_caller(Reason::Malformed, arrival);
                Err(Failure::UnknownToken)
            }
        };
    }
    if let Some(value) = access_token {
        let header = CredentialHeader::AccessToken;
        return judge(app, text(value, header)?, header, arrival);
    }
    match (email, key) {
        (Some(email), Some(key)) => key_pair(app, email, key, arrival).await,
        _ => Err(Failure::NoCredential),
    }
}

/// An access token's text. In its alphabet but unknown is 9109; outside it is no token's form at all.
fn judge(app: &App, text: &str, header: CredentialHeader, arrival: &Arrival) -> Result<Caller, Failure> {
    let visible = |byte: u8| byte.is_ascii_graphic();
    if !text.bytes().all(visible) || text.is_empty() {
        return Err(Failure::MalformedHeader(header));
    }
    let presented = Presented::access(text).ok_or(Reason::Malformed);
    presented.and_then(|presented| app.authenticate(&presented, arrival)).map_err(|reason| {
        app.refuse_caller(reason, arrival);
        Failure::of_refused(reason, Failure::UnknownToken)
    })
}

/// The key is an access token of the account that has the e-mail.
async fn key_pair(app: &App, email: &[u8], key: &[u8], arrival: &Arrival) -> Result<Caller, Failure> {
    let email = text(email, CredentialHeader::AuthEmail)?;
    let key = text(key, CredentialHeader::AuthKey)?;
    if !email.contains('@') || email.len() > 254 {
        return Err(Failure::MalformedHeader(CredentialHeader::AuthEmail));
    }
    let presented = Presented::access(key).ok_or(Failure::MalformedHeader(CredentialHeader::AuthKey))?;
    let refused = |reason| {
        app.refuse_caller(reason, arrival);
        Failure::of_refused(reason, Failure::UnknownPair)
    };
    let (caller, granted) = app.authenticate_apart(&presented, arrival).map_err(refused)?;
    let account = app.authority.load_own_account(&caller).await?;
    if Email::parse(email).ok().as_ref() != Some(&account.email) {
        app.authority.give_back(&granted);
        return Err(refused(Reason::Unknown));
    }
    arrival.recognise(granted);
    Ok(caller)
}

fn text(value: &[u8], header: CredentialHeader) -> Result<&str, Failure> {
    let text = std::str::from_utf8(value).map_err(|_| Failure::MalformedHeader(header))?.trim();
    if text.is_empty() { Err(Failure::MalformedHeader(header)) } else { Ok(text) }
}
