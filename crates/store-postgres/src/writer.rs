//! The lane of a node: everything it writes, one transaction after the other. Changes that arrive together share one.

use std::sync::{Arc, Weak};
use std::time::Duration;

use countersign_domain::change::{Change, FactChange};
use countersign_domain::error::causes;
use countersign_domain::store::{ChangeSink, Revision, StoreError};
use deadpool_postgres::{Object, Pool, Transaction};
use tokio::sync::{Mutex, MutexGuard, mpsc, oneshot};
use tokio_postgres::IsolationLevel;

use crate::apply;
use crate::audit;
use crate::batch;
use crate::failure::{Failure, concerns_one_statement, is_duplicate, is_lost_race, unavailable};
use crate::feed::{self, Cursor};
use crate::pool;
use crate::session::{Tx, find};
use crate::sql;

/// Most changes of a transaction.
const MOST_CHANGES: usize = 64;
/// How often a transaction that lost against another one is tried again.
const RACES: u32 = 5;
/// How often, and with which pauses, it is asked what became of a commit whose connection broke.
const INQUIRIES: u32 = 20;
const BETWEEN_INQUIRIES: Duration = Duration::from_millis(250);
/// How long a node waits before it looks again what others have changed.
const BETWEEN_POLLS: Duration = Duration::from_millis(250);

/// A change and where its answer goes.
pub(crate) struct Write {
    pub(crate) change: Change,
    pub(crate) reply: oneshot::Sender<Applied>,
}

/// What became of a change.
pub(crate) type Applied = Result<Revision, StoreError>;

/// How each change of a transaction is kept apart from the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Apart {
    /// Not at all: see [`batch::write_together`].
    ByChecks,
    /// By a savepoint each: see [`batch::write_apart`].
    BySavepoints,
}

/// One transaction at a time.
pub(crate) struct Lane {
    pool: Pool,
    sink: Arc<dyn ChangeSink>,
    /// Where the node stands in the feed; `None` before everything was loaded. Held from the first statement of a
    /// transaction until what it means was published: so that is in the order of revisions, and what the feed says is
    /// never older than what was published before.
    turn: Mutex<Option<Cursor>>,
}

impl Lane {
    pub(crate) fn new(pool: Pool, sink: Arc<dyn ChangeSink>) -> Self {
        Self { pool, sink, turn: Mutex::new(None) }
    }

    /// Writes what comes, until nobody is left who could send something.
    pub(crate) async fn run(self: Arc<Self>, mut writes: mpsc::Receiver<Write>) {
        let mut batch = Vec::with_capacity(MOST_CHANGES);
        while writes.recv_many(&mut batch, MOST_CHANGES).await > 0 {
            self.write(std::mem::take(&mut batch)).await;
        }
    }

    async fn write(&self, writes: Vec<Write>) {
        let (changes, replies): (Vec<_>, Vec<_>) =
            writes.into_iter().map(|write| (write.change, write.reply)).unzip();
        let _turn = self.turn.lock().await;
        let results = match self.commit(&changes).await {
            Ok(results) => results,
            Err(failure) => {
                let why = causes(&StoreError::from(failure));
                tracing::error!(error = %why, "changes were not written");
                changes.iter().map(|_| Err(unavailable(why.clone()))).collect()
            }
        };
        for (change, result) in changes.iter().zip(&results) {
            if let Ok(revision) = result {
                self.sink.publish(*revision, change.mutation.fact_changes());
            }
        }
        for (reply, result) in replies.into_iter().zip(results) {
            // Whoever asked may have gone away.
            let _ = reply.send(result);
        }
    }

    /// Makes the accepted ones of these changes durable; gives what became of each. `Err`: nothing of them is there.
    async fn commit(&self, changes: &[Change]) -> Result<Vec<Applied>, Failure> {
        let mut apart = Apart::ByChecks;
        for _ in 0..RACES {
            match self.attempt(changes, apart).await {
                Ok(Some(results)) => return Ok(results),
                // One of the changes spoiled all.
                Ok(None) => apart = Apart::BySavepoints,
                Err(Failure::Postgres(error)) if is_lost_race(&error) => {}
                Err(Failure::Postgres(error))
                    if concerns_one_statement(&error) && apart == Apart::ByChecks =>
                {
                    apart = Apart::BySavepoints;
                }
                Err(error) => return Err(error),
            }
        }
        Err(unavailable("other transactions were always first").into())
    }

    /// `None`: one of the changes spoiled all, and nothing of them is there.
    async fn attempt(&self, changes: &[Change], apart: Apart) -> Result<Option<Vec<Applied>>, Failure> {
        let mut client = self.client().await?;
        let tx = Tx::new(client.transaction().await?);
        let results = match apart {
            Apart::ByChecks => batch::write_together(&tx, changes).await?,
            Apart::BySavepoints => Some(batch::write_apart(&tx, changes).await?),
        };
        let Some(results) = results else {
            tx.rollback().await?;
            return Ok(None);
        };
        let Err(error) = tx.commit().await else { return Ok(Some(results)) };
        if error.code().is_some() {
            // An answer: it was not committed.
            return Err(error.into());
        }
        // The connection broke: nothing is known yet.
        self.find_out(changes, results, &error).await.map(Some)
    }

