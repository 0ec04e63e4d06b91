//! Requests that two programs may cut apart differently, sent as they are through the real proxies: whatever a proxy makes of
//! them, the app gets nothing that the door has not granted, and nobody after them gets another's answer.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::connection::{Answer, Connection};
use crate::manager::Issued;
use crate::origin::Arrived;
use crate::proxy::Kind;
use crate::scene::{Client, Scene, pair};

/// Longest wait for an answer to what may be half a request.
const WHILE: Duration = Duration::from_millis(200);
/// Longest time for a whole one, beside others that are not.
const SOON: Duration = Duration::from_secs(10);
/// So many requests of each kind at once never get the bodies that they announce.
const UNFINISHED: usize = 5;
/// How bodies are announced.
const BODIES: [&str; 4] = [
    "Content-Length: 1000\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Content-Length: 1000\r\nExpect: 100-continue\r\n",
    "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n",
];
/// A request inside of another, without a credential.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: app\r\nX: x\r\n\r\n";

/// What may or may not be `chunked`.
const CODINGS: [&str; 7] = [
    "chunked, identity",
    "identity, chunked",
    "xchunked",
    "\tchunked",
    "\"chunked\"",
    "chunked;q=1",
    "chunked\r\n ,x",
];
/// What may or may not be `Transfer-Encoding`.
const NAMES_OF_CODINGS: [&str; 5] = [
    "Transfer-Encoding ",
    " Transfer-Encoding",
    "Transfer_Encoding",
    "Transfer-Encoding\t",
    "X\r\nTransfer-Encoding",
];
/// What may or may not be the end of a body.
const SIZES_OF_CHUNKS: [&str; 12] = [
    "0;x",
    "0;x=\"\r\n\"",
    "0;\n",
    "00000000000000000000",
    "0x0",
    "+0",
    "-0",
    "0 ",
    "",
    "0\n",
    "1\r\nx\n0",
    "ffffffffffffffff0",
];

/// A request of this head and this body; the credential is among the headers.
fn request(line: &str, credential: &str, headers: &str, body: &str) -> String {
    format!("{line}\r\nHost: app\r\n{credential}{headers}\r\n{body}")
}

fn post(credential: &str, headers: &str, body: &str) -> String {
    request("POST /app HTTP/1.1", credential, headers, body)
}

/// Each with a name.
fn shapes(credential: &str) -> Vec<(String, String)> {
    let last = format!("0\r\n\r\n{HIDDEN}");
    let chunk = format!("{:x}\r\n{HIDDEN}\r\n0\r\n\r\n", HIDDEN.len());
    let length = format!("Content-Length: {}\r\n", last.len());
    let hidden = format!("Content-Length: {}\r\n", HIDDEN.len());
    let of = |headers: &str, body: &str| post(credential, headers, body);
    let mut shapes = vec![
        ("length and chunks", of(&format!("{length}Transfer-Encoding: chunked\r\n"), &last)),
        ("chunks and length", of(&format!("Transfer-Encoding: chunked\r\n{length}"), &last)),
        ("a short length and chunks", of("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", &chunk)),
        ("no length and chunks", of("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", &last)),
        ("two lengths, the first none", of(&format!("Content-Length: 0\r\n{hidden}"), HIDDEN)),
        ("two lengths, the second none", of(&format!("{hidden}Content-Length: 0\r\n"), HIDDEN)),
        ("a list of lengths", of(&format!("Content-Length: 0, {}\r\n", HIDDEN.len()), HIDDEN)),
        ("a signed length", of(&format!("Content-Length: +{}\r\n", HIDDEN.len()), HIDDEN)),
        ("a negative length", of("Content-Length: -1\r\n", HIDDEN)),
        ("a length in hex", of(&format!("Content-Length: {:#x}\r\n", HIDDEN.len()), HIDDEN)),
        ("a length too large", of("Content-Length: 18446744073709551616\r\n", HIDDEN)),
        ("a length behind a fold", of(&format!("X-A: b\r\n {hidden}"), HIDDEN)),
        ("a length in a fold", of(&format!("Content-Length:\r\n {}\r\n", HIDDEN.len()), HIDDEN)),
        ("a length without an end", of(&format!("Content-Length: {}\nX: y\r\n", HIDDEN.len()), HIDDEN)),
        ("a length behind a bare CR", of(&format!("X: y\r{hidden}"), HIDDEN)),
        ("a space before the colon", of(&format!("Content-Length : {}\r\n", HIDDEN.len()), HIDDEN)),
        ("a length with an underscore", of(&format!("Content_Length: {}\r\n", HIDDEN.len()), HIDDEN)),
        ("a body without a length", of("", HIDDEN)),
        ("bare line ends", of("", "").replace("\r\n", "\n") + HIDDEN),
        ("bare line ends inside", of("X: y\nConnection: keep-alive\r\n", HIDDEN)),
        ("a head that ends early", of("X: y\n\nGET /hidden HTTP/1.1\r\nHost: app\r\n", "")),
        ("a NUL in a header", of("X: a\0b\r\n", HIDDEN)),
        ("a request of HTTP/0.9", format!("GET /app\r\n{HIDDEN}")),
        ("a GET with a body", request("GET /app HTTP/1.1", credential, &hidden, HIDDEN)),
        (
            "HTTP/1.0 with chunks",
            request("POST /app HTTP/1.0", credential, "Transfer-Encoding: chunked\r\n", &last),
        ),
        ("two targets", request("GET /app /hidden HTTP/1.1", credential, "", "")),
        ("a line end in the target", request("GET /app\rx HTTP/1.1", credential, "", HIDDEN)),
        ("two hosts", of("Host: other\r\n", HIDDEN)),
        (
            "another protocol",
            of("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n", HIDDEN),
        ),
        (
            "a web socket",
            of("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n", HIDDEN),
        ),
    ];
    for coding in CODINGS {
        shapes.push(("a coding", of(&format!("Transfer-Encoding: {coding}\r\n{length}"), &last)));
    }
    for name in NAMES_OF_CODINGS {
        shapes.push(("a name of a coding", of(&format!("{name}: chunked\r\n{length}"), &last)));
    }
    let chunked = "Transfer-Encoding: chunked\r\n";
    for size in SIZES_OF_CHUNKS {
        shapes.push(("a size of a chunk", of(chunked, &format!("{size}\r\n\r\n{HIDDEN}"))));
    }
    shapes.push(("trailers", of(chunked, &format!("0\r\n{hidden}\r\n{HIDDEN}"))));
    let numbered = shapes.into_iter().enumerate();
    numbered.map(|(number, (name, bytes))| (format!("{name} ({number})"), bytes)).collect()
}

