//! Accounts on the LoopBack wire: the tree, logging in, acting for others, stopping and ending.

use std::num::NonZeroU32;
use std::time::Duration;

use countersign_authority::Policy;
use http::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Answer, World, service_tokens_of};

const PASSWORD: &str = "Secret!1";

/// Makes an account that logs in; gives its id.
async fn sub_account(world: &World, token: &str, email: &str) -> String {
    let body = json!({"email": email, "password": PASSWORD});
    let answer = world.post("/v1/Accounts").bearer(token).json(&body).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.text_at("/id")
}

async fn login(world: &World, email: &str) -> Answer {
    world.post("/v1/Accounts/login").json(&json!({"email": email, "password": PASSWORD})).await
}

async fn token_of(world: &World, email: &str) -> String {
    login(world, email).await.text_at("/id")
}

/// What the token in use is told of itself: 200, or the status and the code of the refusal.
async fn authorized(world: &World, token: &str) -> (u16, String) {
    let answer = world.get("/v1/Accounts/authorized").bearer(token).send().await;
    (answer.status.as_u16(), code(&answer))
}

fn code(answer: &Answer) -> String {
    answer.json().pointer("/error/code").and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[track_caller]
fn assert_denied(answer: &Answer) {
    assert_eq!(
        (answer.status.as_u16(), code(answer).as_str()),
        (401, "AUTHORIZATION_REQUIRED"),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_tree_of_accounts() {
    let world = World::new().await;
    let child = sub_account(&world, &world.root, "child@example.com").await;
    let sibling = sub_account(&world, &world.root, "sibling@example.com").await;
    let token = token_of(&world, "child@example.com").await;
    let grandchild = sub_account(&world, &token, "grandchild@example.com").await;

    let show =
        async |id: &str, token: &str| world.get(&format!("/v1/Accounts/{id}")).bearer(token).send().await;
    let account = show(&grandchild, &world.root).await.json();
    assert_eq!((&account["parentId"], &account["masterId"]), (&json!(child), &json!(world.root_account)));
    assert_eq!((&account["emailVerified"], &account["disabled"]), (&json!(false), &json!(false)));
    let root = show("me", &world.root).await.json();
    assert_eq!((&root["parentId"], &root["masterId"]), (&Value::Null, &Value::Null));
    assert_eq!(show(&grandchild, &token).await.status, 200);
    for foreign in [&sibling, &world.root_account] {
        assert_denied(&show(foreign, &token).await);
        assert_denied(&world.get(&service_tokens_like(foreign)).bearer(&token).send().await);
        let all = world.get(&service_tokens_of(foreign)).bearer(&token).send().await;
        assert_eq!(all.status, 403, "{all:?}");
    }
    // A child's service tokens are managed by it and by those above it.
    for manager in [&token, &world.root] {
        let path = service_tokens_of(&grandchild);
        let made = world.post(&path).bearer(manager).json(&json!({"name": "ci"})).await;
        assert_eq!(made.status, 201, "{made:?}");
    }

    let list = world.get("/v1/Accounts?filter[limit]=1&filter[skip]=1").bearer(&world.root).send().await;
    assert_eq!((list.header("x-total-count"), list.text_at("/0/id")), ("2", sibling));
    let refused = world.get("/v1/Accounts?filter[where][email]=x").bearer(&world.root).send().await;
    assert_eq!(refused.status, 400);
    let count = world.get("/v1/Accounts/count").bearer(&token).send().await;
    count.assert(200, json!({"count": 1}));
    for query in ["where[email]=x", "filter={}", "where=%7B%7D"] {
        let refused = world.get(&format!("/v1/Accounts/count?{query}")).bearer(&token).send().await;
        assert_eq!(refused.status, 400, "{query}: {}", refused.body);
    }
}

fn service_tokens_like(account: &str) -> String {
    format!("/v1/Accounts/{account}/accessTokens")
}

#[tokio::test]
async fn a_tree_is_eight_levels_deep() {
    let world = World::new().await;
    let mut above = world.root.clone();
    for level in 2..=9 {
        let email = format!("level{level}@example.com");
        let body = json!({"email": email, "password": null});
        let made = world.post("/v1/Accounts").bearer(&above).json(&body).await;
        if level == 9 {
            assert_eq!(made.status, 422, "{made:?}");
            assert!(made.text_at("/error/message").contains("deepest"), "{made:?}");
        } else {
            above = world.access_token_of(&made.text_at("/id"), json!({})).await;
        }
    }
}

#[tokio::test]
async fn children_have_a_limit() {
    let world = World::with(Policy { children_per_account: 1, ..Policy::default() }).await;
    sub_account(&world, &world.root, "only@example.com").await;
    let body = json!({"email": "second@example.com", "password": null});
    let refused = world.post("/v1/Accounts").bearer(&world.root).json(&body).await;
    assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (422, "LIMIT_REACHED"));
}

#[tokio::test]
async fn what_an_account_says_of_itself() {
    let world = World::new().await;
    let create = async |body: Value| world.post("/v1/Accounts").bearer(&world.root).json(&body).await;
    let body = json!({"email": "Bob@Example.com", "password": PASSWORD, "firstname": "Bob", "unknown": [1],
        "custom": {"plan": {"seats": 3}}, "id": "mine", "parentId": "x", "emailVerified": true,
        "disableCreatingChildOrganizations": true});
    let made = create(body).await.json();
    assert_eq!(made["email"], "bob@example.com");
    assert_eq!((&made["firstname"], &made["custom"]["plan"]["seats"]), (&json!("Bob"), &json!(3)));
    assert_eq!(made["disableCreatingChildOrganizations"], true);
    assert!(made.get("unknown").is_none() && made.get("password").is_none(), "{made}");
    assert!(
        made["id"] != "mine"
            && made["parentId"] == json!(world.root_account)
            && made["emailVerified"] == false
    );

    let path = format!("/v1/Accounts/{}", made["id"].as_str().unwrap());
    let patch = async |body: Value| world.call("PATCH", &path).bearer(&world.root).json(&body).await;
    let changed = patch(json!({"firstname": null, "lastname": "B", "custom": {"n": 1}})).await.json();
    assert!(changed.get("firstname").is_none(), "{changed}");
    assert_eq!((&changed["lastname"], &changed["custom"]), (&json!("B"), &json!({"n": 1})));
    for (body, property) in [
        (json!({"firstname": 5}), "custom"),
        (json!({"custom": "x"}), "custom"),
        (json!({"label": "x".repeat(1_001)}), "custom"),
        (json!({"custom": {"x": "y".repeat(17_000)}}), "custom"),
        (json!({"email": "nope"}), "email"),
        (json!({"email": {"neq": ""}}), "email"),
        (json!({"email": "root@localhost"}), "email"),
        (json!({"password": "short"}), "password"),
        (json!({"password": {"neq": ""}}), "password"),
        (json!({"password": null}), "password"),
    ] {
        let refused = patch(body.clone()).await;
        assert_eq!(refused.status, 422, "{body}: {refused:?}");
        assert!(refused.json()["error"]["details"]["codes"].get(property).is_some(), "{body}: {refused:?}");
    }
    assert_eq!(world.get(&path).bearer(&world.root).send().await.json()["lastname"], "B");

    let blank = create(json!({})).await.json();
    assert_eq!(blank["error"]["details"]["codes"], json!({"password": ["presence"], "email": ["presence"]}));
    let taken = create(json!({"email": "BOB@example.com", "password": PASSWORD})).await;
    assert_eq!(taken.json()["error"]["details"]["codes"], json!({"email": ["uniqueness"]}));
    let unique = async |email: &str| {
        world.get(&format!("/v1/Accounts/is-unique?email={email}")).send().await.json()["isUnique"].clone()
    };
    assert_eq!(
        (unique("bob@example.com").await, unique("free@example.com").await),
        (json!(false), json!(true))
    );
}

#[tokio::test]
async fn logging_in_and_out() {
    let world = World::new().await;
    let id = sub_account(&world, &world.root, "bob@example.com").await;
    let answer = login(&world, "BOB@example.com").await;
    assert_eq!((answer.json()["ttl"].clone(), answer.text_at("/userId")), (json!(1_209_600), id.clone()));
    assert_eq!(answer.header("cache-control"), "no-store");
    let token = answer.text_at("/id");
    assert_eq!(authorized(&world, &token).await.0, 200);

    let ask = async |body: Value| world.post("/v1/Accounts/login").json(&body).await;
    let with = |ttl: Value| json!({"email": "bob@example.com", "password": PASSWORD, "ttl": ttl});
    for (ttl, given) in
        [(json!(60), 60), (json!("60"), 60), (json!(-1), -1), (json!(0), 1_209_600), (json!(null), 1_209_600)]
    {
        assert_eq!(ask(with(ttl.clone())).await.json()["ttl"], given, "{ttl}");
    }
    assert_eq!(ask(with(json!(1e12))).await.json()["ttl"], 31_556_926);
    for ttl in [json!(-5), json!("abc"), json!(1.5), json!(true)] {
        assert_eq!(ask(with(ttl.clone())).await.status, 422, "{ttl}");
    }
    let with_user = world.post("/v1/Accounts/login?include=user").json(&with(json!(60))).await;
    assert_eq!(with_user.text_at("/user/email"), "bob@example.com");
    let form = world.post("/v1/Accounts/login").header("content-type", "application/x-www-form-urlencoded");
    let form = form.body("email=bob%40example.com&password=Secret%211&ttl=60").send().await;
    assert_eq!(form.json()["ttl"], 60);

    for (body, status, word) in [
        (json!({"email": "bob@example.com", "password": "wrong"}), 401, "LOGIN_FAILED"),
        (json!({"email": "nobody@example.com", "password": PASSWORD}), 401, "LOGIN_FAILED"),
        (json!({"email": "no address", "password": PASSWORD}), 401, "LOGIN_FAILED"),
        (json!({"email": "bob@example.com", "password": {"neq": ""}}), 401, "LOGIN_FAILED"),
        (json!({"email": "root@localhost", "password": ""}), 401, "LOGIN_FAILED"),
        (json!({"email": {"neq": ""}, "password": PASSWORD}), 400, "INVALID_EMAIL"),
        (json!({}), 400, "USERNAME_EMAIL_REQUIRED"),
    ] {
        let refused = ask(body.clone()).await;
        assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (status, word), "{body}");
    }

    let out = world.post("/v1/Accounts/logout").bearer(&token).send().await;
    assert_eq!((out.status.as_u16(), out.body.as_str()), (204, ""));
    assert_denied(&world.post("/v1/Accounts/logout").bearer(&token).send().await);
    assert_denied(&world.post("/v1/Accounts/logout").send().await);
    // A token that may do nothing may still be thrown away.
    let nothing = world.access_token_of(&id, json!({"scopes": []})).await;
    assert_eq!(world.post("/v1/Accounts/logout").bearer(&nothing).send().await.status, 204);
}

#[tokio::test]
async fn attempts_to_log_in_are_limited() {
    let few = NonZeroU32::new(3).unwrap();
    let world = World::with(Policy { logins_per_minute_account: few, ..Policy::default() }).await;
    sub_account(&world, &world.root, "bob@example.com").await;
    let wrong = json!({"email": "bob@example.com", "password": "wrong"});
    for _ in 0..3 {
        assert_eq!(world.post("/v1/Accounts/login").json(&wrong).await.status, 401);
    }
    let refused = login(&world, "bob@example.com").await;
    assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (429, "RATE_LIMIT_EXCEEDED"));
    assert_eq!(refused.header("retry-after"), "20");
    assert_eq!(login(&world, "other@example.com").await.status, 401, "another account has its own limit");
    world.clock.advance(Duration::from_secs(20));
    assert_eq!(login(&world, "bob@example.com").await.status, 200);
}

