//! Introspection (RFC 7662): who may ask, what is said, and in which way requests are refused.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::{Value, json};

use crate::harness::World;

const PATH: &str = "/oauth2/introspect";
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// Status, body, and the challenge.
type Said = (u16, Value, String);

async fn send(world: &World, target: &str, headers: &[(&str, &str)], form: &str) -> Said {
    let call = headers.iter().fold(world.post(target), |call, (name, value)| call.header(name, value));
    let answer = call.body(form.to_owned()).send().await;
    assert_eq!(
        (answer.header("cache-control"), answer.header("content-type")),
        ("no-store", "application/json")
    );
    (answer.status.as_u16(), answer.json(), answer.header("www-authenticate").to_owned())
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

fn basic(username: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{username}:{password}")))
}

/// What the root is told about a token.
async fn told(world: &World, form: &str) -> Value {
    let (status, body, _) = send(world, PATH, &[FORM, ("authorization", &bearer(&world.root))], form).await;
    assert_eq!(status, 200, "{body}");
    body
}

#[tokio::test]
async fn it_says_whose_it_is() {
    let world = World::new().await;
    let token = world.access_token(json!({"ttl": 60, "scopes": ["a:read", "b"]})).await;
    let exp = world.clock_seconds() + 60;
    let active = json!({"active": true, "scope": "a:read b", "token_type": "Bearer", "exp": exp,
        "sub": world.root_account, "account": world.root_account, "token": &token[..22], "jti": &token[..22], "kind": "access", "organizations": [], "secret_version": 1});
    assert_eq!(told(&world, &format!("token={token}")).await, active);
    assert_eq!(
        told(&world, &format!("token={token}&token_type_hint=refresh_token")).await,
        active,
        "a hint is none"
    );
    let service = world.service_token(json!({"name": "ci", "duration": "1h"})).await;
    let form = format!("token={}%3A{}", service.client_id, service.secret);
    let said = told(&world, &form).await;
    assert_eq!(
        (&said["scope"], &said["client_id"], &said["name"]),
        (&json!("DEFAULT"), &json!(service.client_id), &json!("ci"))
    );
    let eternal = world.access_token(json!({"ttl": -1})).await;
    assert_eq!(told(&world, &format!("token={eternal}")).await.get("exp"), None);

    world.clock.advance(Duration::from_secs(60));
    let inactive = json!({"active": false});
    for token in [&token, "short", &"x".repeat(64), &format!("{}:{}", service.client_id, "x".repeat(64))] {
        assert_eq!(told(&world, &format!("token={token}")).await, inactive, "{token}");
    }
}

#[tokio::test]
async fn a_demand_and_a_request_are_judged() {
    let world = World::new().await;
    let token = world
        .access_token(
            json!({"ttl": 60, "scopes": ["a"], "resources": ["GET /r/**"], "allowed_ips": ["192.0.2.0/24"]}),
        )
        .await;
    let ask = async |query: &str, more: &str| {
        let form = format!("token={token}{more}");
        let headers = [FORM, ("authorization", &bearer(&world.root))];
        send(&world, &format!("{PATH}{query}"), &headers, &form).await
    };
    let right = "&method=GET&uri=%2Fr%2F1&address=192.0.2.7";
    assert_eq!(ask("?scope=a|b", right).await.1["active"], json!(true));
    for (query, more) in
        [("?scope=b", right), ("", ""), ("", "&method=GET&uri=%2Fr%2F1&address=198.51.100.1")]
    {
        assert_eq!(ask(query, more).await.1, json!({"active": false}), "{query} {more}");
    }
    for (query, more) in [("?scopes=a", right), ("?scope=", right), ("", "&address=here")] {
        let (status, body, _) = ask(query, more).await;
        assert_eq!((status, &body["error"]), (400, &json!("invalid_request")), "{query} {more}");
    }
}

#[tokio::test]
async fn only_who_may_verify_may_ask() {
    let world = World::new().await;
    let child = world.account_below(&world.root_account).await;
    let about = format!("token={}", world.access_token(json!({"ttl": 60})).await);
    let ask = async |headers: &[(&str, &str)], form: &str| {
        send(&world, PATH, &[&[FORM], headers].concat(), form).await
    };

    let may = world.access_token(json!({"scopes": ["countersign:verify"]})).await;
    let service = world.service_token(json!({"name": "s", "scopes": ["countersign:verify"]})).await;
    let encoded = basic(&service.client_id.replace('.', "%2E"), &service.secret.replace('_', "%5F"));
    let in_form = format!("{about}&client_id={}&client_secret={}", service.client_id, service.secret);
    let beside = format!("{about}&client_id={}", service.client_id);
    let good: [(&[(&str, &str)], &str); 6] = [
        (&[("authorization", &bearer(&may))], &about),
        (&[("authorization", &basic(&service.client_id, &service.secret))], &about),
        (&[("authorization", &encoded)], &about),
        (&[("authorization", &encoded)], &beside),
        (&[("authorization", &basic("", &may))], &about),
        (&[], &in_form),
    ];
    for (headers, form) in good {
        assert_eq!(ask(headers, form).await.1["active"], json!(true), "{headers:?} {form}");
    }

    let of_child = world.access_token_of(&child, json!({"scopes": ["countersign:verify"]})).await;
    let foreign = ask(&[("authorization", &bearer(&of_child))], &about).await;
    assert_eq!((foreign.0, foreign.1), (200, json!({"active": false})), "not above one's own account");

    let unscoped = world.service_token(json!({"name": "door"})).await;
    let other = world.access_token(json!({"scopes": ["countersign:audit:read"]})).await;
    for credential in [bearer(&other), basic(&unscoped.client_id, &unscoped.secret)] {
        let (status, body, challenge) = ask(&[("authorization", &credential)], &about).await;
        assert_eq!((status, &body["error"]), (403, &json!("insufficient_scope")));
        assert!(challenge.contains("insufficient_scope"), "{challenge}");
    }

    let wrong = basic(&service.client_id, &"x".repeat(64));
    let half = format!("{about}&client_id={}", service.client_id);
    let bad: [(&[(&str, &str)], &str); 6] = [
        (&[], &about),
        (&[("authorization", &wrong)], &about),
        (&[("authorization", "Bearer nonsense")], &about),
        (&[("authorization", "Digest abc")], &about),
        (&[("authorization", &may)], &about),
        (&[], &half),
    ];
    for (headers, form) in bad {
        let (status, body, challenge) = ask(headers, form).await;
        assert_eq!((status, &body["error"]), (401, &json!("invalid_client")), "{headers:?} {form}");
        assert_eq!(challenge, "Basic realm=\"countersign\"");
    }
    for headers in [
        &[("authorization", &*bearer(&may)), ("authorization", &*bearer(&may))][..],
        &[("authorization", &*bearer(&may)), ("cf-access-client-id", &*service.client_id)][..],
    ] {
        assert_eq!(ask(headers, &about).await.1["error"], json!("invalid_request"), "two are none");
    }
    let (status, body, _) = ask(&[("authorization", &bearer(&may))], &in_form).await;
    assert_eq!((status, &body["error"]), (400, &json!("invalid_request")));
}

#[tokio::test]
async fn what_is_no_good_request_is_refused() {
    let world = World::new().await;
    let root = bearer(&world.root);
    let authorization = ("authorization", &*root);
    let error = async |headers: &[(&str, &str)], form: &str| {
        let (status, body, _) = send(&world, PATH, headers, form).await;
        (status, body["error"].as_str().unwrap().to_owned())
    };
    let invalid = |status: u16| (status, "invalid_request".to_owned());
    let token = format!("token={}", world.root);
    assert_eq!(error(&[FORM, authorization], "").await, invalid(400));
    assert_eq!(error(&[FORM, authorization], "token=").await, invalid(400));
    assert_eq!(error(&[FORM, authorization], &format!("{token}&{token}")).await, invalid(400));
    assert_eq!(error(&[authorization], &token).await, invalid(400), "no form");
    assert_eq!(error(&[("content-type", "application/json"), authorization], "{}").await, invalid(400));
    let charset = ("content-type", "application/x-www-form-urlencoded; charset=UTF-8");
    assert_eq!(send(&world, PATH, &[charset, authorization], &token).await.0, 200);
    let large = format!("{token}&a={}", "b".repeat(110_000));
    assert_eq!(error(&[FORM, authorization], &large).await, invalid(413));

    let answer = world.get(PATH).send().await;
    assert_eq!((answer.status, answer.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, "POST"));

    let unloaded = World::unloaded();
    let (status, body, _) = send(&unloaded, PATH, &[FORM, authorization], &token).await;
    assert_eq!((status, &body["error"]), (503, &json!("temporarily_unavailable")));
}
