//! Filters of the list of access tokens. The letters and numbers are cases of the recorded transcript
//! (space-invoices-loopback.md 4.2), and those that begin with B6, B11 and B12 what its section 5 has instead.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Answer, World};

/// The tokens of the transcript: for ever, 60 with `read`, 120 with `read` and `write`, and the default.
struct Recorded {
    world: World,
    account: String,
    path: String,
    /// In the order in which they were made.
    tokens: Vec<String>,
}

impl Recorded {
    async fn new() -> Self {
        let world = World::new().await;
        let account = world.account_below(&world.root_account).await;
        let path = format!("/v1/Accounts/{account}/accessTokens");
        let mut tokens = Vec::new();
        for body in [
            json!({"ttl": -1}),
            json!({"ttl": 60, "scopes": ["read"]}),
            json!({"ttl": 120, "scopes": ["read", "write"]}),
            json!({}),
        ] {
            tokens.push(world.access_token_of(&account, body).await);
            world.clock.advance(Duration::from_millis(1500));
        }
        Self { world, account, path, tokens }
    }

    async fn get(&self, query: &str) -> Answer {
        self.world.get(&format!("{}?{query}", self.path)).bearer(&self.world.root).send().await
    }

    async fn filtered(&self, filter: &Value) -> Answer {
        self.get(&format!("filter={}", percent(&filter.to_string()))).await
    }

    /// The ttls of the tokens that are answered, in their order, and the total.
    async fn ttls(&self, query: &str) -> (Vec<i64>, String) {
        let answer = self.get(query).await;
        assert_eq!(answer.status, 200, "{query}: {answer:?}");
        assert_eq!(answer.header("cache-control"), "no-store");
        let list = answer.json();
        let ttls = list.as_array().unwrap().iter().map(|token| token["ttl"].as_i64().unwrap()).collect();
        (ttls, answer.header("x-total-count").to_owned())
    }
}

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

const DEFAULT: i64 = 1_209_600;

type Row<'r> = (&'r str, Value, &'r [i64]);

impl Recorded {
    /// Each condition finds tokens of these ttls.
    async fn assert_found<'r>(&self, rows: impl IntoIterator<Item = Row<'r>>) {
        for (case, condition, found) in rows {
            let query = format!("filter={}", percent(&json!({"where": condition}).to_string()));
            let expected = (found.to_vec(), found.len().to_string());
            assert_eq!(self.ttls(&query).await, expected, "{case} {condition}");
        }
    }
}

const ALL: &[i64] = &[-1, 60, 120, DEFAULT];

/// C23 to C33 and what the operators do beyond the transcript.
#[tokio::test]
async fn numbers() {
    let recorded = Recorded::new().await;
    let rows: [Row<'_>; 30] = [
        ("none", json!({}), ALL),
        ("none", json!(null), ALL),
        ("C23", json!({"ttl": 60}), &[60]),
        ("C24", json!({"ttl": "60"}), &[60]),
        ("C24", json!({"ttl": " 6e1"}), &[60]),
        ("C25", json!({"ttl": {"gt": 60}}), &[120, DEFAULT]),
        ("C25", json!({"ttl": {"gt": "59.5"}}), &[60, 120, DEFAULT]),
        ("C25", json!({"ttl": {"lt": 60.5}}), &[-1, 60]),
        ("C25", json!({"ttl": {"gt": 1e300}}), &[]),
        ("C25", json!({"ttl": {"lte": "Infinity"}}), ALL),
        ("B11 C26", json!({"ttl": {"gte": 60, "lt": 121}}), &[60, 120]),
        ("B11", json!({"ttl": {"gt": 60, "neq": 120, "inq": [60, 120, DEFAULT]}}), &[DEFAULT]),
        ("B11", json!({"ttl": {"gt": 60, "nope": 1}}), &[]),
        ("C27", json!({"ttl": {"between": [60, 120]}}), &[60, 120]),
        ("C27", json!({"ttl": {"between": {"0": "0", "1": "60"}}}), &[60]),
        ("C29", json!({"ttl": {"inq": [60, -1]}}), &[-1, 60]),
        ("C29", json!({"ttl": {"inq": ["60", "abc", null, {}, []]}}), &[60]),
        ("C29", json!({"ttl": {"inq": []}}), &[]),
        ("C31", json!({"ttl": {"nin": [60, -1]}}), &[120, DEFAULT]),
        ("C31", json!({"ttl": {"nin": []}}), ALL),
        ("C32", json!({"ttl": {"neq": 60}}), &[-1, 120, DEFAULT]),
        ("C32", json!({"ttl": {"eq": 60}}), &[60]),
        ("C33", json!({"ttl": "abc"}), &[]),
        ("C33", json!({"ttl": {"neq": "abc"}}), ALL),
        ("C33", json!({"ttl": {"gt": "NaN"}}), &[]),
        ("C33", json!({"ttl": 60.5}), &[]),
        ("C33", json!({"ttl": null}), &[]),
        ("C33", json!({"ttl": []}), &[]),
        ("C33", json!({"ttl": {}}), &[]),
        ("C33", json!({"ttl": {"options": "i"}}), &[]),
    ];
    recorded.assert_found(rows).await;
}

