//! Which environment variables there are. One that looks like ours and is none is refused, as an unknown key of the
//! file is: whoever misspelt COUNTERSIGN_TRUSTED_PROXIES must not find out from an attacker.

use anyhow::{anyhow, bail};

use super::show::ROOT_VARIABLES;
use super::{KEYS, variable_of};

/// How every variable of ours begins.
const PREFIX: &str = "COUNTERSIGN_";

/// Beside those of the keys and of the root: the file, and what the commands to a running server read, because a
/// shell may have these set for both.
const OTHERS: [&str; 5] = [
    "COUNTERSIGN_CONFIG",
    "COUNTERSIGN_URL",
    "COUNTERSIGN_TOKEN",
    "COUNTERSIGN_TOKEN_FILE",
    "COUNTERSIGN_CLIENT_SECRET",
];

/// What a later version will have, and what to do in this one. Who sets these believes to be protected by them.
const NOT_YET: [(&str, &str); 3] = [
    ("COUNTERSIGN_TLS_CERT", WITHOUT_TLS),
    ("COUNTERSIGN_TLS_KEY", WITHOUT_TLS),
    ("COUNTERSIGN_DATABASE_URL", "unset it and run one node, whose store is in COUNTERSIGN_DATA"),
];
const WITHOUT_TLS: &str = "unset it and put a proxy that speaks TLS in front of the plaintext served here";

/// More wrong letters than this are another word.
const MOST_TYPOS: usize = 2;

/// Refuses the first of these names that is meant for us and not known. No value is in the error: it may be a secret.
pub(super) fn check(names: impl IntoIterator<Item = String>) -> anyhow::Result<()> {
    let known = known();
    let stray = names.into_iter().filter(|name| name.starts_with(PREFIX) && !known.contains(name)).min();
    let Some(name) = stray else { return Ok(()) };
    if let Some((_, remedy)) = NOT_YET.iter().find(|(later, _)| *later == name) {
        bail!("{name} is not available yet in this version; {remedy}");
    }
    Err(anyhow!("unknown environment variable {name}; {}", remedy_for(&name, &known)))
}

fn known() -> Vec<String> {
    let roots = ROOT_VARIABLES.iter().map(|(name, _)| *name);
    let others = roots.chain(OTHERS).map(str::to_owned);
    KEYS.into_iter().map(variable_of).chain(others).collect()
}

fn remedy_for(name: &str, known: &[String]) -> String {
    let nearest = known.iter().map(|known| (strsim::osa_distance(name, known), known)).min();
    match nearest {
        Some((typos, nearest)) if typos <= MOST_TYPOS => format!("is it {nearest}?"),
        _ if is_of_kubernetes(name) => {
            "Kubernetes sets it for a service of that name: `enableServiceLinks: false` leaves it out"
                .to_owned()
        }
        _ => "unset it; `countersign serve --help` says which there are".to_owned(),
    }
}

/// Such as COUNTERSIGN_SERVICE_HOST and COUNTERSIGN_PORT_8787_TCP.
fn is_of_kubernetes(name: &str) -> bool {
    ["_SERVICE_HOST", "_SERVICE_PORT", "_PORT"].iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(names: &[&str]) -> String {
        match check(names.iter().map(|name| (*name).to_owned())) {
            Ok(()) => "accepted".to_owned(),
            Err(error) => format!("{error:#}"),
        }
    }

    #[test]
    fn what_is_ours_or_nobodys_is_accepted() {
        for name in known() {
            assert_eq!(error_of(&[&name]), "accepted");
        }
        assert_eq!(error_of(&["PATH", "countersign_listen", "MY_COUNTERSIGN_LISTEN"]), "accepted");
    }

    #[test]
    fn what_is_not_known_is_named_with_a_remedy() {
        for (name, expected) in [
            ("COUNTERSIGN_TRUSTED_PROXYS", "is it COUNTERSIGN_TRUSTED_PROXIES?"),
            ("COUNTERSIGN_ROOT_TOKEN_FLIE", "is it COUNTERSIGN_ROOT_TOKEN_FILE?"),
            ("COUNTERSIGN_ALLOWED_IPS", "unset it; `countersign serve --help` says which there are"),
            (
                "COUNTERSIGN_PORT_8787_TCP_ADDR",
                "Kubernetes sets it for a service of that name: `enableServiceLinks: false` leaves it out",
            ),
        ] {
            assert_eq!(error_of(&[name]), format!("unknown environment variable {name}; {expected}"));
        }
        let first = error_of(&["COUNTERSIGN_B", "COUNTERSIGN_LISTEN", "COUNTERSIGN_A"]);
        assert!(first.starts_with("unknown environment variable COUNTERSIGN_A; "), "{first}");
    }

    #[test]
    fn what_a_later_version_will_have_is_not_ignored() {
        for (name, remedy) in NOT_YET {
            assert_eq!(error_of(&[name]), format!("{name} is not available yet in this version; {remedy}"));
        }
    }
}
