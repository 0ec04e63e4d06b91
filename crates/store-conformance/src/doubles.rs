//! Stand-ins for the ports, under the control of a test: time, randomness and the receiver of changes.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use countersign_domain::change::FactChange;
use countersign_domain::entropy::Entropy;
use countersign_domain::store::{ChangeSink, Reload, Revision};
use countersign_domain::time::{Clock, Timestamp, Uptime};
use sha2::{Digest, Sha256};

/// A lock that goes on after a panic elsewhere, so that a failing test shows its own message.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A clock that stands still until it is told otherwise.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that stands at `now`.
    pub const fn new(now: Timestamp) -> Self {
        Self(AtomicI64::new(now.as_micros()))
    }

    /// Puts the clock to `now`, forwards or backwards.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.as_micros(), Ordering::SeqCst);
    }

    /// Moves the clock on by `span` and gives the new time.
    pub fn advance(&self, span: Duration) -> Timestamp {
        self.set(self.now().after(span));
        self.now()
    }
}

impl Default for ManualClock {
    /// Stands at 2026-11-21T10:00:00Z.
    fn default() -> Self {
        Self::new(Timestamp::from_micros(1_795_255_200_000_000))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// A machine that is up for as long as it is told.
#[derive(Debug, Default)]
pub struct ManualUptime(AtomicU64);

impl ManualUptime {
    /// Lets time pass.
    pub fn advance(&self, span: Duration) {
        self.0.fetch_add(u64::try_from(span.as_micros()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }
}

impl Uptime for ManualUptime {
    fn uptime(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// The same bytes for the same seed: SHA-256 of the seed and a counter.
#[derive(Debug)]
pub struct SeededEntropy {
    seed: u64,
    next_block: AtomicU64,
}

impl SeededEntropy {
    /// The source of this seed, from its beginning.
    pub const fn new(seed: u64) -> Self {
        Self { seed, next_block: AtomicU64::new(0) }
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, out: &mut [u8]) {
        for chunk in out.chunks_mut(32) {
            let block = self.next_block.fetch_add(1, Ordering::SeqCst);
            let hash = Sha256::new()
                .chain_update(self.seed.to_be_bytes())
                .chain_update(block.to_be_bytes())
                .finalize();
            chunk.copy_from_slice(&hash[..chunk.len()]);
        }
    }
}

/// Remembers what was published, in order.
#[derive(Debug, Default)]
pub struct RecordingSink(Mutex<Vec<(Revision, Vec<FactChange>)>>);

impl RecordingSink {
    /// Everything published until now.
    pub fn published(&self) -> Vec<(Revision, Vec<FactChange>)> {
        lock(&self.0).clone()
    }

    /// Everything published since this was asked last.
    pub fn take(&self) -> Vec<(Revision, Vec<FactChange>)> {
        std::mem::take(&mut *lock(&self.0))
    }
}

impl ChangeSink for RecordingSink {
    fn publish(&self, revision: Revision, changes: Vec<FactChange>) {
        lock(&self.0).push((revision, changes));
    }

    fn begin_reload(self: Arc<Self>) -> Box<dyn Reload> {
        Box::new(Recording { sink: self, everything: Vec::new() })
    }
}

/// What is read afresh; at its end it is what was published last.
struct Recording {
    sink: Arc<RecordingSink>,
    everything: Vec<FactChange>,
}

impl Reload for Recording {
    fn learn(&mut self, change: FactChange) {
        self.everything.push(change);
    }

    fn finish(self: Box<Self>) {
        self.sink.publish(Revision(0), self.everything);
    }
}

/// Lets go what is published.
#[derive(Debug, Clone, Copy, Default)]
pub struct NullSink;

impl ChangeSink for NullSink {
    fn publish(&self, _revision: Revision, _changes: Vec<FactChange>) {}

    fn begin_reload(self: Arc<Self>) -> Box<dyn Reload> {
        Box::new(NullReload)
    }
}

/// Lets go what is read afresh.
#[derive(Debug, Clone, Copy)]
pub struct NullReload;

impl Reload for NullReload {
    fn learn(&mut self, _change: FactChange) {}

    fn finish(self: Box<Self>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        let draw = |seed: u64| {
            let entropy = SeededEntropy::new(seed);
            let mut bytes = [0u8; 100];
            entropy.fill(&mut bytes[..50]);
            entropy.fill(&mut bytes[50..]);
            bytes
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert_ne!(draw(1)[..50], draw(1)[50..]);
    }

    #[test]
    fn the_clock_moves_when_told() {
        let clock = ManualClock::default();
        let before = clock.now();
        assert_eq!(clock.now(), before);
        assert_eq!(clock.advance(Duration::from_secs(1)).since(before), Duration::from_secs(1));
        clock.set(before);
        assert_eq!(clock.now(), before);
    }
}
