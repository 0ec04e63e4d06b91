//! The HTTP door: `/authz` and `/authz/{*path}`. No body is read: everything is in the head.

use std::net::IpAddr;
use std::time::Instant;

use countersign_domain::usage::Door;
use http::Request;

use super::demand::{self, Own as OwnDemand};
use super::original::{self, Own as OwnRequest};
use super::signals::{Once, Signals};
use super::{DoorResponse, Knock, Outcome, decide, reply};
use crate::App;

/// Whether a path is this door's.
pub(crate) fn is_door(path: &str) -> bool {
    path.strip_prefix("/authz").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Answers one request.
pub(crate) fn answer<B>(app: &App, request: &Request<B>, peer: IpAddr) -> DoorResponse {
    let started = Instant::now();
    let signals = Signals::read(request.headers(), app.single_header());
    let response = match decide(app, &knock(app, request, &signals, peer)) {
        Outcome::Granted(granted, assertion) => reply::granted(&granted, assertion.as_deref()),
        Outcome::Denied(refused) => reply::denied(&refused),
        Outcome::Unready => return reply::unready(),
    };
    app.metrics.observe_door(started.elapsed());
    response
}

pub(super) fn knock<'r, 's, B>(
    app: &App,
    request: &'r Request<B>,
    signals: &'s Signals<'r>,
    peer: IpAddr,
) -> Knock<'r, 's> {
    Knock {
        door: Door::Authz,
        signals,
        demand: demand::read(own_demand(request), signals, &app.settings.applications),
        original: original::read(own_request(request), signals),
        address: client(app, request, signals, peer),
    }
}

/// At `/authz` the query is the proxy's own; below, it is the client's.
fn own_demand<B>(request: &Request<B>) -> OwnDemand<'_> {
    match request.uri().path() {
        "/authz" => OwnDemand::Query(request.uri().query().unwrap_or_default().as_bytes()),
        _ => OwnDemand::InHeader,
    }
}

/// Below `/authz/` the proxy has put its own path before the original one.
fn own_request<B>(request: &Request<B>) -> OwnRequest<'_> {
    if request.uri().path() == "/authz" {
        return OwnRequest::default();
    }
    let whole = request.uri().path_and_query().map_or("", |both| both.as_str());
    let target = whole.strip_prefix("/authz").unwrap_or(whole);
    OwnRequest {
        method: Once::Value(request.method().as_str().as_bytes()),
        target: Once::Value(target.as_bytes()),
    }
}

/// The client's address; the header is looked up only when the one pass has seen it.
fn client<B>(app: &App, request: &Request<B>, signals: &Signals<'_>, peer: IpAddr) -> Option<IpAddr> {
    if signals.has_forwarded_for {
        return app.settings.trusted_proxies.client(peer, request.headers());
    }
    Some(peer)
}
