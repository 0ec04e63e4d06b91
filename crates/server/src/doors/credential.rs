//! Which credential a request shows.

use countersign_domain::demand::Presented;
use countersign_domain::id::ClientId;
use countersign_domain::secret::is_access_text;
use countersign_domain::verdict::Reason;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::signals::{Once, Signals};
use crate::credential::Authorization;

/// A credential as it stands in the request.
pub(crate) enum Shown<'r> {
    /// A client id and a secret, each in a header of its own.
    Pair(&'r str, &'r str),
    /// Both in one JSON object.
    Json(JsonPair),
    /// One `Authorization`.
    Authorization(Authorization<'r>),
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

impl Shown<'_> {
    /// The credential, when it is well-formed.
    pub(crate) fn presented(&self) -> Option<Presented<'_>> {
        match self {
            Self::Pair(id, secret) => Presented::service(id, secret),
            Self::Json(pair) => Presented::service(&pair.client_id, &pair.client_secret),
            Self::Authorization(authorization) => presented(authorization),
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

/// Finds the one credential of a request. `known` says whether a credential exists: beside the header pair, an
/// `Authorization` that is not one of ours is the application's own business.
pub(super) fn find<'r>(
    signals: &Signals<'r>,
    known: impl Fn(&Presented<'_>) -> bool,
) -> Result<Shown<'r>, Reason> {
    let authorization = match signals.authorization {
        Once::Absent => None,
        Once::Repeated => return Err(Reason::Malformed),
        Once::Value(value) => Some(value),
    };
    match (signals.client_id, signals.client_secret) {
        (Once::Absent, Once::Absent) => read_authorization(authorization.ok_or(Reason::Malformed)?),
        (Once::Value(id), Once::Value(secret)) => {
            if authorization.is_some_and(|value| is_ours(value, known)) {
                return Err(Reason::AmbiguousCredential);
            }
            let text = |bytes| std::str::from_utf8(bytes).map_err(|_| Reason::Malformed);
            Ok(Shown::Pair(text(id)?, text(secret)?))
        }
        _ => Err(Reason::Malformed),
    }
}

fn read_authorization(value: &[u8]) -> Result<Shown<'_>, Reason> {
    match Authorization::parse(value).ok_or(Reason::Malformed)? {
        Authorization::Json(text) => {
            serde_json::from_str(text).map(Shown::Json).map_err(|_| Reason::Malformed)
        }
        other => Ok(Shown::Authorization(other)),
    }
}

/// Whether an `Authorization` has the form of one of our credentials, or is one that was imported.
fn is_ours(value: &[u8], known: impl Fn(&Presented<'_>) -> bool) -> bool {
    let Ok(shown) = read_authorization(value) else { return false };
    let has_our_form = match &shown {
        Shown::Pair(..) => true,
        Shown::Json(pair) => is_client_id(&pair.client_id),
        Shown::Authorization(Authorization::Bearer(text) | Authorization::Bare(text)) => is_access_text(text),
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
