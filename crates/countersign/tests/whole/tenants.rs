//! Through the real proxies, by the recipes that people copy: tokens of accounts and organizations, bound
//! to requests and to addresses, do what they may and nothing more, whatever a client says of itself.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use crate::connection::Answer;
use crate::manager::Manager;
use crate::origin::Arrived;
use crate::proxies::identity;
use crate::proxy::Kind;
use crate::scene::{Backstage, Client, Header, SCOPE, Scene};
use crate::server::{ACCOUNT, TOKEN};

/// How often something is taken away and given back.
const TIMES: usize = 25;

/// Where clients come from.
const HERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

/// A customer with an organization, one account below it, and another customer whom it has let in.
struct Tenants {
    acme: String,
    branch: String,
    guest: String,
    organization: String,
    /// That the guest and the branch belong to it.
    of_guest: String,
    of_branch: String,
}

impl Tenants {
    fn settle(manager: &mut Manager) -> Self {
        let acme = text(&manager.done("POST", "/v1/Accounts", customer("acme")), "id");
        let guest = text(&manager.done("POST", "/v1/Accounts", customer("guest")), "id");
        let of_acme = mint(manager, &acme, json!({}));
        let answer =
            manager.ask_as(&of_acme, "POST", "/v1/Accounts", &customer("branch")).expect("an answer");
        let branch = text(&answer.json(), "id");
        let organization = found(manager, &acme);
        let of_guest = invite(manager, &organization, &guest);
        let of_branch = invite(manager, &organization, &branch);
        Self { acme, branch, guest, organization, of_guest, of_branch }
    }

    /// With a proxy that demands this account and the organization.
    fn guarded(self, stage: Backstage, kind: Kind, account: &str) -> (Self, Scene) {
        let demand = format!("{account}&organization={}", self.organization);
        let scene = stage.behind(kind, &demand);
        (self, scene)
    }
}

fn customer(name: &str) -> Value {
    json!({ "email": format!("{name}@example.com"), "password": null })
}

fn text(answer: &Value, field: &str) -> String {
    answer[field].as_str().unwrap_or_else(|| panic!("{field}: {answer}")).to_owned()
}

fn mint(manager: &mut Manager, account: &str, body: Value) -> String {
    text(&manager.done("POST", &format!("/v1/Accounts/{account}/accessTokens"), body), "id")
}

fn found(manager: &mut Manager, account: &str) -> String {
    let body = json!({ "name": "an organization" });
    text(&manager.done("POST", &format!("/v1/Accounts/{account}/organizations"), body), "id")
}

