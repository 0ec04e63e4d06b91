//! What the operator says, read once and checked once: defaults, file, environment, flags, each beating the one before.
//!
//! `config.default.toml` is both the defaults and the reference of every key.

mod load;
mod show;
mod variables;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use countersign_authority::{Algorithm, Policy};
use countersign_domain::secret::Secret;
use countersign_server::{Applications, SingleHeader};
use ipnet::IpNet;
use tracing_subscriber::filter::Targets;

use crate::environment;
pub(crate) use load::{Effective, load};
pub(crate) use show::show;

/// Every key, in the order of the reference.
pub(crate) const KEYS: [&str; 37] = [
    "listen",
    "internal_listen",
    "tls_cert",
    "tls_key",
    "tls_client_ca",
    "data",
    "database_url",
    "public_url",
    "trusted_proxies",
    "shutdown_delay",
    "limits.max_duration",
    "limits.allow_forever",
    "limits.service_tokens_per_account",
    "limits.access_tokens_per_account",
    "limits.logins_per_account",
    "limits.children_per_account",
    "limits.organizations_per_account",
    "limits.members_per_organization",
    "limits.connections",
    "secrets.prefix",
    "access_tokens.listing",
    "login.ttl",
    "login.per_account",
    "login.per_address",
    "login.at_once",
    "login.open_sign_up",
    "jwt.algorithm",
    "jwt.lifetime",
    "jwt.resources",
    "cloudflare_access.applications",
    "cloudflare_access.read_service_tokens_from_header",
    "store.queue",
    "store.connections",
    "store.serve_stale_for",
    "audit.retention",
    "log.format",
    "log.level",
];

/// The word for a span without an end.
const FOREVER: &str = "forever";

/// The environment variable of a key: `COUNTERSIGN_LIMITS_CONNECTIONS` for `limits.connections`.
pub(crate) fn variable_of(key: &str) -> String {
    format!("COUNTERSIGN_{}", key.replace('.', "_").to_uppercase())
}

/// The configuration of this process: these flags and its environment, in which nothing of ours may be misspelt.
pub(crate) fn load_for_process(flags: &ConfigArgs) -> anyhow::Result<Effective> {
    variables::check(environment::names_of_process())?;
    load(flags, &environment::of_process)
}

/// The configuration in effect. Holds no secret.
#[derive(Debug)]
pub(crate) struct Config {
    /// Where the API and the doors listen.
    pub(crate) listen: SocketAddr,
    /// Where metrics, health and doors listen apart.
    pub(crate) internal_listen: Option<SocketAddr>,
    /// With what `listen` speaks TLS; `None` = in plain text.
    pub(crate) tls: Option<TlsFiles>,
    /// Directory of the embedded store and of local keys.
    pub(crate) data: PathBuf,
    /// Where the shared store is; `None` = the embedded one. May hold a password.
    pub(crate) database_url: Option<Secret>,
    /// How clients reach the server, without a slash at the end.
    pub(crate) public_url: Option<String>,
    /// Whose forwarded addresses are believed.
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// How long `/readyz` answers 503 before the server stops accepting.
    pub(crate) shutdown_delay: Duration,
    /// What may be issued, and how long is remembered: `limits`, `secrets.prefix` and `audit.retention`.
    pub(crate) policy: Policy,
    /// Whether lists of access tokens show whole texts.
    pub(crate) lists_texts: bool,
    /// How short-lived tokens are signed.
    pub(crate) jwt: JwtSettings,
    /// What services expect that have Cloudflare Access in front of them.
    pub(crate) cloudflare_access: CloudflareAccessSettings,
    /// Most connections of one listener.
    pub(crate) connections: usize,
    /// Most writes that wait for the store.
    pub(crate) queue: usize,
    /// Most connections to the shared store.
    pub(crate) database_connections: usize,
    /// How long doors go on with what they know when the shared store cannot be followed.
    pub(crate) serve_stale_for: Duration,
    /// What is logged, and how.
    pub(crate) log: LogSettings,
}

/// How short-lived tokens are signed.
#[derive(Debug, Clone)]
pub(crate) struct JwtSettings {
    /// By what.
    pub(crate) algorithm: Algorithm,
    /// How long they live.
    pub(crate) lifetime: Duration,
    /// For whom they may be asked; empty = for whomever.
    pub(crate) resources: Vec<Box<str>>,
}