#[tokio::test]
async fn logins_have_a_limit_of_their_own() {
    let world = World::with(Policy { logins_per_account: 2, ..Policy::default() }).await;
    let id = sub_account(&world, &world.root, "bob@example.com").await;
    token_of(&world, "bob@example.com").await;
    let second = token_of(&world, "bob@example.com").await;
    assert_eq!(code(&login(&world, "bob@example.com").await), "LIMIT_REACHED");
    world.access_token_of(&id, json!({})).await;
    world.post("/v1/Accounts/logout").bearer(&second).send().await;
    assert_eq!(login(&world, "bob@example.com").await.status, 200);
}

#[tokio::test]
async fn another_password_ends_all_but_the_token_in_use() {
    let world = World::new().await;
    let id = sub_account(&world, &world.root, "bob@example.com").await;
    let (mine, other) =
        (token_of(&world, "bob@example.com").await, token_of(&world, "bob@example.com").await);
    let eternal = world.access_token_of(&id, json!({"ttl": -1})).await;
    let narrow = world.access_token_of(&id, json!({"scopes": ["countersign:*"]})).await;
    let service = json!({"name": "ci"});
    let service = world.post(&service_tokens_of(&id)).bearer(&mine).json(&service).await;
    let change = async |token: &str, old: &str, new: &str| {
        let body = json!({"oldPassword": old, "newPassword": new});
        world.post("/v1/Accounts/change-password").bearer(token).json(&body).await
    };
    let refused = change(&mine, "wrong", "Other!22").await;
    assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (400, "INVALID_PASSWORD"));
    assert_eq!(change(&mine, PASSWORD, "short").await.status, 422);
    assert_denied(&change(&narrow, PASSWORD, "Other!22").await);
    assert_eq!(authorized(&world, &other).await.0, 200, "nothing has happened yet");

    assert_eq!(change(&mine, PASSWORD, "Other!22").await.status, 204);
    assert_eq!(authorized(&world, &mine).await.0, 200);
    for ended in [&other, &eternal, &narrow] {
        assert_eq!(authorized(&world, ended).await, (401, "AUTHORIZATION_REQUIRED".into()));
    }
    assert_eq!(login(&world, "bob@example.com").await.status, 401);
    let headers = [
        ("cf-access-client-id", service.text_at("/result/client_id")),
        ("cf-access-client-secret", service.text_at("/result/client_secret")),
    ];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(world.door("/authz", &headers), 200, "machines are not people");

    // One above sets it without the old one; the account itself may not.
    let path = format!("/v1/Accounts/{id}");
    let patch = async |token: &str| {
        world.call("PATCH", &path).bearer(token).json(&json!({"password": PASSWORD})).await
    };
    assert_eq!(patch(&mine).await.status, 422);
    assert_eq!(patch(&world.root).await.status, 200);
    assert_eq!(authorized(&world, &mine).await.0, 401);
    let again = token_of(&world, "bob@example.com").await;
    let moved = world.call("PATCH", &path).bearer(&again).json(&json!({"email": "robert@example.com"})).await;
    assert_eq!(moved.status, 200);
    assert_eq!(authorized(&world, &again).await.0, 200, "the token in use stays");
}

