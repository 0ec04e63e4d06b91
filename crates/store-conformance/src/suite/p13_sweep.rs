//! Promise 13: a sweep removes expired access tokens only, as many as asked, and publishes each.

use std::time::Duration;

use countersign_domain::change::{FactChange, Mutation};
use countersign_domain::fact::CredentialKey;
use countersign_domain::lifetime::Ttl;
use countersign_domain::store::{Revision, StoreError};
use countersign_domain::time::Timestamp;

use crate::world::{LIMIT, Make, World, assert_refused, limits, must};

/// Promise 13.
pub async fn promise_13(make: Make<'_>) {
    only_what_has_expired(make).await;
    many(make).await;
}

async fn only_what_has_expired(make: Make<'_>) {
    let world = World::new(make).await;
    let account = world.create_account(&world.root).await;
    let mut tokens = Vec::new();
    for seconds in [3, 1, 2, 9] {
        tokens.push(world.issue_access(&account, Ttl::Seconds(seconds)).await);
    }
    let eternal = world.issue_access(&account, Ttl::Eternal).await;
    let service = world.issue(&account, "service tokens stay").await;
    let last = world.sink.take().last().map(|(revision, _)| *revision);

    let before = tokens[0].expires_at;
    assert_eq!(must(world.store.sweep_access_tokens(before, 1).await), 1, "the longest expired one");
    assert_eq!(must(world.store.sweep_access_tokens(before, 10).await), 1);
    assert_eq!(must(world.store.sweep_access_tokens(before, 10).await), 0, "what expires then has not");
    let gone = |index: usize| FactChange::CredentialGone {
        key: CredentialKey::Handle(tokens[index].handle),
        version: tokens[index].version.next(),
    };
    let next = |by| last.map(|last| Revision(last.0 + by)).unwrap_or(Revision(0));
    assert_eq!(world.sink.take(), [(next(1), vec![gone(1)]), (next(2), vec![gone(2)])]);

    let left = [tokens[0].clone(), tokens[3].clone(), eternal];
    let page = world.access_page(&account, 0, 10).await;
    assert_eq!((page.items.as_slice(), page.total), (left.as_slice(), 3));
    assert_refused!(world.revoke_access(&tokens[1]).await, StoreError::NotFound);
    assert_eq!(world.stored(&service).await, Some(service));
    // Nothing else ever takes the revision of a sweep, and the places of the swept are free again.
    assert_eq!(world.facts().await.1, next(2));
    let token = world.access_token(&account, Ttl::DEFAULT);
    assert_eq!(must(world.issue_access_exactly(token, 4).await), next(3));

    assert_eq!(must(world.store.sweep_access_tokens(Timestamp::NEVER, 100).await), 3);
    assert_eq!(world.access_page(&account, 0, 10).await.total, 1, "what never expires is never swept");
}

/// More than a store would do in one transaction.
async fn many(make: Make<'_>) {
    let world = World::new(make).await;
    let issue = |_| Mutation::IssueAccessToken {
        token: world.access_token(&world.root, Ttl::Seconds(1)),
        limits: limits(LIMIT),
    };
    world.apply_all((0..2_500).map(issue)).await;
    let later = world.clock.advance(Duration::from_secs(60));
    world.sink.take();
    assert_eq!(must(world.store.sweep_access_tokens(later, 2_200).await), 2_200);
    assert_eq!(must(world.store.sweep_access_tokens(later, 2_200).await), 300);
    let published: usize = world.sink.take().iter().map(|(_, facts)| facts.len()).sum();
    assert_eq!((published, world.access_page(&world.root, 0, 1).await.total), (2_500, 1));
}
