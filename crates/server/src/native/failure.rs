//! What this wire answers when it does not do what was asked.

use axum::response::{IntoResponse, Response};
use countersign_domain::error::{Denial, Error, Field};
use http::{HeaderValue, StatusCode, header};

use super::problem::ProblemBody;
use crate::json::{BodyFault, LARGEST_BODY};
use crate::wire::{Denied, Fault};

/// Why an operation was not done.
#[derive(Debug)]
pub(super) enum Failure {
    /// No credential, or not a good one; the same for every cause.
    Unauthenticated,
    /// The token is good, but not for this; or the account is none of the caller's. The same for both, so that ids
    /// cannot be probed.
    Denied(Denial),
    /// A value is wrong.
    Invalid {
        /// A query parameter, or a path into the body.
        field: String,
        /// A fragment that follows its name.
        reason: String,
    },
    /// The body is no JSON object.
    Body(BodyFault),
    /// There is no such token within the caller's account.
    NotFound,
    /// The account is full.
    LimitReached(u32),
    /// The token was used as often as it may be.
    RateLimited,
    /// Ours.
    Fault(Error),
}

impl Failure {
    /// A wrong value.
    pub(super) fn invalid(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), reason: reason.into() }
    }

    /// As it is of a part of the body at `place`.
    pub(super) fn within(self, place: &str) -> Self {
        match self {
            Self::Invalid { field, reason } => Self::Invalid { field: format!("{place}/{field}"), reason },
            other => other,
        }
    }
}

impl From<BodyFault> for Failure {
    fn from(fault: BodyFault) -> Self {
        match fault {
            BodyFault::Field { pointer, reason } => Self::invalid(pointer.trim_start_matches('/'), reason),
            BodyFault::Busy => Self::Fault(Error::busy()),
            other => Self::Body(other),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid { field, reason } => Self::invalid(word(field), reason),
            Error::NotFound => Self::NotFound,
            Error::Denied(denial) => Self::Denied(denial),
            Error::Unauthenticated => Self::Unauthenticated,
            Error::LimitReached { limit } => Self::LimitReached(limit),
            Error::Taken { field } => Self::invalid(word(field), "is taken"),
            Error::LoginFailed => Self::Unauthenticated,
            Error::TooManyLogins { .. } | Error::Busy { .. } | Error::Store(_) => Self::Fault(error),
        }
    }
}

/// The wire's word for a value.
const fn word(field: Field) -> &'static str {
    match field {
        Field::Name => "name",
        Field::Lifetime => "duration",
        Field::SecretVersion => "secret_version",
        Field::PreviousExpiry => "previous_secret_expires_at",
        Field::Scopes => "scopes",
        Field::Ttl => "ttl",
        Field::Search => "search",
        Field::Email => "email",
        Field::Password => "password",
        Field::OldPassword => "old_password",
        Field::Profile => "profile",
        Field::RootAccount => "account",
        Field::Parent => "parent",
        Field::Invited => "account",
        Field::Lineage => "lineage",
        Field::Organization => "organization",
        Field::Filter => "filter",
        Field::KeyInterval => "key_rotation_interval_days",
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match self {
            Self::Unauthenticated => unauthenticated(),
            Self::Denied(denial) => {
                let detail = "the token lacks the scope for this, is bound to other resources or addresses, or the account is \
                              not within its own";
                Denied::beside(denial, ProblemBody::new(StatusCode::FORBIDDEN, detail).into_response())
            }
            Self::Invalid { field, reason } => ProblemBody::of_field(field, &reason).into_response(),
            Self::Body(fault) => body_fault(fault).into_response(),
            Self::NotFound => {
                ProblemBody::new(StatusCode::NOT_FOUND, "there is no such token").into_response()
            }
            Self::LimitReached(limit) => {
                let detail = format!("the account holds {limit}, as many as it may");
                ProblemBody::new(StatusCode::UNPROCESSABLE_ENTITY, detail).into_response()
            }
            Self::RateLimited => {
                let detail = "the token was used as often as it may be; come again after `Retry-After`";
                ProblemBody::new(StatusCode::TOO_MANY_REQUESTS, detail).into_response()
            }
            Self::Fault(error) => Fault::response(error),
        }
    }
}

fn unauthenticated() -> Response {
    let detail =
        "one good credential is needed: an access token as `Authorization: Bearer …` or in `X-Access-Token`";
    let mut response = ProblemBody::new(StatusCode::UNAUTHORIZED, detail).into_response();
    let challenge = HeaderValue::from_static("Bearer realm=\"countersign\"");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    response
}

fn body_fault(fault: BodyFault) -> ProblemBody {
    let bad = |detail: String| ProblemBody::new(StatusCode::BAD_REQUEST, detail);
    match fault {
        BodyFault::TooLarge => {
            let detail = format!("the body is larger than {LARGEST_BODY} bytes");
            ProblemBody::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
        }
        BodyFault::Unreadable | BodyFault::Busy => bad("the body could not be read".into()),
        BodyFault::Late => {
            ProblemBody::new(StatusCode::REQUEST_TIMEOUT, "the request was not complete in time")
        }
        BodyFault::Malformed(why) => bad(format!("the body is not JSON: {why}")),
        BodyFault::TooDeep => bad("the body is nested deeper than 32 levels".into()),
        BodyFault::NotAnObject => bad("the body is no JSON object".into()),
        BodyFault::Field { pointer, reason } => {
            ProblemBody::of_field(pointer.trim_start_matches('/').to_owned(), &reason)
        }
    }
}
