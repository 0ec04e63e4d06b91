//! Limits: who is let in how often, at which door, and what does not start a limit afresh.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use countersign_authority::{AccessTokenRequest, Decision};
use countersign_domain::demand::{Demand, Presented};
use countersign_domain::error::{Denial, Error};
use countersign_domain::fact::Kind;
use countersign_domain::lifetime::Ttl;
use countersign_domain::limits::Limits;
use countersign_domain::name::Name;
use countersign_domain::restrictions::StatedRestrictions;
use countersign_domain::secret::Secret;
use countersign_domain::service_token::{NewServiceToken, ServiceToken, ServiceTokenPatch};
use countersign_domain::store::ChangeSink;
use countersign_domain::usage::Door;
use countersign_domain::verdict::Reason;

use crate::world::{World, new_token, sighting};

fn stated(limits: &str) -> StatedRestrictions {
    let limits = if limits.is_empty() { Limits::NONE } else { Limits::from_joined(limits).unwrap() };
    StatedRestrictions { limits: Some(limits), ..StatedRestrictions::default() }
}

impl World {
    async fn limited(&self, limits: &str) -> (ServiceToken, Secret) {
        let caller = self.root_caller();
        let new = NewServiceToken { restrictions: stated(limits), ..new_token("forever") };
        let (view, secret) = self.authority.issue_service_token(self.asked(&caller), new).await.unwrap();
        (view.token, secret)
    }

    async fn patch(&self, token: &ServiceToken, patch: ServiceTokenPatch) {
        let caller = self.root_caller();
        self.authority.update_service_token(self.asked(&caller), token.id, patch, false).await.unwrap();
    }

    /// How many of so many attempts are let in.
    fn let_in(&self, token: &ServiceToken, secret: &Secret, attempts: usize) -> usize {
        (0..attempts).filter(|_| self.shown(token, secret).is_ok()).count()
    }
}

#[tokio::test]
async fn beyond_its_limit_a_token_is_refused_for_that_alone() {
    let world = World::new().await;
    let (token, secret) = world.limited("5/s;burst=5").await;
    assert_eq!(world.let_in(&token, &secret, 20), 5);
    assert_eq!(world.shown(&token, &secret), Err(Reason::RateLimited));
    let wrong = Secret::from_operator("0".repeat(64));
    assert_eq!(world.shown(&token, &wrong), Err(Reason::WrongSecret), "a stranger learns nothing of it");
    world.advance(1);
    assert_eq!(world.let_in(&token, &secret, 20), 5);
    let (free, secret) = world.limited("").await;
    assert_eq!(world.let_in(&free, &secret, 5_000), 5_000);
}

/// A wrong secret, a wrong demand, a disabled token: none of these costs its bearer a request.
#[tokio::test]
async fn what_is_refused_takes_nothing() {
    let world = World::new().await;
    let (token, secret) = world.limited("5/s;burst=5 5/day").await;
    let wrong = Secret::from_operator("0".repeat(64));
    let set = |enabled| ServiceTokenPatch { enabled: Some(enabled), ..Default::default() };
    let client_id = token.client_id.to_string();
    let presented = Presented::service(&client_id, secret.reveal()).unwrap();
    let elsewhere = Demand { kinds: vec![Kind::Access], ..Demand::default() };
    for _ in 0..50 {
        assert_eq!(world.shown(&token, &wrong), Err(Reason::WrongSecret));
        let decision = world.authority.verify(&presented, &elsewhere, sighting(Door::Authz));
        assert!(matches!(decision, Decision::Denied { reason: Reason::WrongKind, exceeded: None, .. }));
    }
    world.patch(&token, set(false)).await;
    assert_eq!(world.let_in(&token, &secret, 50), 0);
    world.patch(&token, set(true)).await;
    assert_eq!(world.let_in(&token, &secret, 50), 5);
}

#[tokio::test]
async fn nothing_that_is_done_to_a_token_fills_it_up() {
    let world = World::new().await;
    let caller = world.root_caller();
    let (token, mut secret) = world.limited("5/s;burst=5 8/month").await;
    assert_eq!(world.let_in(&token, &secret, 9), 5);
    let name = Name::parse("renamed").ok();
    world.patch(&token, ServiceTokenPatch { name, ..Default::default() }).await;
    assert_eq!(world.let_in(&token, &secret, 9), 0, "renamed");
    (_, secret) =
        world.authority.rotate_service_token(world.asked(&caller), token.id, None, false).await.unwrap();
    assert_eq!(world.let_in(&token, &secret, 9), 0, "rotated");
    world.authority.refresh_service_token(world.asked(&caller), token.id).await.unwrap();
    assert_eq!(world.let_in(&token, &secret, 9), 0, "refreshed");

    let limits = |limits| ServiceTokenPatch { restrictions: stated(limits), ..Default::default() };
    world.patch(&token, limits("5/s;burst=5 7/month")).await;
    assert_eq!(world.let_in(&token, &secret, 9), 0, "limited otherwise");
    world.advance(1);
    assert_eq!(world.let_in(&token, &secret, 9), 2, "what was used of the month counts");
}

