//! The HTTP door for proxies: `/authz` and `/authz/{*path}` (design 2.4).
//!
//! Answered before any router is asked: no boxed layer, no body, no span for a request. One pass over the headers
//! finds the [`signals`]; from these come the [`credential`], the [`demand`] and the [`original`] request; the
//! authority decides; [`answer`](self::answer) prints. A refusal's precise reason goes to the metric and the log,
//! never to the bearer.

mod credential;
mod demand;
mod original;
mod reply;
mod signals;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::time::Instant;

use bytes::Bytes;
use countersign_authority::{Decision, Granted, Sighting};
use countersign_domain::id::TokenRef;
use countersign_domain::usage::Door;
use countersign_domain::verdict::Reason;
use http::{HeaderMap, Request, Response};
use http_body_util::Full;

use crate::App;
use crate::sampler::Sample;
use signals::Signals;

pub(crate) use credential::Shown;
pub(crate) use demand::{BadDemand, DemandBuilder, of_query as demand_of_query};

/// The answer of a door: headers and a few bytes.
pub(crate) type DoorResponse = Response<Full<Bytes>>;

/// Whether a path is a door's.
pub(crate) fn is_door(path: &str) -> bool {
    path.strip_prefix("/authz").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Answers one request to a door.
pub(crate) fn answer<B>(app: &App, request: &Request<B>, peer: IpAddr) -> DoorResponse {
    let started = Instant::now();
    if app.authority.readiness().is_err() {
        app.metrics.count_unready();
        return reply::unready();
    }
    let signals = Signals::read(request.headers());
    let address = client(app, &signals, request, peer);
    let response = match decide(app, &signals, request, address) {
        Ok(granted) => {
            app.metrics.count_verdict(Door::Authz, None);
            reply::granted(&granted)
        }
        Err((reason, token)) => {
            app.metrics.count_verdict(Door::Authz, Some(reason));
            log_refusal(app, reason, token, address);
            reply::denied(reason)
        }
    };
    app.metrics.observe_door(started.elapsed());
    response
}

/// Turns the request into a credential and a demand, and asks.
fn decide<B>(
    app: &App,
    signals: &Signals<'_>,
    request: &Request<B>,
    address: Option<IpAddr>,
) -> Result<Granted, (Reason, Option<TokenRef>)> {
    let nobody = |reason| (reason, None);
    let demand = demand::read(request.uri(), signals).map_err(|BadDemand| nobody(Reason::BadDemand))?;
    let line = original::read(request, signals).map_err(nobody)?;
    let shown = find_credential(app, signals).map_err(nobody)?;
    let presented = shown.presented().ok_or(nobody(Reason::Malformed))?;
    let user_agent = signals.user_agent;
    let sighting = Sighting { door: Door::Authz, address, user_agent, request: line };
    match app.authority.verify(&presented, &demand, sighting) {
        Decision::Granted(granted) => Ok(granted),
        Decision::Denied { reason, token } => Err((reason, token)),
    }
}

fn find_credential<'r>(app: &App, signals: &Signals<'r>) -> Result<Shown<'r>, Reason> {
    credential::find(signals, |presented| app.authority.directory().find(&presented.key()).is_some())
}

/// The credential that a request shows, found as a door finds it, for an API that takes the same ones.
pub(crate) fn shown<'r>(app: &App, headers: &'r HeaderMap) -> Result<Shown<'r>, Reason> {
    find_credential(app, &Signals::read(headers))
}

/// The client's address; the header is looked up only when the one pass has seen it.
fn client<B>(app: &App, signals: &Signals<'_>, request: &Request<B>, peer: IpAddr) -> Option<IpAddr> {
    if signals.has_forwarded_for {
        return app.settings.trusted_proxies.client(peer, request.headers());
    }
    Some(peer)
}

/// One line for a refusal, as far as the rate allows. A demand that is not understood is a mistake in a proxy's
/// configuration that shuts everybody out, so it is an error.
fn log_refusal(app: &App, reason: Reason, token: Option<TokenRef>, address: Option<IpAddr>) {
    let Sample::Write { suppressed } = app.refusal_lines.sample(reason, app.authority.now()) else { return };
    let reason_word = reason.as_str();
    let token = token.map(tracing::field::display);
    let address = address.map(tracing::field::display);
    if reason == Reason::BadDemand {
        tracing::error!(
            reason = reason_word,
            address,
            suppressed,
            "the demand in a proxy's configuration is not understood; everything it guards is refused"
        );
        return;
    }
    tracing::info!(reason = reason_word, token, address, suppressed, "refused at the door");
}
