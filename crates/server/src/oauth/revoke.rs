//! `POST /oauth2/revoke` (RFC 7009).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use countersign_domain::demand::Presented;
use countersign_domain::id::ClientId;
use countersign_domain::secret::parse_service_secret;
use http::StatusCode;
use utoipa::ToSchema;

use super::client;
use super::failure::{Failure, Failures};
use super::form::{self, Form};
use crate::App;
use crate::observe::arrival;
use crate::wire::Fault;

/// The form of a revocation.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a form that is read parameter by parameter")]
pub(super) struct RevocationForm {
    /// The whole text of the access token that is to end.
    token: String,
    /// Not needed: the text says what it is.
    token_type_hint: Option<String>,
    /// Of the client, if it says who it is.
    client_id: Option<String>,
    /// Of the client, if it says who it is.
    client_secret: Option<String>,
}

/// `POST /oauth2/revoke`: ends an access token, in the name of whoever shows its whole text (RFC 7009).
///
/// Possession is enough, so no client has to say who it is; one that does must be one that may verify. What the token is
/// bound to does not matter: whoever holds it elsewhere should not. A text that is not one of a live access token is
/// answered like one that was revoked (2.2). A service token does not end by possession, nor does a signed token, which ends with it:
/// `unsupported_token_type`.
#[utoipa::path(
    post,
    path = "/oauth2/revoke",
    operation_id = "revoke",
    request_body(content = RevocationForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "it is not good any more"), Failures),
    security(()),
    tag = "oauth"
)]
pub(super) async fn revoke(State(app): State<Arc<App>>, request: Request) -> Response {
    answer(&app, request).await.unwrap_or_else(IntoResponse::into_response)
}

async fn answer(app: &App, request: Request) -> Result<Response, Failure> {
    let (parts, body) = request.into_parts();
    let arrival = arrival(&parts.extensions);
    let body = form::read(&parts.headers, body).await?;
    let form = Form::parse(&body)?;
    if app.check_ready().is_err() {
        return Err(Failure::Unready);
    }
    let token = form.token()?;
    match client::find(&parts.headers, &form)? {
        // Who shows nothing but the token that is to end says no more than that.
        None => {}
        Some(client) if client.is_token(token) => {}
        Some(client) => {
            client.authenticate(app, arrival.sighting())?;
        }
    }
    let ended = match Presented::access(token) {
        Some(presented) => app.authority.revoke_shown_access_token(&presented, &arrival.origin).await,
        None => Ok(false),
    };
    match ended {
        Ok(false) if is_service_token(token) || app.authority.is_signed_here(token) => {
            Err(Failure::UnsupportedTokenType)
        }
        Ok(_) => Ok(StatusCode::OK.into_response()),
        Err(error) => Ok(Fault::response(error)),
    }
}

/// Whether it is the secret of a service token, or both halves of one.
fn is_service_token(token: &str) -> bool {
    let client_id = token.split_once(':').map_or("", |(client_id, _)| client_id);
    client_id.parse::<ClientId>().is_ok() || parse_service_secret(token).is_some()
}