/// Everything is read afresh, as after a failover.
#[tokio::test]
async fn reading_everything_afresh_fills_nothing_up() {
    let world = World::new().await;
    let (token, secret) = world.limited("5/s;burst=5").await;
    assert_eq!(world.let_in(&token, &secret, 9), 5);
    let mut reload = world.directory.clone().begin_reload();
    world.stored().await.0.into_iter().for_each(|fact| reload.learn(fact));
    reload.finish();
    assert_eq!(world.let_in(&token, &secret, 9), 0);
    world.advance(1);
    assert_eq!(world.let_in(&token, &secret, 9), 5);
}

#[tokio::test]
async fn nobody_hands_out_more_than_it_has() {
    let world = World::new().await;
    let root = world.root_caller();
    let eternal = Ttl::Eternal;
    let request =
        AccessTokenRequest { ttl: eternal, restrictions: stated("50/s;burst=50 3100/month"), name: None };
    let minter = world.authority.issue_access_token(world.asked(&root), request).await.unwrap().1;
    let caller = world.caller(minter.reveal()).unwrap();
    let issue = |restrictions| {
        let new = NewServiceToken { restrictions, ..new_token("forever") };
        world.authority.issue_service_token(world.asked(&caller), new)
    };
    let inherited = issue(StatedRestrictions::default()).await.unwrap().0.token;
    assert_eq!(
        inherited.restrictions.limits(),
        caller.restrictions.limits(),
        "what is not stated is the minter's"
    );
    for wider in
        ["", "51/s;burst=50 3100/month", "50/s;burst=50", "50/s;burst=51 100/day", "50/s;burst=5 101/day"]
    {
        let refused = issue(stated(wider)).await.err();
        assert!(matches!(refused, Some(Error::Denied(Denial::BeyondCaller))), "{wider}: {refused:?}");
    }
    let narrower = issue(stated("50/s;burst=5 100/day")).await.unwrap().0.token;
    let wider = ServiceTokenPatch { restrictions: stated(""), ..Default::default() };
    let refused =
        world.authority.update_service_token(world.asked(&caller), narrower.id, wider, false).await.err();
    assert!(matches!(refused, Some(Error::Denied(Denial::BeyondCaller))), "{refused:?}");
}

/// Callers of our own API are limited by the same meter; who is denied what it asks for gets its quota back.
#[tokio::test]
async fn one_meter_for_every_door() {
    let world = World::new().await;
    let root = world.root_caller();
    let request = AccessTokenRequest { ttl: Ttl::Eternal, restrictions: stated("6/day"), name: None };
    let text = world.authority.issue_access_token(world.asked(&root), request).await.unwrap().1;
    let presented = Presented::access(text.reveal()).unwrap();
    let api = || world.authority.authenticate(&presented, sighting(Door::Api));
    let (_, granted) = api().unwrap();
    world.authority.note_denial(&granted, Denial::ForeignAccount, sighting(Door::Api));
    for _ in 0..2 {
        assert!(api().is_ok());
        let decision = world.authority.verify(&presented, &Demand::default(), sighting(Door::Authz));
        assert!(matches!(decision, Decision::Granted(_)));
        let recognised = world.authority.recognise(&presented, sighting(Door::Api)).unwrap();
        assert!(world.authority.spend(recognised).is_some());
    }
    let refused = api().unwrap_err();
    let exceeded = refused.exceeded.unwrap();
    assert_eq!((refused.reason, exceeded.allowance.quota.unwrap().remaining), (Reason::RateLimited, 0));
    assert_eq!(exceeded.retry_after, Duration::from_secs(14 * 3600), "from ten o'clock to midnight");
    for door in [Door::Authz, Door::Verify, Door::Introspect] {
        let decision = world.authority.verify_for(world.root, &presented, &Demand::default(), sighting(door));
        assert!(matches!(decision, Decision::Denied { reason: Reason::RateLimited, .. }), "{door:?}");
    }
    let recognised = world.authority.recognise(&presented, sighting(Door::Api)).unwrap();
    assert!(world.authority.spend(recognised).is_none());
}

