//! Requests that nobody sends by accident: each is answered in the shape of its wire, soon, while others are served as
//! ever, and nothing has changed by any of them.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::connection::{Answer, Connection};
use crate::manager::{Entry, Issued, Listed, Manager, tokens};
use crate::random::Random;
use crate::request::{Request, Shape};
use crate::server::{Data, Launch, TOKEN};

/// Longest time until the answer, and until others have theirs.
const SOON: Duration = Duration::from_millis(100);
/// How often a request may be sent to be answered so soon: the machine has other work.
const TRIES: u32 = 5;
/// How long the machine is left alone before the second try; before the third, twice as long; and so on.
const PAUSE: Duration = Duration::from_millis(50);
/// How many tokens the account has, for patterns to run over.
const TOKENS: usize = 300;
/// A body that is far too large.
const HUGE: usize = 10_000_000;
/// Where a head is too large, as the server says (431).
const LARGEST_HEAD: usize = 64 * 1024;

const ACCESS_TOKENS: &str = "/v1/Accounts/me/accessTokens";
const LOGIN: &str = "/v1/Accounts/login";
const ACCOUNTS_V4: &str = "/client/v4/accounts";

#[test]
fn is_answered_in_shape_and_soon_and_changes_nothing() {
    let data = Data::new();
    let server = Launch::new(&data).without_login_limits().start();
    // The one change that comes by itself.
    server.wait_for_keys();
    let mut manager = Manager::connect(server.address());
    let some = fill(&mut manager);
    let service = manager.issue("a service token").expect("issued");
    let mut neighbour = Neighbour { door: Manager::connect(server.address()), token: service.clone() };
    let before = Everything::seen_by(&mut manager);
    let table = [
        deep_nesting(&service.id),
        prototype_keys(),
        operators_for_ids(),
        patterns(&some),
        conflicting_credentials(&some[0]),
        large_bodies(&service.id),
        large_heads(),
        many_parameters(),
        large_numbers(&service.id),
        invalid_utf8(&service.id),
    ];
    let rows = table.into_iter().flatten();
    let failures: Vec<_> = rows.filter_map(|row| row.fails(server.address(), &mut neighbour)).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(Everything::seen_by(&mut manager) == before, "something has changed");
}

/// Makes tokens with names that are all alike to a pattern, and none like another.
fn fill(manager: &mut Manager) -> Vec<String> {
    let mut random = Random::seeded(67);
    let mut name = || (0..350).map(|_| *random.one_of(&['a', 'b'])).collect::<String>();
    let mut make = || manager.done("POST", ACCESS_TOKENS, json!({ "ttl": 3600, "name": name() }));
    (0..TOKENS).map(|_| make()["id"].as_str().expect("an id").to_owned()).collect()
}

/// All that there is, and all that was ever done.
#[derive(PartialEq)]
struct Everything {
    account: Value,
    access_tokens: Vec<Value>,
    service_tokens: Vec<Listed>,
    audit: Vec<Entry>,
}

impl Everything {
    fn seen_by(manager: &mut Manager) -> Self {
        let mut access_tokens = Vec::new();
        // The root token, too.
        while access_tokens.len() <= TOKENS {
            let page = format!("{ACCESS_TOKENS}?filter[skip]={}", access_tokens.len());
            let page = manager.done("GET", &page, Value::Null);
            let page = page.as_array().filter(|page| !page.is_empty());
            access_tokens.extend_from_slice(page.expect("more tokens"));
        }
        Self {
            account: manager.done("GET", "/v1/Accounts/me", Value::Null),
            access_tokens,
            service_tokens: manager.list(),
            audit: manager.audit_after(0),
        }
    }
}

/// Somebody else, who knocks at the door all the while.
struct Neighbour {
    door: Manager,
    token: Issued,
}

impl Neighbour {
    /// How long it waits for its answer.
    fn knock(&mut self) -> Duration {
        let begun = Instant::now();
        assert_eq!(self.door.knock(&self.token.client_id, &self.token.secret), 200, "the neighbour");
        begun.elapsed()
    }
}

/// What became of a request.
struct Tried {
    /// Whether all of it was taken.
    sent: io::Result<()>,
    answer: io::Result<Answer>,
    took: Duration,
    /// The longest that the neighbour waited meanwhile.
    waited: Duration,
}

