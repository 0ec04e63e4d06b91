//! Speaking HTTP to a running server. The token is never on the command line, in a URL, or in an error.

use std::io;
use std::net::IpAddr;
use std::str::FromStr as _;
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_domain::id::{AccountId, ClientId};
use countersign_domain::secret::Secret;
use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::http::{self, Method, Request, StatusCode, Uri};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Proxy};
use zeroize::Zeroizing;

use crate::environment::{Lookup, find_secret};
use crate::failure::Failure;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a request may take in all; the server's own deadline is shorter.
const REQUEST: Duration = Duration::from_secs(60);
/// Largest answer that is read: a page of 1,000 tokens is well below.
const LARGEST_ANSWER: u64 = 64 * 1024 * 1024;

/// Which server to speak to. The token comes from COUNTERSIGN_TOKEN, or from the file that COUNTERSIGN_TOKEN_FILE
/// names: on a command line every user of the machine could read it.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Server")]
pub(crate) struct ServerArgs {
    /// Base URL of the server. The token comes from COUNTERSIGN_TOKEN or the file named by COUNTERSIGN_TOKEN_FILE
    #[arg(long, value_name = "URL", env = "COUNTERSIGN_URL", default_value = "http://127.0.0.1:8787")]
    url: String,
}

/// A server and the token to speak to it with.
pub(crate) struct Client {
    agent: Agent,
    /// Without a slash at the end.
    base: String,
    /// The value of `Authorization`, when there is one.
    authorization: Option<Secret>,
}

/// What is sent.
struct Body {
    content_type: &'static str,
    text: String,
}

impl Body {
    fn json(value: &Value) -> Self {
        Self { content_type: "application/json", text: value.to_string() }
    }
}

/// A successful answer.
pub(crate) struct Answer {
    headers: http::HeaderMap,
    /// The whole body.
    pub(crate) body: Value,
}

impl Answer {
    /// The number in a header.
    pub(crate) fn number_in(&self, header: &str) -> Option<u64> {
        self.headers.get(header)?.to_str().ok()?.parse().ok()
    }
}

impl Client {
    /// Reads the token from the environment and gets ready; nothing is sent yet.
    pub(crate) fn new(args: &ServerArgs, lookup: Lookup<'_>) -> Result<Self, Failure> {
        let token = find_secret(lookup, "COUNTERSIGN_TOKEN")?.ok_or_else(|| {
            Failure::Usage(
                "COUNTERSIGN_TOKEN is not set; it has to hold an access token of the server".to_owned(),
            )
        })?;
        Self::with(args, Some(Secret::from_operator(format!("Bearer {}", token.reveal()))))
    }

    /// For what a service token does by itself: its client id and secret, each as the body of a form would have it (RFC 6749,
    /// 2.3.1), which changes neither.
    pub(crate) fn of_service_token(
        args: &ServerArgs,
        client_id: ClientId,
        secret: &Secret,
    ) -> Result<Self, Failure> {
        let pair = Zeroizing::new(format!("{client_id}:{}", secret.reveal()));
        Self::with(args, Some(Secret::from_operator(format!("Basic {}", STANDARD.encode(pair.as_bytes())))))
    }

    /// For what everybody may know.
    pub(crate) fn of_nobody(args: &ServerArgs) -> Result<Self, Failure> {
        Self::with(args, None)
    }

