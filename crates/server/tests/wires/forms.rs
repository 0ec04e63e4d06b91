//! Bodies of the LoopBack wire that are no JSON. The letters and numbers are cases of the recorded transcript
//! (space-invoices-loopback.md 4.1).

use serde_json::{Value, json};

use crate::harness::{Answer, World};

const FORM: &str = "application/x-www-form-urlencoded";

async fn send(world: &World, media_type: Option<&str>, body: &str) -> Answer {
    let call = world.post(&world.access_tokens()).bearer(&world.root).body(body.to_owned());
    match media_type {
        Some(media_type) => call.header("content-type", media_type).send().await,
        None => call.send().await,
    }
}

/// B42: the same as the JSON that it stands for.
#[tokio::test]
async fn forms_are_read() {
    let world = World::new().await;
    let both = json!(["read", "write"]);
    for (body, ttl, scopes) in [
        ("ttl=60&scopes[]=read&scopes[]=write", 60, both.clone()),
        ("ttl=60&scopes%5B%5D=read&scopes%5B%5D=write", 60, both.clone()),
        ("scopes[1]=write&scopes[0]=read&ttl=60", 60, both.clone()),
        ("ttl=60&scopes=read&scopes=write", 60, both),
        ("ttl=+60+", 60, Value::Null),
        ("ttl=0", 1_209_600, Value::Null),
        ("ttl=-1&id=chosen&userId=x&nope[a][b]=1&__proto__[ttl]=5", -1, Value::Null),
        ("&", 1_209_600, Value::Null),
    ] {
        for media_type in [FORM, "Application/X-WWW-Form-UrlEncoded; charset=UTF-8"] {
            let answer = send(&world, Some(media_type), body).await;
            assert_eq!(answer.status, 200, "{body}: {answer:?}");
            assert_eq!((&answer.json()["ttl"], &answer.json()["scopes"]), (&json!(ttl), &scopes), "{body}");
        }
    }
}

/// B36 to B48: what no form can be, and types that are not read. Nothing is made.
#[tokio::test]
async fn what_is_refused() {
    let world = World::new().await;
    let deep = format!("a{}=1", "[b]".repeat(40));
    for (case, media_type, body, status, name, message) in [
        (
            "B5 B43",
            Some("text/plain"),
            "ttl=60",
            415,
            "UnsupportedMediaTypeError",
            "the body must be application/json or application/x-www-form-urlencoded",
        ),
        (
            "B46",
            Some("application/x-www-form-urlencoded; charset=latin1"),
            "ttl=60",
            415,
            "UnsupportedMediaTypeError",
            "unsupported charset \"LATIN1\"",
        ),
        ("B5 B44", None, "ttl=60", 400, "SyntaxError", "expected ident at line 1 column 2"),
        ("B18", Some(FORM), "scopes=read", 400, "Error", "Items must be an array: `scopes`"),
        ("B18", Some(FORM), "scopes[a]=read", 400, "Error", "Items must be an array: `scopes`"),
        ("form", Some(FORM), "ttl=60&ttl[a]=1", 400, "Error", "`ttl` is given in two ways"),
        ("form", Some(FORM), "ttl[=60", 400, "Error", "`ttl` has brackets that do not fit together"),
        (
            "form",
            Some(FORM),
            "scopes[][a]=read",
            400,
            "Error",
            "`scopes` has `[]` before other brackets; number them",
        ),
        ("form", Some(FORM), "ttl=%FF", 400, "SyntaxError", "not UTF-8"),
        ("form", Some(FORM), "ttl=%", 400, "SyntaxError", "not UTF-8"),
        ("form", Some(FORM), deep.as_str(), 400, "Error", "The body is nested deeper than 32 levels"),
        ("form", Some(FORM), &"a=1&".repeat(2000), 413, "PayloadTooLargeError", "request entity too large"),
        (
            "B48",
            Some(FORM),
            &format!("a={}", "x".repeat(200_000)),
            413,
            "PayloadTooLargeError",
            "request entity too large",
        ),
    ] {
        let answer = send(&world, media_type, body).await;
        assert_eq!(answer.status.as_u16(), status, "{case} {answer:?}");
        answer.assert_loopback(status, name, message);
    }
    for body in ["ttl=60&ttl=61", "ttl=abc", "ttl[]=60", "scopes[]=a+b"] {
        assert_eq!(send(&world, Some(FORM), body).await.status, 422, "{body}");
    }
    let call = world.post(&world.access_tokens()).bearer(&world.root).header("content-encoding", "br");
    let encoded = call.header("content-type", FORM).body("ttl=60").send().await;
    assert_eq!(encoded.status, 415, "B47");
    let list = world.get(&world.access_tokens()).bearer(&world.root).send().await;
    assert_eq!(list.header("x-total-count"), "1", "nothing was made");
}
