//! HTTP, and nothing but HTTP: one folder for each wire, one for the doors, and what they share.
//!
//! A request to a door is answered by [`doors`] before any router is asked. Every other request goes through
//! [`observe`], which gives it an id, a deadline and a place in log and metrics, to the router of its [`wire`].

mod address;
mod cloudflare;
mod connection;
mod credential;
mod doors;
mod handler;
mod health;
mod json;
mod limits;
mod listener;
mod loopback;
mod metrics;
mod native;
mod oauth;
mod observe;
mod one_buffer;
mod openapi;
mod request_id;
mod restriction;
mod router;
mod sampler;
mod streams;
mod time_text;
mod tls;
mod upload;
mod wire;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use countersign_authority::{Authority, Granted, Refused, Sighting};
use countersign_domain::audit::Origin;
use countersign_domain::caller::Caller;
use countersign_domain::demand::Presented;
use countersign_domain::error::Error;
use countersign_domain::id::TokenRef;
use countersign_domain::lease::Freshness;
use countersign_domain::store::StoreError;
use countersign_domain::usage::Door;
use countersign_domain::verdict::Reason;
use http::{Request, Response, StatusCode};
use http_body_util::Full;

pub use address::TrustedProxies;
pub use doors::{Applications, SingleHeader};
pub use listener::{Exposure, serve};
pub use metrics::{Distribution, Metrics, StoreGauges, StoreNumbers};
pub use openapi::documents;
pub use router::Service;
pub use tls::{Tls, TlsConfig};

/// What a deployment says about its HTTP side.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whose forwarded addresses are believed.
    pub trusted_proxies: TrustedProxies,
    /// Most connections of one listener at once; more wait to be accepted.
    pub connections: usize,
    /// How clients reach the server, without a slash at the end: what metadata names as the issuer.
    pub public_url: String,
    /// Whether the doors answer those alone who have shown a certificate.
    pub doors_need_certificate: bool,
    /// To whom doors assert who was let in.
    pub applications: Applications,
    /// A header that holds both halves of a service token, besides `Authorization`.
    pub single_header: Option<SingleHeader>,
}

/// What every request handler needs.
pub struct App {
    pub(crate) authority: Arc<Authority>,
    pub(crate) settings: Settings,
    pub(crate) metrics: Arc<Metrics>,
    /// Bounds the log lines that strangers can cause.
    pub(crate) refusal_lines: sampler::Sampler,
    /// The same for those who ask a door without a certificate, where one is needed.
    pub(crate) no_certificate_lines: sampler::Lines,
    /// The same for those who are let in by a door that cannot say so to the application.
    pub(crate) no_assertion_lines: sampler::Lines,
    /// Names requests.
    pub(crate) request_ids: request_id::RequestIds,
    /// What accounts are, for their own tokens.
    pub(crate) own_accounts: loopback::Kept,
    /// How much has come of bodies that are not whole yet.
    pub(crate) unfinished: Arc<upload::Unfinished>,
    /// What `/readyz` says of the store.
    pub(crate) health: health::Health,
    /// Whether the process is about to end.
    draining: AtomicBool,
}

impl App {
    /// Puts the parts together. `store` is asked for the store's own numbers whenever metrics are read.
    pub fn new(authority: Arc<Authority>, settings: Settings, store: Arc<StoreGauges>) -> Arc<Self> {
        let metrics = Arc::new(Metrics::new(Arc::clone(&authority), store));
        let request_ids = request_id::RequestIds::new(&authority);
        Arc::new(Self {
            authority,
            settings,
            metrics,
            request_ids,
            refusal_lines: sampler::Sampler::default(),
            no_certificate_lines: sampler::Lines::default(),
            no_assertion_lines: sampler::Lines::default(),
            own_accounts: loopback::Kept::default(),
            unfinished: Arc::default(),
            health: health::Health::default(),
            draining: AtomicBool::new(false),
        })
    }

    /// Answers one request to a door, as a listener does for a client at `peer`.
    pub fn door<B>(&self, request: &Request<B>, peer: IpAddr) -> Response<Full<Bytes>> {
        doors::authz::answer(self, request, peer)
    }

    /// The name of the header that holds both halves of a service token, in lower case.
    pub(crate) fn single_header(&self) -> Option<&str> {
        self.settings.single_header.as_ref().map(SingleHeader::as_str)
    }

    /// Lets `/readyz` say that no more requests should be sent.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Counts what the doors know, for metrics. Walks over everything: call it about once a minute.
    pub fn take_census(&self) {
        self.metrics.record_census(self.authority.directory().census(self.authority.now()));
    }

