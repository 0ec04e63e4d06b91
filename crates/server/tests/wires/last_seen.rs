//! Last seen is when a credential was let in: a denied request does not move it (design 2.4), and stands in the record
//! of refusals with its reason instead.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Answer, World, service_tokens_of};

const AUDIT: &str = "/api/v1/audit";
const VERIFY: &str = "/api/v1/verify";

/// What is recorded about an access token, in the words of the root.
async fn usage(world: &World, account: &str, token: &str) -> Value {
    let path = format!("/api/v1/usage?token={}&account={account}", &token[..22]);
    world.get(&path).bearer(&world.root).send().await.json()
}

/// How often the token was let in, and when the last time.
async fn seen(world: &World, account: &str, token: &str) -> (Value, Value) {
    let usage = usage(world, account, token).await;
    (usage["secrets"][0]["count"].clone(), usage["secrets"][0]["last_seen_at"].clone())
}

/// The reasons for which the token was turned away and how often, newest first.
async fn refusals(world: &World, account: &str, token: &str) -> Value {
    let usage = usage(world, account, token).await;
    let list = usage["refusals"].as_array().unwrap().iter();
    list.map(|refusals| json!([refusals["minute"], refusals["reason"], refusals["count"]])).collect()
}

/// A request as the bearer of a token.
async fn ask(world: &World, token: &str, method: &str, path: &str, body: Value) -> Answer {
    let call = world.call(method, path).bearer(token);
    if method == "GET" { call.send().await } else { call.json(&body).await }
}

#[tokio::test]
async fn a_scope_that_is_missing_does_not_move_it() {
    let world = World::new().await;
    let account = world.root_account.clone();
    for (method, path, status) in [
        ("GET", world.service_tokens(), 403),
        ("POST", world.service_tokens(), 403),
        ("GET", world.access_tokens(), 401),
        ("POST", world.access_tokens(), 401),
        ("GET", AUDIT.into(), 403),
        ("POST", VERIFY.into(), 403),
    ] {
        let token = world.access_token(json!({"scopes": ["something:else"]})).await;
        for _ in 0..2 {
            let body = if path == VERIFY { json!({"token": world.root}) } else { json!({"name": "n"}) };
            assert_eq!(ask(&world, &token, method, &path, body).await.status.as_u16(), status, "{path}");
        }
        assert_eq!(usage(&world, &account, &token).await["secrets"], json!([]), "{method} {path}");
        let expected = json!([["2026-11-21T10:00:00Z", "insufficient_scope", 2]]);
        assert_eq!(refusals(&world, &account, &token).await, expected, "{method} {path}");
    }
}

#[tokio::test]
async fn an_account_that_is_foreign_does_not_move_it() {
    let world = World::new().await;
    let child = world.account_below(&world.root_account).await;
    let audit_of_root = format!("{AUDIT}?account={}", world.root_account);
    for (method, path, status) in [
        ("GET", world.service_tokens(), 403),
        ("POST", world.service_tokens(), 403),
        ("GET", service_tokens_of("nobody"), 403),
        ("GET", world.access_tokens(), 401),
        ("POST", world.access_tokens(), 401),
        ("GET", "/v1/Accounts/nobody/accessTokens".into(), 401),
        ("GET", audit_of_root, 403),
    ] {
        let token = world.access_token_of(&child, json!({})).await;
        let answer = ask(&world, &token, method, &path, json!({"name": "n"})).await;
        assert_eq!(answer.status.as_u16(), status, "{path}");
        assert_eq!(usage(&world, &child, &token).await["secrets"], json!([]), "{method} {path}");
        let expected = json!([["2026-11-21T10:00:00Z", "wrong_account", 1]]);
        assert_eq!(refusals(&world, &child, &token).await, expected, "{method} {path}");
    }
}

/// Asking for more than one has is denied as well, though the scope for asking is there.
#[tokio::test]
async fn a_wish_beyond_the_caller_does_not_move_it() {
    let world = World::new().await;
    let account = world.root_account.clone();
    let scopes = json!(["countersign:service-tokens:write", "countersign:access-tokens:write"]);
    for (path, status) in [(world.service_tokens(), 403), (world.access_tokens(), 401)] {
        let token = world.access_token(json!({"ttl": 60, "scopes": scopes})).await;
        let body = json!({"name": "n", "ttl": 60, "duration": "1m", "scopes": ["admin"]});
        assert_eq!(ask(&world, &token, "POST", &path, body).await.status.as_u16(), status, "{path}");
        assert_eq!(usage(&world, &account, &token).await["secrets"], json!([]), "{path}");
        let expected = json!([["2026-11-21T10:00:00Z", "insufficient_scope", 1]]);
        assert_eq!(refusals(&world, &account, &token).await, expected, "{path}");
    }
}

/// What was let in moves it, on every wire; a denial in between leaves it where it was, also once all is written.
#[tokio::test]
async fn what_is_let_in_moves_it() {
    let world = World::new().await;
    let account = world.root_account.clone();
    let token = world.access_token(json!({})).await;
    let narrow = world
        .access_token(json!({"scopes": ["countersign:service-tokens:read", "countersign:verify"]}))
        .await;
    let mut calls = 0;
    for (method, path) in [
        ("GET", world.service_tokens()),
        ("GET", world.access_tokens()),
        ("POST", world.access_tokens()),
        ("GET", AUDIT.into()),
        ("POST", VERIFY.into()),
        ("GET", "/api/v1/self".into()),
    ] {
        world.clock.advance(Duration::from_secs(60));
        let answer = ask(&world, &token, method, &path, json!({"token": world.root})).await;
        assert_eq!(answer.status, 200, "{method} {path}");
        calls += 1;
        let minute = format!("2026-11-21T10:0{calls}:00Z");
        assert_eq!(seen(&world, &account, &token).await, (json!(calls), json!(minute)), "{method} {path}");
    }
    assert_eq!(refusals(&world, &account, &token).await, json!([]));

    assert_eq!(world.get(&world.service_tokens()).bearer(&narrow).send().await.status, 200);
    let before = seen(&world, &account, &narrow).await;
    assert_eq!(before, (json!(1), json!("2026-11-21T10:06:00Z")));
    for _ in 0..2 {
        world.clock.advance(Duration::from_secs(60));
        assert_eq!(world.get(&world.access_tokens()).bearer(&narrow).send().await.status, 401);
        assert_eq!(seen(&world, &account, &narrow).await, before);
        world.authority.flush_all_usage().await.unwrap();
        assert_eq!(seen(&world, &account, &narrow).await, before);
    }
    let expected = json!([
        ["2026-11-21T10:08:00Z", "insufficient_scope", 1],
        ["2026-11-21T10:07:00Z", "insufficient_scope", 1]
    ]);
    assert_eq!(refusals(&world, &account, &narrow).await, expected);
}
