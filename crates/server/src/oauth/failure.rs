//! What this wire answers when it does not do what was asked (RFC 6749, 5.2; RFC 6750, 3.1; RFC 7009, 2.2.1).

use axum::response::{IntoResponse, Response};
use countersign_authority::Exceeded;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

use crate::json::{BodyFault, LARGEST_BODY};
use crate::limits::say_exceeded;
use crate::wire::{Problem, json_answer};

/// Why a request was not answered as it wished.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// No client is named, or not with a good credential; the same for every cause.
    InvalidClient,
    /// A good credential, but not for this.
    InsufficientScope,
    /// A token that is not good; the same for every cause.
    InvalidToken,
    /// A good credential that was used as often as it may be.
    RateLimited(Option<Exceeded>),
    /// The request is not as it should be; the text says how.
    Invalid(&'static str),
    /// The form did not arrive, or not in time, or is too large.
    Body(BodyFault),
    /// It is a service token that was to be revoked.
    UnsupportedTokenType,
    /// What only a service token can be exchanged for (RFC 6749, 5.2).
    UnauthorizedClient,
    /// Not one of the grants that there are.
    UnsupportedGrantType,
    /// A scope that is none, or that the client has not.
    InvalidScope,
    /// A resource that is none, or for which no token is issued (RFC 8707, 2).
    InvalidTarget,
    /// Not POST.
    WrongMethod,
    /// Nothing is known yet, or not any more.
    Unready,
}

/// Every error of this wire.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErrorBody {
    /// `invalid_request`, `invalid_client`, `invalid_token`, `unauthorized_client`, `unsupported_grant_type`, `invalid_scope`, `invalid_target`,
    /// `insufficient_scope`, `rate_limited`, `unsupported_token_type`, `temporarily_unavailable`, `server_error` or `not_found`.
    error: &'static str,
    /// For people.
    error_description: String,
    /// Finds the request in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
}

/// What every operation of this wire can answer beside what it is for.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes what failures print")]
pub(super) enum Failures {
    /// The request is not good, or not allowed.
    #[response(status = "4XX")]
    Refused(ErrorBody),
    /// A fault of the server's, or too much at once.
    #[response(status = "5XX")]
    Faulty(ErrorBody),
}

impl Failure {
    /// A request that is not as it should be.
    pub(super) const fn invalid(description: &'static str) -> Self {
        Self::Invalid(description)
    }

