//! Promise 2: a change whose guard does not hold is refused, whatever else is wrong with it.

use countersign_domain::access_token::AccessToken;
use countersign_domain::account::{Account, AccountState};
use countersign_domain::change::{Guard, Mutation};
use countersign_domain::lifetime::Ttl;
use countersign_domain::store::{StoreError, Version};

use crate::world::{LIMIT, Make, World, assert_refused, must};

/// Promise 2.
pub async fn promise_02(make: Make<'_>) {
    a_live_caller_may(make).await;
    an_ended_caller_may_not(make).await;
    a_disabled_account_stops_all_below_it(make).await;
    a_chain_has_a_bound(make).await;
    the_guard_is_judged_first(make).await;
    nothing_comes_after_the_end(make).await;
}

fn in_name_of(caller: &AccessToken) -> Guard {
    Guard::Token { handle: caller.handle, version: caller.version }
}

fn issue(world: &World) -> Mutation {
    Mutation::IssueServiceToken { token: world.service_token(&world.root, "guarded"), limit: LIMIT }
}

async fn a_live_caller_may(make: Make<'_>) {
    let world = World::new(make).await;
    let below = world.create_account(&world.root).await;
    let caller = world.issue_access(&below, Ttl::Seconds(1)).await;
    must(world.apply_as(in_name_of(&caller), issue(&world)).await);
    // A store knows no time: whether the caller has expired was judged before.
    world.clock.set(caller.expires_at);
    must(world.apply_as(in_name_of(&caller), issue(&world)).await);
}

async fn an_ended_caller_may_not(make: Make<'_>) {
    let world = World::new(make).await;
    let caller = world.issue_access(&world.root, Ttl::DEFAULT).await;
    let newer = Guard::Token { handle: caller.handle, version: caller.version.next() };
    assert_refused!(world.apply_as(newer, issue(&world)).await, StoreError::GuardFailed);
    must(world.apply_as(in_name_of(&caller), issue(&world)).await);
    must(world.revoke_access(&caller).await);
    assert_refused!(world.apply_as(in_name_of(&caller), issue(&world)).await, StoreError::GuardFailed);
    let unknown = world.access_token(&world.root, Ttl::DEFAULT);
    assert_refused!(world.apply_as(in_name_of(&unknown), issue(&world)).await, StoreError::GuardFailed);
}

async fn a_disabled_account_stops_all_below_it(make: Make<'_>) {
    let world = World::new(make).await;
    let disabled = Account { state: AccountState::Disabled, ..world.account(&world.root) };
    must(world.create_exactly(disabled.clone()).await);
    let below = world.create_account(&disabled).await;
    for account in [&disabled, &below] {
        let caller = world.issue_access(account, Ttl::DEFAULT).await;
        assert_refused!(world.apply_as(in_name_of(&caller), issue(&world)).await, StoreError::GuardFailed);
    }
    let caller = world.issue_access(&world.root, Ttl::DEFAULT).await;
    must(world.apply_as(in_name_of(&caller), issue(&world)).await);
}

/// A tree is at most eight levels deep; what is deeper cannot be judged and is refused.
async fn a_chain_has_a_bound(make: Make<'_>) {
    let world = World::new(make).await;
    let mut account = world.root.clone();
    for level in 2..=Account::DEEPEST + 1 {
        account = world.create_account(&account).await;
        let caller = world.issue_access(&account, Ttl::DEFAULT).await;
        let applied = world.apply_as(in_name_of(&caller), issue(&world)).await;
        if level <= Account::DEEPEST {
            must(applied);
        } else {
            assert_refused!(applied, StoreError::GuardFailed);
        }
    }
}

async fn the_guard_is_judged_first(make: Make<'_>) {
    let world = World::new(make).await;
    let guard = Guard::Token { handle: world.root_token.handle, version: Version::from_number(99) };
    let stored = world.issue(&world.root, "stored").await;
    let absent = world.service_token(&world.root, "absent");
    let wrong_otherwise = [
        Mutation::CreateAccount { account: world.root.clone(), limit: LIMIT },
        Mutation::IssueServiceToken { token: stored, limit: LIMIT },
        Mutation::IssueServiceToken { token: absent.clone(), limit: 0 },
        Mutation::ReplaceServiceToken { expected: absent.version, token: absent },
        Mutation::SetRootToken { token: world.root_token.clone(), retire: None },
    ];
    for mutation in wrong_otherwise {
        assert_refused!(world.apply_as(guard, mutation).await, StoreError::GuardFailed);
    }
}

/// Changes that reach a store at once must not share a judgement that no longer holds: whatever a token was used for
/// comes before its end, also when it ends itself.
async fn nothing_comes_after_the_end(make: Make<'_>) {
    let world = World::new(make).await;
    for ends_itself in [true, false].repeat(10) {
        let caller = world.issue_access(&world.root, Ttl::DEFAULT).await;
        let by_caller = || world.apply_as(in_name_of(&caller), issue(&world));
        let (account, handle, expected) = (caller.account, caller.handle, caller.version);
        let end = Mutation::RevokeAccessToken { account, handle, expected, descendants: false };
        let end = world.apply_as(if ends_itself { in_name_of(&caller) } else { Guard::System }, end);
        let (first, second, end, third, fourth) =
            tokio::join!(biased; by_caller(), by_caller(), end, by_caller(), by_caller());
        let end = must(end);
        for made in [first, second, third, fourth] {
            match made {
                Ok(revision) => assert!(revision < end, "{revision} was made by a token that ended at {end}"),
                refused => assert_refused!(refused, StoreError::GuardFailed),
            }
        }
    }
}
