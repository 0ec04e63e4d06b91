//! Our own wire.

use serde_json::{Value, json};
use std::time::Duration;

use countersign_server::{Exposure, Service};

use crate::harness::{Answer, World};

const VERIFY: &str = "/api/v1/verify";

async fn verify(world: &World, body: &Value) -> Answer {
    world.post(VERIFY).bearer(&world.root).json(body).await
}

/// The reason in an answer of verify; empty when it is valid.
async fn reason(world: &World, body: Value) -> String {
    let answer = verify(world, &body).await;
    let verdict = answer.json();
    answer.assert(200, verdict.clone());
    match verdict["valid"].as_bool() {
        Some(true) => String::new(),
        _ => {
            assert_eq!(
                verdict,
                json!({"valid": false, "reason": verdict["reason"]}),
                "nothing is said of it"
            );
            verdict["reason"].as_str().unwrap().to_owned()
        }
    }
}

#[track_caller]
fn assert_problem(answer: &Answer, status: u16, title: &str, detail: &str) {
    answer.assert(status, json!({"type": "about:blank", "title": title, "status": status, "detail": detail}));
    assert_eq!(answer.header("content-type"), "application/problem+json");
}

#[track_caller]
fn assert_unauthenticated(answer: &Answer) {
    let detail =
        "one good credential is needed: an access token as `Authorization: Bearer …` or in `X-Access-Token`";
    assert_problem(answer, 401, "Unauthorized", detail);
    assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"countersign\"");
}

#[track_caller]
fn assert_forbidden(answer: &Answer) {
    let detail = "the token lacks the scope for this, is bound to other resources or addresses, or the account is not within its own";
    assert_problem(answer, 403, "Forbidden", detail);
}

#[tokio::test]
async fn verify_tells_whose_it_is() {
    let world = World::new().await;
    let account = &world.root_account;
    let token = world.access_token(json!({"ttl": 60, "scopes": ["reports:read"]})).await;
    verify(&world, &json!({"token": token})).await.assert(
        200,
        json!({"valid": true, "reason": null, "account": account, "token": &token[..22], "kind": "access", "name": null,
            "scopes": ["reports:read"], "organizations": [], "expires_at": "2026-11-21T10:01:00Z", "secret_version": 1}),
    );
    verify(&world, &json!({"token": world.root})).await.assert(
        200,
        json!({"valid": true, "reason": null, "account": account, "token": &world.root[..22], "kind": "access",
            "name": null, "scopes": null, "organizations": [], "expires_at": null, "secret_version": 1}),
    );
    let listed = world.access_token(json!({"scopes": ["a", "DEFAULT"]})).await;
    assert_eq!(verify(&world, &json!({"token": listed})).await.json()["scopes"], Value::Null, "unscoped");
    let service = world.service_token(json!({"name": "ci ü", "duration": "1h"})).await;
    verify(&world, &json!({"client_id": service.client_id, "client_secret": service.secret})).await.assert(
        200,
        json!({"valid": true, "reason": null, "account": account, "token": service.id, "kind": "service",
            "name": "ci ü", "scopes": null, "organizations": [], "expires_at": "2026-11-21T11:00:00Z",
            "secret_version": 1}),
    );
}

#[tokio::test]
async fn verify_follows_a_rotation() {
    let world = World::new().await;
    let old = world.service_token(json!({"name": "ci"})).await;
    world.clock.advance(Duration::from_secs(60));
    let path = format!("/accounts/{}/access/service_tokens/{}/rotate", world.root_account, old.id);
    let overlap = json!({"previous_client_secret_expires_at": "2026-11-21T11:00:00Z"});
    let rotated = world.post(&path).bearer(&world.root).json(&overlap).await;
    let new_secret = rotated.text_at("/result/client_secret");
    let pair = |secret: &str| json!({"client_id": old.client_id, "client_secret": secret});

    let outgoing = verify(&world, &pair(&old.secret)).await.json();
    assert_eq!(
        [&outgoing["secret_version"], &outgoing["deprecated_at"], &outgoing["sunset_at"]],
        [&json!(1), &json!("2026-11-21T10:01:00Z"), &json!("2026-11-21T11:00:00Z")]
    );
    let current = verify(&world, &pair(&new_secret)).await.json();
    assert_eq!((&current["secret_version"], current.get("sunset_at")), (&json!(2), None));
    world.clock.advance(Duration::from_secs(3600));
    assert_eq!(reason(&world, pair(&old.secret)).await, "rotated_out");
    assert_eq!(reason(&world, pair(&new_secret)).await, "");
}

