//! Uses and refusals on their way to the store: coalesced, bounded, never awaited by a door.

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
/// Uses of a secret after the first are written at most this often.
const WRITE_EVERY: Duration = Duration::from_secs(60);
/// How often everything that waits is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Longest user agent that is kept.
const LONGEST_USER_AGENT: usize = 128;
/// Maps that are locked apart. A power of two.
const SHARDS: usize = 64;

type Key = (TokenRef, SecretVersion);
type RefusalKey = (TokenRef, Reason, Timestamp);
type RefusalMap = HashMap<RefusalKey, Refusals, RandomState>;

/// What was taken and is not settled yet.
#[derive(Default)]
struct InFlight {
    uses: HashMap<Key, Pending, RandomState>,
    refusals: RefusalMap,
}

/// Uses and refusals that wait to be written.
#[derive(Default)]
pub struct UsageLog {
    uses: UseShards,
    /// What is being written: still to be seen by readers, and put back when writing fails. Locked before any shard
    /// and before `refusals`.
    in_flight: Mutex<InFlight>,
    refusals: Mutex<RefusalMap>,
    /// How often something has gone from `in_flight` into the store. A reader that looked at the store before and at
    /// the log after may have missed it in both.
    settlements: AtomicU64,
    /// Whether a use came that may be written at once.
    has_first_uses: AtomicBool,
    /// When to look for others, in microseconds.
    look_again_at: AtomicI64,
    /// Until when to look for nothing, in microseconds.
    rest_until: AtomicI64,
    /// How many uses wait, over all shards.
    pending: AtomicUsize,
    /// How many sightings found no room since start.
    dropped: AtomicU64,
    /// When the last one did, in microseconds; 0 = never.
    dropped_at: AtomicI64,
}

struct UseShards {
    maps: Box<[Mutex<HashMap<Key, Pending, RandomState>>]>,
    hasher: RandomState,
    /// Where the next flush begins.
    next: AtomicUsize,
}

impl Default for UseShards {
    fn default() -> Self {
        let maps = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { maps, hasher: RandomState::default(), next: AtomicUsize::new(0) }
    }
}

/// Uses of one secret that wait.
struct Pending {
    usage: Usage,
    /// From then on they may be written.
    due: Timestamp,
    /// Where to say that they were.
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
        let mut map = self.uses.lock(&key);
        if let Some(pending) = map.get_mut(&key) {
            pending.add(sighting, now);
            return;
        }
        let written_at = known.written_cell(secret_version).load(Ordering::Relaxed);
        let room = if written_at == 0 { MOST_PENDING } else { ROOM_FOR_KNOWN };
        if self.pending.load(Ordering::Relaxed) >= room {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            self.dropped_at.store(now.as_micros(), Ordering::Relaxed);
            return;
        }
        let due = match written_at {
            0 => {
                self.has_first_uses.store(true, Ordering::Relaxed);
                now
            }
            // Not from now alone, where the clock was set back.
            seconds => {
                let written_at = Timestamp::from_micros(i64::from(seconds) * 1_000_000);
                written_at.min(now).after(WRITE_EVERY)
            }
        };
        map.insert(key, Pending::first(known, secret_version, sighting, now, due));
        self.pending.fetch_add(1, Ordering::Relaxed);
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

    /// Takes out what may be written now, at most `most` uses; everything when `now` is [`Timestamp::NEVER`]. What
    /// is taken is either settled or put back.
    pub(crate) fn take_due(&self, now: Timestamp, most: usize) -> UsageBatch {
        let mut in_flight = self.in_flight();
        if !self.is_time_to_look(now) {
            return UsageBatch::default();
        }
        // Each call begins where the one before ended, so that no shard waits for ever.
        let begin = self.uses.next.load(Ordering::Relaxed);
        for index in (begin..begin + SHARDS).map(|index| index % SHARDS) {
            let room = most.saturating_sub(in_flight.uses.len());
            if room == 0 {
                self.uses.next.store(index, Ordering::Relaxed);
                break;
            }
            let mut map = self.uses.maps[index].lock().unwrap_or_else(PoisonError::into_inner);
            in_flight.uses.extend(map.extract_if(|_, pending| pending.due <= now).take(room));
        }
        if in_flight.uses.len() < most {
            // Nothing else is due, and what comes to be due later than at once can wait a second.
            self.look_again_at.store(now.after(LOOK_EVERY).as_micros(), Ordering::Relaxed);
        }
        in_flight.refusals.extend(self.waiting_refusals().drain());
        let mut uses: Vec<Usage> = in_flight.uses.values().map(|pending| pending.usage.clone()).collect();
        // Rows that lie together are written together.
        uses.sort_unstable_by_key(|usage: &Usage| (usage.token, usage.secret_version));
        UsageBatch { uses, refusals: in_flight.refusals.values().cloned().collect() }
    }

