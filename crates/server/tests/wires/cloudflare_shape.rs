//! What origins of Cloudflare Access expect: an assertion, the keys to check it by, and whose a cookie is.

use std::time::Duration;

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_server::Exposure;
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::connections::connect;
use crate::ext_authz::Check;
use crate::harness::{ISSUER, SINGLE_HEADER, ServiceToken, World, service_tokens_of};

const CERTS: &str = "/cdn-cgi/access/certs";
const IDENTITY: &str = "/cdn-cgi/access/get-identity";
/// Of an application that demands the scope `app:use`; as long as Cloudflare's.
const AUD: &str = "32eafc7626e737dabd7ecf3ac4ac7cf4d93ee7a8c2b40a1e8d8b5ae8d6fd7ba2";

async fn world() -> (World, ServiceToken) {
    let world = World::new().await;
    world.authority.tend_keys().await.unwrap();
    let token = world.service_token(json!({"name": "ci"})).await;
    (world, token)
}

/// The assertion that comes with a grant, if there is one.
fn assertion(world: &World, demand: &str, headers: &[(&str, &str)]) -> (StatusCode, Option<String>) {
    let request = Request::get(format!("/authz?{demand}"));
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let response = world.app.door(&request.body(()).unwrap(), [127, 0, 0, 1].into());
    let text =
        response.headers().get("cf-access-jwt-assertion").map(|value| value.to_str().unwrap().to_owned());
    (response.status(), text)
}

fn decode(part: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// Checks it as an origin does that knows nothing of us; gives the claims.
async fn checked(world: &World, text: &str) -> Value {
    let certs = world.get(CERTS).send().await.json();
    let [header, payload, signature]: [&str; 3] = text.split('.').collect::<Vec<_>>().try_into().unwrap();
    let head = decode(header);
    assert_eq!((&head["alg"], &head["typ"]), (&json!("RS256"), &json!("JWT")));
    let key = certs["keys"].as_array().unwrap().iter().find(|key| key["kid"] == head["kid"]).unwrap();
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap()).unwrap();
    let key = RsaPublicKeyComponents { n: bytes("n"), e: bytes("e") };
    let signed = format!("{header}.{payload}");
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    key.verify(&RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &signature).unwrap();
    decode(payload)
}

#[tokio::test]
async fn a_door_asserts_who_it_is() {
    let (world, token) = world().await;
    let demand = format!("assertion={AUD}");
    let (status, text) = assertion(&world, &demand, &token.headers());
    let text = text.unwrap();
    assert_eq!(status, StatusCode::OK);
    let now = world.clock_seconds();
    let expected = json!({"type": "app", "aud": [AUD], "exp": now + 300, "iss": ISSUER, "common_name": token.client_id,
        "iat": now, "sub": ""});
    assert_eq!(checked(&world, &text).await, expected);

    // The same for a while, then another; another for another service, and for a person.
    world.clock.advance(Duration::from_secs(149));
    assert_eq!(assertion(&world, &demand, &token.headers()).1.as_ref(), Some(&text));
    world.clock.advance(Duration::from_secs(1));
    assert_ne!(assertion(&world, &demand, &token.headers()).1.as_ref(), Some(&text));
    let other = assertion(&world, "assertion=other", &token.headers()).1.unwrap();
    assert_eq!(checked(&world, &other).await["aud"], json!(["other"]));
    let bearer = format!("Bearer {}", world.root);
    let person = assertion(&world, &demand, &[("authorization", &bearer)]).1.unwrap();
    let claims = checked(&world, &person).await;
    assert_eq!((&claims["sub"], claims.get("common_name")), (&json!(world.root_account), None));

    // Nobody is told who was not let in, nothing is asserted that was not asked for, and a typo opens nothing.
    assert_eq!(assertion(&world, &demand, &[]), (StatusCode::UNAUTHORIZED, None));
    assert_eq!(assertion(&world, "", &token.headers()), (StatusCode::OK, None));
    let twice = format!("{demand}&{demand}");
    for bad in ["assertion=", &twice, "assertion=nobody", "assertion=%20other", "asertion=other"] {
        assert_eq!(assertion(&world, bad, &token.headers()), (StatusCode::FORBIDDEN, None), "{bad}");
    }
    // What a service is told is no credential.
    let bearer = format!("Bearer {text}");
    assert_eq!(assertion(&world, "", &[("authorization", &bearer)]).0, StatusCode::UNAUTHORIZED);
    assert_eq!(assertion(&world, "", &[("cf-access-token", &text)]).0, StatusCode::UNAUTHORIZED);
    let cookie = format!("CF_Authorization={text}");
    assert_eq!(world.get(IDENTITY).header("cookie", &cookie).send().await.status, StatusCode::UNAUTHORIZED);
}

