//! An authority whose key is the test's: it signs whatever it is to sign, and says that whatever has ended.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::{io, thread};

use serde_json::{Value, json};

use crate::forge::Key;

/// It lives as long as the process of the test.
pub(crate) struct Stub {
    address: SocketAddr,
    key: Key,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// What it says has ended, part by part.
    parts: Vec<Vec<Value>>,
    /// What was asked for.
    targets: Vec<String>,
}

impl Stub {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let (key, state) = (Key::make("EdDSA"), Arc::<Mutex<State>>::default());
        let (keys, shared) = (json!({"keys": [key.jwk()]}), Arc::clone(&state));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // Who breaks off sees it himself.
                drop(answer(stream, &keys, &shared));
            }
        });
        Self { address, key, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Says from now on that this has ended.
    pub(crate) fn say(&self, parts: &[Vec<Value>]) {
        self.state.lock().expect("the state").parts = parts.to_vec();
    }

    /// How often its keys were fetched.
    pub(crate) fn fetches(&self) -> usize {
        let state = self.state.lock().expect("the state");
        state.targets.iter().filter(|target| target.starts_with("/.well-known/jwks.json")).count()
    }

    /// How it was asked what has ended.
    pub(crate) fn asked(&self) -> Vec<String> {
        let state = self.state.lock().expect("the state");
        let asked = state.targets.iter().filter(|target| target.starts_with("/api/v1/revocations"));
        asked.cloned().collect()
    }

    /// A token as the authority's own are, but for these members of the header and these claims; `null` takes one away.
    pub(crate) fn sign(
        &self,
        header: &Value,
        now: i64,
        issuer: &str,
        audience: &str,
        scope: &str,
        changes: &Value,
    ) -> String {
        let own = json!({"alg": "EdDSA", "kid": self.key.jwk()["kid"]});
        let claims = json!({
            "iss": issuer, "aud": audience, "scope": scope, "iat": now, "exp": now + 300, "jti": "1", "sub": "client",
            "client_id": "client", "token": "token", "secret_version": 1, "account": crate::server::ACCOUNT,
            "accounts_above": [],
        });
        self.key.sign(&changed(own, header), &changed(claims, changes))
    }
}

fn changed(mut object: Value, changes: &Value) -> Value {
    let members = object.as_object_mut().expect("an object");
    for (name, value) in changes.as_object().expect("changes") {
        match value {
            Value::Null => drop(members.remove(name)),
            value => drop(members.insert(name.clone(), value.clone())),
        }
    }
    object
}

/// Answers the one request of a connection.
fn answer(stream: TcpStream, keys: &Value, state: &Mutex<State>) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
    while stream.read_line(&mut line)? > 2 {}
    let body = if target.starts_with("/.well-known") { keys.clone() } else { part(&target, state) };
    state.lock().expect("the state").targets.push(target);
    let body = body.to_string();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
    write!(stream.get_mut(), "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// The part that a cursor names: its number.
fn part(target: &str, state: &Mutex<State>) -> Value {
    let cursor = target.split_once("cursor=").map_or("0", |(_, cursor)| cursor);
    let number: usize = cursor.split('&').next().unwrap_or_default().parse().expect("a number");
    let parts = state.lock().expect("the state").parts.clone();
    let next = (number + 1 < parts.len()).then(|| (number + 1).to_string());
    let as_of = if number == 0 { "first" } else { "later" };
    json!({"revocations": parts.get(number).cloned().unwrap_or_default(), "next_cursor": next, "as_of": as_of})
}
