//! The OpenAPI documents: kept as files, true to what is answered.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::harness::World;

/// Set to rewrite the files instead of comparing them.
const UPDATE: &str = "UPDATE_OPENAPI";

#[test]
fn as_they_are_kept() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi");
    for (wire, document) in countersign_server::documents() {
        let file = folder.join(format!("{wire}.json"));
        if std::env::var_os(UPDATE).is_some() {
            fs::write(&file, document + "\n").unwrap();
            continue;
        }
        let kept = fs::read_to_string(&file).unwrap_or_default();
        assert!(
            kept.trim_end() == document,
            "the {wire} wire is no longer as openapi/{wire}.json says; to take that over, run \
             `{UPDATE}=1 cargo test --release -p countersign-server --test wires documents` and read the diff"
        );
    }
}

/// Every operation of a document: method, path, and whether it needs a credential.
fn operations(document: &Value) -> Vec<(String, String, bool)> {
    let paths = document["paths"].as_object().unwrap();
    let of_path = |(path, item): (&String, &Value)| -> Vec<_> {
        let methods = item.as_object().unwrap().iter();
        let known = |operation: &Value| {
            operation.get("security").is_none_or(|needs| *needs != serde_json::json!([{}]))
        };
        methods.map(|(method, operation)| (method.to_uppercase(), path.clone(), known(operation))).collect()
    };
    paths.iter().flat_map(of_path).collect()
}

#[test]
fn every_wire_is_whole() {
    for (wire, text) in countersign_server::documents() {
        let document: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(document["openapi"], "3.1.0");
        let operations = operations(&document);
        let expected = match wire {
            "cloudflare" => 7 + 3,
            "loopback" => 40,
            "oauth" => 7,
            _ => 10 + 2 * 8,
        };
        assert_eq!(operations.len(), expected, "{wire}: {operations:#?}");
        let schemes = document["components"]["securitySchemes"].as_object().unwrap();
        let mut ids = Vec::new();
        for item in document["paths"].as_object().unwrap().values() {
            for operation in item.as_object().unwrap().values() {
                ids.push(operation["operationId"].clone());
                let responses = operation["responses"].as_object().unwrap();
                assert!(!responses.is_empty());
                let described = |response: &Value| response["description"].is_string();
                assert!(responses.values().all(described), "{wire}: {}", operation["operationId"]);
                let needs =
                    operation.get("security").or(document.get("security")).unwrap().as_array().unwrap();
                let named = needs.iter().flat_map(|need| need.as_object().unwrap().keys());
                named.for_each(|name| assert!(schemes.contains_key(name), "{wire}: {name}"));
            }
        }
        let count = ids.len();
        ids.sort_by_key(Value::to_string);
        ids.dedup();
        assert_eq!(ids.len(), count, "{wire}: ids of operations are unique");
    }
}

/// What a document promises is there, and what needs a credential is refused without one.
#[tokio::test]
async fn every_operation_is_answered() {
    let world = World::new().await;
    world.authority.tend_keys().await.unwrap();
    for (wire, text) in countersign_server::documents() {
        let document: Value = serde_json::from_str(&text).unwrap();
        for (method, path, needs_credential) in operations(&document) {
            let path = path.replace("{document}", "native.json").replace(['{', '}'], "");
            let base = if wire == "cloudflare" { "/client/v4" } else { "" };
            let status = match path.strip_prefix("/authz") {
                Some(_) => world.door(&path, &[("x-countersign-demand", "any")]).as_u16(),
                None => {
                    let call = world.call(&method, &format!("{base}{path}"));
                    let answer = if wire == "oauth" { call.form("token=x").await } else { call.send().await };
                    answer.status.as_u16()
                }
            };
            // The LoopBack wire says no in one way, so that 400 there is about the request, which here says nothing.
            let refusals: &[u16] = if wire == "loopback" { &[401] } else { &[400, 401, 403] };
            let refused = refusals.contains(&status);
            assert_eq!(refused, needs_credential, "{wire}: {method} {path} answers {status}");
            let says_nothing = wire == "loopback" && status == 400;
            assert!(refused || says_nothing || status == 200, "{wire}: {method} {path} answers {status}");
        }
    }
}