#[tokio::test]
async fn verify_says_why_not() {
    let world = World::new().await;
    let token = world.access_token(json!({"ttl": 60})).await;
    let service = world.service_token(json!({"name": "ci"})).await;
    let other = world.service_token(json!({"name": "other"})).await;
    let pair = |id: &str, secret: &str| json!({"client_id": id, "client_secret": secret});
    assert_eq!(reason(&world, json!({"token": "short"})).await, "malformed");
    assert_eq!(reason(&world, json!({"token": ""})).await, "malformed");
    assert_eq!(reason(&world, json!({"token": "x".repeat(64)})).await, "unknown");
    assert_eq!(reason(&world, pair("nope", &service.secret)).await, "malformed");
    assert_eq!(reason(&world, pair(&service.client_id, "csst_nope")).await, "malformed");
    assert_eq!(reason(&world, pair(&service.client_id, &other.secret)).await, "wrong_secret");
    assert_eq!(reason(&world, pair(&service.client_id, &service.secret)).await, "");
    let path = format!("/accounts/{}/access/service_tokens/{}", world.root_account, service.id);
    world.call("PUT", &path).bearer(&world.root).json(&json!({"enabled": false})).await;
    assert_eq!(reason(&world, pair(&service.client_id, &service.secret)).await, "disabled");
    world.delete(&path).bearer(&world.root).send().await;
    assert_eq!(reason(&world, pair(&service.client_id, &service.secret)).await, "unknown");
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(reason(&world, json!({"token": token})).await, "expired");
}

#[tokio::test]
async fn verify_with_a_demand() {
    let world = World::new().await;
    let child = world.account_below(&world.root_account).await;
    let token = world.access_token_of(&child, json!({"scopes": ["a:*", "b"]})).await;
    let ask = async |mut demand: Value| {
        demand["token"] = json!(token);
        reason(&world, demand).await
    };
    assert_eq!(ask(json!({"scope": ["a:x", "b"]})).await, "");
    assert_eq!(ask(json!({"scope": ["c|b"]})).await, "");
    assert_eq!(ask(json!({"scope": []})).await, "");
    assert_eq!(ask(json!({"scope": ["b", "c"]})).await, "insufficient_scope");
    assert_eq!(ask(json!({"account": child})).await, "");
    assert_eq!(ask(json!({"account": world.root_account})).await, "", "below it");
    assert_eq!(ask(json!({"account": "0192f3c4a5b67c8d9e0f1a2b3c4d5e6f"})).await, "wrong_account");
    assert_eq!(ask(json!({"kind": "access"})).await, "");
    assert_eq!(ask(json!({"kind": "service"})).await, "wrong_kind");
    assert_eq!(ask(json!({"organization": "0".repeat(32)})).await, "wrong_organization", "there is none");
    let request = json!({"method": "GET", "uri": "/a?b=c", "address": "192.0.2.7"});
    assert_eq!(ask(request).await, "");
}

