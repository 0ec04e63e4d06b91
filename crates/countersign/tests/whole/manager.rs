//! Somebody who manages service tokens over one connection, and knocks at the door with them.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::connection::{Answer, Connection};
use crate::server::{ACCOUNT, TOKEN};

/// An overlap that outlives every test.
pub(crate) const FAR_AWAY: &str = "2100-01-01T00:00:00Z";

/// A well-formed secret that nobody was given.
pub(crate) const STRANGE_SECRET: &str = "csst_0000000000000000000000000000000000000000963fbb8e";

/// A connection on which the root account manages its tokens.
pub(crate) struct Manager {
    connection: Connection,
}

/// A token that was made just now.
#[derive(Debug, Clone)]
pub(crate) struct Issued {
    pub(crate) id: String,
    pub(crate) client_id: String,
    pub(crate) secret: String,
}

/// A token as the list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) client_id: String,
    pub(crate) enabled: bool,
    pub(crate) version: u64,
    pub(crate) duration: String,
}

/// An entry of the audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) revision: u64,
    pub(crate) action: String,
    /// The token that it is about; none for an account.
    pub(crate) token: Option<String>,
    /// The account that it is about; none for a token.
    pub(crate) account: Option<String>,
    /// What became of which value.
    pub(crate) became: BTreeMap<String, String>,
}

/// Why an operation was not confirmed.
#[derive(Debug)]
pub(crate) enum Unconfirmed {
    /// Answered, and refused.
    Refused(Answer),
    /// Not answered: done or not.
    Lost,
}

impl From<io::Error> for Unconfirmed {
    fn from(_: io::Error) -> Self {
        Self::Lost
    }
}

impl Manager {
    /// Connects as the root account.
    pub(crate) fn connect(server: SocketAddr) -> Self {
        Self { connection: Connection::open(server).expect("a connection") }
    }

    /// Sends a request with the root token.
    pub(crate) fn ask(&mut self, method: &str, target: &str, body: &Value) -> io::Result<Answer> {
        self.ask_as(TOKEN, method, target, body)
    }

    /// Sends a request with another token.
    pub(crate) fn ask_as(
        &mut self,
        token: &str,
        method: &str,
        target: &str,
        body: &Value,
    ) -> io::Result<Answer> {
        let authorization = format!("Bearer {token}");
        let headers = [("authorization", &*authorization), ("content-type", "application/json")];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.connection.ask(method, target, &headers, body.as_bytes())
    }

    fn confirmed(&mut self, method: &str, target: &str, body: &Value) -> Result<Value, Unconfirmed> {
        self.confirmed_as(TOKEN, method, target, body).map(|mut answer| answer["result"].take())
    }

    /// With another token; gives all that was answered.
    pub(crate) fn confirmed_as(
        &mut self,
        token: &str,
        method: &str,
        target: &str,
        body: &Value,
    ) -> Result<Value, Unconfirmed> {
        let answer = self.ask_as(token, method, target, body)?;
        match answer.status {
            200..300 => Ok(answer.json()),
            // The server has waited for its disk for too long, and does not know either.
            408 => Err(Unconfirmed::Lost),
            _ => Err(Unconfirmed::Refused(answer)),
        }
    }

    /// Does what succeeds; gives what is answered.
    pub(crate) fn done(&mut self, method: &str, target: &str, body: Value) -> Value {
        let answer = self.ask(method, target, &body).expect("an answer");
        assert!(matches!(answer.status, 200 | 201), "{method} {target}: {answer:?}");
        answer.json()
    }

    pub(crate) fn issue(&mut self, name: &str) -> Result<Issued, Unconfirmed> {
        let result = self.confirmed("POST", &tokens(), &json!({ "name": name }))?;
        Ok(Issued {
            id: text(&result["id"]),
            client_id: text(&result["client_id"]),
            secret: text(&result["client_secret"]),
        })
    }

    /// Gives the new secret. The old one ends now, or far away.
    pub(crate) fn rotate(&mut self, id: &str, overlap: bool) -> Result<String, Unconfirmed> {
        let end = if overlap { json!({ "previous_client_secret_expires_at": FAR_AWAY }) } else { json!({}) };
        let result = self.confirmed("POST", &format!("{}/{id}/rotate", tokens()), &end)?;
        Ok(text(&result["client_secret"]))
    }

    pub(crate) fn set_enabled(&mut self, id: &str, enabled: bool) -> Result<(), Unconfirmed> {
        let target = format!("{}/{id}", tokens());
        self.confirmed("PUT", &target, &json!({ "enabled": enabled })).map(|_| ())
    }

    pub(crate) fn rename(&mut self, id: &str, name: &str) -> Result<(), Unconfirmed> {
        let target = format!("{}/{id}", tokens());
        self.confirmed("PUT", &target, &json!({ "name": name })).map(|_| ())
    }

