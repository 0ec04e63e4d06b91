//! What this wire answers when it does not do what was asked (space-invoices-loopback.md 4 to 6).

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use countersign_domain::error::{Denial, Error, Field};
use countersign_domain::verdict::Reason;
use http::{HeaderValue, StatusCode, header};

use super::error::{ErrorObject, Flaw, authorization_required, refused, unauthorized};
use crate::json::BodyFault;
use crate::wire::{Denied, Fault};

/// LoopBack's names of what there is.
pub(super) const ACCESS_TOKEN: &str = "AccessToken";
pub(super) const ACCOUNT: &str = "Account";
pub(super) const ORGANIZATION: &str = "Organization";

/// Why an operation was not done.
#[derive(Debug)]
pub(super) enum Failure {
    /// No credential, or not a good one.
    Unauthenticated,
    /// An account that is foreign or none, a scope that is missing. Its answer is that of [`Self::Unauthenticated`].
    Denied(Denial),
    /// The token has expired.
    ExpiredToken,
    /// An escape in the path is not whole, or not UTF-8.
    UndecodablePath,
    /// The body is in a form that is not read.
    UnsupportedBody(String),
    /// The body is no JSON object.
    Body(BodyFault),
    /// The filter is nested too deep.
    QueryTooDeep,
    /// Something is malformed; the whole message.
    Malformed(String),
    /// Properties of what was to be made or changed are wrong.
    Invalid {
        /// What it was to be.
        model: &'static str,
        /// One or more.
        flaws: Vec<Flaw>,
    },
    /// Something is missing or wrong that LoopBack has a word for: the status, the whole message, the word.
    Coded(StatusCode, &'static str, &'static str),
    /// Too many attempts to log in.
    TooManyLogins(Duration),
    /// The token was used as often as it may be.
    RateLimited,
    /// There is no such token in the account.
    NoInstance {
        /// Its key, as an answer may repeat it.
        shown: String,
    },
    /// The account is full.
    LimitReached(u32),
    /// Ours.
    Fault(Error),
}

impl Failure {
    /// A wrong value of a property of an access token.
    pub(super) fn invalid(property: &'static str, reason: impl ToString) -> Self {
        Self::invalid_in(ACCESS_TOKEN, property, reason)
    }

    /// A wrong value of a property of something.
    pub(super) fn invalid_in(model: &'static str, property: &'static str, reason: impl ToString) -> Self {
        let flaw = Flaw { property, code: "custom", reason: reason.to_string() };
        Self::Invalid { model, flaws: vec![flaw] }
    }

    /// E-mail is not set up, so that nothing that needs it can be done.
    pub(super) const fn email_not_enabled() -> Self {
        let message = "E-mail is not enabled on this server, so nothing can be sent or confirmed by it";
        Self::Coded(StatusCode::BAD_REQUEST, message, "EMAIL_NOT_ENABLED")
    }
}

impl From<BodyFault> for Failure {
    fn from(fault: BodyFault) -> Self {
        match fault {
            BodyFault::Busy => Self::Fault(Error::busy()),
            other => Self::Body(other),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid { field: Field::Filter, reason } => {
                Self::Malformed(format!("The filter {reason}"))
            }
            Error::Invalid { field: Field::OldPassword, .. } => {
                Self::Coded(StatusCode::BAD_REQUEST, "Invalid current password", "INVALID_PASSWORD")
            }
            Error::Invalid { field, reason } => Self::invalid_in(model(field), property(field), reason),
            Error::Taken { field: Field::Email } => {
                let reason = "Email already exists".to_owned();
                let flaw = Flaw { property: "email", code: "uniqueness", reason };
                Self::Invalid { model: ACCOUNT, flaws: vec![flaw] }
            }
            Error::Taken { field } => Self::invalid_in(model(field), property(field), "is there already"),
            Error::LoginFailed => Self::Coded(StatusCode::UNAUTHORIZED, "login failed", "LOGIN_FAILED"),
            Error::TooManyLogins { retry_after } => Self::TooManyLogins(retry_after),
            // What is missing beside the token of a path is the account, and that is a denial as any other.
            Error::NotFound => Self::Denied(Denial::ForeignAccount),
            Error::Denied(denial) => Self::Denied(denial),
            Error::Unauthenticated => Self::Unauthenticated,
            Error::LimitReached { limit } => Self::LimitReached(limit),
            Error::Busy { .. } | Error::Store(_) => Self::Fault(error),
        }
    }
}

impl From<Reason> for Failure {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Expired => Self::ExpiredToken,
            Reason::RateLimited => Self::RateLimited,
            Reason::Malformed
            | Reason::Unknown
            | Reason::WrongSecret
            | Reason::Disabled
            | Reason::RotatedOut
            | Reason::AccountDisabled
            | Reason::AmbiguousCredential
            | Reason::WrongAudience
            | Reason::InsufficientScope
            | Reason::WrongOrganization
            | Reason::WrongAccount
            | Reason::WrongKind
            | Reason::ResourceDenied
            | Reason::AddressDenied
            | Reason::AmbiguousRequest
            | Reason::BadDemand => Self::Unauthenticated,
        }
    }
}

