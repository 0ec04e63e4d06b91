//! What a server keeps and how it ends.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::server::{ACCOUNT, Data, Launch, Server, TOKEN, call};

fn tokens_path() -> String {
    format!("/client/v4/accounts/{ACCOUNT}/access/service_tokens")
}

/// A new service token, as the API gives it.
fn issue(server: &Server, name: &str) -> Value {
    let (status, mut answer) = server.call("POST", &tokens_path(), TOKEN, Some(&json!({"name": name})));
    assert_eq!(status, 201, "{answer}");
    answer["result"].take()
}

fn text<'a>(token: &'a Value, field: &str) -> &'a str {
    token[field].as_str().unwrap_or_default()
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let data = Data::new();
    let server = Server::start(&data);
    let kept = issue(&server, "kept");
    let revoked = issue(&server, "revoked");
    let path = format!("{}/{}", tokens_path(), text(&revoked, "id"));
    assert_eq!(server.call("DELETE", &path, TOKEN, None).0, 200);
    server.kill();

    let server = Server::start(&data);
    assert!(server.opens(text(&kept, "client_id"), text(&kept, "client_secret")));
    assert!(!server.opens(text(&revoked, "client_id"), text(&revoked, "client_secret")));
}

#[test]
fn the_last_uses_are_written_when_it_ends() {
    let data = Data::new();
    let server = Server::start(&data);
    let token = issue(&server, "used");
    assert!(server.opens(text(&token, "client_id"), text(&token, "client_secret")));
    // Once more, right before the end: only the flush at the end can know of both.
    assert!(server.opens(text(&token, "client_id"), text(&token, "client_secret")));
    assert!(server.stop().status.success());

    let server = Server::start(&data);
    let (status, usage) = server.get(&format!("/api/v1/usage?token={}", text(&token, "id")));
    assert_eq!((status, usage["secrets"][0]["count"].as_u64()), (200, Some(2)), "{usage}");
}

#[test]
fn it_says_that_it_ends_before_it_ends() {
    let data = Data::new();
    // Far longer than this test may take: it is the second signal that ends it.
    let server = Launch::new(&data).env("COUNTERSIGN_SHUTDOWN_DELAY", "1h").start();
    let token = issue(&server, "late");
    server.terminate();
    let readyz = server.url("/readyz");
    let says_so = || call(&readyz, "GET", "", None).expect("an answer").0 == 503;
    until(says_so, || "it never says so".to_owned());
    assert!(server.opens(text(&token, "client_id"), text(&token, "client_secret")), "it still serves");
    let ended = server.stop();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.log);
    assert!(ended.log.contains(r#""message":"ended""#), "{}", ended.log);
}

#[test]
fn it_ends_when_the_delay_is_over() {
    let data = Data::new();
    let server = Launch::new(&data).env("COUNTERSIGN_SHUTDOWN_DELAY", "1s").start();
    let told = Instant::now();
    let ended = server.stop();
    assert!(told.elapsed() >= Duration::from_secs(1), "it did not wait");
    assert_eq!(ended.status.code(), Some(0), "{}", ended.log);
}

#[test]
fn a_second_signal_cuts_the_delay_short() {
    let data = Data::new();
    let server = Launch::new(&data).env("COUNTERSIGN_SHUTDOWN_DELAY", "1h").start();
    server.terminate();
    until(|| server.log().contains(r#""message":"ending""#), || server.log());
    assert_eq!(server.stop().status.code(), Some(0));
}

/// Waits for what comes about, and not for how long that takes on a busy machine.
fn until(is_so: impl Fn() -> bool, otherwise: impl Fn() -> String) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "{}", otherwise());
        std::thread::sleep(Duration::from_millis(5));
    }
}
