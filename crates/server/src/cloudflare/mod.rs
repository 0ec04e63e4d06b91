//! Cloudflare Access service tokens: seven operations, and three on keys, with and without `/client/v4`, in the v4 envelope
//! (cloudflare-access.md). Its words (`client_secret`, `duration`) are not known below this folder.

mod auth;
mod body;
mod envelope;
mod failure;
mod keys;
mod openapi;
mod query;
mod service_tokens;

use std::borrow::Cow;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use http::Uri;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;

pub(crate) use envelope::refuse;
pub(crate) use openapi::openapi;

/// Cloudflare's own base path, which clients may keep or leave out.
const BASE_PATH: &str = "/client/v4";

/// The wire's routes, without the base path.
pub(crate) fn routes() -> Router<Arc<App>> {
    operations().into()
}

/// Stands in the extensions of a request whose base path was taken off.
#[derive(Clone)]
struct HadBasePath;

/// The path of a request as the client wrote it.
pub(crate) fn path_as_it_came(request: &Request) -> Cow<'_, str> {
    let path = request.uri().path();
    match request.extensions().get::<HadBasePath>() {
        Some(HadBasePath) => format!("{BASE_PATH}{path}").into(),
        None => path.into(),
    }
}

/// Takes the base path off a request to one of the routes. Every other request passes untouched.
pub(crate) fn without_base_path(mut request: Request) -> Request {
    let rest = request.uri().path_and_query().and_then(|whole| whole.as_str().strip_prefix(BASE_PATH));
    if let Some(rest) = rest.filter(|rest| rest.starts_with("/accounts/"))
        && let Ok(path_and_query) = rest.parse()
    {
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.path_and_query = Some(path_and_query);
        *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
        request.extensions_mut().insert(HadBasePath);
    }
    request
}

/// Route and description in one line each, so that none can be forgotten in the other.
fn operations() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(service_tokens::create, service_tokens::list))
        .routes(routes!(service_tokens::show, service_tokens::update, service_tokens::delete))
        .routes(routes!(service_tokens::refresh))
        .routes(routes!(service_tokens::rotate))
        .routes(routes!(keys::show, keys::update))
        .routes(routes!(keys::rotate))
}
