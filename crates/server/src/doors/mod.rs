//! The doors for proxies (design 2.4): [`authz`] over HTTP, and Envoy's [`ext_authz`] over gRPC.
//!
//! Answered before any router is asked: no boxed layer, no span for a request. Each door is an adapter: it finds the
//! [`signals`] among the headers of the original request, what is [`demand`]ed, what is stated about the [`original`]
//! request, and the client's address. From there on there is one way: [`decide`] finds the [`credential`], asks the
//! authority, counts and logs. [`reply`] prints. A refusal's precise reason goes to the metric and the log, never to
//! the bearer.

mod applications;
pub(crate) mod authz;
mod credential;
mod demand;
pub(crate) mod ext_authz;
mod original;
mod reply;
mod signals;
mod single_header;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use countersign_authority::{Decision, Granted, Refused, Sighting};
use countersign_domain::demand::RequestLine;
use countersign_domain::error::causes;
use countersign_domain::id::TokenRef;
use countersign_domain::usage::Door;
use countersign_domain::verdict::Reason;
use http::{HeaderMap, Response};
use http_body_util::Full;

use crate::App;
use crate::sampler::Sample;
use demand::Wanted;
use signals::{Once, Signals};

pub use applications::Applications;
pub(crate) use credential::Shown;
pub(crate) use demand::{BadDemand, DemandBuilder, of_query as demand_of_query};
pub use single_header::SingleHeader;

/// The answer of a door: headers and a few bytes.
pub(crate) type DoorResponse = Response<Full<Bytes>>;

/// What a door makes of a request.
struct Knock<'r, 's> {
    /// Which.
    door: Door,
    /// What was found in the headers.
    signals: &'s Signals<'r>,
    /// What is demanded.
    demand: Result<Wanted, BadDemand>,
    /// The original request, when it is stated.
    original: Result<Option<RequestLine<'r>>, Reason>,
    /// Where the client is, when that is known.
    address: Option<IpAddr>,
}

/// What becomes of it.
enum Outcome {
    /// With the assertion to the application behind the door, if it wants one.
    Granted(Granted, Option<Arc<str>>),
    Denied(Refused),
    /// Too little is known to decide.
    Unready,
}

/// The one decision of all doors; counted and logged.
fn decide(app: &App, knock: &Knock<'_, '_>) -> Outcome {
    if app.authority.readiness().is_err() {
        app.metrics.count_unready();
        return Outcome::Unready;
    }
    match judge(app, knock) {
        Ok(granted) => assert(app, knock, granted),
        Err((refused, token)) => {
            app.metrics.count_verdict(knock.door, Some(refused.reason));
            log_refusal(app, refused.reason, token, knock.address);
            Outcome::Denied(refused)
        }
    }
}

/// Without the assertion an application would turn away whom the door has let in.
fn assert(app: &App, knock: &Knock<'_, '_>, granted: Granted) -> Outcome {
    let audience = knock.demand.as_ref().ok().and_then(|wanted| wanted.assertion.as_deref());
    match audience.map(|audience| app.authority.assertion(&granted, audience)).transpose() {
        Ok(assertion) => {
            app.metrics.count_verdict(knock.door, None);
            Outcome::Granted(granted, assertion)
        }
        Err(error) => {
            app.authority.give_back(&granted);
            if let Sample::Write { suppressed } = app.no_assertion_lines.sample(app.authority.now()) {
                let cause = causes(&error);
                tracing::error!(%cause, suppressed, "there is no assertion for the application behind a door");
            }
            Outcome::Unready
        }
    }
}

fn judge(app: &App, knock: &Knock<'_, '_>) -> Result<Granted, (Refused, Option<TokenRef>)> {
    let nobody = |reason: Reason| (Refused::from(reason), None);
    let Wanted { demand, .. } = knock.demand.as_ref().map_err(|BadDemand| nobody(Reason::BadDemand))?;
    let request = knock.original.map_err(nobody)?;
    let shown = credential::find(app, knock.signals).map_err(nobody)?;
    let presented = shown.presented().ok_or_else(|| nobody(Reason::Malformed))?;
    let Knock { door, address, signals, .. } = *knock;
    let sighting = Sighting { door, address, user_agent: signals.user_agent, request };
    match app.authority.verify(&presented, demand, sighting) {
        Decision::Granted(granted) => Ok(granted),
        Decision::Denied { reason, token, exceeded } => Err((Refused { reason, exceeded }, token)),
    }
}

/// The credential that a request shows, found as a door finds it, for an API that takes the same ones.
pub(crate) fn shown<'r>(app: &'r App, headers: &'r HeaderMap) -> Result<Shown<'r>, Reason> {
    credential::find(app, &Signals::read(headers, app.single_header()))
}

/// The signed token in a cookie, when there is one.
pub(crate) fn cookie(headers: &HeaderMap) -> Option<&str> {
    match Signals::read(headers, None).cookie {
        Once::Value(value) => std::str::from_utf8(value).ok(),
        Once::Absent | Once::Repeated => None,
    }
}

/// Answers whoever asks a door without the certificate that it needs; one line, as far as the rate allows.
pub(crate) fn refuse_without_certificate(app: &App, peer: IpAddr) -> DoorResponse {
    if let Sample::Write { suppressed } = app.no_certificate_lines.sample(app.authority.now()) {
        tracing::warn!(peer = %peer, suppressed, "a door was asked without a certificate of `tls_client_ca`");
    }
    reply::without_certificate()
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
            "the demand in a proxy's configuration is not understood, or the application of its `assertion` is none \
             of `cloudflare_access.applications`; everything it guards is refused"
        );
        return;
    }
    tracing::info!(reason = reason_word, token, address, suppressed, "refused at the door");
}
