//! What every operation answers while the store fails, or has more to write than it can take: that it cannot be told
//! now and when to ask again, never an answer that a client would act on (design 5, invariant 2).

use countersign_domain::store::StoreError;
use http::StatusCode;
use serde_json::{Value, json};

use crate::envelope::refusal;
use crate::harness::{Answer, World};
use crate::operations::{Operation, Scene, operations};

/// Operations that ask no store, beside the doors: memory has the answer. `/readyz` says in its own words how the store
/// is. This list may only shrink.
const NEEDS_NO_STORE: [&str; 14] = [
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",
    "GET /openapi/{document}",
    "GET /api/v1/self",
    "POST /api/v1/verify",
    "POST /api/v1/verify/batch",
    "POST /oauth2/introspect",
    "GET /.well-known/oauth-authorization-server",
    "GET /.well-known/jwks.json",
    "GET /cdn-cgi/access/certs",
    "GET /cdn-cgi/access/get-identity",
    "POST /oauth2/token",
    "GET /client/v4/accounts/{account_id}/access/keys",
];

fn needs_the_store(operation: &Operation) -> bool {
    !operation.is_door() && !operation.needs_mail() && !NEEDS_NO_STORE.contains(&operation.name().as_str())
}

/// Whether an operation gives the store something to write. Those of the native wire only read.
fn writes(operation: &Operation) -> bool {
    let only_reads = ["POST /oauth2/introspect", "POST /oauth2/token"].contains(&operation.name().as_str());
    operation.wire != "native" && operation.method != "GET" && !only_reads
}

/// Asserts 503 in the wire's own shape, with the time to ask again.
#[track_caller]
fn assert_unavailable(operation: &Operation, answer: &Answer) {
    let id = answer.header("x-request-id");
    let (content_type, body) = match operation.wire {
        "cloudflare" => {
            let message = format!("access.api.error.unavailable: try again in a moment (request {id})");
            let errors = json!([{"code": 10001, "message": message}]);
            let body = json!({"success": false, "errors": errors, "messages": [], "result": null});
            ("application/json", body)
        }
        "loopback" => {
            let error = json!({"statusCode": 503, "message": "Service Unavailable", "requestId": id});
            ("application/json", json!({"error": error}))
        }
        "oauth" => {
            let description = "this cannot be answered now; ask again in a moment";
            let body = json!({"error": "temporarily_unavailable", "error_description": description, "request_id": id});
            ("application/json", body)
        }
        _ => {
            let detail = "this cannot be answered now; ask again in a moment";
            let body = json!({"type": "about:blank", "title": "Service Unavailable", "status": 503,
                "detail": detail, "request_id": id});
            ("application/problem+json", body)
        }
    };
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{}: {answer:?}", operation.name());
    answer.assert(503, body);
    assert_eq!((answer.header("retry-after"), answer.header("content-type")), ("1", content_type));
}

#[tokio::test]
async fn a_failing_store_is_never_an_answer() {
    let scene = Scene::new().await;
    let world = &scene.world;
    world.authority.tend_keys().await.unwrap();
    let root = [("authorization", &*format!("Bearer {}", world.root))];
    let before = world.stored().await;
    world.faults().set_failing(true);
    let (mut unavailable, mut answered) = (0, 0);
    for operation in operations() {
        if needs_the_store(&operation) {
            assert_unavailable(&operation, &scene.ask(&operation, &root).await);
            unavailable += 1;
        } else if operation.name() != "GET /readyz" && !operation.needs_mail() {
            assert_eq!(scene.send(&operation, &root).await, StatusCode::OK, "{}", operation.name());
            answered += 1;
        }
    }
    world.faults().set_failing(false);
    assert_eq!(world.stored().await, before, "nothing was done");
    assert!(unavailable >= 12 + 30 && answered >= 21, "{unavailable} and {answered}");
    // None of it was taken back either: everything is where it was.
    let reads = |operation: &&Operation| operation.method == "GET" && !operation.needs_mail();
    for operation in operations().iter().filter(reads) {
        assert_eq!(scene.send(operation, &root).await, StatusCode::OK, "{}", operation.name());
    }
}

/// The key pair needs the store for the account's e-mail: that it cannot be read does not make the pair wrong.
#[tokio::test]
async fn a_failing_store_makes_no_key_pair_unknown() {
    let scene = Scene::new().await;
    let world = &scene.world;
    world.authority.tend_keys().await.unwrap();
    let pair = [("x-auth-email", "root@localhost"), ("x-auth-key", &*world.root)];
    let before = world.stored().await;
    world.faults().set_failing(true);
    for operation in operations().iter().filter(|operation| operation.wire == "cloudflare") {
        assert_unavailable(operation, &scene.ask(operation, &pair).await);
    }
    let unknown = "x".repeat(64);
    let call = world.get(&world.service_tokens()).header("x-auth-email", "root@localhost");
    let answer = call.header("x-auth-key", &unknown).send().await;
    assert_eq!(refusal(&answer), (403, 9103, String::new()), "whom memory does not know is unknown");
    world.faults().set_failing(false);
    assert_eq!(world.stored().await, before);
    let list = operations().into_iter().find(|operation| operation.wire == "cloudflare").unwrap();
    assert!(scene.ask(&list, &pair).await.status.is_success(), "{}", list.name());
}

/// While much is written nothing else has to wait, and what is not taken is not done.
#[tokio::test]
async fn a_full_queue_of_writes_refuses_changes_alone() {
    let scene = Scene::new().await;
    let world = &scene.world;
    world.authority.tend_keys().await.unwrap();
    let root = [("authorization", &*format!("Bearer {}", world.root))];
    let before = world.stored().await;
    world.faults().set_busy(true);
    let mut refused = 0;
    for operation in operations().iter().filter(|operation| !operation.needs_mail()) {
        // The root has no password that it could change.
        if operation.name() == "POST /v1/Accounts/change-password" {
            continue;
        }
        if writes(operation) {
            assert_unavailable(operation, &scene.ask(operation, &root).await);
            refused += 1;
        } else {
            assert_eq!(scene.send(operation, &root).await, StatusCode::OK, "{}", operation.name());
        }
    }
    assert_eq!(refused, 7 + 22 + 1, "of the Cloudflare wire, the LoopBack wire, and revocation");
    assert_eq!(world.stored().await, before, "nothing was done");
    world.faults().set_busy(false);
    let answer = world.post(&world.access_tokens()).bearer(&world.root).json(&json!({})).await;
    assert_eq!(answer.status, StatusCode::OK, "room again");
}

/// Uses of the callers' tokens wait for the queue as well: none of them is lost, and none is counted twice.
#[tokio::test]
async fn a_full_queue_of_writes_loses_no_use() {
    let world = World::new().await;
    let token = world.access_token(json!({})).await;
    let used = async || {
        let path = format!("/api/v1/usage?token={}", &token[..22]);
        let answer = world.get(&path).bearer(&world.root).send().await;
        answer.json().pointer("/secrets/0/count").and_then(Value::as_u64).unwrap_or(0)
    };
    let list = async || world.get(&world.access_tokens()).bearer(&token).send().await.status;
    world.faults().set_busy(true);
    assert_eq!(list().await, StatusCode::OK);
    assert!(matches!(world.authority.flush_all_usage().await, Err(StoreError::Busy)));
    assert_eq!((list().await, used().await), (StatusCode::OK, 2));
    world.faults().set_busy(false);
    world.authority.flush_all_usage().await.unwrap();
    assert_eq!(used().await, 2);
}
