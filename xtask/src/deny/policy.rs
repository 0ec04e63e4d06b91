//! `deny.toml`, in the format of cargo-deny. A key that this program does not check is refused, so that the
//! file says nothing that nobody checks.

#![expect(dead_code, reason = "levels are checked by being read: only `deny` is one")]

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::{Deserializer, Error};

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Policy {
    pub(super) graph: Graph,
    pub(super) licenses: Licenses,
    pub(super) bans: Bans,
    sources: Sources,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Graph {
    /// Platforms whose dependencies are judged.
    pub(super) targets: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Licenses {
    /// SPDX names.
    pub(super) allow: Vec<String>,
    unused_allowed_license: Level,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Bans {
    multiple_versions: Level,
    /// Crates that must not be in the tree.
    pub(super) deny: Vec<Ban>,
    /// Versions that do not count as duplicates.
    pub(super) skip: Vec<Skip>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Sources {
    unknown_registry: Level,
    unknown_git: Level,
}

/// How bad it is. cargo-deny knows `warn` and `allow` as well; a rule here holds or is not there.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Level {
    Deny,
}

/// A crate that must not be in the tree.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ban {
    #[serde(rename = "crate")]
    pub(super) name: String,
    pub(super) reason: String,
}

/// A version that does not count as a duplicate, `name@version` in the file.
#[derive(Debug)]
pub(super) struct Skip {
    pub(super) name: String,
    pub(super) version: String,
}

impl<'de> Deserialize<'de> for Skip {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let entry = Ban::deserialize(deserializer)?;
        let Some((name, version)) = entry.name.split_once('@') else {
            return Err(D::Error::custom("a known duplicate is written `name@version`"));
        };
        Ok(Self { name: name.to_owned(), version: version.to_owned() })
    }
}

impl Policy {
    /// Reads the file.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    /// Reads its text.
    pub(super) fn parse(text: &str) -> Result<Self> {
        Ok(toml::from_str(text)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = r#"
        [graph]
        targets = []
        [licenses]
        allow = []
        unused-allowed-license = "deny"
        [bans]
        multiple-versions = "deny"
        deny = []
        skip = [{ crate = "toml@0.8.23", reason = "figment" }]
        [sources]
        unknown-registry = "deny"
        unknown-git = "deny"
    "#;

    fn is_refused(replace: &str, with: &str) -> bool {
        assert!(MINIMAL.contains(replace), "{replace}");
        Policy::parse(&MINIMAL.replace(replace, with)).is_err()
    }

    #[test]
    fn a_known_duplicate_is_a_name_and_a_version() {
        let policy = Policy::parse(MINIMAL).expect("a policy");
        assert_eq!(
            (policy.bans.skip[0].name.as_str(), policy.bans.skip[0].version.as_str()),
            ("toml", "0.8.23")
        );
        assert!(is_refused("toml@0.8.23", "toml"));
    }

    #[test]
    fn what_would_not_be_checked_is_refused() {
        assert!(is_refused(r#"unknown-git = "deny""#, r#"unknown-git = "warn""#));
        assert!(is_refused("targets = []", "targets = []\nexclude = []"));
        assert!(is_refused("unknown-git = \"deny\"", ""));
    }

    #[test]
    fn every_entry_has_a_reason() {
        assert!(is_refused(r#", reason = "figment""#, ""));
        assert!(is_refused("deny = []", r#"deny = [{ crate = "ring" }]"#));
    }

    #[test]
    fn ours_can_be_read() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deny.toml");
        let policy = Policy::read(&path).expect("a policy");
        assert!(policy.bans.deny.iter().any(|ban| ban.name == "ring"));
    }
}
