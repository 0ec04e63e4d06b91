//! `docs/operating.md`, as whoever follows it to the letter meets it: set up, upgraded, and what dies dies.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::handbook::Machine::{self, Db1, Db2, Node1, Node2};
use crate::many::until;
use crate::numbers::Numbers;
use crate::server::call;
use crate::site::Site;

/// How soon everything works again.
const SOON: Duration = Duration::from_secs(5);
/// How soon a revocation is refused everywhere.
const BOUND: Duration = Duration::from_secs(2);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(20);
/// The unit of a database.
const DATABASE: &str = "countersign-postgresql";
/// Most of what systemd counts against a unit that can do much: below it says OK.
const MOST_EXPOSED: &str = "--threshold=20";

/// Both nodes, as the root account uses them.
struct Nodes {
    addresses: [SocketAddr; 2],
    account: String,
    token: String,
    /// Of everything that was acknowledged and not revoked.
    issued: Mutex<Vec<Issued>>,
}

/// A service token.
#[derive(Debug, Clone)]
struct Issued {
    id: String,
    client_id: String,
    secret: String,
}

impl Nodes {
    fn of(site: &Site, token: &str) -> Self {
        let addresses = [Node1, Node2].map(|node| site.address(node));
        let (token, issued) = (token.to_owned(), Mutex::default());
        let mut nodes = Self { addresses, account: String::new(), token, issued };
        // Who has made the token is another process.
        let caller = || nodes.ask(0, "GET", "/api/v1/self", None);
        until(|| caller().0 == 200, || site.log(Node1));
        let (_, caller) = caller();
        nodes.account = caller["account"].as_str().expect("an account").to_owned();
        nodes
    }

    /// Status and body; 0 when nobody answers.
    fn ask(&self, node: usize, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let url = format!("http://{}{path}", self.addresses[node]);
        call(&url, method, &self.token, body).unwrap_or((0, Value::Null))
    }

    fn tokens(&self) -> String {
        format!("/client/v4/accounts/{}/access/service_tokens", self.account)
    }

    /// Whether it was acknowledged.
    fn issue(&self, node: usize) -> bool {
        let (status, answer) = self.ask(node, "POST", &self.tokens(), Some(&json!({"name": "one more"})));
        let text = |field: &str| answer["result"][field].as_str().unwrap_or_default().to_owned();
        if status == 201 {
            let one = Issued { id: text("id"), client_id: text("client_id"), secret: text("client_secret") };
            self.issued.lock().expect("the list").push(one);
        }
        status == 201
    }

    /// Removes it from what is there.
    fn revoke_the_last(&self, node: usize) -> Issued {
        let last = self.issued.lock().expect("the list").pop().expect("one");
        let (status, answer) = self.ask(node, "DELETE", &format!("{}/{}", self.tokens(), last.id), None);
        assert_eq!(status, 200, "{answer}");
        last
    }

    fn opens(&self, node: usize, one: &Issued) -> bool {
        let request = ureq::get(format!("http://{}/authz?account={}", self.addresses[node], self.account))
            .header("cf-access-client-id", &one.client_id)
            .header("cf-access-client-secret", &one.secret);
        request.call().is_ok_and(|answer| answer.status() == 200)
    }

    fn is_ready(&self, node: usize) -> bool {
        self.ask(node, "GET", "/readyz", None).0 == 200
    }

    fn count(&self) -> usize {
        self.issued.lock().expect("the list").len()
    }

    /// Issues now at the one node, now at the other, until it is told to stop.
    fn issue_always(&self, stop: &AtomicBool) {
        for node in [0, 1].into_iter().cycle() {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            if !self.issue(node) {
                sleep(PAUSE);
            }
        }
    }

    /// Comes like a balancer does, to the other node when one does not let it in, and must always be let in by one.
    fn come_always(&self, one: &Issued, stop: &AtomicBool) -> usize {
        let mut times = 0;
        while !stop.load(Ordering::Relaxed) {
            assert!(self.opens(0, one) || self.opens(1, one), "after {times} times nobody answers");
            times += 1;
        }
        times
    }

    /// Waits until more was acknowledged; says how long that took.
    fn until_more(&self, site: &Site) -> Duration {
        let (since, before) = (Instant::now(), self.count());
        until(|| self.count() >= before + 10, || site.log(Node1) + &site.log(Node2));
        since.elapsed()
    }

    fn check_everything(&self, site: &Site) {
        for node in [0, 1] {
            until(|| self.is_ready(node), || site.log(Node1) + &site.log(Node2));
            for one in &*self.issued.lock().expect("the list") {
                assert!(self.opens(node, one), "node {node} does not know what was acknowledged: {one:?}");
            }
        }
    }
}

/// Sets a flag when it goes, also when the test fails.
struct Stop<'f>(&'f AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn until_follows(site: &Site, primary: Machine, standby: &str) {
    let followers = "SELECT application_name, state, sync_state FROM pg_stat_replication";
    let wanted = format!("{standby}|streaming|sync");
    until(
        || site.psql(primary, followers) == wanted,
        || format!("{} != {wanted}", site.psql(primary, followers)),
    );
}

