//! What this wire answers when it does not do what was asked (space-invoices-loopback.md 4 to 6).

use axum::response::{IntoResponse, Response};
use countersign_domain::error::{Denial, Error, Field};
use countersign_domain::verdict::Reason;
use http::StatusCode;

use super::error::{ErrorObject, refused, unauthorized};
use crate::json::BodyFault;
use crate::wire::{Denied, Fault};

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
    /// A value is wrong.
    Invalid {
        /// The property.
        property: &'static str,
        /// A fragment that follows its name.
        reason: String,
    },
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
    /// A wrong value of a property.
    pub(super) fn invalid(property: &'static str, reason: impl ToString) -> Self {
        Self::Invalid { property, reason: reason.to_string() }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid { field: Field::Filter, reason } => {
                Self::Malformed(format!("The filter {reason}"))
            }
            Error::Invalid { field, reason } => Self::Invalid { property: property(field), reason },
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
            Reason::Malformed
            | Reason::Unknown
            | Reason::WrongSecret
            | Reason::Disabled
            | Reason::RotatedOut
            | Reason::AccountDisabled
            | Reason::AmbiguousCredential
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
        Field::Filter => "filter",
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
            Self::Invalid { property, reason } => refused(ErrorObject::invalid(property, reason)),
            Self::NoInstance { shown } => {
                let message = format!("No instance with id {shown} found for AccessToken");
                refused(ErrorObject::new(StatusCode::NOT_FOUND, "Error", message))
            }
            Self::LimitReached(limit) => {
                let message = format!("The account holds {limit} access tokens, as many as it may");
                refused(
                    ErrorObject::new(StatusCode::UNPROCESSABLE_ENTITY, "Error", message)
                        .coded("LIMIT_REACHED"),
                )
            }
            Self::Fault(error) => Fault::response(error),
        }
    }
}

/// The one answer to every denial.
fn authorization_required() -> Response {
    unauthorized("Authorization Required", "AUTHORIZATION_REQUIRED")
}

fn body_fault(fault: BodyFault) -> Response {
    let bad = |name, message: String| refused(ErrorObject::new(StatusCode::BAD_REQUEST, name, message));
    match fault {
        BodyFault::TooLarge => {
            let (status, message) = (StatusCode::PAYLOAD_TOO_LARGE, "request entity too large");
            refused(ErrorObject::new(status, "PayloadTooLargeError", message))
        }
        BodyFault::Unreadable => bad("BadRequestError", "request aborted".into()),
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
