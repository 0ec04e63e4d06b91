//! Many changes in one transaction, each in a savepoint of its own.

use countersign_domain::change::{Change, Guard, Mutation};
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

/// An open transaction. Dropped without a commit it is rolled back.
pub(crate) struct Batch<'c> {
    connection: &'c Connection,
    first: Revision,
    last: Revision,
    tally: Tally,
    /// The guard that was last found to hold. Most changes of a batch are of one caller.
    good_guard: Option<Guard>,
}

impl<'c> Batch<'c> {
    /// Opens a transaction whose changes come after revision `last`.
    pub(crate) fn begin(connection: &'c Connection, last: Revision) -> rusqlite::Result<Self> {
        run(connection, sql::BEGIN_WRITE, [])?;
        Ok(Self { connection, first: last, last, tally: Tally::default(), good_guard: None })
    }

    /// Applies a change, or leaves the transaction as it was. An `Err` of the outer kind ends the transaction.
    pub(crate) fn apply(&mut self, change: &Change) -> rusqlite::Result<Applied> {
        run(self.connection, sql::SAVEPOINT, [])?;
        let refusal = match self.write(change) {
            Ok(shifts) => {
                run(self.connection, sql::RELEASE, [])?;
                self.accept(change, shifts);
                return Ok(Ok(self.last));
            }
            Err(Failure::Refused(refusal)) => refusal,
            Err(Failure::Sqlite(error)) if concerns_one_statement(&error) => {
                tracing::error!(%error, change = %change.audit.id, "a change cannot be written");
                unavailable(error)
            }
            Err(Failure::Sqlite(error)) => return Err(error),
        };
        run(self.connection, sql::ROLLBACK_TO, [])?;
        run(self.connection, sql::RELEASE, [])?;
        Ok(Err(refusal))
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
        match &change.mutation {
            Mutation::IssueServiceToken { .. }
            | Mutation::ReplaceServiceToken { .. }
            | Mutation::RevokeServiceToken { .. }
            | Mutation::IssueAccessToken { .. } => {}
            // An access token ended or an account came: what was known of them may be so no longer.
            Mutation::CreateAccount(_)
            | Mutation::RevokeAccessToken { .. }
            | Mutation::SetRootToken { .. } => {
                self.good_guard = None;
                self.tally.forget_stored();
            }
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
