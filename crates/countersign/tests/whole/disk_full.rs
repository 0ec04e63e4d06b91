//! A disk that is full, read-only or broken: what is not durable is not acknowledged, doors stay open to those who may
//! pass, and when the disk is well again so is the server.

use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::disk::{Disk, Fault};
use crate::documented::{Operation, documents, operations, without};
use crate::ledger::{Ledger, STEWARDS};
use crate::manager::{Manager, tokens};
use crate::numbers::Numbers;
use crate::server::{ACCOUNT, Server, TOKEN};

/// How many managers work at once.
const CLERKS: u64 = 4;
/// Changes that can be asked for at one moment: one by each clerk and each steward.
const MOST_IN_FLIGHT: usize = CLERKS as usize + STEWARDS as usize;
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
    let tenant = Tenant::settle(&mut Manager::connect(address));
    work_and_fail(&mut ledger, address, &disk, fault);
    changes_are_refused(&server, Some((&ledger.live_token(), &tenant)), &handle);
    // Nothing was done; lists, audit and doors answer as ever.
    ledger.check(address);
    // Only what was being committed when it happened may be there, because that fails after its last byte as well as before.
    assert!(
        ledger.done_in_doubt <= MOST_IN_FLIGHT,
        "refused with 503, and done all the same: {}",
        server.log()
    );

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

/// Somebody with an organization, and who belongs to it.
struct Tenant {
    account: String,
    organization: String,
    membership: String,
    /// From logging in.
    token: String,
}

const EMAIL: &str = "tenant@example.com";
const PASSWORD: &str = "Correct-horse1";

impl Tenant {
    fn settle(manager: &mut Manager) -> Self {
        let mut id_of = |target: &str, body: Value| {
            let answer = manager.done("POST", &format!("/v1/{target}"), body);
            answer["id"].as_str().expect("an id").to_owned()
        };
        let account = id_of("Accounts", json!({ "email": EMAIL, "password": PASSWORD }));
        let token = id_of("Accounts/login", json!({ "email": EMAIL, "password": PASSWORD }));
        let organization = id_of(&format!("Accounts/{account}/organizations"), json!({ "name": "x" }));
        let other = id_of("Accounts", json!({ "email": "other@example.com", "password": null }));
        let invite = format!("Organizations/{organization}/invite");
        let membership = id_of(&invite, json!({ "accountId": other }));
        Self { account, organization, membership, token }
    }

    /// Everything that changes it: whose token, method, target and body.
    fn changes(&self) -> Vec<(&str, &'static str, String, Value)> {
        let Self { account, organization, membership, token } = self;
        let passwords = json!({ "oldPassword": PASSWORD, "newPassword": "Another-horse2" });
        let login = json!({ "email": EMAIL, "password": PASSWORD });
        let mut changes = vec![
            (TOKEN, "POST", "Accounts".to_owned(), json!({ "email": "new@example.com", "password": null })),
            (TOKEN, "POST", "Accounts/login".to_owned(), login),
            (TOKEN, "POST", "Accounts/impersonate".to_owned(), json!({ "id": account })),
            (token, "POST", "Accounts/logout".to_owned(), Value::Null),
            (token, "POST", "Accounts/change-password".to_owned(), passwords),
            (TOKEN, "PATCH", format!("Accounts/{account}"), json!({ "firstname": "x" })),
            (TOKEN, "DELETE", format!("Accounts/{account}"), Value::Null),
            (TOKEN, "POST", format!("Accounts/{account}/organizations"), json!({ "name": "y" })),
            (TOKEN, "PATCH", format!("Organizations/{organization}"), json!({ "name": "y" })),
            (TOKEN, "POST", format!("Organizations/{organization}/invite"), json!({ "accountId": ACCOUNT })),
            (
                TOKEN,
                "POST",
                format!("AccountOrganizations/{membership}/change-role"),
                json!({ "role": "admin" }),
            ),
            (TOKEN, "DELETE", format!("AccountOrganizations/{membership}"), Value::Null),
        ];
        let steps = |of: &str, steps: &[&str]| -> Vec<_> {
            steps.iter().map(|step| (TOKEN, "POST", format!("{of}/{step}"), Value::Null)).collect()
        };
        let of_account = ["disable", "enable", "revoke-access-tokens"];
        changes.extend(steps(&format!("Accounts/{account}"), &of_account));
        changes.extend(steps(&format!("Organizations/{organization}"), &["activate", "deactivate"]));
        let of_membership = ["accept", "reject", "enable", "disable"];
        changes.extend(steps(&format!("AccountOrganizations/{membership}"), &of_membership));
        changes
            .into_iter()
            .map(|(token, method, path, body)| (token, method, format!("/v1/{path}"), body))
            .collect()
    }
}

