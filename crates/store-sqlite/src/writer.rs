//! The one writer: a thread that owns the only writing connection and makes many changes durable with one commit.
//!
//! The order is the promise: COMMIT (which waits for the disk), then the sink, then the answers. So nobody hears of a
//! change that could be lost, and nobody who has heard of it finds a door that has not.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use countersign_domain::change::{Change, FactChange};
use countersign_domain::stats::Counters;
use countersign_domain::store::{ChangeSink, Revision, StoreError};
use rusqlite::Connection;

use crate::answers::{Callers, Reply};
use crate::batch::{Apart, Applied, Batch, Fault};
use crate::checkpoint::Pacer;
use crate::chore::Chore;
use crate::connection::{self, Database};
use crate::failure::{Failure, unavailable};
use crate::load;
use crate::queue::{Gathering, Queue, Work};

/// Most changes of a commit. More would make each wait longer and save little: a commit's fixed cost is already
/// divided by this number.
const MOST_CHANGES: usize = 256;
/// Nobody waits for more changes than this: the fixed cost of a commit is then a small part of each, and whoever comes
/// later has its request read while the disk works.
const WORTH_WAITING_FOR: usize = 32;
/// Longest wait for clients that are expected back.
const LONGEST_GATHERING: Duration = Duration::from_millis(2);
/// Between attempts to learn what became of a commit.
const SETTLING_PAUSE: Duration = Duration::from_millis(50);
/// After so many attempts the callers are told that nobody knows.
const SETTLING_ATTEMPTS: u32 = 40;
/// Every so many attempts the log says that there is still no answer: each 10 s.
const SETTLING_ATTEMPTS_A_LINE: u32 = 200;

/// A change on its way to the writer.
pub(crate) struct Write {
    pub(crate) change: Change,
    pub(crate) reply: Reply,
}

/// The way to the writer.
pub(crate) type WriteQueue = Queue<Write, Chore>;

/// The writer's side of the store.
pub(crate) struct Writer {
    database: Arc<Database>,
    /// `None` after a failure: the next work opens it again, so that a disk that has space again needs no restart.
    connection: Option<Connection>,
    queue: Arc<WriteQueue>,
    sink: Arc<dyn ChangeSink>,
    counters: Arc<Counters>,
    pacer: Arc<Pacer>,
    /// Of the last commit.
    revision: Revision,
    /// Whether the last attempt to write went well.
    healthy: bool,
    gathering: Gathering,
}

impl Writer {
    /// A writer on an open connection, after the given revision.
    pub(crate) fn new(
        database: Arc<Database>,
        connection: Connection,
        revision: Revision,
        queue: Arc<WriteQueue>,
        sink: Arc<dyn ChangeSink>,
        counters: Arc<Counters>,
        pacer: Arc<Pacer>,
    ) -> Self {
        let gathering = Gathering { most: MOST_CHANGES, expected: 1, patience: Duration::ZERO };
        let connection = Some(connection);
        Self { database, connection, queue, sink, counters, pacer, revision, healthy: true, gathering }
    }

    /// Works until the queue is closed and empty.
    pub(crate) fn run(mut self) {
        let _end = CloseAtEnd(Arc::clone(&self.queue));
        loop {
            match self.queue.next(self.gathering) {
                Work::Batch(writes) => self.write(writes),
                Work::Chore(chore) => chore.run(&mut self),
                Work::Nothing => return,
            }
            self.pace_checkpoints();
        }
    }

    /// One commit.
    fn write(&mut self, writes: Vec<Write>) {
        let started = Instant::now();
        let (changes, replies): (Vec<_>, Vec<_>) = writes.into_iter().map(|w| (w.change, w.reply)).unzip();
        let mut callers = Callers::new(replies);
        let results = match self.commit(&changes, &mut callers) {
            Ok(results) => results,
            Err(error) => {
                self.note_failure(&error);
                return callers.refuse(&error);
            }
        };
        self.note_commit(&results, started.elapsed());
        for (change, result) in changes.iter().zip(&results) {
            if let Ok(revision) = result {
                self.sink.publish(*revision, change.mutation.fact_changes());
            }
        }
        callers.answer(results);
    }

    /// Makes the accepted ones of these changes durable; gives what became of each. `Err`: nothing of them is there, or
    /// the callers were told that nobody knows.
    fn commit(&mut self, changes: &[Change], callers: &mut Callers) -> rusqlite::Result<Vec<Applied>> {
        match self.attempt(changes, Apart::ByChecks, callers)? {
            Some(results) => Ok(results),
            None => Ok(self.attempt(changes, Apart::BySavepoints, callers)?.unwrap_or_default()),
        }
    }

    /// `None`: one of the changes spoiled all, and nothing of them is there.
    fn attempt(
        &mut self,
        changes: &[Change],
        apart: Apart,
        callers: &mut Callers,
    ) -> rusqlite::Result<Option<Vec<Applied>>> {
        let connection = self.database.reconnect(&mut self.connection)?;
        let mut batch = Batch::begin(connection, self.revision, apart)?;
        let results = changes.iter().map(|change| batch.apply(change)).collect::<rusqlite::Result<_>>()?;
        if batch.is_spoiled() {
            return Ok(None);
        }
        let committed = batch.commit();
        self.conclude(committed, callers)?;
        Ok(Some(results))
    }