/// What has the value.
const fn model(field: Field) -> &'static str {
    match field {
        Field::Email
        | Field::Password
        | Field::OldPassword
        | Field::Profile
        | Field::RootAccount
        | Field::KeyInterval
        | Field::Parent => ACCOUNT,
        Field::Invited | Field::Organization => ORGANIZATION,
        Field::Name
        | Field::Lifetime
        | Field::SecretVersion
        | Field::PreviousExpiry
        | Field::Scopes
        | Field::Ttl
        | Field::Search
        | Field::Filter
        | Field::Lineage => ACCESS_TOKEN,
    }
}

/// The wire's word for a value.
const fn property(field: Field) -> &'static str {
    match field {
        Field::Name => "name",
        Field::Lifetime => "duration",
        Field::SecretVersion => "secretVersion",
        Field::PreviousExpiry => "previousExpiry",
        Field::Scopes => "scopes",
        Field::Ttl => "ttl",
        Field::Search => "search",
        Field::Email => "email",
        Field::Password => "password",
        Field::OldPassword => "oldPassword",
        Field::Profile => "custom",
        Field::RootAccount => "id",
        Field::Parent => "parentId",
        Field::Invited => "accountId",
        Field::Lineage => "id",
        Field::Organization => "organizationId",
        Field::Filter => "filter",
        Field::KeyInterval => "keyRotationIntervalDays",
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let bad = |message: String| refused(ErrorObject::new(StatusCode::BAD_REQUEST, "Error", message));
        match self {
            Self::Unauthenticated => authorization_required(),
            Self::Denied(denial) => Denied::beside(denial, authorization_required()),
            Self::ExpiredToken => unauthorized("Invalid Access Token", "INVALID_TOKEN"),
            Self::UndecodablePath => {
                let message = "Failed to decode a part of the path";
                refused(ErrorObject::new(StatusCode::BAD_REQUEST, "URIError", message))
            }
            Self::UnsupportedBody(message) => {
                let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
                refused(ErrorObject::new(status, "UnsupportedMediaTypeError", message))
            }
            Self::Body(fault) => body_fault(fault),
            Self::QueryTooDeep => refused(
                ErrorObject::new(
                    StatusCode::BAD_REQUEST,
                    "Error",
                    "The query object exceeds maximum depth 12",
                )
                .coded("QUERY_OBJECT_TOO_DEEP"),
            ),
            Self::Malformed(message) => bad(message),
            Self::Invalid { model, flaws } => refused(ErrorObject::invalid(model, flaws)),
            Self::Coded(status, message, code) => {
                refused(ErrorObject::new(status, "Error", message).coded(code))
            }
            Self::TooManyLogins(retry_after) => too_many_logins(retry_after),
            Self::RateLimited => {
                let message = "Too many requests with this token; try again later";
                let error = ErrorObject::new(StatusCode::TOO_MANY_REQUESTS, "Error", message);
                refused(error.coded("RATE_LIMIT_EXCEEDED"))
            }
            Self::NoInstance { shown } => {
                let message = format!("No instance with id {shown} found for AccessToken");
                refused(ErrorObject::new(StatusCode::NOT_FOUND, "Error", message))
            }
            Self::LimitReached(limit) => {
                let message = format!("There are {limit} already, as many as there may be");
                refused(
                    ErrorObject::new(StatusCode::UNPROCESSABLE_ENTITY, "Error", message)
                        .coded("LIMIT_REACHED"),
                )
            }
            Self::Fault(error) => Fault::response(error),
        }
    }
}

/// 429 with when to come again, in whole seconds.
fn too_many_logins(retry_after: Duration) -> Response {
    let message = "Too many attempts to log in; try again later";
    let error = ErrorObject::new(StatusCode::TOO_MANY_REQUESTS, "Error", message);
    let mut response = refused(error.coded("RATE_LIMIT_EXCEEDED"));
    let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

fn body_fault(fault: BodyFault) -> Response {
    let bad = |name, message: String| refused(ErrorObject::new(StatusCode::BAD_REQUEST, name, message));
    match fault {
        BodyFault::TooLarge => {
            let (status, message) = (StatusCode::PAYLOAD_TOO_LARGE, "request entity too large");
            refused(ErrorObject::new(status, "PayloadTooLargeError", message))
        }
        BodyFault::Unreadable | BodyFault::Busy => bad("BadRequestError", "request aborted".into()),
        BodyFault::Late => {
            let status = StatusCode::REQUEST_TIMEOUT;
            refused(ErrorObject::new(status, "RequestTimeoutError", "Request Timeout"))
        }
        BodyFault::Malformed(why) => bad("SyntaxError", why),
        BodyFault::TooDeep => bad("Error", "The body is nested deeper than 32 levels".into()),
        BodyFault::NotAnObject => bad("Error", "Value is not an object.".into()),
        BodyFault::Field { pointer, reason } => {
            let shown: String = pointer.trim_start_matches('/').chars().take(64).collect();
            bad("Error", format!("`{shown}` {reason}"))
        }
    }
}
