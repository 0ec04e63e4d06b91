//! The columns: how a credential, a demand and a request are put before each door, and what the door makes of them.

use std::net::{IpAddr, Ipv4Addr};

use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use http::{Request, Response};
use serde_json::{Value, json};
use tonic::transport::Channel;

use super::rows::{Row, Rows, Shown};
use crate::ext_authz::{Check, Pairs, status};
use crate::harness::World;

/// A door, or one of the ways in which proxies come to it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Column {
    /// `/authz` as nginx asks.
    Nginx,
    /// `/authz` as ingress-nginx asks.
    IngressNginx,
    /// `/authz` as Caddy, Traefik and HAProxy ask.
    Forward,
    /// `/authz/{*path}` as Envoy asks over HTTP.
    Path,
    /// The credential as `Basic`, or bare.
    OtherScheme,
    /// Envoy over gRPC.
    Envoy,
    /// Envoy over gRPC, with headers as they came.
    EnvoyRaw,
    /// `POST /api/v1/verify`.
    Verify,
    /// `POST /api/v1/verify/batch`.
    Batch,
    /// `POST /oauth2/introspect`.
    Introspect,
    /// A signed token at `/authz`, as `Bearer`.
    Signed,
    /// In Cloudflare's cookie.
    SignedCookie,
    /// In Cloudflare's header.
    SignedHeader,
    /// Over gRPC.
    SignedEnvoy,
    /// At the verify API.
    SignedVerify,
    /// At introspection.
    SignedIntrospect,
}

/// Reasons that are a 401 (design 2.4); the others are a 403, but for the limit.
const UNAUTHENTICATED: [&str; 9] = [
    "malformed",
    "unknown",
    "wrong_secret",
    "expired",
    "disabled",
    "rotated_out",
    "account_disabled",
    "ambiguous_credential",
    "wrong_audience",
];

impl Column {
    pub(super) const ALL: [Self; 16] = [
        Self::Nginx,
        Self::IngressNginx,
        Self::Forward,
        Self::Path,
        Self::OtherScheme,
        Self::Envoy,
        Self::EnvoyRaw,
        Self::Verify,
        Self::Batch,
        Self::Introspect,
        Self::Signed,
        Self::SignedCookie,
        Self::SignedHeader,
        Self::SignedEnvoy,
        Self::SignedVerify,
        Self::SignedIntrospect,
    ];

    /// What is shown there; `None` when nothing can be: only service tokens are exchanged for signed ones.
    pub(super) fn shows(self, row: &Row) -> Option<Shown> {
        let signed = match &row.shown {
            Shown::Pair(_, _, signed) => signed.clone(),
            Shown::Token(_) | Shown::Header(..) => None,
        };
        match self {
            Self::Signed | Self::SignedEnvoy | Self::SignedVerify | Self::SignedIntrospect => {
                signed.map(Shown::Token)
            }
            Self::SignedCookie => signed.map(|text| {
                Shown::Header("cookie", format!("theme=dark; CF_Authorization={text}; CF_AppSession=1"))
            }),
            Self::SignedHeader => signed.map(|text| Shown::Header("cf-access-token", text)),
            _ => Some(row.shown.clone()),
        }
    }

    /// The reason for which the door refuses, as the metric has it; `None` when it lets in. What the door answers must
    /// say the same, as far as it says anything.
    pub(super) async fn ask(self, Rows { world, envoy, .. }: &Rows, row: &Row) -> Option<String> {
        let before = verdicts(world, self.door()).await;
        let said = match self {
            Self::Verify | Self::SignedVerify => verify(world, row).await,
            Self::Batch => batch(world, row).await,
            Self::Introspect | Self::SignedIntrospect => introspect(world, row).await,
            Self::Envoy | Self::SignedEnvoy => check(envoy, row, Check::new).await,
            Self::EnvoyRaw => check(envoy, row, Check::raw).await,
            _ => Said::of_status(self.authz(world, row)),
        };
        let reason = one_more(&before, &verdicts(world, self.door()).await);
        said.check(reason.as_deref(), &format!("{} at {self:?}", row.name));
        reason
    }

    /// Its name in the metric.
    const fn door(self) -> &'static str {
        match self {
            Self::Verify | Self::Batch | Self::SignedVerify => "verify",
            Self::Introspect | Self::SignedIntrospect => "introspect",
            Self::Envoy | Self::EnvoyRaw | Self::SignedEnvoy => "ext_authz",
            _ => "authz",
        }
    }

    /// The status of a door for proxies.
    fn authz(self, world: &World, row: &Row) -> u16 {
        let mut request = Request::get("/authz");
        if !row.demand.is_empty() {
            request = request.uri(format!("/authz?{}", row.demand));
        }
        if let Some((method, uri)) = row.request {
            request = match self {
                Self::IngressNginx => request
                    .header("x-original-method", method)
                    .header("x-original-url", format!("https://app.example.com{uri}")),
                Self::Forward => request.header("x-forwarded-method", method).header("x-forwarded-uri", uri),
                Self::Path => request,
                _ => request.header("x-original-method", method).header("x-original-uri", uri),
            };
        }
        if let Self::Path = self {
            let (method, uri) = row.request.unwrap_or(("GET", "/"));
            let demand = if row.demand.is_empty() { "any" } else { &row.demand };
            request =
                request.method(method).uri(format!("/authz{uri}")).header("x-countersign-demand", demand);
        }
        if let Some(address) = row.address {
            request = request.header("x-forwarded-for", address);
        }
        for (name, value) in row.shown.headers(matches!(self, Self::OtherScheme)) {
            request = request.header(name, value);
        }
        let response: Response<_> =
            world.app.door(&request.body(()).unwrap(), IpAddr::V4(Ipv4Addr::LOCALHOST));
        response.status().as_u16()
    }
}

