//! Uses and refusals on their way to the store.

use countersign_authority::UsageStats;
use countersign_domain::change::FactChange;
use countersign_domain::id::TokenRef;
use countersign_domain::lineage::Lineage;
use countersign_domain::restrictions::Restrictions;
use countersign_domain::secret::{Secret, SecretPrefix};
use countersign_domain::service_token::ServiceToken;
use countersign_domain::store::Store;
use countersign_domain::verdict::Reason;
use countersign_store_conformance::doubles::SeededEntropy;

use crate::world::{World, new_token};

#[tokio::test]
async fn the_first_use_is_written_at_once_and_later_ones_once_a_minute() {
    let world = World::new().await;
    world.authority.flush_all_usage().await.unwrap();
    let (token, secret) = world.issue("1h").await;
    let stored = async || {
        world.authority.flush_usage().await.unwrap();
        let usage = world.store.find_usage(TokenRef::Service(token.id)).await.unwrap();
        usage.uses.first().map_or(0, |usage| usage.count)
    };
    world.shown(&token, &secret).unwrap();
    assert_eq!(stored().await, 1, "the first use does not wait");
    let mut written = Vec::new();
    for _ in 0..300 {
        world.advance(1);
        world.shown(&token, &secret).unwrap();
        written.push(stored().await);
    }
    written.dedup();
    assert!((5..=6).contains(&written.len()), "five minutes: {written:?}");
    assert!(written[2..].windows(2).all(|pair| pair[1] - pair[0] == 60), "a minute each: {written:?}");
    for _ in 0..60 {
        world.advance(1);
        written.push(stored().await);
    }
    assert_eq!(written.last(), Some(&301), "none is left");
}

#[tokio::test]
async fn a_restart_makes_no_use_the_first() {
    let world = World::new().await;
    let (used, secret) = world.issue("1h").await;
    let (early, early_secret) = world.issue("1h").await;
    let (fresh, fresh_secret) = world.issue("1h").await;
    world.shown(&used, &secret).unwrap();
    world.authority.flush_all_usage().await.unwrap();
    let world = world.restarted().await;
    // A round begins with nothing in it: what comes now waits for the next one.
    world.authority.flush_usage().await.unwrap();
    world.shown(&early, &early_secret).unwrap();
    world.authority.recall_uses().await.unwrap();
    world.shown(&used, &secret).unwrap();
    world.shown(&fresh, &fresh_secret).unwrap();
    world.authority.flush_usage().await.unwrap();
    let count = async |token: &ServiceToken| {
        let usage = world.store.find_usage(TokenRef::Service(token.id)).await.unwrap();
        usage.uses.iter().map(|usage| usage.count).sum::<u64>()
    };
    assert_eq!(count(&used).await, 1, "it waits for its turn");
    assert_eq!(count(&early).await, 0, "as does what may have been used, as far as is known");
    assert_eq!(count(&fresh).await, 1, "a first use does not");
}

#[tokio::test]
async fn a_round_is_spread_over_its_minute() {
    let world = World::new().await;
    let mut tokens = Vec::new();
    for _ in 0..60 {
        tokens.push(world.issue("1h").await);
    }
    let show_all = || {
        for (token, secret) in &tokens {
            world.shown(token, secret).unwrap();
        }
    };
    show_all();
    world.authority.flush_all_usage().await.unwrap();
    show_all();
    world.advance(60);
    let mut waiting = Vec::new();
    for _ in 0..5 {
        world.authority.flush_usage().await.unwrap();
        waiting.push(world.authority.usage_stats().pending);
        world.advance(15);
    }
    assert_eq!(waiting, [60, 45, 30, 15, 0]);
}

