//! Promise 6: what was committed is published in order, before anyone hears of it; what was refused is not.

use std::sync::Arc;

use countersign_domain::change::FactChange;
use countersign_domain::fact::Fact;
use countersign_domain::lifetime::Ttl;
use countersign_domain::store::Revision;

use crate::world::{LIMIT, Make, World, must};

/// Promise 6.
pub async fn promise_06(make: Make<'_>) {
    before_the_answer(make).await;
    in_order(make).await;
}

async fn before_the_answer(make: Make<'_>) {
    let world = World::new(make).await;
    let token = world.service_token(&world.root, "published");
    let revision = must(world.issue_exactly(token.clone(), LIMIT).await);
    assert_eq!(world.sink.take(), [(revision, vec![FactChange::Credential(Fact::from(&token))])]);

    assert!(world.issue_exactly(token.clone(), LIMIT).await.is_err());
    assert_eq!(world.sink.take(), [], "a refused change is not published");

    let rotated = world.rotated(token.clone());
    let next = must(world.replace(token.version, &rotated).await);
    assert_eq!(next, Revision(revision.0 + 1), "a refused change takes no revision");
    assert_eq!(world.sink.take(), [(next, vec![FactChange::Credential(Fact::from(&rotated))])]);

    let last = must(world.revoke(&rotated).await);
    let gone = crate::world::revocation(&rotated).fact_changes();
    assert_eq!(world.sink.take(), [(last, gone)]);
}

/// From many tasks at once: each finds its own change published when it is answered, and all are in order.
async fn in_order(make: Make<'_>) {
    let world = Arc::new(World::new(make).await);
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let world = Arc::clone(&world);
            tokio::spawn(async move {
                for _ in 0..25 {
                    let access = world.access_token(&world.root, Ttl::DEFAULT);
                    let revision = must(world.issue_access_exactly(access.clone(), LIMIT).await);
                    let expected = (revision, vec![FactChange::Credential(Fact::from(&access))]);
                    assert!(world.sink.published().contains(&expected), "{revision} was answered first");
                }
            })
        })
        .collect();
    for task in tasks {
        must(task.await);
    }
    let revisions: Vec<_> = world.sink.published().iter().map(|(revision, _)| *revision).collect();
    assert_eq!(revisions.len(), 8 * 25);
    assert!(revisions.windows(2).all(|pair| pair[0] < pair[1]), "{revisions:?}");
}
