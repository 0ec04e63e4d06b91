//! All routes, and what stands around them.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware;
use axum::response::Response;
use tower::ServiceExt;

use crate::listener::Exposure;
use crate::observe::{AsItCame, method_word, observe};
use crate::wire::{Problem, Wire};
use crate::{App, cloudflare, loopback, native, oauth};

/// The routes of the API as one service.
#[derive(Clone)]
pub struct Service {
    app: Arc<App>,
    exposure: Exposure,
    router: Router,
}

impl Service {
    /// The routes that a listener of this exposure answers.
    pub fn new(app: &Arc<App>, exposure: Exposure) -> Self {
        let routes = match exposure {
            Exposure::Everything => Router::new()
                .merge(cloudflare::routes())
                .merge(loopback::routes())
                .merge(native::routes())
                .merge(oauth::routes()),
            Exposure::Internal => native::internal_routes(),
        };
        let router = routes
            .fallback(no_route)
            .method_not_allowed_fallback(wrong_method)
            .layer(middleware::from_fn_with_state(Arc::clone(app), observe))
            .with_state(Arc::clone(app));
        Self { app: Arc::clone(app), exposure, router }
    }

    /// Answers one request.
    pub async fn call(&self, request: Request) -> Response {
        if self.exposure == Exposure::Everything {
            if oauth::is_introspection(request.uri().path()) {
                return oauth::introspect(&self.app, request).await;
            }
            if native::is_verification(&request) {
                return native::verify_at_once(&self.app, AsItCame::keep(request)).await;
            }
            if let Some(response) = loopback::at_once(&self.app, &request) {
                return response;
            }
        }
        let request = AsItCame::keep(request);
        let Ok(response): Result<Response, Infallible> =
            self.router.clone().oneshot(loopback::fold_case(cloudflare::without_base_path(request))).await;
        response
    }
}

async fn no_route(request: Request) -> Response {
    let path = &cloudflare::path_as_it_came(&request);
    Wire::of(path).refuse(&Problem::NoRoute { path })
}

async fn wrong_method(request: Request) -> Response {
    let method = method_word(request.method());
    Wire::of(request.uri().path()).refuse(&Problem::WrongMethod { method })
}
