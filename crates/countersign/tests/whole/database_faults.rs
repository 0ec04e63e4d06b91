//! What can happen to the database, to the way there and to the machines of nodes: nothing acknowledged is lost, and nothing
//! revoked is granted.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use countersign_postgres_cluster::{Cluster, Database, Stop, psql};
use rustix::process::{Signal, kill_process};
use serde_json::json;

use crate::disk::compile_shim;
use crate::ledger::Ledger;
use crate::manager::tokens;
use crate::many::{Token, until};
use crate::numbers::Numbers;
use crate::server::{Data, Launch, Server, TOKEN};

/// How soon everything works again.
const SOON: Duration = Duration::from_secs(5);
/// How soon a revocation is refused everywhere.
const BOUND: Duration = Duration::from_secs(2);

fn cluster() -> Cluster {
    Cluster::start(&[]).expect("a cluster")
}

fn node_of(url: &str) -> Server {
    Launch::new(&Data::embedded()).env("COUNTERSIGN_DATABASE_URL", url).without_login_limits().start()
}

/// The address of both, of which one takes changes.
fn either(one: &Cluster, other: &Cluster) -> String {
    format!("postgres://countersign@127.0.0.1:{},127.0.0.1:{}/postgres", one.port(), other.port())
}

/// From now on a commit waits until a standby has it.
fn wait_for_standbys(primary: &Cluster) {
    psql(&primary.url(), "ALTER SYSTEM SET synchronous_standby_names = '*'").expect("it is set");
    psql(&primary.url(), "SELECT pg_reload_conf()").expect("it is read");
    let followed = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
    until(|| psql(&primary.url(), followed).expect("a number") == "1", || "no standby follows".to_owned());
}

fn can_issue(node: &Server) -> bool {
    node.call("POST", &tokens(), TOKEN, Some(&json!({"name": "one more"}))).0 == 201
}

/// Somebody else's session, which holds something for as long as it lasts.
struct Stranger {
    url: String,
    session: Child,
}