/// What a door says to whoever asked.
enum Said {
    /// Yes or no, and of no in which of three ways.
    Status(u16),
    /// Yes or no, and why.
    Reason(Option<String>),
    /// Yes or no.
    Active(bool),
}

impl Said {
    const fn of_status(status: u16) -> Self {
        Self::Status(status)
    }

    fn check(&self, reason: Option<&str>, cell: &str) {
        match self {
            Self::Status(status) => {
                let expected = match reason {
                    None => 200,
                    Some(reason) if UNAUTHENTICATED.contains(&reason) => 401,
                    Some("rate_limited") => 429,
                    Some(_) => 403,
                };
                assert_eq!(*status, expected, "{cell}: {reason:?}");
            }
            Self::Reason(said) => assert_eq!(said.as_deref(), reason, "{cell}"),
            Self::Active(active) => assert_eq!(*active, reason.is_none(), "{cell}: {reason:?}"),
        }
    }
}

/// The body for the verify API.
fn question(row: &Row) -> Value {
    let mut body = match &row.shown {
        Shown::Pair(client_id, secret, _) => json!({"client_id": client_id, "client_secret": secret}),
        Shown::Token(text) | Shown::Header(_, text) => json!({"token": text}),
    };
    for part in row.demand.split('&').filter(|part| !part.is_empty()) {
        match part.split_once('=').unwrap() {
            ("scope", value) => match body.get_mut("scope").and_then(Value::as_array_mut) {
                Some(scopes) => scopes.push(json!(value)),
                None => body["scope"] = json!([value]),
            },
            (name, value) => body[name] = json!(value),
        }
    }
    if let Some((method, uri)) = row.request {
        (body["method"], body["uri"]) = (json!(method), json!(uri));
    }
    if let Some(address) = row.address {
        body["address"] = json!(address);
    }
    body
}

async fn check(
    envoy: &AuthorizationClient<Channel>,
    row: &Row,
    of: impl FnOnce(&str, Pairs<'_>) -> Check,
) -> Said {
    let demand = if row.demand.is_empty() { "any" } else { &row.demand };
    let headers = row.shown.headers(false);
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut check = of(demand, &headers).from(row.address.unwrap_or("127.0.0.1"));
    let (method, path) = row.request.unwrap_or(("GET", "/"));
    (check.http.method, check.http.path) = (method.to_owned(), path.to_owned());
    let answer = envoy.clone().check(check.message()).await.unwrap().into_inner();
    Said::Status(u16::try_from(status(&answer)).unwrap())
}

fn said_of(verdict: &Value) -> Said {
    assert_eq!(verdict["valid"].as_bool().unwrap(), verdict["reason"].is_null(), "{verdict}");
    Said::Reason(verdict["reason"].as_str().map(str::to_owned))
}

async fn verify(world: &World, row: &Row) -> Said {
    let answer = world.post("/api/v1/verify").bearer(&world.root).json(&question(row)).await;
    said_of(&answer.json())
}

async fn batch(world: &World, row: &Row) -> Said {
    let body = json!({"requests": [question(row)]});
    let answer = world.post("/api/v1/verify/batch").bearer(&world.root).json(&body).await;
    said_of(&answer.json()["results"][0])
}

async fn introspect(world: &World, row: &Row) -> Said {
    let token = match &row.shown {
        Shown::Pair(client_id, secret, _) => format!("{client_id}:{secret}"),
        Shown::Token(text) | Shown::Header(_, text) => text.clone(),
    };
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("token", &token);
    if let Some((method, uri)) = row.request {
        form.append_pair("method", method).append_pair("uri", uri);
    }
    if let Some(address) = row.address {
        form.append_pair("address", address);
    }
    let path = format!("/oauth2/introspect?{}", row.demand);
    let answer = world.post(&path).bearer(&world.root).form(&form.finish()).await;
    Said::Active(answer.json()["active"].as_bool().unwrap_or_else(|| panic!("{}: {answer:?}", row.name)))
}

/// How often a door has decided in each way, by the labels of the metric.
pub(super) async fn verdicts(world: &World, door: &str) -> Vec<(String, u64)> {
    let metrics = world.get("/metrics").send().await.body;
    let start = format!("countersign_verdicts_total{{door=\"{door}\",");
    let lines = metrics.lines().filter_map(|line| line.strip_prefix(&start)?.rsplit_once(' '));
    lines.map(|(labels, count)| (labels.to_owned(), count.parse().unwrap())).collect()
}

/// The reason of the one decision that lies between; `None` for a grant.
pub(super) fn one_more(before: &[(String, u64)], after: &[(String, u64)]) -> Option<String> {
    let mut more = before.iter().zip(after).filter(|(before, after)| before.1 != after.1);
    let (Some((before, after)), None) = (more.next(), more.next()) else { panic!("not one decision") };
    assert_eq!((&before.0, before.1 + 1), (&after.0, after.1));
    let reason = after.0.split_once("reason=\"").unwrap().1.trim_end_matches("\"}");
    Some(reason.to_owned()).filter(|reason| !reason.is_empty())
}
