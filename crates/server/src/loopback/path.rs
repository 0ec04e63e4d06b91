//! Paths as LoopBack's clients write them: any case, a slash too many, secrets in them.

use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams, Request};
use countersign_domain::id::{AccountId, Handle};
use countersign_domain::secret::parse_access_text;
use http::Uri;
use http::request::Parts;

use super::failure::Failure;
use crate::App;
use crate::wire::Wire;

/// The account of the caller, in place of its id.
pub(super) const ME: &str = "me";

/// What may follow the name of a model, beside an id.
const OF_MODELS: [&str; 11] = [
    ME,
    "login",
    "logout",
    "impersonate",
    "authorized",
    "is-unique",
    "change-password",
    "count",
    "reset",
    "reset-password",
    "confirm",
];
/// What may follow an id.
const OF_INSTANCES: [&str; 15] = [
    "accessTokens",
    "organizations",
    "accountorganizations",
    "revoke-access-tokens",
    "enable",
    "disable",
    "activate",
    "deactivate",
    "invite",
    "accept",
    "reject",
    "change-role",
    "verify",
    "is-verified",
    "send-verification",
];

/// Longest part of a path that an answer repeats whole: every credential is longer.
const LONGEST_ECHO: usize = Handle::LEN;
/// Of a longer part, this much is repeated.
const SHORT_ECHO: usize = 8;

/// Gives the words of this wire's paths their one spelling, so that routes match whatever the case; a slash at the
/// end goes. Ids and keys keep their case. Other wires' requests pass untouched.
pub(crate) fn fold_case(mut request: Request) -> Request {
    if Wire::of(request.uri().path()) == Wire::LoopBack
        && let Some(folded) = folded(request.uri())
    {
        *request.uri_mut() = folded;
    }
    request
}

/// The address with its path in canonical spelling; `None` when it has that already.
fn folded(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    if !path.ends_with('/') && path.split('/').enumerate().all(|(place, word)| spelling(place, word) == word)
    {
        return None;
    }
    let path = path.strip_suffix('/').unwrap_or(path);
    let words: Vec<_> = path.split('/').enumerate().map(|(place, word)| spelling(place, word)).collect();
    let canonical = words.join("/");
    let path_and_query = match uri.query() {
        Some(query) => format!("{canonical}?{query}"),
        None => canonical,
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(path_and_query.parse().ok()?);
    Uri::from_parts(parts).ok()
}

/// A word of a path as the routes have it; what is none of theirs stays.
fn spelling(place: usize, word: &str) -> &str {
    let spellings: &[&str] = match place {
        1 => &["v1"],
        2 => &["Accounts", "Organizations", "AccountOrganizations"],
        3 => &OF_MODELS,
        4 => &OF_INSTANCES,
        5 => &["count"],
        _ => &[],
    };
    spellings.iter().find(|spelling| spelling.eq_ignore_ascii_case(word)).unwrap_or(&word)
}

/// What a path names, decoded once.
pub(super) struct Named {
    /// The account: an id, or [`ME`].
    pub(super) id: String,
    /// The token, on routes that have one.
    pub(super) fk: Option<String>,
}

impl FromRequestParts<Arc<App>> for Named {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Failure> {
        if !escapes_are_whole(parts.uri.path()) {
            return Err(Failure::UndecodablePath);
        }
        let params = RawPathParams::from_request_parts(parts, app).await;
        let params = params.map_err(|_| Failure::UndecodablePath)?;
        let named =
            |wanted: &str| params.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.to_owned());
        Ok(Self { id: named("id").unwrap_or_default(), fk: named("fk") })
    }
}

/// Whether two hex digits follow every `%`.
fn escapes_are_whole(path: &str) -> bool {
    path.split('%').skip(1).all(|rest| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

/// The handle that a `:fk` stands for: itself or a token's whole text. `None` for what is neither.
pub(super) fn handle_of(fk: &str) -> Option<Handle> {
    let whole_text = || parse_access_text(fk).map(|(handle, _)| handle);
    fk.parse().ok().or_else(whole_text)
}

/// The account of a path, decoded, as an answer may repeat it.
pub(super) fn shown_account(part: &str) -> String {
    if part.parse::<AccountId>().is_ok() { part.to_owned() } else { shown(part) }
}

/// A part of a path, decoded, as an answer may repeat it: clients do put secrets in our URLs.
pub(super) fn shown(part: &str) -> String {
    if part.chars().count() <= LONGEST_ECHO {
        return part.to_owned();
    }
    match handle_of(part) {
        Some(handle) => handle.to_string(),
        None => part.chars().take(SHORT_ECHO).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn folded_text(uri: &str) -> String {
        let request = Request::builder().uri(uri).body(Body::empty()).unwrap();
        fold_case(request).uri().to_string()
    }

    #[test]
    fn words_are_folded_and_nothing_else() {
        let canonical = "/v1/Accounts/AbC/accessTokens/DeF";
        for path in [
            canonical,
            "/v1/accounts/AbC/accesstokens/DeF",
            "/V1/ACCOUNTS/AbC/ACCESSTOKENS/DeF/",
            "/v1/Accounts/AbC/accessTokens/DeF/",
        ] {
            assert_eq!(folded_text(path), canonical);
        }
        assert_eq!(
            folded_text("/V1/accounts/Me/AccessTokens?Filter=%7B%7D"),
            "/v1/Accounts/me/accessTokens?Filter=%7B%7D"
        );
        assert_eq!(folded_text("http://host/V1/?a=B"), "http://host/v1?a=B");
        assert_eq!(
            folded_text("/v1/accounts/AbC/accessTokens/accesstokens"),
            "/v1/Accounts/AbC/accessTokens/accesstokens"
        );
        for other in ["/v10/accounts/", "/Accounts/Me/", "/client/v4/accounts/A/", "/", "*"] {
            assert_eq!(folded_text(other), other);
        }
    }

    #[test]
    fn an_answer_repeats_no_secret() {
        let ours = "0123456789abcdefghijkl0123456789abcdefghijklmnopqrstuvwxyz";
        assert_eq!(shown("missing"), "missing");
        assert_eq!(shown("0123456789abcdefghijkl"), "0123456789abcdefghijkl");
        let repeated = shown(ours);
        assert!(repeated.len() == Handle::LEN && !ours.contains(&repeated), "{repeated}");
        assert_eq!(shown(&format!("\"{ours}\"")), "\"0123456…");
        // What looks like an account's id is one only where accounts stand: a root token can look so, too.
        let id = "0192f3c4a5b67c8d9e0f1a2b3c4d5e6f";
        assert_eq!(shown_account(id), id);
        assert!(!shown(id).contains(&id[..12]));
    }

    #[test]
    fn escapes() {
        for good in ["/a", "/%41", "/%e0%A4"] {
            assert!(escapes_are_whole(good), "{good}");
        }
        for bad in ["/%", "/%4", "/%4g", "/%%41", "/a%2"] {
            assert!(!escapes_are_whole(bad), "{bad}");
        }
    }
}
