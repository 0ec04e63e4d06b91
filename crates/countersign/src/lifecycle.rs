//! How the process begins and ends: limits of the system, signals, and what happens from time to time in between.

use std::future::Future;
use std::time::Duration;

use anyhow::Context as _;
use countersign_domain::error::causes;
use countersign_domain::store::StoreError;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

/// Descriptors that are not connections: the store, its log, the listeners, the standard streams.
const OTHER_FILES: u64 = 64;

/// Raises this process's limit of open files to what `connections` need, as far as the system lets it. Shells and
/// units start programs with 1,024, far below the connections that the configuration allows.
pub(crate) fn raise_file_limit(connections: usize) {
    let wanted = u64::try_from(connections).unwrap_or(u64::MAX).saturating_add(OTHER_FILES);
    let limit = getrlimit(Resource::Nofile);
    let is_enough = |now: Option<u64>| now.is_none_or(|now| now >= wanted);
    if is_enough(limit.current) {
        return;
    }
    let current = limit.maximum.map_or(wanted, |most| most.min(wanted));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(current), maximum: limit.maximum });
    if raised.is_err() || !is_enough(Some(current)) {
        tracing::warn!(
            files = current,
            wanted,
            "the system allows fewer open files than `limits.connections` needs; raise the limit (ulimit -n, LimitNOFILE)"
        );
    }
}

/// SIGTERM and SIGINT.
pub(crate) struct EndSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl EndSignals {
    /// From now on the signals no longer end the process by themselves.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let of = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self { terminate: of(SignalKind::terminate())?, interrupt: of(SignalKind::interrupt())? })
    }

    /// The name of the next one.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// SIGHUP: from now on it does not end the process any more.
pub(crate) fn hangups() -> anyhow::Result<Signal> {
    signal(SignalKind::hangup()).context("cannot listen for signals")
}

/// Tells tasks to stop: a clone of the receiver for each.
pub(crate) type Stopped = watch::Receiver<()>;

/// Returns when the other half is dropped.
pub(crate) async fn wait(mut stopped: Stopped) {
    // Nothing is ever sent: the only change is that the sender goes away.
    while stopped.changed().await.is_ok() {}
}

/// Does `work` every `period` until it is stopped. A failure is logged and the next go is another try.
pub(crate) async fn repeat<F, Fut>(what: &'static str, period: Duration, stopped: Stopped, work: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<(), StoreError>>,
{
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stopped = std::pin::pin!(wait(stopped));
    loop {
        tokio::select! {
            biased;
            () = &mut stopped => return,
            _ = ticks.tick() => {}
        }
        if let Err(error) = work().await {
            tracing::warn!(what, cause = %causes(&error), "background work failed; it will be tried again");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn failing_work_goes_on_until_it_is_stopped() {
        let (keep_working, stopped) = watch::channel(());
        let keep_working = Arc::new(std::sync::Mutex::new(Some(keep_working)));
        let goes = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&goes);
        repeat("fail", Duration::from_millis(1), stopped, move || {
            if counted.fetch_add(1, Ordering::Relaxed) == 4 {
                drop(keep_working.lock().unwrap().take());
            }
            async { Err(StoreError::Busy) }
        })
        .await;
        assert_eq!(goes.load(Ordering::Relaxed), 5);
    }
}