/// What services expect that have Cloudflare Access in front of them.
#[derive(Debug, Clone)]
pub(crate) struct CloudflareAccessSettings {
    /// To whom doors assert who was let in.
    pub(crate) applications: Applications,
    /// A header that holds both halves of a service token.
    pub(crate) single_header: Option<SingleHeader>,
}

/// The files of TLS, all in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    /// The certificate, and those that lead to an authority.
    pub(crate) cert: PathBuf,
    /// The key of the certificate.
    pub(crate) key: PathBuf,
    /// Whose certificates the doors ask for; `None` = for none.
    pub(crate) client_ca: Option<PathBuf>,
}

impl Config {
    /// How clients reach the server that listens there.
    pub(crate) fn public_url(&self, address: SocketAddr) -> String {
        self.public_url.clone().unwrap_or_else(|| format!("{}://{address}", self.scheme()))
    }

    /// What the public listener speaks.
    pub(crate) const fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}

/// What is logged, and how.
#[derive(Debug, Clone)]
pub(crate) struct LogSettings {
    /// `None` = text on a terminal, else JSON.
    pub(crate) format: Option<LogFormat>,
    /// Which lines.
    pub(crate) level: Targets,
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// For machines: one object a line.
    Json,
}

/// The flags that configure a server. Each has a key in the file and a variable in the environment.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Configuration")]
pub(crate) struct ConfigArgs {
    /// TOML file with any of the keys that `countersign config show` prints [env: COUNTERSIGN_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Address and port of the API and the doors [env: COUNTERSIGN_LISTEN] [default: 127.0.0.1:8787]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<String>,

    /// A second address for metrics, health and doors alone [env: COUNTERSIGN_INTERNAL_LISTEN] [default: none]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) internal_listen: Option<String>,

    /// PEM file with the certificate with which the first address speaks TLS, and what leads to its authority; read
    /// again on SIGHUP [env: COUNTERSIGN_TLS_CERT] [default: none]
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_cert: Option<String>,

    /// PEM file with the key of that certificate [env: COUNTERSIGN_TLS_KEY] [default: none]
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_key: Option<String>,

    /// PEM file with authorities: doors answer only those who show a certificate of one of them
    /// [env: COUNTERSIGN_TLS_CLIENT_CA] [default: none]
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_client_ca: Option<String>,

    /// Directory of the embedded store [env: COUNTERSIGN_DATA] [default: ./countersign-data]
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) data: Option<String>,

    /// PostgreSQL to use instead of the embedded store, for many nodes; better in the environment, because others see
    /// the flags of a process [env: COUNTERSIGN_DATABASE_URL] [default: none]
    #[arg(long, value_name = "URL")]
    pub(crate) database_url: Option<String>,

    /// How clients reach this server: the issuer in OAuth's metadata [env: COUNTERSIGN_PUBLIC_URL]
    /// [default: http:// and the address]
    #[arg(long, value_name = "URL")]
    pub(crate) public_url: Option<String>,

    /// Peers whose X-Forwarded-For is believed, separated by commas [env: COUNTERSIGN_TRUSTED_PROXIES]
    /// [default: loopback]
    #[arg(long, value_name = "CIDRS")]
    pub(crate) trusted_proxies: Option<String>,
}

impl ConfigArgs {
    /// Key, flag and value of those that were given.
    fn given(&self) -> impl Iterator<Item = (&'static str, &'static str, &str)> {
        [
            ("listen", "--listen", &self.listen),
            ("internal_listen", "--internal-listen", &self.internal_listen),
            ("tls_cert", "--tls-cert", &self.tls_cert),
            ("tls_key", "--tls-key", &self.tls_key),
            ("tls_client_ca", "--tls-client-ca", &self.tls_client_ca),
            ("data", "--data", &self.data),
            ("database_url", "--database-url", &self.database_url),
            ("public_url", "--public-url", &self.public_url),
            ("trusted_proxies", "--trusted-proxies", &self.trusted_proxies),
        ]
        .into_iter()
        .filter_map(|(key, flag, value)| Some((key, flag, value.as_deref()?)))
    }
}

#[cfg(test)]
mod tests;
