//! Following what other nodes change, and knowing for how long what is known is true.
//!
//! Often it is only *looked*, when another node has told that there is something. Four times a second the lease is
//! *renewed*: the node's row is written and committed, which a primary cannot do that was cut off from its synchronous
//! standby, and which may so be one that was replaced without knowing it.

use std::sync::Arc;
use std::time::Duration;

use countersign_domain::change::FactChange;
use countersign_domain::following::{Cursor, Lost, Moment, Place};
use countersign_domain::lease::{Freshness, Lease};
use countersign_domain::publisher::Publisher;
use countersign_domain::store::{Revision, StoreError};
use countersign_domain::time::{Timestamp, Uptime};
use deadpool_postgres::{GenericClient, Object, Pool, Transaction};
use futures_util::future::try_join3;
use tokio::sync::{Mutex, Notify};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_postgres::{IsolationLevel, Row};
use uuid::Uuid;

use crate::apply::read_revision;
use crate::clock::DatabaseClock;
use crate::failure::{Failure, is_lost_race, unavailable};
use crate::feed;
use crate::row::Cells;
use crate::session::{find, run, wait_for_the_standby};
use crate::trouble::Trouble;
use crate::{load, pool, sql};

/// How often the lease is renewed.
const BETWEEN_RENEWALS: Duration = Duration::from_millis(250);
/// At least so long from one look to the next: what many nodes tell at once is looked at once.
const BETWEEN_LOOKS: Duration = Duration::from_millis(2);
/// Longest time for one renewal or look.
const PATIENCE: Duration = Lease::TERM;

/// Follows the feed for one node.
pub(crate) struct Follower {
    /// Connections that requests cannot take away.
    pool: Pool,
    publisher: Arc<Publisher>,
    lease: Arc<Lease>,
    clock: Arc<DatabaseClock>,
    uptime: Arc<dyn Uptime>,
    /// Where the node stands; `None` before everything was loaded. Held while following.
    standing: Mutex<Option<Standing>>,
}

/// A node that knows everything of some moment.
struct Standing {
    /// Or why there is none, until everything was read afresh: after a reading that failed halfway, the node is known to the
    /// database again, but what it had not seen may be there no longer.
    place: Result<Place, Lost>,
    /// The node's row.
    node: Uuid,
}

impl Follower {
    pub(crate) fn new(
        pool: Pool,
        publisher: Arc<Publisher>,
        lease: Arc<Lease>,
        clock: Arc<DatabaseClock>,
        uptime: Arc<dyn Uptime>,
    ) -> Self {
        Self { pool, publisher, lease, clock, uptime, standing: Mutex::new(None) }
    }

    /// Hears of the database's time.
    pub(crate) async fn ask_time(&self) -> Result<(), Failure> {
        let client = self.client().await?;
        self.moment(&client).await.map(|_| ())
    }

    /// Gives every fact to `visit`; from then on the node can follow.
    pub(crate) async fn load(&self, visit: &mut (dyn FnMut(FactChange) + Send)) -> Result<Revision, Failure> {
        let mut standing = self.standing.lock().await;
        let mut client = self.client().await?;
        let node = enter(&client, None).await?;
        let (loaded, moment, revision) = self.load_all(&mut client, node, visit).await?;
        self.publisher.loaded(&moment);
        *standing = Some(loaded);
        Ok(revision)
    }

    /// Publishes what other nodes have changed since the last time, and what this one has, once more; renews the lease.
    /// Does nothing before everything was loaded.
    pub(crate) async fn follow(&self) -> Result<(), Failure> {
        self.go_on(true).await
    }

    /// As [`Follower::follow`], for one who only wants to know: nothing is written, and the lease is what it was.
    async fn look(&self) -> Result<(), Failure> {
        self.go_on(false).await
    }

