//! Design invariant 4 again: power loss is not `kill -9`. What the kernel was not told to sync is gone.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use crate::disk::Disk;
use crate::ledger::Ledger;
use crate::random::Random;
use crate::server::Server;

/// How many managers work at once.
const CLERKS: u64 = 4;
/// Operations between two power cuts: enough for SQLite's log to begin anew in between.
const OPERATIONS: usize = 1_500;
/// How often the power is cut while the server works.
const CUTS: usize = 3;
/// How often while it starts for the first time.
const BIRTHS: u64 = 10;
/// About how long that takes, in milliseconds.
const LONGEST_BIRTH: u64 = 40;

#[test]
fn a_power_cut_undoes_nothing_that_was_acknowledged() {
    let mut ledger = Ledger::new(CLERKS);
    let mut disk = Disk::new();
    for cut in 1..=CUTS {
        let server = disk.launch().start();
        assert!(uses(&server, &disk), "the server does not use the disk of this test");
        ledger.check(server.address());
        let began = log_generation(&disk.live());
        ledger.work(server.address(), |progress| {
            assert!(progress.until_acknowledged(OPERATIONS), "{}", server.log());
            server.kill();
        });
        assert_ne!(began, log_generation(&disk.live()), "cut {cut}: the log did not begin anew");
        disk = disk.cut();
    }
    let server = disk.launch().start();
    ledger.check_everything(server.address());
}

#[test]
fn a_power_cut_after_the_end_undoes_nothing() {
    let mut ledger = Ledger::new(CLERKS);
    let disk = Disk::new();
    let server = disk.launch().start();
    ledger.work(server.address(), |progress| assert!(progress.until_acknowledged(OPERATIONS)));
    assert!(server.stop().status.success());
    let disk = disk.cut();
    let server = disk.launch().start();
    ledger.check_everything(server.address());
}

#[test]
fn a_power_cut_while_it_starts_is_no_harm() {
    let mut random = Random::seeded(BIRTHS);
    for _ in 0..BIRTHS {
        let disk = Disk::new();
        let mut server = disk.launch().spawn();
        sleep(Duration::from_millis(random.below(LONGEST_BIRTH)));
        server.kill().expect("it runs");
        server.wait().expect("it ends");
        let disk = disk.cut();
        let server = disk.launch().start();
        assert_eq!(server.get("/api/v1/self").0, 200);
    }
}

/// Whichever came to be, the store with the token or only its file: the next start knows what to do.
#[test]
fn a_power_cut_while_it_starts_leaves_no_root_token_that_nobody_has() {
    let mut random = Random::seeded(BIRTHS + 1);
    for _ in 0..BIRTHS {
        let disk = Disk::new();
        let mut server = disk.bare_launch().spawn();
        sleep(Duration::from_millis(random.below(LONGEST_BIRTH)));
        server.kill().expect("it runs");
        server.wait().expect("it ends");
        let disk = disk.cut();
        let server = disk.bare_launch().start();
        let token = fs::read_to_string(disk.live().join("root-token")).expect("the root token");
        assert_eq!(server.call("GET", "/api/v1/self", token.trim_end(), None).0, 200);
    }
}

/// Where the token is said to be it must stay: nothing else has it.
#[test]
fn a_power_cut_leaves_the_root_token_that_was_announced() {
    let disk = Disk::new();
    let mut server = disk.bare_launch().spawn();
    let mut announcement = String::new();
    let stdout = server.stdout.take().expect("standard output");
    BufReader::new(stdout).read_line(&mut announcement).expect("an announcement");
    assert!(announcement.contains("root-token"), "{announcement}");
    server.kill().expect("it runs");
    server.wait().expect("it ends");

    let disk = disk.cut();
    let server = disk.bare_launch().start();
    let token = fs::read_to_string(disk.live().join("root-token")).expect("the root token");
    assert_eq!(server.call("GET", "/api/v1/self", token.trim_end(), None).0, 200);
}

/// Whether the library is in the process; in a static program it would not be.
fn uses(server: &Server, disk: &Disk) -> bool {
    let maps = format!("/proc/{}/maps", server.pid().as_raw_nonzero());
    let mapped = fs::read_to_string(maps).expect("the server's memory");
    mapped.contains(disk.library().to_str().expect("UTF-8"))
}

/// How often SQLite's log has begun anew: the checkpoint sequence number in its header.
fn log_generation(data: &Path) -> [u8; 4] {
    let log = fs::read(data.join("countersign.db-wal")).expect("a log");
    log[12..16].try_into().expect("four bytes")
}
