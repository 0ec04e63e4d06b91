//! What happens around every request of the API: an id, the client's address, a deadline, a log line, numbers, and
//! one place where faults are logged and answered.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use countersign_authority::{Allowance, Exceeded, Granted, Sighting};
use countersign_domain::audit::Origin;
use countersign_domain::demand::RequestLine;
use countersign_domain::error::{Error, causes};
use countersign_domain::store::StoreError;
use countersign_domain::usage::Door;
use futures_util::FutureExt;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use crate::App;
use crate::limits::{say_exceeded, say_left};
use crate::wire::{Fault, Problem, Wire};

static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest time from a request's head to its answer's head. Longer than a body may take to arrive
/// ([`crate::json::BODY_DEADLINE`]), so that what is late is our doing.
const DEADLINE: Duration = Duration::from_secs(30);
/// When to ask again after we were too slow.
const LATER: Duration = Duration::from_secs(1);

/// The peer's address, put into a request's extensions by the listener.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// A request's method and target before any of our spellings were given to it: by these a token that is bound to
/// resources is judged.
#[derive(Debug, Clone)]
pub(crate) struct AsItCame {
    method: Method,
    target: PathAndQuery,
}

impl AsItCame {
    /// Keeps them in the request.
    pub(crate) fn keep(mut request: Request) -> Request {
        if let Some(target) = request.uri().path_and_query().cloned() {
            let method = request.method().clone();
            request.extensions_mut().insert(Self { method, target });
        }
        request
    }

    fn line(&self) -> RequestLine<'_> {
        RequestLine { method: self.method.as_str(), target: self.target.as_str().as_bytes() }
    }
}

/// What is known of a request before any handler.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    /// From where, and the request's id: what the audit writes.
    pub(crate) origin: Arc<Origin>,
    /// What the client calls itself.
    user_agent: Option<HeaderValue>,
    /// What it asks for.
    asked: Option<AsItCame>,
    /// The caller's own credential, once it was found to be good.
    recognised: Arc<OnceLock<Granted>>,
    /// What is left of its limits after this request.
    left: Arc<OnceLock<Allowance>>,
    /// Or that it was used too often.
    exceeded: Arc<OnceLock<Exceeded>>,
}

impl Arrival {
    fn new(origin: Origin, user_agent: Option<HeaderValue>, asked: Option<AsItCame>) -> Self {
        Self {
            origin: Arc::new(origin),
            user_agent,
            asked,
            recognised: Arc::default(),
            left: Arc::default(),
            exceeded: Arc::default(),
        }
    }

    /// Says whose request it is.
    pub(crate) fn recognise(&self, granted: Granted) {
        self.leave(granted.allowance);
        // A request has one caller; a second one could only be the same again.
        let _ = self.recognised.set(granted);
    }

    /// Says what is left of the limits of the caller's own credential.
    pub(crate) fn leave(&self, allowance: Option<Allowance>) {
        if let Some(allowance) = allowance {
            let _ = self.left.set(allowance);
        }
    }

    /// Says that the caller's own credential was used too often.
    pub(crate) fn exceed(&self, exceeded: Exceeded) {
        let _ = self.exceeded.set(exceeded);
    }

    /// Says in headers what is left of the caller's limits.
    fn say_limits(&self, headers: &mut HeaderMap) {
        if let Some(exceeded) = self.exceeded.get() {
            say_exceeded(headers, exceeded);
        } else if let Some(allowance) = self.left.get() {
            say_left(headers, allowance);
        }
    }

    /// Whose request it is, when the credential was good.
    pub(crate) fn recognised(&self) -> Option<&Granted> {
        self.recognised.get()
    }

    /// For judging the caller's own credential.
    pub(crate) fn sighting(&self) -> Sighting<'_> {
        Sighting {
            door: Door::Api,
            address: self.origin.address,
            user_agent: self.user_agent.as_ref().map_or(b"", |value| value.as_bytes()),
            request: self.asked.as_ref().map(AsItCame::line),
        }
    }
}

/// The middleware.
pub(crate) async fn observe(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    // Only route templates: a path may hold a secret, because clients do put them there.
    let route = route.as_ref().map_or("unmatched", |route| route.as_str());
    observed(&app, route, request, |request| next.run(request)).await
}

