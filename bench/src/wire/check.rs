//! Envoy's question at the gRPC door, with everything that an Envoy says in it.

use envoy_types::pb::envoy::config::core::v3::address::Address as AnyAddress;
use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
use envoy_types::pb::envoy::config::core::v3::{Address, Metadata, SocketAddress};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Peer, Request};
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest};
use envoy_types::pb::google::protobuf::Timestamp;
use prost::Message as _;

use super::http2;

const METHOD: &str = "/envoy.service.auth.v3.Authorization/Check";

/// The request that Envoy asks about.
const PATH: &str = "/invoices/2026?page=2";
const HOST: &str = "app.bench.test";

/// How an answer begins that lets in: a status without a code.
pub(crate) const GRANTED: &[u8] = b"\x0a\x00";

/// How one begins that says who it is was not known: gRPC's code 16.
pub(crate) const UNKNOWN: &[u8] = b"\x0a\x02\x08\x10";

/// Asks the gRPC door about a service token: the same demand as at `/authz`, which is none.
pub(crate) fn check(client_id: &str, secret: &str) -> Vec<u8> {
    let attributes = AttributeContext {
        source: Some(peer("10.1.2.3", 50_412)),
        destination: Some(peer("10.1.0.1", 8080)),
        request: Some(Request {
            time: Some(Timestamp { seconds: 1_767_225_600, nanos: 123_456_000 }),
            http: Some(request(client_id, secret)),
        }),
        context_extensions: [("demand".to_owned(), "any".to_owned())].into(),
        metadata_context: Some(Metadata::default()),
        route_metadata_context: Some(Metadata::default()),
        tls_session: None,
    };
    http2::call(METHOD, &CheckRequest { attributes: Some(attributes) }.encode_to_vec())
}

fn request(client_id: &str, secret: &str) -> HttpRequest {
    let headers = [
        (":authority", HOST),
        (":method", "GET"),
        (":path", PATH),
        (":scheme", "http"),
        ("cf-access-client-id", client_id),
        ("cf-access-client-secret", secret),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64) bench/1.0"),
        ("accept", "*/*"),
        ("x-forwarded-proto", "http"),
        ("x-request-id", "5d2c1f0e-7a64-4c1b-9f1e-3b8a0c6d2e4f"),
    ];
    HttpRequest {
        id: "14215390814772011539".to_owned(),
        method: "GET".to_owned(),
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        path: PATH.to_owned(),
        host: HOST.to_owned(),
        scheme: "http".to_owned(),
        // It has no body.
        size: -1,
        protocol: "HTTP/1.1".to_owned(),
        ..HttpRequest::default()
    }
}

fn peer(address: &str, port: u32) -> Peer {
    let socket = SocketAddress {
        address: address.to_owned(),
        port_specifier: Some(PortSpecifier::PortValue(port)),
        ..SocketAddress::default()
    };
    Peer { address: Some(Address { address: Some(AnyAddress::SocketAddress(socket)) }), ..Peer::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::http2::{Frame, message, parse_frame};

    #[test]
    fn a_check_shows_the_token_and_states_the_demand() {
        let frames = check("id.access", "secret");
        let (_, head) = parse_frame(&frames).unwrap().unwrap();
        let Frame::Data { part, ends: true, .. } = parse_frame(&frames[head..]).unwrap().unwrap().0 else {
            panic!("there is no message");
        };
        let attributes = CheckRequest::decode(message(part).unwrap()).unwrap().attributes.unwrap();
        assert_eq!(attributes.context_extensions, [("demand".to_owned(), "any".to_owned())].into());
        let headers = attributes.request.unwrap().http.unwrap().headers;
        assert_eq!(headers["cf-access-client-id"], "id.access");
        assert_eq!(headers["cf-access-client-secret"], "secret");
    }
}
