//! What a message of Envoy's says, in the words of every door.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;

use countersign_domain::usage::Door;
use envoy_types::pb::envoy::config::core::v3::HeaderValue;
use envoy_types::pb::envoy::config::core::v3::address::Address;
use envoy_types::pb::envoy::service::auth::v3::attribute_context::HttpRequest;
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest};

use super::super::demand::{self, BadDemand, Own as OwnDemand, Wanted};
use super::super::original::{self, Own as OwnRequest};
use super::super::signals::{Once, Signals};
use super::super::{Knock, reply};
use crate::App;

/// The one key of `context_extensions`.
const DEMAND: &str = "demand";

/// A message, of which anything may be missing.
pub(super) struct Check<'m> {
    attributes: Option<&'m AttributeContext>,
    http: Option<&'m HttpRequest>,
}

impl<'m> Check<'m> {
    pub(super) fn of(message: &'m CheckRequest) -> Self {
        let attributes = message.attributes.as_ref();
        let http = attributes.and_then(|attributes| attributes.request.as_ref()?.http.as_ref());
        Self { attributes, http }
    }

    /// The signals in the headers of the original request.
    ///
    /// Envoy joins a header that is repeated by commas, unless it is told to send headers as they are. There is no comma
    /// in a client id or a secret, so one says that there were two. What else is joined has not the form of a credential
    /// any more, does not agree with Envoy's own words, or is no demand.
    pub(super) fn signals(&self, app: &'m App) -> Signals<'m> {
        let mut signals = Signals::of(app.single_header());
        for (name, value) in self.headers() {
            let name = lower_case(name);
            signals.add(&name, value);
            if is_half_of_the_pair(&name) && value.contains(&b',') {
                signals.add(&name, value);
            }
        }
        signals
    }

    /// What this door makes of it.
    pub(super) fn knock<'s>(&self, app: &App, signals: &'s Signals<'m>, peer: IpAddr) -> Knock<'m, 's> {
        Knock {
            door: Door::ExtAuthz,
            signals,
            demand: self.demand(app, signals),
            original: original::read(self.own_request(), signals),
            address: self.client(app, peer),
        }
    }

    /// Headers of the original request that the app must not see: the secret ends at the proxy, and of what has our name
    /// it may believe those alone that the door sets.
    pub(super) fn headers_to_remove(
        &self,
        app: &'m App,
        is_asserted: bool,
    ) -> impl Iterator<Item = String> + use<'m> {
        let single_header = app.single_header();
        let ends_here = move |name: &str| {
            let name = lower_case(name);
            name == "cf-access-client-secret"
                || single_header.is_some_and(|single_header| name == single_header)
                || is_assertion(&name, is_asserted)
                || (name.contains("countersign") && !reply::is_identity(&name))
        };
        self.headers().map(|(name, _)| name).filter(move |name| ends_here(name)).map(str::to_owned)
    }

    /// Exactly one key, which the operator has to write: any other is a typo that must not open a door.
    fn demand(&self, app: &App, signals: &Signals<'_>) -> Result<Wanted, BadDemand> {
        let mut stated = self.attributes.iter().flat_map(|attributes| &attributes.context_extensions);
        match (stated.next(), stated.next()) {
            (Some((name, text)), None) if name == DEMAND => {
                demand::read(OwnDemand::Text(text.as_bytes()), signals, &app.settings.applications)
            }
            _ => Err(BadDemand),
        }
    }

    fn own_request(&self) -> OwnRequest<'m> {
        // What is left out is empty.
        let once = |text: &'m String| match text.as_bytes() {
            b"" => Once::Absent,
            text => Once::Value(text),
        };
        self.http.map_or_else(OwnRequest::default, |http| OwnRequest {
            method: once(&http.method),
            target: once(&http.path),
        })
    }

    /// The peer is the proxy itself, so it must be a trusted one for its word about the client to count.
    fn client(&self, app: &App, peer: IpAddr) -> Option<IpAddr> {
        let source = self.attributes.and_then(|attributes| {
            match attributes.source.as_ref()?.address.as_ref()?.address.as_ref()? {
                Address::SocketAddress(socket) => Some(socket.address.as_bytes()),
                _ => None,
            }
        });
        let is_line = |(name, _): &(&str, &[u8])| name.eq_ignore_ascii_case("x-forwarded-for");
        let lines: Vec<&[u8]> = self.headers().filter(is_line).map(|(_, value)| value).collect();
        app.settings.trusted_proxies.client_behind(peer, source, lines.into_iter())
    }

    /// Every header: Envoy fills one of the two fields.
    fn headers(&self) -> impl Iterator<Item = (&'m str, &'m [u8])> + use<'m> {
        let joined = self.http.into_iter().flat_map(|http| joined(&http.headers));
        let raw = self.http.and_then(|http| http.header_map.as_ref());
        joined.chain(raw.into_iter().flat_map(|map| map.headers.iter().map(raw_header)))
    }
}

fn joined(headers: &HashMap<String, String>) -> impl Iterator<Item = (&str, &[u8])> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()))
}

fn raw_header(header: &HeaderValue) -> (&str, &[u8]) {
    match header.raw_value.as_slice() {
        [] => (&header.key, header.value.as_bytes()),
        raw => (&header.key, raw),
    }
}

/// Envoy sends names in lower case; others that speak its protocol need not.
fn lower_case(name: &str) -> Cow<'_, str> {
    match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(name.to_ascii_lowercase()),
        false => Cow::Borrowed(name),
    }
}

/// Whether a header is an assertion of the client's own, in a spelling that an app may take for it. That of the door takes the place
/// of the right one.
fn is_assertion(name: &str, is_asserted: bool) -> bool {
    match name {
        "cf-access-jwt-assertion" => !is_asserted,
        _ => name.replace('_', "-") == "cf-access-jwt-assertion",
    }
}

fn is_half_of_the_pair(name: &str) -> bool {
    matches!(name, "cf-access-client-id" | "cf-access-client-secret")
}