#[tokio::test]
async fn verify_refuses_what_it_does_not_understand() {
    let world = World::new().await;
    let ask = async |demand: Value| {
        let mut body = json!({"token": world.root});
        body.as_object_mut().unwrap().extend(demand.as_object().unwrap().clone());
        verify(&world, &body).await
    };
    let text = "must be a string";
    for field in ["organization", "account", "kind", "method", "uri", "token"] {
        ask(json!({field: null})).await.assert_field(field, text);
        ask(json!({field: 5})).await.assert_field(field, text);
    }
    ask(json!({"scope": "a"})).await.assert_field("scope", "must be a sequence");
    ask(json!({"scope": null})).await.assert_field("scope", "must be a sequence");
    ask(json!({"scope": ["a", 5]})).await.assert_field("scope/1", text);
    ask(json!({"scope": ["a", ""]}))
        .await
        .assert_field("scope/1", "must be a scope, or several joined by `|`");
    ask(json!({"scope": ["a||b"]}))
        .await
        .assert_field("scope/0", "must be a scope, or several joined by `|`");
    ask(json!({"organization": ""}))
        .await
        .assert_field("organization", "must be an organization id (32 lower-case hex digits)");
    ask(json!({"account": "me"}))
        .await
        .assert_field("account", "must be an account id (32 lower-case hex digits)");
    ask(json!({"kind": "Service"})).await.assert_field("kind", "must be `service` or `access`");
    ask(json!({"client_id": "x"}))
        .await
        .assert_field("token", "cannot stand beside `client_id` or `client_secret`");
    for unknown in ["scopes", "Account", "toke"] {
        let answer = ask(json!({unknown: []})).await;
        assert_eq!((answer.status.as_u16(), answer.text_at("/field").as_str()), (400, unknown));
    }
    assert_eq!(ask(json!({"address": "nowhere"})).await.text_at("/field"), "address");
    verify(&world, &json!({})).await.assert_field("token", "or `client_id` and `client_secret` are needed");
    verify(&world, &json!({"client_id": "x"}))
        .await
        .assert_field("client_secret", "is needed beside `client_id`");
    verify(&world, &json!({"client_secret": "x"}))
        .await
        .assert_field("client_id", "is needed beside `client_secret`");
    assert_eq!(verify(&world, &json!([])).await.status, 400);
    let raw = async |body: String| world.post(VERIFY).bearer(&world.root).body(body).send().await;
    assert_eq!(raw(String::new()).await.status, 400);
    assert_eq!(raw("{\"token\":\"a\",\"token\":\"b\"}".into()).await.text_at("/field"), "token");
    assert_eq!(raw(format!("{{\"token\":\"{}\"}}", "x".repeat(200_000))).await.status, 413);
    assert_eq!(raw(format!("{{\"token\":{}", "[".repeat(50_000))).await.status, 400);
}

#[tokio::test]
async fn verify_explains() {
    let world = World::new().await;
    let token = world.access_token(json!({"ttl": 60, "scopes": ["a"]})).await;
    let explained = async |mut body: Value| {
        body["token"] = json!(token);
        body["explain"] = json!(true);
        let verdict = verify(&world, &body).await.json();
        let explanation = verdict["explanation"].clone();
        let with = |passed: Value| {
            let checks = explanation["checks"].as_array().unwrap().iter();
            checks
                .filter(|check| check["passed"] == passed)
                .map(|check| check["check"].clone())
                .collect::<Vec<_>>()
        };
        (
            verdict["reason"].clone(),
            [json!(true), json!(false), json!(null)].map(with),
            explanation["remedy"].clone(),
        )
    };
    let (reason, [passed, failed, skipped], remedy) = explained(json!({"scope": ["b"]})).await;
    assert_eq!((reason, failed), (json!("insufficient_scope"), vec![json!("scope")]));
    assert_eq!(
        (passed.len(), passed.last(), skipped),
        (13, Some(&json!("organization")), vec![json!("resource"), json!("address"), json!("limit")])
    );
    assert!(remedy.as_str().unwrap().starts_with("issue a token with the demanded scope"), "{remedy}");
    let (reason, [passed, failed, skipped], remedy) = explained(json!({"scope": ["a"]})).await;
    assert_eq!(
        (reason, passed.len(), failed, skipped, remedy),
        (Value::Null, 17, vec![], vec![], Value::Null)
    );
    // Of what is none of the caller's no more is said than that.
    let child = world.account_below(&world.root_account).await;
    let of_child = world.access_token_of(&child, json!({"scopes": ["countersign:verify"]})).await;
    let foreign =
        world.post(VERIFY).bearer(&of_child).json(&json!({"token": token, "explain": true})).await.json();
    let unknown = json!({"token": "x".repeat(64), "explain": true});
    assert_eq!(foreign, world.post(VERIFY).bearer(&of_child).json(&unknown).await.json());
}

