//! What can go wrong below the store.

use countersign_domain::store::StoreError;
use tokio_postgres::error::{Severity, SqlState};

/// Why something was not done.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A rule of the store forbids it.
    Refused(StoreError),
    /// PostgreSQL failed, or cannot be reached.
    Postgres(tokio_postgres::Error),
}

impl From<StoreError> for Failure {
    fn from(refusal: StoreError) -> Self {
        Self::Refused(refusal)
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Postgres(error)
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(refusal) => refusal,
            Failure::Postgres(error) => unavailable(error),
        }
    }
}

/// For whoever waits: the store cannot be used, and why.
pub(crate) fn unavailable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::Unavailable(error.into())
}

/// Whether the transaction lost against another one and may win if it is tried again.
pub(crate) fn is_lost_race(error: &tokio_postgres::Error) -> bool {
    let code = error.code();
    code == Some(&SqlState::T_R_DEADLOCK_DETECTED) || code == Some(&SqlState::T_R_SERIALIZATION_FAILURE)
}

/// Whether the server says that it has not done what was asked. A session, or a server, that ends says something, too: but
/// not what became of a commit.
pub(crate) fn is_refusal(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_some_and(|error| error.parsed_severity() == Some(Severity::Error))
}

/// Whether a row with this key is there already.
pub(crate) fn is_duplicate(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::UNIQUE_VIOLATION)
}

/// Whether the failure is the statement's own: the session, and others' statements, are as good as before.
pub(crate) fn concerns_one_statement(error: &tokio_postgres::Error) -> bool {
    let class = error.code().map(|state| &state.code()[..2]);
    // Data exceptions and violated constraints.
    matches!(class, Some("22" | "23"))
}
