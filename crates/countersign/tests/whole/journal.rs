//! Everything that was answered, and every secret that was shown or presented: to look for the one in the other.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::Output;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::connection::{Answer, Connection};
use crate::manager::tokens;
use crate::server::{err, out};

/// Characters of an access token that everybody may see, and of all that are not its checksum.
const HANDLE: usize = 22;
const ACCESS_BODY: usize = 58;
const ACCESS_TEXT: usize = 64;
/// Characters of a service token's secret that are random, and of its checksum.
const SERVICE_BODY: usize = 40;
const SERVICE_CHECKSUM: usize = 8;

/// A service token as it was issued.
pub(crate) struct ServiceToken {
    pub(crate) id: String,
    pub(crate) client_id: String,
    pub(crate) secret: String,
}

/// What happened, in order.
pub(crate) struct Journal {
    server: SocketAddr,
    root: String,
    answers: Vec<Recorded>,
    secrets: Vec<Secret>,
    /// Method and path of what succeeded.
    done: BTreeSet<(String, String)>,
    /// How many accounts [`Journal::make_somebody`] has made.
    somebodies: usize,
}

/// An answer, and to what.
struct Recorded {
    question: String,
    text: String,
}

/// A text that must not be seen.
struct Secret {
    /// It, or the part of it that would give it away, or another spelling.
    text: String,
    /// The place of the one answer that may show it.
    shown_in: Option<usize>,
}

/// What a command printed on standard output.
pub(crate) struct Printed {
    text: String,
    /// Its place among the answers.
    place: usize,
}

impl Journal {
    /// An empty one.
    pub(crate) fn begin(server: SocketAddr, root: &str) -> Self {
        let (answers, secrets, done) = (Vec::new(), Vec::new(), BTreeSet::new());
        let mut journal = Self { server, root: root.to_owned(), answers, secrets, done, somebodies: 0 };
        journal.keep(root, None);
        journal
    }

    /// The root token.
    pub(crate) fn root(&self) -> &str {
        &self.root
    }

    /// Sends a request and notes what is answered.
    pub(crate) fn ask(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let question = format!("{method} {target} {headers:?} {body}");
        let asked =
            Connection::open(self.server).and_then(|mut c| c.ask(method, target, headers, body.as_bytes()));
        let answer = asked.unwrap_or_else(|error| panic!("{question}: {error}"));
        self.answers.push(Recorded { question, text: format!("{}{}", answer.head, answer.text()) });
        if matches!(answer.status, 200..300) {
            let path = target.split('?').next().unwrap_or_default();
            self.done.insert((method.to_owned(), path.to_owned()));
        }
        answer
    }

    /// Method and path of what has succeeded.
    pub(crate) fn done(&self) -> impl Iterator<Item = &(String, String)> {
        self.done.iter()
    }

    /// The same with the root token.
    pub(crate) fn ask_as_root(&mut self, method: &str, target: &str, body: &str) -> Answer {
        self.ask_as(&self.root.clone(), method, target, body)
    }

    /// The same with another token.
    pub(crate) fn ask_as(&mut self, token: &str, method: &str, target: &str, body: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        self.ask(method, target, &[("authorization", &*bearer), ("content-type", "application/json")], body)
    }

