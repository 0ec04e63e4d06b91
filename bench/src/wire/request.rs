//! Requests of HTTP/1.1, rendered to bytes once.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{ROOT_ACCOUNT, ROOT_TOKEN, SCOPE};

/// The type of a form.
const FORM: &str = "application/x-www-form-urlencoded";

/// Asks the door about a service token.
pub(crate) fn verify(client_id: &str, secret: &str) -> Vec<u8> {
    format!(
        "GET /authz HTTP/1.1\r\nHost: bench\r\nCF-Access-Client-Id: {client_id}\r\n\
         CF-Access-Client-Secret: {secret}\r\n\r\n"
    )
    .into_bytes()
}

/// Asks the door about an access token, which must have a scope in an organization.
pub(crate) fn verify_access(organization: &str, text: &str) -> Vec<u8> {
    format!(
        "GET /authz?scope={SCOPE}&organization={organization} HTTP/1.1\r\nHost: bench\r\n\
         Authorization: Bearer {text}\r\n\r\n"
    )
    .into_bytes()
}

/// Asks the door about a short-lived token.
pub(crate) fn verify_signed(text: &str) -> Vec<u8> {
    format!("GET /authz HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {text}\r\n\r\n").into_bytes()
}

/// Exchanges a service token for a short-lived one.
pub(crate) fn exchange(client_id: &str, secret: &str) -> Vec<u8> {
    let client = STANDARD.encode(format!("{client_id}:{secret}"));
    post("/oauth2/token", &format!("Basic {client}"), FORM, "grant_type=client_credentials")
}

/// Asks the verify API about a service token, as root.
pub(crate) fn verify_by_request(client_id: &str, secret: &str) -> Vec<u8> {
    let body = format!(r#"{{"client_id":"{client_id}","client_secret":"{secret}"}}"#);
    post("/api/v1/verify", &format!("Bearer {ROOT_TOKEN}"), "application/json", &body)
}

/// Introspects a service token, as root.
pub(crate) fn introspect(client_id: &str, secret: &str) -> Vec<u8> {
    let body = format!("token={client_id}%3A{secret}");
    post("/oauth2/introspect", &format!("Bearer {ROOT_TOKEN}"), FORM, &body)
}

/// Asks npm's `oidc-provider` about a token, as the one client that it has.
pub(crate) fn introspect_oidc(token: &str) -> Vec<u8> {
    let client = STANDARD.encode("bench:bench-client-secret-that-guards-nothing");
    post("/token/introspection", &format!("Basic {client}"), FORM, &format!("token={token}"))
}

fn post(path: &str, authorization: &str, content_type: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: {authorization}\r\nContent-Type: {content_type}\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Asks for the account of an access token; LoopBack 3 understands the same.
pub(crate) fn authorized(text: &str) -> Vec<u8> {
    format!("GET /v1/Accounts/authorized HTTP/1.1\r\nHost: bench\r\nAuthorization: {text}\r\n\r\n")
        .into_bytes()
}

/// Logs in.
pub(crate) fn login(email: &str, password: &str) -> Vec<u8> {
    let body = format!(r#"{{"email":"{email}","password":"{password}"}}"#);
    let length = body.len();
    format!(
        "POST /v1/Accounts/login HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Lists the access tokens of an account, as root; `query` without its `?`.
pub(crate) fn list_access(account: &str, query: &str) -> Vec<u8> {
    format!(
        "GET /v1/Accounts/{account}/accessTokens?{query} HTTP/1.1\r\nHost: bench\r\n\
         Authorization: {ROOT_TOKEN}\r\n\r\n"
    )
    .into_bytes()
}

/// Creates a service token of this name.
pub(crate) fn create(name: &str) -> Vec<u8> {
    managed("POST", "", &format!(r#"{{"name":"{name}","duration":"8760h"}}"#))
}

/// Creates a service token of this name with every kind of limit, each so high that no load is refused: the highest rate
/// with the burst that comes with it, and the highest quota.
pub(crate) fn create_limited(name: &str) -> Vec<u8> {
    let limits =
        r#"{"rate":{"requests_per_second":100000},"quota":{"requests":1000000000000,"period":"month"}}"#;
    managed("POST", "", &format!(r#"{{"name":"{name}","duration":"8760h","limits":{limits}}}"#))
}

/// Gives the service token of this id a new secret; the old one ends at once.
pub(crate) fn rotate(id: &str) -> Vec<u8> {
    managed("POST", &format!("/{id}/rotate"), "{}")
}

/// Revokes the service token of this id.
pub(crate) fn revoke(id: &str) -> Vec<u8> {
    managed("DELETE", &format!("/{id}"), "")
}

/// Lists service tokens; `query` without its `?`.
pub(crate) fn list(query: &str) -> Vec<u8> {
    managed("GET", &format!("?{query}"), "")
}

/// A plain GET without credentials.
pub(crate) fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n").into_bytes()
}

/// A request to the management of service tokens, as root; `rest` follows the path of the collection.
fn managed(method: &str, rest: &str, body: &str) -> Vec<u8> {
    let typed = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
    let length = body.len();
    format!(
        "{method} /client/v4/accounts/{ROOT_ACCOUNT}/access/service_tokens{rest} HTTP/1.1\r\nHost: bench\r\n\
         Authorization: Bearer {ROOT_TOKEN}\r\n{typed}Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}
