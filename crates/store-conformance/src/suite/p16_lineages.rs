//! Promise 16: what stems from a token that was ended with its descendants guards nothing.

use countersign_domain::access_token::AccessToken;
use countersign_domain::change::{Guard, Mutation};
use countersign_domain::lifetime::Ttl;
use countersign_domain::lineage::Lineage;
use countersign_domain::store::{MOST_CUTS, StoreError};

use crate::world::{LIMIT, Make, World, assert_refused, must};

/// Promise 16.
pub async fn promise_16(make: Make<'_>) {
    let world = World::new(make).await;
    let parent = world.issue_access(&world.root, Ttl::DEFAULT).await;
    let child = issue_below(&world, &[&parent]).await;
    let grandchild = issue_below(&world, &[&parent, &child]).await;
    let other = world.issue_access(&world.root, Ttl::DEFAULT).await;
    let mut service = world.service_token(&world.root, "of the grandchild");
    service.lineage = lineage(&[&parent, &child, &grandchild]);
    must(world.issue_exactly(service.clone(), LIMIT).await);

    let may = |caller: &AccessToken| {
        let token = world.service_token(&world.root, "guarded");
        let guard = Guard::Token { handle: caller.handle, version: caller.version };
        world.apply_as(guard, Mutation::IssueServiceToken { token, limit: LIMIT })
    };
    // Without its descendants it ends alone.
    must(world.revoke_access(&child).await);
    must(may(&grandchild).await);
    must(world.revoke_descendants(&parent).await);
    assert_refused!(may(&grandchild).await, StoreError::GuardFailed);
    must(may(&other).await);

    assert_eq!(world.sweep_ended(2).await, 2, "the grandchild and its service token");
    assert_eq!(world.stored(&service).await, None);
    assert_eq!(must(world.store.find_access_token(world.root.id, grandchild.handle).await), None);
    assert_eq!(must(world.store.find_access_token(world.root.id, other.handle).await), Some(other));
    assert_eq!(world.sweep_ended(2).await, 0);
    some_ends_wait(&world).await;
}

/// How many ends of tokens with their descendants wait for the sweep is bounded; an end alone always goes.
async fn some_ends_wait(world: &World) {
    for _ in 0..MOST_CUTS {
        let token = world.issue_access(&world.root, Ttl::DEFAULT).await;
        must(world.revoke_descendants(&token).await);
    }
    let one_more = world.issue_access(&world.root, Ttl::DEFAULT).await;
    assert_refused!(world.revoke_descendants(&one_more).await, StoreError::Busy);
    must(world.revoke_access(&one_more).await);

    let another = world.issue_access(&world.root, Ttl::DEFAULT).await;
    world.sweep_ended(100).await;
    must(world.revoke_descendants(&another).await);
}

fn lineage(of: &[&AccessToken]) -> Lineage {
    let handles: Vec<_> = of.iter().map(|token| token.handle).collect();
    must(Lineage::of(&handles).ok_or("too long"))
}

async fn issue_below(world: &World, of: &[&AccessToken]) -> AccessToken {
    let token = AccessToken { lineage: lineage(of), ..world.access_token(&world.root, Ttl::DEFAULT) };
    must(world.issue_access_exactly(token.clone(), LIMIT).await);
    token
}
