//! `GET /.well-known/oauth-authorization-server` (RFC 8414).

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::failure::Failures;
use super::introspect;
use crate::App;
use crate::wire::json_answer;

/// What there is, and where.
#[derive(Serialize, ToSchema)]
pub(super) struct Metadata {
    /// `--public-url`.
    issuer: String,
    token_endpoint: String,
    token_endpoint_auth_methods_supported: [&'static str; 2],
    jwks_uri: String,
    introspection_endpoint: String,
    introspection_endpoint_auth_methods_supported: [&'static str; 2],
    revocation_endpoint: String,
    revocation_endpoint_auth_methods_supported: [&'static str; 3],
    /// None: nobody is asked for consent here.
    response_types_supported: [&'static str; 0],
    grant_types_supported: [&'static str; 1],
}

/// `GET /.well-known/oauth-authorization-server`: where to get tokens and keys, to introspect and to revoke (RFC 8414).
#[utoipa::path(
    get,
    path = "/.well-known/oauth-authorization-server",
    operation_id = "show_metadata",
    responses((status = 200, description = "the metadata", body = Metadata), Failures),
    security(()),
    tag = "oauth"
)]
pub(super) async fn show(State(app): State<Arc<App>>) -> Response {
    let issuer = &app.settings.public_url;
    let metadata = Metadata {
        issuer: issuer.clone(),
        token_endpoint: format!("{issuer}/oauth2/token"),
        token_endpoint_auth_methods_supported: ["client_secret_basic", "client_secret_post"],
        jwks_uri: format!("{issuer}/.well-known/jwks.json"),
        introspection_endpoint: format!("{issuer}{}", introspect::PATH),
        introspection_endpoint_auth_methods_supported: ["client_secret_basic", "client_secret_post"],
        revocation_endpoint: format!("{issuer}/oauth2/revoke"),
        revocation_endpoint_auth_methods_supported: ["client_secret_basic", "client_secret_post", "none"],
        response_types_supported: [],
        grant_types_supported: ["client_credentials"],
    };
    json_answer(StatusCode::OK, &metadata)
}
