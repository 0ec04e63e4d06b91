//! Who calls, about which account and token (space-invoices-loopback.md 3 and B15, design 2.3).

use std::convert::Infallible;
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_authority::Asked;
use countersign_domain::audit::Origin;
use countersign_domain::caller::Caller;
use countersign_domain::demand::Presented;
use countersign_domain::error::Denial;
use countersign_domain::id::{AccountId, Handle, MembershipId, OrganizationId};
use countersign_domain::verdict::Reason;
use http::request::Parts;
use http::{HeaderMap, HeaderName, Uri, header};
use zeroize::Zeroizing;

use super::failure::Failure;
use super::path::{ME, Named, handle_of, shown};
use crate::App;
use crate::credential::Authorization;
use crate::observe::{Arrival, arrival, single};

static X_ACCESS_TOKEN: HeaderName = HeaderName::from_static("x-access-token");

/// The query parameter of the same name.
const ACCESS_TOKEN: &str = "access_token";

/// A caller who was let in, and what the path names.
pub(super) struct Asking {
    caller: Caller,
    origin: Arc<Origin>,
    account: AccountId,
    fk: Option<String>,
}

/// The token that a path names.
pub(super) struct ForeignKey {
    /// Of it.
    pub(super) handle: Handle,
    /// As an answer may repeat it.
    pub(super) shown: String,
}

impl Asking {
    /// For the authority.
    pub(super) fn asked(&self) -> Asked<'_> {
        Asked { caller: &self.caller, account: self.account, origin: &self.origin }
    }

    /// Who asks.
    pub(super) const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// What no token can be called is asked for all the same, under a handle that none has: whether the caller may
    /// ask comes first, and a stranger's answer must not depend on what was asked for.
    pub(super) fn foreign_key(&self) -> ForeignKey {
        let fk = self.fk.as_deref().unwrap_or_default();
        ForeignKey { handle: handle_of(fk).unwrap_or(Handle::OF_NONE), shown: shown(fk) }
    }
}

impl FromRequestParts<Arc<App>> for Asking {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Failure> {
        let Named { id, fk } = Named::from_request_parts(parts, app).await?;
        let calling = Calling::from_request_parts(parts, app).await?;
        let no_account = |_| Failure::Denied(Denial::ForeignAccount);
        let account = if id == ME { calling.caller.account } else { id.parse().map_err(no_account)? };
        Ok(Self { caller: calling.caller, origin: calling.origin, account, fk })
    }
}

/// A caller who was let in, on a route that names no account.
pub(super) struct Calling {
    pub(super) caller: Caller,
    pub(super) origin: Arc<Origin>,
}

impl Calling {
    /// For the authority, about the caller's own account.
    pub(super) fn asked(&self) -> Asked<'_> {
        self.asked_about(self.caller.account)
    }

    /// For the authority, about an account.
    pub(super) fn asked_about(&self, account: AccountId) -> Asked<'_> {
        Asked { caller: &self.caller, account, origin: &self.origin }
    }
}

impl FromRequestParts<Arc<App>> for Calling {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Failure> {
        let arrival = arrival(&parts.extensions);
        let caller = authenticate(app, parts, &arrival)?;
        Ok(Self { caller, origin: arrival.origin })
    }
}

/// Whoever asks on a route that answers anybody; a caller when there is any credential, which then has to be good.
pub(super) struct Anybody {
    pub(super) calling: Option<Calling>,
    pub(super) origin: Arc<Origin>,
}

impl FromRequestParts<Arc<App>> for Anybody {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Failure> {
        let origin = arrival(&parts.extensions).origin;
        let is_nobody = matches!(one_text(app, &parts.uri, &parts.headers), Ok(None));
        if is_nobody {
            return Ok(Self { calling: None, origin });
        }
        Ok(Self { calling: Some(Calling::from_request_parts(parts, app).await?), origin })
    }
}

/// From where a request comes, on a route that looks at no credential.
pub(super) struct Comer(pub(super) Arc<Origin>);

impl<S: Sync> FromRequestParts<S> for Comer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(arrival(&parts.extensions).origin))
    }
}

/// A caller and the organization or membership that the path names. What can be none is asked for all the same, under
/// an id that none has.
pub(super) struct AskingAbout<I> {
    pub(super) calling: Calling,
    pub(super) id: I,
}

