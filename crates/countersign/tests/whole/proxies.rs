//! The real proxies, by the recipes that people copy, between clients and an app that believes them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::connection::{Answer, Connection};
use crate::ledger::Stop;
use crate::manager::{FAR_AWAY, Issued, STRANGE_SECRET};
use crate::origin::Arrived;
use crate::proxy::Kind;
use crate::scene::{AUDIENCE, Client, Header, SCOPE, Scene, pair};
use crate::server::ACCOUNT;

/// An account that nobody has.
const FOREIGN_ACCOUNT: &str = "00000000000000000000000000000000";
/// Who somebody is; only the door may say so.
pub(crate) const IDENTITY: [&str; 6] = [
    "X-Countersign-Account",
    "X-Countersign-Token",
    "X-Countersign-Kind",
    "X-Countersign-Name",
    "X-Countersign-Scopes",
    "X-Countersign-Organizations",
];
/// A client's word for who it is.
const FORGED: &str = "forged";
/// How often a token is revoked behind a proxy of Debian's.
const REVOCATIONS: usize = 1_000;
/// And behind one of the others.
const FEWER_REVOCATIONS: usize = 300;
/// Connections that show a good token all the time.
const REGULARS: usize = 2;

/// All of an answer but what no client can do anything about: the time of day, and the order of headers, which threads of
/// HAProxy do not agree on.
fn bytes(answer: &Answer) -> String {
    let is_date = |line: &&str| line.to_ascii_lowercase().starts_with("date:");
    let mut lines: Vec<_> = answer.head.lines().filter(|line| !is_date(line)).collect();
    lines[1..].sort_unstable();
    format!("{}\n{}", lines.join("\n"), answer.text())
}

/// What the app takes for the identity, `|` between headers.
pub(crate) fn identity(arrived: &Arrived) -> String {
    IDENTITY.map(|name| arrived.header(name).join(",")).join("|")
}

#[test]
fn the_app_learns_who_it_is() {
    for kind in Kind::ALL {
        let mut scene = Scene::new(kind);
        let token = scene.issue(json!({ "name": "Zoë 100%" }));
        let answer = scene.show(&token, &[]);
        let arrived = Arrived::told_by(&answer);
        let name = "Zo%C3%AB 100%25";
        assert_eq!(identity(&arrived), format!("{ACCOUNT}|{}|service|{name}|{SCOPE}|", token.id), "{kind:?}");
        assert_eq!(arrived.request(), "GET /app?x=1");
        assert!(!arrived.text().contains(&token.secret), "the secret ends at the proxy: {}", arrived.text());
        assert_eq!((answer.header("deprecation"), answer.header("sunset")), (None, None));
    }
}

/// An app that expects Cloudflare Access in front of it finds the assertion that the door has signed, and nobody else's.
#[test]
fn the_app_finds_an_assertion_where_it_wants_one() {
    for kind in Kind::ALL {
        let forged = ("Cf-Access-Jwt-Assertion", FORGED);
        let mut scene = Scene::new(kind);
        let token = scene.issue(json!({}));
        let arrived = Arrived::told_by(&scene.show(&token, &[forged, forged]));
        let found = arrived.header(forged.0).concat();
        assert_eq!(found, "", "{kind:?}: the client's own, where none is wanted");

        let mut scene = Scene::of_account(kind, &format!("{ACCOUNT}&assertion={AUDIENCE}"));
        scene.server.wait_for_keys();
        let token = scene.issue(json!({}));
        let arrived = Arrived::told_by(&scene.show(&token, &[forged]));
        let found = arrived.header(forged.0);
        let [assertion] = &found[..] else { panic!("{kind:?}: {found:?}") };
        let claims = assertion.split('.').nth(1).expect("claims");
        let claims = URL_SAFE_NO_PAD.decode(claims).expect("base64");
        let claims: Value = serde_json::from_slice(&claims).expect("JSON");
        assert_eq!(
            (&claims["aud"], &claims["common_name"]),
            (&json!([AUDIENCE]), &json!(token.client_id)),
            "{kind:?}"
        );
    }
}

