//! `POST /oauth2/token`: client credentials (RFC 6749, 4.4).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use countersign_authority::{
    Decision, Exchange, ExchangeRefusal, Granted, MOST_RESOURCES, Sighting, is_resource,
};
use countersign_domain::demand::Demand;
use countersign_domain::fact::Kind;
use countersign_domain::scope::{Scope, Scopes};
use countersign_domain::usage::Door;
use countersign_domain::verdict::{Reason, Refusal};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use super::client;
use super::failure::{Failure, Failures};
use super::form::{self, Form};
use crate::App;
use crate::limits::say_left;
use crate::observe::arrival;
use crate::wire::{Fault, json_answer};

/// The form of a request.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a form that is read parameter by parameter")]
pub(super) struct TokenForm {
    /// `client_credentials`.
    grant_type: String,
    /// What the token is to be used for, separated by blanks; left out: whatever the service token may be.
    scope: Option<String>,
    /// For whom it is to be, an absolute URI; may be given several times. Left out: the issuer.
    resource: Option<String>,
    /// Of the service token, when it is not in `Authorization: Basic`.
    client_id: Option<String>,
    /// Of the service token.
    client_secret: Option<String>,
}

/// A signed token (RFC 6749, 5.1).
#[derive(Serialize, ToSchema)]
pub(super) struct TokenBody {
    /// A JWT (RFC 9068).
    access_token: String,
    /// `Bearer`.
    token_type: &'static str,
    /// Seconds.
    expires_in: u64,
    /// What it may be used for, separated by blanks; `DEFAULT`: everything its account may.
    scope: String,
}

/// `POST /oauth2/token`: a short-lived JWT for the secret of a service token, which services check by themselves.
///
/// It ends with the secret that was shown and with the service token: at our doors at once, with services that check by
/// themselves when it expires, or when they hear of it from `GET /api/v1/revocations`.
#[utoipa::path(
    post,
    path = "/oauth2/token",
    operation_id = "exchange",
    request_body(content = TokenForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "the token", body = TokenBody), Failures),
    security(("client" = [])),
    tag = "oauth"
)]
pub(super) async fn exchange(State(app): State<Arc<App>>, request: Request) -> Response {
    answer(&app, request).await.unwrap_or_else(IntoResponse::into_response)
}

async fn answer(app: &App, request: Request) -> Result<Response, Failure> {
    let (parts, body) = request.into_parts();
    let arrival = arrival(&parts.extensions);
    let body = form::read(&parts.headers, body).await?;
    let form = Form::parse(&body)?;
    if app.check_fresh().is_err() {
        app.metrics.count_unready();
        return Err(Failure::Unready);
    }
    let client = client::find(&parts.headers, &form)?.ok_or(Failure::InvalidClient)?;
    let asked = asked(&form)?;
    let granted = admit(app, &client, Sighting { door: Door::Token, ..arrival.sighting() })?;
    let exchanged = match app.authority.exchange(&granted, asked) {
        Ok(exchanged) => exchanged,
        Err(refusal) => {
            app.authority.give_back(&granted);
            return match refusal {
                ExchangeRefusal::Scope => Err(Failure::InvalidScope),
                ExchangeRefusal::Resource => Err(Failure::InvalidTarget),
                ExchangeRefusal::NoServiceToken => Err(Failure::InvalidClient),
                ExchangeRefusal::Failed(error) => Ok(Fault::response(error)),
            };
        }
    };
    let scope = match exchanged.scopes.is_full() {
        true => Scope::DEFAULT.to_owned(),
        false => exchanged.scopes.joined().unwrap_or_default(),
    };
    let body = TokenBody {
        access_token: exchanged.text,
        token_type: "Bearer",
        expires_in: exchanged.expires_in,
        scope,
    };
    let mut response = json_answer(StatusCode::OK, &body);
    // RFC 6749, 5.1; beside `no-store` it says nothing, but clients may look for it.
    response.headers_mut().insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    if let Some(allowance) = &granted.allowance {
        say_left(response.headers_mut(), allowance);
    }
    Ok(response)
}

/// Before the client is judged: a request that is none is no use of its credential.
fn asked(form: &Form<'_>) -> Result<Exchange, Failure> {
    match form.get("grant_type") {
        Some("client_credentials") => {}
        Some(_) => return Err(Failure::UnsupportedGrantType),
        None => return Err(Failure::invalid("`grant_type` is missing")),
    }
    let scopes = |text| Scopes::from_joined(text).map_err(|_| Failure::InvalidScope);
    let scopes = form.get("scope").map(scopes).transpose()?;
    let resources: Vec<Box<str>> = form.resources().map(Into::into).collect();
    if resources.len() > MOST_RESOURCES || !resources.iter().all(|resource| is_resource(resource)) {
        return Err(Failure::InvalidTarget);
    }
    Ok(Exchange { scopes, resources })
}

fn admit(app: &App, client: &client::Client<'_>, sighting: Sighting<'_>) -> Result<Granted, Failure> {
    let demand = Demand { kinds: vec![Kind::Service], ..Demand::default() };
    let presented = client.service_token();
    let decision = match &presented {
        Some(presented) => app.authority.verify(presented, &demand, sighting),
        None => Decision::of_nobody(Reason::Malformed),
    };
    match decision {
        Decision::Granted(granted) => {
            app.metrics.count_verdict(Door::Token, None);
            Ok(granted)
        }
        Decision::Denied { reason, exceeded, .. } => {
            app.refuse_client(Door::Token, reason, sighting.address);
            Err(match reason.refusal() {
                Refusal::Unauthenticated => Failure::InvalidClient,
                Refusal::Forbidden => Failure::UnauthorizedClient,
                Refusal::Limited => Failure::RateLimited(exceeded),
            })
        }
    }
}