/// C34 to C42: lists of scopes, conditions joined, and what is unknown.
#[tokio::test]
async fn scopes_and_joined_conditions() {
    let recorded = Recorded::new().await;
    let (account, root_account) = (&recorded.account, &recorded.world.root_account);
    let rows: [Row<'_>; 29] = [
        ("C34", json!({"scopes": "read"}), &[60, 120]),
        ("C34", json!({"scopes": {"neq": "read"}}), &[-1, DEFAULT]),
        ("C34", json!({"scopes": {"inq": ["write", "x"]}}), &[120]),
        ("C34", json!({"scopes": {"nin": ["write"]}}), &[-1, 60, DEFAULT]),
        ("C34", json!({"scopes": ["read"]}), &[60]),
        ("C34", json!({"scopes": {"like": "rit"}}), &[120]),
        ("C34", json!({"scopes": {"gt": "read"}}), &[120]),
        ("B6 C35", json!({"scopes": null}), &[-1, DEFAULT]),
        ("B6 C35", json!({"scopes": {"neq": null}}), &[60, 120]),
        ("C36", json!({"or": [{"ttl": 60}, {"ttl": -1}]}), &[-1, 60]),
        ("C36", json!({"or": []}), &[]),
        ("C36", json!({"or": {"0": {"ttl": 60}, "1": {"ttl": 120}}}), &[60, 120]),
        ("C36", json!({"or": [{"ttl": 60}, {"ttl": -1}], "scopes": "read"}), &[60]),
        ("C37", json!({"and": [{"ttl": {"gt": 0}}, {"scopes": "write"}]}), &[120]),
        ("C37", json!({"and": []}), ALL),
        ("C39", json!({"userId": root_account}), &[]),
        ("C39", json!({"userId": account}), ALL),
        ("C40", json!({"or": [{"userId": root_account}, {"ttl": 60}]}), &[60]),
        ("C40", json!({"or": [{"userId": root_account}, {"id": &recorded.world.root[..22]}]}), &[]),
        ("C41", json!({"nope": 1}), &[]),
        ("C41", json!({"nope": {"neq": 1}}), &[]),
        ("C41", json!({"nor": [{"ttl": 60}]}), &[]),
        ("C41", json!({"digest": {"neq": ""}}), &[]),
        ("C41", json!({"__proto__": {"ttl": 60}}), &[]),
        ("C41", json!({"constructor": {"neq": 1}}), &[]),
        ("C42", json!({"ttl": {"nope": 60}}), &[]),
        ("C42", json!({"ttl": {"near": 60}}), &[]),
        ("C42", json!({"ttl": {"$gt": 0}}), &[]),
        ("C42", json!({"ttl": {"__proto__": 1}}), &[]),
    ];
    recorded.assert_found(rows).await;
}

