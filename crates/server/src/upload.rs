//! Bodies on their way in.
//!
//! Of one connection a few are read at a time: in HTTP/2 somebody who has not said who he is could have a hundred of them
//! held, each almost complete.
//!
//! Some are read to their end for nobody. A client that is still sending when its answer comes would find the connection
//! broken before it finds the answer, and a proxy makes a 502 of that: so the rest is read and thrown away.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Version, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::PollSemaphore;

/// Most bodies of one connection that are read at a time. The others wait, and what a client sends ahead of them is bounded
/// by the windows of HTTP/2.
const MOST_AT_ONCE: usize = 16;
/// Most that is read to be thrown away; whoever sends more is cut off.
const MOST_DISCARDED: usize = 16 * 1024 * 1024;
/// Longest time for it.
const DISCARD_DEADLINE: Duration = Duration::from_secs(5);

/// The bodies of one connection.
pub(crate) struct Uploads(Arc<Semaphore>);

/// A body that is read when it is its turn, and read on when nobody wants it any more.
pub(crate) struct Upload {
    /// `None` once it is dropped.
    body: Option<Incoming>,
    turn: Turn,
    /// Whether the client is sending it, and does not wait until it is wanted.
    is_coming: bool,
}

/// Whether a body may be read.
enum Turn {
    /// There is no other: it is none, or one of HTTP/1.1.
    Always,
    /// When one of the others is done.
    Awaited(PollSemaphore),
    /// Until it is dropped.
    Taken { _place: OwnedSemaphorePermit },
}

impl Uploads {
    /// Of a new connection.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(MOST_AT_ONCE)))
    }

    /// A request with its body among them.
    pub(crate) fn add(&self, request: Request<Incoming>) -> Request<Upload> {
        let is_over = request.body().is_end_stream();
        let is_coming = !is_over && !awaits_answer(request.headers());
        let turn = match request.version() {
            Version::HTTP_2 if !is_over => Turn::Awaited(PollSemaphore::new(Arc::clone(&self.0))),
            _ => Turn::Always,
        };
        request.map(|body| Upload { body: Some(body), turn, is_coming })
    }
}

impl Turn {
    /// Waits for it.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let Self::Awaited(places) = self {
            // `None` if it were closed, which nobody does.
            if let Some(place) = ready!(places.poll_acquire(context)) {
                *self = Self::Taken { _place: place };
            }
        }
        Poll::Ready(())
    }
}

/// Whether a client sends its body only when it is told to, and not at all after another answer.
fn awaits_answer(headers: &HeaderMap) -> bool {
    headers.contains_key(header::EXPECT)
}

impl Body for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        // To read is what tells it to.
        self.is_coming = true;
        ready!(self.turn.poll(context));
        self.body.as_mut().map_or(Poll::Ready(None), |body| Pin::new(body).poll_frame(context))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::new, Body::size_hint)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let rest = self.body.take_if(|body| self.is_coming && !body.is_end_stream());
        // Without a runtime the process is about to end, and every connection with it.
        if let (Some(rest), Ok(runtime)) = (rest, Handle::try_current()) {
            runtime.spawn(discard(rest));
        }
    }
}

async fn discard(rest: Incoming) {
    let mut rest = Limited::new(rest, MOST_DISCARDED);
    let to_the_end = async { while let Some(Ok(_)) = rest.frame().await {} };
    // Past the deadline it is cut off, as past the bound.
    let _ = tokio::time::timeout(DISCARD_DEADLINE, to_the_end).await;
}
