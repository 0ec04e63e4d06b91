//! Verification by request: for applications that have a credential in hand and no proxy to ask (design 2.4).

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts as _, Request, State};
use axum::response::{IntoResponse as _, Response};
use countersign_authority::{Decision, Sighting};
use countersign_domain::caller::{Caller, Permission};
use countersign_domain::demand::{Demand, RequestLine};
use countersign_domain::error::{Denial, Error};
use countersign_domain::usage::Door;
use countersign_domain::verdict::Reason;
use http::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::auth::Asking;
use super::explanation::Explanation;
use super::failure::Failure;
use super::identity::Identity;
use super::problem::Failures;
use crate::App;
use crate::doors::{BadDemand, DemandBuilder, Shown};
use crate::json;
use crate::limits::seconds;
use crate::observe::observed;
use crate::wire::json_answer;

/// A credential and what is wanted of it. A name that is not known, or a `null`, is refused: a demand that got lost
/// on the way must not let more in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct VerifyInput {
    /// An access token, or a signed token; either this, or the pair.
    #[serde(default, deserialize_with = "stated")]
    #[schema(value_type = String, required = false)]
    token: Option<Zeroizing<String>>,
    /// Of a service token.
    #[serde(default, deserialize_with = "stated")]
    #[schema(nullable = false)]
    client_id: Option<String>,
    /// Of a service token.
    #[serde(default, deserialize_with = "stated")]
    #[schema(value_type = String, required = false)]
    client_secret: Option<Zeroizing<String>>,
    /// All of them are needed; in each, `a|b` is one of the two.
    #[serde(default, deserialize_with = "stated")]
    #[schema(nullable = false)]
    scope: Option<Vec<String>>,
    /// In which the bearer must be allowed to act.
    #[serde(default, deserialize_with = "stated")]
    #[schema(nullable = false)]
    organization: Option<String>,
    /// To which, or below which, the credential must belong.
    #[serde(default, deserialize_with = "stated")]
    #[schema(nullable = false)]
    account: Option<String>,
    /// `service` or `access`.
    #[serde(default, deserialize_with = "stated")]
    #[schema(nullable = false)]
    kind: Option<String>,
    /// For whom a signed token must be.
    #[serde(default, deserialize_with = "stated")]
    #[schema(nullable = false)]
    audience: Option<String>,
    /// Of the request to be let in, with `uri`; a credential that is bound to resources is not good without.
    #[serde(default, deserialize_with = "stated")]
    #[schema(nullable = false)]
    method: Option<String>,
    /// Path and query of that request, as they came.
    #[serde(default, deserialize_with = "stated")]
    #[schema(nullable = false)]
    uri: Option<String>,
    /// Of the client; a credential that is bound to addresses is not good without.
    #[serde(default, deserialize_with = "stated")]
    #[schema(value_type = String, required = false)]
    address: Option<IpAddr>,
    /// Whether every check is to be told, and what to do about the one that does not hold.
    #[serde(default)]
    explain: bool,
}

/// Several of them.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BatchInput {
    /// At least one and at most 100.
    #[schema(min_items = 1, max_items = 100)]
    requests: Vec<VerifyInput>,
}

/// Most credentials of a batch.
const MOST_IN_A_BATCH: usize = 100;

/// What is there must be a value: `null` is none.
fn stated<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// What is said of the credential.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct VerifyOutput {
    /// Whether it is to be let in.
    valid: bool,
    /// Why not, in one word; `null` when it is.
    reason: Option<&'static str>,
    /// Only when it was used too often (`rate_limited`): in how many seconds it may be used again.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
    /// Whose it is; only when it is to be let in.
    #[serde(flatten)]
    identity: Option<Identity>,
    /// Only when it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<Explanation>,
}

/// What is said of several, in their order.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BatchOutput {
    results: Vec<VerifyOutput>,
}

/// `POST /api/v1/verify`: whether a credential is good for what is demanded.
///
/// Needs `countersign:verify`. Speaks only of credentials of the caller's account and of accounts below it; any other
/// is `unknown`. It counts as a use of the credential, with its limits, when it is good, `explain` or not.
#[utoipa::path(
    post,
    path = "/api/v1/verify",
    operation_id = "verify",
    request_body = VerifyInput,
    responses((status = 200, description = "the verdict", body = VerifyOutput), Failures),
    tag = "verification"
)]
pub(super) async fn verify(State(app): State<Arc<App>>, request: Request) -> Result<Response, Failure> {
    let (mut parts, body) = request.into_parts();
    let Asking { caller } = Asking::from_request_parts(&mut parts, &app).await?;
    let body = json::read(body).await?;
    let input: VerifyInput = json::parse(&body, false)?;
    check_caller(&app, &caller)?;
    let answer = Question::read(&app, &input)?.put(&app, &caller);
    Ok(json_answer(StatusCode::OK, &answer))
}

/// Where it is.
const PATH: &str = "/api/v1/verify";

/// Whether a request is one that [`verify_at_once`] answers.
pub(crate) fn is_verification(request: &Request) -> bool {
    request.method() == Method::POST && request.uri().path() == PATH
}

/// `POST /api/v1/verify` without the router, whose layers cost a fifth of it.
pub(crate) async fn verify_at_once(app: &Arc<App>, request: Request) -> Response {
    let answer = async |request| verify(State(Arc::clone(app)), request).await.into_response();
    observed(app, PATH, request, answer).await
}

