//! What can go wrong below the port.

use countersign_domain::store::StoreError;
use rusqlite::ErrorCode;

/// Why a piece of work was not done: it was refused, or SQLite failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The answer to the caller.
    Refused(StoreError),
    /// SQLite failed.
    Sqlite(rusqlite::Error),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl Failure {
    /// As a failure of SQLite, where nothing can be refused.
    pub(crate) fn into_sqlite(self) -> rusqlite::Error {
        match self {
            Self::Refused(error) => rusqlite::Error::UserFunctionError(Box::new(error)),
            Self::Sqlite(error) => error,
        }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(error) => error,
            Failure::Sqlite(error) => unavailable(error),
        }
    }
}

/// A failure of SQLite as callers see it.
pub(crate) fn unavailable(error: rusqlite::Error) -> StoreError {
    StoreError::Unavailable(Box::new(error))
}

/// Whether a row with this key is there already.
pub(crate) fn is_duplicate(error: &rusqlite::Error) -> bool {
    use rusqlite::ffi::{SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE};
    error.sqlite_error().is_some_and(|error| {
        matches!(error.extended_code, SQLITE_CONSTRAINT_UNIQUE | SQLITE_CONSTRAINT_PRIMARYKEY)
    })
}

/// Whether only the statement is at fault, so that the transaction may go on without it. Everything else (disk full,
/// an I/O error, no memory) concerns the whole transaction, which SQLite may have ended already.
pub(crate) fn concerns_one_statement(error: &rusqlite::Error) -> bool {
    match error.sqlite_error_code() {
        None => true,
        Some(code) => matches!(
            code,
            ErrorCode::ConstraintViolation
                | ErrorCode::TypeMismatch
                | ErrorCode::TooBig
                | ErrorCode::ParameterOutOfRange
        ),
    }
}
