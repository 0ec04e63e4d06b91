//! Design invariant 4 again: power loss is not `kill -9`. What the kernel has not been told to sync is gone.

use std::fs;
use std::path::Path;

use crate::disk::Disk;
use crate::ledger::Ledger;
use crate::server::Server;

/// How many managers work at once.
const CLERKS: u64 = 4;
/// Operations between two power cuts: enough for SQLite's log to begin anew in between.
const OPERATIONS: usize = 1_500;
/// How often the power is cut.
const CUTS: usize = 3;

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

/// Whether the library is in the process; in a static program it would not be.
fn uses(server: &Server, disk: &Disk) -> bool {
    let mapped = fs::read_to_string(format!("/proc/{}/maps", server.pid().as_raw_nonzero()))
        .expect("the server's memory");
    mapped.contains(disk.library().to_str().expect("UTF-8"))
}

/// How often SQLite's log has begun anew: the checkpoint sequence number in its header.
fn log_generation(data: &Path) -> [u8; 4] {
    let log = fs::read(data.join("countersign.db-wal")).expect("a log");
    log[12..16].try_into().expect("four bytes")
}