    /// An operation that succeeds.
    pub(crate) fn manage(&mut self, method: &str, target: &str, body: Value) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = self.ask_as_root(method, target, &body);
        assert!(matches!(answer.status, 200 | 201), "{method} {target}: {answer:?}");
        answer.json()
    }

    /// An operation on a service token whose answer shows a new secret.
    pub(crate) fn manage_secret(&mut self, method: &str, target: &str, body: Value) -> ServiceToken {
        let result = self.manage(method, target, body)["result"].take();
        let text =
            |field: &str| result[field].as_str().unwrap_or_else(|| panic!("{field}: {result}")).to_owned();
        let token =
            ServiceToken { id: text("id"), client_id: text("client_id"), secret: text("client_secret") };
        self.shown(&token.secret);
        token
    }

    /// A rotation by a client that did not get the answer to the one before.
    pub(crate) fn repeat_rotation(&mut self, target: &str) {
        let bearer = format!("Bearer {}", self.root);
        let answer =
            self.ask("POST", target, &[("authorization", &*bearer), ("x-stainless-retry-count", "1")], "");
        let secret = answer.json()["result"]["client_secret"].as_str().expect("a secret").to_owned();
        self.shown(&secret);
    }

    /// A new service token.
    pub(crate) fn issue_service_token(&mut self, name: &str) -> ServiceToken {
        self.manage_secret("POST", &tokens(), json!({ "name": name }))
    }

    /// The text of a signed token.
    pub(crate) fn exchange(&mut self, service: &ServiceToken) -> String {
        let basic = format!("Basic {}", STANDARD.encode(format!("{}:{}", service.client_id, service.secret)));
        let headers = [("authorization", &*basic), ("content-type", "application/x-www-form-urlencoded")];
        let answer = self.ask("POST", "/oauth2/token", &headers, "grant_type=client_credentials");
        let text = answer.json()["access_token"].as_str().expect("a text").to_owned();
        self.shown(&text);
        text
    }

    /// What a door asserts to this application.
    pub(crate) fn have_asserted(&mut self, service: &ServiceToken, audience: &str) -> String {
        let pair =
            [("cf-access-client-id", &*service.client_id), ("cf-access-client-secret", &service.secret)];
        let answer = self.ask("GET", &format!("/authz?assertion={audience}"), &pair, "");
        let text = answer.header("cf-access-jwt-assertion").expect("an assertion").to_owned();
        self.shown(&text);
        text
    }

    /// The text of a new access token.
    pub(crate) fn issue_access_token(&mut self, body: Value) -> String {
        self.obtain("/v1/Accounts/me/accessTokens", body)
    }

    /// The text of a new access token, wherever one is to be had.
    pub(crate) fn obtain(&mut self, target: &str, body: Value) -> String {
        let answer = self.manage("POST", target, body);
        let text = answer["id"].as_str().expect("a text").to_owned();
        self.shown(&text);
        text
    }

    /// A new account and a token of its own.
    pub(crate) fn make_somebody(&mut self) -> (String, String) {
        self.somebodies += 1;
        let email = format!("somebody-{}@example.com", self.somebodies);
        let account = self.manage("POST", "/v1/Accounts", json!({ "email": email, "password": null }));
        let id = account["id"].as_str().expect("an id").to_owned();
        let token = self.obtain(&format!("/v1/Accounts/{id}/accessTokens"), json!({}));
        (id, token)
    }

    /// A secret that is about to be presented and never shown.
    pub(crate) fn present(&mut self, secret: &str) {
        self.keep(secret, None);
    }

    /// A header value whose coded form must not be seen either.
    pub(crate) fn basic(&mut self, user: &str, password: &str) -> String {
        let coded = STANDARD.encode(format!("{user}:{password}"));
        self.secrets.push(Secret { text: coded.clone(), shown_in: None });
        format!("Basic {coded}")
    }

    /// Notes what a command printed.
    pub(crate) fn note_output(&mut self, question: &str, output: &Output) -> Printed {
        let text = out(output);
        self.answers.push(Recorded { question: format!("{question}: errors"), text: err(output) });
        self.answers.push(Recorded { question: question.to_owned(), text: text.clone() });
        Printed { text, place: self.answers.len() - 1 }
    }

    /// The secret that is all of what a command printed.
    pub(crate) fn only_secret(&mut self, printed: &Printed) -> String {
        let secret = printed.text.trim_end();
        assert!(!secret.is_empty() && !secret.contains(char::is_whitespace), "{secret}");
        self.keep(secret, Some(printed.place));
        secret.to_owned()
    }

    /// What a command printed, with a secret in this field.
    pub(crate) fn json_with_secret(&mut self, printed: &Printed, field: &str) -> Value {
        let json: Value = serde_json::from_str(&printed.text).expect("JSON on standard output");
        self.keep(json[field].as_str().expect("a secret"), Some(printed.place));
        json
    }

    /// The last answer, and it alone, may show this.
    fn shown(&mut self, text: &str) {
        let place = self.answers.len() - 1;
        let head = &self.answers[place].text;
        assert!(
            head.contains("cache-control: no-store"),
            "{}: may be kept on the way",
            self.answers[place].question
        );
        self.keep(text, Some(place));
    }

    fn keep(&mut self, text: &str, shown_in: Option<usize>) {
        let revealing = if text.starts_with("csst_") {
            let end = text.len() - SERVICE_CHECKSUM;
            &text[end - SERVICE_BODY..end]
        } else if text.len() == ACCESS_TEXT {
            &text[HANDLE..ACCESS_BODY]
        } else if let Some((_, signature)) = text.strip_prefix("eyJ").and_then(|rest| rest.rsplit_once('.')) {
            signature
        } else {
            text
        };
        self.secrets.push(Secret { text: revealing.to_owned(), shown_in });
    }

    /// Fails when a secret is in a text that shows none.
    pub(crate) fn check(&self, place: &str, text: &str) {
        for secret in &self.secrets {
            assert!(!text.contains(&secret.text), "{place} has a secret: {}", around(text, &secret.text));
        }
    }

    /// Fails when a secret is in an answer that does not show it.
    pub(crate) fn check_answers(&self) {
        let mut leaks = Vec::new();
        for (place, Recorded { question, text }) in self.answers.iter().enumerate() {
            let hidden = |secret: &&Secret| secret.shown_in != Some(place);
            if self.secrets.iter().filter(hidden).any(|secret| text.contains(&secret.text)) {
                leaks.push(format!("{question}\n{text}"));
            }
        }
        let many = leaks.len();
        assert!(leaks.is_empty(), "{many} answers have a secret, such as\n{}", leaks[0]);
        for Secret { text, shown_in } in &self.secrets {
            let is_there = |place: usize| self.answers[place].text.contains(text);
            assert!(shown_in.is_none_or(is_there), "a secret was not where it was shown");
        }
    }
}

/// What stands around a part of a text.
fn around(text: &str, part: &str) -> String {
    let before = text.split(part).next().unwrap_or_default();
    before.chars().rev().take(300).collect::<Vec<_>>().into_iter().rev().chain(part.chars()).collect()
}
