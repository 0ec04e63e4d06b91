//! Promise 3: what replaces or ends a row must know its account and its version.

use countersign_domain::change::Mutation;
use countersign_domain::id::ClientId;
use countersign_domain::lifetime::Ttl;
use countersign_domain::service_token::ServiceToken;
use countersign_domain::store::StoreError;

use crate::world::{Make, World, assert_refused, must, revocation};

/// Promise 3.
pub async fn promise_03(make: Make<'_>) {
    a_service_token_of_another_version(make).await;
    a_service_token_of_another_account(make).await;
    an_access_token(make).await;
    of_two_only_one(make).await;
}

async fn a_service_token_of_another_version(make: Make<'_>) {
    let world = World::new(make).await;
    let first = world.issue(&world.root, "rotated").await;
    let second = world.rotated(first.clone());
    must(world.replace(first.version, &second).await);
    let other = world.rotated(first.clone());
    assert_refused!(world.replace(first.version, &other).await, StoreError::Stale);
    assert_refused!(world.replace(second.version.next(), &other).await, StoreError::Stale);
    assert_refused!(world.revoke(&first).await, StoreError::Stale);
    assert_eq!(world.stored(&first).await.as_ref(), Some(&second));

    must(world.revoke(&second).await);
    assert_refused!(world.revoke(&second).await, StoreError::NotFound);
    assert_refused!(world.replace(second.version, &other).await, StoreError::NotFound);
    assert_eq!(world.stored(&first).await, None, "what is revoked stays away");
}

async fn a_service_token_of_another_account(make: Make<'_>) {
    let world = World::new(make).await;
    let other = world.create_account(&world.root).await;
    let token = world.issue(&world.root, "ours").await;
    assert_eq!(must(world.store.find_service_token(other.id, token.id).await), None);
    let foreign = ServiceToken { account: other.id, ..world.rotated(token.clone()) };
    assert_refused!(world.replace(token.version, &foreign).await, StoreError::NotFound);
    assert_refused!(world.revoke(&foreign).await, StoreError::NotFound);
    // Doors are told of the client id: to end another one would leave this one open.
    let renamed = ServiceToken { client_id: ClientId::from_bytes([7; 16]), ..world.rotated(token.clone()) };
    assert_refused!(world.replace(token.version, &renamed).await, StoreError::NotFound);
    assert_refused!(world.apply(revocation(&renamed)).await, StoreError::NotFound);
    assert_eq!(world.stored(&token).await.as_ref(), Some(&token));
}

async fn an_access_token(make: Make<'_>) {
    let world = World::new(make).await;
    let other = world.create_account(&world.root).await;
    let token = world.issue_access(&world.root, Ttl::DEFAULT).await;
    assert_eq!(must(world.store.find_access_token(other.id, token.handle).await), None);
    let anywhere = must(world.store.find_access_token_anywhere(token.handle).await);
    assert_eq!(anywhere.as_ref(), Some(&token));
    let (handle, descendants) = (token.handle, false);
    let end = |account, expected| Mutation::RevokeAccessToken { account, handle, expected, descendants };
    assert_refused!(world.apply(end(other.id, token.version)).await, StoreError::NotFound);
    assert_refused!(world.apply(end(world.root.id, token.version.next())).await, StoreError::Stale);
    must(world.apply(end(world.root.id, token.version)).await);
    assert_refused!(world.apply(end(world.root.id, token.version)).await, StoreError::NotFound);
}

/// Of changes that were decided on the same row, one is made.
async fn of_two_only_one(make: Make<'_>) {
    let world = World::new(make).await;
    for _ in 0..20 {
        let token = world.issue(&world.root, "contended").await;
        let (one, other) = (world.rotated(token.clone()), world.rotated(token.clone()));
        let (first, second, third) = tokio::join!(
            world.replace(token.version, &one),
            world.replace(token.version, &other),
            world.replace(token.version, &one)
        );
        let made = [&first, &second, &third].into_iter().filter(|result| result.is_ok()).count();
        assert_eq!(made, 1, "{first:?} {second:?} {third:?}");
    }
}
