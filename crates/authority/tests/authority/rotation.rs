//! Rotation with overlap, and rotations whose answer was lost.

use countersign_authority::AccessTokenRequest;
use countersign_domain::error::Error;
use countersign_domain::service_token::ServiceTokenPatch;
use countersign_domain::time::Clock;
use countersign_domain::verdict::Reason;

use crate::world::World;

#[tokio::test]
async fn both_secrets_open_until_the_deadline() {
    let world = World::new().await;
    let (token, first) = world.issue("1h").await;
    let caller = world.root_caller();
    let deadline = world.clock.now().after(std::time::Duration::from_secs(60));
    let rotated = world.authority.rotate_service_token(world.asked(&caller), token.id, Some(deadline), false);
    let (_, second) = rotated.await.unwrap();
    assert_eq!((world.shown(&token, &first), world.shown(&token, &second)), (Ok(1), Ok(2)));
    world.advance(60);
    assert_eq!((world.shown(&token, &first), world.shown(&token, &second)), (Err(Reason::RotatedOut), Ok(2)));
}

#[tokio::test]
async fn a_lost_answer_does_not_kill_the_secret_in_use() {
    let world = World::new().await;
    let (token, first) = world.issue("1h").await;
    let caller = world.root_caller();
    let deadline = Some(world.clock.now().after(std::time::Duration::from_secs(600)));
    let rotate =
        |is_retry| world.authority.rotate_service_token(world.asked(&caller), token.id, deadline, is_retry);
    let (_, lost) = rotate(false).await.unwrap();
    let (view, received) = rotate(true).await.unwrap();
    assert_eq!(view.token.current.version, 2, "one rotation");
    assert_eq!(world.shown(&token, &first), Ok(1), "the secret in use lives on");
    assert_eq!(world.shown(&token, &lost), Err(Reason::WrongSecret));
    assert_eq!(world.shown(&token, &received), Ok(2));

    // Now the new secret is in use: another "repetition" is a rotation of its own.
    let (view, third) = rotate(true).await.unwrap();
    assert_eq!(view.token.current.version, 3);
    assert_eq!(world.shown(&token, &received), Ok(2));
    assert_eq!(world.shown(&token, &third), Ok(3));
    assert_eq!(world.shown(&token, &first), Err(Reason::WrongSecret), "there are exactly two secrets");
}

#[tokio::test]
async fn a_late_or_foreign_repetition_is_a_rotation() {
    let world = World::new().await;
    let (token, _) = world.issue("1h").await;
    let caller = world.root_caller();
    let rotate = |caller, is_retry| {
        world.authority.rotate_service_token(world.asked(caller), token.id, None, is_retry)
    };
    rotate(&caller, false).await.unwrap();
    let text = world.issue_access(-1, None).await;
    let other = world.caller(text.reveal()).unwrap();
    assert_eq!(rotate(&other, true).await.unwrap().0.token.current.version, 3);
    world.advance(61);
    assert_eq!(rotate(&other, true).await.unwrap().0.token.current.version, 4);
}

#[tokio::test]
async fn a_repeated_rotating_update_gives_the_secret_again() {
    let world = World::new().await;
    let (token, first) = world.issue("1h").await;
    let caller = world.root_caller();
    let update = |is_retry| {
        let patch = ServiceTokenPatch {
            secret_version: Some(2),
            previous_expires_at: Some(world.clock.now().after(std::time::Duration::from_secs(600))),
            ..Default::default()
        };
        world.authority.update_service_token(world.asked(&caller), token.id, patch, is_retry)
    };
    assert!(update(false).await.unwrap().1.is_some());
    assert!(update(false).await.unwrap().1.is_none(), "the version is reached: no rotation");
    let again = update(true).await.unwrap().1.unwrap();
    assert_eq!((world.shown(&token, &first), world.shown(&token, &again)), (Ok(1), Ok(2)));
}

