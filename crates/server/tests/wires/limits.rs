//! What the configuration allows: each wire refuses more in its own shape, or clamps where its clients expect that, and
//! nothing has changed.

use countersign_authority::Policy;
use countersign_domain::lifetime::Lifetime;
use http::StatusCode;
use serde_json::{Value, json};

use crate::envelope::{failed, refusal};
use crate::harness::{Answer, World, service_tokens_of};

fn at_most(duration: &str) -> Policy {
    Policy { max_lifetime: Some(Lifetime::parse(duration).unwrap()), ..Policy::default() }
}

fn never_forever() -> Policy {
    Policy { allow_forever: false, ..Policy::default() }
}

async fn create(world: &World, body: Value) -> Answer {
    world.post(&world.service_tokens()).bearer(&world.root).json(&body).await
}

async fn put(world: &World, id: &str, body: Value) -> Answer {
    world.call("PUT", &format!("{}/{id}", world.service_tokens())).bearer(&world.root).json(&body).await
}

async fn refresh(world: &World, id: &str) -> Answer {
    world.post(&format!("{}/{id}/refresh", world.service_tokens())).bearer(&world.root).send().await
}

async fn create_access(world: &World, body: Value) -> Answer {
    world.post(&world.access_tokens()).bearer(&world.root).json(&body).await
}

/// Asserts that a duration is refused for this reason.
#[track_caller]
fn assert_too_long(answer: &Answer, reason: &str) {
    assert_eq!(refusal(answer), (400, 12130, "/duration".into()));
    let message = format!("access.api.error.invalid_request: duration: {reason}");
    assert_eq!(failed(answer, 400)["message"], json!(message));
}

/// Asserts that a ttl of -1 is refused.
#[track_caller]
fn assert_must_expire(answer: &Answer) {
    let reason = "must not be -1 here: tokens have to expire";
    let message = format!("The `AccessToken` instance is not valid. Details: `ttl` {reason}.");
    let details =
        json!({"context": "AccessToken", "codes": {"ttl": ["custom"]}, "messages": {"ttl": [reason]}});
    let error = json!({"statusCode": 422, "name": "ValidationError", "message": message, "details": details});
    answer.assert(422, json!({"error": error}));
}

#[tokio::test]
async fn no_service_token_is_made_to_live_longer_than_allowed() {
    let world = World::with(at_most("24h")).await;
    let token = world.service_token(json!({"name": "n", "duration": "1h"})).await;
    let before = world.stored().await;
    for duration in ["25h", "24h1us", "8760h", "forever"] {
        let body = json!({"name": "n", "duration": duration});
        assert_too_long(&create(&world, body.clone()).await, "must be at most `24h` here");
        assert_too_long(&put(&world, &token.id, body).await, "must be at most `24h` here");
    }
    assert_eq!(world.stored().await, before);
    for duration in ["24h", "1440m"] {
        let body = json!({"name": "n", "duration": duration});
        assert_eq!(create(&world, body.clone()).await.status, StatusCode::CREATED, "{duration}");
        let updated = put(&world, &token.id, body).await;
        assert_eq!(updated.text_at("/result/expires_at"), "2026-11-22T10:00:00Z", "{duration}");
    }
    let by_default = create(&world, json!({"name": "n"})).await;
    assert_eq!(by_default.text_at("/result/duration"), "24h", "a year would be too long");
}

/// A limit also holds for tokens that were made before it: they live on, and get no more.
#[tokio::test]
async fn a_refresh_gives_no_more_than_is_allowed_by_now() {
    let mut world = World::new().await;
    let long = world.service_token(json!({"name": "long", "duration": "48h"})).await;
    let eternal = world.service_token(json!({"name": "eternal", "duration": "forever"})).await;
    let short = world.service_token(json!({"name": "short", "duration": "1h"})).await;
    world.configure(at_most("24h"));
    let before = world.stored().await;
    for token in [&long, &eternal] {
        assert_too_long(&refresh(&world, &token.id).await, "must be at most `24h` here");
    }
    assert_eq!(world.stored().await, before);
    assert_eq!(refresh(&world, &short.id).await.status, StatusCode::OK);
    assert_eq!(world.door("/authz", &long.headers()), StatusCode::OK, "it lives on");

    // Terraform sends with every update what it knows; what does not change is not judged again.
    let renamed = put(&world, &long.id, json!({"name": "renamed", "duration": "48h"})).await;
    assert_eq!(renamed.text_at("/result/expires_at"), "2026-11-23T10:00:00Z");
    assert_too_long(&refresh(&world, &long.id).await, "must be at most `24h` here");
    assert_eq!(put(&world, &long.id, json!({"duration": "24h"})).await.status, StatusCode::OK);
    assert_eq!(refresh(&world, &long.id).await.status, StatusCode::OK);
}

