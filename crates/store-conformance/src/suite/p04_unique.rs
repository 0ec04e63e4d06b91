//! Promise 4: ids, handles and e-mails are unique, byte for byte.

use countersign_domain::account::Account;
use countersign_domain::email::Email;
use countersign_domain::lifetime::Ttl;
use countersign_domain::store::StoreError;

use crate::world::{LIMIT, Make, World, assert_refused, must};

/// Promise 4.
pub async fn promise_04(make: Make<'_>) {
    accounts(make).await;
    tokens(make).await;
}

async fn accounts(make: Make<'_>) {
    let world = World::new(make).await;
    let first = Account { email: Email::from_store("someone@example.com"), ..world.account(&world.root) };
    must(world.create_exactly(first.clone()).await);
    let same_id = Account { email: Email::from_store("other@example.com"), ..first.clone() };
    assert_refused!(world.create_exactly(same_id).await, StoreError::Duplicate);
    let same_email = Account { email: first.email.clone(), ..world.account(&world.root) };
    assert_refused!(world.create_exactly(same_email).await, StoreError::Duplicate);
    for other in
        ["Someone@example.com", "someone@example.com ", "sómeone@example.com", "so\u{301}meone@example.com"]
    {
        let account = Account { email: Email::from_store(other), ..world.account(&world.root) };
        must(world.create_exactly(account.clone()).await);
        assert_eq!(must(world.store.find_account(account.id).await), Some(account));
    }
    let second_root = Account { parent: None, ..world.account(&world.root) };
    assert_refused!(world.create_exactly(second_root).await, StoreError::Duplicate);
}

async fn tokens(make: Make<'_>) {
    let world = World::new(make).await;
    let other = world.create_account(&world.root).await;
    let service = world.issue(&world.root, "a name").await;
    assert_refused!(world.issue_exactly(service.clone(), LIMIT).await, StoreError::Duplicate);
    let mut elsewhere = service.clone();
    elsewhere.account = other.id;
    assert_refused!(world.issue_exactly(elsewhere, LIMIT).await, StoreError::Duplicate);
    world.issue(&world.root, "a name").await;

    let access = world.issue_access(&world.root, Ttl::DEFAULT).await;
    assert_refused!(world.issue_access_exactly(access.clone(), LIMIT).await, StoreError::Duplicate);
    let mut elsewhere = access.clone();
    elsewhere.account = other.id;
    assert_refused!(world.issue_access_exactly(elsewhere, LIMIT).await, StoreError::Duplicate);
}
