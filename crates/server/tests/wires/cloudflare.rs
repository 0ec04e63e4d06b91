//! The Cloudflare wire: one transcript of the whole life of a token, and tables of what is refused.

use std::fmt::Write as _;
use std::time::Duration;

use http::StatusCode;
use serde_json::json;

use crate::envelope::{failed, refusal};
use crate::harness::{Call, World, service_tokens_of};

async fn audit_length(world: &World) -> usize {
    let answer = world.get("/api/v1/audit?limit=1000").bearer(&world.root).send().await;
    answer.json()["entries"].as_array().map_or(0, Vec::len)
}

#[tokio::test]
async fn the_whole_life_of_a_token() {
    let world = World::new().await;
    let mut transcript = String::new();
    let mut record = async |name: &str, call: Call<'_>| {
        world.clock.advance(Duration::from_secs(1));
        let answer = call.send().await;
        let body = serde_json::to_string_pretty(&answer.json()).unwrap();
        writeln!(
            transcript,
            "== {name}\n{} {}\n{body}\n",
            answer.status.as_u16(),
            answer.header("cache-control")
        )
        .unwrap();
        answer
    };
    let path = world.service_tokens();
    let root = |method, path: &str| world.call(method, path).bearer(&world.root);
    let created =
        record("create", root("POST", &path).body(r#"{"name":"CI/CD token","duration":"60m"}"#)).await;
    let token = format!("{path}/{}", created.text_at("/result/id"));
    record("list", root("GET", &format!("{path}?per_page=1"))).await;
    record("list past the end", root("GET", &format!("{path}?page=2&per_page=1"))).await;
    record("get", root("GET", &token)).await;
    record("update", root("PUT", &token).body(r#"{"name":"renamed","enabled":false,"scopes":["a:*"]}"#))
        .await;
    record("refresh", root("POST", &format!("{token}/refresh"))).await;
    let overlap = r#"{"previous_client_secret_expires_at":"2026-12-01T02:00:00+02:00"}"#;
    record("rotate with overlap", root("POST", &format!("{token}/rotate")).body(overlap)).await;
    record("rotate by update", root("PUT", &token).body(r#"{"client_secret_version":7.0}"#)).await;
    record("delete", root("DELETE", &token)).await;
    record("get what is gone", root("GET", &token)).await;
    record("delete it again", root("DELETE", &token)).await;
    insta::assert_snapshot!("cloudflare_life_of_a_token", transcript);
}

#[tokio::test]
async fn wrong_values_are_named_and_change_nothing() {
    let world = World::new().await;
    let token = world.service_token(json!({"name": "there"})).await;
    let (path, one) = (world.service_tokens(), format!("{}/{}", world.service_tokens(), token.id));
    let before = audit_length(&world).await;
    let long = |n: usize| format!(r#"{{"name":"{}"}}"#, "a".repeat(n));
    let with = |field: &str, value: &str| format!(r#"{{"name":"n","{field}":{value}}}"#);
    let mut cases: Vec<(String, &str)> = vec![
        ("{}".into(), "/name"),
        (r#"{"name":""}"#.into(), "/name"),
        (r#"{"name":null}"#.into(), "/name"),
        (r#"{"name":5}"#.into(), "/name"),
        (r#"{"name":"a\nb"}"#.into(), "/name"),
        (r#"{"name":"a\u0000"}"#.into(), "/name"),
        (long(351), "/name"),
        (r#"{"name":"a","name":"b"}"#.into(), "/name"),
        (with("enabled", r#""yes""#), "/enabled"),
        (with("enabled", "1"), "/enabled"),
        (with("scopes", r#""read""#), "/scopes"),
        (with("scopes", "{}"), "/scopes"),
        (with("scopes", r#"["a","b c"]"#), "/scopes/1"),
        (with("scopes", r#"["a",1]"#), "/scopes/1"),
        (with("scopes", &format!("[{}]", vec![r#""a""#; 33].join(","))), "/scopes"),
        (with("organizations", r#"["o"]"#), "/organizations/0"),
        (with("resources", r#""/a""#), "/resources"),
        (with("allowed_ips", "{}"), "/allowed_ips"),
        (with("previous_client_secret_expires_at", r#""tomorrow""#), "/previous_client_secret_expires_at"),
        (with("previous_client_secret_expires_at", "17"), "/previous_client_secret_expires_at"),
    ];
    for version in ["-1", "1.5", "2147483648", "1e300", r#""2""#, "true"] {
        cases.push((with("client_secret_version", version), "/client_secret_version"));
    }
    let digits = format!(r#""{}h""#, "9".repeat(90_000));
    for duration in [
        r#""""#,
        r#""1d""#,
        r#""1 h""#,
        r#"".""#,
        r#""-1h""#,
        r#""0""#,
        r#""99999999h""#,
        "5",
        &digits,
        r#""1H""#,
    ] {
        cases.push((with("duration", duration), "/duration"));
    }
    for (body, pointer) in &cases {
        let answer = world.post(&path).bearer(&world.root).body(body.clone()).send().await;
        let shown: String = body.chars().take(80).collect();
        assert_eq!(refusal(&answer), (400, 12130, (*pointer).into()), "create {shown}");
        // An update may leave the name out, or say null; the rest is the same.
        if *body != "{}" && !body.contains("null") {
            let answer = world.call("PUT", &one).bearer(&world.root).body(body.clone()).send().await;
            assert_eq!(refusal(&answer), (400, 12130, (*pointer).into()), "update {shown}");
        }
    }
    let lower = r#"{"client_secret_version":3}"#;
    assert_eq!(world.call("PUT", &one).bearer(&world.root).body(lower).send().await.status, 200);
    let answer =
        world.call("PUT", &one).bearer(&world.root).body(r#"{"client_secret_version":2}"#).send().await;
    assert_eq!(refusal(&answer), (400, 12130, "/client_secret_version".into()));
    assert_eq!(audit_length(&world).await, before + 1, "only the rotation in between took effect");
}

#[tokio::test]
async fn messages_read_well() {
    let world = World::new().await;
    let message = async |body: &str| {
        let answer =
            world.post(&world.service_tokens()).bearer(&world.root).body(body.to_owned()).send().await;
        failed(&answer, 400)["message"].as_str().unwrap().to_owned()
    };
    insta::assert_snapshot!(
        [
            message(r#"{"name":"n","duration":"1d"}"#).await,
            message(r#"{"name":"n","duration":5}"#).await,
            message("{}").await,
            message(r#"{"name":"n","client_secret_version":1.5}"#).await,
            message(r#"{"name":"n","enabled":"yes"}"#).await,
            message(r#"{"name":"n","scopes":["a b"]}"#).await,
            message(r#"{"name":"n","resources":["/a/"],"organizations":["o"]}"#).await,
            message("{").await,
            message("[]").await,
        ]
        .join("\n"),
        @r"
    access.api.error.invalid_request: duration: has a number without a known unit (ns, us, ms, s, m, h); for a day write `24h`
    access.api.error.invalid_request: duration: must be a string
    access.api.error.invalid_request: name: is required
    access.api.error.invalid_request: client_secret_version: must be a whole number, at least 0 and at most 2147483647
    access.api.error.invalid_request: enabled: must be a boolean
    access.api.error.invalid_request: scopes/0: must be segments of letters, digits, `.`, `_` or `-`, joined by `:`, the last one possibly `*`
    access.api.error.invalid_request: organizations/0: must be an organization id (32 lower-case hex digits)
    Malformed JSON in request body: EOF while parsing an object at line 1 column 1
    Malformed JSON in request body: it must be an object
    "
    );
}

#[tokio::test]
async fn bodies_that_are_no_json_object() {
    let world = World::new().await;
    let path = world.service_tokens();
    let nested =
        |levels: usize| format!(r#"{{"name":"n","x":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
    let send = |body: Vec<u8>| world.post(&path).bearer(&world.root).body(body).send();
    for body in ["{", "[]", "null", "5", r#""x""#, "{}x", &nested(40)] {
        assert_eq!(refusal(&send(body.into()).await), (400, 6007, String::new()), "{body}");
    }
    assert_eq!(refusal(&send(b"{\"name\":\"\xff\"}".to_vec()).await), (400, 6007, String::new()));
    assert_eq!(send(nested(30).into()).await.status, StatusCode::CREATED);
    let huge = format!(r#"{{"name":"n","x":"{}"}}"#, "y".repeat(100 * 1024));
    assert_eq!(refusal(&send(huge.into()).await), (413, 12130, String::new()));
}

#[tokio::test]
async fn refresh_and_rotate_need_no_body() {
    let world = World::new().await;
    let token = world.service_token(json!({"name": "n"})).await;
    let one = format!("{}/{}", world.service_tokens(), token.id);
    for action in ["refresh", "rotate"] {
        for body in ["", "{}", r#"{"unknown":1}"#] {
            let path = format!("{one}/{action}");
            let call = world.post(&path).bearer(&world.root).header("content-type", "application/json");
            assert_eq!(call.body(body).send().await.status, StatusCode::OK, "{action} {body:?}");
        }
    }
}

#[tokio::test]
async fn credentials() {
    let world = World::new().await;
    let path = world.service_tokens();
    let service = world.service_token(json!({"name": "n"})).await;
    let expired = world.access_token(json!({"ttl": 1})).await;
    world.clock.advance(Duration::from_secs(2));
    let root = world.root.clone();
    let bearer = format!("Bearer {root}");
    let unknown = format!("Bearer {}", "x".repeat(64));
    let send = async |headers: &[(&str, &str)]| {
        let call = headers.iter().fold(world.get(&path), |call, (name, value)| call.header(name, value));
        let answer = call.send().await;
        if answer.status == StatusCode::OK {
            (200, 0, 0)
        } else {
            let error = failed(&answer, answer.status.as_u16());
            let chained = error["error_chain"][0]["code"].as_u64().unwrap_or(0);
            (answer.status.as_u16(), error["code"].as_u64().unwrap_or(0), chained)
        }
    };
    assert_eq!(send(&[("authorization", &bearer)]).await, (200, 0, 0));
    assert_eq!(send(&[("authorization", &root)]).await, (200, 0, 0));
    assert_eq!(send(&[("x-access-token", &root)]).await, (200, 0, 0));
    assert_eq!(send(&[("x-auth-email", "root@localhost"), ("x-auth-key", &root)]).await, (200, 0, 0));
    // The Node SDK sends every scheme that it was given.
    let all = [("authorization", &*bearer), ("x-auth-email", "else@where"), ("x-auth-key", "nonsense")];
    assert_eq!(send(&all).await, (200, 0, 0));
    assert_eq!(send(&[]).await, (400, 9106, 0));
    assert_eq!(send(&[("x-auth-email", "root@localhost")]).await, (400, 9106, 0));
    assert_eq!(send(&[("authorization", &bearer), ("authorization", &bearer)]).await, (400, 6003, 6111));
    for value in ["", "Bearer ", "Digest abc", "Bearer a b"] {
        assert_eq!(send(&[("authorization", value)]).await, (400, 6003, 6111), "{value:?}");
    }
    assert_eq!(send(&[("x-auth-email", "nobody"), ("x-auth-key", &root)]).await, (400, 6003, 6102));
    assert_eq!(send(&[("x-auth-email", "a@b"), ("x-auth-key", "short")]).await, (400, 6003, 6103));
    assert_eq!(send(&[("x-auth-email", "a@b"), ("x-auth-key", &root)]).await, (403, 9103, 0));
    assert_eq!(
        send(&[("x-auth-email", "root@localhost"), ("x-auth-key", &unknown[7..])]).await,
        (403, 9103, 0)
    );
    for value in [&unknown, &format!("Bearer {expired}"), "Bearer abc", &format!("Bearer {}", service.secret)]
    {
        assert_eq!(send(&[("authorization", value)]).await, (403, 9109, 0), "{value}");
    }
    // Service tokens open doors; they manage nothing.
    let pair = [("cf-access-client-id", &*service.client_id), ("cf-access-client-secret", &*service.secret)];
    assert_eq!(send(&pair).await, (400, 9106, 0));
}

#[tokio::test]
async fn paths_and_methods() {
    let world = World::new().await;
    let token = world.service_token(json!({"name": "n"})).await;
    let (path, root) = (world.service_tokens(), world.root.clone());
    let send = async |method: &str, path: &str| refusal(&world.call(method, path).bearer(&root).send().await);
    let plain = path.strip_prefix("/client/v4").unwrap();
    assert_eq!(world.get(plain).bearer(&root).send().await.status, 200, "without the prefix");
    assert_eq!(send("GET", "/client/v4/nope").await, (404, 7003, String::new()));
    assert_eq!(send("GET", "/accounts/x/nope").await, (404, 7003, String::new()));
    assert_eq!(send("PATCH", &path).await, (405, 10000, String::new()));
    let answer = world.call("PATCH", &path).bearer(&root).send().await;
    assert_eq!(answer.header("allow").split(',').count(), 3, "{answer:?}");
    for id in ["f174e90a-fafe-4643-bbbc-4a0ed4fc8415", "no-uuid", &token.client_id, "%00", "%2e%2e"] {
        assert_eq!(send("GET", &format!("{path}/{id}")).await, (404, 12135, String::new()), "{id}");
    }
    let foreign = world.account_below(&world.root_account).await;
    for account in ["0".repeat(32), "x".into(), "a%2Fb%20c".into(), world.root_account.to_uppercase()] {
        let path = format!("/client/v4/accounts/{account}/access/service_tokens");
        assert_eq!(send("GET", &path).await, (403, 10000, String::new()), "{account}");
    }
    // The token is there, but not in that account.
    let path = format!("/client/v4/accounts/{foreign}/access/service_tokens/{}", token.id);
    assert_eq!(send("GET", &path).await, (404, 12135, String::new()));
    assert_eq!(send("DELETE", &path).await, (404, 12135, String::new()));
}

/// A path that is none and a path with other methods, whoever asks (cloudflare-access.md 2.2).
#[tokio::test]
async fn no_route_and_no_method_say_so_to_everybody() {
    let world = World::new().await;
    let one = format!("{}/f174e90a-fafe-4643-bbbc-4a0ed4fc8415", world.service_tokens());
    for credential in [Some(&world.root), None] {
        let send = async |method: &str, path: &str| {
            let call = world.call(method, path);
            let answer = match credential {
                Some(token) => call.bearer(token).send().await,
                None => call.send().await,
            };
            (answer.json(), answer)
        };
        for path in [
            "/client/v4",
            "/client/v4/zones/x/access/service_tokens",
            "/client/v4/accounts/x/access/service_tokens/",
            "/accounts/x",
            &format!("{one}/nope"),
        ] {
            let (json, answer) = send("GET", path).await;
            failed(&answer, 404);
            // What is as long as a secret is not repeated.
            let shown =
                path.replace(&world.root_account[8..], "…").replace("-fafe-4643-bbbc-4a0ed4fc8415", "…");
            let first = format!("Could not route to {shown}, perhaps your object identifier is invalid?");
            let second = json!({"code": 7000, "message": "No route for that URI"});
            assert_eq!(json["errors"], json!([{"code": 7003, "message": first}, second]), "{path}");
        }
        for (method, path, allow) in [
            ("PATCH", &world.service_tokens(), "GET,HEAD,POST"),
            ("DELETE", &world.service_tokens(), "GET,HEAD,POST"),
            ("POST", &one, "DELETE,GET,HEAD,PUT"),
            ("GET", &format!("{one}/refresh"), "POST"),
            ("PUT", &format!("{one}/rotate"), "POST"),
        ] {
            let (json, answer) = send(method, path).await;
            failed(&answer, 405);
            let message = format!("{method} method not allowed");
            assert_eq!(json["errors"], json!([{"code": 10000, "message": message}]), "{method} {path}");
            let mut allowed: Vec<_> = answer.header("allow").split(',').collect();
            allowed.sort_unstable();
            assert_eq!(allowed.join(","), allow, "{method} {path}");
        }
    }
}

/// Whether an account is there, holds a token of this id, or only the scope is missing: one answer, byte for byte.
#[tokio::test]
async fn one_answer_for_whatever_one_may_not() {
    let world = World::new().await;
    let child = world.account_below(&world.root_account).await;
    let token = world.service_token(json!({"name": "n"})).await;
    let foreign = world.access_token_of(&child, json!({})).await;
    let scopes = json!(["countersign:access-tokens:write", "countersign:service-tokens:other"]);
    let narrow = world.access_token(json!({"scopes": scopes})).await;
    let none = "0".repeat(32);
    let before = world.stored().await;
    for (method, below) in [
        ("GET", String::new()),
        ("POST", String::new()),
        ("GET", format!("/{}", token.id)),
        ("PUT", format!("/{}", token.id)),
        ("DELETE", format!("/{}", token.id)),
        ("POST", format!("/{}/refresh", token.id)),
        ("POST", format!("/{}/rotate", token.id)),
        ("GET", "/f174e90a-fafe-4643-bbbc-4a0ed4fc8415".into()),
        ("DELETE", "/no-uuid".into()),
    ] {
        for (caller, account) in [
            (&narrow, &world.root_account),
            (&narrow, &child),
            (&foreign, &world.root_account),
            (&foreign, &none),
            (&world.root, &none),
        ] {
            let path = format!("{}{below}", service_tokens_of(account));
            let mut answer = world.call(method, &path).bearer(caller).json(&json!({"name": "m"})).await;
            failed(&answer, 403);
            answer.headers.remove("x-request-id");
            let headers = format!("{:?}", answer.headers);
            insta::allow_duplicates! {
                insta::assert_snapshot!(answer.body, @r#"{"success":false,"errors":[{"code":10000,"message":"Authentication error"}],"messages":[],"result":null}"#);
                insta::assert_snapshot!(headers, @r#"{"content-type": "application/json", "cache-control": "no-store", "content-length": "104"}"#);
            }
        }
    }
    assert_eq!(world.stored().await, before);
}

/// Who may see both accounts is told that the token is not in this one, and nothing becomes of it.
#[tokio::test]
async fn a_token_below_the_path_of_another_account_is_not_found() {
    let world = World::new().await;
    let child = world.account_below(&world.root_account).await;
    let own = world.access_token_of(&child, json!({})).await;
    let of_root = world.service_token(json!({"name": "of the root"})).await;
    let body = json!({"name": "of the child"});
    let created = world.post(&service_tokens_of(&child)).bearer(&world.root).json(&body).await;
    let of_child = created.text_at("/result/id");
    let before = world.stored().await;
    for (caller, account, id) in [
        (&world.root, &child, &of_root.id),
        (&own, &child, &of_root.id),
        (&world.root, &world.root_account, &of_child),
    ] {
        let one = format!("{}/{id}", service_tokens_of(account));
        for (method, path) in [
            ("GET", one.clone()),
            ("PUT", one.clone()),
            ("DELETE", one.clone()),
            ("POST", format!("{one}/rotate")),
            ("POST", format!("{one}/refresh")),
        ] {
            let answer = world.call(method, &path).bearer(caller).json(&json!({"name": "mine"})).await;
            assert_eq!(refusal(&answer), (404, 12135, String::new()), "{method} {path}");
            let message = "access.api.error.service_token_not_found";
            assert_eq!(failed(&answer, 404)["message"], json!(message));
        }
    }
    assert_eq!(world.stored().await, before);
    assert_eq!(world.door("/authz", &of_root.headers()), StatusCode::OK);
}

#[tokio::test]
async fn lists() {
    let world = World::new().await;
    for name in ["b", "a", "B-side", "b", "Straße"] {
        world.clock.advance(Duration::from_millis(1));
        world.service_token(json!({"name": name})).await;
    }
    let list = async |query: &str| {
        let answer =
            world.get(&format!("{}?{query}", world.service_tokens())).bearer(&world.root).send().await;
        let json = answer.json();
        let names: Vec<String> = json["result"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|token| token["name"].as_str().unwrap().to_owned())
            .collect();
        (names.join(","), json["result_info"].clone())
    };
    let info = |page: u64, per_page, count, total: u64, pages| json!({"page": page, "per_page": per_page, "count": count, "total_count": total, "total_pages": pages});
    assert_eq!(
        list("").await,
        ("b,a,B-side,b,Straße".into(), info(1, 1000, 5, 5, 1)),
        "in order of creation"
    );
    assert_eq!(list("page=2&per_page=2").await, ("B-side,b".into(), info(2, 2, 2, 5, 3)));
    assert_eq!(list("page=4&per_page=2").await, (String::new(), info(4, 2, 0, 5, 3)));
    assert_eq!(list("page=18446744073709551615").await.0, "");
    assert_eq!(list("name=b").await, ("b,b".into(), info(1, 1000, 2, 2, 1)));
    assert_eq!(list("name=B").await.0, "");
    assert_eq!(list("search=-SID").await.0, "B-side");
    assert_eq!(list("search=STRAß").await.0, "Straße");
    assert_eq!(list("search=.access").await.1["total_count"], 5, "client ids are searched too");
    assert_eq!(list("name=b&search=zzz").await.0, "");
    for query in ["page=0", "per_page=abc", "per_page=0", "page=-1"] {
        let answer =
            world.get(&format!("{}?{query}", world.service_tokens())).bearer(&world.root).send().await;
        let pointer = format!("/{}", query.split('=').next().unwrap());
        assert_eq!(refusal(&answer), (400, 12130, pointer), "{query}");
    }
}

#[tokio::test]
async fn a_failing_store_is_503_and_says_when_to_come_back() {
    let world = World::new().await;
    world.faults().set_failing(true);
    let answer = world.post(&world.service_tokens()).bearer(&world.root).json(&json!({"name": "n"})).await;
    let error = failed(&answer, 503);
    let id = answer.header("x-request-id");
    assert!(error["message"].as_str().unwrap().contains(id), "{error}");
    assert_eq!((answer.header("retry-after"), error["code"].as_u64()), ("1", Some(10001)));
    world.faults().set_failing(false);
    let answer = world.post(&world.service_tokens()).bearer(&world.root).json(&json!({"name": "n"})).await;
    assert_eq!(answer.status, StatusCode::CREATED);
}
