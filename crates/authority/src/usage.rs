//! Uses and refusals on their way to the store: coalesced, bounded, never awaited by a door.

use std::collections::{BTreeSet, VecDeque};
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use countersign_domain::id::TokenRef;
use countersign_domain::service_token::SecretVersion;
use countersign_domain::time::Timestamp;
use countersign_domain::usage::{Refusals, Usage, UsageBatch};
use countersign_domain::verdict::Reason;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::directory::Known;
use crate::verify::Sighting;

/// Most secrets whose uses wait to be written.
const MOST_PENDING: usize = 65_536;
/// Beyond this, only first uses are taken in: that a new secret is in use is what a rotation waits for.
const ROOM_FOR_KNOWN: usize = MOST_PENDING / 4 * 3;
/// Most refusals of known credentials, by minute and reason, that wait to be written.
const MOST_REFUSALS: usize = 8_192;
/// Maps that are locked apart. A power of two.
const SHARDS: usize = 64;
/// Uses of a secret after the first are written at most this often. What waits when a round begins is written in the
/// course of it, a little at a time.
const ROUND: Duration = Duration::from_secs(60);
/// How long a store that does not take usage is left in peace.
const REST: Duration = Duration::from_secs(1);
/// Longest user agent that is kept.
const LONGEST_USER_AGENT: usize = 128;

type Key = (TokenRef, SecretVersion);
type Uses = HashMap<Key, Pending, RandomState>;
type RefusalKey = (TokenRef, Reason, Timestamp);
type RefusalMap = HashMap<RefusalKey, Refusals, RandomState>;

/// Uses and refusals that wait to be written.
#[derive(Default)]
pub struct UsageLog {
    uses: UseShards,
    /// Secrets in `uses` that do not wait for a round, the longest waiting first: those that were never used before,
    /// and those that the store did not take.
    urgent: Mutex<VecDeque<Key>>,
    refusals: Mutex<RefusalMap>,
    /// What is on its way out. Locked before any of the above.
    leaving: Mutex<Leaving>,
    /// How often something has gone from here into the store. A reader that looked at the store before and at
    /// the log after may have missed it in both.
    settlements: AtomicU64,
    /// Whether it is known which secrets were used before the start. Until then none counts as new: all that were used
    /// would be written at once.
    is_recalled: AtomicBool,
    /// How many uses wait, wherever.
    pending: AtomicUsize,
    /// How many sightings found no room since start.
    dropped: AtomicU64,
    /// When the last one did, in microseconds; 0 = never.
    dropped_at: AtomicI64,
}

struct UseShards {
    maps: Box<[Mutex<Uses>]>,
    hasher: RandomState,
}

/// How what waits is written.
struct Leaving {
    /// Secrets that are still to be written in this round, in order: rows that lie together in the store are written
    /// together, and a page that is written carries many of them.
    round: VecDeque<Key>,
    /// How many they were.
    round_size: usize,
    round_began_at: Timestamp,
    /// What was taken to be written and is not settled yet, still to be seen by readers.
    taken: Uses,
    refusals: RefusalMap,
    /// Nothing is taken until then.
    rest_until: Timestamp,
}

impl Default for Leaving {
    fn default() -> Self {
        let [round_began_at, rest_until] = [Timestamp::from_micros(0); 2];
        let (round, round_size, taken, refusals) = Default::default();
        Self { round, round_size, round_began_at, taken, refusals, rest_until }
    }
}

impl Default for UseShards {
    fn default() -> Self {
        let maps = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { maps, hasher: RandomState::default() }
    }
}

/// Uses of one secret that wait.
struct Pending {
    usage: Usage,
    /// Where to say that they were written.
    known: Arc<Known>,
}

/// The state of the log, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsageStats {
    /// Secrets whose uses wait to be written.
    pub pending: usize,
    /// Sightings that found no room since start: counts and times of use are coarser by these.
    pub dropped: u64,
}

impl UsageLog {
    /// Takes note of a use.
    pub(crate) fn note_use(
        &self,
        known: &Arc<Known>,
        secret_version: SecretVersion,
        sighting: Sighting<'_>,
        now: Timestamp,
    ) {
        let key = (known.fact.token(), secret_version);
        let mut map = self.uses.lock(key.0);
        if let Some(pending) = map.get_mut(&key) {
            pending.add(sighting, now);
            return;
        }
        let is_known = known.used(secret_version).load(Ordering::Relaxed);
        let is_first = !is_known && self.is_recalled.load(Ordering::Relaxed);
        let room = if is_first { MOST_PENDING } else { ROOM_FOR_KNOWN };
        if self.pending.load(Ordering::Relaxed) >= room {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            self.dropped_at.store(now.as_micros(), Ordering::Relaxed);
            return;
        }
        map.insert(key, Pending::first(known, secret_version, sighting, now));
        self.pending.fetch_add(1, Ordering::Relaxed);
        drop(map);
        if is_first {
            self.urgent().push_back(key);
        }
    }

