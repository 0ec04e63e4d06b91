//! The modules of `docs/offline.md`, as they stand there, in the hands of a service: before a real server, and before one whose
//! key is the test's, which signs whatever it is to sign.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::checker;
use crate::recipe::{file, recipe};
use crate::sdk::{ended_in_time, installed, script};
use crate::server::{ACCOUNT, Data, Launch, Server, TOKEN, call};
use crate::stub::Stub;
use crate::tampered::{self, Loot};
use crate::workshop::Token;

const ISSUER: &str = "https://countersign.example.com";
const AUDIENCE: &str = "https://orders.example.com";
const SCOPE: &str = "orders:read";

/// A language of the page.
#[derive(Debug, Clone, Copy)]
enum Language {
    Python,
    Node,
    Rust,
}

/// What a service is told.
struct Settings<'s> {
    url: &'s str,
    account: &'s str,
    reader: &'s str,
}

/// A service that uses the module of a page.
enum Service {
    Program { child: Child, input: ChildStdin, output: BufReader<ChildStdout>, _directory: tempfile::TempDir },
    Here(Box<checker::Checker>),
}

impl Service {
    fn start(language: Language, settings: &Settings<'_>) -> Self {
        let Settings { url, account, reader } = *settings;
        let (mut program, name) = match language {
            Language::Rust => {
                let by = jsonwebtoken::Algorithm::EdDSA;
                let checker = checker::Checker::new(url, ISSUER, AUDIENCE, account, SCOPE, reader, by);
                return Self::Here(Box::new(checker));
            }
            Language::Python => {
                let mut python = ended_in_time(&installed("COUNTERSIGN_PEERS_PYTHON"));
                python.arg("-B").arg(script("offline.py"));
                (python, "offline.py")
            }
            Language::Node => {
                let mut node = ended_in_time(Path::new("node"));
                node.arg(script("offline.mjs"));
                (node, "offline.mjs")
            }
        };
        let directory = tempfile::tempdir().expect("a directory");
        if let Language::Node = language {
            let modules = installed("COUNTERSIGN_PEERS_NODE_DIR").join("node_modules");
            std::os::unix::fs::symlink(modules, directory.path().join("node_modules")).expect("a link");
        }
        let snippet = directory.path().join(name);
        fs::write(&snippet, recipe(&file("docs/offline.md"), name)).expect("room on the disk");
        let checker = json!({
            "url": url, "issuer": ISSUER, "audience": AUDIENCE, "account": account, "scope": SCOPE, "reader": reader,
        });
        program.env("COUNTERSIGN_SNIPPET", snippet).env("COUNTERSIGN_CHECKER", checker.to_string());
        Self::run(program, directory)
    }

    fn run(mut program: Command, directory: tempfile::TempDir) -> Self {
        let mut child = program.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a program");
        let input = child.stdin.take().expect("standard input");
        let output = BufReader::new(child.stdout.take().expect("standard output"));
        Self::Program { child, input, output, _directory: directory }
    }

    fn accepts(&mut self, token: &str) -> bool {
        match self {
            Self::Here(checker) => checker.check(token).is_ok(),
            Self::Program { .. } => self.ask(&json!({"token": token}), "accepted", "refused"),
        }
    }

    /// Whether it was answered.
    fn poll(&mut self) -> bool {
        match self {
            Self::Here(checker) => checker.poll().is_ok(),
            Self::Program { .. } => self.ask(&json!({"poll": true}), "polled", "failed"),
        }
    }

