//! Filters of access tokens over the embedded store: the same as over the model, where every case of them is tried.

use serde_json::{Value, json};

use crate::connection::{Answer, Connection};
use crate::server::{ACCOUNT, Data, Server, TOKEN};

const PATH: &str = "/v1/Accounts/me/accessTokens";
const FORM: &str = "application/x-www-form-urlencoded";

fn ask(server: &Server, method: &str, query: &str, media_type: &str, body: &str) -> Answer {
    let bearer = format!("Bearer {TOKEN}");
    let headers = [("authorization", &*bearer), ("content-type", media_type)];
    let asked = Connection::open(server.address()).and_then(|mut connection| {
        connection.ask(method, &format!("{PATH}{query}"), &headers, body.as_bytes())
    });
    asked.unwrap_or_else(|error| panic!("{method} {query}: {error}"))
}

/// The root token, which is eternal, and two tokens made by forms (B42).
#[test]
fn found_in_the_embedded_store() {
    let data = Data::new();
    let server = Server::start(&data);
    let made = |form: &str| {
        let answer = ask(&server, "POST", "", FORM, form);
        assert_eq!(answer.status, 200, "{form}: {answer:?}; the log:\n{}", server.log());
        answer.json()
    };
    let (read, write) = (made("ttl=60&scopes[]=read"), made("ttl=120&scopes[]=read&scopes[]=write"));
    let (id, created) = (&read["id"].as_str().expect("an id"), write["created"].as_str().expect("a time"));
    for (case, query, found) in [
        ("C01", String::new(), &[-1, 60, 120][..]),
        ("C15", "?filter[order]=ttl+DESC".into(), &[120, 60, -1]),
        ("C03", "?filter[limit]=1&filter[skip]=1&filter[order]=ttl".into(), &[60]),
        ("C24", "?filter=%7B%22where%22:%7B%22ttl%22:%2260%22%7D%7D".into(), &[60]),
        ("B11", "?filter[where][ttl][gte]=60&filter[where][ttl][lt]=120".into(), &[60]),
        ("C34", "?filter[where][scopes]=read".into(), &[60, 120]),
        ("C49", "?filter[where][or][0][ttl]=60&filter[where][or][1][ttl]=-1".into(), &[-1, 60]),
        ("C40", format!("?filter[where][userId]={ACCOUNT}"), &[-1, 60, 120]),
        ("id", format!("?filter[where][id]={}", &id[..22]), &[60]),
        ("id", format!("?filter[where][id]={id}"), &[60]),
        ("id", format!("?filter[where][id]={TOKEN}"), &[-1]),
        ("C46", format!("?filter[where][created][gte]={created}"), &[120]),
        ("C41", "?filter[where][nope][neq]=1".into(), &[]),
        ("C43", "?filter[where][id][like]=%25".into(), &[-1, 60, 120]),
        ("C44", "?filter[where][scopes][regexp]=/^WR/i".into(), &[120]),
    ] {
        // C73: with the body that a client sends all the same.
        let answer = ask(&server, "GET", &query, "application/json", r#"{"limit":1}"#);
        assert_eq!(answer.status, 200, "{case} {query}: {answer:?}");
        let list = answer.json();
        let ttls: Vec<_> =
            list.as_array().expect("a list").iter().map(|token| token["ttl"].as_i64()).collect();
        assert_eq!(ttls, found.iter().copied().map(Some).collect::<Vec<_>>(), "{case} {query}");
    }
    let page = ask(&server, "GET", "?filter[limit]=1&filter[where][ttl][gt]=0&filter[fields]=ttl", "x/y", "");
    assert_eq!((page.json(), page.header("x-total-count")), (json!([{"ttl": 60}]), Some("2")));
    let head = ask(&server, "HEAD", "?filter[where][ttl]=60", "x/y", "");
    assert_eq!((head.status, head.header("x-total-count"), head.text()), (200, Some("1"), ""), "G08");
    let (status, refused) = server.get(&format!("{PATH}?filter[where][id][regexp]=("));
    assert_eq!((status, refused["error"]["statusCode"].as_u64()), (400, Some(400)), "C45: {refused}");
    assert_ne!(refused["error"]["message"], Value::Null);
}
