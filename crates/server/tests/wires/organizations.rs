//! Organizations and memberships on the LoopBack wire, and what they mean at a door.

use countersign_authority::Policy;
use http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Answer, World};

const NOBODY: &str = "00000000000000000000000000000000";

/// A world with two accounts that have nothing to do with each other, and a token of each.
struct Scene {
    world: World,
    one: String,
    of_one: String,
    two: String,
    of_two: String,
}

impl Scene {
    async fn new() -> Self {
        Self::with(Policy::default()).await
    }

    async fn with(policy: Policy) -> Self {
        let world = World::with(policy).await;
        let one = world.account_below(&world.root_account).await;
        let two = world.account_below(&world.root_account).await;
        let of_one = world.access_token_of(&one, json!({})).await;
        let of_two = world.access_token_of(&two, json!({})).await;
        Self { world, one, of_one, two, of_two }
    }

    async fn create(&self, token: &str, name: &str) -> String {
        let path = "/v1/Accounts/me/organizations";
        let answer = self.world.post(path).bearer(token).json(&json!({"name": name})).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        answer.text_at("/id")
    }

    async fn post(&self, token: &str, path: &str, body: Value) -> Answer {
        self.world.post(path).bearer(token).json(&body).await
    }

    async fn invite(&self, token: &str, organization: &str, body: Value) -> Answer {
        self.post(token, &format!("/v1/Organizations/{organization}/invite"), body).await
    }

    async fn step(&self, token: &str, membership: &str, verb: &str) -> u16 {
        self.post(token, &format!("/v1/AccountOrganizations/{membership}/{verb}"), json!({}))
            .await
            .status
            .as_u16()
    }

    /// What a door that demands the organization says of a token.
    fn door(&self, token: &str, organization: &str) -> u16 {
        let path = format!("/authz?organization={organization}");
        self.world.door(&path, &[("authorization", &format!("Bearer {token}"))]).as_u16()
    }

    /// The organizations that a door names of a token.
    fn named(&self, token: &str) -> String {
        let request = Request::get("/authz").header("authorization", format!("Bearer {token}"));
        let answer = self.world.app.door(&request.body(()).unwrap(), [127, 0, 0, 1].into());
        answer.headers()["x-countersign-organizations"].to_str().unwrap().to_owned()
    }
}

#[track_caller]
fn assert_denied(answer: &Answer) {
    assert_eq!(answer.status, 401, "{answer:?}");
    assert_eq!(answer.text_at("/error/code"), "AUTHORIZATION_REQUIRED");
}

#[tokio::test]
async fn what_an_organization_says_of_itself() {
    let scene = Scene::new().await;
    let world = &scene.world;
    let path = "/v1/accounts/ME/Organizations";
    let body = json!({"name": "Acme", "city": "Ljubljana", "taxSubject": true, "custom": {"a": [1]}, "id": "mine",
        "active": false, "ownerId": NOBODY});
    let made = scene.post(&scene.of_one, path, body).await.json();
    assert_eq!(
        (&made["name"], &made["city"], &made["custom"]),
        (&json!("Acme"), &json!("Ljubljana"), &json!({"a": [1]}))
    );
    assert_eq!((&made["active"], &made["ownerId"]), (&json!(true), &json!(scene.one)));
    let id = made["id"].as_str().unwrap().to_owned();
    for body in [
        json!({}),
        json!({"name": ""}),
        json!({"name": 5}),
        json!({"name": "x", "list": [1]}),
        json!({"name": "x", "text": "y".repeat(1_001)}),
        json!({"name": "x", "custom": "y"}),
    ] {
        assert_eq!(scene.post(&scene.of_one, path, body.clone()).await.status, 422, "{body}");
    }
    let many: serde_json::Map<_, _> = (0..70).map(|n| (format!("p{n}"), json!(n))).collect();
    assert_eq!(scene.post(&scene.of_one, path, Value::Object(many)).await.status, 400);

    let one = format!("/v1/Organizations/{id}");
    let patched =
        world.call("PATCH", &one).bearer(&world.root).json(&json!({"city": null, "zip": "1000"})).await;
    assert!(patched.json().get("city").is_none() && patched.json()["zip"] == "1000", "{patched:?}");
    let unnamed = world.call("PATCH", &one).bearer(&world.root).json(&json!({"name": null})).await;
    assert_eq!(unnamed.status, 422);
    for (token, other) in [(&scene.of_two, one.as_str()), (&world.root, "/v1/Organizations/x")] {
        assert_denied(&world.get(other).bearer(token).send().await);
        assert_denied(&world.call("PATCH", other).bearer(token).json(&json!({"zip": "2"})).await);
    }
    scene.create(&scene.of_one, "second").await;
    let list = world.get(&format!("{path}?filter[limit]=1")).bearer(&scene.of_one).send().await;
    assert_eq!((list.header("x-total-count"), list.text_at("/0/name")), ("2", "Acme".to_owned()));
    let count = world.get(&format!("{path}/count")).bearer(&scene.of_one).send().await;
    count.assert(200, json!({"count": 2}));
    let foreign = format!("/v1/Accounts/{}/organizations", scene.one);
    assert_denied(&world.get(&foreign).bearer(&scene.of_two).send().await);
}

