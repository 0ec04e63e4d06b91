//! Revocation (RFC 7009) and the metadata (RFC 8414): whoever shows a whole access token ends it, and nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::json;

use crate::harness::{Answer, World};

const PATH: &str = "/oauth2/revoke";

async fn revoke(world: &World, headers: &[(&str, &str)], form: &str) -> Answer {
    let call = headers.iter().fold(world.post(PATH), |call, (name, value)| call.header(name, value));
    call.form(form).await
}

#[track_caller]
fn assert_error(answer: &Answer, status: u16, error: &str) {
    let json = answer.json();
    assert_eq!((answer.status.as_u16(), json["error"].as_str()), (status, Some(error)), "{json}");
    assert_eq!(
        (answer.header("content-type"), answer.header("cache-control")),
        ("application/json", "no-store")
    );
    assert_eq!(answer.header("x-request-id").len(), 16);
}

fn is_good(world: &World, token: &str) -> bool {
    world.door("/authz", &[("authorization", &format!("Bearer {token}"))]).is_success()
}

#[tokio::test]
async fn possession_is_enough() {
    let world = World::new().await;
    // Held by somebody who may not use it here.
    let bound = json!({"scopes": ["a"], "allowed_ips": ["192.0.2.0/24"], "resources": ["GET /r"]});
    let other = world.access_token(json!({})).await;
    let bearer = |token: &str| format!("Bearer {token}");
    for shown in [false, true] {
        let token = world.access_token(bound.clone()).await;
        let authorization = bearer(&token);
        let headers = [("authorization", &*authorization)];
        let headers = if shown { &headers[..] } else { &[] };
        let answer = revoke(&world, headers, &format!("token={token}&token_type_hint=refresh_token")).await;
        assert_eq!((answer.status, &*answer.body), (StatusCode::OK, ""), "{shown}");
        let handle = &token[..22];
        let listed = world.get(&world.access_tokens()).bearer(&world.root).send().await.body;
        assert!(!listed.contains(handle), "{shown}: {listed}");
        let audit = world.get("/api/v1/audit?limit=1").bearer(&world.root).send().await.json();
        let last = &audit["entries"][0];
        assert_eq!(
            (&last["action"], &last["actor"]["token"]),
            (&json!("access_token.revoke"), &json!(handle)),
            "{audit}"
        );
        assert_eq!(revoke(&world, &[], &format!("token={token}")).await.status, StatusCode::OK, "again");
    }
    assert!(is_good(&world, &other));
}

#[tokio::test]
async fn nothing_less_than_the_whole_text_ends_a_token() {
    let world = World::new().await;
    let token = world.access_token(json!({})).await;
    let last = if token.ends_with('0') { '1' } else { '0' };
    let before = world.stored().await;
    let other_secret = with_another_secret(&token);
    for wrong in [&token[..22], &token[..63], &format!("{}{last}", &token[..63]), &other_secret, "nonsense"] {
        let answer = revoke(&world, &[], &format!("token={wrong}")).await;
        assert_eq!((answer.status, &*answer.body), (StatusCode::OK, ""), "{wrong}");
    }
    assert_eq!(world.stored().await, before);
    assert!(is_good(&world, &token));
}

/// The same handle, another secret, and a checksum that is right.
fn with_another_secret(token: &str) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let body = format!("{}{}", &token[..22], "Z".repeat(36));
    let mut rest = crc32fast::hash(body.as_bytes());
    let mut checksum = [b'0'; 6];
    for digit in checksum.iter_mut().rev() {
        *digit = DIGITS[(rest % 62) as usize];
        rest /= 62;
    }
    format!("{body}{}", std::str::from_utf8(&checksum).unwrap())
}

#[tokio::test]
async fn a_service_token_is_of_another_type() {
    let world = World::new().await;
    let service = world.service_token(json!({"name": "door"})).await;
    let pair = format!("{}%3A{}", service.client_id, service.secret);
    for token in [&*pair, &service.secret, &format!("{}:x", service.client_id)] {
        assert_error(&revoke(&world, &[], &format!("token={token}")).await, 400, "unsupported_token_type");
    }
    assert_eq!(world.door("/authz", &service.headers()), StatusCode::OK);
}

#[tokio::test]
async fn a_client_that_says_who_it_is_must_be_good_and_may_verify() {
    let world = World::new().await;
    let basic = |id: &str, secret: &str| format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
    let may = world.service_token(json!({"name": "rs", "scopes": ["countersign:verify"]})).await;
    let may_not = world.service_token(json!({"name": "door"})).await;
    let token = world.access_token(json!({"scopes": ["a"]})).await;
    let other = world.access_token(json!({"scopes": ["a"]})).await;
    let form = format!("token={token}");

    let wrong = basic(&may.client_id, &may_not.secret);
    assert_error(&revoke(&world, &[("authorization", &wrong)], &form).await, 401, "invalid_client");
    let half = format!("{form}&client_secret={}", may.secret);
    assert_error(&revoke(&world, &[], &half).await, 401, "invalid_client");
    for credential in [basic(&may_not.client_id, &may_not.secret), format!("Bearer {other}")] {
        let answer = revoke(&world, &[("authorization", &credential)], &form).await;
        assert_error(&answer, 403, "insufficient_scope");
    }
    let good = basic(&may.client_id, &may.secret);
    let twice = format!("{form}&client_id={}&client_secret={}", may.client_id, may.secret);
    assert_error(&revoke(&world, &[("authorization", &good)], &twice).await, 400, "invalid_request");
    assert_error(&revoke(&world, &[], &format!("{form}&{form}")).await, 400, "invalid_request");
    assert_error(&revoke(&world, &[], "").await, 400, "invalid_request");
    assert_error(&world.post(PATH).body(form.clone()).send().await, 400, "invalid_request");
    assert_error(&world.get(PATH).send().await, 405, "invalid_request");
    assert_error(&world.post("/oauth2/nothing").send().await, 404, "not_found");
    assert!(is_good(&world, &token));

    // Whoever has no secret may say how it is called.
    let named = format!("token={other}&client_id=somebody");
    assert_eq!(revoke(&world, &[], &named).await.status, StatusCode::OK);
    assert!(!is_good(&world, &other));
    assert_eq!(revoke(&world, &[("authorization", &good)], &form).await.status, StatusCode::OK);
    assert!(!is_good(&world, &token));
}

#[tokio::test]
async fn what_cannot_be_written_is_not_said_to_be_done() {
    let world = World::new().await;
    let token = world.access_token(json!({})).await;
    world.faults().set_failing(true);
    let answer = revoke(&world, &[], &format!("token={token}")).await;
    assert_error(&answer, 503, "temporarily_unavailable");
    assert_eq!(answer.header("retry-after"), "1");
}

#[tokio::test]
async fn metadata_says_where_things_are() {
    let world = World::new().await;
    let answer = world.get("/.well-known/oauth-authorization-server").send().await;
    let metadata = json!({
        "issuer": "http://localhost",
        "token_endpoint": "http://localhost/oauth2/token",
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "jwks_uri": "http://localhost/.well-known/jwks.json",
        "introspection_endpoint": "http://localhost/oauth2/introspect",
        "introspection_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "revocation_endpoint": "http://localhost/oauth2/revoke",
        "revocation_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "response_types_supported": [],
        "grant_types_supported": ["client_credentials"],
    });
    answer.assert(200, metadata);
}