/// Whoever reaches a door can ask for an assertion; only who may use the application gets one.
#[tokio::test]
async fn what_an_application_demands_is_demanded_at_every_door() {
    let (world, token) = world().await;
    let stranger = world.service_token(json!({"name": "stranger", "scopes": ["else"]})).await;
    let user = world.service_token(json!({"name": "user", "scopes": ["app:use"]})).await;
    assert_eq!(world.door("/authz", &stranger.headers()), StatusCode::OK);
    let demand = format!("assertion={AUD}");
    let with_scope = format!("{demand}&scope=else");
    for (whose, demand, status) in [
        (&token, &demand, StatusCode::OK),
        (&user, &demand, StatusCode::OK),
        (&stranger, &demand, StatusCode::FORBIDDEN),
        (&stranger, &with_scope, StatusCode::FORBIDDEN),
        (&user, &with_scope, StatusCode::FORBIDDEN),
    ] {
        let (found, text) = assertion(&world, demand, &whose.headers());
        assert_eq!((found, text.is_some()), (status, status == StatusCode::OK), "{demand}");
    }
    // Nor is it got by a header that the client itself has sent.
    let [id, secret] = stranger.headers();
    for path in ["/authz", "/authz/app"] {
        let headers = [id, secret, ("x-countersign-demand", &demand)];
        assert_eq!(world.door(path, &headers), StatusCode::FORBIDDEN, "{path}");
    }
    let [id, secret] = user.headers();
    let beside = [id, secret, ("x-countersign-demand", &demand)];
    assert_eq!(
        assertion(&world, "", &beside),
        (StatusCode::FORBIDDEN, None),
        "beside the operator's own words"
    );
    assert_eq!(world.door("/authz/app", &beside), StatusCode::OK, "there the header is the operator's");
    // Where nobody goes through, there is nobody to tell.
    let body = json!({"client_id": user.client_id, "client_secret": user.secret, "assertion": "other"});
    assert_eq!(world.post("/api/v1/verify").bearer(&world.root).json(&body).await.status, 400);
}

/// Full authority of an account is none of what somebody demands who names no account, whoever else names one.
#[tokio::test]
async fn a_demand_beside_others_only_narrows() {
    let (world, _) = world().await;
    let customer = world.account_below(&world.root_account).await;
    let path = service_tokens_of(&customer);
    let issued = world.post(&path).bearer(&world.root).json(&json!({"name": "unscoped"})).await;
    let (id, secret) = (issued.text_at("/result/client_id"), issued.text_at("/result/client_secret"));
    let pair = [("cf-access-client-id", &*id), ("cf-access-client-secret", &*secret)];
    let own = format!("account={customer}");
    let with = |path: &str, demand: &str| {
        let headers = [pair[0], pair[1], ("x-countersign-demand", demand)];
        world.door(path, &headers)
    };
    assert_eq!(with("/authz?scope=admin", &own), StatusCode::FORBIDDEN);
    assert_eq!(with(&format!("/authz?scope=admin&{own}"), &own), StatusCode::OK);
    assert_eq!(with(&format!("/authz?{own}"), "scope=admin"), StatusCode::FORBIDDEN);
    assert_eq!(with("/authz/app", &format!("scope=admin&{own}")), StatusCode::OK);
    assert_eq!(assertion(&world, &format!("assertion={AUD}&{own}"), &pair), (StatusCode::FORBIDDEN, None));
}