    fn with(args: &ServerArgs, authorization: Option<Secret>) -> Result<Self, Failure> {
        let uri = Uri::from_str(&args.url).ok().filter(is_base).ok_or_else(|| {
            Failure::Usage(
                "--url (COUNTERSIGN_URL) must be a URL such as https://tokens.example.com".to_owned(),
            )
        })?;
        // Fails only when a provider is installed already, which is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            .user_agent(concat!("countersign/", env!("CARGO_PKG_VERSION")))
            .accept("application/json")
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(REQUEST))
            // A redirect would carry the token to a place that nobody named.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .proxy(if is_loopback(&uri) { None } else { Proxy::try_from_env() })
            .build()
            .new_agent();
        Ok(Self { agent, base: args.url.trim_end_matches('/').to_owned(), authorization })
    }

    /// Asks for something.
    pub(crate) fn get(&self, path: &str) -> Result<Answer, Failure> {
        self.call(Method::GET, path, None)
    }

    /// Sends something to be done.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Answer, Failure> {
        self.call(Method::POST, path, Some(Body::json(body)))
    }

    /// Sends what is to be changed.
    pub(crate) fn put(&self, path: &str, body: &Value) -> Result<Answer, Failure> {
        self.call(Method::PUT, path, Some(Body::json(body)))
    }

    /// Sends a form.
    pub(crate) fn post_form(&self, path: &str, form: String) -> Result<Answer, Failure> {
        let content_type = "application/x-www-form-urlencoded";
        self.call(Method::POST, path, Some(Body { content_type, text: form }))
    }

    /// Ends something.
    pub(crate) fn delete(&self, path: &str) -> Result<Answer, Failure> {
        self.call(Method::DELETE, path, None)
    }

    /// The account that was named, or else the token's own.
    pub(crate) fn account(&self, named: Option<AccountId>) -> Result<AccountId, Failure> {
        if let Some(account) = named {
            return Ok(account);
        }
        #[derive(serde::Deserialize)]
        struct Itself {
            account: String,
        }
        let itself: Itself = read(self.get("/api/v1/self")?.body)?;
        let account = itself.account.parse();
        account.map_err(|_| Failure::Unanswered("the server names an account id that is none".to_owned()))
    }

    fn call(&self, method: Method, path: &str, body: Option<Body>) -> Result<Answer, Failure> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization.reveal());
        }
        let unfit = "the credential cannot be sent in a header";
        let sent = match body {
            Some(Body { content_type, text }) => {
                let request = request.header("content-type", content_type).body(text);
                self.agent.run(request.context(unfit)?)
            }
            None => self.agent.run(request.body(()).context(unfit)?),
        };
        let mut response = sent.map_err(|error| self.unreachable(&error))?;
        let read = response.body_mut().with_config().limit(LARGEST_ANSWER).read_to_vec();
        let body = read.map_err(|error| self.unreachable(&error))?;
        self.judge(response.status(), response.headers(), &body)
    }

    fn judge(&self, status: StatusCode, headers: &http::HeaderMap, body: &[u8]) -> Result<Answer, Failure> {
        let body: Option<Value> = serde_json::from_slice(body).ok();
        if status.is_success() {
            let body =
                body.ok_or_else(|| Failure::Unanswered(format!("{} does not speak JSON", self.base)))?;
            return Ok(Answer { headers: headers.clone(), body });
        }
        if status.is_redirection() {
            let target =
                headers.get("location").and_then(|location| location.to_str().ok()).unwrap_or("elsewhere");
            return Err(Failure::Unanswered(format!(
                "{} redirects to {target}, and redirects are not followed; name the right place in COUNTERSIGN_URL",
                self.base
            )));
        }
        let mut lines = body.as_ref().map(faults).unwrap_or_default();
        if lines.is_empty() {
            lines.push(format!("{} answered {status}", self.base));
        }
        if status.is_client_error() {
            return Err(Failure::Refused(lines));
        }
        let request_id = headers.get("x-request-id").and_then(|id| id.to_str().ok());
        let in_its_log = request_id.map(|id| format!(" (request {id} in its log)")).unwrap_or_default();
        Err(Failure::Unanswered(format!("the server failed: {}{in_its_log}", lines.join("; "))))
    }

    /// The errors of the library name hosts and system errors, never headers.
    fn unreachable(&self, error: &ureq::Error) -> Failure {
        let hint = match error {
            ureq::Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                "; is the server running? COUNTERSIGN_URL says where"
            }
            _ => "",
        };
        Failure::Unanswered(format!("cannot reach {}: {error}{hint}", self.base))
    }
}

/// `value` as what the server was asked for.
pub(crate) fn read<T: DeserializeOwned>(value: Value) -> Result<T, Failure> {
    serde_json::from_value(value).map_err(|error| {
        Failure::Unanswered(format!("the server's answer is not what this version expects: {error}"))
    })
}

/// What the server says is wrong, in any of its four error shapes, one line for each fault.
fn faults(body: &Value) -> Vec<String> {
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    if let Some(errors) = body.get("errors").and_then(Value::as_array).filter(|errors| !errors.is_empty()) {
        return errors.iter().filter_map(|error| text(error, "message")).map(|m| without_code(&m)).collect();
    }
    if let Some(messages) = body.pointer("/error/details/messages").and_then(Value::as_object) {
        return messages.iter().flat_map(|(property, reasons)| named(property, reasons)).collect();
    }
    if let (Some(error), Some(description)) = (text(body, "error"), text(body, "error_description")) {
        return vec![format!("{error}: {description}")];
    }
    if let Some(error) = body.get("error") {
        return text(error, "message").or_else(|| error.as_str().map(str::to_owned)).into_iter().collect();
    }
    let (title, detail) = (text(body, "title"), text(body, "detail"));
    detail.or(title).into_iter().collect()
}

