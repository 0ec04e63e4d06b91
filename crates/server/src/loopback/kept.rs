//! Answers that are kept: what an account is, for its own tokens. To ask for it is how clients of this wire verify a
//! token (space-invoices-loopback.md 2.3), so it is asked as often as a door, and a look into the store would cost more
//! than everything else.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::Instant;

use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use countersign_authority::Sighting;
use countersign_domain::demand::{Presented, RequestLine};
use countersign_domain::id::AccountId;
use countersign_domain::store::Version;
use countersign_domain::usage::Door;
use http::{Method, StatusCode, header};

use super::auth::one_text;
use crate::App;
use crate::limits::say_left;
use crate::observe::{client, finish};
use crate::wire::json_text;

/// Most answers that are kept.
const MOST: usize = 65_536;
/// A longer one is not kept, in bytes.
const LONGEST: usize = 1_024;

/// Which row an answer shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edition {
    /// Of the account.
    pub(super) version: Version,
    /// How often everything had been [read afresh](countersign_authority::Directory::reloads).
    pub(super) reloads: u64,
}

/// The last answer about each account.
#[derive(Default)]
pub(crate) struct Kept(RwLock<HashMap<AccountId, (Edition, Bytes)>>);

impl Kept {
    /// The answer about an account that is this one. Which one is right the directory knows: it hears of a change before
    /// anybody does.
    pub(super) fn find(&self, id: AccountId, edition: Edition) -> Option<Bytes> {
        let answers = self.0.read().unwrap_or_else(PoisonError::into_inner);
        answers.get(&id).filter(|(kept, _)| *kept == edition).map(|(_, body)| body.clone())
    }

    /// Keeps an answer. When there are too many, all are forgotten: the ones in demand are soon back.
    pub(super) fn keep(&self, id: AccountId, edition: Edition, body: &Bytes) {
        if body.len() > LONGEST {
            return;
        }
        let mut answers = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= MOST && !answers.contains_key(&id) {
            answers.clear();
        }
        answers.insert(id, (edition, body.clone()));
    }
}

/// The one route whose answers are kept.
const AUTHORIZED: &str = "/v1/Accounts/authorized";

/// The kept answer to a good token, before any router is asked, as at a door. `None`: go the usual way, on which everything
/// else is seen to.
pub(crate) fn at_once(app: &App, request: &Request) -> Option<Response> {
    if request.method() != Method::GET || request.uri().path() != AUTHORIZED {
        return None;
    }
    let started = Instant::now();
    app.check_ready().ok()?;
    let (uri, headers) = (request.uri(), request.headers());
    let text = one_text(app, uri, headers).ok()??;
    let target = uri.path_and_query()?.as_str().as_bytes();
    let sighting = Sighting {
        door: Door::Api,
        address: client(app, request),
        user_agent: headers.get(header::USER_AGENT).map_or(b"", |value| value.as_bytes()),
        request: Some(RequestLine { method: Method::GET.as_str(), target }),
    };
    let granted = app.authority.recognise(&Presented::access(&text)?, sighting)?;
    let account = granted.known.chain()?.own().copied()?;
    let edition = Edition { version: account.version, reloads: app.authority.directory().reloads() };
    let body = app.own_accounts.find(account.id, edition)?;
    let granted = app.authority.spend(granted)?;
    let mut response = json_text(StatusCode::OK, body);
    if let Some(allowance) = &granted.allowance {
        say_left(response.headers_mut(), allowance);
    }
    app.note_granted(&granted, sighting);
    let request_id = app.request_ids.next();
    finish(app, &request_id, AUTHORIZED, request.method(), started, &mut response);
    Some(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_of_the_same_version_and_only_so_many() {
        let kept = Kept::default();
        let of = |version, reloads| Edition { version, reloads };
        let (id, first) = (AccountId::from_bytes([1; 16]), of(Version::FIRST, 0));
        let next = of(Version::FIRST.next(), 0);
        let body = Bytes::from_static(b"{}");
        kept.keep(id, first, &body);
        assert_eq!(kept.find(id, first), Some(body.clone()));
        assert_eq!(kept.find(id, next), None);
        assert_eq!(kept.find(id, of(Version::FIRST, 1)), None, "the same version of another history");
        kept.keep(id, next, &Bytes::from(vec![b' '; LONGEST + 1]));
        assert_eq!(kept.find(id, next), None, "it is too long");
        for number in 0..MOST as u128 {
            kept.keep(AccountId::from_bytes(number.to_be_bytes()), first, &body);
        }
        assert_eq!(kept.find(id, first), None);
        assert!(kept.0.read().unwrap().len() <= MOST);
    }
}
