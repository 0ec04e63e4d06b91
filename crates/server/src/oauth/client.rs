//! Who asks: the resource server, by one credential (RFC 6749, 2.3; RFC 7662, 2.1).
//!
//! An access token with `countersign:verify`, as `Bearer`; or a service token that states this scope, as `Basic` or in
//! the form.

use std::borrow::Cow;

use countersign_authority::{Allowance, Decision, Refused, Sighting};
use countersign_domain::caller::Permission;
use countersign_domain::demand::{Demand, Presented};
use countersign_domain::error::Denial;
use countersign_domain::id::{AccountId, ClientId};
use countersign_domain::scope::Scope;
use countersign_domain::usage::Door;
use countersign_domain::verdict::{Reason, Refusal};
use http::{HeaderMap, HeaderName, header};
use percent_encoding::percent_decode_str;
use zeroize::Zeroizing;

use super::failure::Failure;
use super::form::Form;
use crate::App;
use crate::credential::Authorization;

static CLIENT_ID: HeaderName = HeaderName::from_static("cf-access-client-id");
static CLIENT_SECRET: HeaderName = HeaderName::from_static("cf-access-client-secret");

/// The credential that a client shows.
pub(super) enum Client<'r> {
    /// An access token.
    Token(Text<'r>),
    /// Client id and secret of a service token.
    Pair(Text<'r>, Text<'r>),
}

/// In whose name is asked.
pub(super) struct Asker {
    pub(super) account: AccountId,
    /// What is left, when uses of its own credential are limited.
    pub(super) allowance: Option<Allowance>,
}

/// A part of a request, or what was decoded of one.
pub(super) enum Text<'r> {
    Borrowed(&'r str),
    Decoded(Zeroizing<String>),
}

impl Text<'_> {
    fn as_str(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Decoded(text) => text,
        }
    }
}

/// The one credential of the client; two are an error (RFC 6749, 2.3). `None`: it shows none, or only how it is called.
pub(super) fn find<'r>(headers: &'r HeaderMap, form: &'r Form<'_>) -> Result<Option<Client<'r>>, Failure> {
    let in_header = in_header(headers)?;
    let in_form = match (form.get("client_id"), form.get("client_secret")) {
        (Some(client_id), Some(secret)) => {
            Some(Client::Pair(Text::Borrowed(client_id), Text::Borrowed(secret)))
        }
        (None, Some(_)) => return Err(Failure::InvalidClient),
        (_, None) => None,
    };
    match (in_header, in_form) {
        (Some(_), Some(_)) => Err(Failure::invalid("the client is authenticated in two ways")),
        (one, other) => Ok(one.or(other)),
    }
}

fn in_header(headers: &HeaderMap) -> Result<Option<Client<'_>>, Failure> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Failure::invalid("there are several `Authorization` headers"));
    }
    if headers.contains_key(&CLIENT_ID) || headers.contains_key(&CLIENT_SECRET) {
        return Err(Failure::invalid("the client is authenticated in two ways"));
    }
    match Authorization::parse(value.as_bytes()) {
        Some(Authorization::Bearer(text)) => Ok(Some(Client::Token(Text::Borrowed(text)))),
        Some(Authorization::Basic(pair)) => {
            // Each half is a form value of its own before they are joined (RFC 6749, 2.3.1).
            let (username, password) = (decoded(&pair.username)?, decoded(&pair.password)?);
            if username.parse::<ClientId>().is_ok() {
                return Ok(Some(Client::Pair(Text::Decoded(username), Text::Decoded(password))));
            }
            let longer = if username.len() > password.len() { username } else { password };
            Ok(Some(Client::Token(Text::Decoded(longer))))
        }
        _ => Err(Failure::InvalidClient),
    }
}

fn decoded(text: &str) -> Result<Zeroizing<String>, Failure> {
    let text = Zeroizing::new(text.replace('+', " "));
    let decoded = percent_decode_str(&text).decode_utf8().map_err(|_| Failure::InvalidClient)?;
    Ok(Zeroizing::new(Cow::into_owned(decoded)))
}

impl Client<'_> {
    /// Whether it shows nothing but this access token.
    pub(super) fn is_token(&self, token: &str) -> bool {
        // Whoever sends the request has sent both: nobody can find out one by the other.
        matches!(self, Self::Token(text) if text.as_str() == token)
    }

    /// The service token, if it is one and well-formed.
    pub(super) fn service_token(&self) -> Option<Presented<'_>> {
        match self {
            Self::Pair(client_id, secret) => Presented::service(client_id.as_str(), secret.as_str()),
            Self::Token(_) => None,
        }
    }

    /// In whose name is asked.
    pub(super) fn authenticate(&self, app: &App, sighting: Sighting<'_>) -> Result<Asker, Failure> {
        let asker = match self {
            Self::Token(text) => {
                let presented = Presented::access(text.as_str()).ok_or(Reason::Malformed.into());
                presented.and_then(|presented| of_access_token(app, &presented, sighting))
            }
            Self::Pair(client_id, secret) => {
                let presented = Presented::service(client_id.as_str(), secret.as_str());
                let presented = presented.ok_or(Reason::Malformed.into());
                presented.and_then(|presented| of_service_token(app, &presented, sighting))
            }
        };
        asker.map_err(|Refused { reason, exceeded }| {
            app.refuse_client(Door::Api, reason, sighting.address);
            match reason.refusal() {
                Refusal::Unauthenticated => Failure::InvalidClient,
                Refusal::Forbidden => Failure::InsufficientScope,
                Refusal::Limited => Failure::RateLimited(exceeded),
            }
        })
    }
}

fn of_access_token(app: &App, presented: &Presented<'_>, sighting: Sighting<'_>) -> Result<Asker, Refused> {
    let (caller, granted) = app.authority.authenticate(presented, sighting)?;
    if caller.may(Permission::Verify) {
        app.note_granted(&granted, sighting);
        return Ok(Asker { account: caller.account, allowance: granted.allowance });
    }
    let denial = Denial::MissingScope(Permission::Verify.scope());
    app.authority.note_denial(&granted, denial, sighting);
    Err(denial.reason().into())
}

fn of_service_token(app: &App, presented: &Presented<'_>, sighting: Sighting<'_>) -> Result<Asker, Refused> {
    let scope = Scope::parse(Permission::Verify.scope()).map_err(|_| Reason::InsufficientScope)?;
    let demand = Demand { scopes: vec![vec![scope]], ..Demand::default() };
    match app.authority.verify(presented, &demand, sighting) {
        // Without scopes it may open a door; that it may ask about others has to be said.
        Decision::Granted(granted) if granted.known.fact.restrictions.scopes.is_full() => {
            app.authority.give_back(&granted);
            Err(Reason::InsufficientScope.into())
        }
        Decision::Granted(granted) => {
            app.metrics.count_verdict(Door::Api, None);
            Ok(Asker { account: granted.known.fact.account, allowance: granted.allowance })
        }
        Decision::Denied { reason, exceeded, .. } => Err(Refused { reason, exceeded }),
    }
}
