//! The sessions of a node, which statements borrow.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use countersign_domain::store::StoreError;
use deadpool_postgres::{
    ClientWrapper, Connect, Hook, HookError, Manager, ManagerConfig, Metrics, Object, Pool, PoolError,
    QueueMode, RecyclingMethod, Runtime,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Config, Error, NoTls, SimpleQueryMessage};

use crate::connect::{Connector, Session};
use crate::failure::unavailable;
use crate::options::OpenError;
use crate::refusal::ConnectError;

/// Longest time to wait for a session that is free.
const PATIENCE: Duration = Duration::from_secs(3);
/// A session that was lent within this time is lent again without a look: a busy node would pay a round trip each time.
const FRESH: Duration = Duration::from_millis(200);
/// Longest time for a session to say that it is there.
const LONGEST_LOOK: Duration = Duration::from_secs(1);

/// Sessions of this many at most. What was used last is lent first, so that what is not needed comes to rest and ends.
pub(crate) fn pool(connector: &Arc<Connector>, connections: usize) -> Result<Pool, OpenError> {
    // Whether a session is good is for `look` to say.
    let config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = Manager::from_connect(Config::new(), Sessions(Arc::clone(connector)), config);
    let connector = Arc::clone(connector);
    let look = Hook::async_fn(move |session, metrics| {
        let connector = Arc::clone(&connector);
        Box::pin(async move { look(session, metrics, &connector).await })
    });
    Pool::builder(manager)
        .max_size(connections.max(1))
        .queue_mode(QueueMode::Lifo)
        .wait_timeout(Some(PATIENCE))
        .runtime(Runtime::Tokio1)
        .pre_recycle(look)
        .build()
        .map_err(|_| OpenError::NoRuntime)
}

/// Whether a session can be lent again.
async fn look(
    session: &mut ClientWrapper,
    metrics: &Metrics,
    connector: &Connector,
) -> Result<(), HookError> {
    let lent = metrics.recycled.unwrap_or(metrics.created);
    if session.is_closed() || !connector.trust().covers(lent) {
        return Err(HookError::message("it has ended, or others of its time have failed"));
    }
    if lent.elapsed() < FRESH {
        return Ok(());
    }
    match timeout(LONGEST_LOOK, takes_changes(session)).await {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => Err(HookError::message("it takes no changes any more")),
        Ok(Err(error)) => Err(HookError::Backend(error)),
        Err(_) => {
            tracing::warn!("the database does not answer; all sessions with it are made anew");
            connector.distrust(lent);
            Err(HookError::message("it does not answer"))
        }
    }
}

async fn takes_changes(session: &ClientWrapper) -> Result<bool, Error> {
    let answer = session.simple_query("SHOW transaction_read_only").await?;
    let is_off = |message: &_| matches!(message, SimpleQueryMessage::Row(row) if row.get(0) == Some("off"));
    Ok(answer.iter().any(is_off))
}

/// Since when sessions are trusted: when one goes silent or takes no changes any more, so it is with the others, and each
/// would cost somebody an error or a wait.
pub(crate) struct Trust {
    born: Instant,
    /// Milliseconds after that.
    since: AtomicU64,
}

impl Trust {
    pub(crate) fn new() -> Self {
        Self { born: Instant::now(), since: AtomicU64::new(0) }
    }

    /// No session is trusted that there is. Says whether one that was lent at this time was trusted until now.
    pub(crate) fn lose(&self, lent: Instant) -> bool {
        let before = self.since.fetch_max(self.at(Instant::now()) + 1, Ordering::Relaxed);
        self.at(lent) >= before
    }

    fn covers(&self, lent: Instant) -> bool {
        self.at(lent) >= self.since.load(Ordering::Relaxed)
    }

    fn at(&self, moment: Instant) -> u64 {
        u64::try_from(moment.saturating_duration_since(self.born).as_millis()).unwrap_or(u64::MAX)
    }
}

/// Opens sessions for the pool.
struct Sessions(Arc<Connector>);

impl Connect for Sessions {
    fn connect(&self, _: &Config) -> Pin<Box<dyn Future<Output = Result<Session, Error>> + Send + '_>> {
        Box::pin(async {
            match self.0.connect().await {
                Ok(session) => Ok(session),
                Err(error) => fail(error).await,
            }
        })
    }
}

/// The pool knows only errors of tokio-postgres, which nobody else can make: one of ours gets into one through a stream
/// that fails with it.
async fn fail(error: ConnectError) -> Result<Session, Error> {
    let mut config = Config::new();
    config.user("nobody").ssl_mode(SslMode::Disable);
    let (client, connection) = config.connect_raw(Failing(Some(error)), NoTls).await?;
    let task = tokio::spawn(async {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a stream that fails has ended");
        }
    });
    Ok((client, task))
}

struct Failing(Option<ConnectError>);

impl Failing {
    fn error(&mut self) -> io::Error {
        self.0.take().map_or(io::ErrorKind::NotConnected.into(), io::Error::other)
    }
}

impl AsyncRead for Failing {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(self.error()))
    }
}

impl AsyncWrite for Failing {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(self.error()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(self.error()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Lends a session. What goes wrong is told without the words of those who hand it on.
pub(crate) async fn lend(pool: &Pool) -> Result<Object, StoreError> {
    pool.get().await.map_err(|error| match error {
        PoolError::Timeout(_) => unavailable("every session with the database is in use"),
        PoolError::Backend(error) => unavailable(unwrap(error)),
        other => unavailable(other),
    })
}

/// What [`fail`] has wrapped.
fn unwrap(error: Error) -> Box<dyn std::error::Error + Send + Sync> {
    let Some(source) = error.into_source() else { return "there is no session with the database".into() };
    match source.downcast::<io::Error>() {
        Ok(io) if io.get_ref().is_some() => io.into_inner().unwrap_or_else(|| "no cause".into()),
        Ok(io) => io,
        Err(other) => other,
    }
}