/// A ttl that is too long is clamped, as LoopBack clamps it; one that never ends is refused, because nobody who
/// asks for that expects a day.
#[tokio::test]
async fn a_ttl_is_clamped_to_what_is_allowed() {
    let world = World::with(at_most("1h")).await;
    for (sent, kept) in [
        (json!(7200), 3600),
        (json!(3600), 3600),
        (json!(60), 60),
        (json!(0), 3600),
        (Value::Null, 3600),
        (json!(31_556_927), 3600),
    ] {
        let answer = create_access(&world, json!({"ttl": sent})).await;
        assert_eq!(answer.json()["ttl"], json!(kept), "{sent}");
    }
    let before = world.stored().await;
    assert_must_expire(&create_access(&world, json!({"ttl": -1})).await);
    assert_eq!(world.stored().await, before);
}

#[tokio::test]
async fn nothing_lives_for_ever_where_that_is_not_allowed() {
    let mut world = World::new().await;
    let eternal = world.service_token(json!({"name": "eternal", "duration": "forever"})).await;
    let year = world.service_token(json!({"name": "year"})).await;
    world.configure(never_forever());
    let before = world.stored().await;
    let (reason, body) = ("must not be `forever` here", json!({"name": "n", "duration": "forever"}));
    assert_too_long(&create(&world, body.clone()).await, reason);
    assert_too_long(&put(&world, &year.id, body).await, reason);
    assert_too_long(&refresh(&world, &eternal.id).await, reason);
    assert_must_expire(&create_access(&world, json!({"ttl": -1})).await);
    assert_eq!(world.stored().await, before);

    let long = json!({"name": "n", "duration": "2562047h"});
    assert_eq!(create(&world, long).await.status, StatusCode::CREATED, "long is not for ever");
    assert_eq!(refresh(&world, &year.id).await.status, StatusCode::OK);
    assert_eq!(create_access(&world, json!({"ttl": 31_556_926})).await.json()["ttl"], json!(31_556_926));
}

#[tokio::test]
async fn an_account_holds_as_many_service_tokens_as_it_may() {
    let world = World::with(Policy { service_tokens_per_account: 2, ..Policy::default() }).await;
    let first = world.service_token(json!({"name": "first"})).await;
    world.service_token(json!({"name": "second"})).await;
    let before = world.stored().await;
    let full = create(&world, json!({"name": "third"})).await;
    assert_eq!(refusal(&full), (400, 12130, String::new()));
    let message = "access.api.error.invalid_request: maximum number of service tokens has been reached (2)";
    assert_eq!(failed(&full, 400)["message"], json!(message));
    assert_eq!(world.stored().await, before);

    assert_eq!(put(&world, &first.id, json!({"name": "still"})).await.status, StatusCode::OK);
    assert_eq!(world.access_token(json!({})).await.len(), 64, "the other kind has a limit of its own");
    let child = world.account_below(&world.root_account).await;
    let in_child =
        world.post(&service_tokens_of(&child)).bearer(&world.root).json(&json!({"name": "n"})).await;
    assert_eq!(in_child.status, StatusCode::CREATED, "and so has every account");
    world.delete(&format!("{}/{}", world.service_tokens(), first.id)).bearer(&world.root).send().await;
    assert_eq!(create(&world, json!({"name": "third"})).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn an_account_holds_as_many_access_tokens_as_it_may() {
    let world = World::with(Policy { access_tokens_per_account: 2, ..Policy::default() }).await;
    // The root token is the other one.
    let only = world.access_token(json!({})).await;
    let before = world.stored().await;
    let message = "There are 2 already, as many as there may be";
    let error = json!({"statusCode": 422, "name": "Error", "message": message, "code": "LIMIT_REACHED"});
    create_access(&world, json!({})).await.assert(422, json!({"error": error}));
    assert_eq!(world.stored().await, before);

    world.service_token(json!({"name": "the other kind has a limit of its own"})).await;
    let child = world.account_below(&world.root_account).await;
    world.access_token_of(&child, json!({})).await;
    world.delete(&format!("{}/{only}", world.access_tokens())).bearer(&world.root).send().await;
    assert_eq!(create_access(&world, json!({})).await.status, StatusCode::OK);
}
