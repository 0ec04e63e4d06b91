//! Countersign's own API below `/api/v1`, health, metrics and the documents; errors are RFC 9457's.

mod audit;
mod auth;
mod documents;
mod explanation;
mod failure;
mod health;
mod identity;
mod myself;
mod openapi;
mod problem;
mod query;
mod revocations;
mod usage;
mod verify;

use std::sync::Arc;

use axum::Router;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;

pub(crate) use openapi::openapi;
pub(crate) use problem::refuse;
pub(crate) use verify::{is_verification, verify_at_once};

/// All routes of this wire, and those of no wire.
pub(crate) fn routes() -> Router<Arc<App>> {
    operations().into()
}

/// What a listener answers that is for machines beside it only.
pub(crate) fn internal_routes() -> Router<Arc<App>> {
    health_operations().into()
}

/// Route and description in one line each, so that none can be forgotten in the other.
fn operations() -> OpenApiRouter<Arc<App>> {
    health_operations()
        .routes(routes!(verify::verify))
        .routes(routes!(verify::verify_batch))
        .routes(routes!(myself::show))
        .routes(routes!(audit::list))
        .routes(routes!(revocations::list))
        .routes(routes!(usage::show))
        .routes(routes!(documents::show))
}

fn health_operations() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(health::alive))
        .routes(routes!(health::ready))
        .routes(routes!(health::metrics))
}