/// C43, C44, C67: patterns and ids.
#[tokio::test]
async fn texts() {
    let recorded = Recorded::new().await;
    let ids: Vec<&str> = recorded.tokens.iter().map(|token| &token[..22]).collect();
    let rows: [Row<'_>; 20] = [
        ("C43", json!({"id": {"like": "%"}}), ALL),
        ("C43", json!({"id": {"like": &ids[1][3..9]}}), &[60]),
        ("C43", json!({"id": {"like": format!("{}%{}_", &ids[1][..3], &ids[1][10..21])}}), &[60]),
        ("C43", json!({"id": {"nlike": ids[1]}}), &[-1, 120, DEFAULT]),
        ("C43", json!({"id": {"like": ids[1].to_lowercase()}}), &[]),
        ("C43", json!({"id": {"like": ids[1].to_lowercase(), "options": "i"}}), &[60]),
        ("C43", json!({"id": {"ilike": ids[1].to_uppercase()}}), &[60]),
        ("C43", json!({"id": {"nilike": ids[1].to_uppercase()}}), &[-1, 120, DEFAULT]),
        ("C44", json!({"id": {"regexp": "^.{22}$"}}), ALL),
        ("C44", json!({"id": {"regexp": format!("/^{}$/i", ids[1].to_lowercase())}}), &[60]),
        ("C44", json!({"id": {"regexp": format!("^{}$", ids[1])}}), &[60]),
        ("C67", json!({"id": {"regexp": "^(a+)+!$"}}), &[]),
        ("id", json!({"id": ids[2]}), &[120]),
        ("id", json!({"id": &recorded.tokens[2]}), &[120]),
        ("id", json!({"id": {"inq": [&recorded.tokens[2], ids[0], ids[0], "x", 5]}}), &[-1, 120]),
        ("id", json!({"id": {"neq": &recorded.tokens[2]}}), &[-1, 60, DEFAULT]),
        ("id", json!({"id": &recorded.tokens[2], "ttl": 60}), &[]),
        ("id", json!({"id": null}), &[]),
        ("name", json!({"name": null}), ALL),
        ("name", json!({"name": {"like": "x"}}), &[]),
    ];
    recorded.assert_found(rows).await;
}

/// C46: a time is equal to what is shown of it, in milliseconds.
#[tokio::test]
async fn times() {
    let recorded = Recorded::new().await;
    let rows: [Row<'_>; 9] = [
        ("C46", json!({"created": {"gt": "2020-01-01"}}), ALL),
        ("C46", json!({"created": {"lt": "2020"}}), &[]),
        ("C46", json!({"created": "2026-11-21T10:00:01.500Z"}), &[60]),
        ("C46", json!({"created": {"gt": "2026-11-21T10:00:01.500Z"}}), &[120, DEFAULT]),
        ("C46", json!({"created": {"lte": "2026-11-21T11:00:01.500+01:00"}}), &[-1, 60]),
        ("C46", json!({"created": {"gte": 1_795_255_201_500_i64, "lt": 1_795_255_204_500_i64}}), &[60, 120]),
        ("C46", json!({"created": {"between": ["2026-11-21T10:00:01", "2026-11-21T10:00:02"]}}), &[60]),
        ("C46", json!({"created": {"neq": "2026-11-21T10:00:01.500Z"}}), &[-1, 120, DEFAULT]),
        ("C46", json!({"created": null}), &[]),
    ];
    recorded.assert_found(rows).await;
}

impl Recorded {
    /// Each filter is refused with this message.
    async fn assert_refused<'r>(&self, rows: impl IntoIterator<Item = (&'r str, Value, &'r str)>) {
        for (case, filter, message) in rows {
            let answer = self.filtered(&filter).await;
            assert_eq!(answer.json()["error"]["message"], json!(message), "{case} {filter}");
            answer.assert_loopback(400, "Error", message);
        }
    }

    /// Each clause of a property is refused for this reason.
    async fn assert_invalid<'r>(&self, rows: impl IntoIterator<Item = (&'r str, &'r str, &'r str, &'r str)>) {
        for (case, property, clause, why) in rows {
            let value: Value = serde_json::from_str(clause).unwrap();
            let shown: String = clause.chars().take(20).collect();
            let shown = if shown == clause { shown } else { format!("{shown}…") };
            let message = format!("The {property} property has invalid clause {shown}: {why}");
            self.assert_refused([(case, json!({"where": {property: value}}), message.as_str())]).await;
        }
    }
}

const NO_LIST: &str = "Error: Value is not an array or object with sequential numeric indices";

