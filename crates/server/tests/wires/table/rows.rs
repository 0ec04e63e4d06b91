//! The rows: credentials in every state, and what is demanded of them.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_server::Exposure;
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use http::StatusCode;
use serde_json::{Value, json};
use tonic::transport::Channel;

use crate::connections::connect;
use crate::harness::{Answer, ServiceToken, World, service_tokens_of};

/// A credential.
#[derive(Debug, Clone)]
pub(super) enum Shown {
    /// Of a service token, and a signed token that was got for it before anything happened to it.
    Pair(String, String, Option<String>),
    /// An access token, or a signed one.
    Token(String),
    /// A signed token in a header of its own.
    Header(&'static str, String),
}

impl Shown {
    /// The headers in which it stands, in the usual scheme or in another one.
    pub(super) fn headers(&self, otherwise: bool) -> Vec<(&'static str, String)> {
        match (self, otherwise) {
            (Self::Pair(id, secret, _), false) => {
                vec![("cf-access-client-id", id.clone()), ("cf-access-client-secret", secret.clone())]
            }
            (Self::Pair(id, secret, _), true) => {
                vec![("authorization", format!("Basic {}", STANDARD.encode(format!("{id}:{secret}"))))]
            }
            (Self::Token(text), false) => vec![("authorization", format!("Bearer {text}"))],
            (Self::Token(text), true) => vec![("authorization", text.clone())],
            (Self::Header(name, text), _) => vec![(*name, text.clone())],
        }
    }
}

/// A credential and what is wanted of it.
#[derive(Clone)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) shown: Shown,
    /// In the syntax of a query; empty when nothing is demanded.
    pub(super) demand: String,
    /// Method and target of the original request, when they are stated.
    pub(super) request: Option<(&'static str, &'static str)>,
    /// The client's, when it is stated.
    pub(super) address: Option<&'static str>,
    /// The reason to refuse it.
    pub(super) expected: Option<&'static str>,
}

impl Row {
    fn new(name: &'static str, shown: &Shown, expected: impl Into<Option<&'static str>>) -> Self {
        let (shown, expected) = (shown.clone(), expected.into());
        Self { name, shown, demand: String::new(), request: None, address: None, expected }
    }

    fn wants(self, demand: impl Into<String>) -> Self {
        Self { demand: demand.into(), ..self }
    }

    fn asks(self, method: &'static str, target: &'static str) -> Self {
        Self { request: Some((method, target)), ..self }
    }

    fn comes_from(self, address: &'static str) -> Self {
        Self { address: Some(address), ..self }
    }
}

/// All of them, in the world in which they are so.
pub(super) struct Rows {
    pub(super) world: World,
    pub(super) envoy: AuthorizationClient<Channel>,
    pub(super) all: Vec<Row>,
}

impl Rows {
    pub(super) async fn new() -> Self {
        let world = World::new().await;
        let mut all = service_tokens(&world).await;
        all.extend(access_tokens(&world).await);
        all.extend(accounts(&world).await);
        all.extend(demands(&world).await);
        all.extend(restricted(&world).await);
        all.extend(used_up(&world).await);
        // Whatever is to end by itself has ended.
        world.clock.advance(Duration::from_secs(30));
        let envoy = AuthorizationClient::new(connect(world.listen(Exposure::Everything).await).await);
        Self { world, envoy, all }
    }
}

/// Asks the root's way, and gets it.
async fn done(world: &World, method: &str, path: &str, body: Value) -> Answer {
    let answer = world.call(method, path).bearer(&world.root).json(&body).await;
    assert_eq!(answer.status, StatusCode::OK, "{method} {path}: {answer:?}");
    answer
}

async fn pair(world: &World, client_id: &str, secret: &str) -> Shown {
    let signed = world.exchange(client_id, secret, "").await;
    Shown::Pair(client_id.to_owned(), secret.to_owned(), Some(signed))
}

async fn service(world: &World, body: Value) -> (ServiceToken, Shown) {
    let mut whole = json!({"name": "row"});
    whole.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
    let service = world.service_token(whole).await;
    let shown = pair(world, &service.client_id, &service.secret).await;
    (service, shown)
}

/// As [`service`], restricted after a signed token was got for it.
async fn narrowed(world: &World, body: Value) -> (ServiceToken, Shown) {
    let (service, shown) = service(world, json!({})).await;
    let mut whole = json!({"name": "row"});
    whole.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
    done(world, "PUT", &format!("{}/{}", world.service_tokens(), service.id), whole).await;
    (service, shown)
}

