//! Bodies that nobody reads to their end. A client that is still sending when its answer comes would find the connection
//! broken before it finds the answer, and a proxy makes a 502 of that: so the rest is read and thrown away.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::runtime::Handle;

/// Most that is read to be thrown away; whoever sends more is cut off.
const MOST_DISCARDED: usize = 16 * 1024 * 1024;
/// Longest time for it.
const DISCARD_DEADLINE: Duration = Duration::from_secs(5);

/// A body that is read on when nobody wants it any more.
pub(crate) struct Upload {
    /// `None` once it is dropped.
    body: Option<Incoming>,
    /// Whether the client is sending it, and does not wait until it is wanted.
    is_coming: bool,
}

impl Upload {
    /// A request with such a body.
    pub(crate) fn of(request: Request<Incoming>) -> Request<Self> {
        let is_coming = !request.body().is_end_stream() && !awaits_answer(request.headers());
        request.map(|body| Self { body: Some(body), is_coming })
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
