//! Paths that two programs may read differently, through the real proxies, with a token that is bound to some: who is let in
//! finds itself, by the most generous reading of the path that reached the app, where the token may be.

use percent_encoding::percent_decode_str;
use serde_json::json;

use crate::origin::Arrived;
use crate::proxy::Kind;
use crate::scene::{Scene, pair};

/// What stands for `public` and what for `secret` should be plain.
const SPELLINGS: [&str; 58] = [
    "/public/a",
    "/%70ublic/a",
    "/public/%7Ea",
    "/PUBLIC/a",
    "/secret",
    "/secret/public/a",
    "/public",
    "/public/",
    "/publica/b",
    "/public/../secret",
    "/public/a/../../secret",
    "/public/%2e%2e/secret",
    "/public/.%2e/secret",
    "/public/%2E./secret",
    "/public/%252e%252e/secret",
    "/public/..%2fsecret",
    "/public/..%2Fsecret",
    "/public%2f..%2fsecret",
    "/public%2fa",
    "/public/..%5csecret",
    "/public/..\\secret",
    "/public\\..\\secret",
    "/public/..;/secret",
    "/public/..;a=b/secret",
    "/public;/../secret",
    "/public;a=b/c",
    "/;/public/a",
    "/public/a;b",
    "/public//a",
    "//public/a",
    "///public/a",
    "/public//../secret",
    "/public/..//secret",
    "/public/./a",
    "/./public/a",
    "/public/.",
    "/public/..",
    "/public/a/..",
    "/secret/../public/a",
    "/secret/%2e%2e/public/a",
    "/secret/..;/public/a",
    "/%2e%2e/public/a",
    "/public/a%00",
    "/public/%00/../../secret",
    "/public/a%0d%0aX-Countersign-Account:%20x",
    "/public/a%",
    "/public/%zz/a",
    "/public/%u002e%u002e/secret",
    "/public/a?/../secret",
    "/secret?/public/a",
    "/public/a%3f/../../secret",
    "/public/a#/../../secret",
    "/secret#/public/a",
    "http://app/public/a",
    "http://app/public/../secret",
    "http://public/secret",
    "http://app/secret?http://app/public/a",
    "*",
];

/// The path as an app may read that takes everything for a separator and resolves every dot.
fn most_generously(target: &str) -> String {
    let path = match target.split_once("://") {
        Some((scheme, rest)) if !scheme.contains(['/', '?']) => rest.find('/').map_or("/", |at| &rest[at..]),
        _ => target,
    };
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let decoded = percent_decode_str(path).decode_utf8_lossy().replace('\\', "/");
    let mut segments = Vec::new();
    for segment in
        decoded.split('/').map(|segment| segment.split([';', '?', '#', '\0']).next().unwrap_or_default())
    {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    format!("/{}", segments.join("/"))
}

#[test]
fn nobody_finds_itself_where_its_token_may_not_be() {
    for kind in Kind::ALL {
        let mut scene = Scene::new(kind);
        let token = scene.issue(json!({ "resources": ["GET /public/**"] }));
        let mut let_in = Vec::new();
        for spelling in SPELLINGS {
            let reached = scene.origin.requests();
            let headers = pair(&token.client_id, &token.secret);
            let answer = scene.client.ask_for("GET", spelling, &headers, "");
            let what = format!("{kind:?}: {spelling}: {}", answer.head);
            if answer.status != 200 {
                assert!(matches!(answer.status, 301 | 307 | 308 | 400 | 403 | 404), "{what}");
                assert_eq!(scene.origin.requests(), reached, "{what}");
                continue;
            }
            let arrived = Arrived::told_by(&answer).request();
            let (method, target) = arrived.split_once(' ').expect("method and target");
            let path = most_generously(target);
            assert_eq!(method, "GET", "{what}");
            assert!(
                format!("{path}/").starts_with("/public/"),
                "{what}: the app finds {target}, which is {path}"
            );
            let_in.push(spelling);
        }
        for plain in ["/public/a", "/%70ublic/a", "/public/a?/../secret"] {
            assert!(let_in.contains(&plain), "{kind:?}: {plain} was refused; let in: {let_in:?}");
        }
        println!("{kind:?} lets in {let_in:?}");
    }
}

#[test]
fn the_most_generous_reading() {
    for (target, path) in [
        ("/a/./b//c?d", "/a/b/c"),
        ("/a/..;x/%2e%2e/b", "/b"),
        ("http://h/a%2fb\\..", "/a"),
        ("/a?x://y/z", "/a"),
        ("/../..", "/"),
    ] {
        assert_eq!(most_generously(target), path, "{target}");
    }
}
