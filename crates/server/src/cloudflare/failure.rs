//! What this wire answers when it does not do what was asked (cloudflare-access.md 2.2).

use axum::response::{IntoResponse, Response};
use countersign_domain::error::{Denial, Error, Field};
use countersign_domain::verdict::{Reason, Refusal};
use http::StatusCode;

use super::envelope::{ChainItem, ErrorItem, Source, failure};
use crate::json::{BodyFault, LARGEST_BODY};
use crate::wire::{Denied, Fault};

/// A header that carries a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CredentialHeader {
    Authorization,
    AuthKey,
    AuthEmail,
    AccessToken,
}

/// Why an operation was not done.
#[derive(Debug)]
pub(super) enum Failure {
    /// No credential at all.
    NoCredential,
    /// A credential header that is repeated or has no credential's form.
    MalformedHeader(CredentialHeader),
    /// No live access token has this text.
    UnknownToken,
    /// No live access token has this text and belongs to an account of this e-mail.
    UnknownPair,
    /// The token is good, but not for this; or the account is none of the caller's. The same for both, so that
    /// ids cannot be probed.
    Denied(Denial),
    /// A value is wrong.
    Invalid {
        /// Where.
        pointer: String,
        /// A fragment that follows the field's name.
        reason: String,
    },
    /// The body is no JSON object.
    Body(BodyFault),
    /// There is no such service token.
    NotFound,
    /// The account is full.
    LimitReached(u32),
    /// The token was used as often as it may be.
    RateLimited,
    /// Ours.
    Fault(Error),
}

impl Failure {
    /// A wrong value of the field at this pointer.
    pub(super) fn invalid(pointer: impl Into<String>, reason: impl ToString) -> Self {
        Self::Invalid { pointer: pointer.into(), reason: reason.to_string() }
    }
}

impl Failure {
    /// A caller that was refused; `unknown` for most causes.
    pub(super) fn of_refused(reason: Reason, unknown: Self) -> Self {
        match (reason.refusal(), Denial::of_bound(reason)) {
            (Refusal::Limited, _) => Self::RateLimited,
            (_, Some(denial)) => Self::Denied(denial),
            (_, None) => unknown,
        }
    }
}

impl From<BodyFault> for Failure {
    fn from(fault: BodyFault) -> Self {
        match fault {
            BodyFault::Field { pointer, reason } => Self::Invalid { pointer, reason },
            BodyFault::Busy => Self::Fault(Error::busy()),
            other => Self::Body(other),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid { field, reason } => Self::invalid(pointer(field), reason),
            Error::NotFound => Self::NotFound,
            Error::Denied(denial) => Self::Denied(denial),
            Error::Unauthenticated => Self::UnknownToken,
            Error::LimitReached { limit } => Self::LimitReached(limit),
            Error::Taken { field } => Self::invalid(pointer(field), "is taken"),
            Error::LoginFailed => Self::UnknownToken,
            Error::TooManyLogins { .. } | Error::Busy { .. } | Error::Store(_) => Self::Fault(error),
        }
    }
}

/// The wire's word for a value.
const fn pointer(field: Field) -> &'static str {
    match field {
        Field::Name => "/name",
        Field::Lifetime => "/duration",
        Field::SecretVersion => "/client_secret_version",
        Field::PreviousExpiry => "/previous_client_secret_expires_at",
        Field::Scopes => "/scopes",
        Field::Ttl => "/ttl",
        Field::Search => "/search",
        Field::Email => "/email",
        Field::Password => "/password",
        Field::OldPassword => "/old_password",
        Field::Profile => "/profile",
        Field::RootAccount => "/account",
        Field::Parent => "/parent",
        Field::Invited => "/account",
        Field::Lineage => "/lineage",
        Field::Organization => "/organization",
        Field::Filter => "/filter",
        Field::KeyInterval => "/key_rotation_interval_days",
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, error) = match self {
            Self::NoCredential => (
                StatusCode::BAD_REQUEST,
                ErrorItem::new(9106, "Missing X-Auth-Key, X-Auth-Email or Authorization headers"),
            ),
            Self::MalformedHeader(header) => (StatusCode::BAD_REQUEST, malformed_header(header)),
            Self::UnknownToken => (StatusCode::FORBIDDEN, ErrorItem::new(9109, "Invalid access token")),
            Self::UnknownPair => {
                (StatusCode::FORBIDDEN, ErrorItem::new(9103, "Unknown X-Auth-Key or X-Auth-Email"))
            }
            Self::Denied(denial) => {
                let error = ErrorItem::new(10000, "Authentication error");
                return Denied::beside(denial, failure(StatusCode::FORBIDDEN, vec![error]));
            }
            Self::Invalid { pointer, reason } => (StatusCode::BAD_REQUEST, invalid(pointer, &reason)),
            Self::Body(fault) => body_fault(fault),
            Self::NotFound => {
                (StatusCode::NOT_FOUND, ErrorItem::new(12135, "access.api.error.service_token_not_found"))
            }
            Self::LimitReached(limit) => {
                let message = format!(
                    "access.api.error.invalid_request: maximum number of service tokens has been reached ({limit})"
                );
                (StatusCode::BAD_REQUEST, ErrorItem::new(12130, message))
            }
            Self::RateLimited => {
                let message = "Please wait and consider throttling your request speed";
                (StatusCode::TOO_MANY_REQUESTS, ErrorItem::new(971, message))
            }
            Self::Fault(error) => return Fault::response(error),
        };
        failure(status, vec![error])
    }
}

fn malformed_header(header: CredentialHeader) -> ErrorItem {
    let (code, message) = match header {
        CredentialHeader::Authorization => (6111, "Invalid format for Authorization header"),
        CredentialHeader::AuthKey => (6103, "Invalid format for X-Auth-Key header"),
        CredentialHeader::AuthEmail => (6102, "Invalid format for X-Auth-Email header"),
        CredentialHeader::AccessToken => (6111, "Invalid format for X-Access-Token header"),
    };
    let mut error = ErrorItem::new(6003, "Invalid request headers");
    error.error_chain.push(ChainItem { code, message });
    error
}

/// The message names the field without the pointer's slash, as a person would.
fn invalid(pointer: String, reason: &str) -> ErrorItem {
    let field = pointer.trim_start_matches('/');
    let mut error = ErrorItem::new(12130, format!("access.api.error.invalid_request: {field}: {reason}"));
    error.source = Some(Source { pointer });
    error
}

fn body_fault(fault: BodyFault) -> (StatusCode, ErrorItem) {
    let bad = |code, message: String| (StatusCode::BAD_REQUEST, ErrorItem::new(code, message));
    match fault {
        BodyFault::TooLarge => {
            let message =
                format!("access.api.error.invalid_request: the body is larger than {LARGEST_BODY} bytes");
            (StatusCode::PAYLOAD_TOO_LARGE, ErrorItem::new(12130, message))
        }
        BodyFault::Unreadable | BodyFault::Busy => bad(6007, "The request body could not be read".into()),
        BodyFault::Late => {
            let message = "access.api.error.request_timeout: the request was not complete in time";
            (StatusCode::REQUEST_TIMEOUT, ErrorItem::new(10001, message))
        }
        BodyFault::Malformed(why) => bad(6007, format!("Malformed JSON in request body: {why}")),
        BodyFault::TooDeep => {
            bad(6007, "Malformed JSON in request body: nested deeper than 32 levels".into())
        }
        BodyFault::NotAnObject => bad(6007, "Malformed JSON in request body: it must be an object".into()),
        BodyFault::Field { pointer, reason } => (StatusCode::BAD_REQUEST, invalid(pointer, &reason)),
    }
}