#[tokio::test]
async fn verify_takes_a_batch() {
    let world = World::new().await;
    let token = world.access_token(json!({"ttl": 60, "scopes": ["a"]})).await;
    let batch = async |requests: Value| {
        world.post(&format!("{VERIFY}/batch")).bearer(&world.root).json(&json!({"requests": requests})).await
    };
    let requests = [
        json!({"token": token}),
        json!({"token": "x".repeat(64)}),
        json!({"token": token, "scope": ["b"], "explain": true}),
    ];
    let results = batch(json!(requests)).await.json()["results"].clone();
    for (request, result) in requests.iter().zip(results.as_array().unwrap()) {
        assert_eq!(*result, verify(&world, request).await.json());
    }
    assert_eq!(results.as_array().unwrap().len(), 3);
    let many = vec![requests[0].clone(); 101];
    assert_eq!(batch(json!(many[..100])).await.json()["results"].as_array().unwrap().len(), 100);
    for wrong in [json!(many), json!([])] {
        batch(wrong).await.assert_field("requests", "must have 1 to 100 entries");
    }
    let half = json!([requests[0], {"client_id": "x"}]);
    batch(half).await.assert_field("requests/1/client_secret", "is needed beside `client_id`");
    let unknown = json!([requests[0], {"token": "x", "scopes": ["a"]}]);
    assert_eq!(batch(unknown).await.text_at("/field"), "requests/1/scopes");
    let may_not = world.access_token(json!({"scopes": ["countersign:audit:read"]})).await;
    let asked = world
        .post(&format!("{VERIFY}/batch"))
        .bearer(&may_not)
        .json(&json!({"requests": [requests[0]]}))
        .await;
    assert_forbidden(&asked);
}

/// Only an access token that may verify may ask, and only about its own account and those below.
#[tokio::test]
async fn verify_is_not_for_everybody() {
    let world = World::new().await;
    let child = world.account_below(&world.root_account).await;
    let of_child = world.access_token_of(&child, json!({"scopes": ["countersign:verify"]})).await;
    let may_not =
        world.access_token(json!({"scopes": ["countersign:audit:read", "countersign:verify:x"]})).await;
    let service = world.service_token(json!({"name": "ci"})).await;
    let ask = |token: &str| world.post(VERIFY).bearer(token);
    let about = json!({"token": of_child});
    assert_eq!(ask(&of_child).json(&about).await.json()["valid"], json!(true));
    assert_forbidden(&ask(&may_not).json(&about).await);
    let foreign = ask(&of_child).json(&json!({"token": world.root})).await;
    foreign.assert(200, json!({"valid": false, "reason": "unknown"}));
    let foreign = json!({"client_id": service.client_id, "client_secret": service.secret});
    ask(&of_child).json(&foreign).await.assert(200, json!({"valid": false, "reason": "unknown"}));

    assert_unauthenticated(&world.post(VERIFY).pair(&service).json(&about).await);
    assert_unauthenticated(&world.post(VERIFY).json(&about).await);
    assert_unauthenticated(&ask("nope").json(&about).await);
    assert_unauthenticated(&ask(&"x".repeat(64)).json(&about).await);
    assert_unauthenticated(&ask(&world.root).header("x-access-token", &world.root).json(&about).await);
    assert_unauthenticated(&ask(&world.root).bearer(&world.root).json(&about).await);
    assert_unauthenticated(&ask(&world.root).pair(&service).json(&about).await);
    assert_unauthenticated(&world.post(&format!("{VERIFY}?access_token={}", world.root)).json(&about).await);
    for header in ["authorization", "x-access-token"] {
        assert_eq!(world.post(VERIFY).header(header, &world.root).json(&about).await.status, 200, "{header}");
    }
}

