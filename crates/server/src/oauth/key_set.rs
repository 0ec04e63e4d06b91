//! `GET /.well-known/jwks.json` (RFC 7517, 5).

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use countersign_authority::Jwk;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use super::failure::{Failure, Failures};
use crate::App;
use crate::wire::{Fault, json_answer};

/// The type of a key set (RFC 7517, 8.5.2).
const KEY_SET: HeaderValue = HeaderValue::from_static("application/jwk-set+json");
/// Shorter than any key is published before it signs, but for the first ones.
pub(crate) const KEEP: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// Every key that may have signed something which is good now, and those that will sign.
#[derive(Serialize, ToSchema)]
pub(super) struct KeySet {
    #[schema(value_type = Vec<Object>)]
    keys: Vec<Jwk>,
}

/// `GET /.well-known/jwks.json`: the keys by which signed tokens are checked.
#[utoipa::path(
    get,
    path = "/.well-known/jwks.json",
    operation_id = "show_keys",
    responses((status = 200, description = "the keys", body = KeySet, content_type = "application/jwk-set+json"), Failures),
    security(()),
    tag = "oauth"
)]
pub(super) async fn show(State(app): State<Arc<App>>) -> Response {
    match app.authority.key_set() {
        // Whoever kept an empty set would refuse everything for a while.
        Ok(keys) if keys.is_empty() => Failure::Unready.into_response(),
        Ok(keys) => {
            let mut response = json_answer(StatusCode::OK, &KeySet { keys });
            response.headers_mut().insert(header::CONTENT_TYPE, KEY_SET);
            response.headers_mut().insert(header::CACHE_CONTROL, KEEP);
            response
        }
        Err(error) => Fault::response(error),
    }
}
