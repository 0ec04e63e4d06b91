//! Who calls. Exactly one credential: two of them, even the same one twice, are none (RFC 6750, 2).

use std::sync::Arc;

use axum::extract::FromRequestParts;
use countersign_authority::{Decision, Granted};
use countersign_domain::caller::Caller;
use countersign_domain::demand::Demand;
use countersign_domain::error::Denial;
use countersign_domain::usage::Door;
use countersign_domain::verdict::{Reason, Refusal};
use http::request::Parts;
use http::{HeaderMap, HeaderName};

use super::failure::Failure;
use crate::App;
use crate::credential::Authorization;
use crate::doors::{self, Shown};
use crate::observe::{arrival, single};

static X_ACCESS_TOKEN: HeaderName = HeaderName::from_static("x-access-token");

/// The bearer of an access token, who was let in to manage.
pub(super) struct Asking {
    pub(super) caller: Caller,
}

impl FromRequestParts<Arc<App>> for Asking {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Failure> {
        app.check_ready()?;
        let arrival = arrival(&parts.extensions);
        let caller = shown(app, &parts.headers).and_then(|shown| {
            let presented = shown.presented().ok_or(Reason::Malformed)?;
            app.authenticate(&presented, &arrival)
        });
        let caller = caller.map_err(|reason| refused(app, reason, parts))?;
        Ok(Self { caller })
    }
}

/// The bearer of a good credential of either kind, to be told about itself. It manages nothing.
pub(super) struct Recognised(pub(super) Granted);

impl FromRequestParts<Arc<App>> for Recognised {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Failure> {
        app.check_ready()?;
        let arrival = arrival(&parts.extensions);
        let granted = shown(app, &parts.headers).and_then(|shown| {
            let presented = shown.presented().ok_or(Reason::Malformed)?;
            match app.authority.verify(&presented, &Demand::default(), arrival.sighting()) {
                Decision::Granted(granted) => {
                    arrival.leave(granted.allowance);
                    app.metrics.count_verdict(Door::Api, None);
                    Ok(granted)
                }
                Decision::Denied { reason, exceeded, .. } => {
                    exceeded.into_iter().for_each(|exceeded| arrival.exceed(exceeded));
                    Err(reason)
                }
            }
        });
        granted.map(Self).map_err(|reason| refused(app, reason, parts))
    }
}

/// Where else a credential can stand.
const OTHER_PLACES: [&str; 4] =
    ["authorization", "cf-access-client-id", "cf-access-client-secret", "cf-access-token"];

/// The credential in `X-Access-Token`, else the one that a door would find.
fn shown<'r>(app: &'r App, headers: &'r HeaderMap) -> Result<Shown<'r>, Reason> {
    let Some(value) = single(headers, &X_ACCESS_TOKEN).map_err(|()| Reason::Malformed)? else {
        return doors::shown(app, headers);
    };
    if OTHER_PLACES.into_iter().chain(app.single_header()).any(|place| headers.contains_key(place)) {
        return Err(Reason::AmbiguousCredential);
    }
    let text = value.to_str().map_err(|_| Reason::Malformed)?;
    Ok(Shown::Authorization(Authorization::Bare(text)))
}

fn refused(app: &App, reason: Reason, parts: &Parts) -> Failure {
    app.refuse_caller(reason, &arrival(&parts.extensions));
    match (reason.refusal(), Denial::of_bound(reason)) {
        (Refusal::Limited, _) => Failure::RateLimited,
        (_, Some(denial)) => Failure::Denied(denial),
        (_, None) => Failure::Unauthenticated,
    }
}