    /// The caller of an operation of the API. Whether it is let in is seen from the answer ([`App::note_caller`]); that
    /// its credential is not good is counted and logged by [`App::refuse_caller`].
    pub(crate) fn authenticate(
        &self,
        presented: &Presented<'_>,
        arrival: &observe::Arrival,
    ) -> Result<Caller, Reason> {
        let (caller, granted) = self.authenticate_apart(presented, arrival)?;
        arrival.recognise(granted);
        Ok(caller)
    }

    /// As [`App::authenticate`], where more than the credential decides whose request it is.
    pub(crate) fn authenticate_apart(
        &self,
        presented: &Presented<'_>,
        arrival: &observe::Arrival,
    ) -> Result<(Caller, Granted), Reason> {
        let outcome = self.authority.authenticate(presented, arrival.sighting());
        outcome.map_err(|Refused { reason, exceeded }| {
            exceeded.into_iter().for_each(|exceeded| arrival.exceed(exceeded));
            reason
        })
    }

    /// Counts and logs a caller of the API whose credential was not good.
    pub(crate) fn refuse_caller(&self, reason: Reason, arrival: &observe::Arrival) {
        self.log_refusal(reason, &arrival.origin, None, reason.as_str());
    }

    /// As [`App::refuse_caller`], of a client of what comes without a request id.
    pub(crate) fn refuse_client(&self, door: Door, reason: Reason, address: Option<IpAddr>) {
        self.metrics.count_verdict(door, Some(reason));
        let origin = Origin { address, request_id: None };
        self.write_refusal(reason, &origin, None, reason.as_str());
    }

    /// Takes note of a caller with a good credential, now that the answer says what became of its request. A refused one
    /// does not move last seen (design 2.4); nor does one that is wrong in another way, because bodies are read before
    /// it is asked whether the caller may send them.
    pub(crate) fn note_caller(&self, arrival: &observe::Arrival, response: &axum::response::Response) {
        let Some(granted) = arrival.recognised() else { return };
        let sighting = arrival.sighting();
        if let Some(wire::Denied(denial)) = response.extensions().get() {
            self.authority.note_denial(granted, *denial, sighting);
            let token = granted.known.fact.token();
            self.log_refusal(denial.reason(), &arrival.origin, Some(token), &denial.to_string());
        } else if response.status() == StatusCode::UNAUTHORIZED || response.status() == StatusCode::FORBIDDEN
        {
            // Its token ended between the first look and the change.
            let token = granted.known.fact.token();
            self.log_refusal(
                Reason::Unknown,
                &arrival.origin,
                Some(token),
                "the token is no longer what it was",
            );
        } else if !response.status().is_client_error() {
            self.note_absent_caller(arrival);
        }
    }

    /// As [`App::note_caller`], for one that was not denied as far as anybody knows.
    pub(crate) fn note_absent_caller(&self, arrival: &observe::Arrival) {
        if let Some(granted) = arrival.recognised() {
            self.note_granted(granted, arrival.sighting());
        }
    }

    /// Takes note of a caller who had its way.
    pub(crate) fn note_granted(&self, granted: &Granted, sighting: Sighting<'_>) {
        self.metrics.count_verdict(Door::Api, None);
        self.authority.note_use(granted, sighting);
    }

    /// One line, as far as the rate allows, and a number.
    fn log_refusal(&self, reason: Reason, origin: &Origin, token: Option<TokenRef>, why: &str) {
        self.metrics.count_verdict(Door::Api, Some(reason));
        self.write_refusal(reason, origin, token, why);
    }

    fn write_refusal(&self, reason: Reason, origin: &Origin, token: Option<TokenRef>, why: &str) {
        if let sampler::Sample::Write { suppressed } = self.refusal_lines.sample(reason, self.authority.now())
        {
            let address = origin.address.map(tracing::field::display);
            let request_id = origin.request_id.as_deref();
            let token = token.map(tracing::field::display);
            let reason = reason.as_str();
            tracing::info!(
                request_id,
                reason,
                why,
                token,
                address,
                suppressed,
                "refused a caller of the API"
            );
        }
    }

    /// Before the directory is loaded every credential would look unknown, and without a lease one may have been revoked;
    /// that is no answer but a fault.
    pub(crate) fn check_ready(&self) -> Result<(), Error> {
        match self.authority.readiness() {
            Ok(_) => Ok(()),
            Err(unready) => Err(Error::Store(StoreError::Unavailable(unready.into()))),
        }
    }

    /// A door may go on with what it knew. What a service does by itself that asks no door has to be known now: what is got here
    /// would live there, and what is not heard here would not end there.
    pub(crate) fn check_fresh(&self) -> Result<(), Error> {
        self.check_ready()?;
        match self.authority.readiness() {
            Ok(Freshness::Fresh) => Ok(()),
            _ => Err(Error::busy()),
        }
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }
}
