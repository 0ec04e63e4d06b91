//! `GET /api/v1/revocations`: what services have to refuse that check signed tokens by themselves. The test is such a service.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_authority::Policy;
use http::StatusCode;
use serde_json::{Value, json};

use crate::harness::{ServiceToken, World, service_tokens_of};

/// A service that checks tokens by itself. That their signatures are good it knows.
struct Service<'w> {
    world: &'w World,
    caller: String,
    known: Vec<Value>,
    since: Option<String>,
}

impl Service<'_> {
    async fn poll(&mut self) {
        let mut cursor = None::<String>;
        loop {
            let mut path = "/api/v1/revocations?".to_owned();
            if let Some(since) = &self.since {
                path.push_str(&format!("since={since}&"));
            }
            if let Some(cursor) = &cursor {
                path.push_str(&format!("cursor={cursor}&"));
            }
            let answer = self.world.get(path.trim_end_matches(['&', '?'])).bearer(&self.caller).send().await;
            assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
            let body = answer.json();
            self.known.extend(body["revocations"].as_array().unwrap().iter().cloned());
            cursor = body["next_cursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                self.since = body["as_of"].as_str().map(str::to_owned);
                return;
            }
        }
    }

    /// As `docs/offline.md` says.
    fn accepts(&self, token: &Value) -> bool {
        let now = self.world.clock_seconds();
        let seconds = |time: &Value| time.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second();
        let concerns = |entry: &&Value| {
            let account = entry["account"].as_str();
            let accounts = token["accounts_above"].as_array().unwrap().iter().chain([&token["account"]]);
            account.is_none_or(|account| accounts.clone().any(|of| of == account))
                && (entry["token"].is_null() || entry["token"] == token["token"])
                && entry["secret_version_below"]
                    .as_u64()
                    .is_none_or(|below| token["secret_version"].as_u64().unwrap() < below)
                && (entry["issued_until"].is_null()
                    || token["iat"].as_i64().unwrap() <= seconds(&entry["issued_until"]))
                && now >= seconds(&entry["from"])
        };
        token["exp"].as_i64().unwrap() > now && !self.known.iter().any(|entry| concerns(&entry))
    }
}

