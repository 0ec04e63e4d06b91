//! The lane of a node: everything it writes, one transaction after the other. Changes that arrive together share one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_domain::change::{Change, FactChange};
use countersign_domain::error::causes;
use countersign_domain::following::Transaction;
use countersign_domain::publisher::Publisher;
use countersign_domain::stats::{Counters, WriterStats};
use countersign_domain::store::{Revision, StoreError};
use deadpool_postgres::{Object, Pool};
use tokio::sync::{Mutex, MutexGuard, Notify, mpsc, oneshot};
use tokio::time::timeout;

use crate::apply;
use crate::audit;
use crate::batch;
use crate::failure::{Failure, concerns_one_statement, is_duplicate, is_lost_race, is_refusal, unavailable};
use crate::feed;
use crate::follower::Follower;
use crate::pool;
use crate::session::Tx;

/// Most changes of a transaction.
const MOST_CHANGES: usize = 64;
/// How often a transaction that lost against another one is tried again.
const RACES: u32 = 5;
/// How often, and with which pauses, it is asked what became of a commit whose connection broke.
const INQUIRIES: u32 = 20;
const BETWEEN_INQUIRIES: Duration = Duration::from_millis(250);

/// How long a commit may take before it is asked what became of it.
const COMMIT_PATIENCE: Duration = Duration::from_secs(8);

/// A change and where its answer goes.
pub(crate) struct Write {
    pub(crate) change: Change,
    pub(crate) reply: oneshot::Sender<Applied>,
}

/// What became of a change.
pub(crate) type Applied = Result<Revision, StoreError>;

/// What became of each change of a transaction, and how that is called in the feed.
type Committed = (Vec<Applied>, Option<Transaction>);

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
    publisher: Arc<Publisher>,
    /// Held from the first statement of a transaction until what it means was published, so that this is in the order of
    /// revisions.
    turn: Mutex<()>,
    follower: Arc<Follower>,
    announcer: Arc<Notify>,
    counters: Counters,
}

impl Lane {
    pub(crate) fn new(
        pool: Pool,
        publisher: Arc<Publisher>,
        follower: Arc<Follower>,
        announcer: Arc<Notify>,
    ) -> Self {
        let (turn, counters) = (Mutex::default(), Counters::default());
        Self { pool, publisher, turn, follower, announcer, counters }
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
        let began = Instant::now();
        let (results, transaction) = match self.commit(&changes).await {
            Ok(committed) => committed,
            Err(failure) => {
                self.counters.failed();
                let why = causes(&StoreError::from(failure));
                tracing::error!(error = %why, "changes were not written");
                (changes.iter().map(|_| Err(unavailable(why.clone()))).collect(), None)
            }
        };
        for (change, result) in changes.iter().zip(&results) {
            if let Ok(revision) = result {
                self.publish(*revision, transaction.as_ref(), change.mutation.fact_changes());
            }
        }
        let accepted = results.iter().filter(|result| result.is_ok()).count();
        if accepted > 0 {
            self.counters.committed(accepted, began.elapsed());
        }
        for (reply, result) in replies.into_iter().zip(results) {
            // Whoever asked may have gone away.
            let _ = reply.send(result);
        }
    }

    /// Makes the accepted ones of these changes durable; gives what became of each, and in which transaction. `Err`: nothing
    /// of them is there.
    async fn commit(&self, changes: &[Change]) -> Result<Committed, Failure> {
        let mut apart = Apart::ByChecks;
        for _ in 0..RACES {
            match self.attempt(changes, apart).await {
                Ok(Some(committed)) => return Ok(committed),
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
    async fn attempt(&self, changes: &[Change], apart: Apart) -> Result<Option<Committed>, Failure> {
        let mut client = self.client().await?;
        let Some((tx, results)) = write_all(&mut client, changes, apart).await? else { return Ok(None) };
        let name = tx.name();
        let Err(why) = commit(tx).await? else { return Ok(Some((results, name))) };
        // Nobody else should wait for its answer.
        drop(Object::take(client));
        Ok(Some((self.find_out(changes, results, &why).await?, name)))
    }

    /// What became of a transaction whose commit was not answered: all of its changes are there, or none.
    async fn find_out(
        &self,
        changes: &[Change],
        results: Vec<Applied>,
        why: &str,
    ) -> Result<Vec<Applied>, Failure> {
        let accepted = changes.iter().zip(&results).find(|(_, result)| result.is_ok());
        let Some((change, _)) = accepted else { return Ok(results) };
        tracing::error!(why, "a commit was not answered; finding out what became of it");
        for _ in 0..INQUIRIES {
            tokio::time::sleep(BETWEEN_INQUIRIES).await;
            match self.has(change).await {
                Ok(true) => {
                    // It is there; but is it also where the database would wait for it to be?
                    match self.follower.confirm().await {
                        Ok(()) => return Ok(results),
                        Err(error) => {
                            tracing::error!(error = %StoreError::from(error), "cannot find out yet")
                        }
                    }
                }
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
        let name = tx.name();
        tx.commit().await?;
        self.publish(revision, name.as_ref(), facts);
        Ok(())
    }

    /// Tells the doors, and then the other nodes.
    fn publish(&self, revision: Revision, transaction: Option<&Transaction>, facts: Vec<FactChange>) {
        if !facts.is_empty() {
            self.publisher.publish_own(revision, transaction, facts);
            self.announcer.notify_one();
        }
    }

    /// What was done until now, with so many changes that wait.
    pub(crate) fn stats(&self, queued: usize) -> WriterStats {
        self.counters.read(queued)
    }

    pub(crate) async fn client(&self) -> Result<Object, Failure> {
        Ok(pool::lend(&self.pool).await?)
    }
}

/// Nobody else of this node writes meanwhile.
pub(crate) struct Turn<'l> {
    _turn: MutexGuard<'l, ()>,
    client: Object,
}

impl Turn<'_> {
    pub(crate) async fn begin(&mut self) -> Result<Tx<'_>, Failure> {
        Ok(Tx::new(self.client.transaction().await?))
    }
}

/// Writes the accepted ones of these changes; gives what is to be committed and what became of each, or `None` when one
/// of them spoiled all.
async fn write_all<'c>(
    client: &'c mut Object,
    changes: &[Change],
    apart: Apart,
) -> Result<Option<(Tx<'c>, Vec<Applied>)>, Failure> {
    let tx = Tx::new(client.transaction().await?);
    let results = match apart {
        Apart::ByChecks => batch::write_together(&tx, changes).await?,
        Apart::BySavepoints => Some(batch::write_apart(&tx, changes).await?),
    };
    match results {
        Some(results) => Ok(Some((tx, results))),
        None => {
            tx.rollback().await?;
            Ok(None)
        }
    }
}

/// Commits. An `Err` of the outer kind: it was not committed; of the inner kind: nobody knows, and why.
async fn commit(tx: Tx<'_>) -> Result<Result<(), String>, Failure> {
    match timeout(COMMIT_PATIENCE, tx.commit()).await {
        Ok(Ok(())) => Ok(Ok(())),
        Ok(Err(error)) if is_refusal(&error) => Err(error.into()),
        Ok(Err(error)) => Ok(Err(causes(&error))),
        Err(_elapsed) => Ok(Err("it took too long".to_owned())),
    }
}

fn in_doubt() -> StoreError {
    StoreError::InDoubt("the commit was not answered, and the database cannot be asked".into())
}