#[test]
fn bodies_reach_the_app_whole() {
    for kind in Kind::ALL {
        let mut scene = Scene::new(kind);
        let token = scene.issue(json!({}));
        for length in [0, 1, 100_000] {
            let body = "x".repeat(length);
            let answer = scene.ask("POST", &pair(&token.client_id, &token.secret), &body);
            let arrived = Arrived::told_by(&answer);
            assert_eq!(arrived.request(), "POST /app?x=1", "{kind:?}");
            assert!(arrived.body() == body, "{kind:?}: {length} bytes, {} arrived", arrived.body().len());
        }
    }
}

#[test]
fn a_clients_own_word_for_who_it_is_never_arrives() {
    for kind in Kind::ALL {
        let mut scene = Scene::new(kind);
        let token = scene.issue(json!({}));
        let told = identity(&Arrived::told_by(&scene.show(&token, &[])));
        let lower = IDENTITY.map(str::to_ascii_lowercase);
        let mut names: Vec<String> = lower.iter().map(|name| name.to_ascii_uppercase()).collect();
        names.extend(IDENTITY.map(|name| name.replace('-', "_")));
        names.extend(lower.iter().map(|name| name.replace('-', "_")));
        // Half of it spelt right.
        names.extend(lower.iter().map(|name| name.replacen('-', "_", 1)));
        // Whatever else is no letter, some apps take for a hyphen as well.
        names.extend(lower.iter().flat_map(|name| [name.replace('-', "."), name.replace('-', "~")]));
        names.extend(lower.iter().cloned());
        names.push("X-Countersign-Demand".to_owned());
        let asserted = ["Cf-Access-Jwt-Assertion", "cf_access_jwt_assertion", "Cf-Access_Jwt-Assertion"];
        names.extend(asserted.map(str::to_owned));
        let forged: Vec<Header<'_>> = names.iter().map(|name| (&**name, FORGED)).collect();
        for header in &forged {
            let arrived = Arrived::told_by(&scene.show(&token, &[*header, *header]));
            assert_eq!(identity(&arrived), told, "{kind:?}, {header:?}");
            assert!(!arrived.text().contains(FORGED), "{kind:?}: {}", arrived.text());
        }
        let arrived = Arrived::told_by(&scene.show(&token, &forged));
        assert_eq!(identity(&arrived), told, "{kind:?}, all at once");
        assert!(!arrived.text().contains(FORGED), "{kind:?}: {}", arrived.text());
        let reached = scene.origin.requests();
        assert_eq!(scene.ask("GET", &forged, "").status, 401, "{kind:?}: a name is no credential");
        assert_eq!(scene.origin.requests(), reached);
    }
}

/// nginx removes only headers whose names are written down, so its recipe says which of them to believe.
#[test]
fn an_invented_header_arrives_only_where_the_recipe_says_so() {
    for kind in Kind::ALL {
        let mut scene = Scene::new(kind);
        let token = scene.issue(json!({}));
        let arrived = Arrived::told_by(&scene.show(&token, &[("X-Countersign-Foo", FORGED)]));
        let arrives = arrived.header("X-Countersign-Foo") == [FORGED];
        assert_eq!(arrives, kind == Kind::Nginx, "{kind:?}: {}", arrived.text());
        let says_so = kind.page().contains("any other X-Countersign-");
        assert!(says_so || !arrives, "{kind:?}: the recipe says nothing of it");
    }
}

/// `Connection` names headers that end at the next hop: what the door has said must not be among them.
#[test]
fn nobody_has_what_the_door_says_dropped() {
    for kind in Kind::ALL {
        let mut scene = Scene::new(kind);
        let token = scene.issue(json!({}));
        let told = identity(&Arrived::told_by(&scene.show(&token, &[])));
        let named = [
            "X-Countersign-Account",
            "close, x-countersign-scopes",
            "X_Countersign_Kind",
            "Cf-Access-Jwt-Assertion",
        ];
        for connection in named {
            let answer = scene.show(&token, &[("Connection", connection)]);
            if matches!(kind, Kind::Caddy | Kind::Haproxy) {
                assert_eq!(answer.status, 400, "{kind:?}: {connection}");
                continue;
            }
            let arrived = Arrived::told_by(&answer);
            assert_eq!(identity(&arrived), told, "{kind:?}: {connection}");
            let passed_on = arrived.header("Connection").concat().to_ascii_lowercase();
            assert!(!passed_on.contains("countersign"), "{kind:?}: for the next one to drop: {passed_on}");
        }
    }
}