async fn signed(world: &World, token: &ServiceToken) -> Value {
    let text = world.exchange(&token.client_id, &token.secret, "").await;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

async fn issue(world: &World, account: &str, body: Value) -> ServiceToken {
    let answer = world.post(&service_tokens_of(account)).bearer(&world.root).json(&body).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    ServiceToken {
        id: answer.text_at("/result/id"),
        client_id: answer.text_at("/result/client_id"),
        secret: answer.text_at("/result/client_secret"),
    }
}

#[tokio::test]
async fn a_service_that_asks_refuses_what_ended() {
    let world = World::new().await;
    let root = world.root_account.clone();
    let (parent, other) = (world.account_below(&root).await, world.account_below(&root).await);
    let child = world.account_below(&parent).await;
    let plain = || json!({"name": "token", "scopes": ["a", "b"]});
    let act = async |method: &str, path: String, body: Value| {
        let answer = world.call(method, &path).bearer(&world.root).json(&body).await;
        assert_eq!(answer.status, StatusCode::OK, "{method} {path}: {answer:?}");
    };
    let mut tokens = Vec::new();
    for account in [&root, &root, &root, &root, &root, &root, &child, &child, &other, &root, &root] {
        tokens.push((account.clone(), issue(&world, account, plain()).await));
    }
    let mut claims = Vec::new();
    for (_, token) in &tokens {
        claims.push(signed(&world, token).await);
    }
    let caller = world.root.clone();
    let mut service = Service { world: &world, caller, known: Vec::new(), since: None };
    service.poll().await;
    assert!(claims.iter().all(|token| service.accepts(token)));

    world.clock.advance(Duration::from_secs(10));
    let one = |index: usize| format!("{}/{}", service_tokens_of(&tokens[index].0), tokens[index].1.id);
    act("DELETE", one(0), json!({})).await;
    act("PUT", one(1), json!({"name": "token", "enabled": false})).await;
    act("POST", format!("{}/rotate", one(2)), json!({})).await;
    let soon = jiff::Timestamp::from_second(world.clock_seconds() + 60).unwrap().to_string();
    act("POST", format!("{}/rotate", one(3)), json!({"previous_client_secret_expires_at": soon})).await;
    act("PUT", one(4), json!({"name": "token", "scopes": ["a"]})).await;
    act("PUT", one(5), json!({"name": "renamed", "scopes": ["a", "b", "c"]})).await;
    act("POST", format!("/v1/Accounts/{parent}/disable"), json!({})).await;
    act("POST", format!("{}/refresh", one(9)), json!({})).await;
    act("PUT", one(10), json!({"name": "token", "duration": "1m"})).await;
    service.poll().await;
    let accepted: Vec<bool> = claims.iter().map(|token| service.accepts(token)).collect();
    // Revoked, disabled, rotated, still overlapping, narrowed, widened, two below a disabled account, of another, refreshed,
    // given less time.
    assert_eq!(accepted, [false, false, false, true, false, true, false, false, true, true, false]);

    // What the door says is what the service says, but for what it has not heard of yet.
    world.clock.advance(Duration::from_secs(61));
    assert!(!service.accepts(&claims[3]), "past its overlap, without another question");
    act("DELETE", format!("/v1/Accounts/{other}"), json!({})).await;
    assert!(service.accepts(&claims[8]), "not heard of yet");
    service.poll().await;
    assert!(!service.accepts(&claims[8]));

    // What is got afterwards is good.
    act("PUT", one(1), json!({"name": "token", "enabled": true})).await;
    world.clock.advance(Duration::from_secs(61));
    let (again, narrower) = (signed(&world, &tokens[1].1).await, signed(&world, &tokens[4].1).await);
    service.poll().await;
    assert!(service.accepts(&again) && service.accepts(&narrower));
}

/// A node that has not heard of it yet may exchange a secret a moment later.
#[tokio::test]
async fn what_was_got_a_moment_later_is_refused_as_well() {
    let world = World::new().await;
    let root = world.root_account.clone();
    let plain = || json!({"name": "token", "scopes": ["a", "b"]});
    let mut claims = Vec::new();
    let mut tokens = Vec::new();
    for _ in 0..4 {
        let token = issue(&world, &root, plain()).await;
        let mut later = signed(&world, &token).await;
        later["iat"] = json!(world.clock_seconds() + 2);
        claims.push(later);
        tokens.push(token);
    }
    let one = |index: usize| format!("{}/{}", service_tokens_of(&root), tokens[index].id);
    let acts = [
        ("DELETE", one(0), json!({})),
        ("PUT", one(1), json!({"name": "token", "enabled": false})),
        ("POST", format!("{}/rotate", one(2)), json!({})),
        ("PUT", one(3), json!({"name": "token", "scopes": ["a"]})),
    ];
    for (method, path, body) in acts {
        let answer = world.call(method, &path).bearer(&world.root).json(&body).await;
        assert_eq!(answer.status, StatusCode::OK, "{method} {path}: {answer:?}");
    }
    let caller = world.root.clone();
    let mut service = Service { world: &world, caller, known: Vec::new(), since: None };
    service.poll().await;
    assert_eq!(claims.iter().map(|token| service.accepts(token)).collect::<Vec<_>>(), [false; 4]);
    // What ended for good, whenever it was got: a clock may have been ahead.
    for index in [0, 2] {
        (claims[index]["iat"], claims[index]["exp"]) =
            (json!(world.clock_seconds() + 600), json!(world.clock_seconds() + 900));
        assert!(!service.accepts(&claims[index]), "{index}");
    }
}

/// A secret that is replaced twice ends at once, whatever was left of its overlap; one whose end alone is moved takes no other along.
#[tokio::test]
async fn each_secret_ends_when_it_does_at_the_doors() {
    let world = World::new().await;
    let root = world.root_account.clone();
    let token = issue(&world, &root, json!({"name": "token"})).await;
    let one = format!("{}/{}", service_tokens_of(&root), token.id);
    let in_an_hour = || jiff::Timestamp::from_second(world.clock_seconds() + 3_600).unwrap().to_string();
    let rotate = async || {
        let body = json!({"previous_client_secret_expires_at": in_an_hour()});
        let answer = world.post(&format!("{one}/rotate")).bearer(&world.root).json(&body).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let secret = answer.text_at("/result/client_secret");
        ServiceToken { id: token.id.clone(), client_id: token.client_id.clone(), secret }
    };
    let caller = world.root.clone();
    let mut service = Service { world: &world, caller, known: Vec::new(), since: None };
    let second = rotate().await;
    let (of_first, of_second) = (signed(&world, &token).await, signed(&world, &second).await);
    service.poll().await;
    assert!(service.accepts(&of_first) && service.accepts(&of_second));
    world.clock.advance(Duration::from_secs(60));
    let third = rotate().await;
    let of_third = signed(&world, &third).await;
    service.poll().await;
    assert!(!service.accepts(&of_first), "it was dropped for the second one");
    assert!(service.accepts(&of_second) && service.accepts(&of_third));
    let now = jiff::Timestamp::from_second(world.clock_seconds()).unwrap().to_string();
    let body = json!({"name": "token", "previous_client_secret_expires_at": now});
    let answer = world.call("PUT", &one).bearer(&world.root).json(&body).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    service.poll().await;
    assert!(!service.accepts(&of_second), "ended before its time");
    assert!(service.accepts(&of_third), "the current secret goes on");
}

/// Tools that keep what they want in files say the same end with each rotation.
#[tokio::test]
async fn an_end_that_is_said_again_is_told_again() {
    let world = World::new().await;
    let root = world.root_account.clone();
    let in_a_day = jiff::Timestamp::from_second(world.clock_seconds() + 86_400).unwrap().to_string();
    for (end, lives) in [("2020-01-01T00:00:00Z", false), (&*in_a_day, true)] {
        let mut token = issue(&world, &root, json!({"name": "token"})).await;
        let one = format!("{}/{}", service_tokens_of(&root), token.id);
        let caller = world.root.clone();
        let mut service = Service { world: &world, caller, known: Vec::new(), since: None };
        let mut signed_by = Vec::new();
        for version in 2..=3 {
            signed_by.push(signed(&world, &token).await);
            let body = json!({"name": "token", "client_secret_version": version, "previous_client_secret_expires_at": end});
            let answer = world.call("PUT", &one).bearer(&world.root).json(&body).await;
            assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
            token.secret = answer.text_at("/result/client_secret");
        }
        service.poll().await;
        assert!(!service.accepts(&signed_by[0]), "{end}");
        assert_eq!(service.accepts(&signed_by[1]), lives, "{end}");
        assert!(service.accepts(&signed(&world, &token).await), "{end}");
    }
}

/// Where the end of a secret is put off, what is got for it afterwards is good.
#[tokio::test]
async fn an_end_that_is_put_off_ends_nothing() {
    let world = World::new().await;
    let root = world.root_account.clone();
    let token = issue(&world, &root, json!({"name": "token"})).await;
    let one = format!("{}/{}", service_tokens_of(&root), token.id);
    let after = |seconds| jiff::Timestamp::from_second(world.clock_seconds() + seconds).unwrap().to_string();
    let caller = world.root.clone();
    let mut service = Service { world: &world, caller, known: Vec::new(), since: None };
    let body = json!({"previous_client_secret_expires_at": after(3_600)});
    let answer = world.post(&format!("{one}/rotate")).bearer(&world.root).json(&body).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    service.poll().await;
    world.clock.advance(Duration::from_secs(3_000));
    let body = json!({"name": "token", "previous_client_secret_expires_at": after(7_200)});
    let answer = world.call("PUT", &one).bearer(&world.root).json(&body).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    world.clock.advance(Duration::from_secs(3_000));
    service.poll().await;
    let of_previous = signed(&world, &token).await;
    assert!(service.accepts(&of_previous), "{:?}", service.known);
}

/// Whoever asks since the time of the answer before hears of everything, also where the clock was set back in between.
#[tokio::test]
async fn a_clock_that_is_set_back_hides_nothing() {
    let world = World::new().await;
    let root = world.root_account.clone();
    let token = issue(&world, &root, json!({"name": "token"})).await;
    let claims = signed(&world, &token).await;
    world.clock.advance(Duration::from_secs(200));
    let caller = world.root.clone();
    let mut service = Service { world: &world, caller, known: Vec::new(), since: None };
    service.poll().await;
    world.clock.set(world.authority.now().before(Duration::from_secs(120)));
    let path = format!("{}/{}", service_tokens_of(&root), token.id);
    assert_eq!(world.delete(&path).bearer(&world.root).send().await.status, StatusCode::OK);
    // Nor does it have to be asked at once.
    world.clock.advance(Duration::from_secs(100));
    service.poll().await;
    assert!(!service.accepts(&claims));
}

/// However short the audit is kept: what is read from it is there for as long as it matters.
#[tokio::test]
async fn what_matters_to_signed_tokens_is_kept() {
    let mut world = World::new().await;
    let hour = Duration::from_secs(3_600);
    world.configure(Policy { audit_retention: Some(hour), ..Policy::default() });
    let root = world.root_account.clone();
    let token = issue(&world, &root, json!({"name": "token"})).await;
    let path = format!("{}/{}", service_tokens_of(&root), token.id);
    assert_eq!(world.delete(&path).bearer(&world.root).send().await.status, StatusCode::OK);
    let audit = format!("/api/v1/audit?account={root}&action=service_token.revoke");
    for (hours, kept) in [(24, 1), (1, 0)] {
        world.clock.advance(hours * hour);
        // The newest record is always kept.
        issue(&world, &root, json!({"name": "other"})).await;
        world.authority.sweep().await.unwrap();
        let answer = world.get(&audit).bearer(&world.root).send().await;
        assert_eq!(answer.json()["entries"].as_array().unwrap().len(), kept, "{answer:?}");
    }
}

/// What a leaked access token has minted ends with it, elsewhere as at the doors.
#[tokio::test]
async fn descendants_are_refused_elsewhere() {
    let world = World::new().await;
    world.authority.tend_keys().await.unwrap();
    let root = world.root_account.clone();
    let account = world.account_below(&root).await;
    let leaked = world.access_token_of(&account, json!({})).await;
    let path = service_tokens_of(&account);
    let minted = world.post(&path).bearer(&leaked).json(&json!({"name": "minted"})).await;
    let minted = ServiceToken {
        id: minted.text_at("/result/id"),
        client_id: minted.text_at("/result/client_id"),
        secret: minted.text_at("/result/client_secret"),
    };
    let of_minted = signed(&world, &minted).await;
    let elsewhere = issue(&world, &root, json!({"name": "elsewhere"})).await;
    let of_elsewhere = signed(&world, &elsewhere).await;
    let path = format!("/v1/Accounts/{account}/accessTokens/{}?descendants=true", &leaked[..22]);
    let answer = world.delete(&path).bearer(&world.root).send().await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let caller = world.root.clone();
    let mut service = Service { world: &world, caller, known: Vec::new(), since: None };
    service.poll().await;
    assert!(!service.accepts(&of_minted) && service.accepts(&of_elsewhere));
}

/// Everybody hears of what is below, and of what stops it, and of nothing else.
#[tokio::test]
async fn nobody_hears_of_others() {
    let world = World::new().await;
    world.authority.tend_keys().await.unwrap();
    let account = world.account_below(&world.root_account).await;
    let sibling = world.account_below(&world.root_account).await;
    let child = world.account_below(&account).await;
    let reader = world.access_token_of(&account, json!({"scopes": ["countersign:verify"]})).await;
    for of in [&world.root_account, &account, &sibling, &child] {
        let token = issue(&world, of, json!({"name": "token"})).await;
        let path = format!("{}/{}", service_tokens_of(of), token.id);
        assert_eq!(world.delete(&path).bearer(&world.root).send().await.status, StatusCode::OK);
    }
    let heard = async |caller: &str| -> Vec<String> {
        let answer = world.get("/api/v1/revocations").bearer(caller).send().await;
        let body = answer.json();
        let of = |entry: &Value| entry["account"].as_str().unwrap().to_owned();
        body["revocations"].as_array().unwrap().iter().map(of).collect()
    };
    assert_eq!(heard(&reader).await, [child.clone(), account.clone()]);
    assert_eq!(heard(&world.root).await.len(), 4);
    let deleted = world.delete(&format!("/v1/Accounts/{child}")).bearer(&world.root).send().await;
    assert_eq!(deleted.status, StatusCode::OK);
    assert_eq!(heard(&world.root).await.len(), 5);
    let answer = world.get("/api/v1/revocations?since=yesterday").bearer(&world.root).send().await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    world.clock.advance(Duration::from_secs(421));
    assert!(heard(&world.root).await.is_empty(), "whatever was signed before has expired");
}