    /// Whether something may be due: a first use, or a second has passed since everything was looked at.
    fn is_time_to_look(&self, now: Timestamp) -> bool {
        let has_come = |time: &AtomicI64| {
            let time = Timestamp::from_micros(time.load(Ordering::Relaxed));
            // Or is further away than it was ever set, because the clock was set back.
            now >= time || now.after(LOOK_EVERY) < time
        };
        has_come(&self.rest_until)
            && (self.has_first_uses.swap(false, Ordering::Relaxed) || has_come(&self.look_again_at))
    }

    /// Takes nothing out for a second: the store does not take it either, and need not be asked forty times.
    pub(crate) fn rest(&self, now: Timestamp) {
        let until = now.after(LOOK_EVERY).as_micros();
        self.rest_until.store(until, Ordering::Relaxed);
        self.look_again_at.store(until, Ordering::Relaxed);
    }

    /// This part of what was taken is stored.
    pub(crate) fn settle(&self, stored: &UsageBatch) {
        let mut in_flight = self.in_flight();
        // Counted while nobody can look, so that whoever looks later knows.
        self.settlements.fetch_add(1, Ordering::Release);
        for usage in &stored.uses {
            if let Some(pending) = in_flight.uses.remove(&(usage.token, usage.secret_version)) {
                pending.mark_written();
                self.pending.fetch_sub(1, Ordering::Relaxed);
            }
        }
        for refusals in &stored.refusals {
            in_flight.refusals.remove(&key_of(refusals));
        }
    }

    /// How often something was settled. The same before the store is read and after the log is: nothing was missed.
    pub(crate) fn settlements(&self) -> u64 {
        self.settlements.load(Ordering::Acquire)
    }

    /// What was taken and not settled waits again.
    pub(crate) fn put_back(&self) {
        let mut in_flight = self.in_flight();
        for (key, pending) in in_flight.uses.drain() {
            let mut map = self.uses.lock(&key);
            match map.get_mut(&key) {
                Some(newer) => {
                    newer.usage.add(&pending.usage);
                    self.pending.fetch_sub(1, Ordering::Relaxed);
                }
                None => {
                    map.insert(key, pending);
                }
            }
        }
        let mut waiting = self.waiting_refusals();
        for (key, refusals) in in_flight.refusals.drain().take(MOST_REFUSALS) {
            waiting.entry(key).and_modify(|newer| newer.count += refusals.count).or_insert(refusals);
        }
    }

    fn in_flight(&self) -> MutexGuard<'_, InFlight> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting_refusals(&self) -> MutexGuard<'_, RefusalMap> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What waits for this secret, or is being written. While it is, the store may have it already: then a count is
    /// too high for a moment, but no use is ever overlooked.
    pub(crate) fn pending(&self, token: TokenRef, secret_version: SecretVersion) -> Option<Usage> {
        let key = (token, secret_version);
        let in_flight = self.in_flight();
        let being_written = in_flight.uses.get(&key).map(|pending| pending.usage.clone());
        let waiting = self.uses.lock(&key).get(&key).map(|pending| pending.usage.clone());
        overlay(being_written, waiting)
    }

    /// As [`UsageLog::pending`], for every secret of this token.
    pub(crate) fn pending_of(&self, token: TokenRef) -> Vec<Usage> {
        let of_token = |map: &HashMap<Key, Pending, RandomState>| -> Vec<Usage> {
            let matching = map.iter().filter(|(key, _)| key.0 == token);
            matching.map(|(_, pending)| pending.usage.clone()).collect()
        };
        let in_flight = self.in_flight();
        let mut uses = of_token(&in_flight.uses);
        for shard in &self.uses.maps {
            for waiting in of_token(&shard.lock().unwrap_or_else(PoisonError::into_inner)) {
                match uses.iter_mut().find(|known| known.secret_version == waiting.secret_version) {
                    Some(known) => known.add(&waiting),
                    None => uses.push(waiting),
                }
            }
        }
        uses
    }

    /// Refusals of this token that wait or are being written.
    pub(crate) fn pending_refusals(&self, token: TokenRef) -> Vec<Refusals> {
        let in_flight = self.in_flight();
        let waiting = self.waiting_refusals();
        let all = in_flight.refusals.values().chain(waiting.values());
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

impl UseShards {
    fn lock(&self, key: &Key) -> MutexGuard<'_, HashMap<Key, Pending, RandomState>> {
        let hash = self.hasher.hash_one(key);
        self.maps[(hash >> 32) as usize % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pending {
    fn first(
        known: &Arc<Known>,
        secret_version: SecretVersion,
        sighting: Sighting<'_>,
        now: Timestamp,
        due: Timestamp,
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
        Self { usage, due, known: Arc::clone(known) }
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

    /// Marks the secret as written at its last use.
    fn mark_written(&self) {
        let seconds = u32::try_from(self.usage.last_at.as_seconds()).unwrap_or(u32::MAX);
        self.known.written_cell(self.usage.secret_version).store(seconds, Ordering::Relaxed);
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
