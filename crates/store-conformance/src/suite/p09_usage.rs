//! Promise 9: uses and refusals add up, touch no token, and go with it.

use std::net::IpAddr;
use std::time::Duration;

use countersign_domain::fact::CredentialKey;
use countersign_domain::id::TokenRef;
use countersign_domain::lifetime::Ttl;
use countersign_domain::service_token::SecretVersion;
use countersign_domain::store::TokenUsage;
use countersign_domain::time::Timestamp;
use countersign_domain::usage::{Door, Refusals, Usage, UsageBatch};
use countersign_domain::verdict::Reason;

use crate::world::{Make, World, load_used_secrets, must};

/// Promise 9.
pub async fn promise_09(make: Make<'_>) {
    uses_add_up(make).await;
    refusals_add_up(make).await;
    only_recent_secrets(make).await;
    usage_goes_with_its_token(make).await;
    old_refusals_are_swept(make).await;
}

fn used(token: TokenRef, secret_version: SecretVersion, at: Timestamp, count: u64) -> Usage {
    let user_agent = format!("agent at {}", at.as_micros()).into();
    let address = (!count.is_multiple_of(2)).then(|| IpAddr::from([10, 0, 0, count as u8]));
    Usage { token, secret_version, count, first_at: at, last_at: at, address, user_agent, door: Door::Authz }
}

fn refused(token: TokenRef, reason: Reason, minute: Timestamp, count: u64) -> Refusals {
    Refusals { token, reason, minute, count, address: must("2001:db8::9".parse().map(Some)) }
}

async fn record(world: &World, uses: Vec<Usage>, refusals: Vec<Refusals>) {
    must(world.store.record_usage(UsageBatch { uses, refusals }).await);
}

async fn find(world: &World, token: TokenRef) -> TokenUsage {
    must(world.store.find_usage(token).await)
}

async fn uses_add_up(make: Make<'_>) {
    let world = World::new(make).await;
    let stored = world.issue(&world.root, "used").await;
    let token = TokenRef::Service(stored.id);
    let access = TokenRef::Access(world.root_token.handle);
    let (early, late) = (world.tick(), world.tick());

    let newest = Usage { door: Door::Verify, ..used(token, 1, late, 3) };
    record(&world, vec![newest.clone(), used(token, 2, early, 1), used(access, 1, early, 7)], vec![]).await;
    record(&world, vec![used(token, 1, early, 4)], vec![]).await;
    let sum = Usage { count: 7, first_at: early, ..newest };
    assert_eq!(
        find(&world, token).await.uses,
        [used(token, 2, early, 1), sum.clone()],
        "newest secret first"
    );
    assert_eq!(find(&world, access).await.uses, [used(access, 1, early, 7)]);

    // Of uses at the same moment the one recorded later wins, with all that is known of it.
    let same_moment = Usage { door: Door::Api, address: None, ..used(token, 1, late, 2) };
    record(&world, vec![same_moment.clone()], vec![]).await;
    let sum = Usage { count: 9, first_at: early, ..same_moment };
    let mut all = must(world.store.list_uses(vec![access, token]).await);
    all.sort_by_key(|usage| (usage.token, usage.secret_version));
    assert_eq!(all, [sum, used(token, 2, early, 1), used(access, 1, early, 7)]);
    let client = CredentialKey::Client(stored.client_id);
    let handle = CredentialKey::Handle(world.root_token.handle);
    assert_eq!(load_used_secrets(&world.store).await, [(client, 1), (client, 2), (handle, 1)]);

    assert_eq!(world.stored(&stored).await, Some(stored), "the token's own row is as it was");
    assert_eq!(world.sink.take().len(), 1, "only the token itself was published");
}

async fn refusals_add_up(make: Make<'_>) {
    let world = World::new(make).await;
    let token = TokenRef::Service(world.issue(&world.root, "refused").await.id);
    let (first, second) = (Timestamp::from_micros(60_000_000), Timestamp::from_micros(120_000_000));
    let wrong = |minute, count| refused(token, Reason::WrongSecret, minute, count);
    record(&world, vec![], vec![wrong(first, 1), wrong(second, 2)]).await;
    let expired = refused(token, Reason::Expired, second, 5);
    record(&world, vec![], vec![expired.clone(), Refusals { address: None, ..wrong(first, 10) }]).await;
    let sum = Refusals { address: None, ..wrong(first, 11) };
    let mut found = find(&world, token).await.refusals;
    found[..2].sort_by_key(|refusals| refusals.reason);
    assert_eq!(found, [wrong(second, 2), expired, sum]);

    let minutes = (10..1_200).map(|minute| wrong(Timestamp::from_micros(minute * 60_000_000), 1));
    record(&world, vec![], minutes.collect()).await;
    let found = find(&world, token).await.refusals;
    assert_eq!(found.len(), 1_000, "as many as are told");
    assert_eq!(found[0], wrong(Timestamp::from_micros(1_199 * 60_000_000), 1), "newest first");
}

