//! Tests of the transitions.

use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;

use super::*;
use crate::fact::Fact;
use crate::lineage::Lineage;
use crate::scope::{Scope, Scopes};

struct Counting(AtomicU64);

impl Entropy for Counting {
    fn fill(&self, out: &mut [u8]) {
        for byte in out {
            let n = self.0.fetch_add(1, Ordering::Relaxed);
            *byte = (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8;
        }
    }
}

const T0: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

struct Bench {
    entropy: Counting,
    prefix: SecretPrefix,
}

impl Bench {
    fn new() -> Self {
        Self { entropy: Counting(AtomicU64::new(0)), prefix: SecretPrefix::default() }
    }

    fn token(&self, duration: &str) -> (ServiceToken, Secret) {
        let new = NewServiceToken {
            name: Name::parse("ci").unwrap(),
            lifetime: Lifetime::parse(duration).unwrap(),
            enabled: true,
            restrictions: StatedRestrictions::default(),
            secret_version: 1,
        };
        let account = AccountId::from_bytes([1; 16]);
        ServiceToken::issue(
            account,
            new,
            Restrictions::NONE,
            Lineage::default(),
            &self.prefix,
            &self.entropy,
            T0,
        )
    }

    fn rotation(&self, by: &str, now: Timestamp, overlap_until: Option<Timestamp>) -> Rotation<'_> {
        Rotation { by: by.parse().unwrap(), overlap_until, prefix: &self.prefix, entropy: &self.entropy, now }
    }
}

const ME: &str = "0000000000000000000000";
const OTHER: &str = "1111111111111111111111";

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn issue_and_forever() {
    let bench = Bench::new();
    let (token, secret) = bench.token("2h45m");
    assert_eq!(token.expires_at, T0.after(seconds(9_900)));
    assert_eq!(token.current.digest, secret.digest());
    assert_eq!(bench.token("forever").0.expires_at, T0.plus_century());
}

#[test]
fn refresh_counts_from_now_and_is_strictly_later() {
    let bench = Bench::new();
    let (token, _) = bench.token("1h");
    let end = token.expires_at;
    assert_eq!(token.clone().refresh(T0).expires_at, end.after(Duration::from_micros(1)));
    let late = T0.after(seconds(999_999));
    assert_eq!(token.refresh(late).expires_at, late.after(seconds(3_600)), "works on an expired token");
    let (forever, _) = bench.token("forever");
    let refreshed = forever.clone().refresh(late);
    assert_eq!(refreshed.expires_at, forever.expires_at);
    assert_eq!(refreshed.updated_at, late);
}

#[test]
fn rotation_keeps_exactly_one_previous_secret() {
    let bench = Bench::new();
    let (token, first) = bench.token("1h");
    let (t1, t2) = (T0.after(seconds(10)), T0.after(seconds(20)));
    let (token, second) = token.rotate(&bench.rotation(ME, t1, Some(T0.after(seconds(500))))).unwrap();
    let previous = token.previous.clone().unwrap();
    assert_eq!((previous.digest, previous.version), (first.digest(), 1));
    assert_eq!((previous.replaced_at, previous.expires_at), (t1, T0.after(seconds(500))));
    let (token, third) = token.rotate(&bench.rotation(ME, t2, None)).unwrap();
    let previous = token.previous.clone().unwrap();
    assert_eq!((previous.digest, previous.expires_at), (second.digest(), t2));
    assert_eq!((token.current.digest, token.current.version), (third.digest(), 3));
    assert_eq!(token.expires_at, T0.after(seconds(3_600)), "rotation does not prolong");
}

#[test]
fn a_retried_rotation_is_one_rotation() {
    let bench = Bench::new();
    let (token, first) = bench.token("1h");
    assert!(!token.is_retry_of_rotation(ME.parse().unwrap(), T0), "nothing was rotated");
    let deadline = T0.after(seconds(500));
    let (token, lost) = token.rotate(&bench.rotation(ME, T0, Some(deadline))).unwrap();
    assert!(token.is_retry_of_rotation(ME.parse().unwrap(), T0.after(seconds(60))));
    assert!(!token.is_retry_of_rotation(ME.parse().unwrap(), T0.after(seconds(61))));
    assert!(!token.is_retry_of_rotation(OTHER.parse().unwrap(), T0.after(seconds(1))));
    let (token, kept) = token.reissue_secret(&bench.rotation(ME, T0.after(seconds(1)), None));
    assert_ne!(kept.digest(), lost.digest());
    assert_eq!((token.current.version, token.current.digest), (2, kept.digest()));
    let previous = token.previous.unwrap();
    assert_eq!((previous.digest, previous.expires_at), (first.digest(), deadline));
}

