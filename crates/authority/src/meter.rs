//! How often a limited credential was used: two numbers in memory, counted without a lock.
//!
//! The rate is a GCRA: of a credential that is used evenly the meter knows only until when its uses so far take up all the time
//! that there is, at one [interval](RateLimit::interval_nanos) each. The quota is a number and the day or month for which it
//! counts, in one word, so that they never disagree. A use takes from both or from neither.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use countersign_domain::limits::{Limits, Period, Quota, RateLimit, Window};
use countersign_domain::time::Timestamp;
use countersign_domain::usage::QuotaUse;

/// What a limited credential has used. It knows no limits, so that it goes on when they change.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    /// Until when the uses so far take up all time, in nanoseconds since 1970.
    busy_until: AtomicU64,
    /// Of which day or month, and how many: see [`Count`].
    count: AtomicU64,
    /// How urgently it is noted that the store is to be told; 0: it is not.
    noted: AtomicU8,
    /// What the store has said last, packed as `count`: of what was used, this it knows.
    known: AtomicU64,
}

/// How much is left after a use, or at a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Of the rate: what it is, and how many requests could follow at once. One more comes within a second.
    pub rate: Option<(RateLimit, u32)>,
    /// Of the quota.
    pub quota: Option<QuotaLeft>,
}

/// How much is left of a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaLeft {
    /// What it is.
    pub quota: Quota,
    /// The day or month.
    pub window: Window,
    /// How many requests are left in it.
    pub remaining: u64,
    /// When the next begins.
    pub resets_in: Duration,
}

/// How urgent it is that others hear what was used of a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Urgency {
    /// So little of what is left that it can wait for its turn.
    Low = 1,
    /// A hundredth of what is left, or more: what they do not know they may let in once more.
    High,
}

/// Why a credential was refused that was used too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exceeded {
    /// What is left of each limit: nothing of one of them.
    pub allowance: Allowance,
    /// When to come again: in a second at least, for that is what can be said in headers.
    pub retry_after: Duration,
}

/// A number of uses in a window. In one word, from the top: one bit for the period, 22 for the window's first day, 41 for
/// the number.
#[derive(Debug, Clone, Copy)]
struct Count {
    window: Window,
    used: u64,
}

const SECOND: Duration = Duration::from_secs(1);
const BITS_OF_NUMBER: u32 = 41;
const BITS_OF_DAY: u32 = 22;
const MOST: u64 = (1 << BITS_OF_NUMBER) - 1;
const _: () = assert!(Quota::MOST_REQUESTS < MOST && Window::LAST_DAY < 1 << BITS_OF_DAY);

impl Count {
    const fn unpack(word: u64) -> Self {
        let period = if word >> (BITS_OF_NUMBER + BITS_OF_DAY) == 0 { Period::Day } else { Period::Month };
        let day = (word >> BITS_OF_NUMBER) as u32 & Window::LAST_DAY;
        Self { window: Window::of(period, day), used: word & MOST }
    }

    const fn pack(self) -> u64 {
        let period = match self.window.period() {
            Period::Day => 0,
            Period::Month => 1_u64 << (BITS_OF_NUMBER + BITS_OF_DAY),
        };
        let used = if self.used < MOST { self.used } else { MOST };
        period | (self.window.first_day() as u64) << BITS_OF_NUMBER | used
    }

    /// What was used in `window` as far as this says. A clock that is set back by no more than a window gives nobody
    /// another quota: then the later window goes on.
    fn in_window(self, window: Window) -> Self {
        let is_set_back = || self.window == Window::at(window.period(), window.ends_at());
        if self.window == window || is_set_back() { self } else { Self { window, used: 0 } }
    }
}

impl Meter {
    /// Takes a use at `now`, or nothing when that would be too much.
    pub(crate) fn take(&self, limits: Limits, now: Timestamp) -> Result<Allowance, Exceeded> {
        let Limits { rate, quota } = limits;
        // First without taking: what the rate refuses, as it does most often, touches no quota.
        if rate.is_some_and(|rate| after_use(rate, self.busy_until(rate, now), now).is_none()) {
            return Err(self.exceeded(limits, now));
        }
        let taken = quota.map(|quota| self.take_quota(quota, now).ok_or(()));
        let Ok(quota) = taken.transpose() else { return Err(self.exceeded(limits, now)) };
        let taken = rate.map(|rate| self.take_rate(rate, now).map(|left| (rate, left)).ok_or(()));
        let Ok(rate) = taken.transpose() else {
            if let Some(quota) = quota {
                self.give_back(quota.window);
            }
            return Err(self.exceeded(limits, now));
        };
        Ok(Allowance { rate, quota })
    }