/// C05 to C07, C12, C18, C19, C38, C51 to C57, C59, C69.
#[tokio::test]
async fn refusals() {
    let recorded = Recorded::new().await;
    let refused = [
        ("C05", json!({"limit": -1}), "The limit parameter -1 is not valid"),
        ("C06", json!({"limit": "abc"}), r#"The limit parameter "abc" is not valid"#),
        ("C07", json!({"limit": 1.5}), "The limit parameter 1.5 is not valid"),
        ("C12", json!({"skip": -1}), "The offset/skip parameter -1 is not valid"),
        ("C18", json!({"order": "ttl SIDEWAYS"}), r#"The order "ttl SIDEWAYS" has invalid direction"#),
        ("C19", json!({"order": 5}), "The order 5 is not valid"),
        ("C19", json!({"order": {"ttl": 5}}), r#"The order {"ttl":5} is not valid"#),
        ("C19", json!({"order": {"a": "ASC", "b": ""}}), r#"The order {"a":"ASC","b":""} is not valid"#),
        ("C38", json!({"where": {"and": []}, "limit": -1}), "The limit parameter -1 is not valid"),
        ("C38", json!({"where": {"or": [5]}}), "The where clause 5 is not an object"),
        ("C38", json!({"where": {"or": [null]}}), "The where clause null is not an object"),
        ("C57", json!({"where": "ttl=60"}), r#"The where clause "ttl=60" is not an object"#),
        ("C57", json!({"where": []}), "The where clause [] is not an object"),
        ("B6 C59", json!({"include": "nope"}), r#"Relation "nope" is not defined for AccessToken model"#),
    ];
    recorded.assert_refused(refused).await;
    let no_list = &NO_LIST["Error: ".len()..];
    let message = format!(r#"The or operator has invalid clauses {{"ttl":60}}: {no_list}"#);
    recorded.assert_refused([("C38", json!({"where": {"or": {"ttl": 60}}}), message.as_str())]).await;
    for query in ["filter={bad", "filter=5", "filter=[]", "filter={}&filter={}", "filter[]=1", "filter=%FF"] {
        recorded.get(query).await.assert_loopback(400, "Error", "Value is not an object.");
    }
    let both = recorded.get("filter={}&filter[limit]=1").await;
    both.assert_loopback(400, "Error", "The parameter filter is given in two ways");

    let too_deep = json!({"error": {"statusCode": 400, "name": "Error", "code": "QUERY_OBJECT_TOO_DEEP",
        "message": "The query object exceeds maximum depth 12"}});
    let nested = (1..13).fold(json!({"ttl": 60}), |inner, _| json!({"and": [inner]}));
    recorded.filtered(&json!({"where": nested})).await.assert(400, too_deep.clone());
    recorded.get(&format!("filter[where]{}=1", "[and][0]".repeat(20))).await.assert(400, too_deep);
}

/// C28, C30, C45, C47: operators and what they cannot be given.
#[tokio::test]
async fn invalid_clauses() {
    let recorded = Recorded::new().await;
    let long = format!(r#"{{"like":"{}"}}"#, "a".repeat(257));
    let unreadable =
        "The regular expression cannot be read; look-around and back-references are not supported";
    let large = "The regular expression is too large once its repetitions are written out";
    let rows = [
        ("C28", "ttl", r#"{"between":[60]}"#, "Expected precisely 2 values, received 1"),
        ("C30", "ttl", r#"{"inq":60}"#, NO_LIST),
        ("C30", "ttl", r#"{"nin":{"1":60}}"#, NO_LIST),
        ("C30", "ttl", r#"{"inq":{}}"#, "Error: Value is an empty object"),
        ("B12 C45", "id", r#"{"regexp":"("}"#, unreadable),
        ("B12", "id", r#"{"regexp":"(?=a)"}"#, unreadable),
        ("B12", "id", r#"{"regexp":"/a/x"}"#, "The flags of a regular expression are g, i and m"),
        ("B12", "id", r#"{"regexp":"a{9999}"}"#, large),
        ("B12", "id", &long, "The pattern has more than 256 characters"),
        ("like", "id", r#"{"like":5}"#, "Expected a string or RegExp"),
        ("like", "ttl", r#"{"like":"6"}"#, "Only texts match patterns"),
        ("B6 C47", "created", r#"{"gt":"nope"}"#, "Expected a date"),
        ("B6 C47", "created", r#"{"inq":["2020",{}]}"#, "Expected a date"),
        ("B6 C47", "created", "[]", "Expected a date"),
    ];
    recorded.assert_invalid(rows).await;
}

/// C03, C19, C36, C48 to C50, C60, C61, C70, C73: the same in brackets. A denial comes before anything that a filter
/// says (C62 to C64).
#[tokio::test]
async fn brackets() {
    let recorded = Recorded::new().await;
    let many: String = (50..72).map(|ttl| format!("&filter[where][ttl][inq][{}]={ttl}", ttl - 50)).collect();
    let id = &recorded.tokens[1][..22];
    let date = percent("2026-11-21T10:00:01.500Z");
    for (case, query, found, total) in [
        ("C03", "filter[limit]=1&filter[order]=ttl%20ASC".to_owned(), &[-1][..], 4),
        ("C10", "filter[skip]=1&filter[limit]=2".into(), &[60, 120], 4),
        ("C19", "filter[order][ttl]=ASC".into(), &[-1, 60, 120, DEFAULT], 4),
        ("C16", "filter[order][0]=ttl+DESC&filter[order][1]=id".into(), &[DEFAULT, 120, 60, -1], 4),
        ("C16", "filter[order][]=ttl+DESC&filter[order][]=id".into(), &[DEFAULT, 120, 60, -1], 4),
        ("C24", "filter[where][ttl]=60".into(), &[60], 1),
        ("C24", "filter%5Bwhere%5D%5Bttl%5D=60".into(), &[60], 1),
        ("C48", "filter[where][ttl][gt]=60".into(), &[120, DEFAULT], 2),
        ("C49", "filter[where][or][0][ttl]=60&filter[where][or][1][ttl]=-1".into(), &[-1, 60], 2),
        ("C49", "filter[where][or][1][ttl]=60&filter[where][or][10][ttl]=-1".into(), &[-1, 60], 2),
        ("C50", many, &[60], 1),
        ("C34", "filter[where][scopes][inq][]=write&filter[where][scopes][inq][]=x".into(), &[120], 1),
        ("C34", "filter[where][scopes]=read&filter[where][ttl]=60".into(), &[60], 1),
        ("id", format!("filter[where][id]={id}"), &[60], 1),
        (
            "C43",
            format!("filter[where][id][like]={}&filter[where][id][options]=i", id.to_lowercase()),
            &[60],
            1,
        ),
        ("C46", format!("filter[where][created][gt]={date}"), &[120, DEFAULT], 2),
        ("C60", "filter[deleted]=true".into(), &[-1, 60, 120, DEFAULT], 4),
        ("C61", "filter[__proto__][limit]=1".into(), &[-1, 60, 120, DEFAULT], 4),
        ("C65", "callback=steal&filter[limit]=1&filter[order]=ttl%20ASC".into(), &[-1], 4),
        ("C09", "filter[limit]=&filter[where]=&filter[order]=".into(), &[-1, 60, 120, DEFAULT], 4),
    ] {
        assert_eq!(recorded.ttls(&query).await, (found.to_vec(), total.to_string()), "{case} {query}");
    }
    recorded.get("filter[limit][gt]=1").await.assert_loopback(
        400,
        "Error",
        "The limit parameter {\"gt\":\"1\"} is not valid",
    );

    let call =
        recorded.world.get(&format!("{}?filter[fields]=ttl", recorded.path)).bearer(&recorded.world.root);
    let with_body = call.json(&json!({"limit": 1})).await;
    assert_eq!(with_body.json().as_array().unwrap().len(), 4, "C73: the body is nobody's filter");
    let head = format!("{}?filter[where][ttl]=60", recorded.path);
    let head = recorded.world.call("HEAD", &head).bearer(&recorded.world.root).send().await;
    assert_eq!(
        (head.status.as_u16(), head.header("x-total-count"), head.body.as_str()),
        (200, "1", ""),
        "G08"
    );
    for bad in ["filter={bad", "filter[where][ttl][inq]=5"] {
        let stranger = recorded.world.get(&format!("{}?{bad}", recorded.path)).send().await;
        assert_eq!(stranger.status, 401, "{bad}");
    }
}

/// C01, C04, C10 to C17, and a page of what a condition finds.
#[tokio::test]
async fn order_and_pages() {
    let recorded = Recorded::new().await;
    let mut by_id: Vec<_> =
        recorded.tokens.iter().map(|token| &token[..22]).zip([-1, 60, 120, DEFAULT]).collect();
    by_id.sort_unstable();
    let by_id: Vec<i64> = by_id.into_iter().map(|(_, ttl)| ttl).collect();
    for (case, filter, found, total) in [
        ("B10 C01", json!({}), &[-1, 60, 120, DEFAULT][..], 4),
        ("C04", json!({"limit": 0}), &[-1, 60, 120, DEFAULT], 4),
        ("C13", json!({"skip": 99}), &[], 4),
        ("C10", json!({"skip": 1, "order": "ttl ASC"}), &[60, 120, DEFAULT], 4),
        ("C11", json!({"offset": 1, "order": "ttl ASC"}), &[60, 120, DEFAULT], 4),
        ("C15", json!({"order": "ttl DESC"}), &[DEFAULT, 120, 60, -1], 4),
        ("C16", json!({"order": ["ttl desc", "id"]}), &[DEFAULT, 120, 60, -1], 4),
        ("C16", json!({"order": "scopes desc, ttl desc"}), &[120, 60, DEFAULT, -1], 4),
        ("C17", json!({"order": "nope DESC"}), &[-1, 60, 120, DEFAULT], 4),
        ("C19", json!({"order": [{"ttl": "desc"}]}), &[DEFAULT, 120, 60, -1], 4),
        ("order", json!({"order": "created DESC"}), &[DEFAULT, 120, 60, -1], 4),
        ("order", json!({"order": "id"}), &by_id, 4),
        ("order", json!({"order": "userId, ttl DESC"}), &[DEFAULT, 120, 60, -1], 4),
        ("page", json!({"where": {"ttl": {"gt": 0}}, "limit": 1}), &[60], 3),
        ("page", json!({"where": {"ttl": {"gt": 0}}, "limit": 1, "skip": 2}), &[DEFAULT], 3),
        (
            "page",
            json!({"where": {"ttl": {"gt": 0}}, "order": "ttl DESC", "limit": 2, "skip": 1}),
            &[120, 60],
            3,
        ),
        ("page", json!({"where": {"ttl": {"gt": 0}}, "order": "ttl DESC", "skip": 1e18}), &[], 3),
    ] {
        let query = format!("filter={}", percent(&filter.to_string()));
        assert_eq!(recorded.ttls(&query).await, (found.to_vec(), total.to_string()), "{case} {filter}");
    }
}

/// C20 to C22, C58, C71.
#[tokio::test]
async fn fields() {
    let recorded = Recorded::new().await;
    let first = |scopes: bool| {
        let token = json!({"id": &recorded.tokens[1][..22], "ttl": 60, "created": "2026-11-21T10:00:01.500Z",
            "userId": &recorded.account, "scopes": ["read"]});
        let mut token = token.as_object().unwrap().clone();
        token.retain(|name, _| scopes || name != "scopes");
        token
    };
    let without = |name: &str| {
        let mut token = first(true);
        token.remove(name);
        Value::Object(token)
    };
    for (case, query, shown) in [
        ("C20", r#"filter={"fields":{"ttl":true},"where":{"ttl":60}}"#, json!({"ttl": 60})),
        ("C21", r#"filter={"fields":{"id":false},"where":{"ttl":60}}"#, without("id")),
        ("C22", r#"filter={"fields":["nope"],"where":{"ttl":60}}"#, json!({})),
        ("S6", "filter[fields][id]=false&filter[where][ttl]=60", without("id")),
        ("S6", "filter[fields][ttl]=true&filter[fields][id]=false&filter[where][ttl]=60", json!({"ttl": 60})),
        ("C73", "filter[fields]=ttl&filter[where][ttl]=60", json!({"ttl": 60})),
        (
            "C04",
            "filter[fields][]=ttl&filter[fields][]=scopes&filter[where][ttl]=60",
            json!({"ttl": 60, "scopes": ["read"]}),
        ),
        ("none", r#"filter={"fields":[],"where":{"ttl":60}}"#, Value::Object(first(true))),
        ("none", r#"filter={"fields":{},"where":{"ttl":60}}"#, Value::Object(first(true))),
    ] {
        let query: String = query.replace('{', "%7B").replace('}', "%7D").replace('"', "%22");
        recorded.get(&query).await.assert(200, json!([shown]));
        assert_eq!(recorded.get(&query).await.header("x-total-count"), "1", "{case}");
    }
}

/// A token does not become a way to look into accounts of others, and the expired are not listed.
#[tokio::test]
async fn a_filter_widens_nothing() {
    let recorded = Recorded::new().await;
    let own = &recorded.tokens[0];
    for query in [
        format!(
            "filter[where][or][0][userId]={}&filter[where][or][1][ttl][neq]=5",
            recorded.world.root_account
        ),
        format!("filter[where][id]={}", recorded.world.root),
    ] {
        let answer = recorded.world.get(&format!("{}?{query}", recorded.path)).bearer(own).send().await;
        assert!(!answer.body.contains(&recorded.world.root[..22]), "{answer:?}");
        assert_eq!(answer.status, 200);
    }
    recorded.world.clock.advance(Duration::from_secs(100));
    let live = &[-1, 120, DEFAULT][..];
    assert_eq!(recorded.ttls("filter[where][ttl][neq]=5").await, (live.to_vec(), "3".into()));
    let expired = &recorded.tokens[1];
    assert_eq!(recorded.ttls(&format!("filter[where][id]={expired}")).await, (vec![], "0".into()));
}
