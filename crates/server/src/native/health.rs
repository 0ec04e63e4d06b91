//! Whether it lives, whether it can serve, and its numbers. Open to whoever reaches the listener.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use countersign_authority::Unready;
use countersign_domain::lease::Freshness;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use super::problem::{Failures, refuse};
use crate::App;
use crate::observe::arrival;
use crate::wire::{Problem, json_answer};

const OPENMETRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// How it is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HealthOutput {
    /// `ok`, `stale` or `unavailable`.
    status: &'static str,
    /// When unavailable: `draining`, `directory_not_loaded`, `lease_lapsed` or `store_unavailable`. When stale, which
    /// doors serve by the operator's wish: `lease_lapsed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

fn healthy() -> Response {
    json_answer(StatusCode::OK, &HealthOutput { status: "ok", reason: None })
}

/// Doors serve, by what was known when the lease lapsed.
fn stale() -> Response {
    json_answer(StatusCode::OK, &HealthOutput { status: "stale", reason: Some("lease_lapsed") })
}

fn unready(reason: &'static str) -> Response {
    json_answer(
        StatusCode::SERVICE_UNAVAILABLE,
        &HealthOutput { status: "unavailable", reason: Some(reason) },
    )
}

/// `GET /healthz`: the process lives.
#[utoipa::path(get, path = "/healthz", responses((status = 200, description = "alive", body = HealthOutput)), security(()), tag = "health")]
pub(super) async fn alive() -> Response {
    healthy()
}

/// `GET /readyz`: requests can be served; otherwise why not.
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "ready",
    responses((status = 200, description = "ready", body = HealthOutput),
        (status = 503, description = "not ready", body = HealthOutput)),
    security(()),
    tag = "health"
)]
pub(super) async fn ready(State(app): State<Arc<App>>) -> Response {
    if app.is_draining() {
        return unready("draining");
    }
    match app.authority.readiness() {
        Err(Unready::Loading) => unready("directory_not_loaded"),
        Err(Unready::Lapsed) => unready("lease_lapsed"),
        Ok(Freshness::Stale | Freshness::Lapsed) => stale(),
        Ok(Freshness::Fresh) if app.health.is_good(&app.authority).await => healthy(),
        Ok(Freshness::Fresh) => unready("store_unavailable"),
    }
}

/// `GET /metrics`: for Prometheus, in OpenMetrics text.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    responses((status = 200, description = "the numbers", body = String, content_type = "application/openmetrics-text"),
        Failures),
    security(()),
    tag = "health"
)]
pub(super) async fn metrics(State(app): State<Arc<App>>, request: Request) -> Response {
    match app.metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics could not be written");
            let arrival = arrival(request.extensions());
            refuse(&Problem::Fault { request_id: arrival.origin.request_id.as_deref().unwrap_or_default() })
        }
    }
}
