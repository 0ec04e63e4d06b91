//! Tokens that are bound to requests and addresses: stated on either wire, kept by doors and by our own routes.

use http::StatusCode;
use serde_json::json;

use crate::harness::World;

const OPEN: StatusCode = StatusCode::OK;
const SHUT: StatusCode = StatusCode::FORBIDDEN;

#[tokio::test]
async fn a_door_keeps_them() {
    let world = World::new().await;
    let token = world
        .service_token(
            json!({"name": "ci", "resources": ["GET /reports/**"], "allowed_ips": ["192.0.2.0/24"]}),
        )
        .await;
    let shown = |method: &str, uri: &str, address: &str| {
        let [id, secret] = token.headers();
        let mut headers = vec![id, secret, ("x-forwarded-for", address)];
        headers.extend(
            [("x-original-method", method), ("x-original-uri", uri)].iter().filter(|(_, v)| !v.is_empty()),
        );
        world.door("/authz", &headers)
    };
    assert_eq!(shown("GET", "/reports/2026?all=1", "192.0.2.7"), OPEN);
    assert_eq!(shown("GET", "/reports/%32026", "192.0.2.7"), OPEN);
    for (method, uri, address) in [
        ("POST", "/reports/2026", "192.0.2.7"),
        ("GET", "/admin", "192.0.2.7"),
        ("GET", "/reports/../admin", "192.0.2.7"),
        ("GET", "/reports/%2e%2e/admin", "192.0.2.7"),
        ("GET", "/reports%2Fa", "192.0.2.7"),
        ("GET", "//reports/a", "192.0.2.7"),
        ("GET", "", "192.0.2.7"),
        ("", "/reports/a", "192.0.2.7"),
        ("GET", "/reports/a", "198.51.100.1"),
        ("GET", "/reports/a", "not an address"),
        ("GET", "/reports/a", "192.0.2.7, 198.51.100.1"),
    ] {
        assert_eq!(shown(method, uri, address), SHUT, "{method} {uri} {address}");
    }
    assert_eq!(shown("GET", "/reports/a", "198.51.100.1, 192.0.2.7"), OPEN, "the left one is a claim");
}

#[tokio::test]
async fn the_path_of_the_door_is_a_request_too() {
    let world = World::new().await;
    let token = world.service_token(json!({"name": "envoy", "resources": ["GET /reports/*"]})).await;
    let [id, secret] = token.headers();
    let headers = [id, secret, ("x-countersign-demand", "any")];
    assert_eq!(world.door("/authz/reports/a", &headers), OPEN);
    assert_eq!(world.door("/authz/reports/a/b", &headers), SHUT);
    assert_eq!(
        world.door("/authz/reports/a", &[id, secret, headers[2], ("x-original-method", "POST")]),
        SHUT
    );
}

#[tokio::test]
async fn both_wires_say_what_they_are() {
    let world = World::new().await;
    let lists =
        json!({"resources": ["GET /a/*", "/b/**"], "allowed_ips": ["192.0.2.0/24", "2001:db8::1/128"]});
    let mut body = lists.clone();
    body["name"] = json!("ci");
    let token = world.service_token(body).await;
    let path = format!("{}/{}", world.service_tokens(), token.id);
    let shown = world.get(&path).bearer(&world.root).send().await.json();
    for list in ["resources", "allowed_ips"] {
        assert_eq!(shown["result"][list], lists[list]);
    }
    let renamed = world.call("PUT", &path).bearer(&world.root).json(&json!({"name": "cd"})).await.json();
    assert_eq!(renamed["result"]["resources"], lists["resources"], "what is not stated stays");
    let widened =
        world.call("PUT", &path).bearer(&world.root).json(&json!({"resources": ["/**"]})).await.json();
    assert_eq!(widened["result"]["resources"], json!(["/**"]));
    assert_eq!(widened["result"]["allowed_ips"], lists["allowed_ips"]);

    world.access_token(lists.clone()).await;
    let listed = world.get(&world.access_tokens()).bearer(&world.root).send().await.json();
    assert_eq!(listed[1]["resources"], lists["resources"]);
    assert_eq!(listed[1]["allowed_ips"], lists["allowed_ips"]);
    assert_eq!(listed[0].get("resources"), None, "none, where there are none");
}

