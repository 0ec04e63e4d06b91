//! Signed tokens: how one is got, where it is good, and what ends it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Answer, ISSUER, ServiceToken, World};

const PATH: &str = "/oauth2/token";

fn basic(client_id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{client_id}:{secret}")))
}

async fn ask(world: &World, token: &ServiceToken, form: &str) -> Answer {
    let form = format!("grant_type=client_credentials&{form}");
    world.post(PATH).header("authorization", &basic(&token.client_id, &token.secret)).form(&form).await
}

#[track_caller]
fn assert_error(answer: &Answer, status: u16, error: &str) {
    assert_eq!(
        (answer.status.as_u16(), answer.json()["error"].as_str()),
        (status, Some(error)),
        "{answer:?}"
    );
}

fn claims(text: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

fn door(world: &World, demand: &str, text: &str) -> StatusCode {
    world.door(&format!("/authz?{demand}"), &[("authorization", &format!("Bearer {text}"))])
}

async fn world() -> (World, ServiceToken) {
    let world = World::new().await;
    world.authority.tend_keys().await.unwrap();
    let token = world.service_token(json!({"name": "ci", "scopes": ["a:*", "b"]})).await;
    (world, token)
}

#[tokio::test]
async fn a_secret_is_exchanged_for_a_signed_token() {
    let (world, token) = world().await;
    let answer = ask(&world, &token, "").await;
    assert_eq!(answer.header("cache-control"), "no-store");
    let (body, now) = (answer.json(), world.clock_seconds());
    assert_eq!(
        (&body["token_type"], &body["expires_in"], &body["scope"]),
        (&json!("Bearer"), &json!(300), &json!("a:* b"))
    );
    let claims = claims(&answer.text_at("/access_token"));
    let id = claims["jti"].clone();
    assert_eq!(id.as_str().unwrap().len(), 32);
    let expected = json!({
        "iss": ISSUER, "sub": token.client_id, "aud": ISSUER, "exp": now + 300, "iat": now, "jti": id,
        "client_id": token.client_id, "token": token.id, "scope": "a:* b", "account": world.root_account,
        "accounts_above": [], "secret_version": 1,
    });
    assert_eq!(claims, expected);
    let again = ask(&world, &token, "").await.text_at("/access_token");
    assert_ne!(self::claims(&again)["jti"], id);

    // In the form as well, and by a service token of an account below.
    let account = world.account_below(&world.root_account).await;
    let path = crate::harness::service_tokens_of(&account);
    let made = world.post(&path).bearer(&world.root).json(&json!({"name": "below"})).await;
    let text =
        world.exchange(&made.text_at("/result/client_id"), &made.text_at("/result/client_secret"), "").await;
    let claims = self::claims(&text);
    assert_eq!(claims["accounts_above"], json!([world.root_account]));
    assert_eq!((&claims["scope"], &claims["account"]), (&json!("DEFAULT"), &json!(account)));
}

/// RFC 6749, 5.2, and RFC 8707, 2.
#[tokio::test]
async fn what_is_no_good_request_is_refused_by_the_rule() {
    let (world, token) = world().await;
    let credential = basic(&token.client_id, &token.secret);
    let send = async |form: &str| world.post(PATH).header("authorization", &credential).form(form).await;
    assert_error(&send("").await, 400, "invalid_request");
    assert_error(&send("grant_type=password").await, 400, "unsupported_grant_type");
    for twice in
        ["grant_type=client_credentials&grant_type=client_credentials", "scope=a&scope=b&grant_type=x"]
    {
        assert_error(&send(twice).await, 400, "invalid_request");
    }
    for scope in ["c", "a", "DEFAULT", "*", "a:x%20c", "a::b", "%22"] {
        assert_error(&ask(&world, &token, &format!("scope={scope}")).await, 400, "invalid_scope");
    }
    for resource in ["x", "/path", "https://a.example/%23part", "https:", "%20", "https://a.example/%0A"] {
        assert_error(&ask(&world, &token, &format!("resource={resource}")).await, 400, "invalid_target");
    }
    let many = "resource=https://a.example&".repeat(9);
    assert_error(&ask(&world, &token, &many).await, 400, "invalid_target");

    for wrong in [&*basic(&token.client_id, &"0".repeat(64)), "Bearer x", &format!("Bearer {}", world.root)] {
        let form = "grant_type=client_credentials";
        let answer = world.post(PATH).header("authorization", wrong).form(form).await;
        assert_error(&answer, 401, "invalid_client");
        assert!(answer.header("www-authenticate").starts_with("Basic"), "{answer:?}");
    }
    assert_error(&world.post(PATH).form("grant_type=client_credentials").await, 401, "invalid_client");
    let two = format!("client_id={}&client_secret={}", token.client_id, token.secret);
    assert_error(&ask(&world, &token, &two).await, 400, "invalid_request");
    assert_error(&world.get(PATH).send().await, 405, "invalid_request");
    let bound = world.service_token(json!({"name": "bound", "resources": ["GET /app/**"]})).await;
    assert_error(&ask(&world, &bound, "").await, 400, "unauthorized_client");
}

#[tokio::test]
async fn it_is_as_narrow_as_it_was_asked_for() {
    let (world, token) = world().await;
    let text = world.exchange(&token.client_id, &token.secret, "scope=a:x").await;
    assert_eq!(door(&world, "scope=a:x", &text), StatusCode::OK);
    for beyond in ["scope=a:y", "scope=b", "scope=a:x&scope=b"] {
        assert_eq!(door(&world, beyond, &text), StatusCode::FORBIDDEN, "{beyond}");
    }
    // An unscoped token's, narrowed, is no more at a door than the unscoped one itself.
    let account = world.account_below(&world.root_account).await;
    let path = crate::harness::service_tokens_of(&account);
    let made = world.post(&path).bearer(&world.root).json(&json!({"name": "customer"})).await;
    let (client_id, secret) = (made.text_at("/result/client_id"), made.text_at("/result/client_secret"));
    let text = world.exchange(&client_id, &secret, "scope=admin").await;
    assert_eq!(door(&world, "scope=admin", &text), StatusCode::FORBIDDEN);
    assert_eq!(door(&world, &format!("scope=admin&account={account}"), &text), StatusCode::OK);
    assert_eq!(door(&world, &format!("scope=other&account={account}"), &text), StatusCode::FORBIDDEN);
}

/// RFC 9068, 4: whoever is not named must refuse it.
#[tokio::test]
async fn it_is_for_whom_it_was_asked_for() {
    let (world, token) = world().await;
    let ours = world.exchange(&token.client_id, &token.secret, "").await;
    let [a, b] = ["https://a.example/api", "https://b.example"];
    let theirs = world.exchange(&token.client_id, &token.secret, &format!("resource={a}&resource={b}")).await;
    assert_eq!(claims(&theirs)["aud"], json!([a, b]));
    let (ok, no) = (StatusCode::OK, StatusCode::UNAUTHORIZED);
    let cells = [
        (&ours, String::new(), ok),
        (&theirs, String::new(), no),
        (&theirs, format!("audience={a}"), ok),
        (&theirs, format!("audience={a}&audience={b}"), ok),
        (&theirs, format!("audience={a}&audience=https://c.example"), no),
        (&theirs, "audience=https://a.example/api/".to_owned(), no),
        (&ours, format!("audience={a}"), no),
        (&ours, format!("audience={ISSUER}"), ok),
    ];
    for (text, demand, expected) in cells {
        assert_eq!(door(&world, &demand, text), expected, "{demand}");
    }
    // A secret is for everybody.
    assert_eq!(world.door(&format!("/authz?audience={a}"), &token.headers()), ok);
    assert_eq!(door(&world, "audience=", &ours), StatusCode::FORBIDDEN, "an empty demand is none");
}

/// Headers, and what the door says to them.
type Cell<'c> = (&'static str, Vec<(&'c str, &'c str)>, StatusCode);

