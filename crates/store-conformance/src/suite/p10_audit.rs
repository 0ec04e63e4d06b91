//! Promise 10: the audit is in the order of revisions, never changes, and is read page by page without gaps.

use std::time::Duration;

use countersign_domain::audit::{Action, AuditRecord, Subject};
use countersign_domain::change::Mutation;
use countersign_domain::id::TokenRef;
use countersign_domain::lifetime::Ttl;
use countersign_domain::store::{AuditQuery, Revision};
use countersign_domain::time::Clock as _;

use crate::world::{LIMIT, Make, World, limits, must, whole_audit};

/// Promise 10.
pub async fn promise_10(make: Make<'_>) {
    pages_fit_together(make).await;
    filters_say_what_they_do(make).await;
    few_are_found_among_many(make).await;
}

async fn pages_fit_together(make: Make<'_>) {
    let world = World::new(make).await;
    let mut tokens = Vec::new();
    for number in 0..10 {
        tokens.push(world.issue(&world.root, &format!("number {number}")).await);
    }
    must(world.revoke(&tokens[3]).await);
    let swept = world.issue_access(&world.root, Ttl::Seconds(1)).await;
    must(world.store.sweep_access_tokens(swept.expires_at.after(Duration::from_secs(1)), 10).await);
    world.issue(&world.root, "after a revision without a record").await;

    let whole = world.audit(whole_audit(1_000)).await;
    assert_eq!(whole.len(), 2 + 10 + 1 + 1 + 1);
    assert!(whole.windows(2).all(|pair| pair[0].revision > pair[1].revision), "newest first");
    for limit in [1, 2, 7, 15, 16] {
        assert_eq!(world.audit(whole_audit(limit)).await, whole, "by {limit}");
    }
    let before = AuditQuery { before: Some(whole[4].revision), ..whole_audit(3) };
    let page = must(world.store.list_audit(before).await);
    assert_eq!(page.records, whole[5..8]);
    let before_all = AuditQuery { before: Some(Revision(1)), ..whole_audit(3) };
    assert_eq!(must(world.store.list_audit(before_all).await).records, []);
}

async fn filters_say_what_they_do(make: Make<'_>) {
    let world = World::new(make).await;
    let other = world.create_account(&world.root).await;
    let token = world.issue(&world.root, "followed").await;
    let rotated = world.rotated(token.clone());
    must(world.replace(token.version, &rotated).await);
    world.issue(&other, "of another account").await;
    let access = world.issue_access(&other, Ttl::DEFAULT).await;
    must(world.revoke(&rotated).await);

    let whole = world.audit(whole_audit(100)).await;
    let (since, until) = (Some(whole[4].entry.at), Some(whole[1].entry.at));
    let any = whole_audit(2);
    let queries = [
        AuditQuery { account: Some(other.id), ..any.clone() },
        AuditQuery { token: Some(TokenRef::Service(token.id)), ..any.clone() },
        AuditQuery { token: Some(TokenRef::Access(access.handle)), ..any.clone() },
        AuditQuery { action: Some(Action::IssueServiceToken), ..any.clone() },
        AuditQuery { since, ..any.clone() },
        AuditQuery { until, ..any.clone() },
        AuditQuery { since, until, ..any.clone() },
        AuditQuery { since: until, until: since, ..any.clone() },
        AuditQuery { account: Some(other.id), token: Some(TokenRef::Service(token.id)), ..any.clone() },
        AuditQuery {
            account: Some(world.root.id),
            token: Some(TokenRef::Service(token.id)),
            action: Some(Action::UpdateServiceToken),
            since,
            ..any.clone()
        },
    ];
    for query in queries {
        let expected: Vec<_> = whole.iter().filter(|record| is_wanted(&query, record)).cloned().collect();
        assert_eq!(world.audit(query.clone()).await, expected, "{query:?}");
    }
}

fn is_wanted(query: &AuditQuery, record: &AuditRecord) -> bool {
    let entry = &record.entry;
    query.account.is_none_or(|account| entry.account == account)
        && query.token.is_none_or(|token| entry.subject == Subject::Token(token))
        && query.action.is_none_or(|action| entry.action == action)
        && query.since.is_none_or(|since| entry.at >= since)
        && query.until.is_none_or(|until| entry.at < until)
}

/// Enough records that a store may skip parts of them, with a clock that jumps.
async fn few_are_found_among_many(make: Make<'_>) {
    let world = World::new(make).await;
    let start = world.clock.now();
    let minutes = |count: u64| Some(start.after(Duration::from_secs(60 * count)));
    let mut token = world.issue(&world.root, "seldom changed").await;
    for minute in [0, 60, 1, 120, 2] {
        world.clock.set(minutes(minute).unwrap_or(start));
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
    assert_eq!(whole.len(), 3 + 5 * 801);
    let of_token = |limit| AuditQuery { token: Some(TokenRef::Service(token.id)), ..whole_audit(limit) };
    let mut queries = vec![of_token(100), of_token(1), AuditQuery { since: minutes(1), ..of_token(2) }];
    queries.push(AuditQuery { before: Some(whole[1_500].revision), ..of_token(2) });
    queries.push(AuditQuery { before: Some(whole[1_500].revision), until: minutes(90), ..whole_audit(700) });
    for (since, until) in [(0, 1), (1, 2), (1, 3), (30, 90), (61, 119), (119, 200), (200, 300)] {
        queries.push(AuditQuery { since: minutes(since), until: minutes(until), ..whole_audit(100) });
        queries.push(AuditQuery { since: minutes(since), until: minutes(until), ..of_token(3) });
    }
    for query in queries {
        let is_wanted = |record: &&AuditRecord| {
            is_wanted(&query, record) && query.before.is_none_or(|before| record.revision < before)
        };
        let expected: Vec<_> = whole.iter().filter(is_wanted).collect();
        let found = world.audit(query.clone()).await;
        assert_eq!(found.len(), expected.len(), "{query:?}");
        assert!(found.iter().eq(expected), "{query:?}");
    }
}
