//! Space Invoices access tokens: LoopBack 3's routes, filters and error object (space-invoices-loopback.md). Its
//! words (`ttl`, `userId`, `fk`) are not known below this folder.

mod access_tokens;
mod auth;
mod body;
mod brackets;
mod error;
mod failure;
mod filter;
mod number;
mod object;
mod openapi;
mod path;

use std::sync::Arc;

use axum::Router;
use axum::routing::{MethodRouter, any};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

use crate::App;
use error::no_method;

pub(crate) use error::refuse;
pub(crate) use openapi::openapi;
pub(crate) use path::fold_case;

/// The wire's routes; everything else below `/v1` is LoopBack's 404.
pub(crate) fn routes() -> Router<Arc<App>> {
    Router::from(operations()).route("/v1", any(no_method)).route("/v1/{*rest}", any(no_method))
}

/// Route and description in one line each, so that none can be forgotten in the other.
fn operations() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(access_tokens::create, access_tokens::list).map(or_no_method))
        .routes(routes!(access_tokens::delete).map(or_no_method))
}

/// LoopBack has no 405 and no `Allow`: a method that a path does not have is a route that does not exist.
fn or_no_method(known: MethodRouter<Arc<App>>) -> MethodRouter<Arc<App>> {
    known.merge(any(no_method))
}
