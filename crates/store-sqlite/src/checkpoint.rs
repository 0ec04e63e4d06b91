//! Checkpoints: pages move from SQLite's log into the database without stalling the writer.
//!
//! 1. The writer tells how long the log is; every [`PAGES_A_PASS`] pages it wakes the checkpointer.
//! 2. The checkpointer, a thread with a connection of its own, moves pages while the writer goes on. It repeats until
//!    a pass leaves few.
//! 3. Under continuous writing a few pages are always left, and the log would never begin anew. So the writer moves
//!    the last few itself, between two commits, and its next commit begins at the start of the log.
//! 4. Readers can keep that from happening. When the log has grown long, the writer waits for them, a quarter of a
//!    second at most.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::Connection;

use crate::connection::{self, Database};

/// The checkpointer is woken when the log has grown by so many pages (of 4 kB).
const PAGES_A_PASS: u64 = 2_000;
/// So few pages the writer moves itself.
const FEW_PAGES: u64 = 500;
/// Passes without getting down to a few before the checkpointer leaves it for the next time.
const MOST_PASSES: u32 = 4;
/// From so many pages (64 MB) on the writer waits for readers.
const LONG_LOG: u64 = 16_384;
/// After a failure.
const PAUSE: Duration = Duration::from_secs(1);

/// Keeps the writer and the checkpointer in step.
pub(crate) struct Pacer {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    /// Pages of the log when the checkpointer was last woken, or since when the log is short again.
    woken_at: u64,
    /// Pages of the log at which the writer waits for readers.
    wait_at: u64,
    wanted: bool,
    /// The checkpointer has left only a few pages.
    few_left: bool,
    closed: bool,
}

impl Pacer {
    pub(crate) fn new() -> Self {
        let state = State { wait_at: LONG_LOG, ..State::default() };
        Self { state: Mutex::new(state), wake: Condvar::new() }
    }

    /// Called by the writer between two transactions, with the length of the log.
    pub(crate) fn after_commit(&self, connection: &Connection, pages: u64) -> rusqlite::Result<()> {
        let mut state = self.lock();
        if pages < state.woken_at {
            // The log has begun anew.
            *state = State { wait_at: LONG_LOG, closed: state.closed, ..State::default() };
        }
        if std::mem::take(&mut state.few_left) {
            drop(state);
            connection::checkpoint(connection)?;
        } else if pages >= state.wait_at {
            state.wait_at = pages + PAGES_A_PASS;
            drop(state);
            connection::checkpoint_waiting(connection)?;
        } else if pages >= state.woken_at + PAGES_A_PASS && !state.wanted {
            state.woken_at = pages;
            state.wanted = true;
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Ends the checkpointer.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.wake.notify_one();
    }

    /// The checkpointer: works until it is closed, then empties the log.
    pub(crate) fn run(&self, database: &Database) {
        while self.wait() {
            if let Err(error) = self.work(database) {
                tracing::warn!(%error, "a checkpoint failed; the log grows until one does not");
                self.rest();
            }
        }
        let emptied = database.connect_checkpointer().and_then(|c| connection::checkpoint_to_nothing(&c));
        if let Err(error) = emptied {
            tracing::warn!(%error, "the log was not emptied; the next start does it");
        }
    }

    /// Waits until it is woken; `false` at the end.
    fn wait(&self) -> bool {
        let state = self.lock();
        let asleep = |state: &mut State| !state.wanted && !state.closed;
        let mut state = self.wake.wait_while(state, asleep).unwrap_or_else(PoisonError::into_inner);
        state.wanted = false;
        !state.closed
    }

    /// Passes until few pages are left.
    fn work(&self, database: &Database) -> rusqlite::Result<()> {
        let connection = database.connect_checkpointer()?;
        for _ in 0..MOST_PASSES {
            let moved = connection::checkpoint(&connection)?.moved;
            // The writer went on meanwhile.
            if database.counters.wal_pages().saturating_sub(moved) <= FEW_PAGES {
                self.lock().few_left = true;
                break;
            }
        }
        Ok(())
    }

    fn rest(&self) {
        let open = |state: &mut State| !state.closed;
        drop(self.wake.wait_timeout_while(self.lock(), PAUSE, open));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
