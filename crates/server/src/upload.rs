//! Bodies on their way in.
//!
//! What has come of them is counted until they are whole, of all connections together: whoever sends them has not been asked
//! yet who it is, and in HTTP/2 a connection carries a hundred.
//!
//! Some are read to their end for nobody. A client that is still sending when its answer comes would find the connection
//! broken before it finds the answer, and a proxy makes a 502 of that: so the rest is read and thrown away.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::runtime::Handle;

/// Most bytes of unfinished bodies; what would be more is refused for now (503). Of honest clients' bodies most come at
/// once, so it is room for hundreds of thousands.
const MOST_UNFINISHED: usize = 256 * 1024 * 1024;
/// Most that is read to be thrown away; whoever sends more is cut off.
const MOST_DISCARDED: usize = 16 * 1024 * 1024;
/// Longest time for it.
const DISCARD_DEADLINE: Duration = Duration::from_secs(5);

/// What is held of unfinished bodies.
#[derive(Debug, Default)]
pub(crate) struct Unfinished(AtomicUsize);

/// What one of them has of it.
struct Share {
    unfinished: Arc<Unfinished>,
    bytes: usize,
}

/// Why no more of a body comes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UploadError {
    /// The client went away or broke the framing.
    #[error("the body broke off")]
    Broken(#[source] hyper::Error),
    /// Too much is being sent at once.
    #[error("too much is being sent at once")]
    Busy,
}

/// A body that is read on when nobody wants it any more.
pub(crate) struct Upload {
    /// `None` once it is dropped.
    body: Option<Incoming>,
    /// `None` where nothing can come.
    share: Option<Share>,
    /// Whether the client is sending it, and does not wait until it is wanted.
    is_coming: bool,
}

impl Upload {
    /// A request with such a body.
    pub(crate) fn of(request: Request<Incoming>, unfinished: &Arc<Unfinished>) -> Request<Self> {
        let is_over = request.body().is_end_stream();
        let is_coming = !is_over && !awaits_answer(request.headers());
        let share = (!is_over).then(|| Share { unfinished: Arc::clone(unfinished), bytes: 0 });
        request.map(|body| Self { body: Some(body), share, is_coming })
    }
}

impl Share {
    /// Whether there is room for so many more.
    fn take(&mut self, bytes: usize) -> bool {
        self.bytes += bytes;
        self.unfinished.0.fetch_add(bytes, Ordering::Relaxed) + bytes <= MOST_UNFINISHED
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.unfinished.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Whether a client sends its body only when it is told to, and not at all after another answer.
fn awaits_answer(headers: &HeaderMap) -> bool {
    headers.contains_key(header::EXPECT)
}

impl Body for Upload {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        // To read is what tells it to.
        self.is_coming = true;
        let Some(body) = self.body.as_mut() else { return Poll::Ready(None) };
        let frame = match ready!(Pin::new(body).poll_frame(context)) {
            Some(Ok(frame)) => frame,
            end => return Poll::Ready(end.map(|end| end.map_err(UploadError::Broken))),
        };
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        let has_room = self.share.as_mut().is_none_or(|share| share.take(bytes));
        Poll::Ready(Some(if has_room { Ok(frame) } else { Err(UploadError::Busy) }))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_again_when_a_body_is_whole_or_given_up() {
        let unfinished = Arc::new(Unfinished::default());
        let share = || Share { unfinished: Arc::clone(&unfinished), bytes: 0 };
        let (mut one, mut other) = (share(), share());
        assert!(one.take(MOST_UNFINISHED - 1) && one.take(1));
        assert!(!other.take(1));
        drop(one);
        assert!(other.take(1));
        drop(other);
        assert_eq!(unfinished.0.load(Ordering::Relaxed), 0);
    }
}
