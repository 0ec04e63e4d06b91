//! OAuth's ways to get a token, to ask about one and to end it: client credentials (RFC 6749), introspection (RFC 7662),
//! revocation (RFC 7009), keys (RFC 7517), and the metadata by which clients find them (RFC 8414). Errors are those of RFC 6749.
//!
//! Introspection is a door, and like [`crate::doors`] it is answered before any router. Who asks is found by
//! [`client`], in what [`form`] has read.

mod certificates;
mod client;
mod failure;
mod form;
mod identity;
mod introspect;
mod key_set;
mod metadata;
mod openapi;
mod revoke;
mod token;

use std::sync::Arc;

use axum::Router;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;

pub(crate) use failure::refuse;
pub(crate) use introspect::introspect;
pub(crate) use openapi::openapi;

/// All routes of this wire but that of introspection.
pub(crate) fn routes() -> Router<Arc<App>> {
    operations().into()
}

/// Route and description in one line each, so that none can be forgotten in the other.
fn operations() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(token::exchange))
        .routes(routes!(revoke::revoke))
        .routes(routes!(metadata::show))
        .routes(routes!(key_set::show))
        .routes(routes!(certificates::show))
        .routes(routes!(identity::show))
}

/// Whether a path is that of introspection.
pub(crate) fn is_introspection(path: &str) -> bool {
    path == introspect::PATH
}

/// Whether a path belongs to this wire.
pub(crate) fn is_path(path: &str) -> bool {
    ["/oauth2", "/.well-known", "/cdn-cgi"]
        .iter()
        .any(|prefix| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}