/// What a client says of the credential's headers must not keep them from the door, or from being taken away.
#[test]
fn nobody_hides_a_credential_from_the_door() {
    for kind in Kind::ALL {
        let mut scene = Scene::new(kind);
        let token = scene.issue(json!({}));
        for connection in
            ["CF-Access-Client-Secret", "close, cf-access-client-id", "Authorization", "X-Original-URI"]
        {
            let reached = scene.origin.requests();
            let answer = scene.show(&token, &[("Connection", connection)]);
            let let_in = answer.status == 200;
            assert!(
                let_in || matches!(answer.status, 400 | 401 | 403),
                "{kind:?}: {connection}: {}",
                answer.head
            );
            assert_eq!(scene.origin.requests() - reached, usize::from(let_in), "{kind:?}: {connection}");
            assert!(!answer.text().contains(&token.secret), "{kind:?}: {connection}: {}", answer.text());
            let reached = scene.origin.requests();
            let answer = scene.ask("GET", &[("Connection", connection)], "");
            assert!(matches!(answer.status, 400 | 401 | 403), "{kind:?}: {connection}: {}", answer.head);
            assert_eq!(scene.origin.requests(), reached, "{kind:?}: {connection}, and no credential");
        }
    }
}

#[test]
fn every_bad_credential_has_the_same_answer() {
    for kind in Kind::ALL {
        let mut scene = Scene::new(kind);
        let [good, disabled, revoked, mut rotated] = [(); 4].map(|()| scene.issue(json!({})));
        let expired = scene.issue(json!({ "duration": "1us" }));
        scene.manager.set_enabled(&disabled.id, false).expect("disabled");
        scene.manager.revoke(&revoked.id).expect("revoked");
        let old = rotated.clone();
        rotated.secret = scene.manager.rotate(&rotated.id, false).expect("rotated");
        assert_eq!(scene.show(&rotated, &[]).status, 200, "{kind:?}: the new secret");

        let reached = scene.origin.requests();
        let nothing = scene.ask("GET", &[], "");
        assert_eq!(nothing.status, 401, "{kind:?}");
        let challenge = "Bearer realm=\"countersign\", error=\"invalid_token\"";
        assert_eq!(nothing.header("www-authenticate"), Some(challenge), "{kind:?}");
        let unknown = format!("{}.access", "0".repeat(32));
        for (client_id, secret, why) in [
            (&*good.client_id, STRANGE_SECRET, "wrong secret"),
            (&good.client_id, &*rotated.secret, "secret of another token"),
            (&good.client_id, "garbage", "no secret at all"),
            (&unknown, &*good.secret, "unknown"),
            (&expired.client_id, &expired.secret, "expired"),
            (&disabled.client_id, &disabled.secret, "disabled"),
            (&revoked.client_id, &revoked.secret, "revoked"),
            (&old.client_id, &old.secret, "rotated out"),
        ] {
            let answer = scene.ask("GET", &pair(client_id, secret), "");
            assert_eq!(bytes(&answer), bytes(&nothing), "{kind:?}: {why}");
        }
        let [id, secret] = pair(&good.client_id, &good.secret);
        for headers in [&[id][..], &[secret], &[id, id, secret], &[id, secret, secret]] {
            assert_eq!(bytes(&scene.ask("GET", headers, "")), bytes(&nothing), "{kind:?}: {headers:?}");
        }
        assert_eq!(scene.origin.requests(), reached, "{kind:?}: nothing of it reached the app");
    }
}

