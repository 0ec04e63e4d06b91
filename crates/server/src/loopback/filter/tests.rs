//! What filters mean, and what they may not say. What they find is tested through the whole server, in `wires`.

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// The filter in a query, or the message of the refusal.
fn read(query: &str) -> Result<Filter, String> {
    Filter::of_query(query).map_err(|failure| match failure {
        Failure::Malformed(message) => message,
        other => format!("{other:?}"),
    })
}

fn of_json(filter: &str) -> Result<Filter, String> {
    let query: String =
        form_urlencoded::Serializer::new(String::new()).append_pair("filter", filter).finish();
    read(&query)
}

fn part(filter: &str) -> Result<(u64, u32), String> {
    of_json(filter).map(|filter| (filter.list.offset, filter.list.limit))
}

/// Cases C02 to C13, C52, C55, C70.
#[test]
fn limit_and_skip() {
    for (filter, rows) in [
        ("{}", (0, 100)),
        ("", (0, 100)),
        ("null", (0, 100)),
        (r#"{"limit":1}"#, (0, 1)),
        (r#"{"limit":"1"}"#, (0, 1)),
        (r#"{"limit":0}"#, (0, 100)),
        (r#"{"limit":"","skip":""}"#, (0, 100)),
        (r#"{"limit":null,"where":null}"#, (0, 100)),
        (r#"{"limit":1000000000}"#, (0, 100)),
        (r#"{"skip":1}"#, (1, 100)),
        (r#"{"offset":1,"limit":2}"#, (1, 2)),
        (r#"{"offset":1,"skip":2}"#, (2, 100)),
        (r#"{"skip":99}"#, (99, 100)),
        (r#"{"deleted":true,"nope":{"a":1},"__proto__":{"limit":1},"constructor":1}"#, (0, 100)),
    ] {
        assert_eq!(part(filter), Ok(rows), "{filter}");
    }
    let limit = |value: &str| Err(format!("The limit parameter {value} is not valid"));
    assert_eq!(part(r#"{"limit":-1}"#), limit("-1"));
    assert_eq!(part(r#"{"limit":"abc"}"#), limit(r#""abc""#));
    assert_eq!(part(r#"{"limit":1.5}"#), limit("1.5"));
    assert_eq!(part(r#"{"limit":{"gt":"1"}}"#), limit(r#"{"gt":"1"}"#));
    assert_eq!(part(r#"{"skip":-1}"#), Err("The offset/skip parameter -1 is not valid".into()));
    let long = format!(r#"{{"limit":"{}"}}"#, "x".repeat(64));
    assert_eq!(part(&long), limit(&format!("\"{}…", "x".repeat(19))));
}

/// Cases C51 to C56.
#[test]
fn what_is_no_filter_is_refused() {
    for filter in ["{bad", "5", "[]", "\"x\"", r#"{"limit":1,"limit":2}"#] {
        assert_eq!(part(filter), Err("Value is not an object.".into()), "{filter}");
    }
    for query in
        ["filter={}&filter={}", "filter={}&filter[]=1", "filter[]=1", "filter=%", "filter[limit]=%FF"]
    {
        assert_eq!(read(query).unwrap_err(), "Value is not an object.", "{query}");
    }
    for query in
        ["filter={}&filter[limit]=1", "filter[limit=1", "filter[limit]]=1", "filter[where][or][][ttl]=1"]
    {
        assert!(read(query).unwrap_err().starts_with("The parameter filter "), "{query}");
    }
    for query in ["", "&", "callback=steal&_format=xml&access_token=x", "x=%&filters=1&xfilter[limit]=-1"] {
        assert!(read(query).is_ok_and(|filter| filter.list.condition.is_everything()), "{query}");
    }
}

/// C69 and design 5, invariant 9.
#[test]
fn everything_has_a_bound() {
    let nested = |levels: usize| {
        let inner = r#"{"ttl":60}"#;
        let (open, close) = (r#"{"and":["#.repeat(levels - 1), "]}".repeat(levels - 1));
        format!(r#"{{"where":{open}{inner}{close}}}"#)
    };
    assert!(of_json(&nested(12)).is_ok());
    for filter in [&nested(13), &nested(40), &"[".repeat(10_000)] {
        assert_eq!(of_json(filter).unwrap_err(), "QueryTooDeep");
    }
    let many = |part: String, times: usize| vec![part; times].join(",");
    let clauses = |times| format!(r#"{{"where":{{"or":[{}]}}}}"#, many(r#"{"ttl":1}"#.into(), times));
    assert!(of_json(&clauses(32)).is_ok());
    assert_eq!(of_json(&clauses(33)).unwrap_err(), "The filter has more than 64 conditions");
    let values = |times| format!(r#"{{"where":{{"ttl":{{"inq":[{}]}}}}}}"#, many("1".into(), times));
    assert!(of_json(&values(500)).is_ok());
    assert_eq!(of_json(&values(501)).unwrap_err(), "The filter has more than 500 values in lists");
    let pattern = r#"{"id":{"like":"a"}}"#;
    let patterns = |times| format!(r#"{{"where":{{"or":[{}]}}}}"#, many(pattern.into(), times));
    assert!(of_json(&patterns(4)).is_ok());
    assert_eq!(of_json(&patterns(5)).unwrap_err(), "The filter has more than 4 patterns");
}

/// C58, C59, C71, C72.
#[test]
fn include() {
    let user = |include: Value| of_json(&json!({"include": include}).to_string()).map(|filter| filter.user);
    for none in [json!(null), json!(""), json!([]), json!({}), json!(false)] {
        assert_eq!(user(none.clone()), Ok(None), "{none}");
    }
    for all in [
        json!("user"),
        json!(["user"]),
        json!([["user"], []]),
        json!({"relation": "user"}),
        json!([{"relation": "user", "scope": {"where": {}}}]),
        json!({"user": "accessTokens"}),
    ] {
        assert_eq!(user(all.clone()), Ok(Some(Fields::All)), "{all}");
    }
    let some = user(json!({"relation": "user", "scope": {"fields": ["id", "password"]}}));
    assert_eq!(some, Ok(Some(Fields::read(&json!(["id", "password"])))));
    let unknown = |name: &str| Err(format!("Relation {name} is not defined for AccessToken model"));
    assert_eq!(user(json!("nope")), unknown("\"nope\""));
    assert_eq!(user(json!(["user", "nope"])), unknown("\"nope\""));
    assert_eq!(user(json!({"user": {}, "toString": 1})), unknown("\"toString\""));
    assert_eq!(user(json!(5)), Err("The include 5 is not valid".into()));
    assert!(read("filter[include]=user").is_ok_and(|filter| filter.user.is_some()));
}

/// What a filter is made of, and what it never should be.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => proptest::sample::select(vec![
            "where", "order", "fields", "limit", "skip", "offset", "include", "deleted", "and", "or", "id", "ttl",
            "scopes", "created", "userId", "name", "user", "relation", "scope", "gt", "gte", "lt", "lte", "between",
            "inq", "nin", "neq", "eq", "like", "nlike", "ilike", "nilike", "options", "regexp", "near", "__proto__",
            "constructor", "0", "1", "2", "99999999999", "ttl DESC", "i", "/x/i", "(", "%a_", "2020-01-01", "-1", "60",
        ]).prop_map(str::to_owned),
        1 => ".{0,12}",
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 16, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((word(), inner), 0..4)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// A filter is read or refused, whatever it says: nothing in it is a fault of ours.
    #[test]
    fn any_json_is_read_or_refused(entries in proptest::collection::vec((word(), value()), 0..4)) {
        let filter = Value::Object(entries.into_iter().collect());
        let _ = of_json(&filter.to_string());
    }

    #[test]
    fn any_brackets_are_read_or_refused(
        pairs in proptest::collection::vec((proptest::collection::vec(word(), 0..5), word()), 0..5),
        noise in "[a-z%&=\\[\\]+0-9]{0,10}",
    ) {
        let name = |path: Vec<String>| path.iter().map(|part| format!("[{part}]")).collect::<String>();
        let pairs: String = pairs.into_iter().map(|(path, text)| format!("filter{}={text}&", name(path))).collect();
        let _ = read(&format!("{pairs}filter{noise}"));
    }
}
