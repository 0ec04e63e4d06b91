//! Tokens that may be used only so often: stated on either wire, kept at every door, and said in headers.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use http::{HeaderMap, Request, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Answer, ServiceToken, World};

const TOO_MANY: StatusCode = StatusCode::TOO_MANY_REQUESTS;

fn once_a_day() -> Value {
    json!({"quota": {"requests": 1, "period": "day"}})
}

fn knock(world: &World, token: &ServiceToken) -> (StatusCode, HeaderMap) {
    let headers = token.headers();
    let request =
        headers.iter().fold(Request::get("/authz"), |request, (name, value)| request.header(*name, *value));
    let response = world.app.door(&request.body(()).unwrap(), IpAddr::V4(Ipv4Addr::LOCALHOST));
    (response.status(), response.headers().clone())
}

fn said(headers: &HeaderMap) -> [Option<&str>; 3] {
    ["ratelimit-policy", "ratelimit", "retry-after"]
        .map(|name| headers.get(name).map(|value| value.to_str().unwrap()))
}

async fn introspect(world: &World, headers: &[(&str, &str)], form: &str) -> (StatusCode, HeaderMap, Value) {
    let call = world.post("/oauth2/introspect");
    let answer = headers.iter().fold(call, |call, (name, value)| call.header(name, value)).form(form).await;
    (answer.status, answer.headers.clone(), answer.json())
}

/// Seconds from ten in the morning, when the clock of these tests stands, to midnight.
const LEFT_OF_THE_DAY: u64 = 14 * 3600;

#[tokio::test]
async fn a_door_says_what_is_left() {
    let world = World::new().await;
    let limits =
        json!({"rate": {"requests_per_second": 2, "burst": 3}, "quota": {"requests": 5, "period": "day"}});
    let token = world.service_token(json!({"name": "ci", "limits": limits})).await;
    let policy = "\"rate\";q=2;w=1;countersign-burst=3, \"quota\";q=5;w=86400";
    for (rate, quota) in [(2, 4), (1, 3), (0, 2)] {
        let (status, headers) = knock(&world, &token);
        let left = format!("\"rate\";r={rate};t=1, \"quota\";r={quota};t={LEFT_OF_THE_DAY}");
        assert_eq!((status, said(&headers)), (StatusCode::OK, [Some(policy), Some(&*left), None]));
    }
    let (status, headers) = knock(&world, &token);
    let left = format!("\"rate\";r=0;t=1, \"quota\";r=2;t={LEFT_OF_THE_DAY}");
    assert_eq!((status, said(&headers)), (TOO_MANY, [Some(policy), Some(&*left), Some("1")]));
    assert_eq!(headers.get("www-authenticate"), None);
    world.clock.advance(Duration::from_secs(60));
    assert_eq!([knock(&world, &token).0, knock(&world, &token).0], [StatusCode::OK; 2]);
    let (status, headers) = knock(&world, &token);
    let wait = (LEFT_OF_THE_DAY - 60).to_string();
    assert_eq!((status, said(&headers)[2]), (TOO_MANY, Some(&*wait)), "the quota");

    let free = world.service_token(json!({"name": "free"})).await;
    let (status, headers) = knock(&world, &free);
    assert_eq!((status, said(&headers)), (StatusCode::OK, [None; 3]));
}

#[tokio::test]
async fn both_wires_take_and_show_them() {
    let world = World::new().await;
    let limits = json!({"rate": {"requests_per_second": 10, "burst": 20}, "quota": {"requests": 1000, "period": "month"}});
    let token = world.service_token(json!({"name": "ci", "limits": limits})).await;
    let path = format!("{}/{}", world.service_tokens(), token.id);
    let (world, path) = (&world, &path);
    let put =
        |body: Value| async move { world.call("PUT", path).bearer(&world.root).json(&body).await.json() };
    assert_eq!(
        put(json!({"name": "cd", "limits": null})).await["result"]["limits"],
        limits,
        "what is not stated stays"
    );
    let rate = json!({"rate": {"requests_per_second": 5}});
    let five = json!({"rate": {"requests_per_second": 5, "burst": 5}});
    assert_eq!(put(json!({"limits": rate})).await["result"]["limits"], five, "what is stated replaces all");
    assert_eq!(put(json!({"limits": {}})).await["result"].get("limits"), None);

    world.access_token(json!({"limits": limits})).await;
    let listed = world.get(&world.access_tokens()).bearer(&world.root).send().await.json();
    assert_eq!((&listed[1]["limits"], listed[0].get("limits")), (&limits, None));

    for (limits, pointer, within) in [
        (json!([]), "/limits", "must be an object"),
        (
            json!({"rate": {"requests_per_second": 0}}),
            "/limits/rate/requests_per_second",
            "`rate.requests_per_second`",
        ),
        (json!({"rate": {"requests_per_second": 1, "brust": 2}}), "/limits/rate/brust", "`rate.brust`"),
        (json!({"quota": {"requests": 1, "period": "week"}}), "/limits/quota/period", "`quota.period`"),
    ] {
        let body = json!({"name": "n", "limits": limits});
        let answer = world.post(&world.service_tokens()).bearer(&world.root).json(&body).await;
        let found = answer.text_at("/errors/0/source/pointer");
        assert_eq!((answer.status.as_u16(), &*found), (400, pointer), "{body}");
        let answer = world.post(&world.access_tokens()).bearer(&world.root).json(&body).await;
        assert!(answer.status == 422 && answer.body.contains(within), "{answer:?}");
    }
}

