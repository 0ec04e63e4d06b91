//! Many changes in one transaction, each wholly in it or not at all.

use countersign_domain::change::{Change, Guard};
use countersign_domain::store::{Revision, StoreError};
use rusqlite::Connection;

use crate::apply::{check_guard, run, signed, write};
use crate::audit;
use crate::failure::{Failure, concerns_one_statement, unavailable};
use crate::sql;
use crate::tally::{Shift, Tally};

/// Why a transaction did not end as it should.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Before COMMIT: nothing of it is there.
    BeforeCommit(rusqlite::Error),
    /// From COMMIT: all of it is there or nothing.
    FromCommit {
        error: rusqlite::Error,
        /// Its last revision.
        last: Revision,
    },
}

/// What became of a change within a transaction.
pub(crate) type Applied = Result<Revision, StoreError>;

/// How each change of a batch is kept apart from the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Apart {
    /// Not at all: a change makes its checks before it writes, so what is refused has written nothing.
    ByChecks,
    /// By a savepoint, which undoes what a change wrote before it failed. It makes SQLite copy aside every page that
    /// the change touches, a third of the work of a change, and is needed by hardly any batch.
    BySavepoints,
}

/// An open transaction. Dropped without a commit it is rolled back.
pub(crate) struct Batch<'c> {
    connection: &'c Connection,
    apart: Apart,
    first: Revision,
    last: Revision,
    tally: Tally,
    /// The guard that was last found to hold. Most changes of a batch are of one caller.
    good_guard: Option<Guard>,
    /// A part of a change that failed is written: nothing of this transaction may stay.
    is_spoiled: bool,
}

impl<'c> Batch<'c> {
    /// Opens a transaction whose changes come after revision `last`.
    pub(crate) fn begin(connection: &'c Connection, last: Revision, apart: Apart) -> rusqlite::Result<Self> {
        run(connection, sql::BEGIN_WRITE, [])?;
        let (tally, good_guard) = (Tally::default(), None);
        Ok(Self { connection, apart, first: last, last, tally, good_guard, is_spoiled: false })
    }

    /// Whether a change failed halfway, so that the batch must be tried again with [`Apart::BySavepoints`].
    pub(crate) fn is_spoiled(&self) -> bool {
        self.is_spoiled
    }

    /// Applies a change, or leaves the transaction as it was. An `Err` of the outer kind ends the transaction.
    pub(crate) fn apply(&mut self, change: &Change) -> rusqlite::Result<Applied> {
        match self.apart {
            Apart::ByChecks => {
                let before = self.connection.total_changes();
                let applied = self.try_to_write(change)?;
                self.is_spoiled |= applied.is_err() && self.connection.total_changes() != before;
                Ok(applied)
            }
            Apart::BySavepoints => {
                run(self.connection, sql::SAVEPOINT, [])?;
                let applied = self.try_to_write(change)?;
                if applied.is_err() {
                    run(self.connection, sql::ROLLBACK_TO, [])?;
                }
                run(self.connection, sql::RELEASE, [])?;
                Ok(applied)
            }
        }
    }

    fn try_to_write(&mut self, change: &Change) -> rusqlite::Result<Applied> {
        match self.write(change) {
            Ok(shifts) => {
                self.accept(change, shifts);
                Ok(Ok(self.last))
            }
            Err(Failure::Refused(refusal)) => Ok(Err(refusal)),
            Err(Failure::Sqlite(error)) if concerns_one_statement(&error) => {
                tracing::error!(%error, change = %change.audit.id, "a change cannot be written");
                Ok(Err(unavailable(error)))
            }
            Err(Failure::Sqlite(error)) => Err(error),
        }
    }

    fn write(&mut self, change: &Change) -> Result<Vec<Shift>, Failure> {
        if self.good_guard != Some(change.guard) {
            check_guard(self.connection, change.guard)?;
            self.good_guard = Some(change.guard);
        }
        write(self.connection, change, self.next_revision(), &mut self.tally)
    }

    fn accept(&mut self, change: &Change, shifts: Vec<Shift>) {
        self.last = self.next_revision();
        for shift in shifts {
            self.tally.add(shift);
        }
        if change.mutation.touches_guards() {
            self.good_guard = None;
            self.tally.forget_stored();
        }
    }

    /// The connection, for work that is no change.
    pub(crate) fn connection(&self) -> &'c Connection {
        self.connection
    }

    /// Takes a revision for work that is no change but means something for the doors: that access tokens are gone.
    pub(crate) fn sweep(&mut self, shifts: Vec<Shift>) -> rusqlite::Result<()> {
        self.last = self.next_revision();
        for shift in shifts {
            self.tally.add(shift);
        }
        run(self.connection, sql::SET_SWEEP_REVISION, [signed(self.last.0)]).map(|_| ())
    }

    /// Writes as a change does, without changing anything.
    pub(crate) fn probe(&self) -> rusqlite::Result<()> {
        run(self.connection, sql::PROBE, []).map(|_| ())
    }

    fn next_revision(&self) -> Revision {
        Revision(self.last.0 + 1)
    }

    /// Makes everything accepted durable; gives the last revision.
    pub(crate) fn commit(mut self) -> Result<Revision, Fault> {
        self.finish().map_err(Fault::BeforeCommit)?;
        match run(self.connection, sql::COMMIT, []) {
            Ok(_) => Ok(self.last),
            Err(error) => Err(Fault::FromCommit { error, last: self.last }),
        }
    }

    fn finish(&mut self) -> rusqlite::Result<()> {
        std::mem::take(&mut self.tally)
            .enter(self.connection)
            .and_then(|()| audit::complete(self.connection, self.first, self.last))
            .map_err(Failure::into_sqlite)
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        // SQLite ends some failed transactions by itself. When it cannot be rolled back, the connection is beyond
        // use, and its next transaction says so.
        if !self.connection.is_autocommit() {
            let _ = run(self.connection, sql::ROLLBACK, []);
        }
    }
}
