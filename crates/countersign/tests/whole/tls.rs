//! TLS of the listener itself: HTTP/1.1 and HTTP/2, certificates that are replaced, and those of clients.

use std::net::{SocketAddr, TcpStream};

use tempfile::TempDir;

use crate::certificates::{Authority, Identity, Secure};
use crate::server::{Data, Launch, Server, TOKEN, err};

/// A directory with the files of TLS, and a server that is told of them.
struct Site {
    files: TempDir,
    authority: Authority,
    identity: Identity,
    data: Data,
}

impl Site {
    fn new() -> Self {
        let (files, authority) = (tempfile::tempdir().expect("a directory"), Authority::new());
        let identity = authority.issue();
        identity.write(files.path());
        Self { files, authority, identity, data: Data::new() }
    }

    fn path(&self, name: &str) -> String {
        self.files.path().join(name).to_str().expect("a path in UTF-8").to_owned()
    }

    fn launch(&self) -> Launch {
        let launch = Launch::new(&self.data).arg("--tls-cert").arg(&self.path("cert.pem"));
        launch.env("COUNTERSIGN_TLS_KEY", self.path("key.pem"))
    }

    fn connect(&self, server: &Server, protocol: &str, own: Option<&Identity>) -> std::io::Result<Secure> {
        Secure::connect(server.address(), &self.authority, protocol, own)
    }

    /// The head and the body of the answer to a request in HTTP/1.1, on a connection of its own.
    fn get(&self, server: &Server, path: &str, own: Option<&Identity>) -> (String, String) {
        let mut connection = self.connect(server, "http/1.1", own).expect("a connection");
        connection.send(&format!("GET {path}"), &bearer()).expect("an answer")
    }
}

fn bearer() -> String {
    format!("authorization: Bearer {TOKEN}\r\n")
}

fn assert_status(answer: &(String, String), status: u16) {
    assert!(answer.0.starts_with(&format!("HTTP/1.1 {status} ")), "{answer:?}");
}