#[test]
fn a_good_credential_that_may_not_is_forbidden() {
    for kind in Kind::ALL {
        let mut scene = Scene::new(kind);
        let reached = scene.origin.requests();
        let may_not = [json!(["app:other"]), json!(["app"]), json!([])];
        let answers = may_not.map(|scopes| {
            let token = scene.issue(json!({ "scopes": scopes }));
            bytes(&scene.show(&token, &[]))
        });
        assert!(answers[0].starts_with("HTTP/1.1 403 "), "{kind:?}: {}", answers[0]);
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{kind:?}: {answers:?}");

        let mut abroad = Scene::of_account(kind, FOREIGN_ACCOUNT);
        let token = abroad.issue(json!({ "scopes": [SCOPE, "app:*"] }));
        let answer = abroad.show(&token, &[]);
        assert_eq!((answer.status, abroad.origin.requests()), (403, 0), "{kind:?}: the wrong account");
        assert_eq!(scene.origin.requests(), reached, "{kind:?}: nothing of it reached the app");
    }
}

/// What a client says of its own request must not be taken for what the proxy says of it.
#[test]
fn a_client_that_states_another_request_is_forbidden_or_not_heard() {
    for kind in Kind::ALL {
        let mut scene = Scene::new(kind);
        let token = scene.issue(json!({}));
        let reached = scene.origin.requests();
        let (method, uri) = match kind {
            Kind::Caddy | Kind::Traefik => ("X-Original-Method", "X-Original-URI"),
            _ => ("X-Forwarded-Method", "X-Forwarded-Uri"),
        };
        // Where the recipe says what the door is shown, the client's own word is not.
        let status = if kind.shows_everything() { 403 } else { 200 };
        let lies = [(method, "DELETE"), (uri, "/other"), ("X-Original-URL", "http://host/other")];
        for header in lies {
            assert_eq!(scene.show(&token, &[header]).status, status, "{kind:?}, {header:?}");
        }
        let arrived = if status == 200 { lies.len() } else { 0 };
        assert_eq!(scene.origin.requests() - reached, arrived, "{kind:?}: what reached the app");
        let true_words = [(method, "GET"), (uri, "/app?x=1"), ("X-Original-URL", "http://host/app?x=1")];
        assert_eq!(scene.show(&token, &true_words).status, 200, "{kind:?}: the truth");
    }
}

#[test]
fn a_client_with_the_previous_secret_is_told() {
    for kind in Kind::ALL {
        let mut scene = Scene::new(kind);
        // So that the overlap ends before the token does.
        let mut token = scene.issue(json!({"duration": "forever"}));
        let new = scene.manager.rotate(&token.id, true).expect("rotated");
        let answer = scene.show(&token, &[]);
        Arrived::told_by(&answer);
        if !kind.passes_notices_on() {
            assert_eq!((answer.header("deprecation"), answer.header("sunset")), (None, None), "{kind:?}");
            continue;
        }
        let since =
            answer.header("deprecation").and_then(|value| value.strip_prefix('@')).unwrap_or_default();
        assert!(since.parse::<u64>().is_ok(), "{kind:?}: {}", answer.head);
        assert!(FAR_AWAY.starts_with("2100-01-01T00:00:00"));
        assert_eq!(answer.header("sunset"), Some("Fri, 01 Jan 2100 00:00:00 GMT"), "{kind:?}");
        token.secret = new;
        let answer = scene.show(&token, &[]);
        Arrived::told_by(&answer);
        assert_eq!((answer.header("deprecation"), answer.header("sunset")), (None, None), "{kind:?}");
    }
}

#[test]
fn a_forged_address_is_not_recorded() {
    for kind in Kind::ALL {
        let mut scene = Scene::new(kind);
        let token = scene.issue(json!({}));
        let source = Ipv4Addr::new(127, 0, 0, 2);
        for forged in ["203.0.113.7", "203.0.113.7, 127.0.0.1", "203.0.113.7\r\nX-Forwarded-For: 127.0.0.1"] {
            let [(id, client_id), (secret, text)] = pair(&token.client_id, &token.secret);
            let head = format!(
                "GET /app HTTP/1.1\r\nHost: app\r\nConnection: close\r\n{id}: {client_id}\r\n{secret}: {text}\r\n\
                 X-Forwarded-For: {forged}\r\nX-Real-IP: 203.0.113.7\r\nForwarded: for=203.0.113.7\r\n\r\n"
            );
            let mut connection = Connection::open_from(source, scene.proxy.address()).expect("a connection");
            connection.send_bytes(head.as_bytes()).expect("sent");
            let answer = connection.answer(false).expect("an answer of the proxy");
            assert_eq!(answer.status, 200, "{kind:?}: {answer:?}");
            let (_, usage) = scene.server.get(&format!("/api/v1/usage?token={}", token.id));
            assert_eq!(usage["secrets"][0]["address"], source.to_string(), "{kind:?}: {forged:?}");
        }
    }
}