#[tokio::test]
async fn acting_for_others() {
    let world = World::new().await;
    let child = sub_account(&world, &world.root, "child@example.com").await;
    let sibling = sub_account(&world, &world.root, "sibling@example.com").await;
    let of_child = token_of(&world, "child@example.com").await;
    let act = async |token: &str, body: Value| {
        world.post("/v1/Accounts/impersonate").bearer(token).json(&body).await
    };
    for body in [json!({"id": child, "ttl": 60}), json!({"email": "Child@example.com", "ttl": 60})] {
        let answer = act(&world.root, body).await;
        assert_eq!((answer.text_at("/userId"), answer.json()["ttl"].clone()), (child.clone(), json!(60)));
        let itself = world.get("/v1/Accounts/authorized").bearer(&answer.text_at("/id")).send().await;
        assert_eq!(itself.text_at("/id"), child);
    }
    for body in [
        json!({"id": sibling}),
        json!({"email": "sibling@example.com"}),
        json!({"email": "root@localhost"}),
        json!({"email": "nobody@example.com"}),
        json!({"id": "x"}),
    ] {
        assert_denied(&act(&of_child, body).await);
    }
    assert_eq!(act(&world.root, json!({})).await.status, 400);
    // What acts for another has no more than its minter.
    let narrow = world.access_token(json!({"scopes": ["countersign:access-tokens:*"], "ttl": 600})).await;
    let answer = act(&narrow, json!({"id": child, "ttl": 60})).await;
    assert_eq!(answer.json()["scopes"], json!(["countersign:access-tokens:*"]));
    assert_denied(&act(&narrow, json!({"id": child, "ttl": 601})).await);
}

