//! A connection that does not wait for ever.
//!
//! TCP notices a peer that is gone, not one that is there and says nothing: a server that stands still, a proxy that no
//! longer forwards. The server ends every statement in time, so one that is silent for longer will not answer any more.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Interval, MissedTickBehavior, interval};

/// How often it is looked.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
/// Longest time in which nothing is sent in any direction. What is used less is closed: the server's connections are
/// few. An answer that stops in its middle ends after this time, too.
const LONGEST_REST: Duration = Duration::from_mins(1);

/// How long an answer is waited for, and what came of it.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    /// In milliseconds; 0 is for ever.
    limit: AtomicU64,
    is_over: AtomicBool,
}

impl Patience {
    pub(crate) fn set_limit(&self, limit: Option<Duration>) {
        let milliseconds = limit.map_or(0, |limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
        self.limit.store(milliseconds, Ordering::Relaxed);
    }

    /// Whether an answer was given up.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    fn limit(&self) -> Option<Duration> {
        match self.limit.load(Ordering::Relaxed) {
            0 => None,
            milliseconds => Some(Duration::from_millis(milliseconds)),
        }
    }
}

/// A stream that ends when nothing comes.
pub(crate) struct Watched<S> {
    stream: S,
    patience: Arc<Patience>,
    looks: Interval,
    /// When something was sent last, in whichever direction.
    since: Instant,
    /// Something was sent, and nothing came since.
    is_waiting: bool,
}

impl<S> Watched<S> {
    pub(crate) fn new(stream: S, patience: Arc<Patience>) -> Self {
        let mut looks = interval(BETWEEN_LOOKS);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { stream, patience, looks, since: Instant::now(), is_waiting: false }
    }

    fn moved(&mut self, is_waiting: bool) {
        (self.since, self.is_waiting) = (Instant::now(), is_waiting);
    }

    /// Why nothing is waited for any more, if so.
    fn end(&self) -> Option<io::Error> {
        let elapsed = self.since.elapsed();
        if !self.is_waiting {
            let error = || io::Error::new(io::ErrorKind::ConnectionAborted, "not used for a minute");
            return (elapsed > LONGEST_REST).then(error);
        }
        let limit = self.patience.limit()?;
        (elapsed > limit).then(|| {
            self.patience.is_over.store(true, Ordering::Relaxed);
            io::Error::new(io::ErrorKind::TimedOut, format!("the server has been silent for {limit:?}"))
        })
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(context, buffer) {
            self.moved(false);
            return Poll::Ready(read);
        }
        loop {
            ready!(self.looks.poll_tick(context));
            if let Some(error) = self.end() {
                return Poll::Ready(Err(error));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes));
        self.moved(true);
        Poll::Ready(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
