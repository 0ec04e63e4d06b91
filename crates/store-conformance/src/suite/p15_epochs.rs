//! Promise 15: access tokens of an earlier epoch guard nothing.

use countersign_domain::change::{Guard, Mutation};
use countersign_domain::lifetime::Ttl;
use countersign_domain::store::StoreError;

use crate::world::{LIMIT, Make, World, assert_refused, must};

/// Promise 15.
pub async fn promise_15(make: Make<'_>) {
    an_epoch_ends_all_but_one(make).await;
    nothing_is_made_for_another_epoch(make).await;
}

async fn an_epoch_ends_all_but_one(make: Make<'_>) {
    let world = World::new(make).await;
    let account = world.create_account(&world.root).await;
    let (ended, kept) =
        (world.issue_access(&account, Ttl::DEFAULT).await, world.issue_access(&account, Ttl::DEFAULT).await);
    let next = account.clone().end_access_tokens(world.tick());
    let keep = kept.clone().kept_in(next.epoch);
    let mutation = |keep| Mutation::ReplaceAccount { expected: account.version, account: next.clone(), keep };
    let outdated = keep.clone().kept_in(next.epoch);
    assert_refused!(world.apply(mutation(Some(outdated))).await, StoreError::Stale);
    must(world.apply(mutation(Some(keep.clone()))).await);

    let may = |version, handle| {
        let token = world.service_token(&world.root, "guarded");
        world.apply_as(Guard::Token { handle, version }, Mutation::IssueServiceToken { token, limit: LIMIT })
    };
    assert_refused!(may(ended.version, ended.handle).await, StoreError::GuardFailed);
    assert_refused!(may(kept.version, kept.handle).await, StoreError::GuardFailed);
    must(may(keep.version, keep.handle).await);
    assert_eq!(world.sweep_ended(1).await, 1);
    assert_eq!(must(world.store.find_access_token(account.id, ended.handle).await), None);
    assert_eq!(must(world.store.find_access_token(account.id, keep.handle).await), Some(keep));
    assert_eq!(world.access_page(&account, 0, 10).await.total, 1);
}

async fn nothing_is_made_for_another_epoch(make: Make<'_>) {
    let world = World::new(make).await;
    let account = world.create_account(&world.root).await;
    let late = world.access_token(&account, Ttl::DEFAULT);
    let next = account.clone().end_access_tokens(world.tick());
    must(world.replace_account(account.version, &next).await);
    assert_refused!(world.issue_access_exactly(late, LIMIT).await, StoreError::Stale);
    must(world.issue_access_exactly(world.access_token(&next, Ttl::DEFAULT), LIMIT).await);
    // Who has logged in must have done so in the account as it is.
    let token = world.access_token(&next, Ttl::DEFAULT);
    let issue = Mutation::IssueAccessToken { token, limits: crate::world::limits(LIMIT) };
    let guard = |version| Guard::Account { id: account.id, version };
    assert_refused!(world.apply_as(guard(account.version), issue.clone()).await, StoreError::GuardFailed);
    must(world.apply_as(guard(next.version), issue).await);
}