/// `POST /api/v1/verify/batch`: as `verify`, of up to 100 credentials in one request.
///
/// The results stand in the order of the requests. When one of these is not good, none is answered.
#[utoipa::path(
    post,
    path = "/api/v1/verify/batch",
    operation_id = "verify_batch",
    request_body = BatchInput,
    responses((status = 200, description = "the verdicts", body = BatchOutput), Failures),
    tag = "verification"
)]
pub(super) async fn verify_batch(
    State(app): State<Arc<App>>,
    Asking { caller }: Asking,
    Body(BatchInput { requests }): Body<BatchInput>,
) -> Result<Response, Failure> {
    check_caller(&app, &caller)?;
    if !(1..=MOST_IN_A_BATCH).contains(&requests.len()) {
        return Err(Failure::invalid("requests", format!("must have 1 to {MOST_IN_A_BATCH} entries")));
    }
    let questions = requests.iter().enumerate().map(|(index, input)| {
        Question::read(&app, input).map_err(|failure| failure.within(&format!("requests/{index}")))
    });
    let questions = questions.collect::<Result<Vec<_>, _>>()?;
    let results = questions.iter().map(|question| question.put(&app, &caller)).collect();
    Ok(json_answer(StatusCode::OK, &BatchOutput { results }))
}

fn check_caller(app: &App, caller: &Caller) -> Result<(), Failure> {
    if !caller.may(Permission::Verify) {
        return Err(Error::Denied(Denial::MissingScope(Permission::Verify.scope())).into());
    }
    // The body came after the caller was judged, and may have taken a while.
    app.check_ready()?;
    if app.authority.is_current(caller) { Ok(()) } else { Err(Failure::Unauthenticated) }
}

/// What is asked, understood.
struct Question<'i> {
    /// An error is a verdict already, and no failure.
    shown: Result<Shown<'i>, Reason>,
    demand: Demand,
    request: Option<RequestLine<'i>>,
    address: Option<IpAddr>,
    explain: bool,
}

impl<'i> Question<'i> {
    fn read(app: &App, input: &'i VerifyInput) -> Result<Self, Failure> {
        Ok(Self {
            demand: input.demand()?,
            shown: input.shown(app)?,
            request: input.request(),
            address: input.address,
            explain: input.explain,
        })
    }

    /// Asks it in the caller's name.
    fn put(&self, app: &App, caller: &Caller) -> VerifyOutput {
        let sighting =
            Sighting { door: Door::Verify, address: self.address, user_agent: b"", request: self.request };
        let presented = self.shown.as_ref().map_err(|reason| *reason);
        let presented = presented.and_then(|shown| shown.presented().ok_or(Reason::Malformed));
        let decision = match presented {
            Ok(presented) => app.authority.verify_for(caller.account, &presented, &self.demand, sighting),
            Err(reason) => Decision::of_nobody(reason),
        };
        let (reason, identity, exceeded) = match &decision {
            Decision::Granted(granted) => (None, Some(Identity::of(granted)), None),
            Decision::Denied { reason, exceeded, .. } => (Some(*reason), None, exceeded.as_ref()),
        };
        app.metrics.count_verdict(Door::Verify, reason);
        VerifyOutput {
            valid: reason.is_none(),
            reason: reason.map(Reason::as_str),
            retry_after: exceeded.map(|exceeded| seconds(exceeded.retry_after)),
            identity,
            explanation: self.explain.then(|| Explanation::of(reason)),
        }
    }
}

impl VerifyInput {
    /// The credential, as far as it can be read.
    fn shown<'i>(&'i self, app: &App) -> Result<Result<Shown<'i>, Reason>, Failure> {
        match (&self.token, &self.client_id, &self.client_secret) {
            (Some(token), None, None) => Ok(Shown::of_text(app, token)),
            (None, Some(client_id), Some(secret)) => Ok(Ok(Shown::Pair(client_id, secret))),
            (None, Some(_), None) => Err(Failure::invalid("client_secret", "is needed beside `client_id`")),
            (None, None, Some(_)) => Err(Failure::invalid("client_id", "is needed beside `client_secret`")),
            (None, None, None) => {
                Err(Failure::invalid("token", "or `client_id` and `client_secret` are needed"))
            }
            (Some(_), _, _) => {
                Err(Failure::invalid("token", "cannot stand beside `client_id` or `client_secret`"))
            }
        }
    }

    /// The request to be let in, when it is stated whole.
    fn request(&self) -> Option<RequestLine<'_>> {
        let (method, uri) = self.method.as_deref().zip(self.uri.as_deref())?;
        Some(RequestLine { method, target: uri.as_bytes() })
    }

    fn demand(&self) -> Result<Demand, Failure> {
        let scopes = self.scope.iter().flatten().enumerate();
        let scopes = scopes.map(|(index, scope)| (format!("scope/{index}"), "scope", scope));
        let others = [
            ("organization", &self.organization, "must be an organization id (32 lower-case hex digits)"),
            ("account", &self.account, "must be an account id (32 lower-case hex digits)"),
            ("kind", &self.kind, "must be `service` or `access`"),
            ("audience", &self.audience, "must not be empty"),
        ];
        let mut demand = DemandBuilder::default();
        for (field, name, value) in scopes {
            let wrong = |BadDemand| Failure::invalid(field, "must be a scope, or several joined by `|`");
            demand.add(name, value).map_err(wrong)?;
        }
        for (name, value, reason) in others {
            if let Some(value) = value {
                demand.add(name, value).map_err(|BadDemand| Failure::invalid(name, reason))?;
            }
        }
        demand.build().map_err(|BadDemand| Failure::invalid("assertion", "is for doors"))
    }
}

/// A body in JSON.
pub(super) struct Body<T>(T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        let bytes = json::read(request.into_body()).await?;
        Ok(Self(json::parse(&bytes, false)?))
    }
}
