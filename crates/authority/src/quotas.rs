//! What is used of quotas on its way to the store and back: nodes share a quota, and a restart does not fill it up.
//!
//! A door only counts in memory ([`Meter`](crate::meter::Meter)). About once a second each node tells the store what was
//! used since it told last, and hears what all of them have used. So it knows of the others what they told until then, as of
//! the tokens that it lets in itself; what it knows nothing of yet it may let in beyond a quota. Where many tokens are in use,
//! those that come near to their quota go first.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use countersign_domain::store::StoreError;
use countersign_domain::time::Timestamp;
use countersign_domain::usage::QuotaUse;

use crate::Authority;
use crate::directory::Known;
use crate::meter::Urgency;

/// How often the store is told, and asked.
const ROUND: Duration = Duration::from_secs(1);
/// Most quotas told of in one call that are [urgent](Urgency::High). With [`FLUSH_EVERY`](crate::FLUSH_EVERY) this is 4,000 a
/// second: where more are in use, each is told of less often.
const URGENT_A_FLUSH: usize = 100;
/// Most of the others: 1,000 a second, so that what matters little costs little.
const OTHERS_A_FLUSH: usize = 25;

/// Tokens of whose quotas something was used that the store has not been told.
pub(crate) struct QuotaLog {
    urgent: Queue,
    others: Queue,
}

/// Some of them, told of in rounds.
struct Queue {
    /// Since the round began.
    noted: Mutex<Vec<Arc<Known>>>,
    /// Of this round.
    leaving: Mutex<VecDeque<Arc<Known>>>,
    /// When the round began, in microseconds.
    round_began_at: AtomicI64,
    /// Most that are taken out at once.
    most: usize,
}

impl Default for QuotaLog {
    fn default() -> Self {
        Self { urgent: Queue::new(URGENT_A_FLUSH), others: Queue::new(OTHERS_A_FLUSH) }
    }
}

impl QuotaLog {
    /// Takes note that something was used of a token's quota, of which `remaining` are left: a lock once in a round for each
    /// token, or twice.
    pub(crate) fn note(&self, known: &Arc<Known>, remaining: u64) {
        let queue = match known.meter().and_then(|meter| meter.needs_telling(remaining)) {
            Some(Urgency::High) => &self.urgent,
            Some(Urgency::Low) => &self.others,
            None => return,
        };
        lock(&queue.noted).push(Arc::clone(known));
    }

    /// Takes out those of which the store is to be told now.
    fn take_due(&self, now: Timestamp) -> Vec<Arc<Known>> {
        let mut due = self.urgent.take_due(now);
        due.append(&mut self.others.take_due(now));
        // What has become urgent while it waited is in both, and must be told once.
        let mut seen = HashSet::with_capacity(due.len());
        due.retain(|known| seen.insert(known.fact.key()));
        due
    }
}

impl Queue {
    fn new(most: usize) -> Self {
        Self { noted: Mutex::default(), leaving: Mutex::default(), round_began_at: AtomicI64::new(0), most }
    }

    fn take_due(&self, now: Timestamp) -> Vec<Arc<Known>> {
        let mut leaving = lock(&self.leaving);
        if leaving.is_empty() && self.begins_round(now) {
            leaving.extend(lock(&self.noted).drain(..));
        }
        let count = leaving.len().min(self.most);
        leaving.drain(..count).collect()
    }

    fn begins_round(&self, now: Timestamp) -> bool {
        let began_at = Timestamp::from_micros(self.round_began_at.load(Ordering::Relaxed));
        let begins = now < began_at || now >= began_at.after(ROUND);
        // At the end of everything rounds follow one another, and the clock stands still.
        if begins && now != Timestamp::NEVER {
            self.round_began_at.store(now.as_micros(), Ordering::Relaxed);
        }
        begins
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Authority {
    /// Learns what was used of quotas before the start. The doors wait for it: without it they would grant a quota again.
    pub(crate) async fn recall_quotas(&self) -> Result<(), StoreError> {
        let directory = Arc::clone(&self.directory);
        let visit = move |key, uses: QuotaUse| {
            if let Some(known) = directory.find(&key) {
                known.recall(uses);
            }
        };
        self.store.load_quota_uses(Box::new(visit)).await
    }

    /// Tells the store what was used until `now`, as far as that is due, and hears what all nodes have used; gives whether
    /// there was anything. What the store does not take is told later.
    pub(crate) async fn flush_quotas(&self, now: Timestamp) -> Result<bool, StoreError> {
        let due = self.quotas.take_due(now);
        let told: Vec<_> = due.iter().filter_map(|known| Some((known, known.begin_telling()?))).collect();
        if told.is_empty() {
            return Ok(!due.is_empty());
        }
        let uses: Vec<QuotaUse> = told.iter().map(|(_, uses)| *uses).collect();
        let sums = match self.store.add_quota_uses(uses).await {
            Ok(sums) => sums,
            Err(error) => {
                // Whatever is left of them: they have waited already.
                told.iter().for_each(|(known, _)| self.quotas.note(known, 0));
                return Err(error);
            }
        };
        for (known, uses) in told {
            let of_this = |sum: &&QuotaUse| (sum.token, sum.window) == (uses.token, uses.window);
            if let (Some(meter), Some(sum)) = (known.meter(), sums.iter().find(of_this)) {
                meter.end_telling(uses, sum.used);
            }
        }
        Ok(true)
    }
}