/// What is shown beside others, and in which order it is looked for.
#[tokio::test]
async fn it_stands_in_three_places() {
    let (world, token) = world().await;
    let text = &*world.exchange(&token.client_id, &token.secret, "").await;
    let (bearer, cookie) = (format!("Bearer {text}"), format!("a=b; CF_Authorization={text}"));
    let [id, secret] = token.headers();
    let foreign = "Bearer eyJhbGciOiJIUzI1NiJ9.e30.AAAA";
    let (ok, no) = (StatusCode::OK, StatusCode::UNAUTHORIZED);
    let signed = ("cf-access-token", text);
    let cells: Vec<Cell<'_>> = vec![
        ("bearer", vec![("authorization", &bearer)], ok),
        ("bare", vec![("authorization", text)], ok),
        ("cookie", vec![("cookie", &cookie)], ok),
        ("cookies in two headers", vec![("cookie", "a=b"), ("cookie", &cookie)], ok),
        ("the cookie twice", vec![("cookie", &cookie), ("cookie", &cookie)], no),
        ("another cookie", vec![("cookie", "XCF_Authorization=1; CF_Authorization2=2")], no),
        ("header", vec![signed], ok),
        ("the header twice", vec![signed, signed], no),
        ("a cookie that is none, beside a pair", vec![id, secret, ("cookie", "CF_Authorization=x")], ok),
        ("a cookie that is none", vec![("cookie", "CF_Authorization=x")], no),
        ("a pair and a header", vec![id, secret, signed], no),
        ("a pair and a bearer", vec![id, secret, ("authorization", &bearer)], no),
        ("a bearer and a header", vec![("authorization", &bearer), signed], no),
        ("the application's own and a header", vec![("authorization", foreign), signed], ok),
        ("the application's own and a cookie", vec![("authorization", foreign), ("cookie", &cookie)], ok),
        ("the application's own alone", vec![("authorization", foreign)], no),
        ("the application's own and a pair", vec![("authorization", foreign), id, secret], ok),
        (
            "a hop that drops the cookie",
            vec![("cookie", &cookie), ("connection", "cookie")],
            StatusCode::FORBIDDEN,
        ),
    ];
    for (name, headers, expected) in cells {
        assert_eq!(world.door("/authz", &headers), expected, "{name}");
    }
}

