//! Envoy's gRPC door, asked by a client of the published protocol over a real connection: the same verdict as at the
//! HTTP door, in Envoy's words.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bytes::Bytes;
use countersign_server::Exposure;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{
    HttpRequest, Peer, Request as Attributes,
};
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{
    AttributeContext, CheckRequest, CheckResponse, DeniedHttpResponse, OkHttpResponse,
};
use envoy_types::pb::google::protobuf::value::Kind;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use serde_json::json;
use tonic::body::Body;
use tonic::transport::Channel;
use tower::{Service as _, ServiceExt as _};

use crate::connections::connect;
use crate::harness::{ServiceToken, World};

pub(crate) type Pairs<'a> = &'a [(&'a str, &'a str)];

/// A request that Envoy asks about, as it describes it.
#[derive(Clone)]
pub(crate) struct Check {
    demand: Option<String>,
    pub(crate) http: HttpRequest,
    source: &'static str,
}

impl Check {
    /// A GET of `/app`, from this machine.
    pub(crate) fn new(demand: &str, headers: Pairs<'_>) -> Self {
        let mut joined: HashMap<String, String> = HashMap::new();
        for (name, value) in headers {
            let before = joined.entry((*name).to_owned()).or_default();
            *before = if before.is_empty() { (*value).to_owned() } else { format!("{before},{value}") };
        }
        let http = HttpRequest {
            method: "GET".to_owned(),
            path: "/app?a=b".to_owned(),
            headers: joined,
            ..HttpRequest::default()
        };
        Self { demand: Some(demand.to_owned()), http, source: "127.0.0.1" }
    }

    /// With the headers as they are.
    pub(crate) fn raw(demand: &str, headers: Pairs<'_>) -> Self {
        let header = |(name, value): &(&str, &str)| core::HeaderValue {
            key: (*name).to_owned(),
            raw_value: value.as_bytes().to_vec(),
            ..core::HeaderValue::default()
        };
        let mut check = Self::new(demand, &[]);
        check.http.header_map = Some(core::HeaderMap { headers: headers.iter().map(header).collect() });
        check
    }

    pub(crate) fn from(mut self, source: &'static str) -> Self {
        self.source = source;
        self
    }

    pub(crate) fn message(self) -> CheckRequest {
        let socket =
            core::SocketAddress { address: self.source.to_owned(), ..core::SocketAddress::default() };
        let address = core::Address { address: Some(core::address::Address::SocketAddress(socket)) };
        let demand = self.demand.map(|demand| ("demand".to_owned(), demand));
        let attributes = AttributeContext {
            source: Some(Peer { address: Some(address), ..Peer::default() }),
            request: Some(Attributes { http: Some(self.http), ..Attributes::default() }),
            context_extensions: demand.into_iter().collect(),
            ..AttributeContext::default()
        };
        CheckRequest { attributes: Some(attributes) }
    }
}

/// A server with an Envoy before it.
struct Envoy {
    world: World,
    token: ServiceToken,
    client: AuthorizationClient<Channel>,
    channel: Channel,
}

impl Envoy {
    async fn new() -> Self {
        let world = World::new().await;
        let body = json!({"name": "ci é", "duration": "1h", "scopes": ["a:read", "b"]});
        let token = world.service_token(body).await;
        Self::before(world, token).await
    }

    async fn before(world: World, token: ServiceToken) -> Self {
        let channel = connect(world.listen(Exposure::Everything).await).await;
        Self { world, token, client: AuthorizationClient::new(channel.clone()), channel }
    }

    async fn ask(&self, message: CheckRequest) -> CheckResponse {
        self.client.clone().check(message).await.unwrap().into_inner()
    }

    async fn check(&self, check: Check) -> CheckResponse {
        self.ask(check.message()).await
    }

    /// The status with which a request is answered; 200 = let in.
    async fn status(&self, check: Check) -> i32 {
        status(&self.check(check).await)
    }

    /// As [`Envoy::status`], with the good pair.
    async fn with_pair(&self, demand: &str, more: Pairs<'_>) -> i32 {
        self.status(Check::new(demand, &[&self.token.headers(), more].concat())).await
    }

