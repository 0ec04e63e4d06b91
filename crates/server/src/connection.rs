//! One connection, in HTTP/1.1 or HTTP/2 as its first bytes say, within bounds of its own.
//!
//! HTTP/2 comes by prior knowledge on a plain connection, and by ALPN over TLS; there is no upgrade from HTTP/1.1.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Version;
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioTimer;
use hyper_util::server::conn::auto;
use tokio::sync::watch;

use crate::handler::Handler;
use crate::one_buffer::OneBuffer;
use crate::streams::{Handover, Streams};

/// Longest time for a request's head to arrive, from when the connection is free for it. Also how long an idle
/// connection is kept: longer than the 60 s of nginx's pools, so that the proxy closes it and not we.
const HEAD_DEADLINE: Duration = Duration::from_secs(75);
/// Largest request head; more is 431. In HTTP/2 each header counts for 32 bytes more (RFC 9113, 6.5.2).
const LARGEST_HEAD: u32 = 64 * 1024;
/// Most headers of a request; more is 431.
pub(crate) const MOST_HEADERS: usize = 100;
/// How long requests may take to finish after it was said that no more are taken.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

/// Most requests of one connection at once, in HTTP/2: what RFC 9113, 6.5.2 recommends at least.
const MOST_STREAMS: u32 = 100;
/// Most bytes of one answer that wait until the client takes them, in HTTP/2.
const SEND_BUFFER: usize = 64 * 1024;
/// Most bytes that a client may send ahead in HTTP/2: for one request, and for all of a connection. A body has at most
/// 100 kB, and so has a message to the gRPC door.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// How often a silent peer is asked whether it is there, and how long it has to answer, in HTTP/2.
const PING_EVERY: Duration = Duration::from_secs(20);
const PONG_DEADLINE: Duration = Duration::from_secs(20);
/// Most requests that a client may take back before they are looked at (CVE-2023-44487), and most that we take back
/// because of its errors; one more ends the connection.
const MOST_RESETS: usize = 20;
const MOST_FAULTS: usize = 100;

/// HTTP/1.1 and HTTP/2, with every bound. No upgrades: what is not needed cannot be held open.
fn protocols(handover: Handover) -> auto::Builder<Handover> {
    let mut protocols = auto::Builder::new(handover);
    protocols
        .http1()
        .timer(TokioTimer::new())
        // Long answers are not copied; see [`OneBuffer`] for HTTP/2.
        .writev(true)
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(LARGEST_HEAD as usize)
        .max_headers(MOST_HEADERS);
    protocols
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(LARGEST_HEAD)
        .max_concurrent_streams(MOST_STREAMS)
        .max_pending_accept_reset_streams(MOST_RESETS)
        .max_local_error_reset_streams(MOST_FAULTS)
        .max_send_buf_size(SEND_BUFFER)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PONG_DEADLINE);
    protocols
}

/// Answers the requests of a connection until the client ends it, until nothing was asked for a while, or until
/// `ending` says that no more are taken.
pub(crate) async fn converse<I>(stream: I, handler: Handler, mut ending: watch::Receiver<()>)
where
    I: Read + Write + Unpin + 'static,
{
    let activity = handler.activity();
    let mut streams = Streams::default();
    let protocols = protocols(streams.handover());
    let mut connection = pin!(protocols.serve_connection(OneBuffer(stream), handler));
    let mut end = pin!(ending.changed());
    let mut lapse = pin!(activity.lapse(HEAD_DEADLINE));
    let why = poll_fn(|context| {
        // First, for the requests of a busy connection may leave no turn for these.
        if end.as_mut().poll(context).is_ready() {
            return Poll::Ready(End::Stopped);
        }
        // Not for each request in HTTP/1.1: a timer has its price.
        if !activity.is_first() && lapse.as_mut().poll(context).is_ready() {
            return Poll::Ready(End::Lapsed);
        }
        if go_on(connection.as_mut(), &mut streams, context).is_ready() {
            return Poll::Ready(End::Over);
        }
        if activity.is_retired() { Poll::Ready(End::Lapsed) } else { Poll::Pending }
    });
    let grace = match why.await {
        End::Over => return,
        // Whoever stops it waits no longer than that.
        End::Stopped => None,
        End::Lapsed => Some(GRACE),
    };
    connection.as_mut().graceful_shutdown();
    let rest = poll_fn(|context| go_on(connection.as_mut(), &mut streams, context));
    match grace {
        None => rest.await,
        Some(grace) => drop(tokio::time::timeout(grace, rest).await),
    }
}