#[tokio::test]
async fn a_bearer_about_itself() {
    let world = World::new().await;
    let account = &world.root_account;
    let nothing = world.access_token(json!({"ttl": 60, "scopes": []})).await;
    world.get("/api/v1/self").bearer(&nothing).send().await.assert(
        200,
        json!({"account": account, "token": &nothing[..22], "kind": "access", "name": null, "scopes": [],
            "organizations": [], "expires_at": "2026-11-21T10:01:00Z", "secret_version": 1}),
    );
    let service = world.service_token(json!({"name": "ci", "duration": "forever"})).await;
    world.get("/api/v1/self").pair(&service).send().await.assert(
        200,
        json!({"account": account, "token": service.id, "kind": "service", "name": "ci", "scopes": null,
            "organizations": [], "expires_at": "2126-11-21T10:00:00Z", "secret_version": 1}),
    );
    assert_unauthenticated(&world.get("/api/v1/self").send().await);
    world.clock.advance(Duration::from_secs(60));
    assert_unauthenticated(&world.get("/api/v1/self").bearer(&nothing).send().await);
}

#[tokio::test]
async fn audit() {
    let world = World::new().await;
    let account = &world.root_account;
    let get =
        async |query: &str| world.get(&format!("/api/v1/audit{query}")).bearer(&world.root).send().await;
    let first = get("").await;
    let first_actions: Vec<_> = actions(&first);
    assert_eq!(first_actions, ["root_token.set", "account.create"]);
    assert_eq!(first.json()["entries"][0]["actor"], json!({"system": true}));
    assert_eq!(first.json()["entries"][1]["subject"], json!({"account": account}));

    world.clock.advance(Duration::from_secs(60));
    let answer = world.post(&world.access_tokens()).bearer(&world.root).json(&json!({"ttl": 60})).await;
    let handle = answer.text_at("/id")[..22].to_owned();
    let newest = get("?limit=1").await.json();
    let entry = &newest["entries"][0];
    assert_eq!(
        *entry,
        json!({"id": entry["id"], "revision": 3, "at": "2026-11-21T10:01:00Z", "action": "access_token.issue",
            "actor": {"account": account, "token": &world.root[..22]}, "account": account, "subject": {"token": handle},
            "changes": [{"field": "ttl", "from": null, "to": "60"},
                {"field": "expires_at", "from": null, "to": "2026-11-21T10:02:00Z"}],
            "address": null, "request_id": answer.header("x-request-id")})
    );
    let next = get(&format!("?limit=1&cursor={}", newest["next_cursor"].as_str().unwrap())).await;
    assert_eq!(actions(&next), ["root_token.set"]);
    assert_eq!(get("?limit=3").await.json()["next_cursor"], Value::Null, "at the end");
    for (query, count) in [
        (format!("?token={handle}"), 1),
        (format!("?account={account}"), 3),
        ("?action=account.create".into(), 1),
        ("?since=2026-11-21T10:01:00Z".into(), 1),
        ("?until=2026-11-21T10:01:00Z".into(), 2),
        ("?since=2026-11-21T11:01:00%2B01:00".into(), 1),
    ] {
        assert_eq!(actions(&get(&query).await).len(), count, "{query}");
    }
    for (query, field) in [
        ("?limit=0", "limit"),
        ("?limit=1001", "limit"),
        ("?token=x", "token"),
        ("?action=nope", "action"),
        ("?since=yesterday", "since"),
        ("?tokn=x", "query"),
        ("?limit=1&limit=2", "limit"),
    ] {
        let answer = get(query).await;
        assert_eq!((answer.status.as_u16(), answer.text_at("/field").as_str()), (400, field), "{query}");
        assert!(!answer.body.contains("tokn"), "a name is not repeated");
    }
}

