//! Printing the configuration in effect: TOML that can be used as a file, with the source of each value.

use std::fmt::Write as _;
use std::time::Duration;

use countersign_domain::lifetime::Ttl;
use toml::Value;

use super::load::Effective;
use super::{Config, FOREVER, KEYS, LogFormat};
use crate::duration;
use crate::environment::Lookup;

/// What is configured in the environment alone; `true` for secrets.
pub(super) const ROOT_VARIABLES: [(&str, bool); 5] = [
    ("COUNTERSIGN_ROOT_ACCOUNT_ID", false),
    ("COUNTERSIGN_ROOT_EMAIL", false),
    ("COUNTERSIGN_ROOT_TOKEN", true),
    ("COUNTERSIGN_ROOT_TOKEN_FILE", false),
    ("COUNTERSIGN_KEY_FILE", false),
];

/// The configuration in effect, secrets left out.
pub(crate) fn show(effective: &Effective, lookup: Lookup<'_>) -> String {
    let mut text = String::new();
    let mut section = "";
    for key in KEYS {
        let (its_section, name) = key.rsplit_once('.').unwrap_or(("", key));
        if its_section != section {
            section = its_section;
            let _ = writeln!(text, "\n[{section}]");
        }
        let _ = match value_of(&effective.config, key) {
            // It may hold a password.
            _ if key == "database_url" && effective.config.database_url.is_some() => {
                writeln!(text, "# {name} is set (not shown) # {}", effective.source_of(key))
            }
            Some(value) => writeln!(text, "{name} = {value} # {}", effective.source_of(key)),
            None => writeln!(text, "# {name} is not set"),
        };
    }
    text.push_str("\n# From the environment alone:\n");
    for (name, is_secret) in ROOT_VARIABLES {
        let _ = match lookup(name).filter(|value| !value.is_empty()) {
            None => writeln!(text, "# {name} is not set"),
            Some(_) if is_secret => writeln!(text, "# {name} is set (not shown)"),
            Some(value) => writeln!(text, "# {name} = {}", Value::from(value.to_string_lossy().as_ref())),
        };
    }
    text
}

fn value_of(config: &Config, key: &str) -> Option<Value> {
    let (policy, tls) = (&config.policy, config.tls.as_ref());
    let number = |number: usize| Value::Integer(i64::try_from(number).unwrap_or(i64::MAX));
    let text = |text: &dyn ToString| Value::String(text.to_string());
    match key {
        "listen" => Some(text(&config.listen)),
        "internal_listen" => config.internal_listen.map(|address| text(&address)),
        "tls_cert" => tls.map(|files| text(&files.cert.display())),
        "tls_key" => tls.map(|files| text(&files.key.display())),
        "tls_client_ca" => tls.and_then(|files| files.client_ca.as_ref()).map(|path| text(&path.display())),
        "data" => Some(text(&config.data.display())),
        "public_url" => config.public_url.as_ref().map(|url| text(url)),
        "trusted_proxies" => {
            Some(Value::Array(config.trusted_proxies.iter().map(|block| text(block)).collect()))
        }
        "shutdown_delay" => Some(text(&duration::to_text(config.shutdown_delay))),
        "limits.max_duration" => policy.max_lifetime.as_ref().map(|lifetime| text(lifetime)),
        "limits.allow_forever" => Some(Value::Boolean(policy.allow_forever)),
        "limits.service_tokens_per_account" => Some(Value::from(policy.service_tokens_per_account)),
        "limits.access_tokens_per_account" => Some(Value::from(policy.access_tokens_per_account)),
        "limits.logins_per_account" => Some(Value::from(policy.logins_per_account)),
        "limits.children_per_account" => Some(Value::from(policy.children_per_account)),
        "limits.organizations_per_account" => Some(Value::from(policy.organizations_per_account)),
        "limits.members_per_organization" => Some(Value::from(policy.members_per_organization)),
        "limits.connections" => Some(number(config.connections)),
        "secrets.prefix" => Some(text(&policy.secret_prefix.as_str())),
        "access_tokens.listing" => Some(Value::from(if config.lists_texts { "clear" } else { "handle" })),
        "login.ttl" => Some(match policy.login_ttl {
            Ttl::Seconds(seconds) => text(&duration::to_text(Duration::from_secs(seconds.into()))),
            Ttl::Eternal => Value::from(FOREVER),
        }),
        "login.per_account" => Some(Value::from(policy.logins_per_minute_account.get())),
        "login.per_address" => Some(Value::from(policy.logins_per_minute_address.get())),
        "login.at_once" => Some(number(policy.hashing_at_once)),
        "login.open_sign_up" => Some(Value::Boolean(policy.open_sign_up)),
        "jwt.algorithm" => Some(Value::from(config.jwt.algorithm.as_str())),
        "jwt.lifetime" => Some(text(&duration::to_text(config.jwt.lifetime))),
        "jwt.resources" => {
            Some(Value::Array(config.jwt.resources.iter().map(|resource| text(resource)).collect()))
        }
        "cloudflare_access.applications" => {
            Some(Value::Array(config.cloudflare_access.applications.texts().map(Value::from).collect()))
        }
        "cloudflare_access.read_service_tokens_from_header" => {
            config.cloudflare_access.single_header.as_ref().map(|name| Value::from(name.as_str()))
        }
        "store.queue" => Some(number(config.queue)),
        "store.connections" => Some(number(config.database_connections)),
        "store.serve_stale_for" => Some(text(&duration::to_text(config.serve_stale_for))),
        "audit.retention" => Some(match policy.audit_retention {
            Some(retention) => text(&duration::to_text(retention)),
            None => Value::from(FOREVER),
        }),
        "log.format" => config.log.format.map(|format| match format {
            LogFormat::Text => Value::from("text"),
            LogFormat::Json => Value::from("json"),
        }),
        "log.level" => Some(text(&config.log.level)),
        _ => None,
    }
}
