//! Every operation of every wire is tried as a stranger (design 5, invariant 8). The list of operations comes from
//! the OpenAPI documents, and routes describe themselves where they are registered, so none can be forgotten.

use std::time::Duration;

use serde_json::json;

use crate::harness::{Stored, World};
use crate::operations::{SOMEBODY, Scene, operations};

/// Operations that answer anybody. This list may only shrink.
const PUBLIC: [&str; 11] = [
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",
    "GET /openapi/{document}",
    "POST /v1/Accounts/login",
    "GET /v1/Accounts/is-unique",
    "GET /.well-known/oauth-authorization-server",
    "GET /.well-known/jwks.json",
    "GET /cdn-cgi/access/certs",
    // To nobody but the bearer of the cookie (`cloudflare_shape.rs`).
    "GET /cdn-cgi/access/get-identity",
    // What it asks for is the token that is to end (`revocation.rs`).
    "POST /oauth2/revoke",
];

/// Operations that ask for a good credential but for no scope: a bearer about itself. This list may only shrink.
const NEEDS_NO_SCOPE: [&str; 4] =
    ["GET /api/v1/self", "GET /authz", "GET /v1/Accounts/authorized", "POST /v1/Accounts/logout"];

/// Operations that any account may ask, each about what is its own or below it.
const VERIFIES: [&str; 4] = [
    "POST /api/v1/verify",
    "POST /api/v1/verify/batch",
    "POST /oauth2/introspect",
    "GET /api/v1/revocations",
];

/// Operations on the caller's own account, whichever that is.
const ABOUT_ONES_OWN: [&str; 4] =
    ["GET /v1/Accounts", "POST /v1/Accounts", "GET /v1/Accounts/count", "POST /v1/Accounts/change-password"];

/// What each wire says to a stranger.
fn denials(wire: &str) -> &'static [u16] {
    match wire {
        "cloudflare" => &[400, 403],
        "loopback" => &[401],
        _ => &[401, 403],
    }
}

#[tokio::test]
async fn strangers_get_nothing_anywhere() {
    get_nothing_anywhere(World::new().await).await;
}

#[tokio::test]
async fn strangers_get_nothing_from_the_embedded_store() {
    get_nothing_anywhere(World::over(Stored::Embedded).await).await;
}

#[tokio::test]
async fn strangers_get_nothing_from_the_shared_store() {
    get_nothing_anywhere(World::over(Stored::Shared).await).await;
}

