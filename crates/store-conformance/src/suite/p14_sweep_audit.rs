//! Promise 14: a sweep of the audit takes the oldest records only, as many as asked, and never the newest.

use std::time::Duration;

use countersign_domain::audit::AuditRecord;
use countersign_domain::change::Mutation;
use countersign_domain::id::TokenRef;
use countersign_domain::lifetime::Ttl;
use countersign_domain::store::{AuditQuery, Revision};
use countersign_domain::time::{Clock as _, Timestamp};

use crate::world::{LIMIT, Make, World, limits, must, whole_audit};

/// Promise 14.
pub async fn promise_14(make: Make<'_>) {
    the_oldest_go_first(make).await;
    the_newest_stays(make).await;
    the_rest_is_still_found(make).await;
}

async fn sweep(world: &World, before: Timestamp, limit: u32) -> u32 {
    must(world.store.sweep_audit(before, limit).await)
}

async fn the_oldest_go_first(make: Make<'_>) {
    let world = World::new(make).await;
    let start = world.clock.now();
    let seconds = |count: u64| start.after(Duration::from_secs(count));
    // A clock that jumps back: what comes after a record that stays, stays.
    for second in [10, 20, 30, 15, 40] {
        world.clock.set(seconds(second));
        world.issue(&world.root, "audited").await;
    }
    let whole = world.audit(whole_audit(100)).await;
    let oldest = |record: &AuditRecord| record.entry.at < seconds(25);
    assert_eq!(whole.iter().filter(|record| oldest(record)).count(), whole.len() - 2);

    assert_eq!(sweep(&world, seconds(25), 1).await, 1);
    assert_eq!(world.audit(whole_audit(100)).await, whole[..whole.len() - 1]);
    assert_eq!(sweep(&world, seconds(25), 0).await, 0);
    assert_eq!(u64::from(sweep(&world, seconds(25), 100).await), whole.len() as u64 - 4);
    assert_eq!(world.audit(whole_audit(100)).await, whole[..3], "30, 15 and 40 are left");
    assert_eq!(sweep(&world, seconds(25), 100).await, 0);
    assert_eq!(sweep(&world, Timestamp::from_micros(0), 100).await, 0);
}

async fn the_newest_stays(make: Make<'_>) {
    let world = World::new(make).await;
    let token = world.issue(&world.root, "last").await;
    let last = world.facts().await.1;
    assert_eq!(sweep(&world, Timestamp::NEVER, 100).await, 2);
    let left = world.audit(whole_audit(100)).await;
    assert_eq!(left.iter().map(|record| record.revision).collect::<Vec<_>>(), [last]);
    assert_eq!(sweep(&world, Timestamp::NEVER, 100).await, 0);
    assert_eq!(world.facts().await.1, last);
    assert_eq!(must(world.revoke(&token).await), Revision(last.0 + 1), "no revision is used twice");
}

/// So many that a store may hold them by spans.
async fn the_rest_is_still_found(make: Make<'_>) {
    let world = World::new(make).await;
    let start = world.clock.now();
    let mut token = world.issue(&world.root, "followed").await;
    for minute in 1..=5 {
        world.clock.set(start.after(Duration::from_secs(60 * minute)));
        let issue = |_| Mutation::IssueAccessToken {
            token: world.access_token(&world.root, Ttl::DEFAULT),
            limits: limits(LIMIT),
        };
        world.apply_all((0..800).map(issue)).await;
        let rotated = world.rotated(token.clone());
        must(world.replace(token.version, &rotated).await);
        token = rotated;
    }
    let whole = world.audit(whole_audit(1_000)).await;
    let before = start.after(Duration::from_secs(60 * 3));
    let (kept, old) = whole.split_at(whole.iter().filter(|record| record.entry.at >= before).count());
    assert_eq!(sweep(&world, before, 1_500).await, 1_500);
    assert_eq!(u64::from(sweep(&world, before, 100_000).await), old.len() as u64 - 1_500);
    assert_eq!(world.audit(whole_audit(1_000)).await, kept);

    let of_token = AuditQuery { token: Some(TokenRef::Service(token.id)), ..whole_audit(2) };
    assert_eq!(world.audit(of_token).await.len(), 3, "of minutes 3, 4 and 5");
    let early = AuditQuery { until: Some(start.after(Duration::from_secs(60 * 4))), ..whole_audit(1_000) };
    assert_eq!(world.audit(early).await.len(), 801);
    world.issue(&world.root, "and on").await;
    assert_eq!(world.audit(whole_audit(1_000)).await.len(), kept.len() + 1);
}
