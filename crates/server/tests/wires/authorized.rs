//! Whose token it is, asked again and again: the answer is kept, and is never an old one.

use http::StatusCode;
use serde_json::json;

use crate::harness::{Answer, World};

const AUTHORIZED: &str = "/v1/Accounts/authorized";

async fn ask(world: &World, token: &str) -> Answer {
    world.get(AUTHORIZED).bearer(token).send().await
}

#[tokio::test]
async fn it_is_answered_from_memory_and_as_before() {
    let world = World::new().await;
    let child = world.account_below(&world.root_account).await;
    let token = world.access_token_of(&child, json!({})).await;
    let first = ask(&world, &token).await;
    assert_eq!((first.status, first.text_at("/id")), (StatusCode::OK, child.clone()));
    world.faults().set_failing(true);
    let again = ask(&world, &token).await;
    again.assert(200, first.json());
    let header = |answer: &Answer, name: &str| answer.header(name).to_owned();
    assert_eq!(header(&again, "content-type"), header(&first, "content-type"));
    assert_ne!(header(&again, "x-request-id"), header(&first, "x-request-id"));
    let bare = world.get(AUTHORIZED).header("authorization", &token).send().await;
    bare.assert(200, first.json());
    // What is not kept is not made up.
    let failed = world.get(AUTHORIZED).bearer(&world.root).send().await;
    assert_eq!(failed.status, StatusCode::SERVICE_UNAVAILABLE);
    world.faults().set_failing(false);

    let usage = format!("/api/v1/usage?token={}&account={child}", &token[..22]);
    let usage = world.get(&usage).bearer(&world.root).send().await;
    assert_eq!(usage.json()["secrets"][0]["count"], json!(3));
}

#[tokio::test]
async fn a_change_is_seen_at_once() {
    let world = World::new().await;
    let child = world.account_below(&world.root_account).await;
    let token = world.access_token_of(&child, json!({})).await;
    for name in ["Ann", "Bea"] {
        let path = format!("/v1/Accounts/{child}");
        world.call("PATCH", &path).bearer(&world.root).json(&json!({"firstname": name})).await;
        for _ in 0..2 {
            assert_eq!(ask(&world, &token).await.text_at("/firstname"), name);
        }
    }
}

#[tokio::test]
async fn who_is_refused_is_refused_whatever_is_kept() {
    let world = World::new().await;
    let child = world.account_below(&world.root_account).await;
    let token = world.access_token_of(&child, json!({})).await;
    let elsewhere = world.access_token_of(&child, json!({"resources": ["GET /v1/Accounts"]})).await;
    let here = world.access_token_of(&child, json!({"resources": [format!("GET {AUTHORIZED}")]})).await;
    let ended = world.access_token_of(&child, json!({})).await;
    assert_eq!(ask(&world, &token).await.status, StatusCode::OK);
    assert_eq!(ask(&world, &here).await.status, StatusCode::OK);

    let refused = |answer: Answer| assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{answer:?}");
    refused(world.get(AUTHORIZED).send().await);
    refused(ask(&world, &format!("{}x", &token[..63])).await);
    refused(ask(&world, &elsewhere).await);
    let two = world.get(AUTHORIZED).bearer(&token).header("x-access-token", &here);
    refused(two.send().await);
    let path = format!("/v1/Accounts/{child}/accessTokens/{ended}");
    world.delete(&path).bearer(&world.root).send().await;
    refused(ask(&world, &ended).await);
    world.post(&format!("/v1/Accounts/{child}/disable")).bearer(&world.root).send().await;
    refused(ask(&world, &token).await);

    let usage = format!("/api/v1/usage?token={}&account={child}", &elsewhere[..22]);
    let usage = world.get(&usage).bearer(&world.root).send().await;
    assert_eq!(usage.json()["refusals"][0]["count"], json!(1), "noted once: {usage:?}");
}
