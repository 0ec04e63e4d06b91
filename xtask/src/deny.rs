//! What may be in the tree of dependencies: licences, banned crates, duplicate versions, sources.
//!
//! The rules are in `deny.toml`. cargo-deny is a large tool to build for every CI run, so the few checks that
//! need no advisory database are done here, on what cargo itself says.

mod licence;
mod policy;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use cargo_metadata::Package;

use self::policy::Policy;
use crate::workspace::{Workspace, output_of};

/// What is in the tree of dependencies against `deny.toml`, one sentence each; also entries of `deny.toml`
/// that are no longer needed.
pub(crate) fn violations(workspace: &Workspace) -> Result<Vec<String>> {
    let policy = Policy::read(&workspace.root().join("deny.toml"))?;
    let dependencies = dependencies(workspace, &policy.graph.targets)?;
    Ok(judge(&policy, &dependencies))
}

/// A package in the tree, one of ours or not.
#[derive(Debug)]
struct Dependency {
    name: String,
    version: String,
    licence: Option<String>,
    origin: Origin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Ours,
    PublicRegistry,
    Elsewhere,
}

impl From<Package> for Dependency {
    fn from(package: Package) -> Self {
        let origin = match &package.source {
            None => Origin::Ours,
            Some(source) if source.is_crates_io() => Origin::PublicRegistry,
            Some(_) => Origin::Elsewhere,
        };
        Self {
            name: package.name.to_string(),
            version: package.version.to_string(),
            licence: package.license,
            origin,
        }
    }
}

/// What is built for `targets`, for any purpose. `cargo metadata` also names packages behind features that
/// nobody turned on (`ring` behind rustls's, for one); `cargo tree` knows which of them are built.
fn dependencies(workspace: &Workspace, targets: &[String]) -> Result<Vec<Dependency>> {
    let mut tree = workspace.cargo();
    tree.args(["tree", "--workspace", "--locked", "--edges", "normal,build,dev"]);
    tree.args(["--prefix", "none", "--format", "{p}"]);
    tree.args(targets.iter().flat_map(|target| ["--target", target]));
    let built = packages_named(&output_of(&mut tree)?);

    let packages = workspace.packages_for(targets)?.into_iter().map(Dependency::from);
    let of_tree = packages.filter(|d| built.contains(&(d.name.clone(), d.version.clone())));
    Ok(of_tree.collect())
}

/// Name and version of each package in the output of `cargo tree`, whose lines are like
/// `async-trait v0.1.92 (proc-macro) (*)`.
fn packages_named(tree: &str) -> BTreeSet<(String, String)> {
    let package = |line: &str| {
        let mut words = line.split_whitespace();
        let name = words.next()?;
        let version = words.next()?.strip_prefix('v')?;
        Some((name.to_owned(), version.to_owned()))
    };
    tree.lines().filter_map(package).collect()
}

fn judge(policy: &Policy, dependencies: &[Dependency]) -> Vec<String> {
    let checks = [judge_licences, judge_bans, judge_duplicates, judge_origins];
    checks.into_iter().flat_map(|check| check(policy, dependencies)).collect()
}

fn judge_licences(policy: &Policy, dependencies: &[Dependency]) -> Vec<String> {
    let mut violations = Vec::new();
    let mut seen = BTreeSet::new();
    for Dependency { name, version, licence, .. } in dependencies {
        let expression = licence.as_deref().unwrap_or("none stated");
        let allowed = licence::is_satisfied(expression, |licence| {
            seen.insert(licence.to_owned());
            policy.licenses.allow.iter().any(|allowed| allowed == licence)
        });
        if !allowed {
            violations.push(format!(
                "licences: {name} {version} has {expression:?}, which deny.toml does not allow"
            ));
        }
    }
    let unused = policy.licenses.allow.iter().filter(|licence| !seen.contains(licence.as_str()));
    violations.extend(
        unused.map(|licence| format!("licences: nothing has {licence} any more: drop it from deny.toml")),
    );
    violations
}

fn judge_bans(policy: &Policy, dependencies: &[Dependency]) -> Vec<String> {
    let reason_against =
        |name: &str| policy.bans.deny.iter().find(|ban| ban.name == name).map(|ban| &ban.reason);
    let banned = dependencies.iter().filter_map(|d| Some((d, reason_against(&d.name)?)));
    banned.map(|(d, reason)| format!("bans: {} {} is in the tree: {reason}", d.name, d.version)).collect()
}

fn judge_duplicates(policy: &Policy, dependencies: &[Dependency]) -> Vec<String> {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for dependency in dependencies {
        versions.entry(&dependency.name).or_default().insert(&dependency.version);
    }
    let mut violations = Vec::new();
    for skip in &policy.bans.skip {
        let needed = versions
            .get(skip.name.as_str())
            .is_some_and(|of| of.len() > 1 && of.contains(skip.version.as_str()));
        if !needed {
            let (name, version) = (&skip.name, &skip.version);
            violations.push(format!("duplicates: {name}@{version} is none any more: drop it from deny.toml"));
        }
    }
    for (name, versions) in versions {
        let is_known =
            |version: &&str| policy.bans.skip.iter().any(|s| s.name == name && s.version == **version);
        let unexplained: Vec<&str> = versions.into_iter().filter(|version| !is_known(version)).collect();
        if unexplained.len() > 1 {
            violations.push(format!(
                "duplicates: {name} {}: unite them, or name one in deny.toml with its reason",
                unexplained.join(" and ")
            ));
        }
    }
    violations
}

