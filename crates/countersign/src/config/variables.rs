//! Which environment variables there are. One that looks like ours and is none is refused, as an unknown key of the
//! file is: whoever misspelt COUNTERSIGN_TRUSTED_PROXIES must not find out from an attacker.

use anyhow::anyhow;

use super::show::ROOT_VARIABLES;
use super::{KEYS, variable_of};

/// How every variable of ours begins.
const PREFIX: &str = "COUNTERSIGN_";

/// Beside those of the keys and of the root: the files, and what the commands to a running server read, because a
/// shell may have these set for both.
const OTHERS: [&str; 6] = [
    "COUNTERSIGN_CONFIG",
    "COUNTERSIGN_DATABASE_URL_FILE",
    "COUNTERSIGN_URL",
    "COUNTERSIGN_TOKEN",
    "COUNTERSIGN_TOKEN_FILE",
    "COUNTERSIGN_CLIENT_SECRET",
];

/// More wrong letters than this are another word.
const MOST_TYPOS: usize = 2;

/// Refuses the first of these names that is meant for us and not known. No value is in the error: it may be a secret.
pub(super) fn check(names: impl IntoIterator<Item = String>) -> anyhow::Result<()> {
    let known = known();
    let is_stray =
        |name: &String| name.starts_with(PREFIX) && !known.contains(name) && !is_of_kubernetes(name);
    let stray = names.into_iter().filter(is_stray).min();
    let Some(name) = stray else { return Ok(()) };
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
        _ => "unset it; `countersign serve --help` says which there are".to_owned(),
    }
}

/// What Kubernetes sets in every container beside a service called `countersign`: COUNTERSIGN_SERVICE_HOST,
/// COUNTERSIGN_SERVICE_PORT, COUNTERSIGN_PORT, and all that begin with COUNTERSIGN_SERVICE_PORT_ and COUNTERSIGN_PORT_.
/// Nothing of ours begins so.
fn is_of_kubernetes(name: &str) -> bool {
    let rest = name.strip_prefix(PREFIX).unwrap_or_default();
    matches!(rest, "SERVICE_HOST" | "SERVICE_PORT" | "PORT")
        || rest.starts_with("SERVICE_PORT_")
        || rest.starts_with("PORT_")
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
        for name in ["SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_8787_TCP_ADDR"] {
            assert_eq!(error_of(&[&format!("COUNTERSIGN_{name}")]), "accepted", "of Kubernetes");
        }
    }

    #[test]
    fn what_is_not_known_is_named_with_a_remedy() {
        for (name, expected) in [
            ("COUNTERSIGN_TRUSTED_PROXYS", "is it COUNTERSIGN_TRUSTED_PROXIES?"),
            ("COUNTERSIGN_ROOT_TOKEN_FLIE", "is it COUNTERSIGN_ROOT_TOKEN_FILE?"),
            ("COUNTERSIGN_ALLOWED_IPS", "unset it; `countersign serve --help` says which there are"),
        ] {
            assert_eq!(error_of(&[name]), format!("unknown environment variable {name}; {expected}"));
        }
        let first = error_of(&["COUNTERSIGN_B", "COUNTERSIGN_LISTEN", "COUNTERSIGN_A"]);
        assert!(first.starts_with("unknown environment variable COUNTERSIGN_A; "), "{first}");
    }
}
