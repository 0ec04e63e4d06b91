//! Every operation of every wire is tried as a stranger (design 5, invariant 8). The list of operations comes from
//! the OpenAPI documents, and routes describe themselves where they are registered, so none can be forgotten.

use std::time::Duration;

use countersign_server::documents;
use http::StatusCode;
use serde_json::{Value, json};

use crate::harness::World;

/// Operations that answer anybody. This list may only shrink.
const PUBLIC: [&str; 4] = ["GET /healthz", "GET /readyz", "GET /metrics", "GET /openapi/{document}"];

/// Operations that ask for a good credential but for no scope: a bearer about itself. This list may only shrink.
const NEEDS_NO_SCOPE: [&str; 2] = ["GET /api/v1/self", "GET /authz"];

struct Operation {
    wire: &'static str,
    method: String,
    template: String,
}

impl Operation {
    fn name(&self) -> String {
        format!("{} {}", self.method, self.template)
    }

    fn is_door(&self) -> bool {
        self.template.starts_with("/authz")
    }
}

fn operations() -> Vec<Operation> {
    let mut operations = Vec::new();
    for (wire, document) in documents() {
        let document: Value = serde_json::from_str(&document).unwrap();
        let prefix = if wire == "cloudflare" { "/client/v4" } else { "" };
        for (path, methods) in document["paths"].as_object().unwrap() {
            for method in methods.as_object().unwrap().keys().filter(|key| *key != "parameters") {
                let template = format!("{prefix}{path}");
                operations.push(Operation { wire, method: method.to_uppercase(), template });
            }
        }
    }
    operations
}

/// A world with something at the end of every path.
struct Scene {
    world: World,
    account: String,
    service: String,
    access: String,
}

impl Scene {
    async fn new() -> Self {
        let world = World::new().await;
        let account = world.account_below(&world.root_account).await;
        let path = format!("/client/v4/accounts/{account}/access/service_tokens");
        let created = world.post(&path).bearer(&world.root).json(&json!({"name": "there"})).await;
        let service = created.text_at("/result/id");
        let access = world.access_token_of(&account, json!({})).await[..22].to_owned();
        Self { world, account, service, access }
    }

    fn path(&self, template: &str) -> String {
        let path = template
            .replace("{account_id}", &self.account)
            .replace("{id}", &self.account)
            .replace("{service_token_id}", &self.service)
            .replace("{fk}", &self.access)
            .replace("{document}", "native.json")
            .replace("{path}", "app");
        assert!(!path.contains('{'), "teach this test what stands for the parameter in {template}");
        match template {
            "/api/v1/usage" => format!("{path}?token={}&account={}", self.service, self.account),
            "/api/v1/audit" => format!("{path}?account={}", self.account),
            _ => path,
        }
    }

    /// A body that is right for every operation.
    fn body(&self, operation: &Operation) -> Value {
        match operation.template.as_str() {
            "/api/v1/verify" => json!({"token": self.world.root}),
            _ => json!({"name": "stranger"}),
        }
    }

    async fn send(&self, operation: &Operation, credential: &[(&str, &str)]) -> StatusCode {
        let path = self.path(&operation.template);
        if operation.is_door() {
            let demand = [("x-countersign-demand", "any")];
            return self.world.door(&path, &[credential, &demand].concat());
        }
        let call = self.world.call(&operation.method, &path);
        let call = credential.iter().fold(call, |call, (name, value)| call.header(name, value));
        let answer = if operation.method == "GET" {
            call.send().await
        } else {
            call.json(&self.body(operation)).await
        };
        answer.status
    }

    /// How much the audit of both accounts holds.
    async fn written(&self) -> usize {
        let mut count = 0;
        for account in [&self.account, &self.world.root_account] {
            let path = format!("/api/v1/audit?limit=1000&account={account}");
            let answer = self.world.get(&path).bearer(&self.world.root).send().await;
            count += answer.json()["entries"].as_array().unwrap().len();
        }
        count
    }
}

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
    let scene = Scene::new().await;
    let world = &scene.world;
    let sibling = world.account_below(&world.root_account).await;
    let foreign = world.access_token_of(&sibling, json!({})).await;
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
        ("a token of another scope", bearer(&narrower)),
        ("a token of no scope", bearer(&nothing)),
    ];
    let before = scene.written().await;
    let mut tried = 0;
    for operation in operations() {
        let name = operation.name();
        if PUBLIC.contains(&name.as_str()) {
            continue;
        }
        for (stranger, credential) in &strangers {
            let is_a_good_credential = matches!(
                *stranger,
                "a token of a sibling account" | "a token of another scope" | "a token of no scope"
            );
            let asks_about_itself = operation.is_door() || NEEDS_NO_SCOPE.contains(&name.as_str());
            // An unscoped token of a sibling may verify, but only credentials of its own account.
            let verifies = name == "POST /api/v1/verify" && *stranger == "a token of a sibling account";
            if is_a_good_credential && asks_about_itself || verifies {
                continue;
            }
            let headers: Vec<(&str, &str)> =
                credential.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            let status = scene.send(&operation, &headers).await;
            assert!(denials(operation.wire).contains(&status.as_u16()), "{name} as {stranger}: {status}");
            tried += 1;
        }
    }
    assert_eq!(scene.written().await, before, "a stranger changed something");
    assert!(tried >= 12 * 12, "{tried} attempts: the documents have lost operations");
}

/// The same requests by one who may: so that a denial above is about the credential, not about a broken request.
#[tokio::test]
async fn who_may_is_let_in() {
    for operation in operations() {
        let scene = Scene::new().await;
        let root = format!("Bearer {}", scene.world.root);
        let status = scene.send(&operation, &[("authorization", &root)]).await;
        assert!(status.is_success(), "{}: {status}", operation.name());
    }
}

/// What a sibling asks about somebody else's credential it is told as of one that does not exist.
#[tokio::test]
async fn verify_speaks_only_of_the_callers_account_and_below() {
    let scene = Scene::new().await;
    let sibling = scene.world.account_below(&scene.world.root_account).await;
    let foreign = scene.world.access_token_of(&sibling, json!({})).await;
    let own = scene.world.access_token_of(&scene.account, json!({})).await;
    let ask = async |caller: &str, token: &str| {
        let answer = scene.world.post("/api/v1/verify").bearer(caller).json(&json!({"token": token})).await;
        answer.json()["reason"].as_str().map(str::to_owned)
    };
    assert_eq!(ask(&foreign, &own).await.as_deref(), Some("unknown"));
    assert_eq!(ask(&foreign, &scene.world.root).await.as_deref(), Some("unknown"));
    assert_eq!(ask(&own, &own).await, None);
    assert_eq!(ask(&scene.world.root, &own).await, None);
}
