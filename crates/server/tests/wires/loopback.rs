//! The LoopBack wire. The letters and numbers are cases of the recorded transcript (space-invoices-loopback.md 4).

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_domain::secret::is_access_text;
use serde_json::{Value, json};

use crate::harness::{Answer, World};

/// The one answer to every denial.
fn authorization_required() -> Value {
    json!({"error": {"statusCode": 401, "name": "Error", "message": "Authorization Required",
        "code": "AUTHORIZATION_REQUIRED"}})
}

#[track_caller]
fn assert_denied(answer: &Answer) {
    answer.assert(401, authorization_required());
    assert_eq!(answer.header("www-authenticate"), "Bearer");
}

/// An answer of create with what differs each time replaced, as in the transcript.
fn normalised(world: &World, answer: &Answer) -> Value {
    let mut token = answer.json();
    assert!(token["id"].as_str().is_some_and(is_access_text), "{token}");
    token["id"] = json!("{newToken}");
    assert_eq!(token["userId"], json!(world.root_account));
    token["userId"] = json!("{accountA}");
    token
}

/// What is created with a body, or the status and name of the error.
async fn created(world: &World, body: Value) -> Result<Value, (u16, Value)> {
    let answer = world.post(&world.access_tokens()).bearer(&world.root).json(&body).await;
    match answer.status.as_u16() {
        200 => Ok(normalised(world, &answer)),
        status => Err((status, answer.json()["error"].clone())),
    }
}