/// Goes on with the connection and the requests on it, until it is closed.
fn go_on<C, E>(mut connection: Pin<&mut C>, streams: &mut Streams, context: &mut Context<'_>) -> Poll<()>
where
    C: Future<Output = Result<(), E>>,
{
    loop {
        // Errors here are the client's: it went away, or sent what is not HTTP and has had its 400.
        if connection.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        // All that was asked together is answered before any of it is sent.
        if !streams.advance(context) {
            return Poll::Pending;
        }
    }
}

/// Why no more requests are taken.
enum End {
    /// The connection is closed.
    Over,
    /// The listener was told to end.
    Stopped,
    /// Nothing was asked for a while, or it is not what it was.
    Lapsed,
}

/// What a connection was asked: told by its [`Handler`] to who watches over it.
///
/// In HTTP/1.1 the deadline for a head is enough. In HTTP/2 a client that does nothing but answer pings would keep its
/// place for ever, and so would one that does not even say what it speaks.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    /// How many in HTTP/2, or that it speaks HTTP/1.1.
    requests: AtomicU64,
    /// Whether it shall end with what was asked so far.
    is_retired: AtomicBool,
}

impl Activity {
    /// Instead of a number of requests: it speaks HTTP/1.1.
    const HTTP1: u64 = u64::MAX;

    /// Takes note of a request.
    pub(crate) fn note(&self, version: Version) {
        if version == Version::HTTP_2 {
            self.requests.fetch_add(1, Ordering::Relaxed);
        } else {
            self.requests.store(Self::HTTP1, Ordering::Relaxed);
        }
    }

    /// Says that the connection shall end when what was asked is answered.
    pub(crate) fn retire(&self) {
        self.is_retired.store(true, Ordering::Relaxed);
    }

    fn is_retired(&self) -> bool {
        self.is_retired.load(Ordering::Relaxed)
    }

    /// Whether it is known to speak HTTP/1.1.
    fn is_first(&self) -> bool {
        self.requests.load(Ordering::Relaxed) == Self::HTTP1
    }

    /// Returns when nothing was asked for at least `period`, and at most twice that.
    async fn lapse(&self, period: Duration) {
        let mut before = 0;
        loop {
            tokio::time::sleep(period).await;
            match self.requests.load(Ordering::Relaxed) {
                Self::HTTP1 => return std::future::pending().await,
                now if now == before => return,
                now => before = now,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_millis(5);

    /// Whether it lapses when this happens in each period.
    async fn lapses(activity: &Activity, version: Option<Version>) -> bool {
        let mut lapse = pin!(activity.lapse(PERIOD));
        for _ in 0..5 {
            if let Some(version) = version {
                activity.note(version);
            }
            tokio::time::sleep(PERIOD).await;
            if poll_fn(|context| Poll::Ready(lapse.as_mut().poll(context).is_ready())).await {
                return true;
            }
        }
        false
    }

    #[tokio::test]
    async fn a_connection_on_which_nothing_is_asked_lapses() {
        let silent = Activity::default();
        assert!(lapses(&silent, None).await, "it never said what it speaks");
        let second = Activity::default();
        assert!(!lapses(&second, Some(Version::HTTP_2)).await);
        assert!(lapses(&second, None).await, "it went silent");
        let first = Activity::default();
        assert!(!lapses(&first, Some(Version::HTTP_11)).await);
        assert!(!lapses(&first, None).await, "that is for the deadline of a head");
    }
}
