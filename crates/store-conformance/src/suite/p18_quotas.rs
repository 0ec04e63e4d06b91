//! Promise 18: what is used of quotas adds up, and is forgotten with its day or month.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use countersign_domain::fact::CredentialKey;
use countersign_domain::id::TokenRef;
use countersign_domain::limits::{Period, Quota, Window};
use countersign_domain::store::SharedStore;
use countersign_domain::usage::QuotaUse;

use crate::doubles::lock;
use crate::world::{Make, World, must};

/// Everything that `load_quota_uses` gives, in order.
async fn load(store: &SharedStore) -> Vec<(CredentialKey, QuotaUse)> {
    let all = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&all);
    must(store.load_quota_uses(Box::new(move |key, uses| lock(&seen).push((key, uses)))).await);
    let mut all = std::mem::take(&mut *lock(&all));
    all.sort_unstable();
    all
}

async fn add(world: &World, uses: Vec<QuotaUse>) -> Vec<QuotaUse> {
    let mut sums = must(world.store.add_quota_uses(uses).await);
    sums.sort_unstable();
    sums
}

/// Promise 18.
pub async fn promise_18(make: Make<'_>) {
    let world = World::new(make).await;
    let stored = world.issue(&world.root, "limited").await;
    let gone = world.issue(&world.root, "gone").await;
    let (token, other) = (TokenRef::Service(stored.id), TokenRef::Access(world.root_token.handle));
    let now = world.tick();
    let (day, month) = (Window::at(Period::Day, now), Window::at(Period::Month, now));
    let uses = |token, window, used| QuotaUse { token, window, used };
    assert_eq!(add(&world, vec![]).await, []);
    assert_eq!(add(&world, vec![uses(token, day, 3)]).await, [uses(token, day, 3)]);
    let all = vec![uses(token, month, 5), uses(other, day, Quota::MOST_REQUESTS), uses(token, day, 4)];
    let mut sums = vec![uses(token, day, 7), uses(token, month, 5), uses(other, day, Quota::MOST_REQUESTS)];
    sums.sort_unstable();
    assert_eq!(add(&world, all).await, sums);
    let twice = vec![uses(token, day, 1), uses(token, day, 2)];
    assert_eq!(add(&world, twice).await, [uses(token, day, 10)], "the same one twice");
    add(&world, vec![uses(TokenRef::Service(gone.id), day, 1)]).await;
    must(world.revoke(&gone).await);

    let client = CredentialKey::Client(stored.client_id);
    let handle = CredentialKey::Handle(world.root_token.handle);
    let mut known = vec![
        (client, uses(token, day, 10)),
        (client, uses(token, month, 5)),
        (handle, uses(other, day, Quota::MOST_REQUESTS)),
    ];
    known.sort_unstable();
    assert_eq!(load(&world.store).await, known, "and nothing of what is gone");
    assert_eq!(must(world.store.sweep_quota_uses(day.ends_at(), 10).await), 0, "that is not before");
    let later = day.ends_at().after(Duration::from_micros(1));
    assert_eq!(must(world.store.sweep_quota_uses(later, 2).await), 2);
    assert_eq!(must(world.store.sweep_quota_uses(later, 10).await), 1);
    assert_eq!(load(&world.store).await, [(client, uses(token, month, 5))]);
}
