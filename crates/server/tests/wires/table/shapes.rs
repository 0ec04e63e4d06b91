//! What only a door that is shown headers can be shown: halves, doubles, contradictions. Every such door decides alike.

use std::net::{IpAddr, Ipv4Addr};

use countersign_server::Exposure;
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use http::Request;
use serde_json::json;

use super::doors::{one_more, verdicts};
use crate::connections::connect;
use crate::ext_authz::Check;
use crate::harness::{SINGLE_HEADER, ServiceToken, World};

/// Headers, and the reason for which they are refused.
type Shape = (&'static str, Vec<(&'static str, String)>, Option<&'static str>);

async fn shapes(world: &World) -> Vec<Shape> {
    let service = world.service_token(json!({"name": "row"})).await;
    let token = world.access_token(json!({})).await;
    let bearer = format!("Bearer {token}");
    let both = in_json(&service);
    let [id, secret, authorization] = ["cf-access-client-id", "cf-access-client-secret", "authorization"];
    let (own_id, own_secret) = ((id, service.client_id.clone()), (secret, service.secret.clone()));
    let pair = [own_id.clone(), own_secret.clone()];
    let with = |more: &[(&'static str, &str)]| {
        let more = more.iter().map(|(name, value)| (*name, (*value).to_owned()));
        pair.iter().cloned().chain(more).collect::<Vec<_>>()
    };
    vec![
        ("nothing", vec![], Some("malformed")),
        ("an id alone", vec![own_id.clone()], Some("malformed")),
        ("a secret alone", vec![own_secret.clone()], Some("malformed")),
        ("an id twice", with(&[(id, &service.client_id)]), Some("malformed")),
        ("a secret twice", with(&[(secret, &service.secret)]), Some("malformed")),
        ("an id that is none", vec![(id, "somebody".to_owned()), own_secret.clone()], Some("malformed")),
        ("an empty secret", vec![own_id, (secret, String::new())], Some("malformed")),
        (
            "a token twice",
            vec![(authorization, bearer.clone()), (authorization, bearer.clone())],
            Some("malformed"),
        ),
        ("two credentials", with(&[(authorization, &bearer)]), Some("ambiguous_credential")),
        ("the application's own beside ours", with(&[(authorization, "Bearer app")]), None),
        ("one JSON header", vec![(authorization, both)], None),
        (
            "a JSON header that is none",
            vec![(authorization, "{\"cf-access-client-id\": 1}".into())],
            Some("malformed"),
        ),
        ("an unknown scheme", vec![(authorization, format!("Token {token}"))], Some("malformed")),
        ("broken base64", vec![(authorization, "Basic %%%".into())], Some("malformed")),
        (
            "a header that the next hop drops",
            with(&[("connection", "close, CF-Access-Client-Secret")]),
            Some("ambiguous_request"),
        ),
        (
            "two methods",
            with(&[("x-original-method", "GET"), ("x-forwarded-method", "PUT")]),
            Some("ambiguous_request"),
        ),
        (
            "two paths",
            with(&[("x-original-uri", "/a"), ("x-forwarded-uri", "/b")]),
            Some("ambiguous_request"),
        ),
        (
            "a path twice",
            with(&[("x-original-uri", "/a"), ("x-original-uri", "/a")]),
            Some("ambiguous_request"),
        ),
        ("an URL that is none", with(&[("x-original-url", "nonsense")]), Some("ambiguous_request")),
        ("a demand of the client's that holds", with(&[("x-countersign-demand", "kind=service")]), None),
        ("one that does not", with(&[("x-countersign-demand", "kind=access")]), Some("wrong_kind")),
        ("one that is not understood", with(&[("x-countersign-demand", "kinds=access")]), Some("bad_demand")),
        ("one that is empty", with(&[("x-countersign-demand", "")]), Some("bad_demand")),
    ]
}

/// Both halves in one value.
fn in_json(service: &ServiceToken) -> String {
    let ServiceToken { client_id, secret, .. } = service;
    format!("{{\"cf-access-client-id\": \"{client_id}\", \"cf-access-client-secret\": \"{secret}\"}}")
}

/// The header that the operator has chosen for both halves.
async fn single_header_shapes(world: &World) -> Vec<Shape> {
    let service = world.service_token(json!({"name": "row"})).await;
    let token = world.access_token(json!({})).await;
    let single = (SINGLE_HEADER, in_json(&service));
    let otherwise = |value: String| vec![(SINGLE_HEADER, value)];
    let beside = |name, value: &str| vec![single.clone(), (name, value.to_owned())];
    let in_other_letters = single.1.replace("cf-access-client", "CF-Access-Client");
    let with_a_name_twice = single.1.replace('}', ", \"cf-access-client-id\": \"x\"}");
    let bearer = format!("Bearer {token}");
    vec![
        ("one JSON header of the operator's choice", vec![single.clone()], None),
        ("that twice", vec![single.clone(), single.clone()], Some("malformed")),
        ("that beside the application's own", beside("authorization", "Bearer app"), None),
        ("that beside a token", beside("authorization", &bearer), Some("ambiguous_credential")),
        (
            "that beside a pair",
            vec![
                ("cf-access-client-id", service.client_id.clone()),
                ("cf-access-client-secret", service.secret.clone()),
                single.clone(),
            ],
            Some("ambiguous_credential"),
        ),
        ("that with names in other letters", otherwise(in_other_letters), Some("malformed")),
        ("that with a name twice", otherwise(with_a_name_twice), Some("malformed")),
        ("that without JSON", otherwise(token), Some("malformed")),
        (
            "that, which the next hop drops",
            beside("connection", "close, X-Credentials"),
            Some("ambiguous_request"),
        ),
    ]
}

#[tokio::test]
async fn every_door_with_headers_decides_alike() {
    let world = World::new().await;
    let envoy = AuthorizationClient::new(connect(world.listen(Exposure::Everything).await).await);
    let demand = format!("account={}", world.root_account);
    let shapes = [shapes(&world).await, single_header_shapes(&world).await].concat();
    for (name, headers, expected) in shapes {
        let before = verdicts(&world, "authz").await;
        let request = Request::get(format!("/authz?{demand}"));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
        world.app.door(&request.body(()).unwrap(), IpAddr::V4(Ipv4Addr::LOCALHOST));
        let reason = one_more(&before, &verdicts(&world, "authz").await);
        assert_eq!(reason.as_deref(), expected, "{name}");

        // Of its own request Envoy says the same as the first of two statements.
        let stated =
            |name: &str| headers.iter().find(|(header, _)| *header == name).map(|(_, value)| value.clone());
        let pairs: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        for of in [Check::new, Check::raw] {
            let before = verdicts(&world, "ext_authz").await;
            let mut check = of(&demand, &pairs);
            check.http.method = stated("x-original-method").unwrap_or(check.http.method);
            check.http.path = stated("x-original-uri").unwrap_or(check.http.path);
            envoy.clone().check(check.message()).await.unwrap();
            let reason = one_more(&before, &verdicts(&world, "ext_authz").await);
            assert_eq!(reason.as_deref(), expected, "{name}, over gRPC");
        }
    }
}
