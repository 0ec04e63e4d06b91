//! Nodes tell each other that there is something to look at. A poll is the truth; this only makes it come sooner.
//!
//! `NOTIFY` takes a lock of the whole cluster until its transaction is over. So it is never part of a transaction that
//! carries a change: one task of a node sends it afterwards, once for all that was committed meanwhile.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use countersign_domain::error::causes;
use deadpool_postgres::Pool;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::connect::Connector;
use crate::failure::Failure;
use crate::pool;
use crate::session::run;
use crate::sql;

/// How long to wait before it is listened again.
const BETWEEN_TRIES: Duration = Duration::from_secs(1);

/// Hears what nodes tell each other, in whichever session.
#[derive(Default)]
pub(crate) struct Ears {
    /// What this node is called.
    me: OnceLock<String>,
    /// Told that another node has something.
    wake: Arc<Notify>,
}

impl Ears {
    /// From now on what is told in this name is not heard.
    pub(crate) fn know_myself(&self, me: Uuid) {
        self.me.get_or_init(|| me.to_string());
    }

    pub(crate) fn hear(&self, who: &str) {
        if self.me.get().is_none_or(|me| me != who) {
            self.wake.notify_one();
        }
    }

    /// What is told.
    pub(crate) fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }
}

/// Tells the others, until the pool is closed. `committed` is told that there is something.
pub(crate) async fn announce(pool: Pool, me: Uuid, committed: Arc<Notify>) {
    while !pool.is_closed() {
        committed.notified().await;
        if let Err(failure) = tell(&pool, me).await {
            // They look by themselves soon enough.
            tracing::debug!(?failure, "other nodes were not told");
        }
    }
}

async fn tell(pool: &Pool, me: Uuid) -> Result<(), Failure> {
    let client = pool::lend(pool).await?;
    run(&client, sql::ANNOUNCE, &[&me.to_string()]).await?;
    Ok(())
}

/// Listens to the others, until the pool is closed. A session in which nothing is said ends after some time.
pub(crate) async fn listen(pool: Pool, connector: Arc<Connector>, wake: Arc<Notify>) {
    while !pool.is_closed() {
        match connector.connect().await {
            Ok((client, session)) => {
                if let Err(error) = client.batch_execute("LISTEN countersign").await {
                    tracing::debug!(error = %causes(&error), "other nodes are not heard");
                }
                // Something may have been said before.
                wake.notify_one();
                let _ = session.await;
            }
            Err(error) => tracing::debug!(error = %causes(&error), "other nodes are not heard"),
        }
        tokio::time::sleep(BETWEEN_TRIES).await;
    }
}