#[test]
fn update_follows_the_wire() {
    let bench = Bench::new();
    let (token, _) = bench.token("1h");
    let now = T0.after(seconds(100));
    let update = |patch| token.clone().update(patch, &bench.rotation(ME, now, None));

    let same = ServiceTokenPatch { lifetime: Some(Lifetime::parse("1h").unwrap()), ..Default::default() };
    assert_eq!(update(same).unwrap().0.expires_at, token.expires_at, "the same duration resets nothing");
    let longer = ServiceTokenPatch { lifetime: Some(Lifetime::parse("60m").unwrap()), ..Default::default() };
    assert_eq!(update(longer).unwrap().0.expires_at, now.after(seconds(3_600)));

    let version = |n| ServiceTokenPatch { secret_version: Some(n), ..Default::default() };
    assert!(update(version(1)).unwrap().1.is_none(), "an equal version rotates nothing");
    let (rotated, secret) = update(version(7)).unwrap();
    assert_eq!(rotated.current.version, 7);
    assert_eq!(rotated.current.digest, secret.unwrap().digest());
    let lower = rotated.clone().update(version(6), &bench.rotation(ME, now, None));
    assert!(matches!(lower, Err(Error::Invalid { field: Field::SecretVersion, .. })));

    let deadline =
        ServiceTokenPatch { previous_expires_at: Some(now.after(seconds(9))), ..Default::default() };
    assert!(update(deadline.clone()).unwrap().0.previous.is_none(), "without a previous secret: ignored");
    let (moved, _) = rotated.update(deadline, &bench.rotation(ME, now, None)).unwrap();
    assert_eq!(moved.previous.unwrap().expires_at, now.after(seconds(9)));
}

proptest! {
    /// What `is_stronger_than` calls no stronger opens no door that was shut.
    #[test]
    fn no_stronger_means_no_more(
        enabled: [bool; 2], expiry in [0u64..100, 0u64..100], grace in [0u64..100, 0u64..100],
        narrow: [bool; 2], at in 0u64..100, old_secret: bool,
    ) {
        let bench = Bench::new();
        let (token, _) = bench.token("1h");
        let (token, _) = token.rotate(&bench.rotation(ME, T0, None)).unwrap();
        let state = |i: usize| {
            let mut token = token.clone();
            token.enabled = enabled[i];
            token.expires_at = T0.after(seconds(expiry[i]));
            token.previous.as_mut().unwrap().expires_at = T0.after(seconds(grace[i]));
            let list = if narrow[i] { vec![Scope::parse("a").unwrap()] } else { vec![Scope::parse("*").unwrap()] };
            token.restrictions.scopes = Scopes::list(list).unwrap();
            token
        };
        let (before, after) = (state(0), state(1));
        let opens = |token: &ServiceToken, scope| {
            let now = T0.after(seconds(at));
            let grace_holds = !old_secret || token.previous.as_ref().unwrap().expires_at > now;
            token.enabled && token.expires_at > now && grace_holds && token.restrictions.scopes.cover(scope)
        };
        for scope in ["a", "b"] {
            if !after.is_stronger_than(&before) && opens(&after, scope) {
                prop_assert!(opens(&before, scope));
            }
        }
    }
}

#[test]
fn a_secret_ended_by_an_update_stays_ended_until_an_update_says_otherwise() {
    let bench = Bench::new();
    let (token, _) = bench.token("1h");
    let later = T0.after(seconds(100));
    let rotated = token.rotate(&bench.rotation(ME, T0, Some(later))).unwrap().0;
    let end_at = |token: ServiceToken, end: Timestamp, now: Timestamp| {
        let patch = ServiceTokenPatch { previous_expires_at: Some(end), ..Default::default() };
        token.update(patch, &bench.rotation(ME, now, None)).unwrap().0
    };
    let has_ended = |token: &ServiceToken, now| {
        Fact::from(token).previous.as_deref().is_some_and(|previous| previous.has_ended(now))
    };
    assert!(!has_ended(&rotated, T0));
    let now = T0.after(seconds(10));
    let ended = end_at(rotated, now, now);
    assert!(has_ended(&ended, T0), "the clock was set back");
    let extended = end_at(ended, later, now);
    assert!(!has_ended(&extended, now) && has_ended(&extended, later));
}
