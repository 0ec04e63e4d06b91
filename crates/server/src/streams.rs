//! The requests of one connection in HTTP/2, answered in the task of the connection itself.
//!
//! In tasks of their own each answer would wake the connection, which would send it alone: a write for each, where what
//! was asked together could be answered together. As in HTTP/1.1, a request ends with its connection.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use hyper::rt::Executor;

/// A request that is being answered.
type Stream = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Takes over what the connection wants to have run.
#[derive(Clone, Default)]
pub(crate) struct Handover(Arc<Mutex<Vec<Stream>>>);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Handover {
    fn execute(&self, stream: F) {
        // A vector to which something is added is whole even if that panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Box::pin(stream));
    }
}

/// The requests that are being answered.
pub(crate) struct Streams {
    handover: Handover,
    running: FuturesUnordered<Stream>,
}

impl Streams {
    /// Those that are handed over here.
    pub(crate) fn of(handover: Handover) -> Self {
        Self { handover, running: FuturesUnordered::new() }
    }

    /// Goes on with all of them. Gives whether one has ended, so that the connection has something to do.
    pub(crate) fn advance(&mut self, context: &mut Context<'_>) -> bool {
        let mut new = self.handover.0.lock().unwrap_or_else(PoisonError::into_inner);
        self.running.extend(new.drain(..));
        drop(new);
        let mut has_one_ended = false;
        while let Poll::Ready(Some(())) = self.running.poll_next_unpin(context) {
            has_one_ended = true;
        }
        has_one_ended
    }
}