#[tokio::test]
async fn a_door_demands_an_organization() {
    let scene = Scene::new().await;
    let organization = scene.create(&scene.of_one, "Acme").await;
    assert_eq!(scene.door(&scene.of_one, &organization), 200);
    assert_eq!(scene.named(&scene.of_one), organization);
    assert_eq!(scene.door(&scene.world.root, &organization), 200, "one above acts where those below act");
    assert_eq!(scene.door(&scene.of_two, &organization), 403);
    assert_eq!(scene.named(&scene.of_two), "");
    assert_eq!(scene.door(&scene.of_one, NOBODY), 403);
    assert_eq!(scene.door(&scene.of_one, "x"), 403, "a demand that is not understood");

    let turn = async |verb: &str| {
        scene.post(&scene.of_one, &format!("/v1/Organizations/{organization}/{verb}"), json!({})).await.status
    };
    assert_eq!(turn("deactivate").await, 200);
    for token in [&scene.of_one, &scene.world.root] {
        assert_eq!((scene.door(token, &organization), scene.named(token)), (403, String::new()));
    }
    let invited = scene.invite(&scene.of_one, &organization, json!({"accountId": scene.two})).await;
    assert_eq!(invited.status, 422, "no action is possible: {invited:?}");
    assert_eq!(turn("activate").await, 200);
    assert_eq!(scene.door(&scene.of_one, &organization), 200);
}

#[tokio::test]
async fn tokens_bound_to_organizations() {
    let scene = Scene::new().await;
    let world = &scene.world;
    let (first, second) =
        (scene.create(&scene.of_one, "first").await, scene.create(&scene.of_one, "second").await);
    let bound = world.access_token_of(&scene.one, json!({"organizations": [first]})).await;
    assert_eq!((scene.door(&bound, &first), scene.door(&bound, &second)), (200, 403));
    assert_eq!(scene.named(&bound), first);
    let nowhere = world.access_token_of(&scene.one, json!({"organizations": []})).await;
    assert_eq!((scene.door(&nowhere, &first), scene.named(&nowhere)), (403, String::new()));
    // A list alone lets nobody in.
    let stranger = world.access_token_of(&scene.two, json!({"organizations": [first]})).await;
    assert_eq!(scene.door(&stranger, &first), 403);

    let mint = async |body: Value| scene.post(&bound, "/v1/Accounts/me/accessTokens", body).await;
    assert_eq!(mint(json!({})).await.json()["organizations"], json!([first]), "what the minter has");
    assert_denied(&mint(json!({"organizations": [first, second]})).await);
    for wrong in [json!({"organizations": ["x"]}), json!({"organizations": vec![NOBODY; 101]})] {
        assert_eq!(mint(wrong.clone()).await.status, 422, "{wrong}");
    }
    // On our own routes, too, it is none of its business where it may not be used.
    let show = async |id: &str| world.get(&format!("/v1/Organizations/{id}")).bearer(&bound).send().await;
    assert_eq!(show(&first).await.status, 200);
    assert_denied(&show(&second).await);
    let list = world.get("/v1/Accounts/me/organizations").bearer(&bound).send().await;
    assert_eq!((list.header("x-total-count"), list.text_at("/0/id")), ("1", first.clone()));
    assert_denied(&scene.invite(&bound, &first, json!({"accountId": scene.one})).await);
    let service = json!({"name": "ci", "organizations": [second]});
    let path = crate::harness::service_tokens_of(&scene.one);
    assert_eq!(world.post(&path).bearer(&bound).json(&service).await.status, 403);
    let made = world.post(&path).bearer(&scene.of_one).json(&service).await;
    assert_eq!(made.json()["result"]["organizations"], json!([second]));
}