/// The answer that is made by `answer`, with everything around it.
pub(crate) async fn observed<F: Future<Output = Response>>(
    app: &App,
    route: &str,
    mut request: Request,
    answer: impl FnOnce(Request) -> F,
) -> Response {
    let started = Instant::now();
    let request_id = app.request_ids.next();
    let wire = Wire::of(request.uri().path());
    let method = request.method().clone();
    let origin = Origin { address: client(app, &request), request_id: Some(request_id.as_str().into()) };
    let user_agent = request.headers().get(header::USER_AGENT).cloned();
    let arrival = Arrival::new(origin, user_agent, request.extensions_mut().remove());
    request.extensions_mut().insert(arrival.clone());
    let mut visit = Visit { app, arrival, is_answered: false };

    let handled = AssertUnwindSafe(answer(request)).catch_unwind();
    let mut response = match tokio::time::timeout(DEADLINE, handled).await {
        Ok(Ok(response)) => answer_fault(wire, &request_id, response),
        Ok(Err(_panic)) => {
            tracing::error!(%request_id, "a handler panicked");
            wire.refuse(&Problem::Fault { request_id: &request_id })
        }
        Err(_elapsed) => {
            tracing::error!(%request_id, "a request was not answered in time; what it asked for may yet be done");
            wire.refuse(&Problem::Unavailable { request_id: &request_id, retry_after: LATER })
        }
    };
    visit.end(&response);
    visit.arrival.say_limits(response.headers_mut());
    finish(app, &request_id, route, &method, started, &mut response);
    response
}

/// Counts an answer, and gives it the request's id.
pub(crate) fn finish(
    app: &App,
    request_id: &str,
    route: &str,
    method: &Method,
    started: Instant,
    response: &mut Response,
) {
    if let Ok(value) = HeaderValue::from_str(request_id) {
        response.headers_mut().insert(&X_REQUEST_ID, value);
    }
    let took = started.elapsed();
    let status = response.status().as_u16();
    let method = method_word(method);
    app.metrics.count_api(route, method, status, took);
    // Changes are in the audit, refusals and faults have lines of their own: this one is for finding out.
    tracing::debug!(%request_id, method, route, status, micros = took.as_micros() as u64, "request");
}

/// A request until it is answered. A client that goes away before may have had its way all the same, so its token
/// counts as used.
struct Visit<'a> {
    app: &'a App,
    arrival: Arrival,
    is_answered: bool,
}

impl Visit<'_> {
    fn end(&mut self, response: &Response) {
        self.is_answered = true;
        self.app.note_caller(&self.arrival, response);
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        if !self.is_answered {
            self.app.note_absent_caller(&self.arrival);
        }
    }
}

/// Logs a fault once, with its causes, and writes its answer.
fn answer_fault(wire: Wire, request_id: &str, mut response: Response) -> Response {
    let Some(Fault(error)) = response.extensions_mut().remove::<Fault>() else { return response };
    if let Error::Busy { retry_after } = *error {
        tracing::warn!(%request_id, "too much is waiting to be written; the client was asked to come again");
        return wire.refuse(&Problem::Unavailable { request_id, retry_after });
    }
    tracing::error!(%request_id, cause = %causes(error.as_ref()), "a request failed");
    match error.as_ref() {
        Error::Store(StoreError::Unavailable(_) | StoreError::InDoubt(_)) => {
            let retry_after = Duration::from_secs(1);
            wire.refuse(&Problem::Unavailable { request_id, retry_after })
        }
        _ => wire.refuse(&Problem::Fault { request_id }),
    }
}

/// The client's address, as far as it is known.
pub(crate) fn client(app: &App, request: &Request) -> Option<IpAddr> {
    let Peer(peer) = request.extensions().get::<Peer>().copied()?;
    app.settings.trusted_proxies.client(peer, request.headers())
}

/// A method as a label; strangers can invent methods, labels must stay few and hold nothing of theirs.
pub(crate) fn method_word(method: &http::Method) -> &str {
    match method.as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS") => known,
        _ => "other",
    }
}

/// What a handler's extractor finds when the middleware was left out: never, but not worth a panic.
pub(crate) fn arrival(extensions: &http::Extensions) -> Arrival {
    extensions.get::<Arrival>().cloned().unwrap_or_else(|| Arrival::new(Origin::default(), None, None))
}

/// One value of a header; an error when it stands there more than once.
pub(crate) fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h HeaderValue>, ()> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (first, None) => Ok(first),
        _ => Err(()),
    }
}
