//! The keys by which short-lived tokens are signed: in generations, with one key for each algorithm.
//!
//! A generation is published a while before it signs, so that whoever keeps a copy of the key set has it by then. It signs
//! until the next one does, and is accepted until nothing that it signed is valid any more. A generation is known by its
//! number: two nodes that make the next one at once make the same number, and one of them is refused.

use std::time::Duration;

use crate::access_token::Sealed;
use crate::store::Version;
use crate::time::Timestamp;

/// The longest that a signed token lives.
pub const LONGEST_SIGNED: Duration = Duration::from_secs(24 * 3600);
/// By how much clocks may differ that judge a signed token.
pub const CLOCK_SKEW: Duration = Duration::from_secs(60);
/// How long before it signs a generation is published that takes its turn.
pub const PUBLISHED_AHEAD: Duration = Duration::from_secs(24 * 3600);
/// How long before it signs a generation is published that is asked for out of turn: longer than anybody is told to keep a
/// copy of the key set.
pub const PUBLISHED_AHEAD_OUT_OF_TURN: Duration = Duration::from_secs(10 * 60);
/// How long a generation is published after it has signed last (cloudflare-access.md 5.4: the previous key is valid for
/// seven days).
pub const PUBLISHED_AFTER: Duration = Duration::from_secs(7 * 24 * 3600);
/// After how many days the next generation signs, unless it is said otherwise: six weeks (cloudflare-access.md 5.4).
pub const DEFAULT_INTERVAL_DAYS: u16 = 42;
/// The fewest and the most days that can be said (cloudflare-access.md 5.4).
pub const INTERVAL_DAYS: std::ops::RangeInclusive<u16> = 21..=365;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A key of one algorithm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedKey {
    /// Its public half: 32 bytes of Ed25519, the uncompressed point of P-256, an `RSAPublicKey` (RFC 8017, A.1.1).
    pub public: Box<[u8]>,
    /// Its private half, as PKCS #8, encrypted under a key that is not in the store.
    pub private: Sealed,
}

/// Keys that are made, sign and retire together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyGeneration {
    /// Counts generations, from 1.
    pub number: u32,
    /// For EdDSA.
    pub ed25519: SealedKey,
    /// For ES256.
    pub p256: SealedKey,
    /// For RS256.
    pub rsa: SealedKey,
    /// A self-signed certificate of the key for RS256, in DER.
    pub rsa_certificate: Box<[u8]>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it signs.
    pub signs_from: Timestamp,
    /// How many days after `signs_from` the next one does.
    pub interval_days: u16,
    /// Of its row.
    pub version: Version,
}

/// What is to be known of a generation to tell when it signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// Its number.
    pub number: u32,
    /// From when on it signs.
    pub signs_from: Timestamp,
    /// How many days after that the next one does.
    pub interval_days: u16,
}

/// When which generation signs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Timetable(Vec<Turn>);

impl From<&KeyGeneration> for Turn {
    fn from(generation: &KeyGeneration) -> Self {
        Self {
            number: generation.number,
            signs_from: generation.signs_from,
            interval_days: generation.interval_days,
        }
    }
}

impl Turn {
    /// When the next generation signs, if nobody asks for it earlier.
    pub fn is_over_at(&self) -> Timestamp {
        self.signs_from.after(DAY * u32::from(self.interval_days))
    }
}

impl Timetable {
    /// Of these generations, in whatever order.
    pub fn new(turns: impl IntoIterator<Item = Turn>) -> Self {
        let mut turns: Vec<_> = turns.into_iter().collect();
        turns.sort_unstable_by_key(|turn| turn.number);
        Self(turns)
    }

    /// How many generations.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the generation that was made last waits to sign, and was asked for out of turn.
    pub fn has_one_out_of_turn(&self, now: Timestamp) -> bool {
        let [.., before, newest] = self.0.as_slice() else { return false };
        newest.signs_from > now && newest.signs_from < before.is_over_at()
    }

    /// When nobody needs the first generation any more; never when no other follows it.
    pub fn first_outlived_at(&self) -> Option<Timestamp> {
        self.signs_until(self.0.first()?.number).map(|until| until.after(PUBLISHED_AFTER))
    }

    /// The generation that was made last.
    pub fn newest(&self) -> Option<&Turn> {
        self.0.last()
    }

    /// The generation that signs: the last whose turn has come. Where a clock was set back so far that none has, the first
    /// one, which is what others know.
    pub fn signing(&self, now: Timestamp) -> Option<&Turn> {
        let come = self.0.iter().rev().find(|turn| turn.signs_from <= now);
        come.or(self.0.first())
    }

    /// When a generation signs last; `None` when there is no such generation, and never when no other follows it.
    pub fn signs_until(&self, number: u32) -> Option<Timestamp> {
        let place = self.0.iter().position(|turn| turn.number == number)?;
        // One that was asked for out of turn may sign before another that was made earlier and waits for its own.
        let next = self.0[place + 1..].iter().map(|turn| turn.signs_from).min();
        Some(next.unwrap_or(Timestamp::NEVER))
    }