/// B01, B02, B37: nothing stated.
#[tokio::test]
async fn create_with_defaults() {
    let world = World::new().await;
    let path = world.access_tokens();
    let bodies = ["{}", "", "null", " null\n", r#"{"ttl":null,"scopes":null}"#, r#"{"ttl":0}"#];
    for body in bodies {
        let call =
            world.post(&path).bearer(&world.root).header("content-type", "application/json").body(body);
        let answer = call.send().await;
        answer.assert(200, answer.json());
        // The order of the keys is LoopBack's.
        let text = answer
            .body
            .replace(&answer.text_at("/id"), "{newToken}")
            .replace(&world.root_account, "{accountA}");
        insta::allow_duplicates! {
            insta::assert_snapshot!(text, @r#"{"id":"{newToken}","ttl":1209600,"created":"2026-11-21T10:00:00.000Z","userId":"{accountA}"}"#);
        }
    }
}

/// B03 to B15: what is a ttl, and what is not.
#[tokio::test]
async fn ttl() {
    let world = World::new().await;
    for (sent, kept) in [
        (json!(60), 60),
        (json!(-1), -1),
        (json!(0), 1_209_600),
        (json!("3600"), 3600),
        (json!(60.0), 60),
        (json!(31_556_926), 31_556_926),
        (json!(31_556_927), 31_556_926),
        (json!(1e12), 31_556_926),
    ] {
        let token = created(&world, json!({"ttl": sent})).await.unwrap();
        assert_eq!(token["ttl"], json!(kept), "{sent}");
    }
    for sent in
        [json!(-5), json!("abc"), json!(""), json!({}), json!(true), json!(1.5), json!([60]), json!("NaN")]
    {
        let (status, error) = created(&world, json!({"ttl": sent})).await.unwrap_err();
        assert_eq!((status, &error["name"]), (422, &json!("ValidationError")), "{sent}");
        assert!(error.pointer("/details/codes/ttl/0").is_some(), "{error}");
    }
}

/// B16 to B24: what is a list of scopes, and what is not.
#[tokio::test]
async fn scopes() {
    let world = World::new().await;
    for list in [json!(["read"]), json!([]), json!(["read", "read"]), json!(["DEFAULT", "a:*"])] {
        let token = created(&world, json!({"scopes": list})).await.unwrap();
        insta::allow_duplicates! {
            insta::assert_snapshot!(token.as_object().unwrap().keys().map(String::as_str).collect::<Vec<_>>().join(" "), @"created id scopes ttl userId");
        }
        assert_eq!(token["scopes"], list);
    }
    for list in [json!("read"), json!({"0": "read"}), json!(5)] {
        assert_eq!(created(&world, json!({"scopes": list})).await.unwrap_err().0, 400, "{list}");
    }
    let too_many: Vec<_> = (0..33).map(|number| format!("s{number}")).collect();
    for list in
        [json!([1, true]), json!([null]), json!([{"a": 1}]), json!([""]), json!(["a b"]), json!(too_many)]
    {
        let (status, error) = created(&world, json!({"scopes": list})).await.unwrap_err();
        assert_eq!((status, &error["name"]), (422, &json!("ValidationError")), "{list}");
        assert!(error.pointer("/details/codes/scopes/0").is_some(), "{error}");
    }
    let answer =
        world.post(&world.access_tokens()).bearer(&world.root).json(&json!({"scopes": ["a*"]})).await;
    insta::assert_snapshot!(answer.body, @r#"{"error":{"statusCode":422,"name":"ValidationError","message":"The `AccessToken` instance is not valid. Details: `scopes` must be segments of letters, digits, `.`, `_` or `-`, joined by `:`, the last one possibly `*`.","details":{"context":"AccessToken","codes":{"scopes":["custom"]},"messages":{"scopes":["must be segments of letters, digits, `.`, `_` or `-`, joined by `:`, the last one possibly `*`"]}}}}"#);
}

/// B25 to B35, B49: what is not the client's to say is ignored, not echoed.
#[tokio::test]
async fn readonly_and_unknown_properties() {
    let world = World::new().await;
    let own = json!({"ttl": 1_209_600, "id": "{newToken}", "userId": "{accountA}", "created": "2026-11-21T10:00:00.000Z"});
    for body in [
        json!({"label": "ci", "meta": {"n": 1}}),
        json!({"id": "chosen"}),
        json!({"id": world.root}),
        json!({"id": {}}),
        json!({"created": "2099-01-01T00:00:00.000Z"}),
        json!({"created": "not a date"}),
        json!({"userId": "0192f3c4a5b67c8d9e0f1a2b3c4d5e6f"}),
        json!({"__proto__": {"scopes": ["admin"]}}),
        json!({"organizations": null, "resources": null, "allowed_ips": null}),
    ] {
        assert_eq!(created(&world, body.clone()).await, Ok(own.clone()), "{body}");
    }
}

/// B36 to B48, B61: bodies that are no JSON object of a sensible size.
#[tokio::test]
async fn bodies() {
    let world = World::new().await;
    let path = world.access_tokens();
    let send = async |body: String, headers: &[(&str, &str)]| {
        let call = headers
            .iter()
            .fold(world.post(&path).bearer(&world.root), |call, (name, value)| call.header(name, value));
        call.body(body).send().await
    };
    let json = [("content-type", "application/json")];
    for body in ["[]", "[{\"ttl\":60},{\"ttl\":61}]", "5", "\"x\"", "true"] {
        send(body.into(), &json).await.assert_loopback(400, "Error", "Value is not an object.");
    }
    for body in ["{", "{ttl:60}", "{} {}", "\u{0}"] {
        let answer = send(body.into(), &json).await;
        assert_eq!(
            (answer.status.as_u16(), answer.text_at("/error/name").as_str()),
            (400, "SyntaxError"),
            "{body}"
        );
    }
    send("{\"ttl\":60,\"ttl\":61}".into(), &json).await.assert_loopback(400, "Error", "`ttl` is given twice");
    let deep = |levels: usize| format!("{{\"x\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
    assert_eq!(send(deep(30), &json).await.status.as_u16(), 200);
    assert_eq!(send(deep(40), &json).await.status.as_u16(), 400);
    let large = format!("{{\"pad\":\"{}\"}}", "x".repeat(200_000));
    send(large, &json).await.assert_loopback(413, "PayloadTooLargeError", "request entity too large");

    for media_type in ["application/json; charset=UTF-8", "application/vnd.api+json", "APPLICATION/JSON"] {
        let answer = send("{\"ttl\":60}".into(), &[("content-type", media_type)]).await;
        assert_eq!(answer.json()["ttl"], json!(60), "{media_type}");
    }
    assert_eq!(send("{\"ttl\":60}".into(), &[]).await.json()["ttl"], json!(60), "no type");
    for headers in [
        [("content-type", "text/plain"), ("accept", "*/*")],
        [("content-type", "multipart/form-data; boundary=x"), ("accept", "*/*")],
        [("content-type", "application/json; charset=latin1"), ("accept", "*/*")],
        [("content-type", "application/json"), ("content-encoding", "br")],
    ] {
        let answer = send("{\"ttl\":60}".into(), &headers).await;
        let name = answer.text_at("/error/name");
        assert_eq!(
            (answer.status.as_u16(), name.as_str()),
            (415, "UnsupportedMediaTypeError"),
            "{headers:?}"
        );
    }
    assert_eq!(
        send(String::new(), &[("content-type", "text/plain")]).await.status.as_u16(),
        200,
        "nothing is of any type"
    );
}

/// B53 to B56 and design 2.2: any case, a slash too many, `me`.
#[tokio::test]
async fn paths() {
    let world = World::new().await;
    let account = &world.root_account;
    for path in [
        format!("/v1/accounts/{account}/accesstokens"),
        format!("/V1/ACCOUNTS/{account}/ACCESSTOKENS/"),
        format!("/v1/Accounts/{account}/accessTokens/"),
        "/v1/Accounts/me/accessTokens".into(),
        "/v1/accounts/ME/accessTokens/".into(),
    ] {
        let answer = world.post(&path).bearer(&world.root).json(&json!({"ttl": 60})).await;
        assert_eq!(normalised(&world, &answer)["ttl"], json!(60), "{path}");
        assert_eq!(world.get(&path).bearer(&world.root).send().await.status, 200, "{path}");
    }
    assert_denied(&world.post("/v1/Accounts/me/accessTokens").json(&json!({"ttl": 60})).await);
    let upper = format!("/v1/Accounts/{}/accessTokens", account.to_uppercase());
    assert_denied(&world.get(&upper).bearer(&world.root).send().await);
}

/// B50 to B52, B56, C62 to C64, E05, E06, F-rows: one body for every cause.
#[tokio::test]
async fn every_denial_is_the_same() {
    let world = World::new().await;
    let child = world.account_below(&world.root_account).await;
    let of_child = world.access_token_of(&child, json!({})).await;
    let narrow = world.access_token(json!({"scopes": ["countersign:service-tokens:write"]})).await;
    let nothing = world.access_token(json!({"scopes": []})).await;
    let reader = world.access_token(json!({"scopes": ["countersign:access-tokens:read"]})).await;
    let service = world.service_token(json!({"name": "ci"})).await;
    let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
    let own = world.access_tokens();
    let of = |account: &str| format!("/v1/Accounts/{account}/accessTokens");
    let mut swapped = world.root.clone();
    swapped.replace_range(30..31, if &swapped[30..31] == "a" { "b" } else { "a" });

    for (path, authorization) in [
        (own.clone(), String::new()),
        (own.clone(), "bad".into()),
        (own.clone(), swapped),
        (own.clone(), of_child.clone()),
        (own.clone(), nothing.clone()),
        (own.clone(), narrow.clone()),
        (own.clone(), "$anonymous".into()),
        (own.clone(), "x".repeat(8000)),
        (own.clone(), "Bearer ".into()),
        (own.clone(), format!("Token {}", world.root)),
        (own.clone(), basic(&format!("{}:{}", service.client_id, service.secret))),
        (own.clone(), service.secret.clone()),
        (own.clone(), format!("{{\"cf-access-client-id\":\"{}\"}}", service.client_id)),
        (of(&child), narrow.clone()),
        (of("0192f3c4a5b67c8d9e0f1a2b3c4d5e6f"), world.root.clone()),
        (of("nobody"), world.root.clone()),
    ] {
        let call =
            |method: &str, path: &str| world.call(method, path).header("authorization", &authorization);
        assert_denied(&call("POST", &path).json(&json!({})).await);
        assert_denied(&call("GET", &path).send().await);
        for fk in ["missing", &world.root, &world.root[..22], "%7B%22neq%22%3A%22%22%7D"] {
            assert_denied(&call("DELETE", &format!("{path}/{fk}")).send().await);
        }
    }
    assert_denied(&world.post(&own).bearer(&reader).json(&json!({})).await);
    assert_denied(&world.delete(&format!("{own}/{}", &narrow[..22])).bearer(&reader).send().await);
    assert_eq!(world.get(&own).bearer(&reader).send().await.status, 200, "what it has the scope for");
    assert_eq!(
        world.get(&own).bearer(&world.root).send().await.header("x-total-count"),
        "4",
        "nothing has ended"
    );
}

/// F01 to F22: every way to show a token, and more than one token at once.
#[tokio::test]
async fn credentials() {
    let world = World::new().await;
    let (path, token) = (world.access_tokens(), &world.root);
    let base64 = |text: &str| STANDARD.encode(text);
    for authorization in [
        token.clone(),
        format!("Bearer {token}"),
        format!("bEARER {token}"),
        format!("Bearer {}", base64(token)),
        format!("Basic {}", base64(token)),
        format!("basic {}", base64(&format!("{token}:"))),
        format!("Basic {}", base64(&format!(":{token}"))),
        format!("Basic {}", base64(&format!("token:{token}"))),
    ] {
        let answer = world.get(&path).header("authorization", &authorization).send().await;
        assert_eq!(answer.status, 200, "{authorization}");
    }
    let in_query = format!("{path}?access_token={token}");
    assert_eq!(world.get(&in_query).send().await.status, 200);
    assert_eq!(world.get(&path).header("x-access-token", token).send().await.status, 200);
    let same = world.get(&in_query).bearer(&base64(token)).header("x-access-token", token);
    assert_eq!(same.send().await.status, 200, "the same one in several places");
    assert_eq!(
        world.get(&in_query).header("authorization", "").send().await.status,
        200,
        "an empty header is none"
    );

    let other = world.access_token(json!({})).await;
    assert_denied(&world.get(&in_query).bearer(&other).send().await);
    assert_denied(&world.get(&path).bearer(token).header("x-access-token", &other).send().await);
    assert_denied(&world.get(&in_query).header("authorization", "bad").send().await);
    assert_denied(&world.get(&format!("{path}?access_token=bad")).bearer(token).send().await);
    assert_denied(&world.get(&format!("{path}?access_token=")).bearer(token).send().await);
    assert_denied(&world.get(&format!("{in_query}&access_token={token}")).send().await);
    assert_denied(&world.get(&path).bearer(token).bearer(token).send().await);
    assert_denied(&world.get(&path).header("cookie", &format!("access_token={token}")).send().await);
    assert_denied(&world.post(&path).json(&json!({"access_token": token})).await);
}

/// F23, B16: an expired token is told apart until it is swept, and is not listed.
#[tokio::test]
async fn expiry() {
    let world = World::new().await;
    let path = world.access_tokens();
    let short = world.access_token(json!({"ttl": 60})).await;
    assert_eq!(world.get(&path).bearer(&short).send().await.status, 200);
    world.clock.advance(Duration::from_secs(60));
    let invalid = json!({"error": {"statusCode": 401, "name": "Error", "message": "Invalid Access Token",
        "code": "INVALID_TOKEN"}});
    for _ in 0..2 {
        let answer = world.get(&path).bearer(&short).send().await;
        answer.assert(401, invalid.clone());
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
    assert_denied(&world.get(&path).bearer(&format!("{}{}", &short[..22], &world.root[22..])).send().await);
    assert_eq!(world.get(&path).bearer(&world.root).send().await.header("x-total-count"), "1");
    world.clock.advance(Duration::from_secs(400 * 24 * 3600));
    world.authority.sweep().await.unwrap();
    assert_denied(&world.get(&path).bearer(&short).send().await);
}

/// C-rows: handles instead of secrets, a bound, a total, an order.
#[tokio::test]
async fn list() {
    let world = World::new().await;
    let path = world.access_tokens();
    let mut texts = vec![world.root.clone()];
    for ttl in 0..104 {
        world.clock.advance(Duration::from_millis(1));
        texts.push(world.access_token(json!({"ttl": 1000 + ttl, "scopes": ["read"]})).await);
    }
    let get = async |query: &str| world.get(&format!("{path}{query}")).bearer(&world.root).send().await;
    let ids = |answer: &Answer| -> Vec<String> {
        let list = answer.json();
        list.as_array().unwrap().iter().map(|token| token["id"].as_str().unwrap().to_owned()).collect()
    };
    let handles: Vec<String> = texts.iter().map(|text| text[..22].to_owned()).collect();

    let all = get("").await;
    assert_eq!(
        (all.status.as_u16(), all.header("x-total-count"), all.header("cache-control")),
        (200, "105", "no-store")
    );
    assert_eq!(ids(&all), handles[..100], "ordered by creation, a hundred at most");
    assert_eq!(
        all.json()[0],
        json!({"id": &handles[0], "ttl": -1, "created": "2026-11-21T10:00:00.000Z", "userId": world.root_account})
    );
    assert_eq!(
        all.json()[1],
        json!({"id": &handles[1], "ttl": 1000, "scopes": ["read"], "created": "2026-11-21T10:00:00.001Z", "userId": world.root_account})
    );
    let body: BTreeSet<&str> =
        texts.iter().map(|text| &text[22..]).filter(|secret| all.body.contains(secret)).collect();
    assert!(body.is_empty(), "no secret is listed");

    let filtered = |filter: &str| format!("?filter={}", percent(filter));
    assert_eq!(ids(&get(&filtered(r#"{"limit":2,"skip":101}"#)).await), handles[101..103]);
    assert_eq!(ids(&get(&filtered(r#"{"limit":0,"skip":"100"}"#)).await), handles[100..]);
    let past = get(&filtered(r#"{"skip":999}"#)).await;
    assert_eq!((past.body.as_str(), past.header("x-total-count")), ("[]", "105"));
    get(&filtered(r#"{"limit":-1}"#)).await.assert_loopback(
        400,
        "Error",
        "The limit parameter -1 is not valid",
    );
    assert_eq!(ids(&get("?filter[limit]=1").await), handles[..1]);
    get("?filter=%7Bbad").await.assert_loopback(400, "Error", "Value is not an object.");

    // G08, C65, C68, C73: HEAD, no script for a callback, no entity tag, a body that a client sends all the same.
    let head = world.call("HEAD", &path).bearer(&world.root).send().await;
    assert_eq!((head.status.as_u16(), head.header("x-total-count"), head.body.as_str()), (200, "105", ""));
    let script = world
        .get(&format!("{path}?callback=steal"))
        .bearer(&world.root)
        .header("accept", "application/javascript");
    assert_eq!(script.send().await.header("content-type"), "application/json");
    let conditional = world.get(&path).bearer(&world.root).header("if-none-match", "*").send().await;
    assert_eq!((conditional.status.as_u16(), conditional.header("etag")), (200, ""));
    assert_eq!(ids(&world.get(&path).bearer(&world.root).json(&json!({"limit": 1})).await).len(), 100);
}

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// E-rows.
#[tokio::test]
async fn delete() {
    let world = World::new().await;
    let path = world.access_tokens();
    let delete = async |fk: &str| world.delete(&format!("{path}/{fk}")).bearer(&world.root).send().await;
    let no_instance = |shown: &str| format!("No instance with id {shown} found for AccessToken");

    let first = world.access_token(json!({})).await;
    delete(&first[..22]).await.assert(200, json!({}));
    assert_denied(&world.get(&path).bearer(&first).send().await);
    delete(&first[..22]).await.assert_loopback(404, "Error", &no_instance(&first[..22]));

    let second = world.access_token(json!({})).await;
    delete(&second).await.assert(200, json!({}));
    delete(&second).await.assert_loopback(404, "Error", &no_instance(&second[..22]));
    assert_denied(&world.get(&path).bearer(&second).send().await);

    for (fk, shown) in [
        ("missing", "missing"),
        ("5", "5"),
        ("null", "null"),
        ("a%2Fb", "a/b"),
        ("%00", "\0"),
        ("%7B%22neq%22%3A%22%22%7D", "{\"neq\":\"\"}"),
        (&"%2B".repeat(4000), "++++++++…"),
        ("0000000000000000000000", "0000000000000000000000"),
    ] {
        delete(fk).await.assert_loopback(404, "Error", &no_instance(shown));
    }
    for fk in ["%", "%4", "%zz", "%E0%A4%A", "%FF"] {
        delete(fk).await.assert_loopback(400, "URIError", "Failed to decode a part of the path");
    }
    let long = delete(&"x".repeat(4000)).await;
    assert!(long.status == 404 && long.body.len() < 200, "{long:?}");

    // E04: another account's token below the own path. E07, E08: the token in use.
    let child = world.account_below(&world.root_account).await;
    let of_child = world.access_token_of(&child, json!({})).await;
    delete(&of_child).await.assert_loopback(404, "Error", &no_instance(&of_child[..22]));
    let of_child_path = format!("/v1/Accounts/{child}/accessTokens");
    assert_eq!(world.get(&of_child_path).bearer(&of_child).send().await.status, 200, "it lives");
    let itself = format!("{of_child_path}/{of_child}");
    world.delete(&itself).bearer(&of_child).send().await.assert(200, json!({}));
    assert_denied(&world.delete(&itself).bearer(&of_child).send().await);
}

/// E01 and design invariant 3: what is deleted opens no door afterwards.
#[tokio::test]
async fn a_deleted_token_opens_no_door() {
    let world = World::new().await;
    let token = world.access_token(json!({"ttl": 60})).await;
    let bearer = format!("Bearer {token}");
    assert_eq!(world.door("/authz", &[("authorization", &bearer)]), 200);
    let path = format!("{}/{token}", world.access_tokens());
    world.delete(&path).bearer(&world.root).send().await.assert(200, json!({}));
    assert_eq!(world.door("/authz", &[("authorization", &bearer)]), 401);
}

/// F34, B8: nothing hands out more than it has.
#[tokio::test]
async fn a_narrow_token_mints_nothing_wider() {
    let world = World::new().await;
    let path = world.access_tokens();
    let mint = "countersign:access-tokens:write";
    let narrow = world.access_token(json!({"ttl": 600, "scopes": [mint, "reports:*"]})).await;
    let ask = async |body: Value| world.post(&path).bearer(&narrow).json(&body).await;
    for body in [
        json!({"ttl": 60, "scopes": ["DEFAULT"]}),
        json!({"ttl": 60, "scopes": ["admin"]}),
        json!({"ttl": 60, "scopes": ["*"]}),
        json!({"ttl": 601, "scopes": ["reports:read"]}),
        json!({"ttl": -1, "scopes": ["reports:read"]}),
        json!({"scopes": []}),
    ] {
        assert_denied(&ask(body).await);
    }
    let inherited = ask(json!({"ttl": 600})).await;
    assert_eq!(inherited.json()["scopes"], json!([mint, "reports:*"]), "the minter's own list is copied");
    assert_eq!(ask(json!({"ttl": 60, "scopes": ["reports:read"]})).await.status, 200);
    assert_eq!(world.get(&path).bearer(&world.root).send().await.header("x-total-count"), "4");
}

/// D-rows, E19, G-rows: LoopBack has no 405.
#[tokio::test]
async fn what_is_not_there() {
    let world = World::new().await;
    let account = &world.root_account;
    let call = async |method: &str, path: &str| world.call(method, path).bearer(&world.root).send().await;
    let no_method = |what: &str| format!("There is no method to handle {what}");
    for (method, path, shown) in [
        ("GET", "/v1/nope".to_owned(), "GET /nope".to_owned()),
        ("GET", "/v1".into(), "GET /".into()),
        ("GET", "/v1/".into(), "GET /".into()),
        ("GET", "/v1/AccessTokens".into(), "GET /AccessTokens".into()),
        ("GET", format!("/v1/Accounts/{account}/nope"), format!("GET /Accounts/{account}/nope")),
        (
            "DELETE",
            format!("/v1/Accounts/{account}/accessTokens/"),
            format!("DELETE /Accounts/{account}/accessTokens"),
        ),
        (
            "PATCH",
            format!("/v1/accounts/{account}/accesstokens"),
            format!("PATCH /Accounts/{account}/accessTokens"),
        ),
        (
            "OPTIONS",
            format!("/v1/Accounts/{account}/accessTokens"),
            format!("OPTIONS /Accounts/{account}/accessTokens"),
        ),
        (
            "PUT",
            format!("/v1/Accounts/{account}/accessTokens/abc"),
            format!("PUT /Accounts/{account}/accessTokens/abc"),
        ),
        (
            "GET",
            format!("/v1/Accounts/me/accessTokens/{}", world.root),
            format!("GET /Accounts/me/accessTokens/{}", &world.root[..22]),
        ),
    ] {
        let answer = call(method, &path).await;
        answer.assert_loopback(404, "Error", &no_method(&shown));
        assert_eq!(answer.header("allow"), "");
    }
    let encoded = format!("/v1/nope/{}", percent(&world.root));
    assert!(!call("GET", &encoded).await.body.contains(&world.root[22..]), "nor a secret in disguise");
}

/// Faults wear the wire's shape, name the request, and say nothing of their cause.
#[tokio::test]
async fn faults() {
    let world = World::new().await;
    world.faults().set_failing(true);
    for (method, path) in [
        ("GET", world.access_tokens()),
        ("POST", world.access_tokens()),
        ("DELETE", format!("{}/x", world.access_tokens())),
    ] {
        let answer = world.call(method, &path).bearer(&world.root).send().await;
        let request_id = answer.header("x-request-id");
        let error =
            json!({"error": {"statusCode": 503, "message": "Service Unavailable", "requestId": request_id}});
        answer.assert(503, error);
        assert_eq!(answer.header("retry-after"), "1");
    }
    world.faults().set_failing(false);
    assert_eq!(world.get(&world.access_tokens()).bearer(&world.root).send().await.status, 200);
    let unloaded = World::unloaded();
    let answer = unloaded.get("/v1/Accounts/me/accessTokens").bearer(&world.root).send().await;
    assert_eq!(answer.status, 503, "a good token is not unknown while nothing is known");
}
