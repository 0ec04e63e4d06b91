//! Paths of the LoopBack wire as its clients write them: in any case, with a slash at the end, with `me`; and HEAD. The
//! list of operations comes from its document, so that no new route is forgotten.

use serde_json::json;

use crate::harness::Answer;
use crate::operations::{Operation, Scene, operations};

fn of_this_wire() -> impl Iterator<Item = Operation> {
    operations().into_iter().filter(|operation| operation.wire == "loopback")
}

/// The path of an operation with each word of it spelt otherwise; ids, keys and the query stay.
fn respelt(scene: &Scene, template: &str, spell: fn(&str) -> String) -> String {
    let path = scene.path(template);
    let (path, query) = path.split_once('?').map_or((path.as_str(), ""), |(path, query)| (path, query));
    let spelt = template
        .split('/')
        .zip(path.split('/'))
        .map(|(word, part)| if word.starts_with('{') { part.to_owned() } else { spell(part) });
    let path = spelt.collect::<Vec<_>>().join("/");
    if query.is_empty() { path } else { format!("{path}?{query}") }
}

/// What changes nothing is asked with a credential, since only its answer tells `count` from an account of that name.
async fn ask(scene: &Scene, method: &str, path: &str) -> Answer {
    let call = scene.world.call(method, path);
    if method == "GET" || method == "HEAD" {
        return call.bearer(&scene.world.root).send().await;
    }
    call.json(&json!({})).await
}

#[tokio::test]
async fn any_case_and_a_slash_at_the_end() {
    let scene = Scene::new().await;
    let mut tried = 0;
    for operation in of_this_wire() {
        let Operation { method, template, .. } = &operation;
        let name = operation.name();
        let plain = ask(&scene, method, &scene.path(template)).await;
        assert_ne!(plain.status, 404, "{name}");
        let mut paths = vec![
            respelt(&scene, template, str::to_ascii_uppercase),
            respelt(&scene, template, str::to_ascii_lowercase),
        ];
        let path = scene.path(template);
        paths.push(match path.split_once('?') {
            Some((path, query)) => format!("{path}/?{query}"),
            None => format!("{path}/"),
        });
        for path in paths {
            let answer = ask(&scene, method, &path).await;
            assert_eq!((answer.status, answer.body), (plain.status, plain.body.clone()), "{name} as {path}");
        }
        tried += 1;
    }
    assert!(tried >= 30, "{tried} operations");
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let scene = Scene::new().await;
    for operation in of_this_wire().filter(|operation| operation.method == "GET") {
        let (name, path) = (operation.name(), scene.path(&operation.template));
        let (get, head) = (ask(&scene, "GET", &path).await, ask(&scene, "HEAD", &path).await);
        assert_eq!((head.status, head.body.as_str()), (get.status, ""), "{name}");
        for header in ["content-type", "content-length", "cache-control", "x-total-count"] {
            assert_eq!(head.header(header), get.header(header), "{name}: {header}");
        }
    }
}

/// `me` is the account of the caller, in any case, on every route that names an account.
#[tokio::test]
async fn me_is_the_callers_account() {
    let scene = Scene::new().await;
    let world = &scene.world;
    let mut tried = 0;
    for operation in of_this_wire().filter(|operation| operation.template.starts_with("/v1/Accounts/{id}")) {
        let mut statuses = Vec::new();
        for spelling in [None, Some("me"), Some("Me")] {
            let account = world.account_below(&world.root_account).await;
            let token = world.access_token_of(&account, json!({})).await;
            let path = operation.template.replace("{id}", spelling.unwrap_or(&account));
            let call = world.call(&operation.method, &path.replace("{fk}", &token)).bearer(&token);
            let answer = if operation.method == "GET" {
                call.send().await
            } else {
                call.json(&json!({"name": "x"})).await
            };
            if operation.method == "GET" && operation.template.ends_with("{id}") {
                assert_eq!(answer.text_at("/id"), account, "{}", operation.name());
            }
            statuses.push(answer.status.as_u16());
        }
        assert!(statuses.iter().all(|status| *status == statuses[0]), "{}: {statuses:?}", operation.name());
        assert!([200, 400].contains(&statuses[0]), "{}: {statuses:?}", operation.name());
        tried += 1;
    }
    assert!(tried >= 12, "{tried} operations");
}
