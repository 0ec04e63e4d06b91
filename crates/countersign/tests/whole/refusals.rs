//! What a door says reaches the client as such, and nobody comes in by anything else: the real proxies, before doors that
//! always say the same.

use std::fs;
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use crate::connection::Answer;
use crate::origin::{Arrived, Origin};
use crate::proxies::IDENTITY;
use crate::proxy::{Guarded, Kind, Proxy};
use crate::recipe::{fill, recipe};
use crate::scene::{Client, Header};
use crate::server::ACCOUNT;

/// Longest that a client waits for a door that does not answer, by the recipes.
const LONGEST: Duration = Duration::from_secs(20);
/// What a door says of a limit.
const LIMIT: [Header<'_>; 2] =
    [("ratelimit", "\"tokens\";r=0;t=7"), ("ratelimit-policy", "\"tokens\";q=100;w=60")];
/// Loads the module that one line of the nginx page is for.
const HEADERS_MORE: &str = "load_module /usr/lib/nginx/modules/ngx_http_headers_more_filter_module.so;";
const CHALLENGE: Header<'_> = ("www-authenticate", "Bearer realm=\"countersign\", error=\"invalid_token\"");

/// A proxy before a door that always says the same.
struct Post {
    client: Client,
    app: Origin,
    door: Origin,
    _proxy: Proxy,
}

impl Post {
    fn new(kind: Kind, door: Origin, app: Origin) -> Self {
        Self::changed(kind, door, app, &str::to_owned)
    }

    fn changed(kind: Kind, door: Origin, app: Origin, change: &dyn Fn(&str) -> String) -> Self {
        let guarded = Guarded { door: door.address(), origin: app.address(), account: ACCOUNT };
        let proxy = Proxy::start_changed(kind, &guarded, change);
        Self { client: Client::of(proxy.address()), app, door, _proxy: proxy }
    }

    /// Where the door says this to everybody.
    fn saying(kind: Kind, status: &str, headers: &[Header<'_>], body: &str) -> Self {
        Self::new(kind, Origin::saying(status, headers, body), Origin::start())
    }

    fn ask(&mut self) -> Answer {
        self.client.ask("GET", &[], "")
    }
}

/// What a door that lets everybody in says.
fn granted() -> Vec<Header<'static>> {
    let identity = IDENTITY.into_iter().map(|name| (name, "somebody"));
    identity
        .chain(LIMIT)
        .chain([("Deprecation", "@1"), ("Sunset", "Fri, 01 Jan 2100 00:00:00 GMT")])
        .collect()
}

fn values<'a>(answer: &'a Answer, names: &[Header<'_>]) -> Vec<Option<&'a str>> {
    names.iter().map(|(name, _)| answer.header(name)).collect()
}

#[test]
fn a_refusal_reaches_the_client_as_such() {
    for kind in Kind::OVER_HTTP {
        let body = r#"{"error":"it says"}"#;
        let json = ("content-type", "application/json");
        let waiting = [("retry-after", "7")];
        // Envoy counts every 5xx as a failure of the door.
        let told_of_503 = if kind == Kind::Envoy { &waiting[1..] } else { &waiting[..] };
        for (status, headers, told) in [
            ("401 Unauthorized", &[CHALLENGE, json][..], &[CHALLENGE][..]),
            ("403 Forbidden", &[json], &[]),
            (
                "429 Too Many Requests",
                &[waiting[0], LIMIT[0], LIMIT[1], json],
                &[waiting[0], LIMIT[0], LIMIT[1]],
            ),
            ("503 Service Unavailable", &[waiting[0], json], told_of_503),
        ] {
            let mut post = Post::saying(kind, status, headers, body);
            for _ in 0..3 {
                let answer = post.ask();
                assert_eq!(answer.status.to_string(), status[..3], "{kind:?}: {}", answer.head);
                let wanted: Vec<_> = told.iter().map(|(_, value)| Some(*value)).collect();
                assert_eq!(values(&answer, told), wanted, "{kind:?}: {}", answer.head);
            }
            assert_eq!(post.app.requests(), 0, "{kind:?}: {status}");
        }
    }
}

#[test]
fn what_is_no_answer_of_a_door_lets_nobody_in() {
    for kind in Kind::OVER_HTTP {
        for status in ["302 Found", "404 Not Found", "418 I'm a teapot", "500 Internal Server Error"] {
            let mut post = Post::saying(kind, status, &[("location", "/elsewhere")], "");
            let answer = post.ask();
            assert!(answer.status >= 300, "{kind:?}: {status}: {}", answer.head);
            assert_eq!((post.app.requests(), post.door.requests() > 0), (0, true), "{kind:?}: {status}");
        }
    }
}

/// HAProxy goes on when Lua does not: what closes then is the line below.
#[test]
fn haproxy_is_closed_when_lua_fails() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let broken = directory.path().join("broken.lua");
    let action = "core.register_action('countersign', { 'http-req' }, function() error('broken') end, 1)";
    fs::write(&broken, action).expect("room on the disk");
    let load = format!("lua-load-per-thread {}\n#", broken.display());
    let change = |config: &str| fill(config, &[("lua-load-per-thread", &load)]);
    let (door, app) = (Origin::saying("200 OK", &granted(), ""), Origin::start());
    let mut post = Post::changed(Kind::Haproxy, door, app, &change);
    let answer = post.ask();
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{}", answer.head);
    assert_eq!(post.app.requests(), 0);
}

/// A page for those who are not logged in, which the server has for other reasons, is no word of the door.
#[test]
fn nginx_makes_no_page_of_a_refusal() {
    let login =
        "error_page 401 403 =200 /login; proxy_intercept_errors on; location = /login { return 200 hello; }";
    let server = format!("server {{ {login}");
    let change = |config: &str| fill(config, &[("server {\n    listen", &format!("{server}\n    listen"))]);
    for status in ["401 Unauthorized", "403 Forbidden"] {
        let door = Origin::saying(status, &[CHALLENGE], "");
        let mut post = Post::changed(Kind::Nginx, door, Origin::start(), &change);
        post.ask();
        assert_eq!(post.app.requests(), 0, "{status}");
    }
}

/// The line of the page for those who have the module.
#[test]
fn nginx_with_headers_more_drops_whatever_is_called_so() {
    let page = Kind::Nginx.page();
    let place = "        auth_request /_countersign;\n";
    let line = format!("{place}{}", recipe(&page, "headers-more"));
    let change = |config: &str| format!("{HEADERS_MORE}\n{}", fill(config, &[(place, &line)]));
    let door = Origin::saying("200 OK", &granted(), "");
    let mut post = Post::changed(Kind::Nginx, door, Origin::start(), &change);
    let answer =
        post.client.ask("GET", &[("X-Countersign-Foo", "forged"), ("X-Countersign-Name", "forged")], "");
    let arrived = Arrived::told_by(&answer);
    assert!(!arrived.text().contains("forged"), "{}", arrived.text());
    assert_eq!(arrived.header("X-Countersign-Name"), ["somebody"]);
}

/// Somebody who answers 200 to everything, such as the app by mistake, is none.
#[test]
fn haproxy_knows_a_door_by_what_it_says() {
    let nobody = Post::saying(Kind::Haproxy, "200 OK", &granted()[1..], "").ask();
    assert_eq!((nobody.status, nobody.header("retry-after")), (503, Some("1")));
    let twice = [&granted()[..], &[("X-Countersign-Account", "another")]].concat();
    assert_eq!(Post::saying(Kind::Haproxy, "200 OK", &twice, "").ask().status, 503);
}

#[test]
fn one_who_is_let_in_is_told_of_its_limit_and_of_its_secret() {
    for kind in Kind::OVER_HTTP {
        let mut post = Post::saying(kind, "200 OK", &granted(), "");
        let answer = post.ask();
        assert_eq!((answer.status, post.app.requests()), (200, 1), "{kind:?}: {}", answer.head);
        let notices = &granted()[IDENTITY.len()..];
        let told = notices.iter().map(|(_, value)| kind.passes_notices_on().then_some(*value));
        assert_eq!(values(&answer, notices), told.collect::<Vec<_>>(), "{kind:?}: {}", answer.head);
    }
}

/// Whatever the client sends, the door is asked with nothing behind the head, and with what the operator demands.
#[test]
fn no_body_is_announced_to_the_door() {
    for kind in Kind::OVER_HTTP {
        let mut post = Post::saying(kind, "200 OK", &granted(), "");
        for (method, body, more) in [
            ("GET", "", None),
            ("POST", "", None),
            ("POST", "a body", None),
            ("PUT", &*"x".repeat(100_000), None),
            ("DELETE", "a body", Some(("Expect", "100-continue"))),
            ("GET", "a body", None),
        ] {
            let headers: Vec<_> = more.into_iter().collect();
            let answer = post.client.ask(method, &headers, body);
            assert!(matches!(answer.status, 100 | 200), "{kind:?}: {method}: {}", answer.head);
            let question = post.door.last();
            let announced = question.header("Content-Length").iter().any(|length| *length != "0");
            let other = ["Transfer-Encoding", "Expect", "Trailer"].map(|name| question.header(name).len());
            assert_eq!((announced, other), (false, [0; 3]), "{kind:?}: {method}: {}", question.text());
            assert!(question.text().contains(&format!("account={ACCOUNT}")), "{kind:?}: {}", question.text());
            if answer.status == 100 {
                post.client.rest().expect("the answer after 100");
            }
        }
    }
}

#[test]
fn the_apps_own_refusals_stay_its_own() {
    for kind in Kind::OVER_HTTP {
        for status in [
            "401 Unauthorized",
            "429 Too Many Requests",
            "500 Internal Server Error",
            "503 Service Unavailable",
        ] {
            let app = Origin::saying(status, &[("x-own", "yes")], "the app's");
            let mut post = Post::new(kind, Origin::saying("200 OK", &granted(), ""), app);
            let answer = post.ask();
            assert_eq!(answer.status.to_string(), status[..3], "{kind:?}: {}", answer.head);
            assert_eq!(
                (answer.header("x-own"), answer.text()),
                (Some("yes"), "the app's"),
                "{kind:?}: {status}"
            );
        }
    }
}

/// Traefik waits for half a minute, which nobody can change.
#[test]
fn a_door_that_does_not_answer_is_closed() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let door = silent.local_addr().expect("its address");
    thread::scope(|scope| {
        for kind in Kind::OVER_HTTP.into_iter().filter(|kind| *kind != Kind::Traefik) {
            scope.spawn(move || {
                let app = Origin::start();
                let proxy = Proxy::start(kind, &Guarded { door, origin: app.address(), account: ACCOUNT });
                let begun = Instant::now();
                let answer = Client::of(proxy.address()).ask("GET", &[], "");
                let status = if kind == Kind::Caddy { 504 } else { 503 };
                assert_eq!((answer.status, app.requests()), (status, 0), "{kind:?}: {}", answer.head);
                assert!(begun.elapsed() < LONGEST, "{kind:?}: {:?}", begun.elapsed());
            });
        }
    });
}