/// A token that is rotated for ever must not fill the store.
async fn only_recent_secrets(make: Make<'_>) {
    let world = World::new(make).await;
    let token = TokenRef::Service(world.issue(&world.root, "rotated often").await.id);
    let now = world.tick();
    let versions =
        |usage: TokenUsage| usage.uses.iter().map(|usage| usage.secret_version).collect::<Vec<_>>();
    for version in [1, 5_000] {
        record(&world, vec![used(token, version, now, 1)], vec![]).await;
    }
    assert_eq!(versions(find(&world, token).await), [5_000, 1], "a version may jump");

    let kept = Usage::KEPT_SECRETS;
    let uses = (5_001..5_000 + kept).map(|version| used(token, version, now, 1));
    record(&world, uses.collect(), vec![]).await;
    let newest: Vec<_> = (5_000..5_000 + kept).rev().collect();
    assert_eq!(versions(find(&world, token).await), newest, "the oldest is one too many");
    record(&world, vec![used(token, 2, now, 1)], vec![]).await;
    assert_eq!(versions(find(&world, token).await), newest, "one that is far behind comes too late");
}

async fn usage_goes_with_its_token(make: Make<'_>) {
    let world = World::new(make).await;
    let now = world.tick();
    let service = world.issue(&world.root, "ends").await;
    let access = world.issue_access(&world.root, Ttl::DEFAULT).await;
    let swept = world.issue_access(&world.root, Ttl::Seconds(1)).await;
    let tokens =
        [TokenRef::Service(service.id), TokenRef::Access(access.handle), TokenRef::Access(swept.handle)];
    let uses = || tokens.iter().map(|token| used(*token, 1, now, 1)).collect::<Vec<_>>();
    let refusals = || tokens.iter().map(|token| refused(*token, Reason::Expired, now, 1)).collect::<Vec<_>>();
    record(&world, uses(), refusals()).await;
    for token in tokens {
        assert_eq!((find(&world, token).await.uses.len(), find(&world, token).await.refusals.len()), (1, 1));
    }
    must(world.revoke(&service).await);
    must(world.revoke_access(&access).await);
    must(world.store.sweep_access_tokens(swept.expires_at.after(Duration::from_micros(1)), 10).await);
    for late in [false, true] {
        for token in tokens {
            assert_eq!(find(&world, token).await, TokenUsage::default(), "late batch: {late}");
        }
        assert_eq!(must(world.store.list_uses(tokens.to_vec()).await), []);
        assert_eq!(load_used_secrets(&world.store).await, []);
        record(&world, uses(), refusals()).await;
    }
    // The same ids again have no history.
    must(world.issue_exactly(service, crate::world::LIMIT).await);
    assert_eq!(find(&world, tokens[0]).await, TokenUsage::default());
}

async fn old_refusals_are_swept(make: Make<'_>) {
    let world = World::new(make).await;
    let token = TokenRef::Service(world.issue(&world.root, "refused").await.id);
    let minute = |number: i64| Timestamp::from_micros(number * 60_000_000);
    let refusals = (1..=10).map(|number| refused(token, Reason::WrongSecret, minute(number), 1));
    record(&world, vec![used(token, 1, minute(1), 1)], refusals.collect()).await;
    assert_eq!(must(world.store.sweep_refusals(minute(5), 3).await), 3);
    let left = find(&world, token).await;
    assert_eq!(left.refusals.iter().map(|r| r.minute).min(), Some(minute(4)), "the oldest went first");
    assert_eq!(must(world.store.sweep_refusals(minute(5), 3).await), 1);
    assert_eq!(must(world.store.sweep_refusals(minute(5), 3).await), 0);
    let left = find(&world, token).await;
    assert_eq!((left.uses.len(), left.refusals.len()), (1, 6), "uses and the minute itself stay");
}
