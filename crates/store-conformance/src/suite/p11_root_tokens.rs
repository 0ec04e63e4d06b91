//! Promise 11: a root token's handle that was set before can never be set again.

use countersign_domain::access_token::AccessToken;
use countersign_domain::change::{FactChange, Mutation};
use countersign_domain::fact::{CredentialKey, Fact};
use countersign_domain::lifetime::Ttl;
use countersign_domain::store::{RootToken, StoreError};

use crate::world::{LIMIT, Make, World, assert_refused, must};

/// Promise 11.
pub async fn promise_11(make: Make<'_>) {
    the_next_ends_the_one_before(make).await;
    never_again(make).await;
    what_is_retired_must_be_the_last(make).await;
    a_revoked_one_is_remembered(make).await;
}

fn set(token: &AccessToken, retire: Option<&AccessToken>) -> Mutation {
    Mutation::SetRootToken {
        token: token.clone(),
        retire: retire.map(|retired| (retired.handle, retired.version)),
    }
}

async fn the_next_ends_the_one_before(make: Make<'_>) {
    let world = World::new(make).await;
    let (first, second) = (&world.root_token, world.access_token(&world.root, Ttl::Eternal));
    let live = |token: &AccessToken| Some(RootToken { handle: token.handle, live: Some(token.version) });
    assert_eq!(must(world.store.find_root_token().await), live(first));
    let revision = must(world.apply(set(&second, Some(first))).await);
    assert_eq!(must(world.store.find_root_token().await), live(&second));
    assert_eq!(must(world.store.find_access_token(world.root.id, first.handle).await), None);
    let gone = FactChange::CredentialGone {
        key: CredentialKey::Handle(first.handle),
        version: first.version.next(),
    };
    let published = vec![gone, FactChange::Credential(Fact::from(&second))];
    assert_eq!(world.sink.take(), [(revision, published)]);
    assert_eq!(world.access_page(&world.root, 0, 10).await.total, 1);
}

async fn never_again(make: Make<'_>) {
    let world = World::new(make).await;
    let (first, second) = (&world.root_token, world.access_token(&world.root, Ttl::Eternal));
    assert_refused!(world.apply(set(first, Some(first))).await, StoreError::Duplicate);
    must(world.apply(set(&second, Some(first))).await);
    assert_refused!(world.apply(set(first, Some(&second))).await, StoreError::Duplicate);
    assert_refused!(world.apply(set(&second, Some(&second))).await, StoreError::Duplicate);
    let ordinary = world.issue_access(&world.root, Ttl::DEFAULT).await;
    assert_refused!(world.apply(set(&ordinary, Some(&second))).await, StoreError::Duplicate);
    assert_eq!(must(world.store.find_root_token().await).map(|root| root.handle), Some(second.handle));
}

async fn what_is_retired_must_be_the_last(make: Make<'_>) {
    let world = World::new(make).await;
    let next = world.access_token(&world.root, Ttl::Eternal);
    let ordinary = world.issue_access(&world.root, Ttl::DEFAULT).await;
    let newer = AccessToken { version: world.root_token.version.next(), ..world.root_token.clone() };
    for retire in [None, Some(&ordinary), Some(&newer)] {
        assert_refused!(world.apply(set(&next, retire)).await, StoreError::Stale);
    }
    let mut homeless = next.clone();
    homeless.account = world.account(&world.root).id;
    assert_refused!(world.apply(set(&homeless, Some(&world.root_token))).await, StoreError::NotFound);
    must(world.apply(set(&next, Some(&world.root_token))).await);
}

async fn a_revoked_one_is_remembered(make: Make<'_>) {
    let world = World::new(make).await;
    let (first, second) = (&world.root_token, world.access_token(&world.root, Ttl::Eternal));
    must(world.revoke_access(first).await);
    let remembered = RootToken { handle: first.handle, live: None };
    assert_eq!(must(world.store.find_root_token().await), Some(remembered));
    assert_refused!(world.apply(set(first, None)).await, StoreError::Duplicate);
    assert_refused!(world.apply(set(&second, Some(first))).await, StoreError::Stale);
    must(world.apply(set(&second, None)).await);
    // As an ordinary token the same handle may come again: what is forbidden is to set it.
    must(world.issue_access_exactly(first.clone(), LIMIT).await);
}