#[tokio::test]
async fn a_management_route_takes_none() {
    let (world, token) = world().await;
    let text = world.exchange(&token.client_id, &token.secret, "").await;
    let denied = world.get(&world.service_tokens()).bearer(&text).send().await;
    assert_eq!(denied.status, StatusCode::FORBIDDEN);
    assert_eq!(world.get("/v1/Accounts").bearer(&text).send().await.status, StatusCode::UNAUTHORIZED);
    let myself = world.get("/api/v1/self").bearer(&text).send().await;
    assert_eq!(myself.json()["scopes"], json!(["a:*", "b"]), "a bearer about itself");
    let ended = world.post("/oauth2/revoke").form(&format!("token={text}")).await;
    assert_error(&ended, 400, "unsupported_token_type");
}

#[tokio::test]
async fn introspection_tells_its_claims() {
    let (world, token) = world().await;
    let text = world.exchange(&token.client_id, &token.secret, "scope=b").await;
    let said =
        world.post("/oauth2/introspect").bearer(&world.root).form(&format!("token={text}")).await.json();
    let claims = claims(&text);
    for name in ["iss", "sub", "exp", "iat", "jti", "client_id", "scope", "account", "token"] {
        assert_eq!(said[name], claims[name], "{name}");
    }
    assert_eq!((&said["aud"], &said["token_type"]), (&json!([ISSUER]), &json!("Bearer")));
    // Less than it was exchanged for, once the service token may do less.
    let path = format!("{}/{}", world.service_tokens(), token.id);
    let body = json!({"name": "ci", "scopes": ["a:*"], "duration": "1m"});
    assert_eq!(world.call("PUT", &path).bearer(&world.root).json(&body).await.status, StatusCode::OK);
    let said =
        world.post("/oauth2/introspect").bearer(&world.root).form(&format!("token={text}")).await.json();
    assert_eq!(said["scope"], json!(""));
    assert!(said["exp"].as_i64().unwrap() <= world.clock_seconds() + 60, "it ends with the service token");
}

/// After a revocation is answered, no signed token of the service token is let in, however many ask meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn revoked_and_asked_at_once() {
    let (world, _) = world().await;
    let (world, is_over) = (Arc::new(world), Arc::new(AtomicBool::new(false)));
    let noise = world.service_token(json!({"name": "noise"})).await;
    let noise = world.exchange(&noise.client_id, &noise.secret, "").await;
    let asking: Vec<_> = (0..2)
        .map(|_| {
            let (world, is_over, noise) = (world.clone(), is_over.clone(), noise.clone());
            tokio::spawn(async move {
                while !is_over.load(Ordering::Relaxed) {
                    assert_eq!(door(&world, "", &noise), StatusCode::OK);
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for _ in 0..1_000 {
        let token = world.service_token(json!({"name": "short"})).await;
        let text = world.exchange(&token.client_id, &token.secret, "").await;
        assert_eq!(door(&world, "", &text), StatusCode::OK);
        let path = format!("{}/{}", world.service_tokens(), token.id);
        let revoked = world.delete(&path).bearer(&world.root).send().await;
        assert_eq!(revoked.status, StatusCode::OK);
        assert_eq!(door(&world, "", &text), StatusCode::UNAUTHORIZED);
    }
    is_over.store(true, Ordering::Relaxed);
    for task in asking {
        task.await.unwrap();
    }
}