fn actions(page: &Answer) -> Vec<String> {
    let page = page.json();
    let entries = page["entries"].as_array().unwrap();
    entries.iter().map(|entry| entry["action"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn audit_and_usage_need_their_scope_and_stay_within_the_account() {
    let world = World::new().await;
    let child = world.account_below(&world.root_account).await;
    let of_child = world.access_token_of(&child, json!({"scopes": ["countersign:audit:read"]})).await;
    let may_not =
        world.access_token(json!({"scopes": ["countersign:verify", "countersign:service-tokens:*"]})).await;
    let get = async |path: &str, token: &str| world.get(path).bearer(token).send().await;
    let root = &world.root_account;
    assert_eq!(actions(&get("/api/v1/audit", &of_child).await), ["access_token.issue"]);
    assert_forbidden(&get(&format!("/api/v1/audit?account={root}"), &of_child).await);
    assert_forbidden(&get("/api/v1/audit?account=0192f3c4a5b67c8d9e0f1a2b3c4d5e6f", &of_child).await);
    assert_forbidden(&get("/api/v1/audit", &may_not).await);
    assert_eq!(
        actions(&get(&format!("/api/v1/audit?account={child}"), &world.root).await).len(),
        1,
        "root on all"
    );

    let of_root = format!("/api/v1/usage?token={}", &world.root[..22]);
    assert_forbidden(&get(&of_root, &may_not).await);
    assert_problem(&get(&of_root, &of_child).await, 404, "Not Found", "there is no such token");
    assert_forbidden(&get(&format!("{of_root}&account={root}"), &of_child).await);
    let below = format!("/api/v1/usage?token={}&account={child}", &of_child[..22]);
    assert_eq!(get(&below, &world.root).await.text_at("/token"), of_child[..22]);
    assert_eq!(get(&format!("/api/v1/usage?token={}", &of_child[..22]), &of_child).await.status, 200);
    for path in ["/api/v1/audit", &of_root] {
        assert_unauthenticated(&world.get(path).send().await);
    }
}

#[tokio::test]
async fn usage() {
    let world = World::new().await;
    let service = world.service_token(json!({"name": "ci"})).await;
    let other = world.service_token(json!({"name": "other"})).await;
    let pair = |secret: &str| json!({"client_id": service.client_id, "client_secret": secret, "address": "192.0.2.7"});
    let path = format!("/api/v1/usage?token={}", service.id);
    let show = async || world.get(&path).bearer(&world.root).send().await;
    show().await.assert(200, json!({"token": service.id, "secrets": [], "refusals": []}));
    verify(&world, &pair(&service.secret)).await;
    world.clock.advance(Duration::from_secs(90));
    verify(&world, &pair(&service.secret)).await;
    verify(&world, &pair(&other.secret)).await;
    let uses = json!([{"version": 1, "count": 2, "first_seen_at": "2026-11-21T10:00:00Z",
        "last_seen_at": "2026-11-21T10:01:30Z", "address": "192.0.2.7", "user_agent": "", "door": "verify"}]);
    let refusals = json!([{"minute": "2026-11-21T10:01:00Z", "reason": "wrong_secret", "count": 1, "address": "192.0.2.7"}]);
    show().await.assert(200, json!({"token": service.id, "secrets": uses, "refusals": refusals}));
    world.authority.flush_all_usage().await.unwrap();
    show().await.assert(200, json!({"token": service.id, "secrets": uses, "refusals": refusals}));

    let bad =
        async |query: &str| world.get(&format!("/api/v1/usage{query}")).bearer(&world.root).send().await;
    bad("").await.assert_field("token", "is required");
    let wanted = "must be a service token id (UUID) or a token handle (22 characters)";
    bad(&format!("?token={}", world.root)).await.assert_field("token", wanted);
    bad("?token=").await.assert_field("token", wanted);
    assert_eq!(bad("?token=0000000000000000000000").await.status, 404);
}

#[tokio::test]
async fn health() {
    let world = World::new().await;
    let unavailable = |reason: &str| json!({"status": "unavailable", "reason": reason});
    world.get("/healthz").send().await.assert(200, json!({"status": "ok"}));
    world.get("/readyz").send().await.assert(200, json!({"status": "ok"}));
    assert_eq!(world.call("HEAD", "/healthz").send().await.status, 200);
    world.faults().set_failing(true);
    world.get("/healthz").send().await.assert(200, json!({"status": "ok"}));
    world.get("/readyz").send().await.assert(200, json!({"status": "ok"}));
    world.clock.advance(Duration::from_secs(1));
    world.get("/readyz").send().await.assert(503, unavailable("store_unavailable"));
    world.faults().set_failing(false);
    world.clock.advance(Duration::from_secs(1));
    world.get("/readyz").send().await.assert(200, json!({"status": "ok"}));
    world.app.drain();
    world.get("/readyz").send().await.assert(503, unavailable("draining"));
    world.get("/healthz").send().await.assert(200, json!({"status": "ok"}));
    let unloaded = World::unloaded();
    unloaded.get("/readyz").send().await.assert(503, unavailable("directory_not_loaded"));
}

#[tokio::test]
async fn metrics() {
    let world = World::new().await;
    verify(&world, &json!({"token": world.root})).await;
    verify(&world, &json!({"token": "short"})).await;
    world.get("/v1/Accounts/nobody/accessTokens?access_token=SECRET").send().await;
    let answer = world.get("/metrics").send().await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    for line in [
        r#"countersign_verdicts_total{door="verify",outcome="granted",reason=""} 1"#,
        r#"countersign_verdicts_total{door="verify",outcome="denied",reason="malformed"} 1"#,
        r#"countersign_verdicts_total{door="api",outcome="denied",reason="malformed"} 1"#,
        r#"route="/v1/Accounts/{id}/accessTokens""#,
        "# EOF",
    ] {
        assert!(answer.body.contains(line), "{line}\n{}", answer.body);
    }
    assert!(!answer.body.contains("nobody") && !answer.body.contains("SECRET"));
}

#[tokio::test]
async fn documents_are_served() {
    let world = World::new().await;
    for (wire, document) in countersign_server::documents() {
        let answer = world.get(&format!("/openapi/{wire}.json")).send().await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/json"));
        assert_eq!(answer.body, document);
    }
    assert_problem(
        &world.get("/openapi/x.json").send().await,
        404,
        "Not Found",
        "there is nothing at this path",
    );
}

#[tokio::test]
async fn what_is_not_there() {
    let world = World::new().await;
    for path in ["/", "/console", "/console/x", "/api", "/api/v1", "/api/v1/nope", "/v10", "/accountsx"] {
        assert_problem(&world.get(path).send().await, 404, "Not Found", "there is nothing at this path");
    }
    let detail = "this path has other methods; `Allow` names them";
    for (method, path, allow) in
        [("GET", VERIFY, "POST"), ("DELETE", "/api/v1/audit", "GET,HEAD"), ("PUT", "/healthz", "GET,HEAD")]
    {
        let answer = world.call(method, path).bearer(&world.root).send().await;
        assert_problem(&answer, 405, "Method Not Allowed", detail);
        assert_eq!(answer.header("allow"), allow, "{method} {path}");
    }
}

#[tokio::test]
async fn the_internal_listener_knows_no_management() {
    let mut world = World::new().await;
    world.service = Service::new(&world.app, Exposure::Internal);
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(world.get(path).send().await.status, 200, "{path}");
    }
    for path in
        [VERIFY, "/api/v1/audit", "/api/v1/self", "/openapi/native.json", "/v1/Accounts/me/accessTokens"]
    {
        assert_eq!(world.get(path).bearer(&world.root).send().await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn faults_name_the_request_and_not_their_cause() {
    let world = World::new().await;
    world.faults().set_failing(true);
    let answer = world.get("/api/v1/audit").bearer(&world.root).send().await;
    answer.assert(
        503,
        json!({"type": "about:blank", "title": "Service Unavailable", "status": 503,
            "detail": "this cannot be answered now; ask again in a moment", "request_id": answer.header("x-request-id")}),
    );
    assert_eq!(
        (answer.header("retry-after"), answer.header("content-type")),
        ("1", "application/problem+json")
    );
    assert_eq!(reason(&world, json!({"token": world.root})).await, "", "verification needs no store");
    assert_eq!(World::unloaded().post(VERIFY).bearer(&world.root).json(&json!({})).await.status, 503);
}
