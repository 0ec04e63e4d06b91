//! Promise 1: the mutation and its audit entry are written together or not at all.

use countersign_domain::audit::{Action, Actor, AuditEntry, FieldChange, Origin, Subject};
use countersign_domain::change::{Change, Guard, Mutation};
use countersign_domain::id::{ChangeId, TokenRef};
use countersign_domain::lifetime::Ttl;
use countersign_domain::store::StoreError;
use countersign_domain::time::Clock as _;

use crate::world::{LIMIT, Make, World, assert_refused, must, whole_audit};

/// Promise 1.
pub async fn promise_01(make: Make<'_>) {
    what_is_written_is_read_back(make).await;
    a_refused_change_leaves_nothing(make).await;
    an_entry_is_read_back_as_written(make).await;
}

async fn what_is_written_is_read_back(make: Make<'_>) {
    let world = World::new(make).await;
    assert_eq!(must(world.store.find_root_account().await).as_ref(), Some(&world.root));
    assert_eq!(must(world.store.find_account(world.root.id).await).as_ref(), Some(&world.root));

    let issued = world.issue(&world.root, "a token ü").await;
    assert_eq!(world.stored(&issued).await.as_ref(), Some(&issued));
    let rotated = world.rotated(issued.clone());
    must(world.replace(issued.version, &rotated).await);
    assert_eq!(world.stored(&issued).await.as_ref(), Some(&rotated));
    must(world.revoke(&rotated).await);
    assert_eq!(world.stored(&issued).await, None);

    let access = world.issue_access(&world.root, Ttl::DEFAULT).await;
    let found = world.store.find_access_token(world.root.id, access.handle).await;
    assert_eq!(must(found).as_ref(), Some(&access));
    must(world.revoke_access(&access).await);
    assert_eq!(must(world.store.find_access_token(world.root.id, access.handle).await), None);
    must(world.store.check().await);
}

async fn a_refused_change_leaves_nothing(make: Make<'_>) {
    let world = World::new(make).await;
    let issued = world.issue(&world.root, "first").await;
    let before = (world.facts().await, world.audit(whole_audit(100)).await);

    let stale = world.rotated(world.rotated(issued.clone()));
    assert_refused!(world.replace(stale.version, &stale).await, StoreError::Stale);
    assert_refused!(world.issue_exactly(issued.clone(), LIMIT).await, StoreError::Duplicate);
    let another = world.service_token(&world.root, "second");
    assert_refused!(world.issue_exactly(another, 1).await, StoreError::LimitReached { limit: 1 });
    let again = Mutation::CreateAccount { account: world.root.clone(), limit: LIMIT };
    assert_refused!(world.apply(again).await, StoreError::Duplicate);

    assert_eq!((world.facts().await, world.audit(whole_audit(100)).await), before);
    assert_eq!(world.page(&world.root, 0, 10).await.total, 1);
}

async fn an_entry_is_read_back_as_written(make: Make<'_>) {
    let world = World::new(make).await;
    let token = world.service_token(&world.root, "audited");
    let field = |field: &str, from: Option<&str>, to: Option<&str>| FieldChange {
        field: field.into(),
        from: from.map(Into::into),
        to: to.map(Into::into),
    };
    let entry = AuditEntry {
        id: ChangeId::mint(world.tick(), &world.entropy),
        at: world.clock.now(),
        actor: Actor::Token { account: world.root.id, handle: world.root_token.handle },
        action: Action::IssueServiceToken,
        account: world.root.id,
        subject: Subject::Token(TokenRef::Service(token.id)),
        origin: Origin { address: must("2001:db8::1".parse().map(Some)), request_id: None },
        changes: vec![field("name", None, Some("a \"quoted\"\n ü")), field("expires_at", Some(""), None)],
    };
    let mutation = Mutation::IssueServiceToken { token, limit: LIMIT };
    let change = Change { guard: Guard::System, mutation, audit: entry.clone() };
    let revision = must(world.store.apply(change).await);
    let newest = world.audit(whole_audit(100)).await.into_iter().next();
    assert_eq!(newest.map(|record| (record.revision, record.entry)), Some((revision, entry)));
}