    /// Background work in a transaction of its own. `work` gives its answer and what it means for the doors; work
    /// that means something for them takes a revision.
    pub(crate) fn write_chore<T>(
        &mut self,
        work: impl FnOnce(&mut Batch<'_>) -> Result<(T, Vec<FactChange>), Failure>,
    ) -> Result<T, StoreError> {
        let result = self.try_chore(work);
        if let Err(Failure::Sqlite(error)) = &result {
            self.note_failure(error);
        }
        Ok(result?)
    }

    /// As [`Writer::write_chore`], for work that a power cut may undo: it does not wait for the disk, which has enough to
    /// do with what must be durable.
    pub(crate) fn write_lazily<T>(
        &mut self,
        work: impl FnOnce(&mut Batch<'_>) -> Result<(T, Vec<FactChange>), Failure>,
    ) -> Result<T, StoreError> {
        let was_healthy = self.healthy;
        let connection = self.database.reconnect(&mut self.connection).map_err(unavailable)?;
        connection::do_not_wait_for_disk(connection).map_err(unavailable)?;
        let result = self.write_chore(work);
        // A connection that may still not wait is let go: a new one waits from the beginning.
        let waits = self.connection.as_ref().map(connection::wait_for_disk);
        if matches!(waits, Some(Err(_))) {
            self.connection = None;
        }
        // A commit that did not ask the disk says nothing of it.
        self.healthy &= was_healthy;
        result
    }

    fn try_chore<T>(
        &mut self,
        work: impl FnOnce(&mut Batch<'_>) -> Result<(T, Vec<FactChange>), Failure>,
    ) -> Result<T, Failure> {
        let connection = self.database.reconnect(&mut self.connection)?;
        let mut batch = Batch::begin(connection, self.revision, Apart::ByChecks)?;
        let (answer, facts) = work(&mut batch)?;
        let committed = batch.commit();
        self.conclude(committed, &mut Callers::new(Vec::new()))?;
        self.healthy = true;
        if !facts.is_empty() {
            self.sink.publish(self.revision, facts);
        }
        Ok(answer)
    }

    /// The end of a transaction. `Ok`: it is durable. `Err`: nothing of it is there.
    fn conclude(
        &mut self,
        committed: Result<Revision, Fault>,
        callers: &mut Callers,
    ) -> rusqlite::Result<()> {
        let (error, last) = match committed {
            Ok(last) => {
                self.revision = last;
                return Ok(());
            }
            Err(Fault::BeforeCommit(error)) => return Err(error),
            Err(Fault::FromCommit { error, last }) => (error, last),
        };
        if last == self.revision || !self.is_durable(last, &error, callers) {
            return Err(error);
        }
        self.revision = last;
        Ok(())
    }

    /// Finds out whether a transaction whose commit failed is there after all: whether its last revision is.
    ///
    /// To see it is not enough. SQLite may have written all of it to its log and then failed to make the log durable,
    /// and what the system failed to write once it may never write again. So everything that can be seen is first
    /// moved out of the log into the database and made durable there.
    fn is_durable(&mut self, last: Revision, error: &rusqlite::Error, callers: &mut Callers) -> bool {
        tracing::error!(%error, revision = %last, "a commit failed; finding out what became of it");
        for attempt in 1.. {
            self.connection = None;
            match self.reread() {
                Ok(revision) => return revision >= last,
                Err(_) if self.queue.is_closed() => break,
                Err(error) if attempt % SETTLING_ATTEMPTS_A_LINE == 1 => {
                    tracing::error!(error = %StoreError::from(error), "cannot find out yet");
                }
                Err(_) => {}
            }
            if attempt >= SETTLING_ATTEMPTS {
                // Nobody shall wait for a disk that does not come back.
                callers.leave_in_doubt(error);
                self.queue.clear();
            }
            thread::sleep(SETTLING_PAUSE);
        }
        callers.leave_in_doubt(error);
        false
    }

    fn reread(&mut self) -> Result<Revision, Failure> {
        let connection = self.database.reconnect(&mut self.connection)?;
        connection::checkpoint_to_nothing(connection)?;
        connection::last_revision(connection)
    }

    /// Whether it can write: what the last attempt said, or a new one when that failed.
    pub(crate) fn check(&mut self) -> Result<(), StoreError> {
        if self.healthy {
            return Ok(());
        }
        self.write_chore(|batch| Ok((batch.probe()?, Vec::new())))
    }

    /// Gives every fact to `visit`. Nothing is written meanwhile, since the writer is busy with this.
    pub(crate) fn load_facts(&mut self, visit: &mut dyn FnMut(FactChange)) -> Result<Revision, StoreError> {
        let connection = self.database.reconnect(&mut self.connection).map_err(unavailable)?;
        load::facts(connection, visit)?;
        Ok(self.revision)
    }

    fn note_commit(&mut self, results: &[Applied], took: Duration) {
        let accepted = results.iter().filter(|result| result.is_ok()).count();
        if accepted > 0 {
            self.counters.committed(accepted, took);
            self.healthy = true;
        }
        // As many as last time are likely to come back; a little less when fewer came, since some may have been late.
        let fewer = self.gathering.expected - self.gathering.expected.div_ceil(8);
        self.gathering.expected = results.len().max(fewer).min(WORTH_WAITING_FOR);
        self.gathering.patience = took.min(LONGEST_GATHERING);
    }

    fn note_failure(&mut self, error: &rusqlite::Error) {
        tracing::error!(%error, "cannot write");
        self.counters.failed();
        self.healthy = false;
        self.connection = None;
    }

    fn pace_checkpoints(&mut self) {
        let Some(connection) = &self.connection else { return };
        if let Err(error) = self.pacer.after_commit(connection, self.counters.wal_pages()) {
            tracing::warn!(%error, "a checkpoint failed; the log grows until one does not");
        }
    }
}

/// Closes the queue when the writer ends, also by a panic, so that nobody waits for it.
struct CloseAtEnd(Arc<WriteQueue>);

impl Drop for CloseAtEnd {
    fn drop(&mut self) {
        self.0.close();
        self.0.clear();
    }
}
