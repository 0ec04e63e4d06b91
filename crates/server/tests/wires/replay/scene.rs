//! What the recorder had made before it asked, and the asking.

use std::num::NonZeroU32;
use std::time::Duration;

use countersign_authority::Policy;
use serde_json::{Value, json};

use super::recording::Case;
use super::shape::Seen;
use crate::harness::{Answer, World};

/// A text in our form that no token has.
const OF_NONE: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// A server as the recorder had one: everybody may sign up, nobody is held up.
pub(super) struct Scene {
    world: World,
    pub(super) seen: Seen,
}

impl Scene {
    /// Five accounts, each logged in, with what the cases name of theirs.
    pub(super) async fn new() -> Self {
        let many = NonZeroU32::new(1_000).unwrap();
        let policy = Policy {
            open_sign_up: true,
            logins_per_minute_account: many,
            logins_per_minute_address: many,
            ..Policy::default()
        };
        let mut scene = Self { world: World::with(policy).await, seen: Seen::new() };
        for letter in ["A", "B", "C", "D", "E"] {
            scene.account(letter).await;
        }
        for (name, letter, body) in [
            ("tokenU", "A", json!({})),
            ("tokenS", "A", json!({"ttl": 60})),
            ("tokenO", "A", json!({"ttl": 1})),
            ("tokenOfC", "C", json!({"ttl": 60, "scopes": ["read"]})),
            ("tokenOfC", "C", json!({"ttl": 120, "scopes": ["read", "write"]})),
            ("tokenOfC", "C", json!({"ttl": -1})),
            ("tokenOfD", "D", json!({})),
        ] {
            scene.mint(name, letter, body).await;
        }
        scene
    }

    async fn account(&mut self, letter: &str) {
        let email = self.seen.fill(&format!("{}-documented-{{mark}}@example.com", letter.to_lowercase()));
        let body = json!({"email": email, "password": "Secret!1"});
        let account = self.world.post("/v1/Accounts").json(&body).await;
        self.seen.bind(&format!("account{letter}"), &account.text_at("/id"));
        let token = self.world.post("/v1/Accounts/login").json(&body).await;
        self.seen.bind(&format!("token{letter}"), &token.text_at("/id"));
    }

    /// A token that an account issues to itself. The recorder's had an order, too.
    async fn mint(&mut self, name: &str, letter: &str, body: Value) {
        self.world.clock.advance(Duration::from_millis(1));
        let answer = self.issue(letter, body).await;
        self.seen.bind(name, &answer.text_at("/id"));
    }

    async fn issue(&self, letter: &str, body: Value) -> Answer {
        let path = self.seen.fill(&format!("/v1/Accounts/{{account{letter}}}/accessTokens"));
        self.world.post(&path).bearer(self.seen.value(&format!("token{letter}"))).json(&body).await
    }

    /// What LoopBack made here and we do not: the case is then about a token that does not exist.
    async fn not_minted(&mut self, body: Value) {
        assert_eq!(self.issue("A", body).await.status, 422);
        self.seen.bind("newToken", OF_NONE);
    }

    async fn minted_and_past(&mut self, body: Value) {
        self.mint("newToken", "A", body).await;
        self.world.clock.advance(Duration::from_secs(2));
    }

    /// What the title of a case says was done before.
    pub(super) async fn prepare(&mut self, case: &Case) {
        match case.id.as_str() {
            // Cases before it, which are not in the recording, left another one.
            "C73" => self.mint("tokenOfC", "C", json!({})).await,
            "F23" | "F25" => self.minted_and_past(json!({"ttl": 1})).await,
            "F28" => self.not_minted(json!({"ttl": -5})).await,
            "F31" => self.mint("newToken", "A", json!({"ttl": -1})).await,
            "F32" => self.minted_and_past(json!({"created": "2099-01-01T00:00:00.000Z", "ttl": 1})).await,
            "F33" => self.not_minted(json!({"ttl": 1.5})).await,
            "F35" => {
                self.mint("newToken", "A", json!({})).await;
                let path = self.seen.fill("/v1/Accounts/me/accessTokens/{newToken}");
                assert_eq!(
                    self.world.delete(&path).bearer(self.seen.value("tokenA")).send().await.status,
                    200
                );
            }
            "F37" | "F43" | "F44" => self.mint("newToken", "A", json!({"scopes": ["reports:read"]})).await,
            "F41" => self.mint("newToken", "A", json!({"scopes": []})).await,
            "F34" => self.mint("newToken", "A", json!({"ttl": 60, "scopes": ["DEFAULT"]})).await,
            "E01" | "E07" => self.mint("newToken", "A", json!({})).await,
            "X03" => {
                // X02, to which LoopBack had no answer any more.
                let (open, close) = ("[".repeat(33), "]".repeat(33));
                let body =
                    format!(r#"{{"email":"deep33@example.com","password":"Secret!1","x":{open}{close}}}"#);
                let call = self.world.post("/v1/Accounts").header("content-type", "application/json");
                assert_eq!(call.body(body).send().await.status, 400);
            }
            _ => {}
        }
    }

    /// Asks what the recorder asked.
    pub(super) async fn ask(&self, case: &Case) -> Answer {
        let whole = |text: &str| {
            let text = self.seen.fill(text);
            let text = unabridged(&case.id, &text);
            assert!(!text.contains('…'), "{}: how does {text} go on?", case.id);
            text
        };
        let path = whole(&case.request.path);
        // The recorder's own route.
        let path = path.replace("/Accounts/ping", "/Accounts/authorized");
        let call = self.world.call(&case.request.method, &format!("/v1{path}"));
        let headers = case.request.headers.iter();
        let call = headers.fold(call, |call, (name, value)| call.header(name, &whole(value)));
        call.body(whole(&case.request.body)).send().await
    }
}

/// The recording abridges what is long: `x…` is as many as the title says.
fn unabridged(id: &str, text: &str) -> String {
    let (abridged, count) = match id {
        "A26" => ("x…", 73),
        "B48" => ("x…… (200019 bytes)", 200_000),
        "F21" => ("x…", 8_000),
        "E16" => ("x…", 4_000),
        _ => return text.to_owned(),
    };
    let rest = if id == "B48" { "\"}" } else { "" };
    text.replace(abridged, &("x".repeat(count) + rest))
}