async fn service_tokens(world: &World) -> Vec<Row> {
    let one = |service: &ServiceToken| format!("{}/{}", world.service_tokens(), service.id);
    let (good, shown) = service(world, json!({})).await;
    let (other, _) = service(world, json!({})).await;
    let (_, expired) = service(world, json!({"duration": "10s"})).await;
    let (refreshed, _) = service(world, json!({"duration": "40s"})).await;
    let [
        (off, shown_off),
        (on, shown_on),
        (gone, shown_gone),
        (rotated, old),
        (overlapping, outgoing),
        (over, ended),
    ] = [
        service(world, json!({})).await,
        service(world, json!({})).await,
        service(world, json!({})).await,
        service(world, json!({})).await,
        service(world, json!({})).await,
        service(world, json!({})).await,
    ];
    for (token, enabled) in [(&off, false), (&on, false), (&on, true)] {
        done(world, "PUT", &one(token), json!({"name": "row", "enabled": enabled})).await;
    }
    done(world, "DELETE", &one(&gone), json!({})).await;
    let rotate = async |token: &ServiceToken, body: Value| {
        let answer = done(world, "POST", &format!("{}/rotate", one(token)), body).await;
        pair(world, &token.client_id, &answer.text_at("/result/client_secret")).await
    };
    let new = rotate(&rotated, json!({})).await;
    let until = |time: &str| json!({"previous_client_secret_expires_at": time});
    let incoming = rotate(&overlapping, until("2026-11-21T11:00:00Z")).await;
    rotate(&over, until("2026-11-21T10:00:20Z")).await;
    world.clock.advance(Duration::from_secs(15));
    done(world, "POST", &format!("{}/refresh", one(&refreshed)), json!({})).await;
    let shown_refreshed = pair(world, &refreshed.client_id, &refreshed.secret).await;
    let with = |id: &str, secret: &str| Shown::Pair(id.to_owned(), secret.to_owned(), None);
    let unknown = format!("{}.access", "0".repeat(32));
    vec![
        Row::new("a good service token", &shown, None),
        Row::new("the secret of another token", &with(&good.client_id, &other.secret), "wrong_secret"),
        Row::new(
            "a secret with a changed digit",
            &with(&good.client_id, &changed(&good.secret)),
            "malformed",
        ),
        Row::new("half of a secret", &with(&good.client_id, &good.secret[..20]), "malformed"),
        Row::new("a client id that nobody has", &with(&unknown, &good.secret), "unknown"),
        Row::new("an expired service token", &expired, "expired"),
        Row::new("one refreshed before it expired", &shown_refreshed, None),
        Row::new("a disabled one", &shown_off, "disabled"),
        Row::new("one enabled again", &shown_on, None),
        Row::new("a revoked one", &shown_gone, "unknown"),
        Row::new("the secret before a rotation", &old, "rotated_out"),
        Row::new("the secret of a rotation", &new, None),
        Row::new("the previous secret, within the overlap", &outgoing, None),
        Row::new("the new one, within the overlap", &incoming, None),
        Row::new("the previous secret, past the overlap", &ended, "rotated_out"),
    ]
}

/// Another text of the same length; its checksum is wrong.
fn changed(text: &str) -> String {
    let last = if text.ends_with('0') { '1' } else { '0' };
    format!("{}{last}", &text[..text.len() - 1])
}

async fn access_tokens(world: &World) -> Vec<Row> {
    let token = async |body: Value| world.access_token(body).await;
    let (good, eternal) = (token(json!({})).await, token(json!({"ttl": -1})).await);
    let (expired, revoked) = (token(json!({"ttl": 5})).await, token(json!({})).await);
    let parent = token(json!({})).await;
    let made = world.post(&world.access_tokens()).bearer(&parent).json(&json!({})).await;
    let descendant = made.text_at("/id");
    let path = world.access_tokens();
    done(world, "DELETE", &format!("{path}/{}", &revoked[..22]), json!({})).await;
    done(world, "DELETE", &format!("{path}/{}?descendants=true", &parent[..22]), json!({})).await;
    let show = |text: &str| Shown::Token(text.to_owned());
    vec![
        Row::new("a good access token", &show(&good), None),
        Row::new("an eternal one", &show(&eternal), None),
        Row::new("the root's", &show(&world.root), None),
        Row::new("a changed digit", &show(&changed(&good)), "unknown"),
        Row::new("a handle alone", &show(&good[..22]), "malformed"),
        Row::new(
            "a text with a blank in it",
            &show(&format!("{} {}", &good[..30], &good[30..])),
            "malformed",
        ),
        Row::new("a text that nobody has", &show(&"x".repeat(64)), "unknown"),
        Row::new("an expired access token", &show(&expired), "expired"),
        Row::new("a revoked access token", &show(&revoked), "unknown"),
        Row::new(
            "what stems from a token that ended with all that stems from it",
            &show(&descendant),
            "unknown",
        ),
    ]
}