    /// Takes note of a refusal of a known credential.
    pub(crate) fn note_refusal(
        &self,
        token: TokenRef,
        reason: Reason,
        address: Option<IpAddr>,
        now: Timestamp,
    ) {
        let minute = Timestamp::from_micros(now.as_micros().div_euclid(60_000_000) * 60_000_000);
        let mut refusals = self.waiting_refusals();
        let full = refusals.len() >= MOST_REFUSALS;
        match refusals.get_mut(&(token, reason, minute)) {
            Some(known) => {
                known.count += 1;
                known.address = address.or(known.address);
            }
            None if full => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
            None => {
                let first = Refusals { token, reason, minute, count: 1, address };
                refusals.insert((token, reason, minute), first);
            }
        }
    }

    /// From now on a secret that is not known to have been used is a new one.
    pub(crate) fn recalled(&self) {
        self.is_recalled.store(true, Ordering::Relaxed);
    }

    /// Takes out what may be written now, at most `most` uses; everything when `now` is [`Timestamp::NEVER`]. What
    /// is taken is either settled or put back.
    pub(crate) fn take_due(&self, now: Timestamp, most: usize) -> UsageBatch {
        let mut leaving = self.leaving();
        if leaving.rests(now) {
            return UsageBatch::default();
        }
        self.take_urgent(&mut leaving, most);
        self.take_round(&mut leaving, now, most);
        let Leaving { taken, refusals, .. } = &mut *leaving;
        refusals.extend(self.waiting_refusals().drain());
        let mut uses: Vec<Usage> = taken.values().map(|pending| pending.usage.clone()).collect();
        uses.sort_unstable_by_key(|usage: &Usage| (usage.token, usage.secret_version));
        UsageBatch { uses, refusals: refusals.values().cloned().collect() }
    }

    fn take_urgent(&self, leaving: &mut Leaving, most: usize) {
        while leaving.taken.len() < most {
            let Some(key) = self.urgent().pop_front() else { return };
            self.take(leaving, key);
        }
    }

    fn take_round(&self, leaving: &mut Leaving, now: Timestamp, most: usize) {
        if leaving.round.is_empty() && leaving.begins_round(now) {
            let waiting = self.uses.maps.iter().flat_map(|map| {
                let map = map.lock().unwrap_or_else(PoisonError::into_inner);
                map.keys().copied().collect::<Vec<_>>()
            });
            let mut keys: Vec<Key> = waiting.collect();
            keys.sort_unstable();
            leaving.round_size = keys.len();
            leaving.round = keys.into();
        }
        let left = leaving.left_of_round(now);
        while leaving.taken.len() < most && leaving.round.len() > left {
            let Some(key) = leaving.round.pop_front() else { return };
            self.take(leaving, key);
        }
    }

    /// One that does not wait any more was taken by the other way.
    fn take(&self, leaving: &mut Leaving, key: Key) {
        if let Some(pending) = self.uses.lock(key.0).remove(&key) {
            leaving.taken.insert(key, pending);
        }
    }

    /// Takes nothing out for a second: the store does not take it either, and need not be asked forty times.
    pub(crate) fn rest(&self, now: Timestamp) {
        self.leaving().rest_until = now.after(REST);
    }

    /// This part of what was taken is stored.
    pub(crate) fn settle(&self, stored: &UsageBatch) {
        let mut leaving = self.leaving();
        // Counted while nobody can look, so that whoever looks later knows.
        self.settlements.fetch_add(1, Ordering::Release);
        for usage in &stored.uses {
            if let Some(pending) = leaving.taken.remove(&(usage.token, usage.secret_version)) {
                pending.mark_written();
                self.pending.fetch_sub(1, Ordering::Relaxed);
            }
        }
        for refusals in &stored.refusals {
            leaving.refusals.remove(&key_of(refusals));
        }
    }

    /// How often something was settled. The same before the store is read and after the log is: nothing was missed.
    pub(crate) fn settlements(&self) -> u64 {
        self.settlements.load(Ordering::Acquire)
    }

    /// What was taken and not settled waits again, before everything else.
    pub(crate) fn put_back(&self) {
        let mut leaving = self.leaving();
        for (key, pending) in leaving.taken.drain() {
            let mut map = self.uses.lock(key.0);
            match map.get_mut(&key) {
                Some(newer) => {
                    newer.usage.add(&pending.usage);
                    self.pending.fetch_sub(1, Ordering::Relaxed);
                }
                None => drop(map.insert(key, pending)),
            }
            drop(map);
            self.urgent().push_front(key);
        }
        let mut waiting = self.waiting_refusals();
        for (key, refusals) in leaving.refusals.drain().take(MOST_REFUSALS) {
            waiting.entry(key).and_modify(|newer| newer.count += refusals.count).or_insert(refusals);
        }
    }