#[test]
fn both_versions_of_http_are_spoken_over_tls() {
    let site = Site::new();
    let server = site.launch().start_unasked();
    // One that never shakes hands keeps nobody waiting.
    let _silent = TcpStream::connect(server.address()).expect("a connection");
    assert_status(&site.get(&server, "/authz", None), 200);
    assert_status(&site.get(&server, "/api/v1/self", None), 200);
    let mut second = site.connect(&server, "h2", None).expect("a connection");
    let (headers, body) = second.send_second("GET", "/healthz", "text/plain");
    assert_eq!(headers.first(), Some(&0x88), "200");
    assert!(!body.is_empty());
    // It answers no pings, so the end would wait for it.
    drop(second);
    assert!(server.log().contains(r#""tls":true"#), "{}", server.log());
    assert!(server.stop().status.success());
}

#[test]
fn files_that_are_not_good_stop_the_start() {
    let site = Site::new();
    let other = site.authority.issue();
    std::fs::write(site.path("other.pem"), &other.key).expect("room on the disk");
    std::fs::write(site.path("nothing.pem"), "nothing").expect("room on the disk");
    let (cert, key, nothing) = (site.path("cert.pem"), site.path("key.pem"), site.path("nothing.pem"));
    let fails = |arguments: &[(&str, &str)], why: &str| {
        let launch = arguments
            .iter()
            .fold(Launch::new(&site.data), |launch, (name, value)| launch.arg(name).arg(value));
        let output = launch.fail();
        let stderr = err(&output);
        assert_eq!((output.status.code(), stderr.lines().count()), (Some(1), 1), "{stderr}");
        assert!(stderr.starts_with(&format!("countersign: {why}")), "{stderr}");
    };
    fails(&[("--tls-cert", &cert)], "`tls_cert` needs its key: set `tls_key`, too (from --tls-cert)");
    fails(&[("--tls-key", &key)], "`tls_key` needs its certificate: set `tls_cert`, too (from --tls-key)");
    fails(&[("--tls-client-ca", &cert)], "`tls_client_ca` needs TLS: set `tls_cert` and `tls_key`, too");
    let both = |cert: &str, key: &str, why: &str| fails(&[("--tls-cert", cert), ("--tls-key", key)], why);
    both("/nowhere.pem", &key, "cannot read /nowhere.pem (`tls_cert`): No such file");
    both(&nothing, &key, &format!("there is no certificate in PEM in {nothing} (`tls_cert`); "));
    both(&cert, &nothing, &format!("there is no key in PEM in {nothing} (`tls_key`); "));
    both(&cert, &cert, &format!("there is no key in PEM in {cert} (`tls_key`); "));
    let strange = site.path("other.pem");
    both(
        &cert,
        &strange,
        &format!("the key in {strange} (`tls_key`) is not that of the first certificate in {cert} "),
    );
    let authorities = [("--tls-cert", &*cert), ("--tls-key", &key), ("--tls-client-ca", &nothing)];
    fails(&authorities, &format!("there is no certificate in PEM in {nothing} (`tls_client_ca`); "));
    assert!(!site.data.path().exists(), "nothing was written");
}

#[test]
fn certificates_are_replaced_while_connections_go_on() {
    let site = Site::new();
    let server = site.launch().start_unasked();
    let mut before = site.connect(&server, "http/1.1", None).expect("a connection");
    assert!(before.is_of(&site.identity));
    let mut goes_on = || assert_status(&before.send("GET /authz", &bearer()).expect("it is open"), 200);
    goes_on();

    let renewed = site.authority.issue();
    renewed.write(site.files.path());
    server.hang_up("the files of TLS were read again", 1);
    goes_on();
    let shows_renewed = || site.connect(&server, "http/1.1", None).expect("a connection").is_of(&renewed);
    assert!(shows_renewed());

    // Half of a renewal, and then what is no key at all.
    std::fs::write(site.path("cert.pem"), site.authority.issue().certificate).expect("room on the disk");
    server.hang_up("what was read before stays in use", 1);
    assert!(shows_renewed());
    std::fs::write(site.path("key.pem"), "").expect("room on the disk");
    server.hang_up("what was read before stays in use", 2);
    assert!(shows_renewed());
    goes_on();
    let log = server.log();
    assert!(log.contains("is not that of the first certificate in"), "{log}");
    assert!(log.contains("there is no key in PEM in"), "{log}");
    assert!(server.stop().status.success());
}

#[test]
fn without_tls_a_hangup_changes_nothing() {
    let data = Data::new();
    let server = Server::start(&data);
    server.hang_up("SIGHUP has no effect", 1);
    assert_eq!(server.get("/api/v1/self").0, 200);
    assert!(server.stop().status.success());
}

#[test]
fn doors_answer_those_alone_who_show_a_certificate() {
    let site = Site::new();
    let proxies = Authority::new();
    std::fs::write(site.path("proxies.pem"), proxies.certificate()).expect("room on the disk");
    let launch = site.launch().arg("--tls-client-ca").arg(&site.path("proxies.pem"));
    let server = launch.arg("--internal-listen").arg("127.0.0.1:0").start_unasked();

    let proxy = proxies.issue();
    assert_status(&site.get(&server, "/authz", Some(&proxy)), 200);
    assert_status(&site.get(&server, "/oauth2/introspect", Some(&proxy)), 405);
    let refusal = r#"{"error":"client_certificate_required"}"#;
    for door in ["/authz", "/authz/app", "/oauth2/introspect"] {
        let answer = site.get(&server, door, None);
        assert_status(&answer, 403);
        assert_eq!(answer.1, refusal, "{door}");
    }
    assert_status(&site.get(&server, "/api/v1/self", None), 200);
    assert_status(&site.get(&server, "/readyz", None), 200);

    let check = |own: Option<&Identity>| {
        let mut connection = site.connect(&server, "h2", own).expect("a connection");
        let path = "/envoy.service.auth.v3.Authorization/Check";
        let (headers, body) = connection.send_second("POST", path, "application/grpc");
        assert_eq!(headers.first(), Some(&0x88), "an answer, and no failure");
        String::from_utf8_lossy(&body).into_owned()
    };
    assert!(check(None).contains(refusal));
    // There is no message in it.
    assert!(check(Some(&proxy)).contains("insufficient_scope"));

    let stranger = Authority::new().issue();
    let stranger = site.connect(&server, "http/1.1", Some(&stranger));
    // In TLS 1.3 a client hears of it after its own handshake.
    assert!(
        stranger.is_err() || stranger.is_ok_and(|mut connection| connection.send("GET /authz", "").is_err())
    );

    assert_plain(server.internal_address().expect("its address is in the log"));
    let log = server.log();
    assert!(log.contains("a door was asked without a certificate of `tls_client_ca`"), "{log}");
    assert!(server.stop().status.success());
}

/// A connection that is there already goes on, unless nobody vouches any more for what was shown there: then its client is
/// told so, and to connect again.
#[test]
fn doors_look_again_when_the_authorities_are_replaced() {
    let site = Site::new();
    let [kept, removed] = [(); 2].map(|()| Authority::new());
    let believe = |authorities: &[&Authority]| {
        let text: String = authorities.iter().map(|authority| authority.certificate()).collect();
        std::fs::write(site.path("proxies.pem"), text).expect("room on the disk");
    };
    believe(&[&kept, &removed]);
    let server = site.launch().arg("--tls-client-ca").arg(&site.path("proxies.pem")).start_unasked();
    let connect = |authority: &Authority| {
        site.connect(&server, "http/1.1", Some(&authority.issue())).expect("a connection")
    };
    let (mut good, mut bad) = (connect(&kept), connect(&removed));
    let ask = |connection: &mut Secure, path: &str, status: u16| {
        let line = format!("GET {path}");
        assert_status(&connection.send(&line, &bearer()).expect("it is open"), status);
    };
    ask(&mut good, "/authz", 200);
    ask(&mut bad, "/authz", 200);

    believe(&[&kept]);
    server.hang_up("the files of TLS were read again", 1);
    ask(&mut good, "/authz", 200);
    ask(&mut bad, "/api/v1/self", 200);
    ask(&mut bad, "/authz", 403);
    assert!(bad.send("GET /authz", "").is_err(), "it was closed");
    ask(&mut good, "/authz", 200);
    assert!(server.stop().status.success());
}

/// The internal listener speaks no TLS, so nobody can show anything there.
fn assert_plain(internal: SocketAddr) {
    let status = |path: &str| {
        crate::server::call(&format!("http://{internal}{path}"), "GET", TOKEN, None).expect("an answer").0
    };
    assert_eq!((status("/authz"), status("/readyz"), status("/metrics")), (403, 200, 200));
}