/// It is for the request with which it comes, so it does not outlive what was shown for it.
#[tokio::test]
async fn an_assertion_ends_with_the_credential() {
    let (world, _) = world().await;
    let short = world.service_token(json!({"name": "short", "duration": "100s"})).await;
    let long = world.service_token(json!({"name": "long"})).await;
    let demand = format!("assertion={AUD}");
    let life = async |headers: &[(&str, &str)]| {
        let claims = checked(&world, &assertion(&world, &demand, headers).1.unwrap()).await;
        claims["exp"].as_i64().unwrap() - world.clock_seconds()
    };
    assert_eq!((life(&short.headers()).await, life(&long.headers()).await), (100, 300));
    let text = world.exchange(&long.client_id, &long.secret, "").await;
    world.clock.advance(Duration::from_secs(60));
    assert_eq!((life(&short.headers()).await, life(&long.headers()).await), (40, 300 - 60));
    let bearer = format!("Bearer {text}");
    world.clock.advance(Duration::from_secs(100));
    let signed = [("authorization", &*bearer)];
    assert_eq!(
        (life(&long.headers()).await, life(&signed).await),
        (300, 140),
        "none is kept that lives longer"
    );
    let path = format!("{}/{}/rotate", world.service_tokens(), long.id);
    let soon = jiff::Timestamp::from_second(world.clock_seconds() + 50).unwrap().to_string();
    let body = json!({"previous_client_secret_expires_at": soon});
    assert_eq!(world.post(&path).bearer(&world.root).json(&body).await.status, StatusCode::OK);
    assert_eq!(life(&long.headers()).await, 50, "the secret is on its way out");
}

/// Envoy hands the assertion on, and neither a client's own nor its secret.
#[tokio::test]
async fn envoy_tells_the_application() {
    let (world, token) = world().await;
    let envoy = AuthorizationClient::new(connect(world.listen(Exposure::Everything).await).await);
    let both =
        json!({"cf-access-client-id": token.client_id, "cf-access-client-secret": token.secret}).to_string();
    let demand = format!("assertion={AUD}");
    for (demand, is_asserted) in [(&*demand, true), ("any", false)] {
        let headers = [(SINGLE_HEADER, &*both), ("cf-access-jwt-assertion", "forged")];
        let answer = envoy.clone().check(Check::new(demand, &headers).message()).await.unwrap();
        let Some(HttpResponse::OkResponse(ok)) = answer.into_inner().http_response else {
            panic!("it was let in");
        };
        let told = ok.headers.iter().filter_map(|option| option.header.as_ref());
        let told: Vec<_> = told.filter(|header| header.key == "cf-access-jwt-assertion").collect();
        assert_eq!(told.len(), usize::from(is_asserted));
        for header in told {
            assert_eq!(checked(&world, &header.value).await["common_name"], json!(token.client_id));
        }
        let is_removed = |name: &str| ok.headers_to_remove.iter().any(|removed| removed == name);
        assert!(is_removed(SINGLE_HEADER), "the secret ends at the proxy");
        assert_eq!(is_removed("cf-access-jwt-assertion"), !is_asserted);
    }
}

#[tokio::test]
async fn without_keys_a_door_says_that_it_is_not_ready() {
    let world = World::new().await;
    let token = world.service_token(json!({"name": "ci"})).await;
    assert_eq!(
        assertion(&world, "assertion=other", &token.headers()),
        (StatusCode::SERVICE_UNAVAILABLE, None)
    );
    assert_eq!(world.get(CERTS).send().await.status, StatusCode::SERVICE_UNAVAILABLE);
}

/// Keys as JWKs and as certificates, the one that signs among them.
#[tokio::test]
async fn certificates_hold_the_same_keys() {
    let (world, token) = world().await;
    let path = format!("/client/v4/accounts/{}/access/keys/rotate", world.root_account);
    let rotated = world.post(&path).bearer(&world.root).send().await;
    assert_eq!(rotated.status, StatusCode::OK, "{rotated:?}");
    let before = world.get(CERTS).send().await.json();
    assert_eq!(
        (before["keys"].as_array().unwrap().len(), before["public_certs"].as_array().unwrap().len()),
        (2, 2)
    );
    let signer = |world: &World| {
        let text = assertion(world, "assertion=other", &token.headers()).1.unwrap();
        decode(text.split('.').next().unwrap())["kid"].clone()
    };
    assert_eq!(before["public_cert"]["kid"], signer(&world));
    assert_eq!(before["public_cert"], before["public_certs"][0]);
    world.clock.advance(Duration::from_secs(601));
    let after = world.get(CERTS).send().await.json();
    assert_eq!(after["public_cert"]["kid"], signer(&world), "ten minutes later the next one signs");
    assert_ne!(after["public_cert"], before["public_cert"]);
    for (key, cert) in after["keys"].as_array().unwrap().iter().flat_map(|key| {
        after["public_certs"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|cert| cert["kid"] == key["kid"])
            .map(move |c| (key, c))
    }) {
        let pem = cert["cert"].as_str().unwrap();
        assert!(pem.starts_with("-----BEGIN CERTIFICATE-----\n") && pem.lines().all(|line| line.len() <= 64));
        let der: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let der = base64::engine::general_purpose::STANDARD.decode(der).unwrap();
        let modulus = URL_SAFE_NO_PAD.decode(key["n"].as_str().unwrap()).unwrap();
        assert!(der.windows(modulus.len()).any(|window| window == modulus), "its own key");
    }
}

