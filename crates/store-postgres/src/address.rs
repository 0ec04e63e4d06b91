//! Where the database is: what an operator says about it, with libpq's names and meanings.

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{ChannelBinding, SslMode};

use crate::parameters::Parameters;

/// Where PostgreSQL listens when nothing else is said.
const PORT: u16 = 5432;
/// Longest time for an address of a host to give a session.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A peer that is gone without a word is noticed after about 6 s, whether it is waited for or not.
const KEEPALIVES: Keepalives = Keepalives { idle: 3, interval: 1, count: 3 };
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the database is and how it is spoken to: `postgres://user@host,host/database?sslmode=…`, or `name=value` pairs.
///
/// What it prints, in whatever way, has no password in it.
#[derive(Clone)]
pub struct Address {
    pub(crate) hosts: Vec<Host>,
    /// What a session is asked for, whatever its host. `SslMode` is that of hosts that are spoken to with TLS.
    pub(crate) session: Config,
    pub(crate) passfile: Option<PathBuf>,
    pub(crate) roots: Roots,
    pub(crate) certificate: Option<CertificateFiles>,
    pub(crate) connect_timeout: Duration,
    pub(crate) keepalives: Option<Keepalives>,
    pub(crate) tcp_user_timeout: Option<Duration>,
}

/// One of the servers, of which at most one takes changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Host {
    /// As the operator calls it, which is what its certificate must say.
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) port: u16,
    pub(crate) encryption: Encryption,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// The directory of a Unix socket.
    Directory(PathBuf),
    /// To be looked up each time: it may move.
    Name,
    Ip(IpAddr),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encryption {
    /// What is said can be read by whoever is on the way.
    None,
    /// TLS, with a host that shows a certificate of its name.
    VerifyFull,
}

/// Who vouches for hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Roots {
    System,
    File(PathBuf),
}

/// With which this node shows who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CertificateFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// In seconds; 0 is the system's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keepalives {
    pub(crate) idle: u32,
    pub(crate) interval: u32,
    pub(crate) count: u32,
}

/// Why an address is none. Never repeats what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the address of the database {}", self.reason())]
#[non_exhaustive]
pub enum AddressError {
    /// Neither form.
    Syntax,
    /// An `@` behind the one that ends the credentials.
    StrayAt,
    /// Bytes that are no text.
    NotUtf8,
    /// A parameter that means nothing here.
    Unknown {
        /// The how-manieth.
        position: usize,
    },
    /// A port that is none.
    Port,
    /// A number that is none, or beyond what makes sense.
    Number {
        /// Of which parameter.
        name: &'static str,
        /// The least and the greatest one.
        from: u32,
        /// The greatest.
        to: u32,
    },
    /// No host is named.
    NoHost,
    /// `hostaddr` is no list of addresses, or of another length than `host`.
    HostAddr,
    /// As many ports as hosts, or one.
    Ports,
    /// A mode that does not make sure to whom is spoken.
    WeakSslMode {
        /// Which one.
        mode: &'static str,
    },
    /// No mode of libpq's.
    SslMode,
    /// A certificate without its key, or a key without its certificate.
    HalfCertificate,
    /// No value of libpq's.
    ChannelBinding,
    /// A server that takes no changes is asked for.
    TargetSessionAttrs,
    /// A file of passwords, by user, for no user.
    PassfileWithoutUser,
}