impl Tried {
    fn once(server: SocketAddr, request: &[u8], neighbour: &mut Neighbour) -> Self {
        let mut connection = Connection::open(server).expect("a connection");
        thread::scope(|scope| {
            let asking = scope.spawn(move || {
                let begun = Instant::now();
                let sent = connection.send_bytes(request);
                (sent, connection.answer(false), begun.elapsed())
            });
            let mut waited = neighbour.knock();
            while !asking.is_finished() {
                waited = waited.max(neighbour.knock());
            }
            let (sent, answer, took) = asking.join().expect("an answer or none");
            Self { sent, answer, took, waited: waited.max(neighbour.knock()) }
        })
    }

    /// What is wrong with it, however long it took.
    fn fault(&self, shape: Shape, status: u16) -> Option<String> {
        match (&self.answer, &self.sent) {
            (Err(error), _) => Some(format!("no answer: {error}")),
            (Ok(answer), _) if answer.status != status => Some(format!("not {status}: {}", begin(answer))),
            (Ok(answer), _) if !shape.is_of(answer) => Some(format!("not like {shape:?}: {}", begin(answer))),
            // Many clients, and nginx, look for no answer to a request that they could not send to its end.
            (Ok(_), Err(error)) if shape != Shape::Nothing => Some(format!("{status}, but cut off: {error}")),
            (Ok(_), _) => None,
        }
    }
}

fn begin(answer: &Answer) -> String {
    format!("{answer:?}").chars().take(500).collect()
}

/// A row of the table.
struct Row {
    name: String,
    request: Request,
    status: u16,
}

impl Row {
    /// How it fails.
    fn fails(&self, server: SocketAddr, neighbour: &mut Neighbour) -> Option<String> {
        let bytes = self.request.bytes();
        let (mut took, mut waited) = (Duration::MAX, Duration::MAX);
        for tries in 0..TRIES {
            thread::sleep(PAUSE * tries);
            let tried = Tried::once(server, &bytes, neighbour);
            if let Some(fault) = tried.fault(self.request.shape, self.status) {
                return Some(format!("{}: {fault}", self.name));
            }
            (took, waited) = (took.min(tried.took), waited.min(tried.waited));
            if took.max(waited) < SOON {
                break;
            }
        }
        let told = format!("{}: {} after {took:?}, others after {waited:?}", self.name, self.status);
        println!("{told}");
        (took.max(waited) >= SOON).then_some(told)
    }
}

fn row(name: impl Into<String>, request: Request, status: u16) -> Row {
    Row { name: name.into(), request, status }
}

fn table<const ROWS: usize>(rows: [(&str, Request, u16); ROWS]) -> Vec<Row> {
    rows.into_iter().map(|(name, request, status)| row(name, request, status)).collect()
}

fn get(target: impl AsRef<[u8]>) -> Request {
    Request::new("GET", target)
}

fn post(target: &str, body: &str) -> Request {
    Request::new("POST", target).body(body)
}

fn patch(body: &str) -> Request {
    Request::new("PATCH", "/v1/Accounts/me").body(body)
}

/// For one more access token.
fn token(body: &str) -> Request {
    post(ACCESS_TOKENS, body)
}

/// For one more service token.
fn service(body: &str) -> Request {
    post(&tokens(), body)
}

/// For access tokens.
fn list(query: &str) -> Request {
    get(format!("{ACCESS_TOKENS}?{query}"))
}

fn filter(filter: &Value) -> Request {
    list(&format!("filter={}", encoded(&filter.to_string())))
}