#[tokio::test]
async fn stopping_and_ending_an_account_reaches_everything_below() {
    let world = World::new().await;
    let child = sub_account(&world, &world.root, "child@example.com").await;
    let of_child = token_of(&world, "child@example.com").await;
    let grandchild = sub_account(&world, &of_child, "grandchild@example.com").await;
    let below = world.access_token_of(&grandchild, json!({})).await;
    let step = async |token: &str, id: &str, verb: &str| {
        world.post(&format!("/v1/Accounts/{id}/{verb}")).bearer(token).send().await
    };
    assert_eq!(step(&world.root, &child, "disable").await.status, 200);
    for token in [&of_child, &below] {
        assert_eq!(authorized(&world, token).await, (401, "AUTHORIZATION_REQUIRED".into()));
    }
    assert_eq!(login(&world, "child@example.com").await.status, 401);
    assert_denied(&step(&of_child, &child, "enable").await);
    let narrow = world.access_token(json!({"scopes": ["countersign:*"]})).await;
    assert_denied(&step(&narrow, &child, "enable").await);
    assert_eq!(step(&world.root, &child, "enable").await.status, 200);
    assert_eq!(authorized(&world, &below).await.0, 200);
    assert_denied(&step(&below, &child, "disable").await);

    let delete =
        async |token: &str, id: &str| world.delete(&format!("/v1/Accounts/{id}")).bearer(token).send().await;
    assert_denied(&delete(&below, &child).await);
    delete(&of_child, &child).await.assert(200, json!({"count": 1}));
    for token in [&of_child, &below] {
        assert_eq!(authorized(&world, token).await, (401, "AUTHORIZATION_REQUIRED".into()));
    }
    assert_denied(&world.get(&format!("/v1/Accounts/{grandchild}")).bearer(&world.root).send().await);
    assert_denied(&delete(&world.root, &child).await);
    sub_account(&world, &world.root, "child@example.com").await;
    for verb in ["disable", "enable"] {
        assert_eq!(step(&world.root, "me", verb).await.status, 422, "the root goes on");
    }
    assert_eq!(delete(&world.root, "me").await.status, 422);
}

