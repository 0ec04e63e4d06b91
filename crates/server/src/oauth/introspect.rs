//! `POST /oauth2/introspect` (RFC 7662).

use std::net::IpAddr;
use std::time::Instant;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use countersign_authority::{Decision, Granted, Sighting};
use countersign_domain::demand::{Demand, RequestLine};
use countersign_domain::fact::Bearer;
use countersign_domain::organization::Organizations;
use countersign_domain::scope::Scope;
use countersign_domain::time::Timestamp;
use countersign_domain::usage::Door;
use countersign_domain::verdict::Reason;
use http::request::Parts;
use http::{Method, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use super::client::{self, Asker};
use super::failure::Failure;
use super::form::{self, Form};
use crate::App;
use crate::doors::{self, BadDemand, Shown};
use crate::limits::{LeftBody, say_left};
use crate::observe::client as client_address;
use crate::wire::json_answer;

/// What is said of a token that is not good, or none of the client's: nothing.
#[derive(Serialize, ToSchema)]
pub(super) struct Inactive {
    /// `false`.
    active: bool,
}

/// What is said of a good one: RFC 7662's words, and ours beside them.
#[derive(Serialize, ToSchema)]
pub(super) struct Active<'a> {
    /// `true`.
    active: bool,
    /// What it may be used for, separated by blanks; `DEFAULT`: everything its account may.
    scope: String,
    /// Of a service token.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    /// Of what is shown so.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'static str>,
    /// Seconds since 1970; left out when it does not end.
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
    /// When it was issued; of a signed token, as the next two.
    #[serde(skip_serializing_if = "Option::is_none")]
    iat: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    aud: Option<&'a [Box<str>]>,
    /// The account; of a signed token the client, as in the token itself.
    sub: String,
    account: String,
    /// The id of a service token, the handle of an access token.
    token: String,
    /// The same, or what names a signed token.
    jti: String,
    kind: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    organizations: Vec<String>,
    secret_version: u32,
    /// What is left after this, when its uses are limited.
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<LeftBody>,
}

/// Where it is.
pub(super) const PATH: &str = "/oauth2/introspect";

/// The form of a question.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a form that is read parameter by parameter")]
pub(super) struct IntrospectionForm {
    /// The text of an access token or of a signed one, or `<client id>:<client secret>` of a service token.
    token: String,
    /// Not needed: the text says what it is.
    token_type_hint: Option<String>,
    /// Of the request to be let in, with `uri`; a token that is bound to resources is not active without.
    method: Option<String>,
    /// Path and query of that request, as they came.
    uri: Option<String>,
    /// Of the client of that request; a token that is bound to addresses is not active without.
    address: Option<String>,
    /// Of the resource server that asks, when it does not say who it is in `Authorization`.
    client_id: Option<String>,
    /// Of the resource server.
    client_secret: Option<String>,
}

/// Answers one request.
pub(crate) async fn introspect(app: &App, request: Request) -> Response {
    let started = Instant::now();
    let response = answer(app, request).await.unwrap_or_else(IntoResponse::into_response);
    app.metrics.observe_door(started.elapsed());
    response
}