async fn accounts(world: &World) -> Vec<Row> {
    let below = async || {
        let account = world.account_below(&world.root_account).await;
        let token = Shown::Token(world.access_token_of(&account, json!({})).await);
        (account, token)
    };
    let act = async |account: &str, verb: &str| {
        done(world, "POST", &format!("/v1/Accounts/{account}/{verb}"), json!({})).await
    };
    let [(off, of_off), (on, of_on), (gone, of_gone), (all, of_all)] =
        [below().await, below().await, below().await, below().await];
    let child = world.account_below(&off).await;
    let of_child = Shown::Token(world.access_token_of(&child, json!({})).await);
    let path = service_tokens_of(&child);
    let machine = world.post(&path).bearer(&world.root).json(&json!({"name": "row"})).await;
    let (client_id, secret) =
        (machine.text_at("/result/client_id"), machine.text_at("/result/client_secret"));
    let machine = pair(world, &client_id, &secret).await;
    for (account, verb) in [(&off, "disable"), (&on, "disable"), (&on, "enable")] {
        act(account, verb).await;
    }
    done(world, "DELETE", &format!("/v1/Accounts/{gone}"), json!({})).await;
    act(&all, "revoke-access-tokens").await;
    vec![
        Row::new("of a disabled account", &of_off, "account_disabled"),
        Row::new("of an account below a disabled one", &of_child, "account_disabled"),
        Row::new("a machine of an account below a disabled one", &machine, "account_disabled"),
        Row::new("of an account that is enabled again", &of_on, None),
        Row::new("of a deleted account", &of_gone, "unknown"),
        Row::new("of an account all of whose tokens ended", &of_all, "unknown"),
    ]
}

async fn demands(world: &World) -> Vec<Row> {
    let account = world.account_below(&world.root_account).await;
    let sibling = world.account_below(&world.root_account).await;
    let own = Shown::Token(world.access_token_of(&account, json!({})).await);
    let scopes = json!({"scopes": ["app:read", "log:*"]});
    let scoped = Shown::Token(world.access_token_of(&account, scopes).await);
    let nothing = Shown::Token(world.access_token_of(&account, json!({"scopes": []})).await);
    let of_root = Shown::Token(world.access_token(json!({})).await);
    let (_, machine) = service(world, json!({"scopes": ["app:read"]})).await;
    let path = format!("/v1/Accounts/{account}/organizations");
    let made = async |name: &str| done(world, "POST", &path, json!({"name": name})).await.text_at("/id");
    let (organization, closed) = (made("open").await, made("closed").await);
    done(world, "POST", &format!("/v1/Organizations/{closed}/deactivate"), json!({})).await;
    let bound = json!({"organizations": [organization]});
    let bound = Shown::Token(world.access_token_of(&account, bound).await);
    let elsewhere = Shown::Token(world.access_token_of(&account, json!({"organizations": []})).await);
    let [of_account, of_sibling, in_organization, in_closed] = [
        format!("account={account}"),
        format!("account={sibling}"),
        format!("organization={organization}"),
        format!("organization={closed}"),
    ];
    let above = format!("account={}", world.root_account);
    vec![
        Row::new("a scope that it has", &scoped, None).wants("scope=app:read"),
        Row::new("a scope below a star", &scoped, None).wants("scope=log:a:b"),
        Row::new("the star itself", &scoped, "insufficient_scope").wants("scope=log"),
        Row::new("a scope that it lacks", &scoped, "insufficient_scope").wants("scope=app:write"),
        Row::new("either of two", &scoped, None).wants("scope=app:write|app:read"),
        Row::new("both of two", &scoped, "insufficient_scope").wants("scope=app:read&scope=app:write"),
        Row::new("a machine's scope", &machine, None).wants("scope=app:read"),
        Row::new("no scope at all", &nothing, "insufficient_scope").wants("scope=app:read"),
        Row::new("a customer without scopes, and no account", &own, "insufficient_scope")
            .wants("scope=app:read"),
        Row::new("a customer without scopes at its account", &own, None)
            .wants(format!("scope=app:read&{of_account}")),
        Row::new("the operator without scopes", &of_root, None).wants("scope=app:read"),
        Row::new("its own account", &scoped, None).wants(&of_account),
        Row::new("an account above", &scoped, None).wants(above),
        Row::new("a sibling's account", &scoped, "wrong_account").wants(&of_sibling),
        Row::new("an account below", &of_root, "wrong_account").wants(&of_account),
        Row::new("two accounts", &scoped, "wrong_account").wants(format!("scope=app:read&{of_sibling}")),
        Row::new("its organization", &own, None).wants(&in_organization),
        Row::new("an organization to which it is bound", &bound, None).wants(&in_organization),
        Row::new("one that is closed", &own, "wrong_organization").wants(&in_closed),
        Row::new("one of others", &of_root, "wrong_organization")
            .wants(format!("organization={}", "0".repeat(32))),
        Row::new("an organization to which it is not bound", &elsewhere, "wrong_organization")
            .wants(&in_organization),
        Row::new("its kind", &machine, None).wants("kind=service"),
        Row::new("another kind", &own, "wrong_kind").wants("kind=service"),
        Row::new("a machine where people come", &machine, "wrong_kind").wants("kind=access"),
    ]
}

