//! Cloudflare Access service tokens: seven operations, with and without `/client/v4`, in the v4 envelope
//! (cloudflare-access.md). Its words (`client_secret`, `duration`) are not known below this folder.

mod auth;
mod body;
mod envelope;
mod failure;
mod openapi;
mod query;
mod service_tokens;

use std::sync::Arc;

use axum::Router;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;

pub(crate) use envelope::refuse;
pub(crate) use openapi::openapi;

/// The wire's routes.
pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new().nest("/client/v4", operations().into()).merge(operations())
}

/// Route and description in one line each, so that none can be forgotten in the other.
fn operations() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(service_tokens::create, service_tokens::list))
        .routes(routes!(service_tokens::show, service_tokens::update, service_tokens::delete))
        .routes(routes!(service_tokens::refresh))
        .routes(routes!(service_tokens::rotate))
}
