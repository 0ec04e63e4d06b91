//! Promise 5: an account holds no more tokens than it may; there are no tokens without an account.

use std::time::Duration;

use countersign_domain::change::{MembershipLimits, Mutation};
use countersign_domain::lifetime::Ttl;
use countersign_domain::organization::{Consent, Membership};
use countersign_domain::store::StoreError;

use crate::world::{LIMIT, Make, World, assert_refused, must};

/// Promise 5.
pub async fn promise_05(make: Make<'_>) {
    up_to_the_limit(make).await;
    kinds_and_accounts_count_apart(make).await;
    at_once(make).await;
    expired_access_tokens_leave_room(make).await;
    each_is_judged_by_its_own_time(make).await;
    what_is_agreed_to_counts(make).await;
    without_an_account(make).await;
}

/// Whoever invites an account takes none of its room; the account does when it agrees, and gives it back.
async fn what_is_agreed_to_counts(make: Make<'_>) {
    let world = World::new(make).await;
    let member = world.create_account(&world.root).await;
    let (first, _) = world.create_organization(&world.root).await;
    let (second, _) = world.create_organization(&world.root).await;
    let asked =
        |organization| world.membership(organization, &member).with_consent(Consent::Asked, world.tick());
    let (one, other) = (asked(&first), asked(&second));
    must(world.invite_exactly(&one, 2).await);
    must(world.invite_exactly(&other, 2).await);
    let answer = |before: &Membership, consent| {
        let (expected, membership) = (before.version, before.clone().with_consent(consent, world.tick()));
        let mutation = Mutation::ReplaceMembership { expected, membership: membership.clone(), limit: 1 };
        async { world.apply(mutation).await.map(|_| membership) }
    };
    let agreed = must(answer(&one, Consent::Given).await);
    assert_refused!(answer(&other, Consent::Given).await, StoreError::LimitReached { limit: 1 });
    let agreed = must(answer(&agreed, Consent::Given).await);
    must(answer(&agreed, Consent::Refused).await);
    let agreed = must(answer(&other, Consent::Given).await);
    must(world.apply(Mutation::DeleteMembership { id: agreed.id, expected: agreed.version }).await);
    let (third, _) = world.create_organization(&world.root).await;
    let limits = MembershipLimits { of_account: 1, of_organization: LIMIT };
    let membership = world.membership(&third, &member);
    must(world.apply(Mutation::CreateMembership { membership, limits }).await);
}

async fn up_to_the_limit(make: Make<'_>) {
    let world = World::new(make).await;
    let account = world.create_account(&world.root).await;
    let issue = || world.issue_exactly(world.service_token(&account, "one of two"), 2);
    let first = world.service_token(&account, "first");
    must(world.issue_exactly(first.clone(), 2).await);
    must(issue().await);
    assert_refused!(issue().await, StoreError::LimitReached { limit: 2 });
    must(world.revoke(&first).await);
    must(issue().await);
    assert_refused!(issue().await, StoreError::LimitReached { limit: 2 });
    assert_eq!(world.page(&account, 0, 10).await.total, 2);
    let none = world.service_token(&account, "not one");
    assert_refused!(world.issue_exactly(none, 0).await, StoreError::LimitReached { limit: 0 });
}

async fn kinds_and_accounts_count_apart(make: Make<'_>) {
    let world = World::new(make).await;
    let (one, other) = (world.create_account(&world.root).await, world.create_account(&world.root).await);
    must(world.issue_exactly(world.service_token(&one, "service"), 1).await);
    must(world.issue_exactly(world.service_token(&other, "service"), 1).await);
    let access = world.access_token(&one, Ttl::DEFAULT);
    must(world.issue_access_exactly(access.clone(), 1).await);
    let second = || world.issue_access_exactly(world.access_token(&one, Ttl::DEFAULT), 1);
    assert_refused!(second().await, StoreError::LimitReached { limit: 1 });
    must(world.revoke_access(&access).await);
    must(second().await);
}

/// Changes that reach a store at once count each other.
async fn at_once(make: Make<'_>) {
    let world = World::new(make).await;
    let account = world.create_account(&world.root).await;
    let issue = || world.issue_exactly(world.service_token(&account, "one of three"), 3);
    let (a, b, c, d, e) = tokio::join!(issue(), issue(), issue(), issue(), issue());
    let made = [a, b, c, d, e].iter().filter(|result| result.is_ok()).count();
    assert_eq!((made, world.page(&account, 0, 10).await.total), (3, 3));
}

/// They are there until they are swept, but nobody has to wait for that; nor can they become any number.
async fn expired_access_tokens_leave_room(make: Make<'_>) {
    let world = World::new(make).await;
    let account = world.create_account(&world.root).await;
    let issue = || world.issue_access_exactly(world.access_token(&account, Ttl::Seconds(60)), 2);
    for _round in 0..2 {
        must(issue().await);
        must(issue().await);
        assert_refused!(issue().await, StoreError::LimitReached { limit: 2 });
        world.clock.advance(Duration::from_secs(61));
    }
    assert_refused!(issue().await, StoreError::LimitReached { limit: 2 });
    let later = world.clock.advance(Duration::from_secs(1));
    must(world.store.sweep_access_tokens(later, 1).await);
    must(issue().await);
}

/// What changes that reach a store at once find expired is not what the first of them found.
async fn each_is_judged_by_its_own_time(make: Make<'_>) {
    let world = World::new(make).await;
    for _round in 0..8 {
        let account = world.create_account(&world.root).await;
        world.issue_access(&account, Ttl::Seconds(60)).await;
        let [busy, also_busy, still_busy] = [(); 3].map(|()| world.account(&world.root));
        world.clock.advance(Duration::from_secs(58));
        let early = world.access_token(&account, Ttl::Eternal);
        world.clock.advance(Duration::from_secs(2));
        let late = world.access_token(&account, Ttl::Eternal);
        let (.., early, late) = tokio::join!(
            world.create_exactly(busy),
            world.create_exactly(also_busy),
            world.create_exactly(still_busy),
            world.issue_access_exactly(early, 1),
            world.issue_access_exactly(late, 1),
        );
        assert_refused!(early, StoreError::LimitReached { limit: 1 });
        must(late);
    }
}

async fn without_an_account(make: Make<'_>) {
    let world = World::new(make).await;
    let absent = world.account(&world.root);
    let token = world.service_token(&absent, "homeless");
    assert_refused!(world.issue_exactly(token, LIMIT).await, StoreError::NotFound);
    let token = world.access_token(&absent, Ttl::DEFAULT);
    assert_refused!(world.issue_access_exactly(token, LIMIT).await, StoreError::NotFound);
    let below = world.account(&absent);
    assert_refused!(world.create_exactly(below).await, StoreError::NotFound);
    assert_eq!(world.page(&absent, 0, 10).await.total, 0);
}