    /// How often this door has refused, by reason.
    async fn reasons(&self) -> BTreeMap<String, u64> {
        let metrics = self.world.get("/metrics").send().await.body;
        let refusals = metrics.lines().filter_map(|line| {
            let rest = line.split_once(r#"door="ext_authz",outcome="denied",reason=""#)?.1;
            let (reason, count) = rest.split_once("\"} ")?;
            Some((reason.to_owned(), count.parse().unwrap()))
        });
        refusals.filter(|(_, count)| *count > 0).collect()
    }

    /// What the HTTP door answers to the same request.
    async fn over_http(&self, demand: &str, headers: Pairs<'_>) -> (i32, Vec<(String, String)>, String) {
        let query = if demand == "any" { String::new() } else { format!("?{demand}") };
        let request = Request::get(format!("/authz{query}"));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let response = self.world.app.door(&request.body(()).unwrap(), IpAddr::V4(Ipv4Addr::LOCALHOST));
        let (parts, body) = response.into_parts();
        let headers = parts
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8(value.as_bytes().to_vec()).unwrap()));
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        (parts.status.as_u16().into(), headers.collect(), String::from_utf8(body).unwrap())
    }
}

fn granted(response: CheckResponse) -> OkHttpResponse {
    match response.http_response {
        Some(HttpResponse::OkResponse(ok)) if response.status.unwrap().code == 0 => ok,
        other => panic!("not let in: {other:?}"),
    }
}

fn denied(response: CheckResponse) -> (i32, DeniedHttpResponse) {
    match response.http_response {
        Some(HttpResponse::DeniedResponse(denied)) => (response.status.unwrap().code, denied),
        other => panic!("let in: {other:?}"),
    }
}

pub(crate) fn status(response: &CheckResponse) -> i32 {
    match &response.http_response {
        Some(HttpResponse::OkResponse(_)) if response.status.as_ref().unwrap().code == 0 => 200,
        Some(HttpResponse::DeniedResponse(denied)) if response.status.as_ref().unwrap().code > 0 => {
            denied.status.as_ref().unwrap().code
        }
        other => panic!("neither: {other:?}"),
    }
}

/// Each takes the place of what is there.
fn headers(options: &[core::HeaderValueOption]) -> Vec<(String, String)> {
    let of = |option: &core::HeaderValueOption| {
        assert_eq!(option.append_action(), HeaderAppendAction::OverwriteIfExistsOrAdd);
        let header = option.header.clone().unwrap();
        (header.key, header.value)
    };
    options.iter().map(of).collect()
}