    pub(crate) fn set_duration(&mut self, id: &str, duration: &str) -> Result<(), Unconfirmed> {
        let target = format!("{}/{id}", tokens());
        self.confirmed("PUT", &target, &json!({ "duration": duration })).map(|_| ())
    }

    pub(crate) fn refresh(&mut self, id: &str) -> Result<(), Unconfirmed> {
        self.confirmed("POST", &format!("{}/{id}/refresh", tokens()), &json!({})).map(|_| ())
    }

    pub(crate) fn revoke(&mut self, id: &str) -> Result<(), Unconfirmed> {
        self.confirmed("DELETE", &format!("{}/{id}", tokens()), &Value::Null).map(|_| ())
    }

    /// Every token of the account.
    pub(crate) fn list(&mut self) -> Vec<Listed> {
        let mut all = Vec::new();
        for page in 1.. {
            let target = format!("{}?page={page}", tokens());
            let answer = self.ask("GET", &target, &Value::Null).expect("an answer");
            assert_eq!(answer.status, 200, "{}", answer.text());
            let body = answer.json();
            let tokens = body["result"].as_array().expect("a page");
            if tokens.is_empty() {
                break;
            }
            all.extend(tokens.iter().map(listed));
        }
        all
    }

    /// The audit of the root account after this revision, oldest first.
    pub(crate) fn audit_after(&mut self, revision: u64) -> Vec<Entry> {
        self.audit_of(ACCOUNT, revision)
    }

    /// As [`Manager::audit_after`], of another account.
    pub(crate) fn audit_of(&mut self, account: &str, revision: u64) -> Vec<Entry> {
        let mut entries = Vec::new();
        let mut cursor = String::new();
        loop {
            let target = format!("/api/v1/audit?account={account}&limit=1000{cursor}");
            let answer = self.ask("GET", &target, &Value::Null).expect("an answer");
            assert_eq!(answer.status, 200, "{}", answer.text());
            let body = answer.json();
            entries.extend(body["entries"].as_array().expect("a page").iter().map(entry));
            let is_enough = entries.last().is_some_and(|entry| entry.revision <= revision);
            match body["next_cursor"].as_str() {
                Some(next) if !is_enough => cursor = format!("&cursor={next}"),
                _ => break,
            }
        }
        entries.retain(|entry| entry.revision > revision);
        entries.reverse();
        entries
    }

    /// The status of the door's answer to this credential.
    pub(crate) fn knock(&mut self, client_id: &str, secret: &str) -> u16 {
        let headers = [("cf-access-client-id", client_id), ("cf-access-client-secret", secret)];
        let answer = self.connection.ask("GET", "/authz", &headers, b"").expect("an answer of the door");
        answer.status
    }

    /// The status of the door's answer to this access token, where this is demanded.
    pub(crate) fn knock_with(&mut self, token: &str, demand: &str) -> u16 {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", &*bearer)];
        let answer = self.connection.ask("GET", &format!("/authz?{demand}"), &headers, b"");
        answer.expect("an answer of the door").status
    }

    /// Whether the door knows this client id: it then says that the secret is wrong.
    pub(crate) fn is_known_at_the_door(&mut self, client_id: &str) -> bool {
        let pair = json!({ "client_id": client_id, "client_secret": STRANGE_SECRET });
        let answer = self.ask("POST", "/api/v1/verify", &pair).expect("an answer");
        match answer.json()["reason"].as_str() {
            Some("wrong_secret") => true,
            Some("unknown") => false,
            _ => panic!("verify: {}", answer.text()),
        }
    }
}

/// Where service tokens are.
pub(crate) fn tokens() -> String {
    format!("/client/v4/accounts/{ACCOUNT}/access/service_tokens")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

fn listed(token: &Value) -> Listed {
    Listed {
        id: text(&token["id"]),
        name: text(&token["name"]),
        client_id: text(&token["client_id"]),
        enabled: token["enabled"].as_bool().expect("enabled"),
        version: token["client_secret_version"].as_u64().expect("client_secret_version"),
        duration: text(&token["duration"]),
    }
}

fn entry(entry: &Value) -> Entry {
    Entry {
        revision: entry["revision"].as_u64().expect("revision"),
        action: text(&entry["action"]),
        token: entry["subject"]["token"].as_str().map(str::to_owned),
        account: entry["subject"]["account"].as_str().map(str::to_owned),
        became: entry["changes"].as_array().expect("changes").iter().filter_map(became).collect(),
    }
}

fn became(change: &Value) -> Option<(String, String)> {
    Some((text(&change["field"]), change["to"].as_str()?.to_owned()))
}