#[test]
fn nothing_hidden_in_a_request_gets_in() {
    thread::scope(|scope| {
        for kind in Kind::ALL {
            scope.spawn(move || hide(kind));
        }
    });
}

fn hide(kind: Kind) {
    let mut scene = Scene::new(kind);
    let token = scene.issue(json!({}));
    for (name, bytes) in shapes("") {
        throw(&scene, &bytes);
        assert_eq!(scene.origin.requests(), 0, "{kind:?}: {name}, without a credential");
    }
    for (name, bytes) in shapes(&header_lines(&token)) {
        throw(&scene, &bytes);
        check_others(&scene, &token, &format!("{kind:?}: after {name}"));
        let targets = scene.origin.targets();
        let foreign = targets.iter().find(|target| target.contains("hidden") && !target.starts_with("/app"));
        assert_eq!(foreign, None, "{kind:?}: {name}");
    }
}

/// Sends it, and what follows on the same connection, and waits for a moment.
fn throw(scene: &Scene, bytes: &str) {
    let mut connection = Connection::open(scene.proxy.address()).expect("a connection");
    // Some are refused before they are sent to the end.
    let sent =
        connection.send_bytes(bytes.as_bytes()).and_then(|()| connection.send_bytes(HIDDEN.as_bytes()));
    if sent.is_err() || connection.is_silent_for(WHILE).unwrap_or(true) {
        return;
    }
    while connection.answer(false).is_ok() && !connection.is_silent_for(WHILE / 10).unwrap_or(true) {}
}

/// Others are answered as ever, by what is theirs.
fn check_others(scene: &Scene, token: &Issued, what: &str) {
    let mut client = Client::of(scene.proxy.address());
    for number in 0..2 {
        let target = format!("/app?other={number}");
        let answer = client.ask_for("GET", &target, &pair(&token.client_id, &token.secret), "");
        assert_eq!(Arrived::told_by(&answer).request(), format!("GET {target}"), "{what}");
        let answer = client.ask_for("GET", &target, &[], "");
        assert_eq!(answer.status, 401, "{what}: {}", answer.head);
    }
}

/// The door reads no body, so nobody keeps it waiting for one.
#[test]
fn a_body_that_never_comes_keeps_nobody_out_and_lets_nobody_in() {
    for kind in Kind::ALL {
        let mut scene = Scene::new(kind);
        let token = scene.issue(json!({}));
        let headers = header_lines(&token);
        let mut open = Vec::new();
        for _ in 0..UNFINISHED {
            open.extend(BODIES.map(|headers| announce(&scene, "", headers)));
        }
        for (connection, headers) in open.iter_mut().zip(BODIES.into_iter().cycle()) {
            // What is written in Go has no answer ready before the body, unless the client waits for one.
            if matches!(kind, Kind::Caddy | Kind::Traefik) && !headers.contains("Expect") {
                continue;
            }
            let answer = refusal(connection).unwrap_or_else(|error| panic!("{kind:?}: {headers}: {error}"));
            assert_eq!(answer.status, 401, "{kind:?}: {headers}");
        }
        assert_eq!(scene.origin.requests(), 0, "{kind:?}: without a credential");
        for _ in 0..UNFINISHED {
            open.extend(BODIES.map(|more| announce(&scene, &headers, more)));
        }
        let begun = Instant::now();
        for _ in 0..UNFINISHED {
            check_others(&scene, &token, &format!("{kind:?}: beside unfinished requests"));
        }
        assert!(begun.elapsed() < SOON, "{kind:?}: {:?}", begun.elapsed());
        drop(open);
        check_others(&scene, &token, &format!("{kind:?}: after unfinished requests"));
    }
}

/// Sends a head and nothing of the body that it announces.
fn announce(scene: &Scene, credential: &str, headers: &str) -> Connection {
    let mut connection = Connection::open(scene.proxy.address()).expect("a connection");
    connection.send_bytes(post(credential, headers, "").as_bytes()).expect("sent");
    connection
}

/// The answer behind a 100, where there is one.
fn refusal(connection: &mut Connection) -> io::Result<Answer> {
    match connection.answer(false)? {
        go_on if go_on.status == 100 => connection.answer(false),
        answer => Ok(answer),
    }
}

fn header_lines(token: &Issued) -> String {
    pair(&token.client_id, &token.secret).map(|(name, value)| format!("{name}: {value}\r\n")).concat()
}