impl<I: FromStr + OfNone> FromRequestParts<Arc<App>> for AskingAbout<I> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Failure> {
        let Named { id, .. } = Named::from_request_parts(parts, app).await?;
        let calling = Calling::from_request_parts(parts, app).await?;
        Ok(Self { calling, id: id.parse().unwrap_or(I::OF_NONE) })
    }
}

/// Ids with one that names nothing.
pub(super) trait OfNone {
    const OF_NONE: Self;
}

impl OfNone for OrganizationId {
    const OF_NONE: Self = Self::OF_NONE;
}

impl OfNone for MembershipId {
    const OF_NONE: Self = Self::OF_NONE;
}

fn authenticate(app: &App, parts: &Parts, arrival: &Arrival) -> Result<Caller, Failure> {
    app.check_ready()?;
    let refused = |reason| {
        app.refuse_caller(reason, arrival);
        Failure::from(reason)
    };
    let text = one_text(app, &parts.uri, &parts.headers)
        .map_err(refused)?
        .ok_or_else(|| refused(Reason::Malformed))?;
    let presented = Presented::access(&text).ok_or_else(|| refused(Reason::Malformed))?;
    app.authenticate(&presented, arrival).map_err(refused)
}

/// The one token that is given, be it in several places. Two different ones are refused: who is meant is anybody's
/// guess.
pub(super) fn one_text(
    app: &App,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Option<Zeroizing<String>>, Reason> {
    let places = [in_query(uri)?, in_own_header(headers)?, in_authorization(app, headers)?];
    let mut given = places.into_iter().flatten();
    let Some(first) = given.next() else { return Ok(None) };
    if given.all(|other| other == first) { Ok(Some(first)) } else { Err(Reason::AmbiguousCredential) }
}

fn in_query(uri: &Uri) -> Result<Option<Zeroizing<String>>, Reason> {
    let query = uri.query().unwrap_or_default();
    let mut values = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == ACCESS_TOKEN);
    match (values.next(), values.next()) {
        (first, None) => Ok(first.map(|(_, value)| Zeroizing::new(value.into_owned()))),
        _ => Err(Reason::Malformed),
    }
}

/// An empty header is none.
fn in_own_header(headers: &HeaderMap) -> Result<Option<Zeroizing<String>>, Reason> {
    let value = single(headers, &X_ACCESS_TOKEN).map_err(|()| Reason::Malformed)?;
    let text = value.map(|value| value.to_str().map_err(|_| Reason::Malformed)).transpose()?;
    Ok(text.filter(|text| !text.is_empty()).map(|text| Zeroizing::new(text.to_owned())))
}

fn in_authorization(app: &App, headers: &HeaderMap) -> Result<Option<Zeroizing<String>>, Reason> {
    let value = single(headers, &header::AUTHORIZATION).map_err(|()| Reason::Malformed)?;
    let Some(value) = value.filter(|value| !value.is_empty()) else { return Ok(None) };
    match Authorization::parse(value.as_bytes()) {
        Some(Authorization::Bare(text)) => Ok(Some(Zeroizing::new(text.to_owned()))),
        Some(Authorization::Bearer(text)) => Ok(Some(bearer(app, text))),
        Some(Authorization::Basic(pair)) => Ok(Some(Zeroizing::new(pair.longer().to_owned()))),
        Some(Authorization::Json(_)) | None => Err(Reason::Malformed),
    }
}

/// A bearer is the token, or the base64 of it, as LoopBack has it by default.
fn bearer(app: &App, text: &str) -> Zeroizing<String> {
    let is_known = |text: &str| {
        let presented = Presented::access(text);
        presented.is_some_and(|presented| app.authority.directory().find(&presented.key()).is_some())
    };
    if !is_known(text)
        && let Some(decoded) = decode(text).filter(|decoded| is_known(decoded))
    {
        return decoded;
    }
    Zeroizing::new(text.to_owned())
}

fn decode(text: &str) -> Option<Zeroizing<String>> {
    let bytes = Zeroizing::new(STANDARD.decode(text).ok()?);
    std::str::from_utf8(&bytes).ok().map(|text| Zeroizing::new(text.to_owned()))
}