fn judge_origins(_: &Policy, dependencies: &[Dependency]) -> Vec<String> {
    let foreign = dependencies.iter().filter(|dependency| dependency.origin == Origin::Elsewhere);
    foreign.map(|d| format!("sources: {} {} is not from the public registry", d.name, d.version)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dependency(name: &str, version: &str, licence: &str) -> Dependency {
        Dependency {
            name: name.to_owned(),
            version: version.to_owned(),
            licence: Some(licence.to_owned()),
            origin: Origin::PublicRegistry,
        }
    }

    fn policy() -> Policy {
        let text = r#"
            [graph]
            targets = []
            [licenses]
            allow = ["MIT"]
            unused-allowed-license = "deny"
            [bans]
            multiple-versions = "deny"
            deny = [{ crate = "ring", reason = "one provider" }]
            skip = [{ crate = "toml@0.8.23", reason = "figment" }]
            [sources]
            unknown-registry = "deny"
            unknown-git = "deny"
        "#;
        Policy::parse(text).expect("a policy")
    }

    /// A tree with nothing wrong, and what is wrong once `more` is in it.
    fn violations_with(more: impl IntoIterator<Item = Dependency>) -> Vec<String> {
        let mut tree =
            vec![dependency("toml", "0.8.23", "MIT"), dependency("toml", "1.2.1", "MIT OR Apache-2.0")];
        tree.extend(more);
        judge(&policy(), &tree)
    }

    #[test]
    fn a_good_tree() {
        assert!(violations_with([dependency("serde", "1.0.0", "MIT")]).is_empty());
    }

    #[test]
    fn licences_that_are_not_allowed_or_not_stated() {
        let violations = violations_with([dependency("a", "1.0.0", "GPL-3.0")]);
        assert!(matches!(&violations[..], [one] if one.starts_with("licences: a 1.0.0")), "{violations:?}");
        let unstated = Dependency { licence: None, ..dependency("b", "1.0.0", "") };
        assert_eq!(violations_with([unstated]).len(), 1);
    }

    #[test]
    fn a_licence_that_nothing_has_is_not_to_be_allowed() {
        let violations = judge_licences(&policy(), &[dependency("a", "1.0.0", "MIT-0")]);
        assert!(
            violations.iter().any(|violation| violation.contains("nothing has MIT any more")),
            "{violations:?}"
        );
    }

    #[test]
    fn banned_crates_are_named_with_the_reason() {
        let violations = violations_with([dependency("ring", "0.17.14", "MIT")]);
        assert_eq!(violations, ["bans: ring 0.17.14 is in the tree: one provider"]);
    }

    #[test]
    fn duplicates_beyond_the_known_ones() {
        let violations = violations_with([dependency("toml", "0.5.0", "MIT")]);
        assert!(matches!(&violations[..], [one] if one.contains("toml 0.5.0 and 1.2.1")), "{violations:?}");
        let violations = violations_with([dependency("a", "1.0.0", "MIT"), dependency("a", "2.0.0", "MIT")]);
        assert!(matches!(&violations[..], [one] if one.contains("a 1.0.0 and 2.0.0")), "{violations:?}");
    }

    #[test]
    fn a_known_duplicate_that_is_gone_is_not_to_be_listed() {
        for versions in [&["0.8.23"][..], &["1.2.1"], &["1.1.0", "1.2.1"]] {
            let tree = versions.iter().map(|version| dependency("toml", version, "MIT")).collect::<Vec<_>>();
            let violations = judge_duplicates(&policy(), &tree);
            assert_eq!(violations[0], "duplicates: toml@0.8.23 is none any more: drop it from deny.toml");
            assert_eq!(violations.len(), versions.len(), "{violations:?}");
        }
    }

    #[test]
    fn packages_from_elsewhere() {
        let fork = Dependency { origin: Origin::Elsewhere, ..dependency("a", "1.0.0", "MIT") };
        assert_eq!(violations_with([fork]), ["sources: a 1.0.0 is not from the public registry"]);
        let own = Dependency { origin: Origin::Ours, ..dependency("a", "1.0.0", "MIT") };
        assert!(violations_with([own]).is_empty());
    }

    #[test]
    fn the_output_of_cargo_tree() {
        let tree = "a v0.1.0 (/some/path)\nasync-trait v0.1.92 (proc-macro) (*)\n\ntoml v1.2.1+spec-1.1.0\n";
        let named = packages_named(tree);
        let expected = [("a", "0.1.0"), ("async-trait", "0.1.92"), ("toml", "1.2.1+spec-1.1.0")];
        assert_eq!(named, expected.map(|(name, version)| (name.to_owned(), version.to_owned())).into());
    }
}
