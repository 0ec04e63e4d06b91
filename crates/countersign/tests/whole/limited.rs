//! Limits under pressure: many connections, one token.

use std::net::SocketAddr;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::connection::Connection;
use crate::manager::tokens;
use crate::many::until;
use crate::scene::pair;
use crate::server::{Data, Server, TOKEN};

const CONNECTIONS: usize = 64;
const SECONDS: u64 = 5;

/// What one connection saw.
#[derive(Default)]
struct Seen {
    granted: u64,
    refused: u64,
    wrong: Vec<String>,
}

/// A token with these limits: its client id and secret.
fn issue(server: &Server, limits: &Value) -> (String, String) {
    let body = json!({"name": "limited", "limits": limits});
    let (status, answer) = server.call("POST", &tokens(), TOKEN, Some(&body));
    assert_eq!(status, 201, "{answer}");
    let text = |field: &str| answer["result"][field].as_str().expect("a text").to_owned();
    (text("client_id"), text("client_secret"))
}

/// Asks as fast as it can until `end`.
fn hammer(address: SocketAddr, headers: &[(&str, &str)], end: Instant) -> Seen {
    let mut connection = Connection::open(address).expect("a connection");
    let mut seen = Seen::default();
    while Instant::now() < end {
        let answer = connection.ask("GET", "/authz", headers, b"").expect("an answer");
        let is_said = answer.header("ratelimit").is_some() && answer.header("ratelimit-policy").is_some();
        match (answer.status, answer.header("retry-after")) {
            (200, None) if is_said => seen.granted += 1,
            (429, Some("1")) if is_said => seen.refused += 1,
            _ => seen.wrong.push(answer.head),
        }
    }
    seen
}

/// Everything that the connections saw together, and how long it took.
fn storm(server: &Server, (client_id, secret): &(String, String)) -> (Seen, Duration) {
    let headers = pair(client_id, secret);
    let (address, barrier) = (server.address(), Barrier::new(CONNECTIONS));
    let started = Instant::now();
    let end = started + Duration::from_secs(SECONDS);
    let mut all = Seen::default();
    std::thread::scope(|scope| {
        let hammers: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    hammer(address, &headers, end)
                })
            })
            .collect();
        for one in hammers {
            let seen = one.join().expect("a connection");
            (all.granted, all.refused) = (all.granted + seen.granted, all.refused + seen.refused);
            all.wrong.extend(seen.wrong);
        }
    });
    (all, started.elapsed())
}

/// So many are let in as the burst and the rate allow, to one in a hundred, whatever is refused beside them.
#[test]
fn a_rate_holds_under_64_connections() {
    let data = Data::new();
    let server = Server::start(&data);
    let token = issue(&server, &json!({"rate": {"requests_per_second": 200, "burst": 100}}));
    let (seen, took) = storm(&server, &token);
    assert!(seen.wrong.is_empty(), "{:?}", &seen.wrong[..1]);
    let (least, most) = (100.0 + 200.0 * SECONDS as f64, 100.0 + 200.0 * took.as_secs_f64());
    let granted = seen.granted as f64;
    assert!(granted <= most * 1.01 && granted >= least * 0.99, "{granted} of {least} to {most}");
    assert!(seen.refused > seen.granted, "{} were refused: that is no pressure", seen.refused);
}

/// As many as the quota says and not one more; a flood of requests that the rate refuses takes none of it.
#[test]
fn a_quota_holds_under_64_connections() {
    let data = Data::new();
    let server = Server::start(&data);
    let limits = json!({"rate": {"requests_per_second": 100, "burst": 1}, "quota": {"requests": 300, "period": "month"}});
    let token = issue(&server, &limits);
    let headers = pair(&token.0, &token.1);
    let end = Instant::now() + Duration::from_secs(2);
    let granted: u64 = std::thread::scope(|scope| {
        let hammers: Vec<_> =
            (0..8).map(|_| scope.spawn(|| hammer(server.address(), &headers, end).granted)).collect();
        hammers.into_iter().map(|one| one.join().expect("a connection")).sum()
    });
    assert!((190..=205).contains(&granted), "the rate, of two seconds: {granted}");
    // Past the quota the wait is until the month ends, which `hammer` takes for a wrong answer.
    let (seen, _) = storm(&server, &token);
    assert_eq!(granted + seen.granted, 300);
}

/// Asks once: the status, and how many requests are said to be left.
fn ask(connection: &mut Connection, (client_id, secret): &(String, String)) -> (u16, u64) {
    let answer = connection.ask("GET", "/authz", &pair(client_id, secret), b"").expect("an answer");
    let left =
        answer.header("ratelimit").and_then(|left| left.split(";r=").nth(1)?.split(';').next()?.parse().ok());
    (answer.status, left.unwrap_or(u64::MAX))
}

/// As `docs/operating.md` says: a rate is each node's own, a quota is shared within a second or so, and a restart fills
/// nothing up.
#[test]
fn two_nodes_share_a_quota() {
    let data = Data::shared();
    let (a, b) = (Server::start(&data), Server::start(&data));
    let connect = |server: &Server| Connection::open(server.address()).expect("a connection");
    let (mut to_a, mut to_b) = (connect(&a), connect(&b));

    let rated = issue(&a, &json!({"rate": {"requests_per_second": 1, "burst": 5}}));
    until(|| b.opens(&rated.0, &rated.1), || b.log());
    let granted = |connection: &mut Connection| (0..20).filter(|_| ask(connection, &rated).0 == 200).count();
    assert!(
        (5..=6).contains(&granted(&mut to_a)) && (4..=5).contains(&granted(&mut to_b)),
        "each for itself"
    );

    let token = issue(&a, &json!({"quota": {"requests": 300, "period": "month"}}));
    let mut granted = (0..200).filter(|_| ask(&mut to_a, &token).0 == 200).count() as u64;
    assert_eq!(granted, 200);
    let deadline = Instant::now() + Duration::from_secs(30);
    // Each time it lets one in, which it tells within a second, and then it hears of the two hundred.
    let left = loop {
        let (status, left) = ask(&mut to_b, &token);
        granted += u64::from(status == 200);
        if left < 100 || Instant::now() > deadline {
            break left;
        }
        std::thread::sleep(Duration::from_millis(200));
    };
    assert_eq!(left, 300 - granted, "{}", b.log());
    granted += (0..left + 5).filter(|_| ask(&mut to_b, &token).0 == 200).count() as u64;
    assert_eq!(granted, 300);

    // The first has not heard of all that yet: what it lets in beyond is what it knows to be left, and no more.
    let mut beyond = 0;
    while ask(&mut to_a, &token).0 == 200 {
        beyond += 1;
        assert!(beyond <= 100 && Instant::now() < deadline, "{}", a.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(a.stop().status.success() && b.stop().status.success());
    let again = Server::start(&data);
    assert_eq!(ask(&mut connect(&again), &token), (429, 0), "a restart");
}

/// What was counted a second before a kill is counted still.
#[test]
fn a_kill_fills_no_quota_up() {
    let data = Data::new();
    let server = Server::start(&data);
    let token = issue(&server, &json!({"quota": {"requests": 50, "period": "month"}}));
    let mut connection = Connection::open(server.address()).expect("a connection");
    assert_eq!((0..20).filter(|_| ask(&mut connection, &token).0 == 200).count(), 20);
    // The store is told once a second.
    std::thread::sleep(Duration::from_millis(2_500));
    server.kill();
    let server = Server::start(&data);
    let mut connection = Connection::open(server.address()).expect("a connection");
    assert_eq!(ask(&mut connection, &token), (200, 29));
}