/// What is wrong with one property: `password: must have at least 8 characters`.
fn named(property: &str, reasons: &Value) -> Vec<String> {
    let reasons = reasons.as_array().into_iter().flatten().filter_map(Value::as_str);
    reasons.map(|reason| format!("{property}: {reason}")).collect()
}

/// `access.api.error.invalid_request: duration: must not be empty` without the code: it says nothing to a person that
/// the rest does not.
fn without_code(message: &str) -> String {
    let rest = message.strip_prefix("access.api.error.");
    rest.and_then(|rest| Some(rest.split_once(": ")?.1)).or(rest).unwrap_or(message).to_owned()
}

fn is_base(uri: &Uri) -> bool {
    let authority_is_plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    matches!(uri.scheme_str(), Some("http" | "https")) && authority_is_plain && uri.query().is_none()
}

/// A proxy has no way to this machine.
fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::environment::tests::of;

    const TOKEN: &str = "a-token-that-must-never-be-printed-0123456789";

    fn client(url: &str) -> Result<Client, Failure> {
        Client::new(&ServerArgs { url: url.to_owned() }, &of(&[("COUNTERSIGN_TOKEN", TOKEN)]))
    }

    #[test]
    fn faults_of_every_wire_are_lines() {
        let envelope = json!({"success": false, "errors": [
            {"code": 12130, "message": "access.api.error.invalid_request: duration: must not be empty"},
            {"code": 12135, "message": "access.api.error.service_token_not_found"},
            {"code": 10000, "message": "Authentication error"},
        ]});
        assert_eq!(
            faults(&envelope),
            ["duration: must not be empty", "service_token_not_found", "Authentication error"]
        );
        assert_eq!(
            faults(&json!({"error": {"statusCode": 401, "message": "Authorization Required"}})),
            ["Authorization Required"]
        );
        let invalid = json!({"error": {"statusCode": 422, "message": "The `Account` instance is not valid. Details: …",
            "details": {"messages": {"email": ["is invalid"], "password": ["can't be blank"]}}}});
        assert_eq!(faults(&invalid), ["email: is invalid", "password: can't be blank"]);
        assert_eq!(
            faults(&json!({"title": "Bad Request", "detail": "limit: must be a number"})),
            ["limit: must be a number"]
        );
        assert!(faults(&json!([])).is_empty());
    }

    #[test]
    fn only_plain_urls_are_taken() {
        for url in ["ftp://a", "127.0.0.1:8787", "http://user:pw@host", "http://host?x=1", ""] {
            assert!(matches!(client(url), Err(Failure::Usage(_))), "{url}");
        }
        assert!(client("https://tokens.example.com/base/").is_ok_and(|c| c.base.ends_with("/base")));
    }

    #[test]
    fn answers_decide_how_a_command_ends() -> Result<(), Failure> {
        let client = client("http://127.0.0.1:1")?;
        let none = http::HeaderMap::new();
        let judge = |status: u16, body: &[u8]| {
            client
                .judge(StatusCode::from_u16(status).unwrap_or_default(), &none, body)
                .map(|answer| answer.body)
        };
        assert!(judge(200, b"{}").is_ok());
        assert!(matches!(judge(200, b"<html>"), Err(Failure::Unanswered(_))));
        assert!(matches!(judge(302, b""), Err(Failure::Unanswered(_))));
        assert!(matches!(judge(404, b""), Err(Failure::Refused(_))));
        assert!(matches!(judge(503, b"{}"), Err(Failure::Unanswered(_))));
        Ok(())
    }

    #[test]
    fn the_token_is_in_no_failure() -> Result<(), Failure> {
        // Port 1 is never listened on here.
        let refused = client("http://127.0.0.1:1")?.get("/api/v1/self").map(|_| ());
        let said = format!("{refused:?}");
        assert!(said.contains("is the server running?"), "{said}");
        assert!(!said.contains(TOKEN));

        let unfit = "no header can\nhold this";
        let variables = [("COUNTERSIGN_TOKEN", unfit)];
        let lookup = of(&variables);
        let client = Client::new(&ServerArgs { url: "http://127.0.0.1:1".to_owned() }, &lookup)?;
        let said = format!("{:?}", client.get("/").map(|_| ()));
        assert!(!said.contains("hold this"), "{said}");
        Ok(())
    }

    #[test]
    fn proxies_are_left_out_for_this_machine() {
        let is = |url: &str| Uri::from_str(url).is_ok_and(|uri| is_loopback(&uri));
        assert!(is("http://127.0.0.1:8787") && is("http://[::1]:8787") && is("http://localhost"));
        assert!(!is("https://tokens.example.com"));
    }
}
