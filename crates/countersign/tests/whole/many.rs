//! Many servers over one database.

use std::path::Path;
use std::time::{Duration, Instant};

use countersign_postgres_cluster::{Cluster, Stop};
use serde_json::{Value, json};

use crate::manager::tokens;
use crate::moving::{Shelf, about, run};
use crate::server::{Data, Launch, Server, TOKEN, err, key_file};

/// Time for what happens by itself, on a slow machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A service token.
pub(crate) struct Token {
    id: String,
    pub(crate) client_id: String,
    pub(crate) secret: String,
}

impl Token {
    pub(crate) fn issue(server: &Server) -> Self {
        let (status, answer) = server.call("POST", &tokens(), TOKEN, Some(&json!({"name": "shared"})));
        assert_eq!(status, 201, "{answer}");
        let text = |field: &str| answer["result"][field].as_str().expect("a text").to_owned();
        Self { id: text("id"), client_id: text("client_id"), secret: text("client_secret") }
    }

    pub(crate) fn opens(&self, server: &Server) -> bool {
        server.opens(&self.client_id, &self.secret)
    }

    /// Whether there is a JWT for it.
    fn is_exchanged(&self, server: &Server) -> bool {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", &self.client_id),
            ("client_secret", &self.secret),
        ];
        ureq::post(server.url("/oauth2/token")).send_form(form).is_ok()
    }

    pub(crate) fn revoke(&self, server: &Server) {
        let (status, answer) = server.call("DELETE", &format!("{}/{}", tokens(), self.id), TOKEN, None);
        assert_eq!(status, 200, "{answer}");
    }
}

/// Waits until something is so, that has to happen by itself.
pub(crate) fn until(is_so: impl Fn() -> bool, otherwise: impl Fn() -> String) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{}", otherwise());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn any_node_issues_and_any_node_verifies() {
    let data = Data::shared();
    let (a, b) = (Server::start(&data), Server::start(&data));
    let token = Token::issue(&a);
    until(|| token.opens(&b), || b.log());
    let issued = Instant::now();
    token.revoke(&a);
    assert!(!token.opens(&a), "refused at once where it was revoked");
    until(|| !token.opens(&b), || b.log());
    assert!(issued.elapsed() < Duration::from_secs(2), "{:?}", issued.elapsed());
    assert!(a.stop().status.success() && b.stop().status.success());
}

/// Nodes that start together on an empty database agree on one root.
#[test]
fn nodes_that_start_together_make_one_root() {
    let data = Data::shared();
    let others: Vec<Data> = (0..3).map(|_| Data::embedded()).collect();
    let url = data.database().expect("a database").url();
    let start = |own: &Data| Launch::bare(own).env("COUNTERSIGN_DATABASE_URL", &url).start();
    let nodes: Vec<Server> = std::thread::scope(|scope| {
        let starting: Vec<_> = others.iter().map(|own| scope.spawn(move || start(own))).collect();
        starting.into_iter().map(|node| node.join().expect("a node")).collect()
    });
    let kept: Vec<String> =
        others.iter().filter_map(|own| std::fs::read_to_string(own.path().join("root-token")).ok()).collect();
    assert_eq!(kept.len(), 1, "one node has made the token, and has it in its file");
    for node in &nodes {
        until(|| node.call("GET", "/api/v1/self", kept[0].trim_end(), None).0 == 200, || node.log());
    }
}

/// With the database gone, changes stop at once and doors when the lease lapses; all goes on within 5 s of its return.
#[test]
fn without_the_database_nothing_changes_and_nothing_old_is_granted() {
    let (mut cluster, data) = (Cluster::start(&[]).expect("a cluster"), Data::embedded());
    let a = Launch::new(&data).env("COUNTERSIGN_DATABASE_URL", cluster.url()).start();
    let stale = Launch::new(&data)
        .env("COUNTERSIGN_DATABASE_URL", cluster.url())
        .env("COUNTERSIGN_STORE_SERVE_STALE_FOR", "1h")
        .start();
    let token = Token::issue(&a);
    until(|| token.opens(&stale) && token.is_exchanged(&stale), || stale.log());
    cluster.stop(Stop::Immediate).expect("it runs");

    let (status, answer) = a.call("POST", &tokens(), TOKEN, Some(&json!({"name": "never"})));
    assert_eq!(status, 503, "{answer}");
    until(|| a.call("GET", "/readyz", "", None) == (503, unavailable("lease_lapsed")), || a.log());
    assert!(!token.opens(&a));
    let (status, answer) = a.get("/api/v1/self");
    assert_eq!(status, 503, "{answer}");
    let was_stale = || {
        stale.call("GET", "/readyz", "", None) == (200, json!({"status": "stale", "reason": "lease_lapsed"}))
    };
    until(was_stale, || stale.log());
    assert!(token.opens(&stale), "as the operator wishes");
    assert!(
        !token.is_exchanged(&stale),
        "no service that checks by itself would hear that it was revoked elsewhere"
    );
    until(|| stale.log().contains("the lease has lapsed; doors go on with what was known"), || stale.log());
    until(|| a.log().contains("the lease has lapsed; everything is refused"), || a.log());

    cluster.resume().expect("it comes back");
    let back = Instant::now();
    until(|| token.opens(&a) && a.get("/readyz").0 == 200, || a.log());
    until(|| token.is_exchanged(&stale), || stale.log());
    token.revoke(&a);
    until(|| !token.opens(&stale), || stale.log());
    assert!(back.elapsed() < Duration::from_secs(5), "{:?}", back.elapsed());
}

/// Where nobody has what the keys are kept under, there is a way on: with others.
#[test]
fn keys_that_nobody_can_open_are_reset() {
    let data = Data::shared();
    let server = Server::start(&data);
    let token = Token::issue(&server);
    until(|| token.is_exchanged(&server), || server.log());
    server.stop();
    let shelf = Shelf::new();
    let other = shelf.file("other.key");
    std::fs::write(&other, "ISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+P0A=\n").expect("room for a key");
    let launch = || Launch::new(&data).env("COUNTERSIGN_KEY_FILE", &other);
    let failed = launch().fail();
    assert!(err(&failed).contains("`countersign keys reset`"), "{}", err(&failed));

    let reset = |key: &Path| {
        let mut command = about(&data.path(), &["keys", "reset"]);
        command.env("COUNTERSIGN_DATABASE_URL", data.database().expect("a database").url());
        run(command.env("COUNTERSIGN_KEY_FILE", key))
    };
    let running = Server::start(&data);
    let refused = err(&reset(&other));
    assert!(refused.contains("servers that use the database: 1; stop every one"), "{refused}");
    running.stop();
    assert!(err(&reset(key_file())).contains("nothing was removed"));
    assert!(err(&reset(&other)).contains("does not open them: 1."));
    let server = launch().start();
    assert!(token.opens(&server) && token.is_exchanged(&server), "{}", server.log());
}

fn unavailable(reason: &str) -> Value {
    json!({"status": "unavailable", "reason": reason})
}
