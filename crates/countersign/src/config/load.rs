//! Reading the layers, and checking what comes out of them.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use countersign_authority::{Algorithm, Policy, is_resource};
use countersign_domain::lifetime::{Lifetime, Ttl};
use countersign_domain::secret::{Secret, SecretPrefix};
use countersign_domain::signing_key::LONGEST_SIGNED;
use countersign_server::{Applications, SingleHeader};
use figment::error::Kind;
use figment::providers::{Format as _, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider, Source};
use ipnet::IpNet;
use serde::Deserialize;
use tracing_subscriber::filter::{LevelFilter, Targets};
use ureq::http::Uri;

use super::{
    CloudflareAccessSettings, Config, ConfigArgs, FOREVER, JwtSettings, KEYS, LogFormat, LogSettings,
    TlsFiles, variable_of,
};
use crate::duration;
use crate::environment::{Lookup, find_secret, find_text};

/// More connections than any system gives a process.
const MOST_CONNECTIONS: usize = 1_000_000;

/// The defaults and the reference of every key.
pub(super) const DEFAULTS: &str = include_str!("../../config.default.toml");

/// Most passwords hashed at once: with more, a flood of logins would take all memory.
const MOST_HASHED_AT_ONCE: usize = 256;

/// A token must live until it was used.
const SHORTEST_SIGNED: Duration = Duration::from_secs(10);

/// Most writes that may wait for the store: more would only hide that it cannot follow.
const LONGEST_QUEUE: usize = 65_536;

/// More connections of one node than a database should have to bear.
const MOST_DATABASE_CONNECTIONS: usize = 1_000;

/// The one key that can hold a secret; so it can be in a file of its own.
const DATABASE_URL: &str = "database_url";

/// The configuration in effect, and which layer each value comes from.
pub(crate) struct Effective {
    /// As checked.
    pub(crate) config: Config,
    layers: Layers,
}

impl Effective {
    /// Where the value of this key comes from: a flag, a variable, a file, or `default`.
    pub(super) fn source_of(&self, key: &str) -> String {
        self.layers.source_of(key)
    }
}

/// Reads the layers and checks the result. An error is one line that names the key and where it was said.
pub(crate) fn load(flags: &ConfigArgs, lookup: Lookup<'_>) -> anyhow::Result<Effective> {
    let layers = Layers::read(flags, lookup)?;
    let stated = layers.0.extract_lossy().map_err(|error| layers.explain(&error))?;
    let config = layers.check(stated)?;
    Ok(Effective { config, layers })
}

