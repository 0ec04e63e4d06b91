//! What clients cannot take too much of: connections, and the head of a request.

use std::time::Duration;

use crate::connection::Connection;
use crate::server::{Data, Launch, Server};

/// Long enough for an answer that should not come to come.
const A_WHILE: Duration = Duration::from_millis(500);
/// Where a head is too large, as the server says (431).
const LARGEST_HEAD: usize = 64 * 1024;
/// How many headers are not yet too many.
const MOST_HEADERS: usize = 100;

#[test]
fn a_connection_beyond_the_limit_waits_until_another_has_ended() {
    let data = Data::new();
    let server = Launch::new(&data).env("COUNTERSIGN_LIMITS_CONNECTIONS", "2").start();
    let open = || Connection::open(server.address()).expect("a connection");
    let (mut first, mut second, mut third) = (open(), open(), open());
    let ask =
        |connection: &mut Connection| connection.ask("GET", "/healthz", &[], b"").expect("an answer").status;
    assert_eq!((ask(&mut first), ask(&mut second)), (200, 200));

    third.send("GET", "/healthz", &[], b"").expect("the system takes it");
    assert!(third.is_silent_for(A_WHILE).expect("a connection"), "a third one is served");
    assert_eq!((ask(&mut first), ask(&mut second)), (200, 200), "the others are not disturbed");
    drop(first);
    assert_eq!(third.answer(false).expect("an answer").status, 200);
    assert_eq!((ask(&mut second), ask(&mut third)), (200, 200));
}

#[test]
fn a_head_that_is_too_large_is_431() {
    let data = Data::new();
    let server = Server::start(&data);
    let status_of = |head: &[u8]| {
        let mut connection = Connection::open(server.address()).expect("a connection");
        connection.send_bytes(head).expect("the system takes it");
        connection.answer(false).expect("an answer").status
    };
    let start = "GET /healthz HTTP/1.1\r\nhost: countersign\r\nx-padding: ";
    let padded = |length: usize, end: &str| {
        let padding = "x".repeat(length - start.len() - end.len());
        format!("{start}{padding}{end}").into_bytes()
    };
    assert_eq!(status_of(&padded(LARGEST_HEAD - 1024, "\r\n\r\n")), 200);
    // Exactly as much as is read: a server that closes on more would have the system take its answer back.
    assert_eq!(status_of(&padded(LARGEST_HEAD, "")), 431);
    assert_eq!(server.get("/readyz").0, 200, "nobody else is disturbed");
}

#[test]
fn too_many_headers_are_431() {
    let data = Data::new();
    let server = Server::start(&data);
    let status_with = |count: usize, target: &str| {
        // `host` and `content-length` are two of them.
        let names: Vec<String> = (2..count).map(|number| format!("x-header-{number}")).collect();
        let headers: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "x")).collect();
        let mut connection = Connection::open(server.address()).expect("a connection");
        connection.ask("GET", target, &headers, b"").expect("an answer").status
    };
    assert_eq!((status_with(MOST_HEADERS, "/healthz"), status_with(MOST_HEADERS, "/authz")), (200, 401));
    assert_eq!(
        (status_with(MOST_HEADERS + 1, "/healthz"), status_with(MOST_HEADERS + 1, "/authz")),
        (431, 431)
    );
}