    /// Gives a use of the quota back that led to nothing.
    pub(crate) fn give_back(&self, window: Window) {
        let less = |word| {
            let count = Count::unpack(word);
            let used = count.used.checked_sub(1).filter(|_| count.window == window)?;
            Some(Count { used, ..count }.pack())
        };
        // Of a window that is over nothing need be given back.
        let _ = self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Until when all time is taken up; no longer than a burst takes, if the clock was set back.
    fn busy_until(&self, rate: RateLimit, now: Timestamp) -> u64 {
        let busy_until = self.busy_until.load(Ordering::Relaxed);
        let most = nanos(now).saturating_add(depth(rate));
        // Only when it was set back by more than who is a little late could think it was.
        if busy_until.saturating_sub(most) > SECOND.as_nanos() as u64 {
            let _ = self.busy_until.compare_exchange(busy_until, most, Ordering::Relaxed, Ordering::Relaxed);
            return most;
        }
        busy_until
    }

    /// How urgently the store is to be told that `remaining` are left, if nobody has noted so yet. Whoever gets this notes it.
    pub(crate) fn needs_telling(&self, remaining: u64) -> Option<Urgency> {
        let [count, known] =
            [&self.count, &self.known].map(|word| Count::unpack(word.load(Ordering::Relaxed)));
        let known = if known.window == count.window { known.used } else { 0 };
        let untold = count.used.saturating_sub(known);
        let urgency = if untold >= remaining / 100 { Urgency::High } else { Urgency::Low };
        let is_news = |noted: u8| noted < urgency as u8;
        let is_first = is_news(self.noted.load(Ordering::Relaxed))
            && is_news(self.noted.fetch_max(urgency as u8, Ordering::AcqRel));
        is_first.then_some(urgency)
    }

    /// What was used since the store was told last. One caller at a time.
    pub(crate) fn begin_telling(&self) -> Option<(Window, u64)> {
        // First, so that a use which is not seen below is noted again.
        self.noted.store(0, Ordering::Release);
        let count = Count::unpack(self.count.load(Ordering::Acquire));
        let known = Count::unpack(self.known.load(Ordering::Relaxed));
        let known = if known.window == count.window { known.used } else { 0 };
        // Less than is known when something was given back: then nothing is told until as much was used again.
        count.used.checked_sub(known).filter(|new| *new > 0).map(|new| (count.window, new))
    }

    /// The store was told this, and has said what all nodes together have used.
    pub(crate) fn end_telling(&self, told: QuotaUse, sum: u64) {
        let known = Count::unpack(self.known.load(Ordering::Relaxed));
        let before = if known.window == told.window { known.used } else { 0 };
        let of_others = sum.saturating_sub(before + told.used);
        let more = |word| {
            let count = Count::unpack(word);
            let used = count.used.saturating_add(of_others);
            (count.window == told.window).then(|| Count { used, ..count }.pack())
        };
        // A window that is over is of no interest any more.
        let _ = self.count.fetch_update(Ordering::AcqRel, Ordering::Relaxed, more);
        self.known.store(Count { window: told.window, used: sum }.pack(), Ordering::Relaxed);
    }

    /// Takes in what the store knows, before anybody uses the token.
    pub(crate) fn recall(&self, window: Window, used: u64) {
        let word = Count { window, used }.pack();
        if Count::unpack(self.count.load(Ordering::Relaxed)).window <= window {
            self.count.store(word, Ordering::Relaxed);
            self.known.store(word, Ordering::Relaxed);
        }
    }

    /// Gives how many more could follow at once.
    fn take_rate(&self, rate: RateLimit, now: Timestamp) -> Option<u32> {
        let next = |busy_until| after_use(rate, busy_until, now);
        let before = self.busy_until.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).ok()?;
        after_use(rate, before, now).map(|busy_until| left(rate, busy_until, now))
    }

    fn take_quota(&self, quota: Quota, now: Timestamp) -> Option<QuotaLeft> {
        let window = Window::at(quota.per(), now);
        let more = |word| {
            let count = Count::unpack(word).in_window(window);
            (count.used < quota.requests()).then(|| Count { used: count.used + 1, ..count }.pack())
        };
        let before = self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        let count = Count::unpack(before).in_window(window);
        Some(count.left_of(quota, 1, now))
    }

    fn exceeded(&self, limits: Limits, now: Timestamp) -> Exceeded {
        let busy_until = self.busy_until.load(Ordering::Relaxed);
        let rate = limits.rate.map(|rate| (rate, left(rate, busy_until, now)));
        let quota = limits.quota.map(|quota| {
            let count = Count::unpack(self.count.load(Ordering::Relaxed));
            count.in_window(Window::at(quota.per(), now)).left_of(quota, 0, now)
        });
        let wait = quota.filter(|quota| quota.remaining == 0).map_or(SECOND, |quota| quota.resets_in);
        Exceeded { allowance: Allowance { rate, quota }, retry_after: wait.max(SECOND) }
    }
}

impl Count {
    fn left_of(self, quota: Quota, taken: u64, now: Timestamp) -> QuotaLeft {
        QuotaLeft {
            quota,
            window: self.window,
            remaining: quota.requests().saturating_sub(self.used + taken),
            resets_in: self.window.ends_at().since(now),
        }
    }
}

/// Until when all time is taken up after one more use at `now`, in nanoseconds since 1970; `None`: there is no room for it.
fn after_use(rate: RateLimit, busy_until: u64, now: Timestamp) -> Option<u64> {
    let (now, all) = (nanos(now), depth(rate));
    let next = busy_until.max(now).saturating_add(rate.interval_nanos());
    (next - now <= all).then_some(next)
}

/// How many uses could follow at once.
fn left(rate: RateLimit, busy_until: u64, now: Timestamp) -> u32 {
    let left = depth(rate).saturating_sub(busy_until.saturating_sub(nanos(now))) / rate.interval_nanos();
    u32::try_from(left).unwrap_or(u32::MAX)
}

/// How far ahead of time uses may be: as long as a burst takes.
fn depth(rate: RateLimit) -> u64 {
    rate.interval_nanos() * u64::from(rate.burst())
}

fn nanos(time: Timestamp) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(0).saturating_mul(1_000)
}

#[cfg(test)]
#[path = "meter_tests.rs"]
mod tests;