/// Each wire in its own shape, with the same headers.
#[tokio::test]
async fn callers_of_the_api_are_limited_too() {
    let world = World::new().await;
    let wait = LEFT_OF_THE_DAY.to_string();
    let check = |answer: &Answer, what: &str| {
        assert_eq!(answer.status, TOO_MANY, "{what}: {answer:?}");
        let left = format!("\"quota\";r=0;t={wait}");
        assert_eq!(
            said(&answer.headers),
            [Some("\"quota\";q=1;w=86400"), Some(&*left), Some(&*wait)],
            "{what}"
        );
    };
    let (service_tokens, access_tokens) = (world.service_tokens(), world.access_tokens());
    for path in ["/api/v1/self", &service_tokens, &access_tokens, "/v1/Accounts/authorized"] {
        let token = world.access_token(json!({"limits": once_a_day()})).await;
        // Somebody else has the answer kept that the last of these gives.
        assert_eq!(world.get(path).bearer(&world.root).send().await.status, StatusCode::OK);
        let answer = world.get(path).bearer(&token).send().await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {answer:?}");
        assert!(answer.header("ratelimit").starts_with("\"quota\";r=0"), "{path}: {answer:?}");
        let answer = world.get(path).bearer(&token).send().await;
        check(&answer, path);
        let error = answer.json();
        match path {
            "/api/v1/self" => assert_eq!(error["status"], 429),
            path if path.starts_with("/client") => assert_eq!(error["errors"][0]["code"], 971),
            _ => assert_eq!(error["error"]["code"], "RATE_LIMIT_EXCEEDED"),
        }
    }
}

/// Who is denied what it asks for has its quota back.
#[tokio::test]
async fn a_denied_caller_has_used_nothing() {
    let world = World::new().await;
    let body = json!({"limits": once_a_day(), "scopes": ["countersign:access-tokens:read"]});
    let token = world.access_token(body).await;
    for _ in 0..3 {
        let denied = world.get(&world.service_tokens()).bearer(&token).send().await;
        assert_eq!(denied.status, StatusCode::FORBIDDEN);
    }
    let ask = || async { world.get(&world.access_tokens()).bearer(&token).send().await.status };
    assert_eq!([ask().await, ask().await], [StatusCode::OK, TOO_MANY]);
}

#[tokio::test]
async fn verification_and_introspection_count_as_uses() {
    let world = World::new().await;
    let token = world
        .service_token(json!({"name": "ci", "limits": {"quota": {"requests": 3, "period": "day"}}}))
        .await;
    let body = json!({"client_id": token.client_id, "client_secret": token.secret, "explain": true});
    let verify = || async { world.post("/api/v1/verify").bearer(&world.root).json(&body).await.json() };
    let form = format!("token={}:{}", token.client_id, token.secret);
    let root = format!("Bearer {}", world.root);
    let introspect = || async { introspect(&world, &[("authorization", &root)], &form).await.2 };
    let left = |remaining| json!({"quota": {"requests": 3, "period": "day", "remaining": remaining, "resets_in": LEFT_OF_THE_DAY}});
    assert_eq!(verify().await["limits"], left(2));
    assert_eq!(introspect().await["limits"], left(1));
    let batch = json!({"requests": [body, body]});
    let batch = world.post("/api/v1/verify/batch").bearer(&world.root).json(&batch).await.json();
    assert_eq!(
        (&batch["results"][0]["limits"], &batch["results"][1]["reason"]),
        (&left(0), &json!("rate_limited"))
    );

    let refused = verify().await;
    assert_eq!((&refused["valid"], &refused["reason"]), (&json!(false), &json!("rate_limited")));
    assert_eq!(refused["retry_after"], LEFT_OF_THE_DAY);
    let checks = refused["explanation"]["checks"].as_array().unwrap();
    assert_eq!(checks.last(), Some(&json!({"check": "limit", "passed": false})));
    assert_eq!(introspect().await, json!({"active": false}));
    assert_eq!(knock(&world, &token).0, TOO_MANY);
}

/// The client that introspects has a limit of its own.
#[tokio::test]
async fn who_introspects_is_limited() {
    let world = World::new().await;
    let body = json!({"name": "api", "scopes": ["countersign:verify"], "limits": once_a_day()});
    let client = world.service_token(body).await;
    let form = format!("token=x&client_id={}&client_secret={}", client.client_id, client.secret);
    let (policy, left) = (Some("\"quota\";q=1;w=86400"), Some("\"quota\";r=0;t=50400"));
    let (status, headers, _) = introspect(&world, &[], &form).await;
    assert_eq!((status, said(&headers)), (StatusCode::OK, [policy, left, None]));
    let (status, headers, body) = introspect(&world, &[], &form).await;
    assert_eq!((status, said(&headers)), (TOO_MANY, [policy, left, Some("50400")]));
    assert_eq!(body["error"], "rate_limited");
}

#[tokio::test]
async fn a_question_that_is_none_takes_nothing() {
    let world = World::new().await;
    let asker = json!({"name": "rs", "scopes": ["countersign:verify"], "limits": once_a_day()});
    let asker = world.service_token(asker).await;
    let client = format!("client_id={}&client_secret={}", asker.client_id, asker.secret);
    let token = world.access_token(json!({})).await;
    for none in [client.clone(), format!("{client}&token={token}&address=here")] {
        let (status, _, body) = introspect(&world, &[], &none).await;
        assert_eq!((status, &body["error"]), (StatusCode::BAD_REQUEST, &json!("invalid_request")), "{none}");
    }
    let one = format!("{client}&token={token}");
    let (status, _, body) = introspect(&world, &[], &one).await;
    assert_eq!((status, &body["active"]), (StatusCode::OK, &json!(true)));
    assert_eq!(introspect(&world, &[], &one).await.0, TOO_MANY);
}