    async fn go_on(&self, renews: bool) -> Result<(), Failure> {
        let mut standing = self.standing.lock().await;
        let Some(standing) = standing.as_mut() else { return Ok(()) };
        let asked = self.uptime.uptime();
        let mut client = self.client().await?;
        let followed = match timeout(PATIENCE, self.follow_on(&mut client, standing, renews)).await {
            // Something else was done to the node's row. It is tried again soon.
            Ok(Err(Failure::Postgres(error))) if is_lost_race(&error) => return Ok(()),
            Ok(followed) => followed?,
            Err(_elapsed) => {
                // Nobody else should wait for its answer.
                drop(Object::take(client));
                return Err(unavailable("the database has not answered in time").into());
            }
        };
        match followed {
            Ok(()) if renews => self.lease.renew(asked),
            Ok(()) => {}
            Err(lost) => {
                standing.place = Err(lost);
                self.reload(&mut client, standing, lost).await?;
            }
        }
        Ok(())
    }

    async fn follow_on(
        &self,
        client: &mut Object,
        standing: &mut Standing,
        renews: bool,
    ) -> Result<Result<(), Lost>, Failure> {
        let place = match &standing.place {
            Ok(place) => place,
            Err(lost) => return Ok(Err(*lost)),
        };
        self.publisher.begin_reading();
        let transaction = match renews {
            true => one_moment_to_write(client).await?,
            false => one_moment(client).await?,
        };
        // All under way before the first is answered: other nodes wait to be obeyed, and each answer waits for the processor.
        let (moment, entries, revision) = try_join3(
            self.moment(&transaction),
            feed::left_since(&transaction, place.cursor()),
            find(&transaction, sql::LAST_REVISION, &[], read_revision),
        )
        .await?;
        if let Err(lost) = place.leads_to(&moment) {
            return Ok(Err(lost));
        }
        let Some(entries) = entries else { return Ok(Err(Lost::TooMuch)) };
        let changes = feed::changes(&transaction, &entries).await?;
        let look = if renews {
            // Not what it sees now: when the commit is made and its answer lost, the node goes on from where it stood.
            if !stay(&transaction, standing.node, place.cursor()).await? {
                return Ok(Err(Lost::Forgotten));
            }
            transaction.commit().await?;
            None
        } else {
            Some(transaction)
        };
        self.publisher.publish_read(revision.unwrap_or(Revision(0)), &moment, changes);
        standing.place = Ok(Place::at(moment));
        if let Some(look) = look {
            // What was only read is true however it ends.
            look.commit().await?;
        }
        Ok(Ok(()))
    }

    /// Reads everything afresh, which then takes the place of all that was known.
    async fn reload(&self, client: &mut Object, standing: &mut Standing, why: Lost) -> Result<(), Failure> {
        tracing::warn!(%why, "reading everything afresh");
        let node = enter(client, Some(standing.node)).await?;
        let mut reload = self.publisher.begin_reload();
        let (loaded, moment, revision) =
            self.load_all(client, node, &mut |change| reload.learn(change)).await?;
        self.publisher.finish_reload(&moment, reload);
        *standing = loaded;
        tracing::info!(%revision, "everything was read afresh");
        Ok(())
    }

    async fn load_all(
        &self,
        client: &mut Object,
        node: Uuid,
        visit: &mut (dyn FnMut(FactChange) + Send),
    ) -> Result<(Standing, Moment, Revision), Failure> {
        let transaction = one_moment(client).await?;
        load::take_the_time(&transaction).await?;
        let moment = self.moment(&transaction).await?;
        let place = Ok(Place::at(moment.clone()));
        let revision = load::facts(&transaction, visit).await?;
        transaction.commit().await?;
        Ok((Standing { place, node }, moment, revision))
    }

    /// Where the database is at the moment that the transaction sees.
    async fn moment(&self, client: &impl GenericClient) -> Result<Moment, Failure> {
        let statement = client.prepare_cached(sql::MOMENT).await?;
        let asked = self.uptime.uptime();
        let row = client.query_one(&statement, &[]).await?;
        let (moment, shown) = read_moment(&row)?;
        self.clock.hear(asked, shown, self.uptime.uptime());
        Ok(moment)
    }

