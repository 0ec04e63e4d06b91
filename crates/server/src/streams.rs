//! The requests of one connection in HTTP/2, answered in the task of the connection itself.
//!
//! In tasks of their own each answer would wake the connection, which would send it alone: a write for each, where what
//! was asked together could be answered together. As in HTTP/1.1, a request ends with its connection.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use hyper::rt::Executor;

/// A request that is being answered.
type Stream = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Takes over what the connection wants to have run. Weakly, because each request has one of these: what is handed over in
/// the moment in which the connection ends would hold itself for ever.
#[derive(Clone)]
pub(crate) struct Handover(Weak<Mutex<Vec<Stream>>>);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Handover {
    fn execute(&self, stream: F) {
        // A request that panics ends, as in a task of its own, and nothing else does: its client is told that it was reset.
        let stream = AssertUnwindSafe(stream).catch_unwind().map(drop);
        if let Some(new) = self.0.upgrade() {
            // A vector to which something is added is whole even if that panics.
            new.lock().unwrap_or_else(PoisonError::into_inner).push(Box::pin(stream));
        }
    }
}

/// The requests that are being answered.
#[derive(Default)]
pub(crate) struct Streams {
    new: Arc<Mutex<Vec<Stream>>>,
    running: FuturesUnordered<Stream>,
}

impl Streams {
    /// Where they are handed over.
    pub(crate) fn handover(&self) -> Handover {
        Handover(Arc::downgrade(&self.new))
    }

    /// Goes on with all of them. Gives whether one has ended, so that the connection has something to do.
    pub(crate) fn advance(&mut self, context: &mut Context<'_>) -> bool {
        self.running.extend(self.new.lock().unwrap_or_else(PoisonError::into_inner).drain(..));
        let mut has_one_ended = false;
        while let Poll::Ready(Some(())) = self.running.poll_next_unpin(context) {
            has_one_ended = true;
        }
        has_one_ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A request, which has what it was handed over with, as hyper's have.
    struct Request(Handover, Arc<()>);

    impl Request {
        async fn answer(self) {
            assert!(Arc::strong_count(&self.1) < 3, "one too many");
            std::future::pending::<()>().await;
            drop(self.0);
        }
    }

    fn advance(streams: &mut Streams) -> bool {
        streams.advance(&mut Context::from_waker(std::task::Waker::noop()))
    }

    #[test]
    fn what_is_handed_over_last_ends_with_the_connection() {
        let mut streams = Streams::default();
        let (handover, alive) = (streams.handover(), Arc::new(()));
        handover.execute(Request(handover.clone(), Arc::clone(&alive)).answer());
        assert!(!advance(&mut streams));
        handover.execute(Request(handover.clone(), Arc::clone(&alive)).answer());
        assert_eq!(Arc::strong_count(&alive), 3);
        drop(streams);
        assert_eq!(Arc::strong_count(&alive), 1);
        handover.execute(Request(handover.clone(), Arc::clone(&alive)).answer());
        assert_eq!(Arc::strong_count(&alive), 1);
    }

    #[test]
    fn a_request_that_panics_ends_alone() {
        let mut streams = Streams::default();
        let (handover, alive) = (streams.handover(), Arc::new(()));
        for _ in 0..2 {
            handover.execute(Request(handover.clone(), Arc::clone(&alive)).answer());
        }
        assert!(advance(&mut streams), "the first one has panicked");
        assert_eq!(Arc::strong_count(&alive), 2, "the other one goes on");
    }
}
