//! Design invariant 3: once a revocation is answered, no door lets the token in, however busy the server is.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::disk::Disk;
use crate::ledger::Stop;
use crate::manager::{Issued, Manager};

/// How often each is tried.
const TIMES: usize = 1_000;
/// Connections that knock with the token in question all the time.
const KNOCKERS: usize = 3;
/// Connections that issue tokens all the time.
const ISSUERS: usize = 2;

/// Where a token is shown: one connection for the manager, another one to the door, and a crowd that looks on.
struct Stage<'a> {
    manager: Manager,
    door: Manager,
    /// With what the crowd knocks.
    shown: &'a Mutex<Option<Issued>>,
}

impl Stage<'_> {
    fn issued(&mut self) -> Issued {
        let token = self.manager.issue("on stage").expect("issued");
        self.show(&token);
        token
    }

    fn show(&self, token: &Issued) {
        *self.shown.lock().expect("the crowd") = Some(token.clone());
    }

    /// The door's answer to this secret of the token.
    fn knock(&mut self, token: &Issued, secret: &str) -> u16 {
        self.door.knock(&token.client_id, secret)
    }
}

#[test]
fn a_revoked_token_is_refused_by_the_next_request() {
    refused_every_time(|stage| {
        let token = stage.issued();
        assert_eq!(stage.knock(&token, &token.secret), 200, "before it was revoked");
        stage.manager.revoke(&token.id).expect("revoked");
        stage.knock(&token, &token.secret)
    });
}

#[test]
fn a_disabled_token_is_refused_by_the_next_request() {
    let mut token = None;
    refused_every_time(|stage| {
        let token = token.get_or_insert_with(|| stage.issued());
        stage.manager.set_enabled(&token.id, true).expect("enabled");
        assert_eq!(stage.knock(token, &token.secret), 200, "when it was enabled");
        stage.manager.set_enabled(&token.id, false).expect("disabled");
        stage.knock(token, &token.secret)
    });
}

#[test]
fn a_secret_that_was_rotated_out_is_refused_by_the_next_request() {
    let mut token = None;
    refused_every_time(|stage| {
        let token = token.get_or_insert_with(|| stage.issued());
        let new = stage.manager.rotate(&token.id, false).expect("rotated");
        let old = std::mem::replace(&mut token.secret, new);
        let status = stage.knock(token, &old);
        assert_eq!(stage.knock(token, &token.secret), 200, "the new secret");
        stage.show(token);
        status
    });
}

/// Tries it a thousand times before a crowd that never rests. On a disk whose syncs cost nothing: what matters is the
/// order in which things happen, and a busy disk would only make everybody wait.
fn refused_every_time(mut status: impl FnMut(&mut Stage<'_>) -> u16) {
    let disk = Disk::new();
    let server = disk.launch().start();
    let address = server.address();
    let (shown, stop) = (Mutex::new(None), AtomicBool::new(false));
    thread::scope(|scope| {
        let _stop = Stop(&stop);
        for _ in 0..KNOCKERS {
            scope.spawn(|| knock_on(address, &shown, &stop));
        }
        for _ in 0..ISSUERS {
            scope.spawn(|| issue_on(address, &stop));
        }
        let (manager, door) = (Manager::connect(address), Manager::connect(address));
        let mut stage = Stage { manager, door, shown: &shown };
        let refused = (0..TIMES).filter(|_| status(&mut stage) == 401).count();
        assert_eq!(refused, TIMES, "refused that often");
    });
}

fn knock_on(server: SocketAddr, shown: &Mutex<Option<Issued>>, stop: &AtomicBool) {
    let mut door = Manager::connect(server);
    while !stop.load(Ordering::Relaxed) {
        let token = shown.lock().expect("the stage").clone();
        match token {
            Some(token) => drop(door.knock(&token.client_id, &token.secret)),
            None => thread::yield_now(),
        }
    }
}

fn issue_on(server: SocketAddr, stop: &AtomicBool) {
    let mut manager = Manager::connect(server);
    while !stop.load(Ordering::Relaxed) {
        manager.issue("load").expect("issued");
    }
}
