//! One OpenAPI 3.1 document for each wire. They are kept in `crates/server/openapi`, where a test compares them, so
//! that every change of a wire shows in a diff; the test that tries every operation as a stranger reads them.

use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{OpenApi, SecurityRequirement};

use crate::{cloudflare, loopback, native, oauth};

/// The documents, as JSON, by the names of their wires.
pub fn documents() -> [(&'static str, String); 4] {
    [
        ("cloudflare", cloudflare::openapi()),
        ("loopback", loopback::openapi()),
        ("native", native::openapi()),
        ("oauth", oauth::openapi()),
    ]
    .map(|(wire, document)| (wire, document.to_pretty_json().unwrap_or_default()))
}

/// A place for a credential, and its name in a document.
pub(crate) type Place = (&'static str, SecurityScheme);

/// The places for an access token that our own and the LoopBack wire share.
pub(crate) fn access_token_places() -> [Place; 4] {
    let http = |scheme| SecurityScheme::Http(HttpBuilder::new().scheme(scheme).build());
    [
        ("bearer", http(HttpAuthScheme::Bearer)),
        ("basic", http(HttpAuthScheme::Basic)),
        in_header("bare", "Authorization"),
        in_header("header", "X-Access-Token"),
    ]
}

/// A header.
pub(crate) fn in_header(name: &'static str, header: &str) -> Place {
    (name, SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new(header))))
}

/// A query parameter.
pub(crate) fn in_query(name: &'static str, parameter: &str) -> Place {
    (name, SecurityScheme::ApiKey(ApiKey::Query(ApiKeyValue::new(parameter))))
}

/// States the places that operations may name.
pub(crate) fn describe_places(document: &mut OpenApi, places: impl IntoIterator<Item = Place>) {
    let components = document.components.get_or_insert_default();
    components
        .security_schemes
        .extend(places.into_iter().map(|(name, scheme)| (name.to_owned(), scheme.into())));
}

/// An access token in any of the places that are described is what operations need that do not say otherwise.
pub(crate) fn need_any_place(document: &mut OpenApi) {
    let places = document.components.iter().flat_map(|components| components.security_schemes.keys());
    let none: [&str; 0] = [];
    document.security = Some(places.map(|name| SecurityRequirement::new(name, none)).collect());
}