#[tokio::test]
async fn who_is_let_in_is_told_to_the_app_and_nothing_else() {
    let envoy = Envoy::new().await;
    let own = format!("account={}&scope=b", envoy.world.root_account);
    let claims =
        [("x-countersign-account", "me"), ("x_countersign_token", "me"), ("x-countersign-admin", "1")];
    let response = envoy.check(Check::new(&own, &[&envoy.token.headers(), &claims[..]].concat())).await;
    let metadata = response.dynamic_metadata.clone().unwrap().fields;
    let mut ok = granted(response);

    let (_, mut expected, _) = envoy.over_http(&own, &envoy.token.headers()).await;
    expected.retain(|(name, _)| name != "cache-control");
    assert_eq!(headers(&ok.headers), expected);
    let names: Vec<_> = expected.iter().map(|(name, _)| name.trim_start_matches("x-countersign-")).collect();
    assert_eq!(names, ["account", "token", "kind", "name", "scopes", "organizations"]);
    assert_eq!(expected[5].1, "", "also when there is nothing to say");
    ok.headers_to_remove.sort();
    assert_eq!(
        ok.headers_to_remove,
        ["cf-access-client-secret", "x-countersign-admin", "x_countersign_token"]
    );
    assert!(ok.response_headers_to_add.is_empty());

    let text = |name: &str| match metadata[name].kind.clone().unwrap() {
        Kind::StringValue(text) => text,
        Kind::ListValue(list) => {
            format!("{:?}", list.values.into_iter().map(|value| value.kind).collect::<Vec<_>>())
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(
        (text("account"), text("token"), text("kind"), text("name")),
        (envoy.world.root_account.clone(), envoy.token.id.clone(), "service".into(), "ci é".into())
    );
    assert_eq!(text("scopes"), r#"[Some(StringValue("a:read")), Some(StringValue("b"))]"#);
    assert_eq!(text("organizations"), "[]");
}

#[tokio::test]
async fn a_client_with_the_previous_secret_is_told_so() {
    let envoy = Envoy::new().await;
    let overlap = json!({"previous_client_secret_expires_at": "2026-11-21T11:00:00Z"});
    let rotate = format!("{}/{}/rotate", envoy.world.service_tokens(), envoy.token.id);
    let rotated = envoy.world.post(&rotate).bearer(&envoy.world.root).json(&overlap).await;
    assert_eq!(rotated.status, 200, "{rotated:?}");
    let ok = granted(envoy.check(Check::new("any", &envoy.token.headers())).await);
    let names: Vec<_> = headers(&ok.response_headers_to_add).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["deprecation", "sunset"]);
    assert_eq!(ok.headers.len(), 6);
}

/// What is demanded and sent, the reason that is counted, and gRPC's code.
type Refused<'a> = (&'a str, Vec<(&'a str, &'a str)>, &'static str, i32);

#[tokio::test]
async fn refusals_are_those_of_the_http_door() {
    let envoy = Envoy::new().await;
    let pair = envoy.token.headers();
    let bearer = format!("Bearer {}", envoy.world.root);
    let other = envoy.world.service_token(json!({"name": "other"})).await;
    let [id, secret] = pair;
    let foreign = format!("account={}", "0".repeat(32));
    let cases: [Refused<'_>; 12] = [
        ("any", vec![], "malformed", 16),
        ("any", vec![id], "malformed", 16),
        ("any", vec![id, id, secret], "malformed", 16),
        ("any", vec![id, secret, secret], "malformed", 16),
        ("any", vec![("authorization", &bearer), ("authorization", &bearer)], "malformed", 16),
        ("any", vec![id, id, secret, ("authorization", &bearer)], "malformed", 16),
        ("any", vec![id, other.headers()[1]], "wrong_secret", 16),
        ("any", vec![id, secret, ("authorization", &bearer)], "ambiguous_credential", 16),
        ("scope=c", vec![id, secret], "insufficient_scope", 7),
        (&foreign, vec![id, secret], "wrong_account", 7),
        ("kind=access", vec![id, secret], "wrong_kind", 7),
        ("scopes=a", vec![id, secret], "bad_demand", 7),
    ];
    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    for (demand, sent, reason, code) in &cases {
        for check in [Check::new(demand, sent), Check::raw(demand, sent)] {
            let (given, denied) = denied(envoy.check(check).await);
            let said = (denied.status.unwrap().code, headers(&denied.headers), denied.body);
            assert_eq!((given, said), (*code, envoy.over_http(demand, sent).await), "{reason}");
            *expected.entry((*reason).to_owned()).or_default() += 1;
            assert_eq!(envoy.reasons().await, expected);
        }
    }
    envoy.world.clock.advance(Duration::from_secs(3_600));
    assert_eq!(envoy.with_pair("any", &[]).await, 401, "expired");
    assert_eq!(envoy.reasons().await["expired"], 1);
}

#[tokio::test]
async fn a_route_has_to_say_what_it_demands() {
    let envoy = Envoy::new().await;
    let pair = envoy.token.headers();
    let demand = |value| ("x-countersign-demand", value);
    assert_eq!(envoy.with_pair("any", &[]).await, 200);
    assert_eq!(envoy.with_pair("scope=a%3Aread&kind=service", &[]).await, 200);
    assert_eq!(envoy.with_pair("any", &[demand("scope=b")]).await, 200);
    assert_eq!(envoy.with_pair("scope=c", &[demand("any")]).await, 403, "a client can only narrow");
    assert_eq!(envoy.with_pair("any", &[demand("scope=c")]).await, 403);
    for bad in ["", "&", "ANY", "scope=", "scope=c d", "?scope=b"] {
        assert_eq!(envoy.with_pair(bad, &[]).await, 403, "{bad:?}");
    }
    let mut message = Check::new("any", &pair).message();
    let extensions = |message: &mut CheckRequest, keys: Pairs<'_>| {
        let keys = keys.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        message.attributes.as_mut().unwrap().context_extensions = keys.collect();
    };
    for bad in
        [&[][..], &[("Demand", "any")], &[("scope", "b")], &[("demand", "any"), ("demands", "scope=b")]]
    {
        extensions(&mut message, bad);
        assert_eq!(status(&envoy.ask(message.clone()).await), 403, "{bad:?}");
    }
    assert_eq!(envoy.reasons().await["bad_demand"], 10);
}

#[tokio::test]
async fn the_original_request_is_the_one_that_envoy_describes() {
    let envoy = Envoy::new().await;
    for agreeing in [
        ("x-original-method", "GET"),
        ("x-original-uri", "/app?a=b"),
        ("x-original-url", "https://h/app?a=b"),
        ("x-forwarded-uri", "/app?a=b"),
    ] {
        assert_eq!(envoy.with_pair("any", &[agreeing]).await, 200, "{agreeing:?}");
    }
    for ambiguous in [
        ("x-original-method", "POST"),
        ("x-original-uri", "/other"),
        ("x-original-url", "/app?a=b"),
        ("x-forwarded-method", "POST"),
        ("x-forwarded-uri", "/app"),
        ("connection", "close, cf-access-client-id"),
    ] {
        assert_eq!(envoy.with_pair("any", &[ambiguous]).await, 403, "{ambiguous:?}");
    }
    assert_eq!(envoy.reasons().await["ambiguous_request"], 6);

    let body = json!({"name": "bound", "resources": ["GET /app"]});
    let bound = envoy.world.service_token(body).await;
    let mut check = Check::new("any", &bound.headers());
    assert_eq!(envoy.status(check.clone()).await, 200);
    check.http.path = "/other".to_owned();
    assert_eq!(envoy.status(check.clone()).await, 403);
    check.http.path = String::new();
    assert_eq!(envoy.status(check).await, 403, "what is not stated is not within");
}

#[tokio::test]
async fn the_client_is_where_a_trusted_envoy_says() {
    let envoy = Envoy::new().await;
    let body = json!({"name": "bound", "allowed_ips": ["192.0.2.0/24"]});
    let bound = envoy.world.service_token(body).await;
    let from = async |source: &'static str, line: &str| {
        let headers = [&bound.headers()[..], &[("x-forwarded-for", line)]].concat();
        envoy.status(Check::new("any", &headers).from(source)).await
    };
    assert_eq!(from("192.0.2.7", "").await, 200);
    assert_eq!(from("198.51.100.1", "192.0.2.7").await, 403, "a client's claim");
    assert_eq!(from("127.0.0.1", "192.0.2.7").await, 200, "another trusted proxy");
    assert_eq!(from("127.0.0.1", "192.0.2.7, 127.0.0.1").await, 200);
    assert_eq!(from("127.0.0.1", "192.0.2.7, 198.51.100.1").await, 403);
    assert_eq!(from("/run/envoy.sock", "192.0.2.7").await, 403);
}