    fn ask(&mut self, question: &Value, yes: &str, no: &str) -> bool {
        let Self::Program { input, output, .. } = self else { panic!("no program") };
        writeln!(input, "{question}").expect("it reads");
        let mut line = String::new();
        output.read_line(&mut line).expect("it answers");
        let line = line.trim_end();
        assert!(line == yes || line == no, "{question}: {line:?}");
        line == yes
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Self::Program { child, .. } = self {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A server with an account and one below it, and a reader of revocations.
struct Authority {
    data: Data,
    server: Server,
    account: String,
    below: String,
    reader: String,
}

impl Authority {
    fn start() -> Self {
        let data = Data::new();
        let server = Launch::new(&data).arg(&format!("--public-url={ISSUER}")).start();
        server.wait_for_keys();
        let account = account_below(&server, TOKEN, "above");
        let below = account_below(&server, &access_token(&server, &account, &json!({})), "below");
        let reader = access_token(&server, &account, &json!({"scopes": ["countersign:verify"]}));
        Self { data, server, account, below, reader }
    }

    fn issue(&self, account: &str, scopes: &[&str]) -> Token {
        Token::issue_of(&self.server, account, &json!({"scopes": scopes}))
    }

    fn signed(&self, token: &Token) -> String {
        token.exchange(&self.server, &[("resource", AUDIENCE)])
    }

    fn service(&self, language: Language) -> Service {
        let url = self.server.url("");
        Service::start(language, &Settings { url: &url, account: &self.account, reader: &self.reader })
    }

    fn act(&self, method: &str, path: &str, body: &Value) {
        let (status, answer) = self.server.call(method, path, TOKEN, Some(body));
        assert_eq!(status, 200, "{method} {path}: {answer}");
    }
}

/// An account below that of a token.
fn account_below(server: &Server, token: &str, name: &str) -> String {
    let body = json!({"email": format!("{name}@example.com"), "password": null});
    let (status, answer) = server.call("POST", "/v1/Accounts", token, Some(&body));
    assert_eq!(status, 200, "{answer}");
    answer["id"].as_str().expect("an id").to_owned()
}

fn access_token(server: &Server, account: &str, body: &Value) -> String {
    let path = format!("/v1/Accounts/{account}/accessTokens");
    let (status, answer) = server.call("POST", &path, TOKEN, Some(body));
    assert_eq!(status, 200, "{answer}");
    answer["id"].as_str().expect("a token").to_owned()
}

fn lets_in_what_is_demanded_and_nothing_else(language: Language) {
    let authority = Authority::start();
    let mut service = authority.service(language);
    let own = authority.issue(&authority.account, &[SCOPE, "other"]);
    let (good, again) = (authority.signed(&own), authority.signed(&own));
    assert!(service.accepts(&good), "{language:?}");
    let below = authority.signed(&authority.issue(&authority.below, &[SCOPE]));
    let whatever = authority.signed(&Token::issue_of(&authority.server, &authority.account, &json!({})));
    let several = own.exchange(&authority.server, &[("resource", AUDIENCE), ("resource", "urn:another")]);
    assert!([&below, &whatever, &several].iter().all(|token| service.accepts(token)), "{language:?}");
    let refused = [
        ("for nobody", own.exchange(&authority.server, &[])),
        ("for another", own.exchange(&authority.server, &[("resource", "https://orders.example.com/")])),
        (
            "for something else",
            own.exchange(&authority.server, &[("resource", AUDIENCE), ("scope", "other")]),
        ),
        ("for part of a word", authority.signed(&authority.issue(&authority.account, &["orders:read:all"]))),
        ("of the account above", authority.signed(&authority.issue(ACCOUNT, &[SCOPE]))),
    ];
    for (name, token) in &refused {
        assert!(!service.accepts(token), "{language:?}: {name}");
    }
    let jwks = call(&authority.server.url("/.well-known/jwks.json"), "GET", "", None).expect("keys").1;
    let loot = Loot { token: good.clone(), other: below, jwk: jwks["keys"][0].clone(), certificate: None };
    for made in tampered::all(&loot) {
        assert!(!service.accepts(&made.token), "{language:?}: {}", made.name);
    }
    assert!(service.accepts(&good) && service.accepts(&again), "{language:?}: after all that");
}

fn hears_of_what_has_ended(language: Language) {
    let authority = Authority::start();
    let mut service = authority.service(language);
    assert!(service.poll(), "{language:?}");
    let [revoked, rotated, overlapping, narrowed, untouched] =
        [(); 5].map(|()| authority.issue(&authority.account, &[SCOPE, "other"]));
    let below = authority.issue(&authority.below, &[SCOPE]);
    let tokens = [&revoked, &rotated, &overlapping, &narrowed, &untouched, &below];
    let signed = tokens.map(|token| authority.signed(token));
    let accepted = |service: &mut Service| signed.each_ref().map(|token| service.accepts(token));
    assert_eq!(accepted(&mut service), [true; 6], "{language:?}");

    authority.act("DELETE", &revoked.path, &json!({}));
    let (status, answer) = authority.server.call("POST", &format!("{}/rotate", rotated.path), TOKEN, None);
    assert_eq!(status, 200, "{answer}");
    let secret = answer["result"]["client_secret"].as_str().expect("a secret").to_owned();
    let until = json!({"previous_client_secret_expires_at": "2999-01-01T00:00:00Z"});
    authority.act("POST", &format!("{}/rotate", overlapping.path), &until);
    authority.act("PUT", &narrowed.path, &json!({"name": "signed", "scopes": ["other"]}));
    authority.act("POST", &format!("/v1/Accounts/{}/disable", authority.below), &json!({}));
    assert_eq!(accepted(&mut service), [true; 6], "{language:?}: not heard of yet");
    assert!(service.poll(), "{language:?}");
    let expected = [false, false, true, false, true, false];
    assert_eq!(accepted(&mut service), expected, "{language:?}");
    let fresh = authority.signed(&Token { secret, ..rotated });
    assert!(service.accepts(&fresh), "{language:?}: by the new secret");

    // Nobody answers: it goes on with what it knows.
    let Authority { data, server, .. } = authority;
    assert!(server.stop().status.success());
    assert!(!service.poll(), "{language:?}");
    assert_eq!(accepted(&mut service), expected, "{language:?}: alone");
    drop(data);
}

/// What no real authority signs, signed well.
fn judges_what_is_signed_well(language: Language) {
    let stub = Stub::start();
    let settings = Settings { url: &stub.url(), account: ACCOUNT, reader: "reader" };
    let mut service = Service::start(language, &settings);
    let now = i64::try_from(jsonwebtoken::get_current_timestamp()).expect("a time");
    let good = |changes: &Value| stub.sign(&json!({"typ": "at+jwt"}), now, ISSUER, AUDIENCE, SCOPE, changes);
    let accepted = [
        json!({}),
        json!({"aud": ["urn:another", AUDIENCE]}),
        json!({"exp": now - 30}),
        json!({"nbf": now + 30}),
        json!({"scope": "a orders:read b"}),
        json!({"scope": "DEFAULT"}),
        json!({"account": "a", "accounts_above": ["b", ACCOUNT]}),
        json!({"more": {"than": "is known"}}),
    ];
    for changes in &accepted {
        assert!(service.accepts(&good(changes)), "{language:?}: {changes}");
    }
    let refused = [
        json!({"exp": now - 75}),
        json!({"exp": null}),
        json!({"exp": "soon"}),
        json!({"nbf": now + 75}),
        json!({"iat": null}),
        json!({"aud": "https://other.example"}),
        json!({"aud": ["https://other.example"]}),
        json!({"aud": []}),
        json!({"aud": null}),
        json!({"iss": "https://evil.example"}),
        json!({"iss": format!("{ISSUER}/")}),
        json!({"iss": null}),
        json!({"scope": "orders"}),
        json!({"scope": "orders:read:all"}),
        json!({"scope": ""}),
        json!({"scope": null}),
        json!({"account": "a", "accounts_above": ["b"]}),
        json!({"account": "a", "accounts_above": []}),
    ];
    for changes in &refused {
        assert!(!service.accepts(&good(changes)), "{language:?}: {changes}");
    }
    for header in [json!({"typ": "JWT"}), json!({"typ": null})] {
        let token = stub.sign(&header, now, ISSUER, AUDIENCE, SCOPE, &json!({}));
        assert!(!service.accepts(&token), "{language:?}: {header}");
    }
    for number in 0..20 {
        let header = json!({"typ": "at+jwt", "kid": format!("unknown {number}")});
        assert!(!service.accepts(&stub.sign(&header, now, ISSUER, AUDIENCE, SCOPE, &json!({}))));
    }
    // One, and one every ten seconds.
    assert!(stub.fetches() < 10, "{language:?}: keys that are made up are not looked for again and again");
}

/// Every form of what has ended, in parts.
fn knows_every_form_of_what_has_ended(language: Language) {
    let stub = Stub::start();
    let mut service =
        Service::start(language, &Settings { url: &stub.url(), account: ACCOUNT, reader: "reader" });
    let now = i64::try_from(jsonwebtoken::get_current_timestamp()).expect("a time");
    let time = |seconds: i64| jiff::Timestamp::from_second(seconds).expect("a time").to_string();
    let token = |of: &str, iat: i64, version: u32| {
        let changes = json!({"token": of, "iat": iat, "secret_version": version, "account": of, "accounts_above": [ACCOUNT]});
        stub.sign(&json!({"typ": "at+jwt"}), now, ISSUER, AUDIENCE, SCOPE, &changes)
    };
    let ended = |account: Value, token: Value, below: Value, at: i64, from: i64| {
        json!({"at": time(at), "issued_until": time(at), "from": time(from), "reason": "revoked", "account": account, "token": token,
            "secret_version_below": below})
    };
    let none = Value::Null;
    let mut whenever = ended(json!("g"), json!("g"), none.clone(), now - 10, now - 10);
    whenever["issued_until"] = Value::Null;
    stub.say(&[
        vec![
            ended(json!("a"), json!("a"), none.clone(), now - 10, now - 10),
            ended(json!("b"), json!("b"), json!(3), now - 10, now - 10),
        ],
        vec![],
        vec![
            whenever,
            ended(json!("c"), json!("c"), none.clone(), now - 10, now + 3_600),
            ended(json!("d"), none.clone(), none.clone(), now - 10, now - 10),
            ended(json!("e"), json!("another"), none.clone(), now - 10, now - 10),
        ],
    ]);
    assert!(service.poll(), "{language:?}");
    let cases = [
        ("ended", token("a", now - 20, 1), false),
        ("ended in the same second", token("a", now - 10, 1), false),
        ("issued afterwards", token("a", now - 9, 1), true),
        ("issued afterwards by who had not heard", token("g", now - 1, 1), false),
        ("by a secret before", token("b", now - 20, 2), false),
        ("by the secret that there is", token("b", now - 20, 3), true),
        ("going on for a while", token("c", now - 20, 1), true),
        ("of an account that ended", token("d", now - 20, 1), false),
        ("beside one that ended", token("e", now - 20, 1), true),
        ("of nobody concerned", token("f", now - 20, 1), true),
    ];
    for (name, token, is_good) in &cases {
        assert_eq!(service.accepts(token), *is_good, "{language:?}: {name}");
    }

    // The same again, something of an account above, and, at last, everything.
    for account in [json!(ACCOUNT), Value::Null] {
        stub.say(&[vec![ended(account.clone(), none.clone(), none.clone(), now - 15, now - 15)]]);
        assert!(service.poll(), "{language:?}");
        assert!(!service.accepts(&token("f", now - 15, 1)), "{language:?}: {account}");
        assert!(service.accepts(&token("f", now - 14, 1)), "{language:?}: {account}");
        assert!(!service.accepts(&token("a", now - 10, 1)), "{language:?}: what was known is known");
    }
    let asked: Vec<String> = stub.asked();
    assert!(asked[0].ends_with("/api/v1/revocations") || asked[0].ends_with('?'), "{asked:?}");
    assert!(asked[1].contains("cursor=1") && asked[2].contains("cursor=2"), "{asked:?}");
    assert!(asked[3].contains("since=first"), "the first part's time: {asked:?}");
}

/// What stands in the page is what is tested.
#[test]
fn the_rust_module_of_the_page_is_ours() {
    let ours = file("crates/countersign/tests/whole/checker.rs");
    assert_eq!(recipe(&file("docs/offline.md"), "offline.rs"), ours);
}

#[test]
fn the_python_module_checks() {
    check(Language::Python);
}

#[test]
fn the_node_module_checks() {
    check(Language::Node);
}

#[test]
fn the_rust_module_checks() {
    check(Language::Rust);
}

fn check(language: Language) {
    lets_in_what_is_demanded_and_nothing_else(language);
    judges_what_is_signed_well(language);
    hears_of_what_has_ended(language);
    knows_every_form_of_what_has_ended(language);
}