async fn restricted(world: &World) -> Vec<Row> {
    let resources = json!({"resources": ["GET /app/**", "/open/*"]});
    let (_, bound) = narrowed(world, resources.clone()).await;
    let person = Shown::Token(world.access_token(resources).await);
    let (_, local) = narrowed(world, json!({"allowed_ips": ["192.0.2.0/24", "2001:db8::/32"]})).await;
    let (_, nowhere) = narrowed(world, json!({"allowed_ips": []})).await;
    let denied = |name: &'static str, target: &'static str| {
        Row::new(name, &bound, "resource_denied").asks("GET", target)
    };
    let from = |name: &'static str, address: &'static str, expected: Option<&'static str>| {
        Row::new(name, &local, expected).comes_from(address)
    };
    vec![
        Row::new("a request to which it is bound", &bound, None).asks("GET", "/app/a/b?c=d"),
        Row::new("with any method", &bound, None).asks("DELETE", "/open/a"),
        Row::new("a person's", &person, None).asks("GET", "/app/a"),
        Row::new("another method", &bound, "resource_denied").asks("POST", "/app/a"),
        Row::new("no request that is stated", &bound, "resource_denied"),
        denied("another path", "/other"),
        denied("dot segments", "/app/../admin"),
        denied("encoded dot segments", "/app/%2e%2e/admin"),
        denied("an encoded slash", "/open/a%2Fb"),
        denied("an encoded NUL", "/app/%00"),
        denied("an empty segment", "/app//a"),
        denied("a parameter of a segment", "/app/a;b"),
        denied("an invalid escape", "/app/%zz"),
        Row::new("an encoded letter", &bound, None).asks("GET", "/%61pp/a"),
        denied("another case", "/APP/a"),
        from("an address to which it is bound", "192.0.2.7", None),
        from("of the other family", "2001:db8::7", None),
        from("in the other spelling", "::ffff:192.0.2.7", None),
        from("another address", "198.51.100.7", Some("address_denied")),
        Row::new("no address that is stated", &local, "address_denied"),
        Row::new("no address at all", &nowhere, "address_denied").comes_from("192.0.2.7"),
    ]
}

/// Whoever has used it up by one door has by all.
async fn used_up(world: &World) -> Vec<Row> {
    let once = json!({"limits": {"quota": {"requests": 1, "period": "month"}}});
    let (machine, used) = narrowed(world, once.clone()).await;
    let person = world.access_token(once).await;
    assert_eq!(world.door("/authz", &machine.headers()), StatusCode::OK);
    let verified = world.post("/api/v1/verify").bearer(&world.root).json(&json!({"token": person})).await;
    assert_eq!(verified.json()["valid"], json!(true), "{verified:?}");
    vec![
        Row::new("a machine that has used up its quota", &used, "rate_limited"),
        Row::new("a person who has", &Shown::Token(person), "rate_limited"),
        Row::new("who has, where it may not be", &used, "wrong_kind").wants("kind=access"),
    ]
}
