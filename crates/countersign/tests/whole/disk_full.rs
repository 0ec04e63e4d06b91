//! A disk that is full, read-only or broken: what is not durable is not acknowledged, doors stay open to those who may
//! pass, and when the disk is well again so is the server.

use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::disk::{Disk, Fault};
use crate::ledger::Ledger;
use crate::manager::{Manager, tokens};
use crate::numbers::Numbers;
use crate::server::Server;

/// How many managers work at once.
const CLERKS: u64 = 4;
/// Operations before and after a fault, and refused ones during it.
const OPERATIONS: usize = 200;
/// So often a sync fails, once each time.
const SYNCS: usize = 15;

#[test]
fn a_full_disk_stops_changes_and_nothing_else() {
    changes_stop_until_the_disk_is_well_again(Fault::Full);
}

#[test]
fn a_read_only_disk_stops_changes_and_nothing_else() {
    changes_stop_until_the_disk_is_well_again(Fault::ReadOnly);
}

fn changes_stop_until_the_disk_is_well_again(fault: Fault) {
    let mut ledger = Ledger::new(CLERKS);
    let disk = Disk::new();
    let server = disk.launch().start();
    let address = server.address();
    let handle = issue_access_token(address).expect("an access token");
    work_and_fail(&mut ledger, address, &disk, fault);
    changes_are_refused(&server, Some(&ledger.live_token()), &handle);
    // Nothing was done; lists, audit and doors answer as ever.
    ledger.check(address);
    assert_eq!(ledger.done_in_doubt, 0, "refused with 503, and done all the same");

    disk.heal();
    recovers(address);
    // Counted when it is known, and that is once the disk can be read again.
    assert!(Numbers::of(address).value("countersign_store_commits_failed_total") > 0.0);
    work_and_die(&mut ledger, server);
    survives(&mut ledger, disk);
}

/// A commit that fails may have happened. What the server finds out about it has to stay true.
#[test]
fn a_disk_that_cannot_sync_leaves_no_change_by_halves() {
    let mut ledger = Ledger::new(CLERKS);
    let disk = Disk::new();
    let server = disk.launch().start();
    let address = server.address();
    let handle = issue_access_token(address).expect("an access token");
    work_and_fail(&mut ledger, address, &disk, Fault::Sync);
    changes_are_refused(&server, None, &handle);
    ledger.check_doors(address);

    disk.heal();
    recovers(address);
    ledger.check(address);
    work_and_die(&mut ledger, server);
    survives(&mut ledger, disk);
}

/// What the system failed to write once it never writes again: to sync a second time is not enough.
#[test]
fn after_a_sync_that_failed_nothing_acknowledged_is_lost() {
    let mut ledger = Ledger::new(CLERKS);
    let disk = Disk::new();
    let server = disk.launch().start();
    ledger.work(server.address(), |progress| {
        for _ in 0..SYNCS {
            assert!(progress.until_acknowledged(OPERATIONS / SYNCS), "{}", server.log());
            disk.fail(Fault::SyncOnce);
            until(|| !disk.is_failing());
        }
        server.kill();
    });
    survives(&mut ledger, disk);
}

fn work_and_fail(ledger: &mut Ledger, server: SocketAddr, disk: &Disk, fault: Fault) {
    ledger.work(server, |progress| {
        assert!(progress.until_acknowledged(OPERATIONS));
        disk.fail(fault);
        assert!(progress.until_refused(OPERATIONS));
    });
}

fn work_and_die(ledger: &mut Ledger, server: Server) {
    ledger.work(server.address(), |progress| {
        assert!(progress.until_acknowledged(OPERATIONS), "{}", server.log());
        server.kill();
    });
}

/// The worst that can follow: a power cut.
fn survives(ledger: &mut Ledger, disk: Disk) {
    let disk = disk.cut();
    let server = disk.launch().start();
    ledger.check_everything(server.address());
}

/// Every change of each wire: 503 in its shape, when to come again, and an id that finds the cause in the log.
/// `/readyz` says so before long.
fn changes_are_refused(server: &Server, service_token: Option<&str>, access_token: &str) {
    let address = server.address();
    let mut manager = Manager::connect(address);
    let mut refused = |method: &str, target: &str, body: Value| {
        let answer = manager.ask(method, target, &body).expect("an answer");
        assert_eq!(answer.status, 503, "{method} {target}: {answer:?}");
        let retry_after = answer.header("retry-after").and_then(|seconds| seconds.parse::<u64>().ok());
        assert!(retry_after.is_some_and(|seconds| seconds >= 1), "{method} {target}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{method} {target}: {answer:?}");
        let id = answer.header("x-request-id").expect("the id of the request").to_owned();
        assert!(answer.text().contains(&id), "the id is in the answer, too: {answer:?}");
        until(|| tells_the_cause_of(&server.log(), &id));
        answer.json()
    };
    if let Some(id) = service_token {
        let tokens = tokens();
        for (method, target, body) in [
            ("POST", tokens.clone(), json!({ "name": "another" })),
            ("PUT", format!("{tokens}/{id}"), json!({ "name": "renamed" })),
            ("POST", format!("{tokens}/{id}/refresh"), json!({})),
            ("POST", format!("{tokens}/{id}/rotate"), json!({})),
            ("DELETE", format!("{tokens}/{id}"), Value::Null),
        ] {
            let body = refused(method, &target, body);
            assert_eq!((&body["success"], &body["result"]), (&json!(false), &Value::Null), "{body}");
            assert!(body["errors"][0]["code"].is_u64(), "{body}");
        }
    }
    let tokens = "/v1/Accounts/me/accessTokens";
    for (method, target) in [("POST", tokens), ("DELETE", &*format!("{tokens}/{access_token}"))] {
        let body = refused(method, target, Value::Null);
        assert_eq!(body["error"]["statusCode"], 503, "{body}");
    }
    until(|| readiness(address) == (503, json!("store_unavailable")));
    assert_eq!(manager.ask("GET", "/healthz", &Value::Null).expect("an answer").status, 200);
}

/// Whether one line has both.
fn tells_the_cause_of(log: &str, request_id: &str) -> bool {
    let mut lines = log.lines().map(|line| serde_json::from_str(line).unwrap_or(Value::Null));
    lines
        .any(|line| line["request_id"] == request_id && line["level"] == "ERROR" && line["cause"].is_string())
}

/// Changes are taken again before long, without a restart.
fn recovers(server: SocketAddr) {
    // By itself, that is the point. How soon is a matter of the machine that runs this, too.
    until(|| issue_access_token(server).is_some());
    until(|| readiness(server) == (200, Value::Null));
}

/// What `/readyz` says, and why.
fn readiness(server: SocketAddr) -> (u16, Value) {
    let answer = Manager::connect(server).ask("GET", "/readyz", &Value::Null).expect("an answer");
    (answer.status, answer.json()["reason"].take())
}

/// The handle of a new one; `None` when it was refused.
fn issue_access_token(server: SocketAddr) -> Option<String> {
    let asked = Manager::connect(server).ask("POST", "/v1/Accounts/me/accessTokens", &Value::Null);
    let answer = asked.expect("an answer");
    assert!(matches!(answer.status, 200 | 503), "{answer:?}");
    answer.json()["id"].as_str().map(|text| text[..22].to_owned())
}

fn until(is_so: impl Fn() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < Duration::from_secs(60), "it does not come about");
        sleep(Duration::from_millis(1));
    }
}