/// Every change of each wire, by the documents, so that none is forgotten: 503 in its shape, when to come again, and an id
/// that finds the cause in the log. `/readyz` says so before long. `there`: a service token and a tenant of which nothing
/// is in doubt.
fn changes_are_refused(server: &Server, there: Option<(&str, &Tenant)>, access_token: &str) {
    let address = server.address();
    let mut manager = Manager::connect(address);
    let mut asked: Vec<(String, String)> = Vec::new();
    let mut refused = |token: &str, method: &str, target: &str, body: Value| {
        let answer = manager.ask_as(token, method, target, &body).expect("an answer");
        assert_eq!(answer.status, 503, "{method} {target}: {answer:?}");
        let retry_after = answer.header("retry-after").and_then(|seconds| seconds.parse::<u64>().ok());
        assert!(retry_after.is_some_and(|seconds| seconds >= 1), "{method} {target}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{method} {target}: {answer:?}");
        let id = answer.header("x-request-id").expect("the id of the request").to_owned();
        assert!(answer.text().contains(&id), "the id is in the answer, too: {answer:?}");
        until(|| tells_the_cause_of(&server.log(), &id));
        asked.push((method.to_owned(), target.to_owned()));
        answer.json()
    };
    let mut changes = vec![
        (TOKEN, "POST", "/v1/Accounts/me/accessTokens".to_owned(), Value::Null),
        (TOKEN, "DELETE", format!("/v1/Accounts/me/accessTokens/{access_token}"), Value::Null),
    ];
    if let Some((id, tenant)) = there {
        let tokens = tokens();
        for (method, target, body) in [
            ("POST", tokens.clone(), json!({ "name": "another" })),
            ("PUT", format!("{tokens}/{id}"), json!({ "name": "renamed" })),
            ("POST", format!("{tokens}/{id}/refresh"), json!({})),
            ("POST", format!("{tokens}/{id}/rotate"), json!({})),
            ("DELETE", format!("{tokens}/{id}"), Value::Null),
        ] {
            let body = refused(TOKEN, method, &target, body);
            assert_eq!((&body["success"], &body["result"]), (&json!(false), &Value::Null), "{body}");
            assert!(body["errors"][0]["code"].is_u64(), "{body}");
        }
        changes.extend(tenant.changes());
    }
    for (token, method, target, body) in changes {
        let body = refused(token, method, &target, body);
        assert_eq!(body["error"]["statusCode"], 503, "{body}");
    }
    if there.is_some() {
        every_change_was_asked_for(&mut manager, &asked);
    }
    until(|| readiness(address) == (503, json!("store_unavailable")));
    assert_eq!(manager.ask("GET", "/healthz", &Value::Null).expect("an answer").status, 200);
}

/// Whatever is no question on the two wires that change something.
fn every_change_was_asked_for(manager: &mut Manager, asked: &[(String, String)]) {
    let documents = documents(|path| manager.ask("GET", path, &Value::Null).expect("an answer").json());
    let mut changes = operations(&documents);
    let is_change =
        |one: &Operation<'_>| one.path.starts_with("/v1/") || one.path.contains("/service_tokens");
    changes.retain(|one| one.method != "GET" && is_change(one));
    let missing = without(&changes, asked.iter().map(|(method, target)| (&**method, &**target)));
    assert!(missing.is_empty(), "it was not asked for {missing:?}");
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
