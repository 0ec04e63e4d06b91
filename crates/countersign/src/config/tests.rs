use std::path::Path;

use countersign_domain::lifetime::Ttl;

use super::*;
use crate::environment::tests::of;

fn with(file: &str, variables: &[(&str, &str)], flags: ConfigArgs) -> anyhow::Result<Config> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("countersign.toml");
    std::fs::write(&path, file)?;
    let flags = ConfigArgs { config: Some(path), ..flags };
    Ok(load(&flags, &of(variables))?.config)
}

/// The error as it is printed, with the file's random directory left out.
fn error_of(file: &str, variables: &[(&str, &str)], flags: ConfigArgs) -> String {
    let error = match with(file, variables, flags) {
        Ok(_) => return "accepted".to_owned(),
        Err(error) => format!("{error:#}"),
    };
    assert!(!error.contains('\n'), "more than one line: {error}");
    let words = error.split(' ').map(|word| match word.split_once("countersign.toml") {
        Some((_, rest)) => format!("FILE{rest}"),
        None => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn the_defaults_are_the_contract() -> anyhow::Result<()> {
    let config = with("", &[], ConfigArgs::default())?;
    assert_eq!(config.listen.to_string(), "127.0.0.1:8787");
    assert_eq!(config.internal_listen, None);
    assert_eq!(config.data, Path::new("./countersign-data"));
    assert_eq!(config.public_url, None);
    let proxies: Vec<String> = config.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(proxies, ["127.0.0.0/8", "::1/128"]);
    assert_eq!(config.shutdown_delay, Duration::ZERO);
    assert_eq!((config.connections, config.queue), (10_000, 1_024));
    assert!(config.policy.max_lifetime.is_none() && config.policy.allow_forever);
    assert_eq!(config.policy.service_tokens_per_account, 1_000_000);
    assert_eq!(config.policy.access_tokens_per_account, 1_000_000);
    assert!(!config.lists_texts);
    let policy = &config.policy;
    assert_eq!((policy.logins_per_account, policy.children_per_account), (1_000, 100_000));
    assert_eq!((policy.organizations_per_account, policy.members_per_organization), (100, 10_000));
    assert_eq!((policy.login_ttl, policy.open_sign_up), (Ttl::DEFAULT, false));
    assert_eq!((policy.logins_per_minute_account.get(), policy.logins_per_minute_address.get()), (20, 60));
    assert_eq!(config.policy.secret_prefix.as_str(), "csst_");
    assert_eq!(config.policy.audit_retention, Some(Duration::from_secs(730 * 24 * 3600)));
    assert_eq!(config.log.format, None);
    Ok(())
}

#[test]
fn a_flag_beats_the_environment_beats_the_file() -> anyhow::Result<()> {
    let file =
        "listen = \"127.0.0.1:1\"\ndata = \"/file\"\npublic_url = \"http://file\"\n[store]\nqueue = 7\n";
    let variables = [("COUNTERSIGN_LISTEN", "127.0.0.1:2"), ("COUNTERSIGN_DATA", "/variable")];
    let flags = ConfigArgs { listen: Some("127.0.0.1:3".to_owned()), ..ConfigArgs::default() };
    let config = with(file, &variables, flags)?;
    assert_eq!(config.listen.port(), 3);
    assert_eq!(config.data, Path::new("/variable"));
    assert_eq!(config.public_url.as_deref(), Some("http://file"));
    assert_eq!((config.queue, config.connections), (7, 10_000), "a section is merged key by key");
    Ok(())
}

/// A value for each, in the order of the keys.
const VARIABLES: [(&str, &str); KEYS.len()] = [
    ("COUNTERSIGN_LISTEN", "[::1]:1"),
    ("COUNTERSIGN_INTERNAL_LISTEN", "127.0.0.1:2"),
    ("COUNTERSIGN_TLS_CERT", "/cert.pem"),
    ("COUNTERSIGN_TLS_KEY", "/key.pem"),
    ("COUNTERSIGN_TLS_CLIENT_CA", "/ca.pem"),
    ("COUNTERSIGN_DATA", "2026"),
    ("COUNTERSIGN_DATABASE_URL", "postgres://me:hunter2@db/tokens"),
    ("COUNTERSIGN_PUBLIC_URL", "https://tokens.example.com/"),
    ("COUNTERSIGN_TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.1"),
    ("COUNTERSIGN_SHUTDOWN_DELAY", "1m30s"),
    ("COUNTERSIGN_LIMITS_MAX_DURATION", "2160h"),
    ("COUNTERSIGN_LIMITS_ALLOW_FOREVER", "false"),
    ("COUNTERSIGN_LIMITS_SERVICE_TOKENS_PER_ACCOUNT", "3"),
    ("COUNTERSIGN_LIMITS_ACCESS_TOKENS_PER_ACCOUNT", "4"),
    ("COUNTERSIGN_LIMITS_LOGINS_PER_ACCOUNT", "11"),
    ("COUNTERSIGN_LIMITS_CHILDREN_PER_ACCOUNT", "12"),
    ("COUNTERSIGN_LIMITS_ORGANIZATIONS_PER_ACCOUNT", "13"),
    ("COUNTERSIGN_LIMITS_MEMBERS_PER_ORGANIZATION", "14"),
    ("COUNTERSIGN_LIMITS_CONNECTIONS", "5"),
    ("COUNTERSIGN_SECRETS_PREFIX", "acme_"),
    ("COUNTERSIGN_ACCESS_TOKENS_LISTING", "clear"),
    ("COUNTERSIGN_LOGIN_TTL", "forever"),
    ("COUNTERSIGN_LOGIN_PER_ACCOUNT", "15"),
    ("COUNTERSIGN_LOGIN_PER_ADDRESS", "16"),
    ("COUNTERSIGN_LOGIN_AT_ONCE", "17"),
    ("COUNTERSIGN_LOGIN_OPEN_SIGN_UP", "true"),
    ("COUNTERSIGN_JWT_ALGORITHM", "ES256"),
    ("COUNTERSIGN_JWT_LIFETIME", "90s"),
    ("COUNTERSIGN_JWT_RESOURCES", "https://a.example, urn:b"),
    (
        "COUNTERSIGN_CLOUDFLARE_ACCESS_APPLICATIONS",
        "4714c1358e65?scope=a|b&kind=service, 32eafc7626e7?scope=app:use",
    ),
    ("COUNTERSIGN_CLOUDFLARE_ACCESS_READ_SERVICE_TOKENS_FROM_HEADER", "X-Credentials"),
    ("COUNTERSIGN_STORE_QUEUE", "6"),
    ("COUNTERSIGN_STORE_CONNECTIONS", "18"),
    ("COUNTERSIGN_STORE_SERVE_STALE_FOR", "10m"),
    ("COUNTERSIGN_AUDIT_RETENTION", "10d"),
    ("COUNTERSIGN_LOG_FORMAT", "json"),
    ("COUNTERSIGN_LOG_LEVEL", "debug"),
];

#[test]
fn every_key_has_a_variable() -> anyhow::Result<()> {
    assert_eq!(VARIABLES.map(|(name, _)| name.to_owned()), KEYS.map(variable_of));
    let effective = load(&ConfigArgs::default(), &of(&VARIABLES))?;
    let shown = show(&effective, &of(&[]));
    let expected = "\
listen = \"[::1]:1\" # COUNTERSIGN_LISTEN
internal_listen = \"127.0.0.1:2\" # COUNTERSIGN_INTERNAL_LISTEN
tls_cert = \"/cert.pem\" # COUNTERSIGN_TLS_CERT
tls_key = \"/key.pem\" # COUNTERSIGN_TLS_KEY
tls_client_ca = \"/ca.pem\" # COUNTERSIGN_TLS_CLIENT_CA
data = \"2026\" # COUNTERSIGN_DATA
# database_url is set (not shown) # COUNTERSIGN_DATABASE_URL
public_url = \"https://tokens.example.com\" # COUNTERSIGN_PUBLIC_URL
trusted_proxies = [\"10.0.0.0/8\", \"192.0.2.1/32\"] # COUNTERSIGN_TRUSTED_PROXIES
shutdown_delay = \"90s\" # COUNTERSIGN_SHUTDOWN_DELAY

[limits]
max_duration = \"2160h\" # COUNTERSIGN_LIMITS_MAX_DURATION
allow_forever = false # COUNTERSIGN_LIMITS_ALLOW_FOREVER
service_tokens_per_account = 3 # COUNTERSIGN_LIMITS_SERVICE_TOKENS_PER_ACCOUNT
access_tokens_per_account = 4 # COUNTERSIGN_LIMITS_ACCESS_TOKENS_PER_ACCOUNT
logins_per_account = 11 # COUNTERSIGN_LIMITS_LOGINS_PER_ACCOUNT
children_per_account = 12 # COUNTERSIGN_LIMITS_CHILDREN_PER_ACCOUNT
organizations_per_account = 13 # COUNTERSIGN_LIMITS_ORGANIZATIONS_PER_ACCOUNT
members_per_organization = 14 # COUNTERSIGN_LIMITS_MEMBERS_PER_ORGANIZATION
connections = 5 # COUNTERSIGN_LIMITS_CONNECTIONS

[secrets]
prefix = \"acme_\" # COUNTERSIGN_SECRETS_PREFIX

[access_tokens]
listing = \"clear\" # COUNTERSIGN_ACCESS_TOKENS_LISTING

[login]
ttl = \"forever\" # COUNTERSIGN_LOGIN_TTL
per_account = 15 # COUNTERSIGN_LOGIN_PER_ACCOUNT
per_address = 16 # COUNTERSIGN_LOGIN_PER_ADDRESS
at_once = 17 # COUNTERSIGN_LOGIN_AT_ONCE
open_sign_up = true # COUNTERSIGN_LOGIN_OPEN_SIGN_UP

[jwt]
algorithm = \"ES256\" # COUNTERSIGN_JWT_ALGORITHM
lifetime = \"90s\" # COUNTERSIGN_JWT_LIFETIME
resources = [\"https://a.example\", \"urn:b\"] # COUNTERSIGN_JWT_RESOURCES

[cloudflare_access]
applications = [\"32eafc7626e7?scope=app:use\", \"4714c1358e65?scope=a|b&kind=service\"] # COUNTERSIGN_CLOUDFLARE_ACCESS_APPLICATIONS
read_service_tokens_from_header = \"x-credentials\" # COUNTERSIGN_CLOUDFLARE_ACCESS_READ_SERVICE_TOKENS_FROM_HEADER

[store]
queue = 6 # COUNTERSIGN_STORE_QUEUE
connections = 18 # COUNTERSIGN_STORE_CONNECTIONS
serve_stale_for = \"600s\" # COUNTERSIGN_STORE_SERVE_STALE_FOR

[audit]
retention = \"864000s\" # COUNTERSIGN_AUDIT_RETENTION

[log]
format = \"json\" # COUNTERSIGN_LOG_FORMAT
level = \"debug\" # COUNTERSIGN_LOG_LEVEL
";
    assert!(shown.starts_with(expected), "{shown}");

    // What is shown can be used as a file and means the same, but for the one secret.
    let secret = VARIABLES.iter().filter(|(name, _)| name.ends_with("_URL")).copied().collect::<Vec<_>>();
    let again = with(&shown, &secret, ConfigArgs::default())?;
    assert_eq!(format!("{again:?}"), format!("{:?}", effective.config));
    Ok(())
}

#[test]
fn an_empty_variable_counts_as_absent() -> anyhow::Result<()> {
    let config = with("listen = \"127.0.0.1:1\"", &[("COUNTERSIGN_LISTEN", "")], ConfigArgs::default())?;
    assert_eq!(config.listen.port(), 1);
    Ok(())
}

#[test]
fn an_unknown_key_is_named_with_its_file() {
    let none = ConfigArgs::default;
    assert_eq!(
        error_of("lisen = \"127.0.0.1:1\"", &[], none()),
        "unknown key `lisen` in FILE; known there: listen, internal_listen, tls_cert, tls_key, tls_client_ca, data, database_url, public_url, trusted_proxies, \
         shutdown_delay, limits, secrets, access_tokens, login, jwt, cloudflare_access, store, audit, log"
    );
    assert_eq!(
        error_of("[secrets]\nprefx = \"a_\"", &[], none()),
        "unknown key `secrets.prefx` in FILE; known there: prefix"
    );
    assert_eq!(
        error_of("[store]\nqueue = \"many\"", &[], none()),
        "`store.queue`: invalid type: found string \"many\", expected usize (from FILE)"
    );
}

#[test]
fn a_wrong_value_is_named_with_its_source() {
    let none = ConfigArgs::default;
    let flag = ConfigArgs { listen: Some("8787".to_owned()), ..ConfigArgs::default() };
    assert_eq!(
        error_of("", &[], flag),
        "`listen` must be an IP address and a port, such as 127.0.0.1:8787, not `8787` (from --listen)"
    );
    let cases = [
        (("COUNTERSIGN_TRUSTED_PROXIES", "10.0.0.0/8,proxy"), "`trusted_proxies` must hold CIDR blocks"),
        (("COUNTERSIGN_SHUTDOWN_DELAY", "soon"), "`shutdown_delay` must be whole numbers with units"),
        (
            ("COUNTERSIGN_LIMITS_MAX_DURATION", "90d"),
            "`limits.max_duration` has a number without a known unit",
        ),
        (("COUNTERSIGN_LIMITS_CONNECTIONS", "0"), "`limits.connections` must be at least 1"),
        (("COUNTERSIGN_STORE_QUEUE", "70000"), "`store.queue` must be at most 65536"),
        (("COUNTERSIGN_SECRETS_PREFIX", "Acme"), "`secrets.prefix` must be 1 to 16"),
        (("COUNTERSIGN_AUDIT_RETENTION", "0d"), "`audit.retention` must be longer than zero, or `forever`"),
        (("COUNTERSIGN_AUDIT_RETENTION", "for ever"), "`audit.retention` must be whole numbers with units"),
        (("COUNTERSIGN_LOG_FORMAT", "xml"), "`log.format` must be \"text\" or \"json\""),
        (("COUNTERSIGN_LOG_LEVEL", "inof"), "`log.level` must be error, warn, info"),
        (("COUNTERSIGN_PUBLIC_URL", "https://user:hunter2@host"), "`public_url` must be a URL"),
        (
            ("COUNTERSIGN_DATABASE_URL", "mysql://me:hunter2@host"),
            "`database_url` must be a URL such as postgres://",
        ),
        (("COUNTERSIGN_STORE_CONNECTIONS", "0"), "`store.connections` must be at least 1"),
        (("COUNTERSIGN_DATA", "\u{0}"), "accepted"),
    ];
    for ((name, value), expected) in cases {
        let error = error_of("", &[(name, value)], none());
        assert!(error.starts_with(expected), "{name}: {error}");
        assert!(expected == "accepted" || error.ends_with(&format!("(from {name})")), "{name}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn a_file_that_is_missing_or_broken_is_one_line() -> anyhow::Result<()> {
    let missing = ConfigArgs { config: Some("/nowhere/countersign.toml".into()), ..ConfigArgs::default() };
    let error = load(&missing, &of(&[])).map(|_| ()).map_err(|error| error.to_string());
    assert_eq!(error, Err("cannot read the configuration file /nowhere/countersign.toml".to_owned()));
    let error = error_of("data = \"a\"\nlisten = = 1\n", &[], ConfigArgs::default());
    assert!(error.starts_with("FILE is not TOML: ") && error.ends_with(" in line 2"), "{error}");
    Ok(())
}

#[test]
fn secrets_are_not_shown() -> anyhow::Result<()> {
    let variables =
        [("COUNTERSIGN_ROOT_TOKEN", "hunter2hunter2"), ("COUNTERSIGN_ROOT_EMAIL", "root@example.com")];
    let shown = show(&load(&ConfigArgs::default(), &of(&variables))?, &of(&variables));
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("# COUNTERSIGN_ROOT_TOKEN is set (not shown)\n"), "{shown}");
    assert!(shown.contains("# COUNTERSIGN_ROOT_EMAIL = \"root@example.com\"\n"), "{shown}");
    assert!(shown.contains("# internal_listen is not set\n"), "{shown}");
    assert!(shown.contains("prefix = \"csst_\" # default\n"), "{shown}");
    Ok(())
}