#[tokio::test]
async fn who_is_restricted_makes_no_way_in() {
    let world = World::new().await;
    let narrow = world.access_token(json!({"scopes": ["countersign:accounts:write"]})).await;
    let create = async |password: Value| {
        let body = json!({"email": "new@example.com", "password": password});
        world.post("/v1/Accounts").bearer(&narrow).json(&body).await
    };
    assert_denied(&create(json!(PASSWORD)).await);
    let made = create(Value::Null).await;
    assert_eq!(made.status, 200, "{made:?}");
    let path = format!("/v1/Accounts/{}", made.text_at("/id"));
    for body in [json!({"password": PASSWORD}), json!({"email": "mine@example.com"})] {
        assert_denied(&world.call("PATCH", &path).bearer(&narrow).json(&body).await);
    }
    assert_eq!(world.call("PATCH", &path).bearer(&narrow).json(&json!({"label": "x"})).await.status, 200);
}

#[tokio::test]
async fn sign_up_is_closed_unless_it_is_opened() {
    let body = json!({"email": "new@example.com", "password": PASSWORD});
    let world = World::new().await;
    assert_denied(&world.post("/v1/Accounts").json(&body).await);
    let world = World::with(Policy { open_sign_up: true, ..Policy::default() }).await;
    let made = world.post("/v1/Accounts").json(&body).await;
    assert_eq!((made.status.as_u16(), made.text_at("/parentId")), (200, world.root_account.clone()));
    assert_denied(&world.post("/v1/Accounts").bearer("garbage").json(&body).await);
}

