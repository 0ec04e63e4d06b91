//! What others check signed tokens with takes ours, and nothing that was made of them; and so does our own door.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::connection::Connection;
use crate::sdk::{ended_in_time, installed, script};
use crate::server::{Data, Launch, Server, call, err, out, output_of};
use crate::tampered::{self, Loot};
use crate::workshop::Token;

/// Hono's middleware knows no other issuers.
const ISSUER: &str = "https://team.cloudflareaccess.com";
/// For whom the access tokens are.
const AUDIENCE: &str = "https://orders.example.com";
/// For whom the assertions are.
const APPLICATION: &str = "4714c1358e65fe4b408ad6d432a5f878f08194bdb4752441fd56faefa9b2b6f2";
const ALGORITHMS: [&str; 3] = ["EdDSA", "ES256", "RS256"];
/// There are never fewer.
const FEWEST: usize = 100;

/// Who may take the bytes of a good token in another writing. It is the same token to them, so nobody is deceived; but whoever
/// keeps a list of tokens by their text must know.
const LENIENT: [(&str, &[&str]); 3] = [
    ("PyJWT", &["a padded signature"]),
    (
        "jose",
        &[
            "an unused bit of the signature set",
            "a padded signature",
            "a line break in the signature",
            "a blank in the signature",
            "a line break at the end",
            "a blank at the end",
        ],
    ),
    // It is given a header, which has no blanks around it.
    (
        "Hono",
        &[
            "an unused bit of the signature set",
            "a line break at the end",
            "a blank at the end",
            "a blank at the start",
        ],
    ),
];

/// A server, and what it has signed.
struct Authority {
    algorithm: &'static str,
    server: Server,
    access: Loot,
    assertion: Loot,
    _data: Data,
}

impl Authority {
    fn start(algorithm: &'static str) -> Self {
        let data = Data::new();
        let server = Launch::new(&data)
            .arg(&format!("--public-url={ISSUER}"))
            .env("COUNTERSIGN_JWT_ALGORITHM", algorithm)
            .env("COUNTERSIGN_CLOUDFLARE_ACCESS_APPLICATIONS", format!("{APPLICATION}?scope=app:use"))
            .start();
        server.wait_for_keys();
        let scopes = json!({"scopes": ["app:use"]});
        let [one, two] = [(); 2].map(|()| Token::issue(&server, &scopes));
        let exchanged = |token: &Token| token.exchange(&server, &[("resource", AUDIENCE)]);
        let of = |path: &str| call(&server.url(path), "GET", "", None).expect("keys").1;
        let certs = of("/cdn-cgi/access/certs");
        let access = Loot {
            token: exchanged(&one),
            other: exchanged(&two),
            jwk: of("/.well-known/jwks.json")["keys"][0].clone(),
            certificate: None,
        };
        let assertion = Loot {
            token: one.assertion(&server, APPLICATION),
            other: two.assertion(&server, APPLICATION),
            jwk: certs["keys"][0].clone(),
            certificate: Some(certs["public_cert"]["cert"].as_str().expect("PEM").to_owned()),
        };
        Self { algorithm, server, access, assertion, _data: data }
    }

    /// All that is shown to validators, with what it is, and whether it is good.
    fn exhibits(&self) -> Vec<(Value, String, bool)> {
        let mut exhibits = Vec::new();
        let kinds = [("access", &self.access, &self.assertion), ("assertion", &self.assertion, &self.access)];
        for (kind, loot, other) in kinds {
            let mut show = |name: &str, token: &str, is_good| {
                exhibits.push((json!({"kind": kind, "token": token}), format!("{kind}: {name}"), is_good));
            };
            show("a good one", &loot.token, true);
            show("one of the other kind", &other.token, false);
            let all = tampered::all(loot);
            assert!(all.len() >= FEWEST, "{}", all.len());
            for made in all.iter().chain(&tampered::other_writings(loot)) {
                show(&made.name, &made.token, false);
            }
            show("another good one, after all that", &loot.other, true);
        }
        exhibits
    }