impl AddressError {
    fn reason(self) -> String {
        let reason = match self {
            Self::Syntax => "is neither postgres://user@host/database nor name=value pairs",
            Self::StrayAt => {
                "has an @ that separates nothing: in a password or a parameter write %40 for @, %2F for / and %3A for :"
            }
            Self::NotUtf8 => "has a percent-encoded part that is not UTF-8",
            Self::Unknown { position } => {
                return format!(
                    "has a parameter that is not known, number {position}: there are user, password, passfile, \
                     dbname, host, hostaddr, port, sslmode, sslrootcert, sslcert, sslkey, channel_binding, \
                     target_session_attrs, connect_timeout, keepalives, keepalives_idle, keepalives_interval, \
                     keepalives_count, tcp_user_timeout, application_name, options"
                );
            }
            Self::Port => "has a port that is no number from 1 to 65535",
            Self::Number { name, from, to } => {
                return format!("has a {name} that is no number from {from} to {to}");
            }
            Self::NoHost => "names no host: say postgres://user@host/database, or host=/run/postgresql",
            Self::HostAddr => "has a hostaddr that is not one IP address for each host",
            Self::Ports => "has neither one port nor one for each host",
            Self::WeakSslMode { mode } => {
                return format!(
                    "has sslmode={mode}, which does not make sure to whom is spoken: say verify-full (with \
                     sslrootcert=FILE for an authority of your own), or disable where nobody else is on the network"
                );
            }
            Self::SslMode => "has an sslmode that is neither verify-full nor disable",
            Self::HalfCertificate => "has only one of sslcert and sslkey: they go together",
            Self::ChannelBinding => "has a channel_binding that is none of disable, prefer and require",
            Self::TargetSessionAttrs => {
                "has a target_session_attrs other than read-write: a server that takes no changes is of no use"
            }
            Self::PassfileWithoutUser => "has a passfile but no user, whose password it is",
        };
        reason.to_owned()
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let mut said = Parameters::of(text)?;
        let address = Self {
            hosts: hosts(&mut said)?,
            session: session(&mut said)?,
            passfile: said.take("passfile").map(PathBuf::from),
            roots: match said.take("sslrootcert") {
                Some(file) if file != "system" => Roots::File(file.into()),
                _ => Roots::System,
            },
            certificate: certificate(&mut said)?,
            connect_timeout: number(&mut said, "connect_timeout", 1..=60)?
                .map_or(CONNECT_TIMEOUT, |seconds| Duration::from_secs(seconds.into())),
            keepalives: keepalives(&mut said)?,
            tcp_user_timeout: match number(&mut said, "tcp_user_timeout", 0..=600_000)? {
                None => Some(TCP_USER_TIMEOUT),
                Some(0) => None,
                Some(milliseconds) => Some(Duration::from_millis(milliseconds.into())),
            },
        };
        said.finish()?;
        if address.passfile.is_some() && address.session.get_user().is_none() {
            return Err(AddressError::PassfileWithoutUser);
        }
        Ok(address)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("postgres://")?;
        if let Some(user) = self.session.get_user() {
            write!(f, "{user}@")?;
        }
        for (index, host) in self.hosts.iter().enumerate() {
            write!(f, "{}{host}", if index == 0 { "" } else { "," })?;
        }
        write!(f, "/{}", self.session.get_dbname().unwrap_or_default())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Ip(IpAddr::V6(_)) if self.name.contains(':') => write!(f, "[{}]:{}", self.name, self.port),
            _ => write!(f, "{}:{}", self.name, self.port),
        }
    }
}

fn hosts(said: &mut Parameters) -> Result<Vec<Host>, AddressError> {
    let list = |value: Option<String>| -> Vec<String> {
        value.map(|value| value.split(',').map(str::to_owned).collect()).unwrap_or_default()
    };
    let (names, addresses, ports) =
        (list(said.take("host")), list(said.take("hostaddr")), list(said.take("port")));
    let ports = ports.iter().map(|port| read_port(port)).collect::<Result<Vec<_>, _>>()?;
    let mode = Mode::of(said)?;
    let count = names.len().max(addresses.len());
    if count == 0 {
        return Err(AddressError::NoHost);
    }
    if !names.is_empty() && !addresses.is_empty() && names.len() != addresses.len() {
        return Err(AddressError::HostAddr);
    }
    if ports.len() > 1 && ports.len() != count {
        return Err(AddressError::Ports);
    }
    let host = |index: usize| {
        let port = ports.get(index).or(ports.first()).copied().unwrap_or(PORT);
        Host::of(names.get(index), addresses.get(index), port, mode)
    };
    (0..count).map(host).collect()
}

fn read_port(text: &str) -> Result<u16, AddressError> {
    match text {
        "" => Ok(PORT),
        text => text.parse().ok().filter(|port| *port != 0).ok_or(AddressError::Port),
    }
}