impl Stranger {
    fn holding(url: &str, sql: &str) -> Self {
        let mut command = Command::new("/usr/lib/postgresql/15/bin/psql");
        let sql = format!("BEGIN; {sql}; SELECT pg_sleep(90); COMMIT");
        command.args(["--no-psqlrc", "--quiet", "--dbname", url, "--command", &sql]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("psql");
        let sleeps = "SELECT count(*) FROM pg_stat_activity \
                      WHERE wait_event = 'PgSleep' AND datname = current_database()";
        until(|| psql(url, sleeps).expect("a number") != "0", || "it does not hold anything".to_owned());
        Self { url: url.to_owned(), session: child }
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        // The server would not notice before its sleep is over that the client has gone away.
        let ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                     WHERE wait_event = 'PgSleep' AND datname = current_database()";
        let _ = psql(&self.url, ended);
        let _ = self.session.kill();
        let _ = self.session.wait();
    }
}

/// The primary dies, and the standby that every commit has waited for takes its place.
#[test]
fn after_a_failover_everything_acknowledged_is_there() {
    let mut primary = cluster();
    let standby = primary.standby(&[]).expect("a standby");
    wait_for_standbys(&primary);
    let url = either(&primary, &standby);
    let (a, b) = (node_of(&url), node_of(&url));
    let mut ledger = Ledger::new(2);
    ledger.work(a.address(), |progress| {
        assert!(progress.until_acknowledged(100), "{}", a.log());
        primary.stop(Stop::Immediate).expect("it runs");
        standby.promote().expect("it takes over");
        let promoted = Instant::now();
        assert!(progress.until_acknowledged(10), "{}", a.log());
        assert!(promoted.elapsed() < SOON, "{:?}", promoted.elapsed());
        assert!(progress.until_acknowledged(90), "{}", a.log());
    });
    // By then every node knows what was acknowledged.
    sleep(BOUND);
    for node in [&b, &a] {
        until(|| node.get("/readyz").0 == 200, || node.log());
        ledger.check_everything(node.address());
        assert_eq!(Numbers::of(node.address()).value("countersign_directory_reloads_total"), 1.0);
    }
}

/// A standby that was behind takes over: what is lost is gone on every node, whatever it knew.
#[test]
fn what_a_failover_has_lost_no_node_remembers() {
    let mut primary = cluster();
    let mut standby = primary.standby(&[]).expect("a standby");
    let url = either(&primary, &standby);
    let (a, b) = (node_of(&url), node_of(&url));
    let kept = Token::issue(&a);
    let position = psql(&primary.url(), "SELECT pg_current_wal_lsn()").expect("a position");
    let has_it = format!("SELECT pg_last_wal_replay_lsn() >= '{position}'");
    until(|| psql(&standby.url(), &has_it).expect("an answer") == "t", || "the standby is behind".to_owned());
    standby.stop(Stop::Fast).expect("it runs");
    let lost = Token::issue(&a);
    until(|| lost.opens(&b), || b.log());
    kept.revoke(&a);
    until(|| !kept.opens(&b), || b.log());

    primary.stop(Stop::Immediate).expect("it runs");
    standby.resume().expect("it comes back");
    standby.promote().expect("it takes over");
    for node in [&a, &b] {
        until(|| kept.opens(node), || node.log());
        assert!(!lost.opens(node), "nobody has it any more");
    }
    assert!(can_issue(&a) && can_issue(&b));
}

/// A dump of yesterday is restored under the nodes' feet.
#[test]
fn after_a_dump_was_restored_no_node_remembers_what_came_after_it() {
    let data = Data::shared();
    let database = data.database().expect("a database");
    let (a, b) = (Server::start(&data), Server::start(&data));
    let kept = Token::issue(&a);
    let dump = database.dump().expect("a dump");
    let lost = Token::issue(&a);
    kept.revoke(&a);
    until(|| lost.opens(&b) && !kept.opens(&b), || b.log());
    database.restore(&dump).expect("it is restored");
    for node in [&a, &b] {
        until(|| kept.opens(node), || node.log());
        assert!(!lost.opens(node), "nobody has it any more");
        assert!(can_issue(node), "{}", node.log());
    }
}

/// A primary that lost its standby may have been replaced without knowing it: it renews nobody's lease.
#[test]
fn a_primary_without_its_standby_opens_no_door() {
    let primary = cluster();
    let mut standby = primary.standby(&[]).expect("a standby");
    wait_for_standbys(&primary);
    let node = node_of(&primary.url());
    let token = Token::issue(&node);
    standby.stop(Stop::Immediate).expect("it runs");
    until(|| node.call("GET", "/readyz", "", None).1["reason"] == "lease_lapsed", || node.log());
    assert!(!token.opens(&node), "it may have been revoked where another one has taken over");
    let (status, answer) = node.call("POST", &tokens(), TOKEN, Some(&json!({"name": "not acknowledged"})));
    assert_eq!(status, 503, "{answer}");
    standby.resume().expect("it comes back");
    let back = Instant::now();
    until(|| token.opens(&node) && can_issue(&node), || node.log());
    assert!(back.elapsed() < SOON * 2, "{:?}", back.elapsed());
}

/// A node stands still while a token is revoked elsewhere. When it goes on, the first thing that it does is to answer.
#[test]
fn a_node_that_stood_still_grants_nothing_that_was_revoked() {
    let data = Data::shared();
    let (a, b) = (Server::start(&data), Server::start(&data));
    let token = Token::issue(&a);
    until(|| token.opens(&b), || b.log());
    kill_process(b.pid(), Signal::STOP).expect("it runs");
    token.revoke(&a);
    let (url, pair) = (b.url("/authz"), (token.client_id.clone(), token.secret.clone()));
    let waiting = spawn(move || {
        let request =
            ureq::get(url).header("cf-access-client-id", pair.0).header("cf-access-client-secret", pair.1);
        request.config().http_status_as_error(false).build().call().expect("an answer").status().as_u16()
    });
    sleep(Duration::from_secs(5));
    kill_process(b.pid(), Signal::CONT).expect("it stands still");
    let status = waiting.join().expect("an answer");
    assert!(status == 401 || status == 503, "{status}");
    until(|| b.get("/readyz").0 == 200, || b.log());
    assert!(!token.opens(&b));
}

/// The clocks of two machines are half a minute apart, and a token expires on both at the same time.
#[test]
fn clocks_of_nodes_do_not_matter() {
    let data = Data::shared();
    let directory = tempfile::tempdir().expect("a directory");
    let shim = directory.path().join("clock.so");
    compile_shim("clock.c", &shim);
    let right = Server::start(&data);
    let wrong = Launch::new(&data).env("LD_PRELOAD", &shim).env("TEST_CLOCK_OFFSET", "30").start();
    let at = |node: &Server| -> i64 {
        let log = node.log();
        let line: serde_json::Value =
            log.lines().next().and_then(|line| serde_json::from_str(line).ok()).expect("a line");
        let text = line["timestamp"].as_str().expect("a time").to_owned();
        text.parse::<jiff::Timestamp>().expect("a time").as_second()
    };
    assert!((at(&wrong) - at(&right)).abs() >= 25, "the clock of one node is wrong");

    let (status, answer) = wrong.call(
        "POST",
        &format!("/v1/Accounts/{}/accessTokens", crate::server::ACCOUNT),
        TOKEN,
        Some(&json!({"ttl": 3})),
    );
    assert_eq!(status, 200, "{answer}");
    let token = answer["id"].as_str().expect("a token").to_owned();
    let opens = |node: &Server| node.call("GET", "/api/v1/self", &token, None).0 == 200;
    until(|| opens(&right) && opens(&wrong), || right.log());
    let ended = |node: &Server| {
        until(|| !opens(node), || node.log());
        Instant::now()
    };
    let (one, other) = std::thread::scope(|scope| {
        let one = scope.spawn(|| ended(&right));
        let other = ended(&wrong);
        (one.join().expect("a time"), other)
    });
    let apart = if one > other { one - other } else { other - one };
    assert!(apart < Duration::from_secs(1), "{apart:?}");
}

/// Somebody holds a table: what needs it is refused after a while, doors go on, and it goes on as soon as it is let go.
#[test]
fn a_table_that_somebody_holds_stops_changes_alone() {
    let data = Data::shared();
    let url = data.database().expect("a database").url();
    let node = Server::start(&data);
    let token = Token::issue(&node);
    // What was changed has been read by all: nobody has to look at the table to know what is true.
    until(|| psql(&url, "SELECT count(*) FROM feed").expect("a number") == "0", || node.log());
    let stranger = Stranger::holding(&url, "LOCK TABLE service_tokens IN ACCESS EXCLUSIVE MODE");
    let held = Instant::now();
    let (status, answer) = node.call("POST", &tokens(), TOKEN, Some(&json!({"name": "never"})));
    assert_eq!(status, 503, "{answer}");
    while held.elapsed() < Duration::from_secs(10) {
        assert!(token.opens(&node), "{}", node.log());
        sleep(Duration::from_millis(100));
    }
    drop(stranger);
    let free = Instant::now();
    until(|| can_issue(&node), || node.log());
    assert!(free.elapsed() < SOON, "{:?}", free.elapsed());
}

/// Somebody writes in another database of the cluster and does not come to an end: nobody waits for it.
#[test]
fn a_transaction_of_a_stranger_holds_nobody_up() {
    let (data, other) = (Data::shared(), Database::create().expect("a database"));
    let (a, b) = (Server::start(&data), Server::start(&data));
    let _stranger = Stranger::holding(&other.url(), "CREATE TABLE theirs (number integer)");
    let held = Instant::now();
    while held.elapsed() < Duration::from_secs(60) {
        let token = Token::issue(&a);
        until(|| token.opens(&b), || b.log());
        token.revoke(&a);
        let revoked = Instant::now();
        until(|| !token.opens(&b), || b.log());
        assert!(revoked.elapsed() < BOUND, "{:?}", revoked.elapsed());
        sleep(Duration::from_millis(500));
    }
}

/// A server whose disk is full while there is a file.
fn cluster_on_a_small_disk() -> (Cluster, PathBuf) {
    let mut cluster = Cluster::prepare(&[]).expect("a cluster");
    let built = tempfile::tempdir().expect("a directory");
    let library = built.path().join("full.so");
    compile_shim("full.c", &library);
    let (disk, fault) = (cluster.directory().to_owned(), cluster.directory().join("full"));
    cluster
        .preload(&library, &[("TEST_FULL_DIRECTORY", &disk), ("TEST_FULL_FAULT", &fault)])
        .expect("a library");
    cluster.resume().expect("it starts");
    (cluster, fault)
}

/// The disk of the database is full: changes are refused, doors go on, and nothing that was acknowledged is lost; not even
/// when there is no room for the log either, and the database ends.
#[test]
fn a_full_disk_of_the_database_stops_changes_alone() {
    let (mut cluster, fault) = cluster_on_a_small_disk();
    let node = node_of(&cluster.url());
    let mut ledger = Ledger::new(2);
    ledger.work(node.address(), |progress| {
        assert!(progress.until_acknowledged(50), "{}", node.log());
        fs::write(&fault, "").expect("a file");
        assert!(progress.until_refused(50), "{}", node.log());
        let refused = Instant::now();
        while refused.elapsed() < 2 * BOUND {
            assert_eq!(node.call("GET", "/authz", TOKEN, None).0, 200, "{}", node.log());
            sleep(Duration::from_millis(100));
        }
        fs::remove_file(&fault).expect("a file");
        let healed = Instant::now();
        assert!(progress.until_acknowledged(50), "{}", node.log());
        assert!(healed.elapsed() < SOON, "{:?}", healed.elapsed());

        fs::write(&fault, "").expect("a file");
        // As often as it takes to come to a part of the log that is not there yet.
        let ends =
            || psql(&cluster.url(), "SELECT pg_switch_wal() FROM pg_logical_emit_message(true, '', 'x')");
        until(|| ends().is_err(), || "it has room for its log".to_owned());
        until(|| node.call("GET", "/readyz", "", None).0 == 503, || node.log());
        fs::remove_file(&fault).expect("a file");
        cluster.stop(Stop::Immediate).expect("it runs, or has ended");
        cluster.resume().expect("it comes back");
        let back = Instant::now();
        assert!(progress.until_acknowledged(50), "{}", node.log());
        assert!(back.elapsed() < SOON, "{:?}", back.elapsed());
    });
    ledger.check_everything(node.address());
    assert!(!node.log().contains("panicked"), "{}", node.log());
}