#[tokio::test]
async fn reads_see_what_waits() {
    let world = World::new().await;
    let caller = world.root_caller();
    let (token, secret) = world.issue("1h").await;
    let view = async || world.authority.load_service_token(world.asked(&caller), token.id).await.unwrap();
    assert_eq!(view().await.last_seen_at(), None);
    world.shown(&token, &secret).unwrap();
    assert_eq!(view().await.last_seen_at(), Some(world.authority.now()));
    world.authority.flush_usage().await.unwrap();
    world.advance(7);
    world.shown(&token, &secret).unwrap();
    assert_eq!(view().await.last_seen_at(), Some(world.authority.now()));
    let usage = world.authority.load_usage(&caller, world.root, TokenRef::Service(token.id)).await.unwrap();
    assert_eq!(usage.uses.iter().map(|usage| usage.count).collect::<Vec<_>>(), [2]);
}

#[tokio::test]
async fn a_refusal_does_not_move_last_seen_and_is_recorded_by_minute() {
    let world = World::new().await;
    let caller = world.root_caller();
    let (token, _) = world.issue("1h").await;
    let (_, foreign) = world.issue("1h").await;
    for _ in 0..3 {
        assert_eq!(world.shown(&token, &foreign), Err(Reason::WrongSecret));
    }
    world.authority.flush_usage().await.unwrap();
    let view = world.authority.load_service_token(world.asked(&caller), token.id).await.unwrap();
    assert_eq!(view.last_seen_at(), None);
    assert_eq!(world.shown(&token, &foreign), Err(Reason::WrongSecret));
    let usage = world.authority.load_usage(&caller, world.root, TokenRef::Service(token.id)).await.unwrap();
    let refusals: Vec<_> = usage.refusals.iter().map(|refusals| (refusals.reason, refusals.count)).collect();
    assert_eq!(refusals, [(Reason::WrongSecret, 4)], "three are written and one waits");
}

#[tokio::test]
async fn what_waits_is_bounded_and_says_so() {
    let world = World::new().await;
    world.authority.flush_all_usage().await.unwrap();
    // Past the store, which has nothing to do with it: 65,600 tokens that the doors know.
    let entropy = SeededEntropy::new(2);
    let issue = |_| {
        let prefix = SecretPrefix::default();
        let now = world.authority.now();
        ServiceToken::issue(
            world.root,
            new_token("1h"),
            Restrictions::NONE,
            Lineage::default(),
            &prefix,
            &entropy,
            now,
        )
    };
    let tokens: Vec<(ServiceToken, Secret)> = (0..65_600).map(issue).collect();
    for (token, _) in &tokens {
        world.authority.directory().learn(FactChange::Credential(token.into()));
    }
    for (token, secret) in &tokens {
        world.shown(token, secret).unwrap();
    }
    let UsageStats { pending, dropped } = world.authority.usage_stats();
    assert!(pending <= 65_536, "{pending}");
    assert!(dropped >= 64, "{dropped}");
    world.authority.flush_all_usage().await.unwrap();
    assert_eq!(world.authority.usage_stats().pending, 0);
}

#[tokio::test]
async fn what_the_store_does_not_take_is_not_lost() {
    let world = World::new().await;
    let caller = world.root_caller();
    let (token, secret) = world.issue("1h").await;
    let (_, foreign) = world.issue("1h").await;
    world.shown(&token, &secret).unwrap();
    world.shown(&token, &foreign).unwrap_err();
    world.store.set_failing(true);
    assert!(world.authority.flush_usage().await.is_err());
    world.shown(&token, &secret).unwrap();
    world.authority.flush_usage().await.expect("the store is left in peace for a second");
    world.advance(1);
    assert!(world.authority.flush_usage().await.is_err());
    world.store.set_failing(false);
    world.advance(1);
    let counts = async || {
        let usage =
            world.authority.load_usage(&caller, world.root, TokenRef::Service(token.id)).await.unwrap();
        (
            usage.uses.iter().map(|usage| usage.count).sum::<u64>(),
            usage.refusals.iter().map(|r| r.count).sum::<u64>(),
        )
    };
    assert_eq!(counts().await, (2, 1), "what waits is seen");
    world.authority.flush_usage().await.unwrap();
    assert_eq!(counts().await, (2, 1), "and written");
    world.authority.flush_all_usage().await.unwrap();
    assert_eq!(world.authority.usage_stats().pending, 0);
}