impl Host {
    fn of(
        name: Option<&String>,
        address: Option<&String>,
        port: u16,
        mode: Mode,
    ) -> Result<Self, AddressError> {
        let name = name.or(address).filter(|name| !name.is_empty()).ok_or(AddressError::NoHost)?.clone();
        let place = match address {
            Some(address) => Place::Ip(address.parse().map_err(|_| AddressError::HostAddr)?),
            None if name.starts_with('/') => Place::Directory(name.clone().into()),
            None => name.parse().map_or(Place::Name, Place::Ip),
        };
        let is_of_this_machine = match &place {
            Place::Directory(_) => true,
            Place::Name => name == "localhost",
            Place::Ip(ip) => ip.to_canonical().is_loopback(),
        };
        let encryption = match (mode, &place) {
            // As with libpq: nobody else can be at the other end of a socket in the file system.
            (_, Place::Directory(_)) | (Mode::Disable, _) => Encryption::None,
            (Mode::NotSaid, _) if is_of_this_machine => Encryption::None,
            (Mode::VerifyFull | Mode::NotSaid, _) => Encryption::VerifyFull,
        };
        Ok(Self { name, place, port, encryption })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    NotSaid,
    Disable,
    VerifyFull,
}

impl Mode {
    fn of(said: &mut Parameters) -> Result<Self, AddressError> {
        let Some(mode) = said.take("sslmode") else { return Ok(Self::NotSaid) };
        match mode.as_str() {
            "disable" => Ok(Self::Disable),
            "verify-full" => Ok(Self::VerifyFull),
            mode => Err(["allow", "prefer", "require", "verify-ca"]
                .into_iter()
                .find(|weak| *weak == mode)
                .map_or(AddressError::SslMode, |mode| AddressError::WeakSslMode { mode })),
        }
    }
}

fn session(said: &mut Parameters) -> Result<Config, AddressError> {
    let mut session = Config::new();
    session.ssl_mode(SslMode::Require);
    session.application_name(said.take("application_name").unwrap_or_else(|| "countersign".to_owned()));
    if let Some(user) = said.take("user") {
        session.user(user);
    }
    if let Some(password) = said.take("password") {
        session.password(password);
    }
    if let Some(database) = said.take("dbname") {
        session.dbname(database);
    }
    if let Some(options) = said.take("options") {
        session.options(options);
    }
    match said.take("channel_binding").as_deref() {
        None | Some("prefer") => {}
        Some("disable") => _ = session.channel_binding(ChannelBinding::Disable),
        Some("require") => _ = session.channel_binding(ChannelBinding::Require),
        Some(_) => return Err(AddressError::ChannelBinding),
    }
    match said.take("target_session_attrs").as_deref() {
        None | Some("read-write" | "primary") => Ok(session),
        Some(_) => Err(AddressError::TargetSessionAttrs),
    }
}

fn certificate(said: &mut Parameters) -> Result<Option<CertificateFiles>, AddressError> {
    match (said.take("sslcert"), said.take("sslkey")) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => {
            Ok(Some(CertificateFiles { certificate: certificate.into(), key: key.into() }))
        }
        _ => Err(AddressError::HalfCertificate),
    }
}

fn keepalives(said: &mut Parameters) -> Result<Option<Keepalives>, AddressError> {
    let mut read = |name, usual| Ok(number(said, name, 0..=7200)?.unwrap_or(usual));
    let keepalives = Keepalives {
        idle: read("keepalives_idle", KEEPALIVES.idle)?,
        interval: read("keepalives_interval", KEEPALIVES.interval)?,
        count: read("keepalives_count", KEEPALIVES.count)?,
    };
    let are_wanted = number(said, "keepalives", 0..=1)? != Some(0);
    Ok(are_wanted.then_some(keepalives))
}

fn number(
    said: &mut Parameters,
    name: &'static str,
    range: RangeInclusive<u32>,
) -> Result<Option<u32>, AddressError> {
    let Some(value) = said.take(name) else { return Ok(None) };
    let number = value.parse().ok().filter(|number| range.contains(number));
    let (from, to) = range.into_inner();
    number.map(Some).ok_or(AddressError::Number { name, from, to })
}

#[cfg(test)]
mod tests;