    fn leaving(&self) -> MutexGuard<'_, Leaving> {
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn urgent(&self) -> MutexGuard<'_, VecDeque<Key>> {
        self.urgent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting_refusals(&self) -> MutexGuard<'_, RefusalMap> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What waits for this secret, or is being written. While it is, the store may have it already: then a count is
    /// too high for a moment, but no use is ever overlooked.
    pub(crate) fn pending(&self, token: TokenRef, secret_version: SecretVersion) -> Option<Usage> {
        let key = (token, secret_version);
        let of = |map: &Uses| map.get(&key).map(|pending| pending.usage.clone());
        let leaving = self.leaving();
        overlay(of(&leaving.taken), of(&self.uses.lock(token)))
    }

    /// As [`UsageLog::pending`], for every secret of this token.
    pub(crate) fn pending_of(&self, token: TokenRef) -> Vec<Usage> {
        let versions = {
            let leaving = self.leaving();
            let waiting = self.uses.lock(token);
            let keys = leaving.taken.keys().chain(waiting.keys());
            keys.filter(|key| key.0 == token).map(|key| key.1).collect::<BTreeSet<_>>()
        };
        versions.into_iter().filter_map(|version| self.pending(token, version)).collect()
    }

    /// Refusals of this token that wait or are being written.
    pub(crate) fn pending_refusals(&self, token: TokenRef) -> Vec<Refusals> {
        let leaving = self.leaving();
        let waiting = self.waiting_refusals();
        let all = leaving.refusals.values().chain(waiting.values());
        all.filter(|refusals| refusals.token == token).cloned().collect()
    }

    /// Whether a use since `time` may have gone unnoticed.
    pub(crate) fn may_have_missed_since(&self, time: Timestamp) -> bool {
        self.dropped_at.load(Ordering::Relaxed) >= time.as_micros()
    }

    pub(crate) fn stats(&self) -> UsageStats {
        UsageStats {
            pending: self.pending.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
        }
    }
}

fn key_of(refusals: &Refusals) -> RefusalKey {
    (refusals.token, refusals.reason, refusals.minute)
}

impl Leaving {
    /// Whether nothing is to be taken at `now`.
    fn rests(&self, now: Timestamp) -> bool {
        now < self.rest_until && self.rest_until <= now.after(REST)
    }

    /// Whether a round begins at `now`.
    fn begins_round(&mut self, now: Timestamp) -> bool {
        let goes_on = self.round_began_at <= now && now < self.round_began_at.after(ROUND);
        // At the end of everything rounds follow one another, and the clock stands still.
        if !goes_on && now != Timestamp::NEVER {
            self.round_began_at = now;
        }
        !goes_on
    }

    /// How many secrets of the round need not be written by `now`.
    fn left_of_round(&self, now: Timestamp) -> usize {
        let passed = now.as_micros().saturating_sub(self.round_began_at.as_micros()) as f64;
        let part = 1.0 - passed / ROUND.as_micros() as f64;
        (self.round_size as f64 * part.clamp(0.0, 1.0)) as usize
    }
}

impl UseShards {
    /// The shard of this token, for all its secrets.
    fn lock(&self, token: TokenRef) -> MutexGuard<'_, Uses> {
        let hash = self.hasher.hash_one(token);
        self.maps[(hash >> 32) as usize % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pending {
    fn first(
        known: &Arc<Known>,
        secret_version: SecretVersion,
        sighting: Sighting<'_>,
        now: Timestamp,
    ) -> Self {
        let usage = Usage {
            token: known.fact.token(),
            secret_version,
            count: 1,
            first_at: now,
            last_at: now,
            address: sighting.address,
            user_agent: readable(sighting.user_agent),
            door: sighting.door,
        };
        Self { usage, known: Arc::clone(known) }
    }

    fn add(&mut self, sighting: Sighting<'_>, now: Timestamp) {
        let usage = &mut self.usage;
        usage.count += 1;
        usage.last_at = usage.last_at.max(now);
        usage.address = sighting.address.or(usage.address);
        usage.door = sighting.door;
        if cut(sighting.user_agent) != usage.user_agent.as_bytes() {
            usage.user_agent = readable(sighting.user_agent);
        }
    }

    /// The next use of the secret will not be its first.
    fn mark_written(&self) {
        self.known.used(self.usage.secret_version).store(true, Ordering::Relaxed);
    }
}

fn cut(user_agent: &[u8]) -> &[u8] {
    &user_agent[..user_agent.len().min(LONGEST_USER_AGENT)]
}

/// The first 128 bytes, with `?` for everything that is not printable ASCII: it ends up in tables and logs.
fn readable(user_agent: &[u8]) -> Box<str> {
    let printable = |byte: &u8| if matches!(byte, b' '..=b'~') { char::from(*byte) } else { '?' };
    cut(user_agent).iter().map(printable).collect::<String>().into()
}

/// What is stored of a secret's uses with what waits laid over it.
pub(crate) fn overlay(stored: Option<Usage>, pending: Option<Usage>) -> Option<Usage> {
    match (stored, pending) {
        (Some(mut stored), Some(pending)) => {
            stored.add(&pending);
            Some(stored)
        }
        (stored, pending) => pending.or(stored),
    }
}