#[tokio::test]
async fn what_is_no_pattern_or_network_is_refused_by_name() {
    let world = World::new().await;
    let many = |entry: &str, count| vec![entry.to_owned(); count];
    for (list, entries, index) in [
        ("resources", json!(["/a", "a"]), "/1"),
        ("resources", json!(["/a*"]), "/0"),
        ("resources", json!(["/a/../b"]), "/0"),
        ("resources", json!([format!("/{}", "a".repeat(256))]), "/0"),
        ("resources", json!(many("/a", 65)), ""),
        ("allowed_ips", json!(["192.0.2.1", "192.0.2.1/24"]), "/1"),
        ("allowed_ips", json!(["example.com"]), "/0"),
        ("allowed_ips", json!(many("192.0.2.1", 65)), ""),
    ] {
        let body = json!({"name": "n", list: entries});
        let answer = world.post(&world.service_tokens()).bearer(&world.root).json(&body).await;
        let pointer = answer.text_at("/errors/0/source/pointer");
        assert_eq!((answer.status.as_u16(), pointer), (400, format!("/{list}{index}")), "{body}");
        let answer = world.post(&world.access_tokens()).bearer(&world.root).json(&body).await;
        assert_eq!(answer.status, 422, "{answer:?}");
        assert!(answer.json()["error"]["details"]["codes"].get(list).is_some(), "{answer:?}");
    }
    for list in ["resources", "allowed_ips"] {
        let answer = world.post(&world.access_tokens()).bearer(&world.root).json(&json!({list: "/a"})).await;
        assert_eq!(answer.status, 400, "{answer:?}");
    }
}

#[tokio::test]
async fn our_own_routes_keep_them() {
    let world = World::new().await;
    let tokens = world.service_tokens();
    let reader =
        world.access_token(json!({"resources": [format!("GET {tokens}"), "GET /v1/**", "/api/**"]})).await;
    assert_eq!(world.get(&tokens).bearer(&reader).send().await.status, 200);
    let denied = world.post(&tokens).bearer(&reader).json(&json!({"name": "n"})).await;
    assert_eq!((denied.status.as_u16(), denied.json()["errors"][0]["code"].clone()), (403, json!(10000)));
    let short = tokens.strip_prefix("/client/v4").unwrap();
    assert_eq!(world.get(short).bearer(&reader).send().await.status, 403, "as it was asked for");

    assert_eq!(world.get(&world.access_tokens()).bearer(&reader).send().await.status, 200);
    let denied = world.post(&world.access_tokens()).bearer(&reader).json(&json!({})).await;
    denied.assert(
        401,
        json!({"error": {"statusCode": 401, "name": "Error", "message": "Authorization Required",
        "code": "AUTHORIZATION_REQUIRED"}}),
    );
    assert_eq!(world.get("/api/v1/self").bearer(&reader).send().await.status, 200);

    // The test's client has no address.
    let bound = world.access_token(json!({"allowed_ips": ["0.0.0.0/0", "::/0"]})).await;
    assert_eq!(world.get(&tokens).bearer(&bound).send().await.status, 403);
    assert_eq!(world.get("/api/v1/audit").bearer(&bound).send().await.status, 403);
}

/// A token that is bound makes none that is not, whatever it may do otherwise.
#[tokio::test]
async fn nothing_hands_out_more_requests_than_it_has() {
    let world = World::new().await;
    let minter = world.access_token(json!({"resources": ["/client/v4/**"], "ttl": 3600})).await;
    let issue = async |body| world.post(&world.service_tokens()).bearer(&minter).json(&body).await;
    let copied = issue(json!({"name": "n", "duration": "10m"})).await;
    assert_eq!(copied.json()["result"]["resources"], json!(["/client/v4/**"]), "absent: what the minter has");
    let wider = issue(json!({"name": "n", "duration": "10m", "resources": ["/**"]})).await;
    assert_eq!(wider.status, 403);
    let longer = issue(json!({"name": "n", "duration": "2h"})).await;
    assert_eq!(longer.status, 403, "a bound caller makes nothing that outlives it");
}

#[tokio::test]
async fn verify_judges_the_stated_request() {
    let world = World::new().await;
    let token = world
        .service_token(json!({"name": "ci", "resources": ["GET /a"], "allowed_ips": ["192.0.2.1"]}))
        .await;
    let pair = json!({"client_id": token.client_id, "client_secret": token.secret});
    for (more, reason) in [
        (json!({"method": "GET", "uri": "/a?b", "address": "192.0.2.1"}), json!(null)),
        (json!({"method": "PUT", "uri": "/a", "address": "192.0.2.1"}), json!("resource_denied")),
        (json!({"uri": "/a", "address": "192.0.2.1"}), json!("resource_denied")),
        (json!({"address": "192.0.2.1"}), json!("resource_denied")),
        (json!({"method": "GET", "uri": "/a"}), json!("address_denied")),
        (json!({"method": "GET", "uri": "/a", "address": "192.0.2.2"}), json!("address_denied")),
    ] {
        let mut body = pair.clone();
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = world.post("/api/v1/verify").bearer(&world.root).json(&body).await.json();
        assert_eq!(answer["reason"], reason, "{more}");
    }
}
