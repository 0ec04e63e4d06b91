//! `countersign jwt …`, before a running server.

use std::process::Output;

use serde_json::Value;

use crate::cli::{fact, issue, json_of, secret_of};
use crate::connection::Connection;
use crate::scene::AUDIENCE;
use crate::server::{ACCOUNT, Data, Launch, Server, TOKEN, err, out};

const ORDERS: &str = "https://orders.example.com";

fn server(data: &Data) -> Server {
    let launch = Launch::new(data);
    let applications = format!("{AUDIENCE}?kind=service");
    let server = launch.env("COUNTERSIGN_CLOUDFLARE_ACCESS_APPLICATIONS", &applications).start();
    server.wait_for_keys();
    server
}

fn refused(output: &Output, reason: &str) {
    assert_eq!(
        (output.status.code(), out(output)),
        (Some(1), format!("refused: {reason}\n")),
        "{}",
        err(output)
    );
}

#[test]
fn a_signed_token_is_got_and_checked() {
    let data = Data::new();
    let server = server(&data);
    let token = issue(&server, &["--name", "ci", "--scope", "orders:*", "--scope", "else"]);
    let get = |arguments: &[&str], secret: &str| {
        let all = ["jwt", "issue", "--client-id", &token.client_id].into_iter();
        server.cli_as("", all.chain(arguments.iter().copied()), secret)
    };
    let verify = |arguments: &[&str], text: &str| {
        server.cli_as("", ["jwt", "verify"].into_iter().chain(arguments.iter().copied()), text)
    };

    let issued = get(&["--scope", "orders:*", "--resource", ORDERS], &token.secret);
    let text = secret_of(&issued);
    assert_eq!(
        (fact(&err(&issued), "scope"), fact(&err(&issued), "expires in")),
        ("orders:*".into(), "300 s".into())
    );
    let demand = ["--audience", ORDERS, "--scope", "orders:read", "--account", ACCOUNT];
    let good = verify(&demand, &format!("{text}\n"));
    assert_eq!((good.status.code(), out(&good).lines().next()), (Some(0), Some("good")), "{}", err(&good));
    assert_eq!(fact(&out(&good), "client"), token.client_id);

    refused(&verify(&[], &text), "it is for another audience; see --audience");
    refused(&verify(&["--audience", ORDERS, "--scope", "else"], &text), "a scope is missing");
    let foreign = "0".repeat(32);
    refused(&verify(&["--audience", ORDERS, "--account", &foreign], &text), "it is of another account");
    let (signed, signature) = text.rsplit_once('.').expect("three parts");
    let forged =
        format!("{signed}.{}{}", if signature.starts_with('A') { 'B' } else { 'A' }, &signature[1..]);
    refused(&verify(&["--audience", ORDERS], &forged), "the signature is not good");
    let json = verify(&["--json"], &forged);
    assert_eq!(json.status.code(), Some(1));
    assert!(out(&json).contains(r#""refused": "the signature is not good""#), "{}", out(&json));

    let whole = secret_of(&get(&[], &token.secret));
    assert!(
        verify(&["--scope", "orders:read", "--scope", "else"], &whole).status.success(),
        "all that it may"
    );
    let wrong = get(&[], &"a1".repeat(32));
    assert_eq!(wrong.status.code(), Some(3));
    assert!(err(&wrong).starts_with("countersign: invalid_client: "), "{}", err(&wrong));
    let beyond = get(&["--scope", "invoices:read"], &token.secret);
    assert!(err(&beyond).contains("invalid_scope"), "{}", err(&beyond));
}

#[test]
fn a_signed_token_is_looked_at_without_a_server() {
    let data = Data::new();
    let server = server(&data);
    let token = issue(&server, &["--name", "ci", "--scope", "orders:read"]);
    let get = ["jwt", "issue", "--client-id", &token.client_id];
    let text = secret_of(&server.cli_as("", get, &token.secret));
    let stopped = server.url("");
    let inspect = |arguments: &[&str], text: &str| {
        server.cli_as("", ["jwt", "inspect"].into_iter().chain(arguments.iter().copied()), text)
    };
    let shown = inspect(&[], &text);
    let said = out(&shown);
    assert_eq!((fact(&said, "issuer"), fact(&said, "audience")), (stopped.clone(), stopped));
    assert_eq!((fact(&said, "type"), fact(&said, "scope")), ("at+jwt".into(), "orders:read".into()));
    assert!(fact(&said, "expires").ends_with("(in 4 min)"), "{said}");
    assert!(err(&shown).contains("nothing was checked"));
    assert_eq!(json_of(&inspect(&["--json"], &text))["claims"]["account"], Value::from(ACCOUNT));
    let none = inspect(&[], TOKEN);
    assert_eq!(none.status.code(), Some(1));
    assert!(!err(&none).contains(TOKEN) && err(&none).contains("no signed token"), "{}", err(&none));
}

/// What a door says to an application is of a type of its own.
#[test]
fn an_assertion_is_checked_as_such() {
    let data = Data::new();
    let server = server(&data);
    let token = issue(&server, &["--name", "ci"]);
    let pair = [("cf-access-client-id", &*token.client_id), ("cf-access-client-secret", &*token.secret)];
    let mut door = Connection::open(server.address()).expect("a connection");
    let answer = door.ask("GET", &format!("/authz?assertion={AUDIENCE}"), &pair, b"").expect("an answer");
    let assertion = answer.header("cf-access-jwt-assertion").expect("an assertion").to_owned();
    let verify = |arguments: &[&str]| {
        let all = ["jwt", "verify", "--audience", AUDIENCE].into_iter().chain(arguments.iter().copied());
        server.cli_as("", all, &assertion)
    };
    let good = verify(&["--assertion"]);
    assert_eq!((good.status.code(), fact(&out(&good), "client")), (Some(0), token.client_id));
    refused(&verify(&[]), "it is of another type; see --assertion");
}
