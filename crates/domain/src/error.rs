//! Why an operation was not done.

use std::time::Duration;

use crate::store::StoreError;
use crate::verdict::Reason;

/// An error and its causes, separated by colons, for a line of the log.
pub fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// A value that a client can get wrong. Each wire has its own word for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field {
    /// A token's name.
    Name,
    /// A service token's duration.
    Lifetime,
    /// The number of a secret.
    SecretVersion,
    /// When the secret before the current one ends.
    PreviousExpiry,
    /// A list of scopes.
    Scopes,
    /// An access token's ttl.
    Ttl,
    /// A substring to search for.
    Search,
    /// An account's e-mail address.
    Email,
    /// An account's password.
    Password,
    /// The password that an account had.
    OldPassword,
    /// What an account or an organization says of itself.
    Profile,
    /// That the account is the root.
    RootAccount,
    /// The account above.
    Parent,
    /// The account that is invited.
    Invited,
    /// The tokens from which a token stems.
    Lineage,
    /// An organization.
    Organization,
    /// What is demanded of the access tokens of a list, and their order.
    Filter,
    /// After how many days the next keys sign.
    KeyInterval,
}

/// Why an operation was not done. Nothing has changed when one of these is answered, but for
/// [`StoreError::InDoubt`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A value of the client's is wrong; `reason` is a fragment that follows the field's name.
    #[error("{field:?} {reason}")]
    Invalid {
        /// Which value.
        field: Field,
        /// Why.
        reason: String,
    },
    /// There is no such thing in this account.
    #[error("not found")]
    NotFound,
    /// Another one has this value, which only one may have.
    #[error("{field:?} is taken")]
    Taken {
        /// Which value.
        field: Field,
    },
    /// The e-mail and the password are not those of an account that may log in.
    #[error("the e-mail or the password is wrong")]
    LoginFailed,
    /// Too many attempts to log in.
    #[error("too many attempts to log in")]
    TooManyLogins {
        /// When to try again.
        retry_after: Duration,
    },
    /// The caller may not do this, or not with this account.
    #[error("denied: {0}")]
    Denied(Denial),
    /// The caller's credential ended while the operation went on.
    #[error("the caller's credential is no longer good")]
    Unauthenticated,
    /// The account holds as many as it may.
    #[error("limit of {limit} reached")]
    LimitReached {
        /// How many it may hold.
        limit: u32,
    },
    /// Too much is going on at once; asking again later will do.
    #[error("busy")]
    Busy {
        /// When to ask again.
        retry_after: Duration,
    },
    /// A fault of ours or of what we stand on.
    #[error("the store failed")]
    Store(#[source] StoreError),
}

impl Error {
    /// Too much is going on at once: it will not take long.
    pub const fn busy() -> Self {
        Self::Busy { retry_after: Duration::from_secs(1) }
    }
}

/// Why a caller may not. For the log; outsiders are not told the difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// The token lacks the scope.
    #[error("the token lacks the scope {0}")]
    MissingScope(&'static str),
    /// The account is neither the caller's nor below it, or there is none.
    #[error("the account is not within the caller's")]
    ForeignAccount,
    /// The result would go beyond the caller.
    #[error("the resulting credential would go beyond the caller's")]
    BeyondCaller,
    /// Nobody may make an account without being known.
    #[error("sign-up is not open in this deployment")]
    NoSignUp,
    /// The token may not be used in the organization.
    #[error("the organization is not one that the token may be used in")]
    OtherOrganization,
    /// The token is bound to other requests than this one.
    #[error("the token is bound to other resources")]
    OtherResource,
    /// The token is bound to other addresses than the client's.
    #[error("the token is bound to other addresses, or the client's is unknown")]
    OtherAddress,
}

impl Denial {
    /// The same in the words of the doors, for metrics and the record of refusals.
    pub const fn reason(self) -> Reason {
        match self {
            Self::MissingScope(_) | Self::BeyondCaller => Reason::InsufficientScope,
            Self::ForeignAccount | Self::NoSignUp => Reason::WrongAccount,
            Self::OtherOrganization => Reason::WrongOrganization,
            Self::OtherResource => Reason::ResourceDenied,
            Self::OtherAddress => Reason::AddressDenied,
        }
    }

    /// For a good credential that may not be used for this request.
    pub const fn of_bound(reason: Reason) -> Option<Self> {
        match reason {
            Reason::ResourceDenied => Some(Self::OtherResource),
            Reason::AddressDenied => Some(Self::OtherAddress),
            _ => None,
        }
    }
}

impl Error {
    /// A wrong value.
    pub fn invalid(field: Field, reason: impl Into<String>) -> Self {
        Self::Invalid { field, reason: reason.into() }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Self::NotFound,
            StoreError::GuardFailed => Self::Unauthenticated,
            StoreError::LimitReached { limit } => Self::LimitReached { limit },
            StoreError::Busy => Self::Busy { retry_after: Duration::from_secs(1) },
            StoreError::SearchTooWide { rows } => Self::invalid(
                Field::Search,
                format!("would look through more than {rows} tokens; use `name`"),
            ),
            StoreError::Stale
            | StoreError::Duplicate
            | StoreError::Unavailable(_)
            | StoreError::InDoubt(_)
            | StoreError::Broken { .. } => Self::Store(error),
        }
    }
}
