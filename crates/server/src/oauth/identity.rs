//! `GET /cdn-cgi/access/get-identity`: whose the token in the cookie is (cloudflare-access.md 5.5).

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use countersign_authority::{Decision, Granted, Refused, Sighting};
use countersign_domain::demand::{Demand, Presented};
use countersign_domain::fact::Bearer;
use countersign_domain::usage::Door;
use countersign_domain::verdict::Refusal;
use http::StatusCode;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::failure::{Failure, Failures};
use crate::App;
use crate::doors::cookie;
use crate::limits::say_left;
use crate::observe::arrival;
use crate::wire::json_answer;

/// Whose it is. What only people and devices have is empty.
#[derive(Serialize, ToSchema)]
pub(super) struct Identity {
    account_id: String,
    /// The client id.
    common_name: String,
    /// The client id, too.
    service_token_id: String,
    /// `true`.
    service_token_status: bool,
    /// When the token was issued, in seconds since 1970.
    iat: i64,
    /// From where it is asked.
    #[schema(value_type = Option<String>)]
    ip: Option<IpAddr>,
    auth_status: &'static str,
    email: &'static str,
    user_uuid: &'static str,
    is_warp: bool,
    is_gateway: bool,
}

/// `GET /cdn-cgi/access/get-identity`: whose the signed token in the cookie `CF_Authorization` is, if it is good.
#[utoipa::path(
    get,
    path = "/cdn-cgi/access/get-identity",
    operation_id = "get_identity",
    responses((status = 200, description = "whose it is", body = Identity), Failures),
    security(("cookie" = [])),
    tag = "oauth"
)]
pub(super) async fn show(State(app): State<Arc<App>>, request: Request) -> Result<Response, Failure> {
    if app.check_ready().is_err() {
        app.metrics.count_unready();
        return Err(Failure::Unready);
    }
    // In Cloudflare's words.
    let Some(text) = cookie(request.headers()) else {
        return Ok(json_answer(StatusCode::BAD_REQUEST, &json!({ "err": "no app token set" })));
    };
    let arrival = arrival(request.extensions());
    let sighting = arrival.sighting();
    match judge(&app, text, sighting) {
        Ok(granted) => {
            app.metrics.count_verdict(Door::Api, None);
            let mut response = json_answer(StatusCode::OK, &identity(&granted, sighting.address));
            if let Some(allowance) = &granted.allowance {
                say_left(response.headers_mut(), allowance);
            }
            Ok(response)
        }
        Err(Refused { reason, exceeded }) => {
            app.refuse_client(Door::Api, reason, sighting.address);
            match reason.refusal() {
                Refusal::Limited => Err(Failure::RateLimited(exceeded)),
                Refusal::Unauthenticated | Refusal::Forbidden => Err(Failure::InvalidToken),
            }
        }
    }
}

fn judge(app: &App, text: &str, sighting: Sighting<'_>) -> Result<Granted, Refused> {
    let token = app.authority.read_signed(text)?;
    // For whomever it is: it is its own bearer who asks.
    let demand = Demand { audiences: token.audiences.clone(), ..Demand::default() };
    match app.authority.verify(&Presented::Signed(&token), &demand, sighting) {
        Decision::Granted(granted) => Ok(granted),
        Decision::Denied { reason, exceeded, .. } => Err(Refused { reason, exceeded }),
    }
}

fn identity(granted: &Granted, ip: Option<IpAddr>) -> Identity {
    let fact = &granted.known.fact;
    let client_id = match fact.bearer {
        Bearer::Service { client_id, .. } => client_id.to_string(),
        Bearer::Access(_) => String::new(),
    };
    Identity {
        account_id: fact.account.to_string(),
        common_name: client_id.clone(),
        service_token_id: client_id,
        service_token_status: true,
        iat: granted.signed.as_ref().map_or(0, |token| token.issued_at.as_seconds()),
        ip,
        auth_status: "NONE",
        email: "",
        user_uuid: "",
        is_warp: false,
        is_gateway: false,
    }
}
