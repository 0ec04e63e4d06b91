//! A disk that is full, read-only or broken: what is not durable is not acknowledged, doors stay open to those who may
//! pass, and when the disk is well again so is the server.

use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::connection::Answer;
use crate::disk::{Disk, Fault};
use crate::ledger::{Ledger, Office};
use crate::manager::{Issued, Manager};
use crate::server::{ACCOUNT, Server};

/// How many managers work at once.
const CLERKS: u64 = 4;
/// Operations before and after a fault.
const OPERATIONS: usize = 200;
/// So often a sync fails, once each time.
const SYNCS: usize = 15;
/// A server whose disk is well again needs no longer than this.
const RECOVERY: Duration = Duration::from_secs(5);

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
    let mut server = Server::start(&disk.live(), &disk.environment(), &disk.log());
    let office = server.office();
    let witness = Witness::call(office);
    ledger.work(office, |progress| {
        assert!(progress.until_acknowledged(OPERATIONS));
        disk.fail(fault);
        assert!(progress.until_refused(OPERATIONS));
    });
    witness.check_refusals(office);
    witness.check_door(office);
    ledger.check(office);
    assert_eq!(ledger.done_in_doubt, 0, "refused with 503, and done all the same");

    disk.heal();
    recovers(office);
    ledger.work(office, |progress| {
        assert!(progress.until_acknowledged(OPERATIONS));
        server.kill();
    });
    let disk = disk.cut();
    let server = Server::start(&disk.live(), &disk.environment(), &disk.log());
    ledger.check_everything(server.office());
}

/// A commit that fails may have happened. Whatever the server finds out about it has to stay true.
#[test]
fn a_disk_that_cannot_sync_leaves_no_change_by_halves() {
    let mut ledger = Ledger::new(CLERKS);
    let disk = Disk::new();
    let mut server = Server::start(&disk.live(), &disk.environment(), &disk.log());
    let office = server.office();
    let witness = Witness::call(office);
    ledger.work(office, |progress| {
        assert!(progress.until_acknowledged(OPERATIONS));
        disk.fail(Fault::Sync);
        assert!(progress.until_refused(OPERATIONS));
    });
    witness.check_refusals(office);
    witness.check_door(office);

    disk.heal();
    recovers(office);
    ledger.check(office);
    ledger.work(office, |progress| {
        assert!(progress.until_acknowledged(OPERATIONS));
        server.kill();
    });
    let disk = disk.cut();
    let server = Server::start(&disk.live(), &disk.environment(), &disk.log());
    ledger.check_everything(server.office());
}

/// What the system failed to write once it never writes again: to sync a second time is not enough.
#[test]
fn after_a_sync_that_failed_nothing_acknowledged_is_lost() {
    let mut ledger = Ledger::new(CLERKS);
    let disk = Disk::new();
    let mut server = Server::start(&disk.live(), &disk.environment(), &disk.log());
    ledger.work(server.office(), |progress| {
        for _ in 0..SYNCS {
            assert!(progress.until_acknowledged(OPERATIONS / SYNCS));
            disk.fail(Fault::SyncOnce);
            while disk.is_failing() {
                sleep(Duration::from_millis(1));
            }
        }
        server.kill();
    });
    let disk = disk.cut();
    let server = Server::start(&disk.live(), &disk.environment(), &disk.log());
    ledger.check_everything(server.office());
}

/// Waits until a change is taken again.
fn recovers(office: Office<'_>) {
    let mut manager = office.manager();
    let since = Instant::now();
    while manager.issue("after the fault").is_err() {
        assert!(since.elapsed() < RECOVERY, "no change is taken after {RECOVERY:?}");
        sleep(Duration::from_millis(20));
    }
    assert_eq!(manager.ask("GET", "/readyz", &Value::Null).expect("an answer").status, 200);
}
