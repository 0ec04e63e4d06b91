//! The root account and the root token.

use std::sync::Arc;

use countersign_authority::{RootError, RootSettings};
use countersign_domain::id::AccountId;
use countersign_domain::secret::Secret;
use countersign_domain::verdict::Reason;

use crate::world::{ROOT_TOKEN, World};

fn stated(text: &str) -> RootSettings {
    RootSettings { token: Some(Secret::from_operator(text.into())), ..Default::default() }
}

#[tokio::test]
async fn a_new_root_token_ends_the_one_before_and_an_old_one_never_comes_back() {
    let world = World::new().await;
    let second = "another-root-token-of-the-tests-98765";
    world.authority.ensure_root(stated(ROOT_TOKEN)).await.unwrap();
    assert!(world.caller(ROOT_TOKEN).is_ok(), "the same token again changes nothing");
    world.authority.ensure_root(stated(second)).await.unwrap();
    assert_eq!(world.caller(ROOT_TOKEN).err(), Some(Reason::Unknown));
    assert!(world.caller(second).is_ok());
    let outcome = world.authority.ensure_root(stated(ROOT_TOKEN)).await;
    assert!(matches!(outcome, Err(RootError::RetiredToken)));
    assert!(world.caller(second).is_ok(), "a refused token changes nothing");
    world.authority.ensure_root(RootSettings::default()).await.unwrap();
    assert!(world.caller(second).is_ok(), "stating none changes nothing");
}

#[tokio::test]
async fn a_revoked_root_token_stays_revoked() {
    let world = World::new().await;
    let caller = world.root_caller();
    world.authority.revoke_access_token(world.asked(&caller), caller.handle, false).await.unwrap();
    let outcome = world.authority.ensure_root(stated(ROOT_TOKEN)).await.unwrap();
    assert!(outcome.stated_token_is_revoked);
    assert_eq!(world.caller(ROOT_TOKEN).err(), Some(Reason::Unknown));
    let reset = Arc::clone(&world.authority).reset_root_token().await.unwrap();
    assert!(world.caller(reset.minted.unwrap().reveal()).is_ok());
}

#[tokio::test]
async fn unfit_tokens_and_another_account_are_refused() {
    let world = World::new().await;
    for text in ["short", &"ab".repeat(20), &"x".repeat(129), "with a blank 0123456789 0123456789 0123"] {
        let outcome = world.authority.ensure_root(stated(text)).await;
        assert!(matches!(outcome, Err(RootError::UnfitToken)), "{text}");
    }
    let settings =
        RootSettings { account_id: Some(AccountId::from_bytes([9; 16])), ..RootSettings::default() };
    assert!(matches!(world.authority.ensure_root(settings).await, Err(RootError::OtherAccount { .. })));
}