/// For service tokens.
fn list_v4(query: &str) -> Request {
    get(format!("{}?{query}", tokens()))
}

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Every operation that reads a body, with a name.
fn operations(service_token: &str) -> impl Iterator<Item = (&'static str, Request)> {
    let one = format!("{}/{service_token}", tokens());
    let operations = [
        ("create an access token", "POST", ACCESS_TOKENS.to_owned()),
        ("change an account", "PATCH", "/v1/Accounts/me".into()),
        ("create an account", "POST", "/v1/Accounts".into()),
        ("log in", "POST", LOGIN.into()),
        ("impersonate", "POST", "/v1/Accounts/impersonate".into()),
        ("change a password", "POST", "/v1/Accounts/change-password".into()),
        ("create an organization", "POST", "/v1/Accounts/me/organizations".into()),
        ("issue a service token", "POST", tokens()),
        ("rotate a service token", "POST", format!("{one}/rotate")),
        ("refresh a service token", "POST", format!("{one}/refresh")),
        ("change a service token", "PUT", one),
    ];
    operations.into_iter().map(|(name, method, target)| (name, Request::new(method, target)))
}

fn nested(open: &str, close: &str, levels: usize) -> String {
    format!(r#"{{"x":{}1{}}}"#, open.repeat(levels), close.repeat(levels))
}

fn deep_nesting(service_token: &str) -> Vec<Row> {
    let clauses = |levels| (0..levels).fold(json!({}), |inner, _| json!({ "and": [inner] }));
    let brackets = |name: &str, levels: usize| format!("{name}{}=1", "[and][0]".repeat(levels));
    let custom = format!(r#"{{"custom":{}}}"#, nested("[", "]", 40));
    let mut rows = table([
        ("deep lists in custom", patch(&custom), 400),
        ("deep clauses", filter(&json!({ "where": clauses(20) })), 400),
        ("very deep clauses", filter(&json!({ "where": clauses(60) })), 400),
        ("deep brackets", list(&brackets("filter[where]", 20)), 400),
        ("very deep brackets", list(&brackets("filter", 7_000)), 400),
        ("deep brackets beside a filter", list(&brackets("x", 7_000)), 200),
        ("deep brackets in a form", Request::form(ACCESS_TOKENS, brackets("ttl", 12_000)), 400),
        ("open brackets", list(&format!("filter{}", "[".repeat(50_000))), 400),
        ("deep brackets in a search", list_v4(&brackets("search", 7_000)), 200),
    ]);
    for (name, request) in operations(service_token) {
        let lists = request.clone().body(nested("[", "]", 50_000));
        rows.push(row(format!("deep lists: {name}"), lists, 400));
        let objects = request.body(nested(r#"{"x":"#, "}", 15_000));
        rows.push(row(format!("deep objects: {name}"), objects, 400));
    }
    rows
}

/// Where such a key would be passed over, with something wrong beside it: nothing shall change.
fn prototype_keys() -> Vec<Row> {
    let of_all = r#""__proto__":{"ttl":60},"constructor":{"prototype":{"ttl":60}}"#;
    let form = |body: &str| Request::form(ACCESS_TOKENS, body);
    let custom = r#"{"custom":{"__proto__":{"disabled":true}},"locale":{"__proto__":"x"}}"#;
    let login = r#"{"__proto__":{"email":"root@localhost","password":"x"}}"#;
    let address = r#"{"email":{"__proto__":"root@localhost"},"password":"x"}"#;
    let clause = json!({ "constructor": { "prototype": { "gt": 0 } }, "ttl": { "__proto__": 1 } });
    let fields = json!({ "fields": ["__proto__", "constructor"], "order": "__proto__ DESC" });
    let name = r#"{"__proto__":{"name":"x"},"constructor":{"prototype":{"name":"x"}}}"#;
    table([
        ("a ttl of all objects", token(&format!(r#"{{{of_all},"ttl":"x"}}"#)), 422),
        ("a prototype for a ttl", token(r#"{"ttl":{"__proto__":60}}"#), 422),
        ("a prototype for scopes", token(r#"{"scopes":{"__proto__":["a"],"length":1}}"#), 400),
        ("a prototype twice", token(r#"{"__proto__":1,"__proto__":2}"#), 400),
        ("a ttl of all forms", form("__proto__[ttl]=60&constructor[prototype][ttl]=60&ttl=x"), 422),
        ("a prototype for a ttl in a form", form("ttl[__proto__]=60"), 422),
        ("prototypes in custom", patch(custom), 422),
        ("a prototype for custom", patch(r#"{"__proto__":{"custom":{}},"custom":"__proto__"}"#), 422),
        ("a login of all objects", post(LOGIN, login), 400),
        ("a prototype for an address", post(LOGIN, address), 400),
        ("a limit of all objects", list("filter[__proto__][limit]=1"), 200),
        ("a prototype for a property", list("filter[where][__proto__][ttl]=3600"), 200),
        ("a prototype for an operator", list("filter[where][ttl][constructor]=3600"), 200),
        ("prototypes in a clause", filter(&json!({ "where": clause })), 200),
        ("prototypes for fields", filter(&fields), 200),
        ("a prototype for a relation", filter(&json!({ "include": "__proto__" })), 400),
        ("a name of all objects", service(name), 400),
        ("a prototype for a name", service(r#"{"name":{"__proto__":"x"}}"#), 400),
    ])
}

fn operators_for_ids() -> Vec<Row> {
    let end = |path: &str| Request::new("DELETE", format!("{ACCESS_TOKENS}{path}"));
    let mut rows = table([
        ("operators beside an id", end("/x?fk[neq]=&id[neq]=&where[id][neq]="), 404),
        ("a filter for an id", end("?filter[where][ttl][gt]=0"), 404),
    ]);
    for id in [
        r#"{"neq":""}"#,
        r#"{"gt":""}"#,
        r#"{"like":"%"}"#,
        r#"{"inq":[""]}"#,
        r#"{"$ne":null}"#,
        r#"{"where":{"id":{"neq":""}}}"#,
        "[object Object]",
        "null",
        "*",
        "%",
        "' OR '1'='1",
        "\0",
        "..",
    ] {
        // In a path a space is no `+`.
        let escaped = encoded(id).replace('+', "%20");
        let end_service = Request::new("DELETE", format!("{}/{escaped}", tokens()));
        let service_of = get(format!("{ACCOUNTS_V4}/{escaped}/access/service_tokens"));
        rows.push(row(format!("{id:?} for an access token"), end(&format!("/{escaped}")), 404));
        rows.push(row(
            format!("{id:?} for an account"),
            get(format!("/v1/Accounts/{escaped}/accessTokens")),
            401,
        ));
        rows.push(row(format!("{id:?} for a service token"), end_service, 404));
        rows.push(row(format!("{id:?} for an account, v4"), service_of, 403));
    }
    rows
}

/// Each finds nothing, so that all names are looked at.
fn patterns(some: &[String]) -> Vec<Row> {
    let one = |operator: &str, pattern: &str| filter(&json!({ "where": { "name": { operator: pattern } } }));
    let clause = |pattern: &str| json!({ "name": { "regexp": pattern } });
    let several = |count: usize, pattern: &str| {
        let clauses: Vec<_> = (0..count).map(|_| clause(pattern)).collect();
        filter(&json!({ "where": { "or": clauses } }))
    };
    // What it has seen is another set of states for every text: too many to remember.
    let (short, long) = ("(a|b)*a(a|b){40}c", "(a|b)*a(a|b){200}c");
    let of_some = json!({ "where": { "id": { "inq": some }, "or": [clause(short), clause(long)] } });
    let mut rows = table([
        ("regexp of 257 characters", one("regexp", &"a".repeat(257)), 400),
        ("regexp of 20 kB", one("regexp", &"(a+)+".repeat(4_000)), 400),
        (
            "regexp of deep groups",
            one("regexp", &["(".repeat(100), "a".into(), ")+".repeat(75)].concat()),
            400,
        ),
        ("five patterns", several(5, "a"), 400),
        ("like with 50 wildcards", one("like", &format!("{}!", "%a".repeat(50))), 200),
        ("like with 128 wildcards", one("like", &"%a".repeat(128)), 400),
        ("like of 257 characters", one("like", &"%a".repeat(129)), 400),
        ("like of nested quantifiers", one("like", "(a+)+$!"), 200),
        ("nlike of 256 wildcards", one("nlike", &"%".repeat(256)), 200),
        ("ilike with 255 places", one("ilike", &format!("{}!", "_".repeat(255))), 400),
        ("regexp that cannot remember", several(3, short), 400),
        ("regexp that remembers nothing", several(4, long), 400),
        ("the same of tokens by id", filter(&of_some), 400),
    ]);
    for nested in ["^(a+)+!$", "(a|a)*!", "(.*)*!", "(a*)*(b*)*!", r"^((\w+\s?)*)!$", "((a+)+)+$!"] {
        rows.push(row(format!("regexp {nested}"), one("regexp", nested), 200));
        rows.push(row(format!("regexp {nested}, four times"), several(4, nested), 200));
    }
    for refused in
        ["a{1000}{1000}", "((a{100}){100}){100}", r"\w{1000}", "(a?){1000}", "(?=a)", r"(a)\1", "("]
    {
        rows.push(row(format!("regexp {refused}"), one("regexp", refused), 400));
    }
    rows
}

fn conflicting_credentials(other: &str) -> Vec<Row> {
    let (plain, plain_v4) = (|| get(ACCESS_TOKENS), || get(tokens()));
    let (own, bearer) = (format!("Bearer {TOKEN}"), format!("Bearer {other}"));
    let in_query = |text: &str| list(&format!("access_token={text}"));
    let nobody = "x".repeat(64);
    let pair = |key: &str| plain_v4().header("x-auth-email", "a@example.com").header("x-auth-key", key);
    table([
        ("another token beside a good one", plain().header("x-access-token", other), 401),
        ("a bad token beside a good one", plain().header("x-access-token", &nobody), 401),
        ("another token in the query", in_query(other), 401),
        ("a bad token in the query", in_query(&nobody), 401),
        ("two tokens in the query", in_query(&format!("{TOKEN}&access_token={other}")), 401),
        ("an operator in the query", in_query(&format!("{TOKEN}&access_token[neq]=")), 200),
        ("two tokens in two headers", plain().header("authorization", &bearer), 401),
        ("one token in two headers", plain().header("authorization", &own), 401),
        ("three tokens", in_query(other).header("x-access-token", &nobody), 401),
        ("one token everywhere", in_query(TOKEN).header("x-access-token", TOKEN), 200),
        ("two tokens in two headers, v4", plain_v4().header("authorization", &bearer), 400),
        ("two keys, v4", pair(TOKEN).header("x-auth-key", other), 400),
        ("a bad key beside a good token, v4", pair(&nobody), 200),
    ])
}

fn large_bodies(service_token: &str) -> Vec<Row> {
    let huge = [br#"{"x":""#, &*vec![b'x'; HUGE], br#""}"#].concat();
    let announced = |request: Request| request.body(&*huge).announced();
    let mut rows = table([
        ("10 MB announced by nobody", announced(Request::anonymous("POST", ACCESS_TOKENS)), 401),
        ("10 MB announced for a list", announced(get(ACCESS_TOKENS)), 200),
        ("10 MB announced for a list, v4", announced(get(tokens())), 200),
    ]);
    let others = [
        ("a form", Request::form(ACCESS_TOKENS, []), 413),
        ("nobody", Request::anonymous("POST", ACCESS_TOKENS), 401),
        ("nobody, v4", Request::anonymous("POST", tokens()), 400),
        ("a list", get(ACCESS_TOKENS), 200),
        ("no route", post("/v1/nope", ""), 404),
        ("no route, v4", post("/client/v4/nope", ""), 404),
    ];
    for (name, request, status) in operations(service_token).map(|(name, of)| (name, of, 413)).chain(others) {
        let request = request.body(&*huge);
        rows.push(row(format!("10 MB: {name}"), request.clone(), status));
        rows.push(row(format!("10 MB in chunks: {name}"), request.chunked(), status));
    }
    rows
}

fn large_heads() -> Vec<Row> {
    let kilobytes = |count: usize| "x".repeat(count * 1024);
    let end = |list: &str| Request::new("DELETE", format!("{list}/{}", kilobytes(60)));
    let bearer = format!("Bearer {}", kilobytes(8));
    let shown = |list: &str| Request::anonymous("GET", list).header("authorization", &bearer);
    let typed = Request::anonymous("POST", LOGIN).header("content-type", kilobytes(8)).body("{}");
    let many = (0..1_000).fold(get(ACCESS_TOKENS), |request, _| request.header("x-padding", "x"));
    let escapes = "%41".repeat(20_000);
    let mut rows = table([
        ("8 kB of token", shown(ACCESS_TOKENS), 401),
        ("8 kB of token, v4", shown(&tokens()), 403),
        ("8 kB of media type", typed, 415),
        ("64 kB of headers", get(ACCESS_TOKENS).unfinished(LARGEST_HEAD), 431),
        ("1 MB of headers", get(ACCESS_TOKENS).unfinished(1_000_000), 431),
        ("1000 headers", many.unreadable(), 431),
        ("a target of 1 MB", get(format!("/v1/{}", kilobytes(1_000))).unreadable(), 431),
        ("a path of 60 kB", get(format!("/v1/{}", kilobytes(60))), 404),
        ("a path of 60 kB, v4", get(format!("/client/v4/{}", kilobytes(60))), 404),
        ("a path of 60,000 slashes", get(format!("/v1/Accounts{}", "/".repeat(60_000))), 404),
        ("a path of 20,000 escapes", get(format!("/v1/Accounts/{escapes}/accessTokens")), 401),
        ("60 kB for a token", end(ACCESS_TOKENS), 404),
        ("60 kB for a token, v4", end(&tokens()), 404),
        ("60 kB for an account", get(format!("/v1/Accounts/{}/accessTokens", kilobytes(60))), 401),
        (
            "60 kB for an account, v4",
            get(format!("{ACCOUNTS_V4}/{}/access/service_tokens", kilobytes(60))),
            403,
        ),
        ("a filter of 60 kB", list(&format!("filter={}", kilobytes(60))), 400),
        ("a search of 60 kB", list_v4(&format!("search={}", kilobytes(60))), 400),
    ]);
    for name in ["x-padding", "cookie", "user-agent", "x-forwarded-for", "accept"] {
        rows.push(row(format!("8 kB of {name}"), get(ACCESS_TOKENS).header(name, kilobytes(8)), 200));
        rows.push(row(format!("8 kB of {name}, v4"), get(tokens()).header(name, kilobytes(8)), 200));
    }
    rows
}

fn many_parameters() -> Vec<Row> {
    let parts: String = (0..2_000).map(|number| format!("filter[a{number}]=1&")).collect();
    let keys: String = (0..8_000).map(|number| format!(r#""k{number}":{{}},"#)).collect();
    let scopes = format!(r#""scopes":[{}"a"]"#, r#""a","#.repeat(20_000));
    let clauses: Vec<_> = (0..500).map(|number| json!({ "ttl": number })).collect();
    let values: Vec<_> = (0..1_000).collect();
    let form = |part: &str, count| Request::form(ACCESS_TOKENS, part.repeat(count));
    table([
        ("10,000 parameters", list(&"a=1&".repeat(10_000)), 200),
        ("2000 parts of a filter", list(&parts), 400),
        ("3000 limits", list(&"filter[limit]=1&".repeat(3_000)), 400),
        ("500 clauses", filter(&json!({ "where": { "or": clauses } })), 400),
        ("1000 values", filter(&json!({ "where": { "ttl": { "inq": values } } })), 400),
        ("a form of 25,000 pairs", form("a=1&", 25_000), 413),
        ("a form of 9000 scopes", form("scopes[]=a&", 9_000), 413),
        ("8000 keys", token(&format!(r#"{{{keys}"ttl":"x"}}"#)), 422),
        ("8000 keys in custom", patch(&format!(r#"{{"custom":{{{keys}"x":1}}}}"#)), 422),
        ("20,000 scopes", token(&format!("{{{scopes}}}")), 422),
        ("10,000 parameters, v4", list_v4(&"a=1&".repeat(10_000)), 200),
        ("5000 sizes of a page, v4", list_v4(&"per_page=1&".repeat(5_000)), 200),
        ("8000 keys, v4", service(&format!(r#"{{{keys}"name":1}}"#)), 400),
        ("20,000 scopes, v4", service(&format!(r#"{{"name":"x",{scopes}}}"#)), 400),
    ])
}

fn large_numbers(service_token: &str) -> Vec<Row> {
    let nines = "9".repeat(10_000);
    let ttl = |ttl: &str| token(&format!(r#"{{"ttl":{ttl}}}"#));
    let login = |ttl: &str| post(LOGIN, &format!(r#"{{"email":"a@b.example","password":"x","ttl":{ttl}}}"#));
    let service = |field: &str| service(&format!(r#"{{"name":"x",{field}}}"#));
    let end = r#"{"previous_client_secret_expires_at":"99999-01-01T00:00:00Z"}"#;
    table([
        ("a ttl of 1e400", ttl("1e400"), 400),
        ("a ttl of 1e400 in quotes", ttl(r#""1e400""#), 422),
        ("a ttl of -1e300", ttl("-1e300"), 422),
        ("a ttl of NaN", ttl(r#""NaN""#), 422),
        ("a ttl of 10,000 nines", ttl(&nines), 400),
        ("a ttl of 10,000 nines in quotes", ttl(&format!(r#""{nines}""#)), 422),
        ("a ttl below 64 bits", ttl("-9223372036854775809"), 422),
        ("a login for 1e400", login("1e400"), 400),
        ("a login for -1e300", login("-1e300"), 422),
        ("a login for 10,000 nines", login(&format!(r#""{nines}""#)), 422),
        ("a limit of 1e300", filter(&json!({ "limit": 1e300 })), 200),
        ("a limit of 10,000 nines", list(&format!("filter[limit]={nines}")), 400),
        ("a skip of 1e300", filter(&json!({ "skip": 1e300 })), 200),
        ("a ttl about 1e308", filter(&json!({ "where": { "ttl": { "gt": 1e308, "lt": -1e308 } } })), 200),
        (
            "a time about 1e308",
            filter(&json!({ "where": { "created": { "gt": 1e308, "lt": -1e308 } } })),
            200,
        ),
        ("a duration of 10,000 nines", service(&format!(r#""duration":"{nines}h""#)), 400),
        ("a negative duration", service(r#""duration":"-9223372036854775808ns""#), 400),
        ("a version of 1e300", service(r#""client_secret_version":1e300"#), 400),
        ("an end in the year 99999", post(&format!("{}/{service_token}/rotate", tokens()), end), 400),
        ("a page of 10,000 nines", list_v4(&format!("page={nines}")), 200),
        ("10,000 nines on a page", list_v4(&format!("per_page={nines}")), 200),
    ])
}

fn invalid_utf8(service_token: &str) -> Vec<Row> {
    let end = |list: &str, id: &str| Request::new("DELETE", format!("{list}/{id}"));
    let shown = |list: &str| Request::anonymous("GET", list).header("authorization", b"Bearer \xff");
    let mut rows = table([
        ("a wrong byte in a form", Request::form(ACCESS_TOKENS, *b"ttl=\xff"), 400),
        ("a wrong escape in a form", Request::form(ACCESS_TOKENS, "ttl=%ff"), 400),
        ("a wrong escape in a filter", list("filter=%ff"), 400),
        ("a wrong escape in a search", list_v4("name=%ff&search=%ff"), 200),
        ("a wrong escape for a token", end(ACCESS_TOKENS, "%c3%28"), 400),
        ("a wrong escape for a token, v4", end(&tokens(), "%c3%28"), 403),
        ("a wrong escape for an account", get("/v1/Accounts/%ff/accessTokens"), 400),
        ("half an escape for an account", get("/v1/Accounts/%f/accessTokens"), 400),
        ("a wrong escape for an account, v4", get(format!("{ACCOUNTS_V4}/%ff/access/service_tokens")), 403),
        ("half an escape for an account, v4", get(format!("{ACCOUNTS_V4}/%f/access/service_tokens")), 403),
        ("a wrong byte in a header", shown(ACCESS_TOKENS), 401),
        ("a wrong byte in a header, v4", shown(&tokens()), 400),
        ("a wrong byte in a path", get(b"/v1/Accounts/\xff").unreadable(), 400),
        ("a wrong byte in a query", get(b"/v1/Accounts?filter=\xff").unreadable(), 400),
    ]);
    for (name, request) in operations(service_token) {
        let wrong = request.clone().body(*b"{\"x\":\"\xff\"}");
        rows.push(row(format!("a wrong byte: {name}"), wrong, 400));
        rows.push(row(format!("half a pair of surrogates: {name}"), request.body(r#"{"x":"\ud800"}"#), 400));
    }
    rows
}