#[tokio::test]
async fn what_cannot_be_read_is_denied_and_no_failure() {
    let envoy = Envoy::new().await;
    assert_eq!(status(&envoy.ask(CheckRequest::default()).await), 403);
    let mut without_http = Check::new("any", &[]).message();
    without_http.attributes.as_mut().unwrap().request = None;
    assert_eq!(status(&envoy.ask(without_http).await), 401);

    let long = "v".repeat(8 * 1024);
    assert_eq!(envoy.with_pair("any", &[("cookie", &long), ("x-long", &long)]).await, 200);
    let longest = "v".repeat(256 * 1024);
    assert_eq!(envoy.with_pair("any", &[("cookie", &longest)]).await, 403);

    let good = [&[0, 0, 0, 0, 2], &b"\x0a\x00"[..]].concat();
    for bad in
        [&b""[..], b"\0", b"\0\0\0\0\x02\x0a\x07", b"\x01\0\0\0\x02\x0a\x00", &[&good[..], &good].concat()]
    {
        let (status, body) = envoy.send("application/grpc", bad).await;
        // The frame's prefix, and no more: the field with the status comes first.
        assert_eq!((status, body.get(5..9)), (200, Some(&b"\x0a\x02\x08\x07"[..])), "{bad:?}: {body:?}");
    }
    assert_eq!(envoy.send("application/json", b"{}").await.0, 415);
    assert_eq!(
        envoy.reasons().await,
        [("ambiguous_request", 6), ("bad_demand", 1), ("malformed", 1)]
            .map(|(reason, count)| (reason.to_owned(), count))
            .into()
    );
}

impl Envoy {
    /// Sends a body as it is; gives status and body of the answer.
    async fn send(&self, content_type: &str, body: &[u8]) -> (u16, Bytes) {
        let request = Request::post("/envoy.service.auth.v3.Authorization/Check")
            .header("content-type", content_type)
            .body(Body::new(Full::from(body.to_vec())))
            .unwrap();
        let response = self.channel.clone().ready().await.unwrap().call(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap();
        if status == 200 {
            assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
        }
        (status, body.to_bytes())
    }
}

#[tokio::test]
async fn without_knowledge_it_says_when_to_ask_again() {
    let token = ServiceToken { id: String::new(), client_id: String::new(), secret: String::new() };
    let envoy = Envoy::before(World::unloaded(), token).await;
    let (code, denied) = denied(envoy.check(Check::new("any", &[])).await);
    assert_eq!((code, denied.status.unwrap().code), (14, 503));
    assert!(headers(&denied.headers).contains(&("retry-after".to_owned(), "1".to_owned())));
}