#[test]
fn two_nodes_and_a_promoted_standby_run_from_the_page() {
    let mut site = Site::new();
    for section in ["Secrets and certificates", "The primary", "The standby"] {
        site.follow(section);
    }
    until_follows(&site, Db1, "db2");
    site.follow("The database");
    let printed = site.follow("The nodes");
    let lost = Nodes::of(&site, token_in(&printed));
    let printed = site.follow("A lost root token");
    let nodes = Nodes::of(&site, token_in(&printed));
    until(|| lost.ask(1, "GET", "/api/v1/self", None).0 == 401, || site.log(Node2));
    what_one_node_does_the_other_knows(&site, &nodes);
    every_metric_of_the_page_is_there(&site);
    upgrade(&mut site, &nodes);
    lose_the_primary(&mut site, &nodes);
    lose_the_standby(&mut site, &nodes);
    go_back(&mut site, &nodes);
    assert_eq!(site.left_out(), [""; 0], "nothing on the page is left out");
}

fn token_in(printed: &str) -> &str {
    printed.lines().find(|line| line.len() == 64).expect("a root token")
}

fn what_one_node_does_the_other_knows(site: &Site, nodes: &Nodes) {
    assert!(nodes.issue(0), "{}", site.log(Node1));
    let first = nodes.issued.lock().expect("the list")[0].clone();
    until(|| nodes.opens(1, &first), || site.log(Node2));
    let revoked = nodes.revoke_the_last(1);
    let since = Instant::now();
    assert!(!nodes.opens(1, &revoked), "refused at once where it was revoked");
    until(|| !nodes.opens(0, &revoked), || site.log(Node1));
    assert!(since.elapsed() < BOUND, "{:?}", since.elapsed());
}

fn every_metric_of_the_page_is_there(site: &Site) {
    let numbers = Numbers::of(site.address(Node1));
    let metrics = site.handbook.metrics();
    assert!(metrics.len() > 5, "{metrics:?}");
    for metric in metrics {
        assert!(numbers.has(metric), "there is no {metric}");
    }
}

/// One node after the other is ended and started, and somebody is always let in.
fn upgrade(site: &mut Site, nodes: &Nodes) {
    assert!(nodes.issue(0));
    let one = nodes.issued.lock().expect("the list")[0].clone();
    until(|| nodes.opens(1, &one), || site.log(Node2));
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let stopped = Stop(&stop);
        let coming = scope.spawn(|| nodes.come_always(&one, &stop));
        site.follow("Upgrade");
        drop(stopped);
        let times = coming.join().expect("always let in");
        assert!(times > 100, "{times} times are no load");
    });
    nodes.check_everything(site);
}

fn lose_the_primary(site: &mut Site, nodes: &Nodes) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let _stopped = Stop(&stop);
        scope.spawn(|| nodes.issue_always(&stop));
        nodes.until_more(site);
        site.crash_database(Db1);
        let before = nodes.count();
        site.follow("The primary dies");
        sleep(BOUND);
        let alone = nodes.count();
        assert!(alone <= before + 1, "a new primary acknowledges nothing alone, unless it is told to");
        assert!(!nodes.is_ready(0) && !nodes.is_ready(1), "nobody can say what is true");

        site.follow("Go on with one server");
        let took = nodes.until_more(site);
        assert!(took < SOON, "{took:?}");

        // The machine comes back, and what runs there still takes itself for the primary.
        site.start(Db1, DATABASE);
        assert_eq!(site.psql(Db1, "SELECT pg_is_in_recovery()"), "f");
        nodes.until_more(site);
        site.follow("Bring the old primary back");
        until_follows(site, Db2, "db1");
        nodes.until_more(site);
    });
    nodes.check_everything(site);
}

fn lose_the_standby(site: &mut Site, nodes: &Nodes) {
    site.crash_database(Db1);
    let lapsed = |node| nodes.ask(node, "GET", "/readyz", None).1["reason"] == "lease_lapsed";
    until(|| lapsed(0) && lapsed(1), || site.log(Node1));
    assert!(!nodes.issue(0), "it is on one disk only");
    site.follow("Go on with one server");
    let since = Instant::now();
    until(|| nodes.issue(0) && nodes.issue(1), || site.log(Node1));
    assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
    site.start(Db1, DATABASE);
    let followers = "SELECT application_name, state FROM pg_stat_replication";
    until(|| site.psql(Db2, followers) == "db1|streaming", || site.log(Db1));
    nodes.check_everything(site);
}

/// What was issued after a backup is gone, and what was revoked after it stays so.
fn go_back(site: &mut Site, nodes: &Nodes) {
    site.follow("Backups");
    let revoked = nodes.revoke_the_last(0);
    assert!(nodes.issue(1));
    let lost = nodes.issued.lock().expect("the list").pop().expect("one");
    site.follow("Go back to a backup");
    nodes.check_everything(site);
    for node in [0, 1] {
        assert!(!nodes.opens(node, &revoked), "it was revoked after the backup");
        assert!(!nodes.opens(node, &lost), "it was issued after the backup");
    }
}

#[test]
fn systemd_has_nothing_to_say_about_the_units() {
    let site = Site::new();
    let units = site.write_units();
    assert_eq!(units.len(), 2);
    for unit in &units {
        let said = analyze(&["verify"], unit);
        assert_eq!(said, "", "{}", unit.display());
    }
    analyze(
        &["security", "--offline=true", "--no-pager", MOST_EXPOSED],
        units.last().expect("the nodes' unit"),
    );
}

/// Runs `systemd-analyze`, which must succeed; gives what it says.
fn analyze(words: &[&str], unit: &Path) -> String {
    let mut command = Command::new("systemd-analyze");
    let output = command.args(words).arg(unit).output().unwrap_or_else(|error| {
        panic!("systemd-analyze cannot be run ({error}); `cargo xtask test --only setup` installs it")
    });
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{}: {said}", unit.display());
    said
}