#[tokio::test]
async fn what_stems_from_a_token_can_end_with_it() {
    let world = World::new().await;
    let mint = async |token: &str| {
        let answer = world.post("/v1/Accounts/me/accessTokens").bearer(token).json(&json!({})).await;
        answer.json().get("id").and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let parent = mint(&world.root).await;
    let child = mint(&parent).await;
    let grandchild = mint(&child).await;
    let end = async |handle: &str, query: &str| {
        let path = format!("/v1/Accounts/me/accessTokens/{}{query}", &handle[..22]);
        world.delete(&path).bearer(&world.root).send().await.status.as_u16()
    };
    assert_eq!(end(&child, "").await, 200);
    assert_eq!(authorized(&world, &grandchild).await.0, 200, "alone");
    for wrong in ["?descendants=", "?descendants=yes", "?descendants=true&descendants=false"] {
        assert_eq!(end(&parent, wrong).await, 400, "{wrong}");
    }
    assert_eq!(end(&parent, "?descendants=true").await, 200);
    assert_eq!(authorized(&world, &grandchild).await, (401, "AUTHORIZATION_REQUIRED".into()));
    let list = world.get("/v1/Accounts/me/accessTokens").bearer(&world.root).send().await;
    assert_eq!(list.header("x-total-count"), "1");

    // Of the living, so many may stem from one another.
    let mut last = world.root.clone();
    for _ in 0..32 {
        last = mint(&last).await;
    }
    let refused = world.post("/v1/Accounts/me/accessTokens").bearer(&last).json(&json!({})).await;
    assert_eq!(refused.status, 422, "{refused:?}");
}

#[tokio::test]
async fn all_but_mine_end_at_once() {
    let world = World::new().await;
    let (mine, other) = (world.access_token(json!({})).await, world.access_token(json!({})).await);
    let child = sub_account(&world, &world.root, "child@example.com").await;
    let below = token_of(&world, "child@example.com").await;
    let end = async |token: &str, id: &str| {
        world.post(&format!("/v1/Accounts/{id}/revoke-access-tokens")).bearer(token).send().await
    };
    assert_eq!(end(&mine, "me").await.status, 200);
    for ended in [&other, &world.root] {
        assert_eq!(authorized(&world, ended).await, (401, "AUTHORIZATION_REQUIRED".into()));
    }
    assert_eq!((authorized(&world, &mine).await.0, authorized(&world, &below).await.0), (200, 200));
    let list = world.get("/v1/Accounts/me/accessTokens").bearer(&mine).send().await;
    assert_eq!(list.header("x-total-count"), "1");
    assert_eq!(end(&mine, &child).await.status, 200);
    assert_eq!(authorized(&world, &below).await.0, 401);
    assert_eq!(authorized(&world, &mine).await.0, 200);
}

#[tokio::test]
async fn paths_in_any_case() {
    let world = World::new().await;
    for path in
        ["/v1/accounts/Authorized", "/V1/ACCOUNTS/AUTHORIZED/", "/v1/Accounts/ME", "/v1/accounts/COUNT/"]
    {
        assert_eq!(world.get(path).bearer(&world.root).send().await.status, 200, "{path}");
        let head = world.call("HEAD", path).bearer(&world.root).send().await;
        assert_eq!((head.status.as_u16(), head.body.as_str()), (200, ""), "{path}");
    }
    assert_denied(&world.get("/v1/Accounts/login").bearer(&world.root).send().await);
    assert_eq!(world.get("/v1/Accounts/login/x").bearer(&world.root).send().await.status, 404);
    let mail = world.post("/v1/Accounts/reset").json(&json!({"email": "x@example.com"})).await;
    assert_eq!((mail.status.as_u16(), code(&mail).as_str()), (400, "EMAIL_NOT_ENABLED"));
}

/// As LoopBack does it: for those who want that, and may do everything in the account.
#[tokio::test]
async fn lists_show_texts_where_that_is_wanted() {
    let mut world = World::new().await;
    let before = world.access_token(json!({"name": "before"})).await;
    world.list_texts(1);
    let since = world.access_token(json!({"name": "since"})).await;
    let reader = world.access_token(json!({"scopes": ["countersign:access-tokens:read"]})).await;
    let listed = async |world: &World, token: &str, name: &str| {
        let path = format!("{}?filter[where][name]={name}", world.access_tokens());
        world.get(&path).bearer(token).send().await.text_at("/0/id")
    };
    assert_eq!(listed(&world, &world.root, "since").await, since);
    assert_eq!(listed(&world, &world.root, "before").await, before[..22], "nothing was kept of it");
    assert_eq!(listed(&world, &reader, "since").await, since[..22], "it may not do everything");
    let child = sub_account(&world, &world.root, "child@example.com").await;
    let of_child = token_of(&world, "child@example.com").await;
    let list = world.get(&service_tokens_like(&child)).bearer(&world.root).send().await;
    assert_eq!(list.text_at("/0/id"), of_child, "those from logging in too");
    assert!(!format!("{:?}", world.stored().await).contains(&since[22..]));
    world.list_texts(2);
    assert_eq!(listed(&world, &world.root, "since").await, since[..22], "under another key");
    world.configure(Policy::default());
    assert_eq!(listed(&world, &world.root, "since").await, since[..22], "no longer wanted");
}

/// What was done to an account is told to those above it, and to the operator when it is gone.
#[tokio::test]
async fn what_became_of_an_account_stays_known() {
    let world = World::new().await;
    let child = sub_account(&world, &world.root, "child@example.com").await;
    let of_child = token_of(&world, "child@example.com").await;
    let grandchild = sub_account(&world, &of_child, "grandchild@example.com").await;
    let audit = async |token: &str, account: &str| {
        let answer = world.get(&format!("/api/v1/audit?account={account}")).bearer(token).send().await;
        let records = answer.json();
        let actions = records["entries"].as_array().map(|records| {
            records
                .iter()
                .map(|record| record["action"].as_str().unwrap_or_default().to_owned())
                .collect::<Vec<_>>()
        });
        (answer.status.as_u16(), actions.unwrap_or_default())
    };
    world.delete(&format!("/v1/Accounts/{grandchild}")).bearer(&of_child).send().await;
    let expected = ["account.delete", "account.create", "access_token.login"];
    assert_eq!(audit(&of_child, &child).await, (200, expected.map(str::to_owned).to_vec()));
    assert_eq!(audit(&of_child, &grandchild).await.0, 403);
    assert_eq!(audit(&world.root, &grandchild).await.0, 200);
    world.delete(&format!("/v1/Accounts/{child}")).bearer(&world.root).send().await;
    assert_eq!(audit(&world.root, &child).await, (200, expected.map(str::to_owned).to_vec()));
    assert_eq!(audit(&world.root, &world.root_account).await.1[0], "account.delete");
}
