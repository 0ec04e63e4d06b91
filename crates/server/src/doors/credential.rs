//! Which credential a request shows.

use std::sync::Arc;

use countersign_authority::looks_signed;
use countersign_domain::demand::Presented;
use countersign_domain::id::ClientId;
use countersign_domain::secret::is_access_text;
use countersign_domain::signed::SignedToken;
use countersign_domain::verdict::Reason;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::signals::{Once, Signals};
use crate::App;
use crate::credential::Authorization;

/// A credential as it stands in the request.
pub(crate) enum Shown<'r> {
    /// A client id and a secret, each in a header of its own.
    Pair(&'r str, &'r str),
    /// Both in one JSON object.
    Json(JsonPair),
    /// One `Authorization`.
    Authorization(Authorization<'r>),
    /// A token whose signature is good.
    Signed(Arc<SignedToken>),
}

/// `{"cf-access-client-id": …, "cf-access-client-secret": …}`: exactly these lower-case keys
/// (cloudflare-access.md 5.2).
#[derive(Deserialize)]
pub(crate) struct JsonPair {
    #[serde(rename = "cf-access-client-id")]
    client_id: String,
    #[serde(rename = "cf-access-client-secret")]
    client_secret: Zeroizing<String>,
}

impl<'r> Shown<'r> {
    /// Of a text that is one credential by itself: an access token, or a signed one.
    pub(crate) fn of_text(app: &App, text: &'r str) -> Result<Self, Reason> {
        match looks_signed(text) {
            true => read_signed(app, text),
            false => Ok(Self::Authorization(Authorization::Bare(text))),
        }
    }

    /// The credential, when it is well-formed.
    pub(crate) fn presented(&self) -> Option<Presented<'_>> {
        match self {
            Self::Pair(id, secret) => Presented::service(id, secret),
            Self::Json(pair) => Presented::service(&pair.client_id, &pair.client_secret),
            Self::Authorization(authorization) => presented(authorization),
            Self::Signed(token) => Some(Presented::Signed(token)),
        }
    }
}

fn presented<'a>(authorization: &'a Authorization<'_>) -> Option<Presented<'a>> {
    match authorization {
        Authorization::Bearer(text) | Authorization::Bare(text) => Presented::access(text),
        Authorization::Basic(pair) if is_client_id(&pair.username) => {
            Presented::service(&pair.username, &pair.password)
        }
        Authorization::Basic(pair) => Presented::access(pair.longer()),
        Authorization::Json(_) => None,
    }
}

/// Finds the one credential of a request. Beside others, an `Authorization` that is not one of ours is the application's own
/// business; a cookie, which browsers send with everything, counts where nothing else is shown.
pub(super) fn find<'r>(app: &App, signals: &Signals<'r>) -> Result<Shown<'r>, Reason> {
    let authorization = once(signals.authorization)?;
    let signed = once(signals.signed)?;
    let pair = match (once(signals.client_id)?, once(signals.client_secret)?) {
        (None, None) => None,
        (Some(id), Some(secret)) => Some((id, secret)),
        _ => return Err(Reason::Malformed),
    };
    let single = once(signals.single)?;
    let is_ours = || authorization.is_some_and(|value| is_ours(app, value));
    let shown = match (pair, signed, single) {
        (Some((id, secret)), None, None) => Shown::Pair(text(id)?, text(secret)?),
        (None, Some(token), None) => read_signed(app, text(token)?)?,
        (None, None, Some(object)) => read_json(text(object)?)?,
        (None, None, None) => return find_elsewhere(app, authorization, signals.cookie),
        _ => return Err(Reason::AmbiguousCredential),
    };
    if is_ours() { Err(Reason::AmbiguousCredential) } else { Ok(shown) }
}

/// In `Authorization` or in a cookie.
fn find_elsewhere<'r>(
    app: &App,
    authorization: Option<&'r [u8]>,
    cookie: Once<'r>,
) -> Result<Shown<'r>, Reason> {
    if let (Once::Absent, Some(value)) = (cookie, authorization) {
        return read_authorization(app, value);
    }
    match authorization.filter(|value| is_ours(app, value)) {
        Some(value) => read_authorization(app, value),
        None => read_signed(app, text(once(cookie)?.ok_or(Reason::Malformed)?)?),
    }
}

fn once(header: Once<'_>) -> Result<Option<&[u8]>, Reason> {
    match header {
        Once::Absent => Ok(None),
        Once::Value(value) => Ok(Some(value)),
        Once::Repeated => Err(Reason::Malformed),
    }
}

fn text(bytes: &[u8]) -> Result<&str, Reason> {
    std::str::from_utf8(bytes).map_err(|_| Reason::Malformed)
}

fn read_signed<'r>(app: &App, text: &str) -> Result<Shown<'r>, Reason> {
    app.authority.read_signed(text.trim()).map(Shown::Signed)
}

fn read_authorization<'r>(app: &App, value: &'r [u8]) -> Result<Shown<'r>, Reason> {
    match parse_authorization(value)? {
        Shown::Authorization(Authorization::Bearer(text) | Authorization::Bare(text))
            if looks_signed(text) =>
        {
            read_signed(app, text)
        }
        other => Ok(other),
    }
}

fn parse_authorization(value: &[u8]) -> Result<Shown<'_>, Reason> {
    match Authorization::parse(value).ok_or(Reason::Malformed)? {
        Authorization::Json(text) => read_json(text),
        other => Ok(Shown::Authorization(other)),
    }
}

fn read_json<'r>(text: &str) -> Result<Shown<'r>, Reason> {
    serde_json::from_str(text).map(Shown::Json).map_err(|_| Reason::Malformed)
}

/// Whether an `Authorization` has the form of one of our credentials, or is one that was imported.
fn is_ours(app: &App, value: &[u8]) -> bool {
    let Ok(shown) = parse_authorization(value) else { return false };
    let known = |presented: &Presented<'_>| app.authority.directory().find(&presented.key()).is_some();
    let has_our_form = match &shown {
        Shown::Pair(..) => true,
        Shown::Json(pair) => is_client_id(&pair.client_id),
        Shown::Authorization(Authorization::Bearer(text) | Authorization::Bare(text)) => {
            is_access_text(text) || app.authority.is_signed_here(text)
        }
        Shown::Signed(_) => true,
        Shown::Authorization(Authorization::Basic(pair)) => {
            is_client_id(&pair.username) || is_access_text(pair.longer())
        }
        Shown::Authorization(Authorization::Json(_)) => false,
    };
    has_our_form || shown.presented().is_some_and(|presented| known(&presented))
}

fn is_client_id(text: &str) -> bool {
    text.parse::<ClientId>().is_ok()
}