    /// A header that goes with the answer.
    const fn header(&self) -> Option<(HeaderName, &'static str)> {
        match self {
            Self::InvalidClient => Some((header::WWW_AUTHENTICATE, "Basic realm=\"countersign\"")),
            Self::InsufficientScope => Some((
                header::WWW_AUTHENTICATE,
                "Bearer realm=\"countersign\", error=\"insufficient_scope\", scope=\"countersign:verify\"",
            )),
            Self::InvalidToken => {
                Some((header::WWW_AUTHENTICATE, "Bearer realm=\"countersign\", error=\"invalid_token\""))
            }
            Self::WrongMethod => Some((header::ALLOW, "POST")),
            Self::Unready => Some((header::RETRY_AFTER, "1")),
            Self::RateLimited(_)
            | Self::Invalid(_)
            | Self::Body(_)
            | Self::UnsupportedTokenType
            | Self::UnauthorizedClient
            | Self::UnsupportedGrantType
            | Self::InvalidScope
            | Self::InvalidTarget => None,
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let header = self.header();
        let mut response = match self {
            Self::InvalidClient => error(
                StatusCode::UNAUTHORIZED,
                "invalid_client",
                "one good credential is needed: an access token as `Authorization: Bearer …`, or client id and secret of \
                 a service token, as `Basic` or in the form",
            ),
            Self::InsufficientScope => {
                error(StatusCode::FORBIDDEN, "insufficient_scope", "the scope `countersign:verify` is needed")
            }
            Self::InvalidToken => error(StatusCode::UNAUTHORIZED, "invalid_token", "the token is not good"),
            Self::RateLimited(exceeded) => rate_limited(exceeded.as_ref()),
            Self::Invalid(description) => error(StatusCode::BAD_REQUEST, "invalid_request", description),
            Self::Body(fault) => body_fault(&fault),
            Self::UnsupportedTokenType => error(
                StatusCode::BAD_REQUEST,
                "unsupported_token_type",
                "a service token does not end by possession, nor a signed token before it; delete the service token by its \
                 id, with an access token",
            ),
            Self::UnauthorizedClient => error(
                StatusCode::BAD_REQUEST,
                "unauthorized_client",
                "the service token is bound to other requests or addresses than this one's",
            ),
            Self::UnsupportedGrantType => error(
                StatusCode::BAD_REQUEST,
                "unsupported_grant_type",
                "`grant_type` must be `client_credentials`",
            ),
            Self::InvalidScope => error(
                StatusCode::BAD_REQUEST,
                "invalid_scope",
                "`scope` must name scopes that the service token has, separated by blanks",
            ),
            Self::InvalidTarget => error(
                StatusCode::BAD_REQUEST,
                "invalid_target",
                "`resource` must be an absolute URI without a fragment for which tokens are issued here (`jwt.resources`)",
            ),
            Self::WrongMethod => wrong_method(),
            Self::Unready => unavailable(None),
        };
        if let Some((name, value)) = header {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

fn error(status: StatusCode, error: &'static str, description: impl Into<String>) -> Response {
    json_answer(status, &ErrorBody { error, error_description: description.into(), request_id: None })
}

fn rate_limited(exceeded: Option<&Exceeded>) -> Response {
    let description = "the client's credential was used as often as it may be";
    let mut response = error(StatusCode::TOO_MANY_REQUESTS, "rate_limited", description);
    if let Some(exceeded) = exceeded {
        say_exceeded(response.headers_mut(), exceeded);
    }
    response
}

fn body_fault(fault: &BodyFault) -> Response {
    let (status, description) = match fault {
        BodyFault::TooLarge => {
            (StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than {LARGEST_BODY} bytes"))
        }
        BodyFault::Late => (StatusCode::REQUEST_TIMEOUT, "the request was not complete in time".into()),
        BodyFault::Unreadable
        | BodyFault::Busy
        | BodyFault::Malformed(_)
        | BodyFault::TooDeep
        | BodyFault::NotAnObject
        | BodyFault::Field { .. } => (StatusCode::BAD_REQUEST, "the body could not be read".into()),
    };
    error(status, "invalid_request", description)
}

fn wrong_method() -> Response {
    error(
        StatusCode::METHOD_NOT_ALLOWED,
        "invalid_request",
        "this path has other methods; `Allow` names them",
    )
}

fn unavailable(request_id: Option<String>) -> Response {
    let body = ErrorBody {
        error: "temporarily_unavailable",
        error_description: "this cannot be answered now; ask again in a moment".into(),
        request_id,
    };
    json_answer(StatusCode::SERVICE_UNAVAILABLE, &body)
}

/// What can go wrong whatever the route.
pub(crate) fn refuse(problem: &Problem<'_>) -> Response {
    match problem {
        Problem::NoRoute { .. } => error(StatusCode::NOT_FOUND, "not_found", "there is nothing at this path"),
        Problem::WrongMethod { .. } => wrong_method(),
        Problem::Unavailable { request_id, .. } => unavailable(Some((*request_id).to_owned())),
        Problem::Fault { request_id } => {
            let body = ErrorBody {
                error: "server_error",
                error_description: "a fault of the server's; its log has the cause under the request's id"
                    .into(),
                request_id: Some((*request_id).to_owned()),
            };
            json_answer(StatusCode::INTERNAL_SERVER_ERROR, &body)
        }
    }
}
