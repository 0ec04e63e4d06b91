//! Who may import whom (ARCHITECTURE.md has the picture). The compiler holds a border only while nobody adds
//! a line to a manifest; this holds the manifests.

use cargo_metadata::{DependencyKind, Package};

/// What one of our packages may depend on.
struct Rule {
    package: &'static str,
    /// Ours, for any purpose.
    ours: &'static [&'static str],
    /// Ours, in its tests alone.
    ours_in_tests: &'static [&'static str],
    /// Not ours, and not to be named in its manifest even for tests.
    never: &'static [&'static [&'static str]],
}

const RUNTIMES: &[&str] = &["tokio", "tokio-util", "futures", "futures-util", "smol", "async-std"];
const HTTP: &[&str] =
    &["http", "http-body-util", "hyper", "hyper-util", "axum", "tower", "tower-http", "reqwest", "ureq"];
const SQL: &[&str] =
    &["rusqlite", "libsqlite3-sys", "tokio-postgres", "deadpool-postgres", "postgres", "sqlx"];
const SERIALISERS: &[&str] = &["serde", "serde_derive", "serde_core", "serde_json", "toml"];
const RANDOMNESS: &[&str] = &["rand", "rand_core", "getrandom", "fastrand"];

const DOMAIN: &str = "countersign-domain";
const STORE_SQLITE: &str = "countersign-store-sqlite";
const STORE_POSTGRES: &str = "countersign-store-postgres";
const STORE_CONFORMANCE: &str = "countersign-store-conformance";
const AUTHORITY: &str = "countersign-authority";
const SERVER: &str = "countersign-server";
const POSTGRES_CLUSTER: &str = "countersign-postgres-cluster";
const EVERY_PART: &[&str] =
    &[AUTHORITY, DOMAIN, POSTGRES_CLUSTER, SERVER, STORE_CONFORMANCE, STORE_POSTGRES, STORE_SQLITE];

/// A package that no list names is imported by nobody: the binary, xtask and bench.
const RULES: &[Rule] = &[
    Rule {
        package: DOMAIN,
        ours: &[],
        ours_in_tests: &[],
        never: &[RUNTIMES, HTTP, SQL, SERIALISERS, RANDOMNESS],
    },
    Rule {
        package: STORE_SQLITE,
        ours: &[DOMAIN],
        ours_in_tests: &[STORE_CONFORMANCE],
        never: &[HTTP, RANDOMNESS],
    },
    Rule {
        package: STORE_POSTGRES,
        ours: &[DOMAIN],
        ours_in_tests: &[POSTGRES_CLUSTER, STORE_CONFORMANCE],
        never: &[HTTP, RANDOMNESS],
    },
    Rule { package: STORE_CONFORMANCE, ours: &[DOMAIN], ours_in_tests: &[], never: &[HTTP, SQL] },
    Rule {
        package: AUTHORITY,
        ours: &[DOMAIN],
        ours_in_tests: &[STORE_CONFORMANCE],
        never: &[HTTP, SQL, RANDOMNESS],
    },
    Rule {
        package: SERVER,
        ours: &[AUTHORITY, DOMAIN],
        ours_in_tests: &[POSTGRES_CLUSTER, STORE_CONFORMANCE, STORE_POSTGRES, STORE_SQLITE],
        never: &[SQL, RANDOMNESS],
    },
    Rule {
        package: "countersign",
        ours: &[AUTHORITY, DOMAIN, SERVER, STORE_POSTGRES, STORE_SQLITE],
        ours_in_tests: &[POSTGRES_CLUSTER, STORE_CONFORMANCE],
        never: &[],
    },
    Rule {
        package: "countersign-sim",
        ours: &[AUTHORITY, DOMAIN, STORE_CONFORMANCE],
        ours_in_tests: &[],
        never: &[RUNTIMES, HTTP, SQL, RANDOMNESS],
    },
    Rule { package: POSTGRES_CLUSTER, ours: &[], ours_in_tests: &[], never: &[RUNTIMES, HTTP, SQL] },
    Rule { package: "xtask", ours: EVERY_PART, ours_in_tests: &[], never: &[] },
    Rule { package: "countersign-bench", ours: EVERY_PART, ours_in_tests: &[], never: &[] },
];

/// What breaks the rules in the manifests of our packages, one sentence each; also packages without a rule
/// and rules without a package.
pub(crate) fn violations(members: &[Package]) -> Vec<String> {
    let ours: Vec<Manifest<'_>> = members.iter().map(Manifest::of).collect();
    judge(&ours, RULES)
}

/// What the rules look at in a package's manifest.
struct Manifest<'a> {
    package: &'a str,
    dependencies: Vec<(&'a str, DependencyKind)>,
}

impl<'a> Manifest<'a> {
    fn of(package: &'a Package) -> Self {
        let dependencies = package.dependencies.iter().map(|d| (d.name.as_str(), d.kind)).collect();
        Self { package: package.name.as_str(), dependencies }
    }
}

