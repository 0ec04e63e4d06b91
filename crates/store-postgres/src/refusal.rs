//! Why there is no session: for each host one line that names it, what is wrong and what helps.

use std::error::Error as _;
use std::fmt;
use std::io;
use std::time::Duration;

use countersign_domain::error::causes;
use rustls::{CertificateError, Error as Tls};
use tokio_postgres::error::{DbError, SqlState};

use crate::address::Host;
use crate::files::FileError;
use crate::tls::TlsError;

/// Why no host gives a session.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct ConnectError(#[from] Cause);

#[derive(Debug, thiserror::Error)]
pub(crate) enum Cause {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("the database cannot be used: {}", Hosts(.0))]
    Hosts(Vec<(Host, Refusal)>),
}

struct Hosts<'r>(&'r [(Host, Refusal)]);

impl fmt::Display for Hosts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (host, refusal)) in self.0.iter().enumerate() {
            write!(f, "{}{host} {refusal}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

/// Why a host gives no session. A fragment that follows the host's name.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("is the name of no address: {0}")]
    NoAddress(io::Error),
    #[error("cannot be reached: {0}")]
    Unreachable(io::Error),
    #[error("gives no session within {}: is it up, and does a firewall let this machine through?", Seconds(*.0))]
    Silent(Duration),
    #[error(
        "takes no changes (a standby, or default_transaction_read_only): name the primary in the address, too"
    )]
    ReadOnly,
    #[error(
        "does not speak TLS: set ssl = on there, or say sslmode=disable if nobody else is on the network"
    )]
    NoTls,
    #[error(
        "shows a certificate of an authority that is not trusted: name the authority's certificate in sslrootcert"
    )]
    UnknownIssuer,
    #[error(
        "shows a certificate that does not have this name: use a name that is in it, or another certificate"
    )]
    OtherName,
    #[error(
        "shows a certificate whose time is over or has not begun: renew it, or mend the clock of this machine"
    )]
    OutOfTime,
    #[error("shows a certificate that cannot be used: {0:?}")]
    BadCertificate(CertificateError),
    #[error("does not accept our side of TLS ({0:?}): are sslcert and sslkey what it asks for?")]
    Alert(rustls::AlertDescription),
    #[error("breaks off TLS: {0}")]
    Tls(Tls),
    #[error(
        "asks for a password: put it into the address, or into a passfile with a line for this host, port, database and user"
    )]
    NoPassword,
    #[error("does not accept the password: correct it in the address or in the passfile")]
    WrongPassword,
    #[error(
        "does not let this user in ({0}): see pg_hba.conf there, and sslcert here if it wants a certificate"
    )]
    NotAllowed(String),
    #[error("has no such database ({0}): create it there, or correct the address")]
    NoDatabase(String),
    #[error("has no connection left ({0}): raise max_connections there, or use fewer from each node")]
    Full(String),
    #[error(
        "is a pooler that refuses the options of the address: leave them out, or connect to PostgreSQL itself"
    )]
    PoolerRefusesOptions,
    #[error("refuses: {0}")]
    Server(String),
    #[error("does not speak as PostgreSQL does: {0}")]
    Other(String),
}

struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0.as_secs_f32())
    }
}

impl From<tokio_postgres::Error> for Refusal {
    fn from(error: tokio_postgres::Error) -> Self {
        if let Some(answer) = error.as_db_error() {
            return Self::of_answer(answer);
        }
        let Some(cause) = error.source() else { return Self::Other(error.to_string()) };
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            return Self::of_io(io);
        }
        // tokio-postgres has only words for these.
        match cause.to_string().as_str() {
            "server does not support TLS" => Self::NoTls,
            "password missing" => Self::NoPassword,
            _ => Self::Other(causes(&error)),
        }
    }
}

impl Refusal {
    fn of_answer(answer: &DbError) -> Self {
        let said = answer.message().to_owned();
        match *answer.code() {
            SqlState::INVALID_PASSWORD => Self::WrongPassword,
            SqlState::INVALID_AUTHORIZATION_SPECIFICATION => Self::NotAllowed(said),
            SqlState::INVALID_CATALOG_NAME => Self::NoDatabase(said),
            SqlState::TOO_MANY_CONNECTIONS => Self::Full(said),
            _ if said.starts_with("unsupported startup parameter") => Self::PoolerRefusesOptions,
            _ => Self::Server(said),
        }
    }

    fn of_io(error: &io::Error) -> Self {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Tls>());
        match tls {
            None => Self::Unreachable(io::Error::new(error.kind(), error.to_string())),
            Some(Tls::AlertReceived(alert)) => Self::Alert(*alert),
            Some(Tls::InvalidCertificate(error)) => Self::of_certificate(error),
            Some(other) => Self::Tls(other.clone()),
        }
    }

    fn of_certificate(error: &CertificateError) -> Self {
        match error {
            // The latter when another authority has the same name.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::UnknownIssuer,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Self::OtherName
            }
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => Self::OutOfTime,
            other => Self::BadCertificate(other.clone()),
        }
    }
}
