//! Space Invoices access tokens: LoopBack 3's routes, filters and error object (space-invoices-loopback.md). Its
//! words (`ttl`, `userId`, `fk`) are not known below this folder.

mod access_tokens;
mod account_body;
mod accounts;
mod auth;
mod body;
mod brackets;
mod error;
mod failure;
mod filter;
mod kept;
mod login;
mod memberships;
mod number;
mod object;
mod openapi;
mod organization_body;
mod organizations;
mod path;

use std::sync::Arc;

use axum::Router;
use axum::routing::{MethodRouter, any, get};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

use crate::App;
use error::{no_method, no_such_account};

pub(crate) use error::refuse;
pub(crate) use kept::{Kept, at_once};
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
        .routes(routes!(accounts::create, accounts::list).map(or_no_method))
        .routes(routes!(accounts::count).map(or_no_method))
        .routes(routes!(accounts::authorized).map(or_no_method))
        .routes(routes!(accounts::is_unique).map(or_no_method))
        .routes(routes!(accounts::show, accounts::update, accounts::delete).map(or_no_method))
        .routes(routes!(accounts::disable).map(or_no_method))
        .routes(routes!(accounts::enable).map(or_no_method))
        .routes(routes!(accounts::revoke_access_tokens).map(or_no_method))
        .routes(routes!(accounts::is_verified).map(or_no_method))
        .routes(routes!(login::login).map(or_no_account))
        .routes(routes!(login::logout).map(or_no_account))
        .routes(routes!(login::impersonate).map(or_no_account))
        .routes(routes!(login::change_password).map(or_no_account))
        .routes(routes!(login::reset).map(or_no_account))
        .routes(routes!(login::reset_password).map(or_no_account))
        .routes(routes!(login::confirm).map(or_no_method))
        .routes(routes!(login::verify).map(or_no_method))
        .routes(routes!(login::send_verification).map(or_no_method))
        .routes(routes!(organizations::create, organizations::list).map(or_no_method))
        .routes(routes!(organizations::count).map(or_no_method))
        .routes(routes!(organizations::show, organizations::update).map(or_no_method))
        .routes(routes!(organizations::activate).map(or_no_method))
        .routes(routes!(organizations::deactivate).map(or_no_method))
        .routes(routes!(organizations::invite).map(or_no_method))
        .routes(routes!(organizations::list_memberships).map(or_no_method))
        .routes(routes!(organizations::list_memberships_of_account).map(or_no_method))
        .routes(routes!(memberships::delete).map(or_no_method))
        .routes(routes!(memberships::accept).map(or_no_method))
        .routes(routes!(memberships::reject).map(or_no_method))
        .routes(routes!(memberships::enable).map(or_no_method))
        .routes(routes!(memberships::disable).map(or_no_method))
        .routes(routes!(memberships::change_role).map(or_no_method))
}

/// Below the name of a model, what is no word for a method is an id: to look at `/Accounts/login` is to look at the
/// account of that id (G19).
fn or_no_account(known: MethodRouter<Arc<App>>) -> MethodRouter<Arc<App>> {
    or_no_method(known.merge(get(no_such_account)))
}

/// LoopBack has no 405 and no `Allow`: a method that a path does not have is a route that does not exist.
fn or_no_method(known: MethodRouter<Arc<App>>) -> MethodRouter<Arc<App>> {
    known.merge(any(no_method))
}