#[tokio::test]
async fn who_belongs_to_an_organization() {
    let scene = Scene::new().await;
    let organization = scene.create(&scene.of_one, "Acme").await;
    let silent = json!({"accountId": scene.two, "requireConfirmation": false, "sendEmail": false});
    assert_denied(&scene.invite(&scene.of_one, &organization, silent.clone()).await);
    let asked =
        scene.invite(&scene.of_one, &organization, json!({"accountId": scene.two, "role": "readonly"})).await;
    assert_eq!((&asked.json()["active"], &asked.json()["role"]), (&json!(false), &json!("readonly")));
    let membership = asked.text_at("/id");
    assert_eq!(scene.door(&scene.of_two, &organization), 403, "it has not agreed");
    assert_eq!(scene.step(&scene.of_one, &membership, "accept").await, 401, "nobody agrees for it");
    assert_eq!(scene.step(&scene.of_two, &membership, "enable").await, 401);
    assert_eq!(scene.step(&scene.of_two, &membership, "accept").await, 200);
    assert_eq!(scene.door(&scene.of_two, &organization), 200);
    assert_eq!(scene.named(&scene.of_two), organization);
    let show =
        scene.world.get(&format!("/v1/Organizations/{organization}")).bearer(&scene.of_two).send().await;
    assert_eq!(show.status, 200, "a member sees it");
    let path = format!("/v1/Organizations/{organization}/accountorganizations");
    assert_denied(&scene.world.get(&path).bearer(&scene.of_two).send().await);

    for (verb, door) in [("disable", 403), ("enable", 200)] {
        assert_eq!(scene.step(&scene.of_one, &membership, verb).await, 200);
        assert_eq!(scene.door(&scene.of_two, &organization), door, "{verb}");
    }
    assert_eq!(scene.step(&scene.of_two, &membership, "reject").await, 200);
    assert_eq!(scene.door(&scene.of_two, &organization), 403);
    // One above both may do it without asking, also for one that has refused.
    let silent = scene.invite(&scene.world.root, &organization, silent).await;
    assert_eq!((silent.text_at("/id"), silent.json()["active"].clone()), (membership.clone(), json!(true)));
    assert_eq!(scene.door(&scene.of_two, &organization), 200);
    let twice = scene.invite(&scene.of_one, &organization, json!({"accountId": scene.two})).await;
    assert_eq!(twice.status, 422, "{twice:?}");

    let role = format!("/v1/AccountOrganizations/{membership}/change-role");
    assert_eq!(scene.post(&scene.of_one, &role, json!({"role": "boss"})).await.status, 422);
    assert_eq!(scene.post(&scene.of_one, &role, json!({})).await.status, 400);
    assert_eq!(scene.post(&scene.of_one, &role, json!({"role": "admin"})).await.status, 200);
    let list = scene.world.get(&path).bearer(&scene.of_one).send().await;
    assert_eq!((list.header("x-total-count"), list.text_at("/1/role")), ("2", "admin".to_owned()));

    let leave = format!("/v1/AccountOrganizations/{membership}");
    scene.world.delete(&leave).bearer(&scene.of_two).send().await.assert(200, json!({"count": 1}));
    assert_eq!(scene.door(&scene.of_two, &organization), 403);
    assert_denied(&scene.world.delete(&leave).bearer(&scene.of_one).send().await);
}

