//! Envoy's door: `envoy.service.auth.v3.Authorization/Check` over gRPC.
//!
//! The [`frame`] is read, the message in it becomes what every door makes of a [`request`], and the answer of the HTTP
//! door is put into Envoy's words ([`reply`]): so status, headers and bytes are the same at both.
//!
//! Whatever a client can cause is answered with a denial. An error of gRPC would be taken for a failure of this service,
//! and an Envoy with `failure_mode_allow` lets requests through then. That is also why gRPC's framing is done here: a
//! library's server answers a message that is too large, or not one, with such an error.

mod frame;
mod reply;
mod request;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body as AnyBody;
use bytes::Bytes;
use countersign_domain::usage::Door;
use countersign_domain::verdict::Reason;
use envoy_types::pb::envoy::service::auth::v3::{CheckRequest, CheckResponse};
use http::{Request, Response, StatusCode};
use hyper::body::Body;

use super::demand::Wanted;
use super::signals::Signals;
use super::{DoorResponse, Knock, Outcome, decide};
use crate::App;
use crate::upload::UploadError;
use frame::Unread;
use request::Check;

/// Whether a path is this door's.
pub(crate) fn is_check(path: &str) -> bool {
    path == "/envoy.service.auth.v3.Authorization/Check"
}

/// Answers one request.
pub(crate) async fn check<B>(app: Arc<App>, request: Request<B>, peer: IpAddr) -> Response<AnyBody>
where
    B: Body<Data = Bytes, Error = UploadError>,
{
    if !frame::is_grpc(&request) {
        let mut response = Response::new(AnyBody::empty());
        *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return response;
    }
    let message = match frame::read(request.into_body()).await {
        Ok(message) => Some(message),
        Err(Unread::NoMessage) => None,
        Err(Unread::Busy) => return denied(super::reply::unready()),
    };
    frame::write(&answer(&app, message.as_ref(), peer))
}

/// The same answer as that of the HTTP door, whatever is asked.
pub(crate) fn denied(response: DoorResponse) -> Response<AnyBody> {
    frame::write(&reply::denied(response))
}

fn answer(app: &App, message: Option<&CheckRequest>, peer: IpAddr) -> CheckResponse {
    let started = Instant::now();
    let check = message.map(Check::of);
    let signals = check.as_ref().map(|check| check.signals(app)).unwrap_or_default();
    let knock = match &check {
        Some(check) => check.knock(app, &signals, peer),
        None => unreadable(&signals),
    };
    let response = match decide(app, &knock) {
        Outcome::Granted(granted, assertion) => {
            let is_asserted = assertion.is_some();
            let removed = check.iter().flat_map(|check| check.headers_to_remove(app, is_asserted)).collect();
            reply::granted(&granted, assertion.as_deref(), removed)
        }
        Outcome::Denied(refused) => reply::denied(super::reply::denied(&refused)),
        Outcome::Unready => return reply::denied(super::reply::unready()),
    };
    app.metrics.observe_door(started.elapsed());
    response
}

/// Nobody can say what was asked.
fn unreadable<'r, 's>(signals: &'s Signals<'r>) -> Knock<'r, 's> {
    Knock {
        door: Door::ExtAuthz,
        signals,
        demand: Ok(Wanted::default()),
        original: Err(Reason::AmbiguousRequest),
        address: None,
    }
}