#[test]
fn without_a_door_nobody_comes_in() {
    for kind in Kind::ALL {
        let mut scene = Scene::new(kind);
        let token = scene.issue(json!({}));
        assert_eq!(scene.show(&token, &[]).status, 200, "{kind:?}");
        let reached = scene.origin.requests();
        scene.server.kill();
        let answer = scene.client.show(&token, &[]);
        assert_eq!((answer.status, scene.origin.requests()), (kind.closed(), reached), "{kind:?}");
    }
}

#[test]
fn nginx_refuses_the_next_request_after_a_revocation() {
    refuses_the_next_request(Kind::Nginx);
}

#[test]
fn caddy_refuses_the_next_request_after_a_revocation() {
    refuses_the_next_request(Kind::Caddy);
}

#[test]
fn haproxy_refuses_the_next_request_after_a_revocation() {
    refuses_the_next_request(Kind::Haproxy);
}

#[test]
fn traefik_refuses_the_next_request_after_a_revocation() {
    refuses_the_next_request(Kind::Traefik);
}

#[test]
fn envoy_refuses_the_next_request_after_a_revocation() {
    refuses_the_next_request(Kind::Envoy);
}

#[test]
fn envoy_over_grpc_refuses_the_next_request_after_a_revocation() {
    refuses_the_next_request(Kind::EnvoyGrpc);
}

/// Revokes one token after the other while others come and go, one of them with the token that is revoked.
fn refuses_the_next_request(kind: Kind) {
    let revocations = if matches!(kind, Kind::Traefik | Kind::Envoy | Kind::EnvoyGrpc) {
        FEWER_REVOCATIONS
    } else {
        REVOCATIONS
    };
    let mut scene = Scene::new(kind);
    let (regular, shown) = (scene.issue(json!({})), Mutex::new(scene.issue(json!({}))));
    let (proxy, stop) = (scene.proxy.address(), AtomicBool::new(false));
    thread::scope(|scope| {
        let stopped = Stop(&stop);
        let regulars: Vec<_> =
            (0..REGULARS).map(|_| scope.spawn(|| come_always(proxy, &regular, &stop))).collect();
        scope.spawn(|| come_with_the_other(proxy, &shown, &stop));
        let mut refused = 0;
        for _ in 0..revocations {
            let token = scene.issue(json!({}));
            shown.lock().expect("the other").clone_from(&token);
            let status = scene.show(&token, &[]).status;
            assert_eq!(status, 200, "{kind:?}: before it was revoked; {}", scene.server.log());
            scene.manager.revoke(&token.id).expect("revoked");
            refused += usize::from(scene.show(&token, &[]).status == 401);
        }
        assert_eq!(refused, revocations, "{kind:?}: refused that often");
        drop(stopped);
        let let_in: usize = regulars.into_iter().map(|regular| regular.join().expect("let in")).sum();
        println!("{kind:?}: {refused} of {revocations} refused while {let_in} requests were let in");
        assert!(let_in >= revocations, "{kind:?}: {let_in} requests are no load");
    });
}

/// Comes again and again and must always be let in; gives how often.
fn come_always(proxy: SocketAddr, token: &Issued, stop: &AtomicBool) -> usize {
    let mut client = Client::of(proxy);
    let mut let_in = 0;
    while !stop.load(Ordering::Relaxed) {
        assert_eq!(client.show(token, &[]).status, 200, "somebody else's token was revoked");
        let_in += 1;
    }
    let_in
}

/// Comes again and again with the token of which it is said now that it is good.
fn come_with_the_other(proxy: SocketAddr, shown: &Mutex<Issued>, stop: &AtomicBool) {
    let mut client = Client::of(proxy);
    while !stop.load(Ordering::Relaxed) {
        let token = shown.lock().expect("the other").clone();
        client.show(&token, &[]);
    }
}
