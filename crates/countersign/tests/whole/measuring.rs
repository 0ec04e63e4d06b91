//! The numbers that operators watch are those of what was done.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::manager::{Manager, tokens};
use crate::numbers::Numbers;
use crate::server::{Data, Launch, Server};

/// Tokens by the time that they live: one ends within 7 days, three within 30, and one is disabled.
const DURATIONS: [(&str, bool); 5] =
    [("24h", true), ("336h", true), ("480h", true), ("8760h", true), ("25h", false)];

#[test]
fn commits_and_the_queue_are_measured() {
    let data = Data::new();
    let server = Launch::new(&data).env("COUNTERSIGN_STORE_QUEUE", "77").start();
    let before = Numbers::of(server.address());
    issue_tokens(server.address());

    let after = Numbers::of(server.address());
    let grown = |name: &str| after.value(name) - before.value(name);
    let changes = DURATIONS.len() as f64;
    assert_eq!(grown("countersign_store_commit_changes_sum"), changes);
    let commits = grown("countersign_store_commit_changes_count");
    assert!((1.0..=changes).contains(&commits), "{commits} commits");
    assert_eq!(grown("countersign_store_commit_duration_seconds_count"), commits);
    assert!(grown("countersign_store_commit_duration_seconds_sum") > 0.0, "no time passed");
    assert_eq!(after.value("countersign_store_queue_length"), 0.0, "nothing waits");
    assert_eq!(after.value("countersign_store_queue_capacity"), 77.0);
    assert_eq!(after.value("countersign_store_commits_failed_total"), 0.0);
    assert!(after.value("countersign_store_wal_pages") > 0.0, "the log is empty");
    for name in ["countersign_store_commit_changes", "countersign_store_commit_duration_seconds"] {
        let buckets = after.buckets(name);
        assert!(buckets.len() > 2 && buckets.is_sorted(), "{name}: {buckets:?}");
        assert_eq!(buckets.last().copied(), Some(after.value(&format!("{name}_count"))), "{name}");
    }
}

#[test]
fn tokens_are_counted_also_by_when_they_end() {
    let data = Data::new();
    let server = Server::start(&data);
    issue_tokens(server.address());
    server.stop();

    // They are counted at the start, then once a minute.
    let server = Server::start(&data);
    let counted = |name: &str| Numbers::of(server.address()).value(name);
    let deadline = Instant::now() + Duration::from_secs(60);
    while counted("countersign_directory_service_tokens") == 0.0 {
        assert!(Instant::now() < deadline, "nothing is counted");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(counted("countersign_directory_service_tokens"), DURATIONS.len() as f64);
    assert_eq!(counted("countersign_directory_access_tokens"), 1.0, "the root token");
    assert_eq!(counted("countersign_directory_expired_tokens"), 0.0);
    assert_eq!(counted("countersign_service_tokens_expiring_7d"), 1.0);
    assert_eq!(counted("countersign_service_tokens_expiring_30d"), 3.0);
}

fn issue_tokens(server: SocketAddr) {
    let mut manager = Manager::connect(server);
    for (number, (duration, enabled)) in DURATIONS.into_iter().enumerate() {
        let body = json!({ "name": format!("token {number}"), "duration": duration, "enabled": enabled });
        let answer = manager.ask("POST", &tokens(), &body).expect("an answer");
        assert_eq!(answer.status, 201, "{answer:?}");
    }
}