/// Many threads and a clock that goes on: the burst and the rate, within one in a hundred.
#[tokio::test]
async fn under_pressure_limits_hold_to_one_in_a_hundred() {
    let world = World::new().await;
    let (token, secret) = world.limited("2000/s;burst=400").await;
    let (granted, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    granted.fetch_add(world.let_in(&token, &secret, 1), Ordering::Relaxed);
                }
            });
        }
        for _ in 0..1_000 {
            // Each step brings two; they are asked for before the next.
            world.clock.advance(Duration::from_millis(1));
            std::thread::yield_now();
            granted.fetch_add(world.let_in(&token, &secret, 500), Ordering::Relaxed);
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let expected = 400 + 2_000;
    let granted = granted.load(Ordering::Relaxed);
    assert!(granted <= expected && granted * 100 >= expected * 99, "{granted} of {expected}");
}

impl World {
    /// A second passes, and the store is told what was used.
    async fn tell(&self) {
        self.advance(1);
        self.authority.flush_usage().await.unwrap();
    }
}

#[tokio::test]
async fn a_restart_does_not_fill_a_quota_up() {
    let world = World::new().await;
    let (token, secret) = world.limited("8/month").await;
    assert_eq!(world.let_in(&token, &secret, 3), 3);
    world.tell().await;
    assert_eq!(world.let_in(&token, &secret, 2), 2);
    world.authority.flush_all_usage().await.unwrap();
    let world = world.restarted().await;
    assert_eq!(world.let_in(&token, &secret, 9), 3);
    world.advance(31 * 24 * 3600);
    assert_eq!(world.let_in(&token, &secret, 9), 8, "another month");
}

/// Each node lets in what it knows to be left, and hears of the others when it tells of its own.
#[tokio::test]
async fn nodes_share_a_quota() {
    let a = World::new().await;
    let (token, secret) = a.limited("20/day").await;
    let b = a.beside().await;
    assert_eq!((a.let_in(&token, &secret, 5), b.let_in(&token, &secret, 5)), (5, 5));
    a.tell().await;
    b.tell().await;
    assert_eq!(b.let_in(&token, &secret, 7), 7);
    b.tell().await;
    // The first has heard of no use of the other's yet: it has been told of seventeen with its next.
    assert_eq!(a.let_in(&token, &secret, 1), 1);
    a.tell().await;
    assert_eq!(a.let_in(&token, &secret, 9), 2);
    a.tell().await;
    // What went beyond is what the second knows to be left, and no more.
    assert_eq!(b.let_in(&token, &secret, 9), 3);
    b.tell().await;
    assert_eq!((a.let_in(&token, &secret, 9), b.let_in(&token, &secret, 9)), (0, 0));
    a.advance(24 * 3600);
    assert_eq!(a.let_in(&token, &secret, 30), 20);
}

/// What the store does not take is told later, once.
#[tokio::test]
async fn what_the_store_did_not_take_is_told_again() {
    let world = World::new().await;
    let (token, secret) = world.limited("8/day").await;
    assert_eq!(world.let_in(&token, &secret, 3), 3);
    world.store.set_failing(true);
    world.advance(1);
    assert!(world.authority.flush_usage().await.is_err());
    world.store.set_failing(false);
    for _ in 0..3 {
        world.tell().await;
    }
    let world = world.restarted().await;
    assert_eq!(world.let_in(&token, &secret, 9), 5);
}

/// Where there are more than are told of at once, those whose use could let others in too often go first; who becomes one of
/// them while it waits is told of once.
#[tokio::test]
async fn who_comes_near_to_its_quota_is_told_of_first() {
    let world = World::new().await;
    for _ in 0..40 {
        let (token, secret) = world.limited("10000/day").await;
        assert_eq!(world.let_in(&token, &secret, 1), 1);
    }
    let (near, secret_of_near) = world.limited("10/day").await;
    assert_eq!(world.let_in(&near, &secret_of_near, 3), 3);
    let (becomes_near, secret) = world.limited("1000/day").await;
    assert_eq!(world.let_in(&becomes_near, &secret, 100), 100);
    world.tell().await;
    let world = world.restarted().await;
    assert_eq!(world.let_in(&near, &secret_of_near, 20), 7);
    assert_eq!(world.let_in(&becomes_near, &secret, 1_100), 900);

    let world = World::new().await;
    let (becomes_near, secret) = world.limited("1000/day").await;
    assert_eq!(world.let_in(&becomes_near, &secret, 100), 100);
    world.authority.flush_all_usage().await.unwrap();
    let world = world.restarted().await;
    assert_eq!(world.let_in(&becomes_near, &secret, 1_100), 900);
}
