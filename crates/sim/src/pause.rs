//! Futures without a runtime: whoever has them decides which one goes on.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Something that goes on by one step when it is told to.
pub(crate) type Steps = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Lets anything else happen.
pub(crate) async fn pause() {
    let mut has_paused = false;
    poll_fn(|_| if std::mem::replace(&mut has_paused, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

/// Goes on to the next pause.
pub(crate) fn step<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Goes on to the end, with nothing else in between. For what never waits for others.
pub(crate) fn finish<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    loop {
        if let Poll::Ready(output) = step(future.as_mut()) {
            return output;
        }
    }
}

/// One at a time.
#[derive(Default)]
pub(crate) struct Turn(AtomicBool);

impl Turn {
    pub(crate) async fn take(&self) -> Taken<'_> {
        while self.0.swap(true, Ordering::SeqCst) {
            pause().await;
        }
        Taken(self)
    }
}

pub(crate) struct Taken<'t>(&'t Turn);

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::SeqCst);
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