fn judge(manifests: &[Manifest<'_>], rules: &[Rule]) -> Vec<String> {
    let is_ours = |name: &str| manifests.iter().any(|manifest| manifest.package == name);
    let stale = rules.iter().filter(|rule| !is_ours(rule.package));
    let mut violations: Vec<String> = stale
        .map(|rule| format!("imports: there is a rule for {}, but no such package", rule.package))
        .collect();

    for manifest in manifests {
        let package = manifest.package;
        let Some(rule) = rules.iter().find(|rule| rule.package == package) else {
            violations.push(format!(
                "imports: {package} has no rule: say whom it may import in xtask/src/imports.rs"
            ));
            continue;
        };
        let broken =
            manifest.dependencies.iter().filter(|(name, kind)| !rule.permits(name, *kind, is_ours(name)));
        violations.extend(broken.map(|(name, _)| format!("imports: {package} must not depend on {name}")));
    }
    violations
}

impl Rule {
    fn permits(&self, dependency: &str, kind: DependencyKind, is_ours: bool) -> bool {
        if !is_ours {
            return !self.never.iter().any(|group| group.contains(&dependency));
        }
        let for_tests = kind == DependencyKind::Development && self.ours_in_tests.contains(&dependency);
        for_tests || self.ours.contains(&dependency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use DependencyKind::{Build, Development, Normal};

    const SMALL: &[Rule] = &[
        Rule { package: "domain", ours: &[], ours_in_tests: &[], never: &[RUNTIMES] },
        Rule { package: "store", ours: &["domain"], ours_in_tests: &["suite"], never: &[] },
        Rule { package: "suite", ours: &["domain"], ours_in_tests: &[], never: &[] },
    ];

    fn judge_with(package: &str, dependency: &str, kind: DependencyKind) -> Vec<String> {
        let manifests = ["domain", "store", "suite"].map(|name| {
            let dependencies = if name == package { vec![(dependency, kind)] } else { vec![] };
            Manifest { package: name, dependencies }
        });
        judge(&manifests, SMALL)
    }

    #[test]
    fn what_is_listed_may_be_imported() {
        assert!(judge_with("store", "domain", Normal).is_empty());
        assert!(judge_with("store", "domain", Development).is_empty());
        assert!(judge_with("store", "suite", Development).is_empty());
        assert!(judge_with("store", "tokio", Normal).is_empty());
        assert!(judge_with("domain", "uuid", Normal).is_empty());
    }

    #[test]
    fn nothing_else_of_ours_may() {
        assert_eq!(judge_with("domain", "store", Normal), ["imports: domain must not depend on store"]);
        for kind in [Normal, Build] {
            assert_eq!(judge_with("store", "suite", kind), ["imports: store must not depend on suite"]);
        }
        assert_eq!(judge_with("suite", "store", Development), ["imports: suite must not depend on store"]);
    }

    #[test]
    fn a_banned_crate_is_banned_for_every_purpose() {
        for kind in [Normal, Build, Development] {
            assert_eq!(judge_with("domain", "tokio", kind), ["imports: domain must not depend on tokio"]);
        }
    }

    #[test]
    fn rules_and_packages_match_one_to_one() {
        let manifest = |package| Manifest { package, dependencies: vec![] };
        let violations = judge(&[manifest("domain"), manifest("store"), manifest("new")], SMALL);
        assert_eq!(violations.len(), 2, "{violations:?}");
        assert!(violations[0].contains("rule for suite"), "{violations:?}");
        assert!(violations[1].contains("new has no rule"), "{violations:?}");
    }

    #[test]
    fn the_borders_of_the_design() {
        let rule = |name: &str| RULES.iter().find(|rule| rule.package == name).expect("a rule");
        let ours = [
            DOMAIN,
            STORE_SQLITE,
            STORE_CONFORMANCE,
            AUTHORITY,
            SERVER,
            "countersign",
            "xtask",
            "countersign-bench",
        ];
        let imports =
            |name: &str| ours.into_iter().filter(|o| rule(name).permits(o, Normal, true)).collect::<Vec<_>>();
        assert!(imports(DOMAIN).is_empty());
        assert_eq!(imports(STORE_SQLITE), [DOMAIN]);
        assert_eq!(imports(AUTHORITY), [DOMAIN]);
        assert_eq!(imports(SERVER), [DOMAIN, AUTHORITY]);
        for importer in ours {
            for top in ["countersign", "xtask", "countersign-bench"] {
                assert!(!rule(importer).permits(top, Development, true), "{importer} imports {top}");
            }
        }
        for banned in ["tokio", "hyper", "axum", "rusqlite", "serde", "rand", "getrandom"] {
            assert!(!rule(DOMAIN).permits(banned, Normal, false), "{banned}");
        }
    }
}