#[tokio::test]
async fn the_schedule_of_keys() {
    let (world, _) = world().await;
    let path = format!("/accounts/{}/access/keys", world.root_account);
    let shown = world.get(&path).bearer(&world.root).send().await.json()["result"].clone();
    assert_eq!(
        (&shown["key_rotation_interval_days"], &shown["days_until_next_rotation"]),
        (&json!(42), &json!(42))
    );
    let put = async |days: Value| {
        let body = json!({"key_rotation_interval_days": days});
        world.call("PUT", &path).bearer(&world.root).json(&body).await
    };
    for wrong in [json!(20), json!(366), json!("42"), json!(null), json!(-1), json!(30.5)] {
        assert_eq!(put(wrong.clone()).await.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    for days in [21, 365] {
        let answer = put(json!(days)).await.json();
        assert_eq!(answer["result"]["key_rotation_interval_days"], json!(days));
    }
    // They sign for all, so an account below sees and changes nothing of its own.
    let account = world.account_below(&world.root_account).await;
    let path = format!("/accounts/{account}/access/keys");
    let below = world.access_token_of(&account, json!({})).await;
    for caller in [&below, &world.root] {
        assert_eq!(world.get(&path).bearer(caller).send().await.status, StatusCode::OK);
        let rotated = world.post(&format!("{path}/rotate")).bearer(caller).send().await;
        assert_eq!(rotated.status, StatusCode::FORBIDDEN);
    }
}

#[tokio::test]
async fn whose_a_cookie_is() {
    let (world, token) = world().await;
    let text = world.exchange(&token.client_id, &token.secret, "resource=https://elsewhere.example").await;
    let cookie = format!("CF_Authorization={text}");
    let said = world.get(IDENTITY).header("cookie", &cookie).send().await;
    let body = said.json();
    assert_eq!(said.status, StatusCode::OK, "{said:?}");
    assert_eq!(
        (&body["service_token_id"], &body["service_token_status"], &body["account_id"], &body["iat"]),
        (&json!(token.client_id), &json!(true), &json!(world.root_account), &json!(world.clock_seconds()))
    );
    let limits = json!({"rate": {"requests_per_second": 1, "burst": 1}});
    let limited = world.service_token(json!({"name": "limited", "limits": limits})).await;
    let cookie_of_limited =
        format!("CF_Authorization={}", world.exchange(&limited.client_id, &limited.secret, "").await);
    world.clock.advance(Duration::from_secs(1));
    let ask = || world.get(IDENTITY).header("cookie", &cookie_of_limited).send();
    let (first, second) = (ask().await, ask().await);
    assert_eq!((first.status, second.status), (StatusCode::OK, StatusCode::TOO_MANY_REQUESTS));
    let none = world.get(IDENTITY).bearer(&text).send().await;
    assert_eq!((none.status, none.json()), (StatusCode::BAD_REQUEST, json!({"err": "no app token set"})));
    let path = format!("{}/{}", world.service_tokens(), token.id);
    assert_eq!(world.delete(&path).bearer(&world.root).send().await.status, StatusCode::OK);
    let gone = world.get(IDENTITY).header("cookie", &cookie).send().await;
    assert_eq!(
        (gone.status, gone.json()["error"].as_str()),
        (StatusCode::UNAUTHORIZED, Some("invalid_token"))
    );
}