    /// What became of a transaction whose commit was not answered: all of its changes are there, or none.
    async fn find_out(
        &self,
        changes: &[Change],
        results: Vec<Applied>,
        error: &tokio_postgres::Error,
    ) -> Result<Vec<Applied>, Failure> {
        let accepted = changes.iter().zip(&results).find(|(_, result)| result.is_ok());
        let Some((change, _)) = accepted else { return Ok(results) };
        tracing::error!(error = %causes(error), "a commit was not answered; finding out what became of it");
        for _ in 0..INQUIRIES {
            tokio::time::sleep(BETWEEN_INQUIRIES).await;
            match self.has(change).await {
                Ok(true) => return Ok(results),
                Ok(false) => return Err(unavailable("the connection broke before the commit").into()),
                Err(error) => tracing::error!(error = %StoreError::from(error), "cannot find out yet"),
            }
        }
        Ok(results.into_iter().map(|result| result.and_then(|_| Err(in_doubt()))).collect())
    }

    /// Whether the change is there. It is written once more, in a transaction that is undone: the database lets one of
    /// both have its id, and makes this one wait for the other while that is still being committed.
    async fn has(&self, change: &Change) -> Result<bool, Failure> {
        let mut client = self.client().await?;
        let tx = Tx::new(client.transaction().await?);
        let revision = apply::next_revision(&tx).await?;
        match audit::insert(&tx, &[(revision, &change.audit)]).await {
            Ok(()) => Ok(false),
            Err(Failure::Postgres(error)) if is_duplicate(&error) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// For work that is no change, in a transaction of its own.
    pub(crate) async fn take_turn(&self) -> Result<Turn<'_>, Failure> {
        Ok(Turn { _turn: self.turn.lock().await, client: self.client().await? })
    }

    /// Makes such work durable, and publishes what it means for the doors.
    pub(crate) async fn finish(&self, tx: Tx<'_>, facts: Vec<FactChange>) -> Result<(), Failure> {
        if facts.is_empty() {
            return Ok(tx.commit().await?);
        }
        let revision = apply::next_revision(&tx).await?;
        feed::leave(&tx, &facts).await?;
        tx.commit().await?;
        self.sink.publish(revision, facts);
        Ok(())
    }

    /// Publishes what other nodes have changed since the last time, and what this one has, once more. Does nothing before
    /// everything was loaded.
    pub(crate) async fn follow(&self) -> Result<(), Failure> {
        let mut turn = self.turn.lock().await;
        let Some(cursor) = turn.as_mut() else { return Ok(()) };
        let mut client = self.client().await?;
        let moment = one_moment(&mut client).await?;
        let (now, changes) = feed::read_since(&moment, cursor).await?;
        if !changes.is_empty() {
            let revision = find(&moment, sql::LAST_REVISION, &[], apply::read_revision).await?;
            self.sink.publish(revision.unwrap_or(Revision(0)), changes);
        }
        *cursor = now;
        Ok(())
    }

    /// Follows until the store is gone.
    pub(crate) async fn keep_following(lane: Weak<Self>) {
        loop {
            tokio::time::sleep(BETWEEN_POLLS).await;
            let Some(lane) = lane.upgrade() else { return };
            if let Err(failure) = lane.follow().await {
                tracing::error!(error = %causes(&StoreError::from(failure)), "what other nodes change is not known");
            }
        }
    }

    pub(crate) async fn client(&self) -> Result<Object, Failure> {
        Ok(pool::lend(&self.pool).await?)
    }

    /// Nobody of this node writes meanwhile.
    pub(crate) async fn rest(&self) -> MutexGuard<'_, Option<Cursor>> {
        self.turn.lock().await
    }
}

/// Nobody else of this node writes meanwhile.
pub(crate) struct Turn<'l> {
    _turn: MutexGuard<'l, Option<Cursor>>,
    client: Object,
}

impl Turn<'_> {
    pub(crate) async fn begin(&mut self) -> Result<Tx<'_>, Failure> {
        Ok(Tx::new(self.client.transaction().await?))
    }
}

/// A transaction that sees one moment. It only reads, so that it makes no difference how it ends.
pub(crate) async fn one_moment(client: &mut Object) -> Result<Transaction<'_>, Failure> {
    let transaction =
        client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true);
    Ok(transaction.start().await?)
}

fn in_doubt() -> StoreError {
    StoreError::InDoubt("the commit was not answered, and the database cannot be asked".into())
}