    /// Whether something may be valid that a generation signed, when it is `now`.
    pub fn accepts(&self, number: u32, now: Timestamp) -> bool {
        let until = self.signs_until(number);
        until.is_some_and(|until| now < until.after(LONGEST_SIGNED).after(CLOCK_SKEW))
    }

    /// Whether a generation may have signed something at `time`.
    pub fn may_have_signed(&self, number: u32, time: Timestamp) -> bool {
        self.signs_until(number).is_some_and(|until| time < until.after(CLOCK_SKEW))
    }

    /// From when on the next generation is to sign, when it is time to make it.
    pub fn next_signs_from(&self, now: Timestamp) -> Option<Timestamp> {
        let Some(newest) = self.newest() else { return Some(now) };
        let is_over_at = newest.is_over_at();
        (now >= is_over_at.before(PUBLISHED_AHEAD))
            .then(|| is_over_at.max(now.after(PUBLISHED_AHEAD_OUT_OF_TURN)))
    }

    /// Generations that nobody needs any more.
    pub fn outlived(&self, now: Timestamp) -> impl Iterator<Item = u32> {
        let is_outlived = move |number: &u32| {
            self.signs_until(*number).is_some_and(|until| until.after(PUBLISHED_AFTER) <= now)
        };
        self.0.iter().map(|turn| turn.number).filter(is_outlived)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

    fn turn(number: u32, days: u32, interval_days: u16) -> Turn {
        Turn { number, signs_from: START.after(DAY * days), interval_days }
    }

    #[test]
    fn the_first_generation_is_due_at_once() {
        let table = Timetable::default();
        assert_eq!(table.next_signs_from(START), Some(START));
        assert_eq!(table.signing(START), None);
        assert!(!table.accepts(1, START));
    }

    /// Day by day through three years: there is always one that signs, it was published a day before, and what it signed is
    /// accepted for as long as it lives and not for ever.
    #[test]
    fn whatever_is_signed_is_accepted_while_it_lives() {
        let mut turns = vec![turn(1, 0, 21)];
        let mut signed: Vec<(u32, Timestamp)> = Vec::new();
        for hour in 0..(3 * 365 * 24) {
            let now = START.after(Duration::from_secs(3_600 * hour));
            let table = Timetable::new(turns.iter().copied());
            if let Some(signs_from) = table.next_signs_from(now) {
                let number = table.newest().unwrap().number + 1;
                assert_eq!(signs_from, now.after(PUBLISHED_AHEAD));
                turns.push(Turn { number, signs_from, interval_days: 21 });
            }
            let table = Timetable::new(turns.iter().copied());
            let number = table.signing(now).unwrap().number;
            assert!(table.may_have_signed(number, now));
            signed.push((number, now));
            signed.retain(|(_, at)| now < at.after(LONGEST_SIGNED));
            for (number, at) in &signed {
                assert!(table.accepts(*number, now) && table.may_have_signed(*number, *at));
            }
            let outlived: Vec<u32> = table.outlived(now).collect();
            assert!(outlived.iter().all(|number| !table.accepts(*number, now)));
            turns.retain(|turn| !outlived.contains(&turn.number));
            assert!(turns.len() <= 3);
        }
        assert!(turns.iter().all(|turn| turn.number > 50));
    }

    #[test]
    fn nothing_that_a_retired_key_signs_is_accepted_after_its_time() {
        let table = Timetable::new([turn(1, 0, 21), turn(2, 21, 21)]);
        let retired = START.after(DAY * 21);
        assert!(table.may_have_signed(1, retired) && !table.may_have_signed(1, retired.after(CLOCK_SKEW)));
        let end = retired.after(LONGEST_SIGNED).after(CLOCK_SKEW);
        assert!(table.accepts(1, end.before(Duration::from_micros(1))) && !table.accepts(1, end));
        assert!(table.accepts(2, end), "nothing follows it");
    }

    #[test]
    fn out_of_turn_takes_the_place_of_what_waits() {
        let table = Timetable::new([turn(1, 0, 21), turn(2, 21, 21), turn(3, 20, 21)]);
        let day = |days| START.after(DAY * days);
        assert_eq!(table.signing(day(20)).unwrap().number, 3);
        assert_eq!(table.signs_until(1), Some(day(20)));
        // The newest that has come, though the one before it came later.
        assert_eq!(table.signing(day(30)).unwrap().number, 3);
        assert_eq!(table.signs_until(2), Some(day(20)), "it never signs");
    }

    #[test]
    fn a_clock_that_is_set_back_signs_with_what_is_known() {
        let table = Timetable::new([turn(1, 0, 21)]);
        assert_eq!(table.signing(START.before(DAY)).unwrap().number, 1);
    }
}