fn invite(manager: &mut Manager, organization: &str, account: &str) -> String {
    let body = json!({ "accountId": account, "requireConfirmation": false });
    text(&manager.done("POST", &format!("/v1/Organizations/{organization}/invite"), body), "id")
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

fn show(client: &mut Client, token: &str, more: &[Header<'_>]) -> Answer {
    let bearer = bearer(token);
    client.ask("GET", &[&[("Authorization", &*bearer)], more].concat(), "")
}

/// The status of the answer to one who shows this token; who is turned away does not reach the app.
fn status(scene: &mut Scene, token: &str) -> u16 {
    let reached = scene.origin.requests();
    let status = show(&mut scene.client, token, &[]).status;
    assert_eq!(scene.origin.requests() - reached, usize::from(status == 200), "{status}");
    status
}

#[test]
fn scope_account_and_organization_are_demanded_together() {
    for kind in Kind::ALL {
        let mut stage = Backstage::new();
        let tenants = Tenants::settle(&mut stage.manager);
        let acme = tenants.acme.clone();
        let (tenants, mut scene) = tenants.guarded(stage, kind, &acme);
        let Tenants { acme, branch, guest, organization, .. } = &tenants;
        let manager = &mut scene.manager;
        let other = found(manager, acme);
        let abroad = found(manager, guest);
        let tokens = [
            (200, "unscoped", mint(manager, acme, json!({}))),
            (200, "scoped", mint(manager, acme, json!({ "scopes": [SCOPE] }))),
            (200, "by a wildcard", mint(manager, acme, json!({ "scopes": ["app:*"] }))),
            (200, "in it alone", mint(manager, acme, json!({ "organizations": [organization] }))),
            (200, "in both", mint(manager, acme, json!({ "organizations": [other, organization] }))),
            (200, "a member below", mint(manager, branch, json!({ "scopes": [SCOPE] }))),
            (403, "another scope", mint(manager, acme, json!({ "scopes": ["app:other"] }))),
            (403, "no scope", mint(manager, acme, json!({ "scopes": [] }))),
            (403, "another organization", mint(manager, acme, json!({ "organizations": [other] }))),
            (403, "no organization", mint(manager, acme, json!({ "organizations": [] }))),
            (403, "a member of another account", mint(manager, guest, json!({}))),
            (403, "of another account", mint(manager, guest, json!({ "organizations": [abroad] }))),
            (403, "of the account above", TOKEN.to_owned()),
            (401, "of nobody", "x".repeat(64)),
        ];
        for (wanted, what, token) in &tokens {
            assert_eq!(status(&mut scene, token), *wanted, "{kind:?}: {what}");
        }
        let token = &tokens[3].2;
        let arrived = Arrived::told_by(&show(&mut scene.client, token, &[]));
        let told = format!("{acme}|{}|access||DEFAULT|{organization}", &token[..22]);
        assert_eq!(identity(&arrived), told, "{kind:?}: who it is, and in which organizations");
        let arrived = Arrived::told_by(&show(&mut scene.client, &tokens[0].2, &[]));
        let [named] = arrived.header("X-Countersign-Organizations")[..] else { panic!("one header") };
        let named: Vec<&str> = named.split(',').collect();
        assert!(
            named.len() == 2 && named.contains(&&**organization) && named.contains(&&*other),
            "{named:?}"
        );
    }
}

#[test]
fn a_member_of_another_account_comes_in_where_the_account_above_both_is_named() {
    for kind in Kind::ALL {
        let mut stage = Backstage::new();
        let tenants = Tenants::settle(&mut stage.manager);
        let (tenants, mut scene) = tenants.guarded(stage, kind, ACCOUNT);
        let stranger = text(&scene.manager.done("POST", "/v1/Accounts", customer("stranger")), "id");
        let [guest, stranger] = [&tenants.guest, &stranger].map(|id| mint(&mut scene.manager, id, json!({})));
        assert_eq!(status(&mut scene, &guest), 200, "{kind:?}");
        assert_eq!(status(&mut scene, &stranger), 403, "{kind:?}");
        let service = scene.issue(json!({}));
        assert_eq!(scene.show(&service, &[]).status, 200, "{kind:?}: the root acts in every organization");
    }
}

/// The next request, every time.
#[test]
fn what_is_taken_away_is_gone_at_once() {
    for kind in Kind::ALL {
        let mut stage = Backstage::new();
        let tenants = Tenants::settle(&mut stage.manager);
        let (tenants, mut scene) = tenants.guarded(stage, kind, ACCOUNT);
        let Tenants { acme, branch, guest, organization, of_guest, of_branch } = &tenants;
        let token = mint(&mut scene.manager, guest, json!({}));
        for (stop, go_on, refused) in [
            (
                format!("Organizations/{organization}/deactivate"),
                format!("Organizations/{organization}/activate"),
                403,
            ),
            (
                format!("AccountOrganizations/{of_guest}/disable"),
                format!("AccountOrganizations/{of_guest}/enable"),
                403,
            ),
            (
                format!("AccountOrganizations/{of_guest}/reject"),
                format!("AccountOrganizations/{of_guest}/accept"),
                403,
            ),
            (format!("Accounts/{guest}/disable"), format!("Accounts/{guest}/enable"), 401),
        ] {
            for _ in 0..TIMES {
                assert_eq!(status(&mut scene, &token), 200, "{kind:?}: before {stop}");
                scene.manager.done("POST", &format!("/v1/{stop}"), json!({}));
                assert_eq!(status(&mut scene, &token), refused, "{kind:?}: after {stop}");
                scene.manager.done("POST", &format!("/v1/{go_on}"), json!({}));
            }
        }
        for _ in 0..TIMES {
            let ended = mint(&mut scene.manager, guest, json!({}));
            assert_eq!(status(&mut scene, &ended), 200, "{kind:?}: before all end");
            scene.manager.done("POST", &format!("/v1/Accounts/{guest}/revoke-access-tokens"), json!({}));
            assert_eq!(status(&mut scene, &ended), 401, "{kind:?}: after all have ended");
        }
        let [of_guest_now, of_branch_now, of_acme] =
            [guest, branch, acme].map(|id| mint(&mut scene.manager, id, json!({})));
        scene.manager.done("DELETE", &format!("/v1/AccountOrganizations/{of_guest}"), Value::Null);
        assert_eq!(status(&mut scene, &of_guest_now), 403, "{kind:?}: put out");
        assert_eq!(status(&mut scene, &of_branch_now), 200, "{kind:?}: somebody else");
        let leave = format!("/v1/AccountOrganizations/{of_branch}");
        let left = scene.manager.ask_as(&of_branch_now, "DELETE", &leave, &Value::Null).expect("an answer");
        assert_eq!((left.status, status(&mut scene, &of_branch_now)), (200, 403), "{kind:?}: it has left");
        invite(&mut scene.manager, organization, branch);
        assert_eq!(status(&mut scene, &of_branch_now), 200, "{kind:?}: it is back");
        scene.manager.done("DELETE", &format!("/v1/Accounts/{acme}"), Value::Null);
        for token in [&of_branch_now, &of_acme] {
            assert_eq!(status(&mut scene, token), 401, "{kind:?}: the account above it has ended");
        }
    }
}

#[test]
fn a_token_bound_to_requests_does_no_other() {
    let bound = json!({ "resources": ["GET /app/**", "POST /app/orders/*"] });
    for kind in Kind::VERBATIM {
        let mut scene = Scene::new(kind);
        let token = mint(&mut scene.manager, ACCOUNT, bound.clone());
        for (method, target, may) in [
            ("GET", "/app/a", true),
            ("GET", "/app/a/b?c=d", true),
            ("GET", "/%61pp/a", true),
            ("POST", "/app/orders/7", true),
            ("POST", "/app/orders/7/8", false),
            ("POST", "/app/a", false),
            ("DELETE", "/app/orders/7", false),
            ("GET", "/other", false),
            ("GET", "/App/a", false),
            ("GET", "/app/../other", false),
            ("GET", "/app/%2e%2e/other", false),
            ("GET", "/app/.%2E/other", false),
            ("GET", "/app/..;/other", false),
            ("GET", "/app//other", false),
            ("GET", "//app/a", false),
            ("GET", "/app/a%2fb", false),
            ("GET", "/app/a%5cb", false),
            ("GET", "/app/%zz", false),
            ("GET", "/other?/app/a", false),
            ("GET", "/other#/app/a", false),
        ] {
            let reached = scene.origin.requests();
            let bearer = bearer(&token);
            let answer = scene.client.ask_for(method, target, &[("Authorization", &*bearer)], "");
            let what = format!("{kind:?}: {method} {target}: {}", answer.head);
            assert_eq!(answer.status == 200, may, "{what}");
            assert_eq!(scene.origin.requests() - reached, usize::from(may), "{what}");
            assert!(may || matches!(answer.status, 400 | 403 | 404), "{what}");
        }
    }
}

/// A request that the token is not bound to, with everything a client might say of it instead.
#[test]
fn a_forged_request_never_grants() {
    let statements = [
        ("X-Original-Method", "GET"),
        ("X-Original-URI", "/app/a"),
        ("X-Original-URL", "http://app/app/a"),
        ("X-Forwarded-Method", "GET"),
        ("X-Forwarded-Uri", "/app/a"),
        ("X-Forwarded-Path", "/app/a"),
        ("X-Forwarded-Prefix", "/app"),
        ("X-Rewrite-URL", "/app/a"),
        ("X-HTTP-Method-Override", "GET"),
        ("X-Countersign-Demand", "any"),
        ("X-Countersign-Scopes", "DEFAULT"),
    ];
    let named = statements.map(|(name, _)| name).join(", ");
    let mut attempts: Vec<Vec<(String, String)>> = Vec::new();
    for (name, value) in statements {
        let spellings = [name.to_owned(), name.to_lowercase(), name.to_uppercase(), name.replace('-', "_")];
        attempts.extend(spellings.iter().map(|name| vec![(name.clone(), value.to_owned())]));
        attempts.push(vec![(name.to_owned(), value.to_owned()), (name.to_owned(), value.to_owned())]);
        attempts.push(vec![("Connection".to_owned(), format!("close, {name}"))]);
    }
    let all = |rename: fn(&str) -> String| statements.map(|(name, value)| (rename(name), value.to_owned()));
    attempts.push(all(str::to_owned).to_vec());
    attempts.push(all(|name| name.replace('-', "_")).to_vec());
    let dropped = [("Connection".to_owned(), format!("close, {named}"))];
    attempts.push([&dropped[..], &all(str::to_owned)].concat());
    for kind in Kind::ALL {
        let mut scene = Scene::new(kind);
        let token = mint(&mut scene.manager, ACCOUNT, json!({ "resources": ["GET /app/**"] }));
        let bearer = bearer(&token);
        for attempt in &attempts {
            for (method, target) in [("GET", "/admin"), ("DELETE", "/app/a"), ("GET", "/app/../admin")] {
                let said = attempt.iter().map(|(name, value)| (&**name, &**value));
                let headers: Vec<Header<'_>> = said.chain([("Authorization", &*bearer)]).collect();
                let answer = scene.client.ask_for(method, target, &headers, "");
                let what = format!("{kind:?}: {method} {target} {attempt:?}: {}", answer.head);
                assert!(matches!(answer.status, 400 | 403 | 404), "{what}");
            }
        }
        assert_eq!(scene.origin.requests(), 0, "{kind:?}: nothing of it reached the app");
        let answer = scene.client.ask_for("GET", "/app/a", &[("Authorization", &*bearer)], "");
        assert_eq!(answer.status, 200, "{kind:?}: what it may do");
    }
}

#[test]
fn a_token_bound_to_addresses_is_good_nowhere_else_and_a_forged_address_never_grants() {
    let here = HERE.to_string();
    let mut attempts: Vec<Vec<(String, String)>> = vec![Vec::new()];
    for name in [
        "X-Forwarded-For",
        "X-Real-IP",
        "True-Client-IP",
        "CF-Connecting-IP",
        "X-Client-IP",
        "X-Countersign-Address",
    ] {
        for value in [
            here.clone(),
            format!("{here}, 127.0.0.1"),
            format!("127.0.0.1, {here}"),
            format!("[::ffff:{here}]"),
        ] {
            for name in [name.to_owned(), name.to_lowercase(), name.replace('-', "_")] {
                attempts.push(vec![(name.clone(), value.clone())]);
                attempts.push(vec![(name.clone(), value.clone()), (name, value.clone())]);
            }
        }
        attempts.push(vec![("Connection".to_owned(), format!("close, {name}"))]);
        let dropped = ("Connection".to_owned(), format!("close, {name}"));
        attempts.push(vec![dropped, (name.to_owned(), here.clone())]);
    }
    attempts.push(vec![("Forwarded".to_owned(), format!("for={here}"))]);
    for kind in Kind::ALL {
        let mut scene = Scene::new(kind);
        let token = mint(&mut scene.manager, ACCOUNT, json!({ "allowed_ips": [format!("{here}/32")] }));
        let bearer = bearer(&token);
        let come = |source: Ipv4Addr, attempt: &[(String, String)]| {
            let said = attempt.iter().map(|(name, value)| (&**name, &**value));
            let headers: Vec<Header<'_>> = said.chain([("Authorization", &*bearer)]).collect();
            Client::coming_from(source, scene.proxy.address()).ask("GET", &headers, "").status
        };
        for attempt in &attempts {
            let status = come(ELSEWHERE, attempt);
            assert!(matches!(status, 400 | 403), "{kind:?}: {status}, {attempt:?}");
        }
        assert_eq!(scene.origin.requests(), 0, "{kind:?}: nothing of it reached the app");
        assert_eq!(come(HERE, &[]), 200, "{kind:?}");
        for (name, value) in [("X-Forwarded-For", "203.0.113.7"), ("X-Real-IP", "203.0.113.7")] {
            let said = [(name.to_owned(), value.to_owned())];
            assert_eq!(come(HERE, &said), 200, "{kind:?}: whatever it says of itself");
        }
    }
}

/// All restrictions at once, on a service token of a customer.
#[test]
fn a_service_token_keeps_every_restriction() {
    for kind in Kind::ALL {
        let mut stage = Backstage::new();
        let tenants = Tenants::settle(&mut stage.manager);
        let acme = tenants.acme.clone();
        let (tenants, mut scene) = tenants.guarded(stage, kind, &acme);
        let path = format!("/client/v4/accounts/{}/access/service_tokens", tenants.acme);
        let proxy = scene.proxy.address();
        let all = json!({
            "name": "restricted", "scopes": [SCOPE], "organizations": [tenants.organization],
            "resources": ["GET /app"], "allowed_ips": [HERE.to_string()],
        });
        let variants = [
            (200, json!({})),
            (403, json!({ "scopes": ["app:other"] })),
            (403, json!({ "organizations": [] })),
            (403, json!({ "resources": ["POST /app"] })),
            (403, json!({ "allowed_ips": [ELSEWHERE.to_string()] })),
        ];
        for (wanted, other) in variants {
            let mut body = all.clone();
            body.as_object_mut().expect("an object").extend(other.as_object().expect("an object").clone());
            let token = scene.manager.done("POST", &path, body)["result"].take();
            let (id, secret) = (text(&token, "client_id"), text(&token, "client_secret"));
            let headers = [("CF-Access-Client-Id", &*id), ("CF-Access-Client-Secret", &*secret)];
            let status = Client::coming_from(HERE, proxy).ask("GET", &headers, "").status;
            assert_eq!(status, wanted, "{kind:?}: {other}");
        }
    }
}