    /// Follows until the pool is closed. `wake` is told that there may be something to look at.
    pub(crate) async fn run(self: Arc<Self>, wake: Arc<Notify>) {
        let mut trouble = Trouble::default();
        let mut renewal = Instant::now();
        while !self.pool.is_closed() {
            let done = tokio::select! {
                biased;
                () = sleep_until(renewal) => {
                    let done = self.follow().await;
                    renewal = (renewal + BETWEEN_RENEWALS).max(Instant::now());
                    done
                }
                () = wake.notified() => self.look().await,
            };
            trouble.note(done, self.freshness());
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }

    fn freshness(&self) -> Freshness {
        self.lease.freshness(self.uptime.uptime())
    }

    /// Forgets what no node needs any more: what was left in the feed, and nodes that are gone.
    pub(crate) async fn tidy(&self) -> Result<(), StoreError> {
        let mut client = self.client().await?;
        let tidied = async {
            let transaction = client.transaction().await?;
            if find(&transaction, sql::MAY_TIDY, &[], |row| Cells::of(row, "lock").plain("may")).await?
                == Some(true)
            {
                run(&transaction, sql::FORGET_NODES, &[]).await?;
                run(&transaction, sql::FORGET_CHANGES, &[]).await?;
            }
            Ok::<_, Failure>(transaction.commit().await?)
        };
        Ok(tidied.await?)
    }

    /// The node ends: nobody has to keep anything for it.
    pub(crate) async fn leave(&self) -> Result<(), Failure> {
        let Some(standing) = self.standing.lock().await.take() else { return Ok(()) };
        run(&self.client().await?, sql::LEAVE_NODES, &[&standing.node]).await?;
        Ok(())
    }

    /// Whether what this node has committed is where its own row is now: at a standby, too, when the database waits for
    /// one.
    pub(crate) async fn confirm(&self) -> Result<(), Failure> {
        let node = self.standing.lock().await.as_ref().map(|standing| standing.node);
        let mut client = self.client().await?;
        let confirmed = timeout(PATIENCE, async {
            let transaction = client.transaction().await?;
            wait_for_the_standby(&transaction).await?;
            let rows = run(&transaction, sql::CONFIRM, &[&node]).await?;
            transaction.commit().await?;
            Ok::<_, Failure>(rows)
        });
        match confirmed.await {
            Ok(Ok(1)) => Ok(()),
            Ok(Ok(_)) => Err(unavailable("the node is not known any more").into()),
            Ok(Err(failure)) => Err(failure),
            Err(_elapsed) => {
                drop(Object::take(client));
                Err(unavailable("the database has not answered in time").into())
            }
        }
    }

    async fn client(&self) -> Result<Object, Failure> {
        Ok(pool::lend(&self.pool).await?)
    }
}

/// A transaction that sees one moment. It only reads, so that it makes no difference how it ends.
pub(crate) async fn one_moment(client: &mut Object) -> Result<Transaction<'_>, Failure> {
    let transaction = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead);
    Ok(transaction.read_only(true).start().await?)
}

/// As [`one_moment`], for one who writes, too.
async fn one_moment_to_write(client: &mut Object) -> Result<Transaction<'_>, Failure> {
    let transaction =
        client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).start().await?;
    wait_for_the_standby(&transaction).await?;
    Ok(transaction)
}

/// Makes the node known before it reads: from now on nothing that it has not seen is forgotten.
async fn enter(client: &impl GenericClient, node: Option<Uuid>) -> Result<Uuid, Failure> {
    let node = find(client, sql::ENTER_NODES, &[&node], |row| Cells::of(row, "nodes").plain("id")).await?;
    Ok(node.ok_or(StoreError::NotFound)?)
}

/// Says that the node has seen everything up to the cursor; gives whether it is still known.
async fn stay(client: &impl GenericClient, node: Uuid, cursor: &Cursor) -> Result<bool, Failure> {
    Ok(run(client, sql::STAY_IN_NODES, &[&node, &cursor.oldest().to_string()]).await? > 0)
}

fn read_moment(row: &Row) -> Result<(Moment, Timestamp), Failure> {
    let mut cells = Cells::of(row, "database");
    let cursor = cells.parsed("snapshot", Cursor::of_snapshot)?;
    let (shown, history) = (cells.time("clock")?, cells.plain("history")?);
    Ok((Moment { history, cursor }, shown))
}