/// Terraform states the version that is there in every update. A lost answer to such an update must not cost the secret
/// that somebody has received from a rotation a moment before.
#[tokio::test]
async fn a_repeated_update_of_something_else_leaves_the_secret_alone() {
    let world = World::new().await;
    let (token, _) = world.issue("1h").await;
    let caller = world.root_caller();
    let rotated = world.authority.rotate_service_token(world.asked(&caller), token.id, None, false);
    let (_, received) = rotated.await.unwrap();
    let patch = ServiceTokenPatch {
        name: Some(countersign_domain::name::Name::parse("renamed").unwrap()),
        secret_version: Some(2),
        ..Default::default()
    };
    let updated = world.authority.update_service_token(world.asked(&caller), token.id, patch, true);
    assert!(updated.await.unwrap().1.is_none());
    assert_eq!(world.shown(&token, &received), Ok(2));
}

#[tokio::test]
async fn a_caller_is_current_until_its_token_ends() {
    let world = World::new().await;
    let (short, eternal) = (world.issue_access(2, None).await, world.issue_access(-1, None).await);
    let (short, eternal) = (world.caller(short.reveal()).unwrap(), world.caller(eternal.reveal()).unwrap());
    let root = world.root_caller();
    assert!(world.authority.is_current(&short) && world.authority.is_current(&eternal));
    world.advance(2);
    assert!(!world.authority.is_current(&short) && world.authority.is_current(&eternal));
    world.authority.revoke_access_token(world.asked(&root), eternal.handle, false).await.unwrap();
    assert!(!world.authority.is_current(&eternal));
}

#[tokio::test]
async fn a_revoked_caller_leaves_no_successor() {
    let world = World::new().await;
    let text = world.issue_access(-1, None).await;
    let caller = world.caller(text.reveal()).unwrap();
    let root = world.root_caller();
    let (token, secret) = world.issue("1h").await;
    world.authority.revoke_access_token(world.asked(&root), caller.handle, false).await.unwrap();
    // Judged before the revocation, applied after it: the guard of the change refuses.
    let issued =
        world.authority.issue_service_token(world.asked(&caller), crate::world::new_token("1h")).await;
    assert!(matches!(issued, Err(Error::Unauthenticated)));
    let rotated = world.authority.rotate_service_token(world.asked(&caller), token.id, None, false).await;
    assert!(matches!(rotated, Err(Error::Unauthenticated)));
    assert_eq!(world.shown(&token, &secret), Ok(1));
}

#[tokio::test]
async fn revoked_and_disabled_are_refused_at_once() {
    let world = World::new().await;
    let caller = world.root_caller();
    let (token, secret) = world.issue("1h").await;
    let set = |enabled| ServiceTokenPatch { enabled: Some(enabled), ..Default::default() };
    world.authority.update_service_token(world.asked(&caller), token.id, set(false), false).await.unwrap();
    assert_eq!(world.shown(&token, &secret), Err(Reason::Disabled));
    world.authority.update_service_token(world.asked(&caller), token.id, set(true), false).await.unwrap();
    assert_eq!(world.shown(&token, &secret), Ok(1));
    world.authority.revoke_service_token(world.asked(&caller), token.id).await.unwrap();
    assert_eq!(world.shown(&token, &secret), Err(Reason::Unknown));
    let again = world.authority.revoke_service_token(world.asked(&caller), token.id).await;
    assert!(matches!(again, Err(Error::NotFound)));
}

#[tokio::test]
async fn a_caller_that_expires_on_the_way_leaves_no_successor() {
    let world = World::new().await;
    let text = world.issue_access(2, None).await;
    let caller = world.caller(text.reveal()).unwrap();
    world.advance(2);
    let eternal = countersign_domain::lifetime::Ttl::Eternal;
    let request = AccessTokenRequest { ttl: eternal, ..AccessTokenRequest::default() };
    let issued = world.authority.issue_access_token(world.asked(&caller), request).await;
    assert!(matches!(issued, Err(Error::Unauthenticated)));
}