    /// Shows everything to a program and compares what it says with what is so.
    fn judge(&self, mut program: Command) {
        program.env("COUNTERSIGN_URL", self.server.url("")).env("COUNTERSIGN_ISSUER", ISSUER);
        program.env("COUNTERSIGN_ALGORITHM", self.algorithm);
        program.env("COUNTERSIGN_AUDIENCE", AUDIENCE).env("COUNTERSIGN_APPLICATION", APPLICATION);
        let exhibits = self.exhibits();
        let shown: String = exhibits.iter().map(|(line, ..)| format!("{line}\n")).collect();
        let output = output_of(program, &shown);
        assert!(output.status.success(), "{}\n{}\n{}", output.status, out(&output), err(&output));
        let said = out(&output);
        assert_eq!(said.lines().count(), exhibits.len(), "{}", err(&output));
        let mut wrong = Vec::new();
        for (line, (_, name, is_good)) in said.lines().zip(&exhibits) {
            let verdicts: BTreeMap<String, String> = serde_json::from_str(line).expect("verdicts");
            assert!(!verdicts.is_empty(), "{name}");
            for (validator, verdict) in verdicts {
                let is_accepted = verdict == "accepted";
                if is_accepted != *is_good && !(is_accepted && may_be_taken(&validator, name)) {
                    wrong.push(format!("{}, {validator}: {name}: {verdict}", self.algorithm));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

/// Whether it is a good token in a writing that this library reads.
fn may_be_taken(validator: &str, name: &str) -> bool {
    let is_known = |names: &[&str]| names.iter().any(|known| name.ends_with(&format!(": {known}")));
    LENIENT.iter().any(|(library, names)| validator.starts_with(library) && is_known(names))
}

#[test]
fn pyjwt_takes_ours_and_nothing_made_of_them() {
    let python = installed("COUNTERSIGN_PEERS_PYTHON");
    for algorithm in ALGORITHMS {
        let mut program = ended_in_time(&python);
        program.arg("-B").arg(script("validators.py"));
        Authority::start(algorithm).judge(program);
    }
}

#[test]
fn jose_and_hono_take_ours_and_nothing_made_of_them() {
    let modules = installed("COUNTERSIGN_PEERS_NODE_DIR");
    for algorithm in ALGORITHMS {
        let mut program = ended_in_time(Path::new("node"));
        program.arg(script("validators.mjs")).env("COUNTERSIGN_PEERS_NODE_DIR", &modules);
        Authority::start(algorithm).judge(program);
    }
}

/// Without leniency: our door knows one way to write a token.
#[test]
fn our_own_door_takes_ours_and_nothing_made_of_them() {
    for algorithm in ALGORITHMS {
        let authority = Authority::start(algorithm);
        let status = |token: &str| {
            let authorization = format!("Bearer {token}");
            let mut connection = Connection::open(authority.server.address()).expect("a connection");
            let headers = [("authorization", authorization.as_str())];
            let target = format!("/authz?audience={AUDIENCE}&scope=app:use");
            connection.ask("GET", &target, &headers, b"").expect("an answer").status
        };
        assert_eq!(status(&authority.access.token), 200);
        for loot in [&authority.access, &authority.assertion] {
            for made in tampered::all(loot).iter().chain(&tampered::other_writings(loot)) {
                // HTTP has no blanks around a value, and no line breaks in it (RFC 9110, 5.5).
                let is_value = !made.token.contains(['\n', '\0']) && made.token.trim() != loot.token;
                if is_value {
                    let status = status(&made.token);
                    assert!(matches!(status, 401 | 403), "{algorithm}: {}: {status}", made.name);
                }
            }
            let is_access = loot.token == authority.access.token;
            let expected = if is_access { 200 } else { 401 };
            assert_eq!((status(&loot.token), status(&loot.other)), (expected, expected));
        }
    }
}