async fn get_nothing_anywhere(world: World) {
    let scene = Scene::of(world).await;
    scene.world.authority.tend_keys().await.unwrap();
    let world = &scene.world;
    let sibling = world.account_below(&world.root_account).await;
    let foreign = world.access_token_of(&sibling, json!({})).await;
    let child = world.account_below(&scene.account).await;
    let below = world.access_token_of(&child, json!({})).await;
    let narrower = world.access_token_of(&scene.account, json!({"scopes": ["something:else"]})).await;
    let nothing = world.access_token_of(&scene.account, json!({"scopes": []})).await;
    let revoked = world.access_token_of(&scene.account, json!({})).await;
    let path = format!("/v1/Accounts/{}/accessTokens/{revoked}", scene.account);
    assert_eq!(world.delete(&path).bearer(&world.root).send().await.status, 200);
    let expired = world.access_token_of(&scene.account, json!({"ttl": 1})).await;
    let service = world.service_token(json!({"name": "a machine"})).await;
    world.clock.advance(Duration::from_secs(2));
    let changed = format!("{}{}", &foreign[..63], if foreign.ends_with('0') { '1' } else { '0' });

    let bearer = |text: &str| vec![("authorization".to_owned(), format!("Bearer {text}"))];
    let strangers: Vec<(&str, Vec<(String, String)>)> = vec![
        ("no credential", vec![]),
        ("garbage", bearer("garbage")),
        ("a wrong checksum", bearer(&changed)),
        ("an unknown token", bearer(&"x".repeat(64))),
        ("a handle", bearer(&foreign[..22])),
        ("a revoked token", bearer(&revoked)),
        ("an expired token", bearer(&expired)),
        ("a service token's secret", bearer(&service.secret)),
        (
            "a service token with a wrong secret",
            vec![
                ("cf-access-client-id".into(), service.client_id.clone()),
                ("cf-access-client-secret".into(), "a1".repeat(32)),
            ],
        ),
        ("a token of a sibling account", bearer(&foreign)),
        ("a token of a child account", bearer(&below)),
        ("a token of another scope", bearer(&narrower)),
        ("a token of no scope", bearer(&nothing)),
    ];
    let before = world.stored().await;
    let mut tried = 0;
    for operation in operations() {
        let name = operation.name();
        if PUBLIC.contains(&name.as_str()) || operation.needs_mail() {
            continue;
        }
        for (stranger, credential) in &strangers {
            let is_of_another_account =
                matches!(*stranger, "a token of a sibling account" | "a token of a child account");
            let is_a_good_credential = is_of_another_account
                || matches!(*stranger, "a token of another scope" | "a token of no scope");
            let asks_about_itself = operation.is_door() || NEEDS_NO_SCOPE.contains(&name.as_str());
            // An unscoped token of another account may verify, but only credentials of its own account and below.
            let verifies = VERIFIES.contains(&name.as_str()) && is_of_another_account;
            let is_ones_own = ABOUT_ONES_OWN.contains(&name.as_str()) && is_of_another_account;
            if is_a_good_credential && asks_about_itself || verifies || is_ones_own {
                continue;
            }
            let headers: Vec<(&str, &str)> =
                credential.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            let status = scene.send(&operation, &headers).await;
            assert!(denials(operation.wire).contains(&status.as_u16()), "{name} as {stranger}: {status}");
            tried += 1;
        }
    }
    assert_eq!(world.stored().await, before, "a stranger changed something");
    assert!(tried >= 12 * 12, "{tried} attempts: the documents have lost operations");
}

/// The same requests by one who may: so that a denial above is about the credential, not about a broken request.
#[tokio::test]
async fn who_may_is_let_in() {
    for operation in operations() {
        let scene = Scene::new().await;
        let name = operation.name();
        if operation.needs_keys() {
            scene.world.authority.tend_keys().await.unwrap();
        }
        let mut token = scene.world.root.clone();
        if name == "POST /v1/Accounts/change-password" {
            let body = json!({"email": SOMEBODY.0, "password": SOMEBODY.1});
            token = scene.world.post("/v1/Accounts/login").json(&body).await.text_at("/id");
        }
        let status = scene.send(&operation, &[("authorization", &format!("Bearer {token}"))]).await;
        let expected = if operation.needs_mail() { status == 400 } else { status.is_success() };
        assert!(expected, "{name}: {status}");
    }
}

/// What a sibling, or a child, asks about somebody else's credential it is told as of one that does not exist.
#[tokio::test]
async fn verify_speaks_only_of_the_callers_account_and_below() {
    let scene = Scene::new().await;
    let sibling = scene.world.account_below(&scene.world.root_account).await;
    let foreign = scene.world.access_token_of(&sibling, json!({})).await;
    let own = scene.world.access_token_of(&scene.account, json!({})).await;
    let child = scene.world.account_below(&scene.account).await;
    let below = scene.world.access_token_of(&child, json!({})).await;
    let ask = async |caller: &str, token: &str| {
        let answer = scene.world.post("/api/v1/verify").bearer(caller).json(&json!({"token": token})).await;
        answer.json()["reason"].as_str().map(str::to_owned)
    };
    assert_eq!(ask(&foreign, &own).await.as_deref(), Some("unknown"));
    assert_eq!(ask(&foreign, &scene.world.root).await.as_deref(), Some("unknown"));
    assert_eq!(ask(&below, &own).await.as_deref(), Some("unknown"));
    assert_eq!(ask(&own, &own).await, None);
    assert_eq!(ask(&own, &below).await, None);
    assert_eq!(ask(&scene.world.root, &own).await, None);
}