async fn answer(app: &App, request: Request) -> Result<Response, Failure> {
    if request.method() != Method::POST {
        return Err(Failure::WrongMethod);
    }
    let address = client_address(app, &request);
    let (parts, body) = request.into_parts();
    let body = form::read(&parts.headers, body).await?;
    let form = Form::parse(&body)?;
    // After the body, which may have taken a while.
    if app.check_ready().is_err() {
        app.metrics.count_unready();
        return Err(Failure::Unready);
    }
    let target = parts.uri.path_and_query().map_or(PATH, |target| target.as_str());
    let own = Sighting {
        door: Door::Api,
        address,
        user_agent: parts.headers.get(http::header::USER_AGENT).map_or(b"", |agent| agent.as_bytes()),
        request: Some(RequestLine { method: "POST", target: target.as_bytes() }),
    };
    let client = client::find(&parts.headers, &form)?.ok_or(Failure::InvalidClient)?;
    // Before the client is judged: a question that is none is no use of its credential.
    let (token, demand) = (form.token()?, demand(&parts)?);
    let sighting = Sighting {
        door: Door::Introspect,
        address: stated_address(&form)?,
        user_agent: b"",
        request: request_line(&form),
    };
    let Asker { account, allowance } = client.authenticate(app, own)?;
    let shown = shown(app, token);
    let presented = shown.as_ref().map_err(|reason| *reason);
    let decision = match presented.and_then(|shown| shown.presented().ok_or(Reason::Malformed)) {
        Ok(presented) => app.authority.verify_for(account, &presented, &demand, sighting),
        Err(reason) => Decision::of_nobody(reason),
    };
    let mut response = match decision {
        Decision::Granted(granted) => {
            app.metrics.count_verdict(Door::Introspect, None);
            json_answer(StatusCode::OK, &active(app, &granted))
        }
        Decision::Denied { reason, .. } => {
            app.metrics.count_verdict(Door::Introspect, Some(reason));
            json_answer(StatusCode::OK, &Inactive { active: false })
        }
    };
    if let Some(allowance) = &allowance {
        say_left(response.headers_mut(), allowance);
    }
    Ok(response)
}

/// A service token is written `<client id>:<client secret>`.
fn shown<'f>(app: &App, token: &'f str) -> Result<Shown<'f>, Reason> {
    match token.split_once(':') {
        Some((client_id, secret)) => Ok(Shown::Pair(client_id, secret)),
        None => Shown::of_text(app, token),
    }
}

/// What the service that asks demands: in the query, as at `/authz`.
fn demand(parts: &Parts) -> Result<Demand, Failure> {
    let query = parts.uri.query().unwrap_or_default();
    let demand = doors::demand_of_query(query.as_bytes());
    demand.map_err(|BadDemand| Failure::invalid("the demand in the query is not understood"))
}

fn stated_address(form: &Form<'_>) -> Result<Option<IpAddr>, Failure> {
    let parse = |text: &str| text.parse::<IpAddr>().map(|address| address.to_canonical());
    let address = form.get("address").map(parse).transpose();
    address.map_err(|_| Failure::invalid("`address` must be an IP address"))
}

fn request_line<'f>(form: &'f Form<'_>) -> Option<RequestLine<'f>> {
    let (method, uri) = form.get("method").zip(form.get("uri"))?;
    Some(RequestLine { method, target: uri.as_bytes() })
}

fn active<'a>(app: &'a App, granted: &'a Granted) -> Active<'a> {
    let fact = &granted.known.fact;
    let scopes = granted.scopes();
    let signed = granted.signed.as_deref();
    let scope = match scopes.is_full() {
        true => Scope::DEFAULT.to_owned(),
        false => scopes.joined().unwrap_or_default(),
    };
    let (client_id, token_type) = match fact.bearer {
        Bearer::Service { client_id, .. } => (Some(client_id.to_string()), signed.map(|_| "Bearer")),
        Bearer::Access(_) => (None, Some("Bearer")),
    };
    let organizations = granted.known.organizations(Organizations::MOST);
    Active {
        active: true,
        scope,
        client_id,
        token_type,
        exp: Some(granted.expires_at()).filter(|end| *end != Timestamp::NEVER).map(Timestamp::as_seconds),
        iat: signed.map(|token| token.issued_at.as_seconds()),
        iss: signed.map(|_| &*app.settings.public_url),
        aud: signed.map(|token| &*token.audiences),
        sub: signed.map_or_else(|| fact.account.to_string(), |token| token.client_id.to_string()),
        account: fact.account.to_string(),
        token: fact.token().to_string(),
        jti: signed.map_or_else(|| fact.token().to_string(), |token| token.id.to_string()),
        kind: fact.kind().as_str(),
        name: &fact.name,
        organizations: organizations.iter().map(ToString::to_string).collect(),
        secret_version: granted.grant.secret_version,
        limits: granted.allowance.as_ref().map(LeftBody::of),
    }
}
