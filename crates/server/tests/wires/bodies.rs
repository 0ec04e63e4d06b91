//! Bodies that are not what they should be: on every operation that takes one, an error in the wire's shape, and
//! nothing has changed.

use serde_json::json;

use crate::envelope::{failed, refusal};
use crate::harness::{Answer, World};

/// Largest body, in bytes (design 5, invariant 9).
const LARGEST: usize = 100 * 1024;

/// An object of exactly this many bytes.
fn object_of(length: usize) -> Vec<u8> {
    let (start, end) = (r#"{"name":"n","x":""#, r#""}"#);
    format!("{start}{}{end}", "y".repeat(length - start.len() - end.len())).into_bytes()
}

/// An object with arrays in it, so many levels deep in all.
fn nested(levels: usize) -> Vec<u8> {
    let (open, close) = ("[".repeat(levels - 1), "]".repeat(levels - 1));
    format!(r#"{{"name":"n","x":{open}{close}}}"#).into_bytes()
}

/// The four operations of the Cloudflare wire that read a body, each on the same token.
struct Bodies {
    world: World,
    one: String,
    operations: [(&'static str, String); 4],
}

impl Bodies {
    async fn new() -> Self {
        let world = World::new().await;
        let token = world.service_token(json!({"name": "there", "duration": "1h"})).await;
        let one = format!("{}/{}", world.service_tokens(), token.id);
        let operations = [
            ("POST", world.service_tokens()),
            ("PUT", one.clone()),
            ("POST", format!("{one}/rotate")),
            ("POST", format!("{one}/refresh")),
        ];
        Self { world, one, operations }
    }

    async fn send(&self, operation: &(&str, String), body: Vec<u8>) -> Answer {
        let (method, path) = operation;
        self.world.call(method, path).bearer(&self.world.root).body(body).send().await
    }

    async fn token(&self) -> String {
        self.world.get(&self.one).bearer(&self.world.root).send().await.body
    }

    /// Sends a body with each of the four; each must be refused like this and leave everything as it was.
    async fn assert_refused(&self, body: &[u8], expected: (u16, u64, &str)) {
        let (token, stored) = (self.token().await, self.world.stored().await);
        for operation in &self.operations {
            let answer = self.send(operation, body.to_vec()).await;
            let (status, code, pointer) = expected;
            let shown = String::from_utf8_lossy(&body[..body.len().min(60)]);
            assert_eq!(refusal(&answer), (status, code, pointer.into()), "{operation:?} {shown}");
            assert_eq!(self.token().await, token, "{operation:?} {shown}");
        }
        assert_eq!(self.world.stored().await, stored);
    }
}

#[tokio::test]
async fn what_is_no_json_changes_no_token() {
    let bodies = Bodies::new().await;
    for body in ["{", "{}x", "{} {}", "{'name':'n'}", "\u{0}", "{\"name\":\"n\",}", "nul"] {
        bodies.assert_refused(body.as_bytes(), (400, 6007, "")).await;
    }
    for body in ["[]", "null", "5", r#""x""#, "true"] {
        bodies.assert_refused(body.as_bytes(), (400, 6007, "")).await;
    }
    for body in [&b"{\"name\":\"\xff\"}"[..], b"\xff", b"\xef\xbb\xbf{}", b"{\"\xc3\x28\":1}"] {
        bodies.assert_refused(body, (400, 6007, "")).await;
    }
}

/// A parser that takes the first and one that takes the last of two keys would each see another request.
#[tokio::test]
async fn a_key_given_twice_changes_no_token() {
    let bodies = Bodies::new().await;
    bodies.assert_refused(br#"{"name":"a","name":"b"}"#, (400, 12130, "/name")).await;
    bodies.assert_refused(br#"{"name":"a","x":[{"y":1,"y":1}]}"#, (400, 12130, "/x/0/y")).await;
}

#[tokio::test]
async fn what_is_too_deep_changes_no_token() {
    let bodies = Bodies::new().await;
    for levels in [33, 40, 5_000] {
        bodies.assert_refused(&nested(levels), (400, 6007, "")).await;
    }
    for operation in &bodies.operations {
        assert!(bodies.send(operation, nested(32)).await.status.is_success(), "{operation:?}");
    }
}

#[tokio::test]
async fn what_is_too_large_changes_no_token() {
    let bodies = Bodies::new().await;
    for body in [object_of(LARGEST + 1), object_of(1_000_000), vec![b' '; LARGEST + 1]] {
        bodies.assert_refused(&body, (413, 12130, "")).await;
    }
    for operation in &bodies.operations {
        assert!(bodies.send(operation, object_of(LARGEST)).await.status.is_success(), "{operation:?}");
    }
}

/// Of a rotation the wrong deadline matters most: taken for none, it would end the secret that is in use.
#[tokio::test]
async fn a_wrong_deadline_rotates_nothing() {
    let bodies = Bodies::new().await;
    let [_, _, rotate, _] = &bodies.operations;
    let (token, stored) = (bodies.token().await, bodies.world.stored().await);
    let text = "must be an RFC 3339 date-time such as `2030-01-01T00:00:00Z`";
    for (deadline, reason) in [
        (r#""tomorrow""#, text),
        (r#""""#, text),
        (r#""2030-01-01""#, text),
        (r#""2030-01-01T00:00:00""#, text),
        (r#""2030-13-01T00:00:00Z""#, text),
        (r#""1893456000""#, text),
        ("1893456000", "must be a string"),
        ("true", "must be a string"),
        ("[]", "must be a string"),
        ("{}", "must be a string"),
    ] {
        let body = format!(r#"{{"previous_client_secret_expires_at":{deadline}}}"#);
        let answer = bodies.send(rotate, body.into()).await;
        let pointer = "/previous_client_secret_expires_at";
        assert_eq!(refusal(&answer), (400, 12130, pointer.into()), "{deadline}");
        let message =
            format!("access.api.error.invalid_request: previous_client_secret_expires_at: {reason}");
        assert_eq!(failed(&answer, 400)["message"], json!(message));
        assert_eq!(bodies.token().await, token, "{deadline}");
    }
    assert_eq!(bodies.world.stored().await, stored);
}

#[tokio::test]
async fn what_is_not_utf_8_is_refused_on_the_other_wires() {
    let world = World::new().await;
    let before = world.stored().await;
    for body in [&b"{\"ttl\":60,\"x\":\"\xff\"}"[..], b"\xff\xfe", b"{\"\xc3\x28\":1}"] {
        let call = world.post(&world.access_tokens()).bearer(&world.root);
        let answer = call.header("content-type", "application/json").body(body.to_vec()).send().await;
        answer.assert_loopback(400, "SyntaxError", "not UTF-8");
        let answer = world.post("/api/v1/verify").bearer(&world.root).body(body.to_vec()).send().await;
        let detail = "the body is not JSON: not UTF-8";
        answer.assert(
            400,
            json!({"type": "about:blank", "title": "Bad Request", "status": 400, "detail": detail}),
        );
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
    assert_eq!(world.stored().await, before);
}
