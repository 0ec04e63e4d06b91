//! The keys that sign take turns, on one node and on two, while the test moves the clock.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_domain::fact::CredentialKey;
use http::StatusCode;
use serde_json::{Value, json};

use crate::harness::{ServiceToken, Stored, World};

const HOUR: Duration = Duration::from_secs(3600);
const DAYS: u64 = 70;

/// A signed token, and when it ends.
type Signed = (String, i64);

impl World {
    fn is_let_in(&self, text: &str) -> bool {
        let bearer = format!("Bearer {text}");
        self.door("/authz", &[("authorization", &bearer)]) == StatusCode::OK
    }

    /// What a service knows that keeps a copy of the key set.
    async fn kids(&self) -> BTreeSet<String> {
        let keys = self.get("/.well-known/jwks.json").send().await.json();
        let kid = |key: &Value| key["kid"].as_str().unwrap().to_owned();
        keys["keys"].as_array().unwrap().iter().map(kid).collect()
    }

    async fn sign(&self, token: &ServiceToken) -> Signed {
        let form = format!(
            "grant_type=client_credentials&client_id={}&client_secret={}",
            token.client_id, token.secret
        );
        let answer = self.post("/oauth2/token").form(&form).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let lives = answer.json()["expires_in"].as_i64().unwrap();
        (answer.text_at("/access_token"), self.clock_seconds() + lives)
    }
}

fn kid(text: &str) -> String {
    let header = URL_SAFE_NO_PAD.decode(text.split('.').next().unwrap()).unwrap();
    serde_json::from_slice::<Value>(&header).unwrap()["kid"].as_str().unwrap().to_owned()
}

/// Hour by hour, each node tends its keys now and then and signs; every node lets in all that has not expired, and nothing else;
/// and whoever has looked at the keys within five minutes knows the one that signs.
async fn take_turns(nodes: &[&World]) {
    let world = nodes[0];
    let path = format!("/client/v4/accounts/{}/access/keys", world.root_account);
    for node in nodes {
        node.authority.tend_keys().await.unwrap();
    }
    let token = world.service_token(json!({"name": "ci", "duration": "8760h"})).await;
    let key = CredentialKey::Client(token.client_id.parse().unwrap());
    for node in nodes {
        while node.authority.directory().find(&key).is_none() {
            tokio::task::yield_now().await;
        }
    }
    let days = json!({"key_rotation_interval_days": 21});
    let set = world.call("PUT", &path).bearer(&world.root).json(&days).await;
    assert_eq!(set.status, StatusCode::OK, "{set:?}");
    let (mut live, mut signers) = (VecDeque::<Signed>::new(), BTreeSet::new());
    for hour in 0..DAYS * 24 {
        let mut known = Vec::new();
        for node in nodes {
            known.push(node.kids().await);
        }
        // Nodes are not told of each other's keys: each looks, one long after the other.
        for (index, node) in nodes.iter().enumerate() {
            if hour % (1 + 2 * index as u64) == 0 {
                node.authority.tend_keys().await.unwrap();
            }
        }
        world.clock.advance(Duration::from_secs(60));
        for node in nodes {
            let signed = node.sign(&token).await;
            let kid = kid(&signed.0);
            assert!(
                hour == 0 || known.iter().all(|known| known.contains(&kid)),
                "hour {hour}: nobody knows {kid}"
            );
            signers.insert(kid);
            live.push_back(signed);
        }
        for seconds in [0, 120, 179, 1] {
            world.clock.advance(Duration::from_secs(seconds));
            let now = world.clock_seconds();
            for (text, ends) in &live {
                for node in nodes {
                    assert_eq!(node.is_let_in(text), now < *ends, "hour {hour}");
                }
            }
            live.retain(|(_, ends)| now < *ends);
        }
        world.clock.advance(HOUR - Duration::from_secs(360));
    }
    assert_eq!(signers.len(), 1 + DAYS as usize / 21, "one after the other");
    // Two turns are known: the one that signs, and the one before for another week; what came earlier is removed.
    assert!(world.kids().await.len() <= 3 * 3);
    let audit = format!("/api/v1/audit?account={}&limit=1000&action=signing_keys.", world.root_account);
    for (action, times) in
        [("rotate", 1 + DAYS as usize / 21), ("schedule", 1), ("remove", DAYS as usize / 21 - 1)]
    {
        let answer = world.get(&format!("{audit}{action}")).bearer(&world.root).send().await;
        assert_eq!(answer.json()["entries"].as_array().unwrap().len(), times, "{action}");
    }
}

/// Whoever kept an empty set of keys would refuse everything for a while.
#[tokio::test]
async fn no_keys_are_no_key_set() {
    let world = World::new().await;
    let answer = world.get("/.well-known/jwks.json").send().await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    world.authority.tend_keys().await.unwrap();
    assert_eq!(world.kids().await.len(), 3);
}

/// To ask twice for other keys is to ask once; and there is an end to it.
#[tokio::test]
async fn keys_are_made_out_of_turn_one_after_the_other() {
    let world = World::new().await;
    world.authority.tend_keys().await.unwrap();
    let path = format!("/client/v4/accounts/{}/access/keys/rotate", world.root_account);
    let rotate = async || world.post(&path).bearer(&world.root).json(&json!({})).await.status;
    for expected in [6, 9] {
        for _ in 0..3 {
            assert_eq!(rotate().await, StatusCode::OK);
        }
        assert_eq!(world.kids().await.len(), expected);
        world.clock.advance(Duration::from_secs(601));
    }
    let mut made = 3;
    while rotate().await == StatusCode::OK {
        made += 1;
        assert!(made <= 32);
        world.clock.advance(Duration::from_secs(601));
    }
    assert_eq!(world.kids().await.len(), 3 * 32);
}

#[tokio::test]
async fn keys_take_turns_on_one_node() {
    take_turns(&[&World::over(Stored::Embedded).await]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_take_turns_on_two_nodes() {
    let first = World::over(Stored::Shared).await;
    let second = first.beside().await;
    take_turns(&[&first, &second]).await;
}