/// The keys as they are written, before they are checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stated {
    listen: String,
    internal_listen: Option<String>,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    tls_client_ca: Option<PathBuf>,
    data: PathBuf,
    database_url: Option<String>,
    public_url: Option<String>,
    trusted_proxies: TextOrList,
    shutdown_delay: TextOrNumber,
    limits: StatedLimits,
    secrets: StatedSecrets,
    access_tokens: StatedAccessTokens,
    login: StatedLogin,
    jwt: StatedJwt,
    cloudflare_access: StatedCloudflareAccess,
    store: StatedStore,
    audit: StatedAudit,
    log: StatedLog,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StatedLimits {
    max_duration: Option<String>,
    allow_forever: bool,
    service_tokens_per_account: u32,
    access_tokens_per_account: u32,
    logins_per_account: u32,
    children_per_account: u32,
    organizations_per_account: u32,
    members_per_organization: u32,
    connections: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StatedSecrets {
    prefix: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StatedAccessTokens {
    listing: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StatedLogin {
    ttl: String,
    per_account: u32,
    per_address: u32,
    at_once: usize,
    open_sign_up: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StatedJwt {
    algorithm: String,
    lifetime: TextOrNumber,
    resources: TextOrList,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StatedCloudflareAccess {
    applications: TextOrList,
    read_service_tokens_from_header: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StatedStore {
    queue: usize,
    connections: usize,
    serve_stale_for: TextOrNumber,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StatedAudit {
    retention: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StatedLog {
    format: Option<String>,
    level: String,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "must be a list, or a text with commas")]
enum TextOrList {
    Text(String),
    List(Vec<String>),
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "must be a number of seconds, or a text such as \"10s\"")]
enum TextOrNumber {
    Text(String),
    Number(u64),
}

impl TextOrList {
    /// What is in it; empty ones left out.
    fn items(&self) -> Vec<String> {
        let items: Vec<&str> = match self {
            Self::List(items) => items.iter().map(String::as_str).collect(),
            Self::Text(text) => text.split(',').map(str::trim).collect(),
        };
        items.into_iter().filter(|item| !item.is_empty()).map(str::to_owned).collect()
    }
}

/// One value of the environment or of the command line, as a layer of its own, so that it can be named in errors.
struct Setting {
    key: &'static str,
    value: String,
    source: String,
}

impl Provider for Setting {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.source.clone()).source(Source::Custom(self.source.clone()))
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        let nested = figment::util::nest(self.key, Value::from(self.value.clone()));
        Ok(Profile::Default.collect(nested.into_dict().unwrap_or_default()))
    }
}

struct Layers(Figment);

impl Layers {
    fn read(flags: &ConfigArgs, lookup: Lookup<'_>) -> anyhow::Result<Self> {
        let mut figment = Figment::from(Toml::string(DEFAULTS));
        let file = match &flags.config {
            Some(path) => Some(path.clone()),
            None => find_text(lookup, "COUNTERSIGN_CONFIG")?.map(PathBuf::from),
        };
        if let Some(path) = file {
            check_syntax(&path)?;
            figment = figment.merge(Toml::file_exact(path));
        }
        for key in KEYS {
            let source = variable_of(key);
            let value = match key {
                DATABASE_URL => find_secret(lookup, &source)?.map(|url| url.reveal().to_owned()),
                _ => find_text(lookup, &source)?,
            };
            if let Some(value) = value {
                figment = figment.merge(Setting { key, value, source });
            }
        }
        for (key, flag, value) in flags.given() {
            figment = figment.merge(Setting { key, value: value.to_owned(), source: flag.to_owned() });
        }
        Ok(Self(figment))
    }

    fn source_of(&self, key: &str) -> String {
        match self.0.find_metadata(key).and_then(|metadata| metadata.source.as_ref()) {
            Some(source) => source.to_string(),
            None => "default".to_owned(),
        }
    }

    /// A fault that was found while reading, in one line.
    fn explain(&self, error: &figment::Error) -> anyhow::Error {
        let mut path = error.path.clone();
        if let Kind::UnknownField(field, known) = &error.kind {
            // Whether the path ends with the field depends on how deep it is.
            if path.last() != Some(field) {
                path.push(field.clone());
            }
            let key = path.join(".");
            let source = self.source_of(&key);
            return anyhow!("unknown key `{key}` in {source}; known there: {}", known.join(", "));
        }
        let key = path.join(".");
        anyhow!("`{key}`: {} (from {})", error.kind, self.source_of(&key))
    }

    /// Names key and source of a value that is not right; `why` is a fragment that follows the key.
    fn wrong(&self, key: &str, why: impl Display) -> anyhow::Error {
        anyhow!("`{key}` {why} (from {})", self.source_of(key))
    }

    fn check(&self, stated: Stated) -> anyhow::Result<Config> {
        let internal_listen = stated.internal_listen.as_deref();
        let policy = self.check_policy(&stated)?;
        Ok(Config {
            listen: self.check_address("listen", &stated.listen)?,
            internal_listen: internal_listen.map(|a| self.check_address("internal_listen", a)).transpose()?,
            tls: self.check_tls(stated.tls_cert, stated.tls_key, stated.tls_client_ca)?,
            data: self.check_data(stated.data)?,
            database_url: stated.database_url.map(|url| self.check_database_url(url)).transpose()?,
            public_url: stated.public_url.map(|url| self.check_url(&url)).transpose()?,
            trusted_proxies: self.check_proxies(stated.trusted_proxies)?,
            shutdown_delay: self.check_span("shutdown_delay", &stated.shutdown_delay)?,
            connections: self.check_within(
                "limits.connections",
                stated.limits.connections,
                MOST_CONNECTIONS,
            )?,
            queue: self.check_within("store.queue", stated.store.queue, LONGEST_QUEUE)?,
            database_connections: self.check_within(
                "store.connections",
                stated.store.connections,
                MOST_DATABASE_CONNECTIONS,
            )?,
            serve_stale_for: self.check_span("store.serve_stale_for", &stated.store.serve_stale_for)?,
            policy,
            jwt: self.check_jwt(&stated.jwt)?,
            cloudflare_access: self.check_cloudflare_access(&stated.cloudflare_access)?,
            lists_texts: self.check_listing(&stated.access_tokens.listing)?,
            log: self.check_log(&stated.log)?,
        })
    }

    fn check_address(&self, key: &str, text: &str) -> anyhow::Result<SocketAddr> {
        let why = || format!("must be an IP address and a port, such as 127.0.0.1:8787, not `{text}`");
        text.parse().map_err(|_| self.wrong(key, why()))
    }

    fn check_data(&self, path: PathBuf) -> anyhow::Result<PathBuf> {
        if path.as_os_str().is_empty() {
            return Err(self.wrong("data", "must name a directory"));
        }
        Ok(path)
    }

    /// Half of it would be no TLS, where somebody believes that there is.
    fn check_tls(
        &self,
        cert: Option<PathBuf>,
        key: Option<PathBuf>,
        client_ca: Option<PathBuf>,
    ) -> anyhow::Result<Option<TlsFiles>> {
        match (cert, key) {
            (Some(cert), Some(key)) => Ok(Some(TlsFiles { cert, key, client_ca })),
            (Some(_), None) => Err(self.wrong("tls_cert", "needs its key: set `tls_key`, too")),
            (None, Some(_)) => Err(self.wrong("tls_key", "needs its certificate: set `tls_cert`, too")),
            (None, None) if client_ca.is_some() => {
                Err(self.wrong("tls_client_ca", "needs TLS: set `tls_cert` and `tls_key`, too"))
            }
            (None, None) => Ok(None),
        }
    }

    fn check_url(&self, text: &str) -> anyhow::Result<String> {
        let uri = Uri::from_str(text).ok();
        let fit = uri.filter(|uri| {
            let scheme_fits = matches!(uri.scheme_str(), Some("http" | "https"));
            scheme_fits && uri.query().is_none() && !text.contains(['@', '#'])
        });
        match fit {
            Some(_) => Ok(text.trim_end_matches('/').to_owned()),
            // The text is not repeated: it may hold a password.
            None => Err(self.wrong("public_url", "must be a URL such as https://tokens.example.com")),
        }
    }

    fn check_proxies(&self, stated: TextOrList) -> anyhow::Result<Vec<IpNet>> {
        let blocks = stated.items();
        let block_of = |text: &String| {
            let address = || text.parse::<IpAddr>().map(IpNet::from);
            text.parse::<IpNet>().or_else(|_| address()).map_err(|_| {
                self.wrong(
                    "trusted_proxies",
                    format!("must hold CIDR blocks such as 10.0.0.0/8, not `{text}`"),
                )
            })
        };
        blocks.iter().map(block_of).collect()
    }

    fn check_jwt(&self, stated: &StatedJwt) -> anyhow::Result<JwtSettings> {
        let algorithm = Algorithm::parse(&stated.algorithm)
            .ok_or_else(|| self.wrong("jwt.algorithm", "must be \"EdDSA\", \"ES256\" or \"RS256\""))?;
        let lifetime = self.check_span("jwt.lifetime", &stated.lifetime)?;
        if !(SHORTEST_SIGNED..=LONGEST_SIGNED).contains(&lifetime) {
            return Err(self.wrong("jwt.lifetime", "must be 10 seconds to 24 hours"));
        }
        let resources = stated.resources.items();
        if !resources.iter().all(|resource| is_resource(resource)) {
            return Err(self.wrong("jwt.resources", "must hold absolute URIs without a fragment"));
        }
        Ok(JwtSettings { algorithm, lifetime, resources: resources.into_iter().map(Into::into).collect() })
    }

    fn check_cloudflare_access(
        &self,
        stated: &StatedCloudflareAccess,
    ) -> anyhow::Result<CloudflareAccessSettings> {
        let items = stated.applications.items();
        let applications = Applications::parse(items.iter().map(String::as_str))
            .map_err(|why| self.wrong("cloudflare_access.applications", format!("is wrong: {why}")))?;
        let single_header_of = |name: &String| {
            SingleHeader::parse(name).ok_or_else(|| {
                let why = format!(
                    "must name a header that means nothing else, not `{name}`; `Authorization` is read without it"
                );
                self.wrong("cloudflare_access.read_service_tokens_from_header", why)
            })
        };
        let single_header = stated.read_service_tokens_from_header.as_ref();
        Ok(CloudflareAccessSettings {
            applications,
            single_header: single_header.map(single_header_of).transpose()?,
        })
    }

    fn check_span(&self, key: &str, stated: &TextOrNumber) -> anyhow::Result<Duration> {
        match stated {
            TextOrNumber::Number(seconds) => Ok(Duration::from_secs(*seconds)),
            TextOrNumber::Text(text) => {
                duration::parse(text).map_err(|why| self.wrong(key, format!("{why}, not `{text}`")))
            }
        }
    }

    /// What is behind the scheme is for the store to understand. Nothing is repeated: it may hold a password.
    fn check_database_url(&self, url: String) -> anyhow::Result<Secret> {
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(self.wrong(DATABASE_URL, "must be a URL such as postgres://user@host/database"));
        }
        Ok(Secret::from_operator(url))
    }

    fn check_within(&self, key: &str, number: usize, most: usize) -> anyhow::Result<usize> {
        match number {
            0 => Err(self.wrong(key, "must be at least 1")),
            _ if number > most => Err(self.wrong(key, format!("must be at most {most}"))),
            _ => Ok(number),
        }
    }

    fn check_policy(&self, stated: &Stated) -> anyhow::Result<Policy> {
        let Stated { limits, secrets, login, .. } = stated;
        let lifetime_of = |text: &String| {
            Lifetime::parse(text)
                .map_err(|why| self.wrong("limits.max_duration", format!("{why}; not `{text}`")))
        };
        let prefix = SecretPrefix::parse(&secrets.prefix)
            .map_err(|why| self.wrong("secrets.prefix", format!("{why}; not `{}`", secrets.prefix)))?;
        Ok(Policy {
            max_lifetime: limits.max_duration.as_ref().map(lifetime_of).transpose()?,
            allow_forever: limits.allow_forever,
            service_tokens_per_account: limits.service_tokens_per_account,
            access_tokens_per_account: limits.access_tokens_per_account,
            logins_per_account: limits.logins_per_account,
            children_per_account: limits.children_per_account,
            organizations_per_account: limits.organizations_per_account,
            members_per_organization: limits.members_per_organization,
            open_sign_up: login.open_sign_up,
            login_ttl: self.check_login_ttl(&login.ttl)?,
            logins_per_minute_account: self.check_rate("login.per_account", login.per_account)?,
            logins_per_minute_address: self.check_rate("login.per_address", login.per_address)?,
            hashing_at_once: self.check_within("login.at_once", login.at_once, MOST_HASHED_AT_ONCE)?,
            secret_prefix: prefix,
            audit_retention: self.check_retention(&stated.audit.retention)?,
        })
    }

    fn check_listing(&self, text: &str) -> anyhow::Result<bool> {
        match text {
            "handle" => Ok(false),
            "clear" => Ok(true),
            other => {
                let why = format!("must be \"handle\" or \"clear\", not `{other}`");
                Err(self.wrong("access_tokens.listing", why))
            }
        }
    }

    fn check_rate(&self, key: &str, number: u32) -> anyhow::Result<NonZeroU32> {
        NonZeroU32::new(number).ok_or_else(|| self.wrong(key, "must be at least 1"))
    }

    fn check_login_ttl(&self, text: &str) -> anyhow::Result<Ttl> {
        let wrong = |why: &str| self.wrong("login.ttl", format!("{why}, or `forever`; not `{text}`"));
        if text == FOREVER {
            return Ok(Ttl::Eternal);
        }
        let seconds = duration::parse(text).map_err(|why| wrong(&why))?.as_secs();
        match i64::try_from(seconds).map(Ttl::from_number) {
            Ok(Ok(ttl)) if seconds > 0 => Ok(ttl),
            _ => Err(wrong("must be at least one second")),
        }
    }

    fn check_retention(&self, text: &str) -> anyhow::Result<Option<Duration>> {
        let wrong = |why: &str| self.wrong("audit.retention", format!("{why}, or `forever`; not `{text}`"));
        match text {
            FOREVER => Ok(None),
            _ => match duration::parse(text).map_err(|why| wrong(&why))? {
                Duration::ZERO => Err(wrong("must be longer than zero")),
                retention => Ok(Some(retention)),
            },
        }
    }

    fn check_log(&self, stated: &StatedLog) -> anyhow::Result<LogSettings> {
        let format = match stated.format.as_deref() {
            None => None,
            Some("text") => Some(LogFormat::Text),
            Some("json") => Some(LogFormat::Json),
            Some(other) => {
                return Err(self.wrong("log.format", format!("must be \"text\" or \"json\", not `{other}`")));
            }
        };
        let level = parse_level(&stated.level).ok_or_else(|| {
            self.wrong(
                "log.level",
                format!(
                    "must be error, warn, info, debug or trace, or by part such as \
                     info,countersign_server=debug; not `{}`",
                    stated.level
                ),
            )
        })?;
        Ok(LogSettings { format, level })
    }
}

/// The library would take a misspelt level for the name of a part, and log nothing.
fn parse_level(text: &str) -> Option<Targets> {
    let is_level = |word: &str| word.parse::<LevelFilter>().is_ok();
    let parts_fit = text.split(',').all(|part| match part.split_once('=') {
        Some((target, level)) => !target.is_empty() && is_level(level),
        None => is_level(part),
    });
    if !parts_fit {
        return None;
    }
    text.parse().ok()
}

/// A file that is not there or is not TOML, in one line: the library's own message is a drawing.
fn check_syntax(path: &Path) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the configuration file {}", path.display()))?;
    let Err(error) = toml::from_str::<toml::Table>(&text) else { return Ok(()) };
    let before = text.get(..error.span().map_or(0, |span| span.start)).unwrap_or("");
    let line = before.matches('\n').count() + 1;
    bail!("{} is not TOML: {} in line {line}", path.display(), error.message().replace('\n', "; "))
}