#[tokio::test]
async fn invitations_that_cannot_be() {
    let scene = Scene::new().await;
    let organization = scene.create(&scene.of_one, "Acme").await;
    for (body, status) in [
        (json!({}), 400),
        (json!({"accountId": scene.two, "email": "x@example.com"}), 400),
        (json!({"email": "nobody@example.com"}), 422),
        (json!({"email": "no address"}), 422),
        (json!({"accountId": NOBODY}), 422),
        (json!({"accountId": 5}), 422),
        (json!({"accountId": scene.two, "role": "boss"}), 422),
        (json!({"accountId": scene.two, "requireConfirmation": "perhaps"}), 422),
        (json!({"accountId": scene.two, "sendEmail": true}), 400),
    ] {
        let answer = scene.invite(&scene.of_one, &organization, body.clone()).await;
        assert_eq!(answer.status, status, "{body}: {answer:?}");
    }
    assert_denied(&scene.invite(&scene.of_two, &organization, json!({"accountId": scene.two})).await);
    let narrow = scene.world.access_token_of(&scene.one, json!({"scopes": ["countersign:*"]})).await;
    assert_denied(&scene.invite(&narrow, &organization, json!({"accountId": scene.two})).await);
}

#[tokio::test]
async fn organizations_have_a_limit() {
    let world = World::with(Policy { organizations_per_account: 2, ..Policy::default() }).await;
    let path = "/v1/Accounts/me/organizations";
    let create = async || world.post(path).bearer(&world.root).json(&json!({"name": "x"})).await;
    assert_eq!((create().await.status, create().await.status), (StatusCode::OK, StatusCode::OK));
    let refused = create().await;
    assert_eq!((refused.status.as_u16(), refused.text_at("/error/code")), (422, "LIMIT_REACHED".to_owned()));
}

/// Strangers who invite an account take none of its room; it sees who they are, and agrees to what it has room for.
#[tokio::test]
async fn invitations_are_listed_and_take_no_room() {
    let scene = Scene::with(Policy { organizations_per_account: 2, ..Policy::default() }).await;
    let mut invitations = Vec::new();
    for name in ["one", "another"] {
        let organization = scene.create(&scene.of_one, name).await;
        let asked = scene.invite(&scene.of_one, &organization, json!({"accountId": scene.two})).await;
        invitations.push((asked.text_at("/id"), organization));
    }
    scene.create(&scene.of_two, "its own").await;
    let path = format!("/v1/Accounts/{}/accountorganizations", scene.two);
    let list = scene.world.get(&path).bearer(&scene.of_two).send().await;
    assert_eq!(list.header("x-total-count"), "3");
    let listed = |index: usize| {
        (list.text_at(&format!("/{index}/id")), list.text_at(&format!("/{index}/organizationId")))
    };
    let listed: Vec<_> = (0..3).map(listed).collect();
    assert!(invitations.iter().all(|invitation| listed.contains(invitation)), "{listed:?}");
    assert_denied(&scene.world.get(&path).bearer(&scene.of_one).send().await);
    let body = json!({"organizations": [invitations[1].1]});
    let narrow = scene.world.access_token_of(&scene.two, body).await;
    let of_one_organization = scene.world.get(&path).bearer(&narrow).send().await;
    assert_eq!(of_one_organization.header("x-total-count"), "1", "{of_one_organization:?}");
    assert_eq!(of_one_organization.text_at("/0/id"), invitations[1].0);

    assert_eq!(scene.step(&scene.of_two, &invitations[0].0, "accept").await, 200);
    assert_eq!(scene.step(&scene.of_two, &invitations[1].0, "accept").await, 422, "it has two");
    assert_eq!(scene.step(&scene.of_two, &invitations[0].0, "reject").await, 200);
    assert_eq!(scene.step(&scene.of_two, &invitations[1].0, "accept").await, 200);
}

/// What ends with an account is no longer acted in by those above it.
#[tokio::test]
async fn a_deleted_account_belongs_to_nothing() {
    let scene = Scene::new().await;
    let organization = scene.create(&scene.of_two, "of two").await;
    let asked = scene.invite(&scene.of_two, &organization, json!({"accountId": scene.one})).await;
    assert_eq!(scene.step(&scene.of_one, &asked.text_at("/id"), "accept").await, 200);
    assert_eq!(scene.door(&scene.of_one, &organization), 200);
    let path = format!("/v1/Accounts/{}", scene.two);
    assert_eq!(scene.world.delete(&path).bearer(&scene.world.root).send().await.status, 200);
    for token in [&scene.of_one, &scene.of_two, &scene.world.root] {
        assert_ne!(scene.door(token, &organization), 200);
    }
}
