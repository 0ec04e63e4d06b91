//! Promise 8: lists are in order, whole, and right about their total, at any size.

use std::time::Duration;

use countersign_domain::change::Mutation;
use countersign_domain::lifetime::Ttl;
use countersign_domain::name::Name;
use countersign_domain::service_token::ServiceToken;
use countersign_domain::store::{AccessTokenQuery, ServiceTokenQuery, Version};

use super::p08_filtered::filtered;
use crate::world::{LIMIT, Make, World, all_of, must, revocation};

/// Promise 8.
pub async fn promise_08(make: Make<'_>) {
    edges(make).await;
    equal_times(make).await;
    of_one_name(make).await;
    thousands(make).await;
    access_tokens(make).await;
    filtered(make).await;
}

async fn edges(make: Make<'_>) {
    let world = World::new(make).await;
    assert_eq!(world.page(&world.root, 0, 10).await.total, 0);
    let mut tokens = Vec::new();
    for number in 0..5 {
        tokens.push(world.issue(&world.root, &format!("number {number}")).await);
    }
    let other = world.create_account(&world.root).await;
    world.issue(&other, "not of the root").await;
    for (offset, limit) in
        [(0, 5), (0, 2), (2, 2), (4, 2), (5, 2), (1000, 2), (0, 0), (3, 1000), (u64::MAX, 1)]
    {
        let page = world.page(&world.root, offset, limit).await;
        let expected: Vec<_> =
            tokens.iter().skip(usize::try_from(offset).unwrap_or(usize::MAX)).take(limit as usize).collect();
        assert_eq!((page.items.iter().collect(), page.total), (expected, 5), "{offset} {limit}");
    }
}

/// Tokens of the same moment are in the order of their ids, and a clock that was turned back changes no rule.
async fn equal_times(make: Make<'_>) {
    let world = World::new(make).await;
    let now = world.tick();
    let mut tokens: Vec<_> = (0..20u64)
        .map(|number| {
            let mut token = world.service_token(&world.root, "at once");
            token.created_at = now.before(Duration::from_secs(number / 5));
            token
        })
        .collect();
    for token in &tokens {
        must(world.issue_exactly(token.clone(), LIMIT).await);
    }
    tokens.sort_by_key(|token| (token.created_at, token.id));
    assert_eq!(world.page(&world.root, 0, 100).await.items, tokens);
}

async fn of_one_name(make: Make<'_>) {
    let world = World::new(make).await;
    let mut wanted = Vec::new();
    for name in ["ci", "CI", "ci ", "ci", "c", "ci", "cı"] {
        let token = world.issue(&world.root, name).await;
        if name == "ci" {
            wanted.push(token);
        }
    }
    let renamed = world.rotated(wanted.remove(1));
    let renamed = ServiceToken { name: must(Name::parse("cd")), ..renamed };
    must(world.replace(Version::FIRST, &renamed).await);
    let of = |name: &str, offset, limit| ServiceTokenQuery {
        name: Some(name.to_owned()),
        ..all_of(&world.root, offset, limit)
    };
    for (offset, limit) in [(0, 10), (0, 1), (1, 1), (2, 1), (9, 1)] {
        let page = must(world.store.list_service_tokens(of("ci", offset, limit)).await);
        let expected: Vec<_> = wanted.iter().skip(offset as usize).take(limit as usize).cloned().collect();
        assert_eq!((page.items, page.total), (expected, 2));
    }
    assert_eq!(must(world.store.list_service_tokens(of("cd", 0, 10)).await).items, [renamed]);
    assert_eq!(must(world.store.list_service_tokens(of("", 0, 10)).await).total, 0);
}

/// More tokens than any index page holds, made in a mixed order, and then mostly ended again.
async fn thousands(make: Make<'_>) {
    let world = World::new(make).await;
    let issue = |token: &ServiceToken| Mutation::IssueServiceToken { token: token.clone(), limit: LIMIT };
    let new = |count: usize| (0..count).map(|_| world.service_token(&world.root, "one of many"));
    let mut tokens: Vec<_> = new(6_000).collect();
    // 7 shares no factor with their number: every token, far from the one before.
    world.apply_all((0..tokens.len()).map(|index| issue(&tokens[index * 7 % tokens.len()]))).await;
    assert_pages(&world, &tokens).await;

    let ended: Vec<_> = tokens.drain(100..5_800).collect();
    world.apply_all(ended.iter().map(revocation)).await;
    assert_pages(&world, &tokens).await;

    let more: Vec<_> = new(2_500).collect();
    world.apply_all(more.iter().map(issue)).await;
    tokens.extend(more);
    assert_pages(&world, &tokens).await;
}

async fn assert_pages(world: &World, tokens: &[ServiceToken]) {
    for offset in (0..tokens.len() + 700).step_by(613) {
        let page = world.page(&world.root, offset as u64, 100).await;
        let expected: Vec<_> = tokens.iter().skip(offset).take(100).collect();
        assert_eq!(page.total, tokens.len() as u64);
        assert_eq!(page.items.iter().collect::<Vec<_>>(), expected, "from {offset}");
    }
}

async fn access_tokens(make: Make<'_>) {
    let world = World::new(make).await;
    let account = world.create_account(&world.root).await;
    let mut tokens = Vec::new();
    for seconds in [100, 1, 50, 1, 100] {
        tokens.push(world.issue_access(&account, Ttl::Seconds(seconds)).await);
    }
    tokens.push(world.issue_access(&account, Ttl::Eternal).await);
    let live_at = tokens[2].expires_at;
    let query = |offset, limit| AccessTokenQuery::of_account(account.id, live_at, offset, limit);
    let live: Vec<_> = tokens.iter().filter(|token| token.expires_at > live_at).cloned().collect();
    assert_eq!(live.len(), 3, "what expires at the moment asked about is no longer live");
    for (offset, limit) in [(0, 100), (0, 1), (1, 1), (2, 5), (3, 5), (1000, 5), (0, 0)] {
        let page = must(world.store.list_access_tokens(query(offset, limit)).await);
        let expected: Vec<_> = live.iter().skip(offset as usize).take(limit as usize).cloned().collect();
        assert_eq!((page.items, page.total), (expected, 3));
    }
    assert_eq!(world.access_page(&account, 0, 100).await.items, tokens);
    assert_eq!(world.access_page(&world.root, 0, 100).await.items.as_slice(), [world.root_token]);
}
