//! What the door reads of a request, and what it answers.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use countersign_authority::{AccessTokenRequest, Asked, Authority, Directory, Policy, RootSettings};
use countersign_domain::audit::Origin;
use countersign_domain::id::AccountId;
use countersign_domain::lifetime::Lifetime;
use countersign_domain::name::Name;
use countersign_domain::scope::Scopes;
use countersign_domain::secret::Secret;
use countersign_domain::service_token::{NewServiceToken, ServiceToken};
use countersign_domain::time::Clock as _;
use countersign_store_conformance::doubles::{ManualClock, SeededEntropy};
use countersign_store_conformance::model::ModelStore;
use http_body_util::BodyExt as _;

use http::Request;

use super::*;
use crate::{Applications, Settings, StoreNumbers, TrustedProxies};

const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

struct World {
    app: Arc<App>,
    clock: Arc<ManualClock>,
    root: AccountId,
    id: String,
    secret: String,
    access: String,
}

impl World {
    async fn new() -> Self {
        let directory = Arc::new(Directory::default());
        let store = Arc::new(ModelStore::new(directory.clone()));
        let clock = Arc::new(ManualClock::default());
        let entropy = Arc::new(SeededEntropy::new(7));
        let authority = Authority::new(store, directory, clock.clone(), entropy, Policy::default());
        let authority = Arc::new(authority);
        authority.load().await.unwrap();
        let text = "root-token-of-the-tests-0123456789";
        let settings =
            RootSettings { token: Some(Secret::from_operator(text.into())), ..RootSettings::default() };
        let root = authority.ensure_root(settings).await.unwrap().account;
        let settings = Settings {
            trusted_proxies: TrustedProxies::loopback(),
            connections: 10,
            public_url: "http://localhost".to_owned(),
            doors_need_certificate: false,
            applications: Applications::default(),
            single_header: None,
        };
        let app = App::new(authority, settings, Arc::new(StoreNumbers::default));
        let mut world =
            Self { app, clock, root, id: String::new(), secret: String::new(), access: text.to_owned() };
        let (token, secret) = world.issue("ci", Scopes::FULL).await;
        world.id = token.client_id.to_string();
        world.secret = secret.reveal().to_owned();
        let (origin, caller) = (Origin::default(), world.caller());
        let asked = Asked { caller: &caller, account: root, origin: &origin };
        let issued =
            world.app.authority.issue_access_token(asked, AccessTokenRequest::default()).await.unwrap();
        world.access = issued.1.reveal().to_owned();
        world
    }

    fn caller(&self) -> countersign_domain::caller::Caller {
        let presented = countersign_domain::demand::Presented::access(&self.access).unwrap();
        let sighting = Sighting { door: Door::Api, address: None, user_agent: b"", request: None };
        self.app.authority.authenticate(&presented, sighting).unwrap().0
    }

    async fn issue(&self, name: &str, scopes: Scopes) -> (ServiceToken, Secret) {
        let (origin, caller) = (Origin::default(), self.caller());
        let asked = Asked { caller: &caller, account: self.root, origin: &origin };
        let new = NewServiceToken {
            name: Name::parse(name).unwrap(),
            lifetime: Lifetime::parse("1h").unwrap(),
            enabled: true,
            restrictions: scopes.into(),
            secret_version: 1,
        };
        let (view, secret) = self.app.authority.issue_service_token(asked, new).await.unwrap();
        (view.token, secret)
    }

    /// `None` = let in.
    fn reason(&self, uri: &str, headers: &[(&str, &str)]) -> Option<Reason> {
        let request = request(uri, headers);
        let signals = Signals::read(request.headers(), None);
        let knock = Knock { address: Some(PEER), ..authz::knock(&self.app, &request, &signals, PEER) };
        match decide(&self.app, &knock) {
            Outcome::Granted(..) => None,
            Outcome::Denied(refused) => Some(refused.reason),
            Outcome::Unready => panic!("everything was loaded"),
        }
    }

    /// As [`World::reason`], with the good pair.
    fn with_pair(&self, uri: &str, more: &[(&str, &str)]) -> Option<Reason> {
        let pair = [("cf-access-client-id", &*self.id), ("cf-access-client-secret", &*self.secret)];
        self.reason(uri, &[&pair, more].concat())
    }

    fn answer(&self, uri: &str, headers: &[(&str, &str)]) -> DoorResponse {
        authz::answer(&self.app, &request(uri, headers), PEER)
    }
}

fn request(uri: &str, headers: &[(&str, &str)]) -> Request<()> {
    let builder = Request::builder().uri(uri);
    headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value)).body(()).unwrap()
}

fn basic(plain: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(plain))
}

#[tokio::test]
async fn every_form_of_a_credential() {
    let world = World::new().await;
    let (id, secret, access) = (&*world.id, &*world.secret, &*world.access);
    let json = format!(r#"{{"cf-access-client-id":"{id}","cf-access-client-secret":"{secret}"}}"#);
    let good = [
        json,
        basic(&format!("{id}:{secret}")),
        format!("Bearer {access}"),
        format!("bearer {access}"),
        access.to_owned(),
        basic(access),
        basic(&format!("x:{access}")),
        basic(&format!("{access}:")),
    ];
    for value in &good {
        assert_eq!(world.reason("/authz", &[("authorization", value)]), None, "{value}");
    }
    let shouted = format!(r#"{{"CF-Access-Client-Id":"{id}","CF-Access-Client-Secret":"{secret}"}}"#);
    let swapped = basic(&format!("{secret}:{id}"));
    for value in ["", "Bearer", "Negotiate abc", "Bearer é", "{}", "{", &shouted, "Bearer a b"] {
        assert_eq!(world.reason("/authz", &[("authorization", value)]), Some(Reason::Malformed), "{value}");
    }
    assert_eq!(world.reason("/authz", &[("authorization", &swapped)]), Some(Reason::Unknown));
    assert_eq!(world.reason("/authz", &[]), Some(Reason::Malformed));
    assert_eq!(world.with_pair("/authz", &[]), None);
}

#[tokio::test]
async fn halves_and_repetitions_are_malformed() {
    let world = World::new().await;
    let (id, secret) = (("cf-access-client-id", &*world.id), ("cf-access-client-secret", &*world.secret));
    let bearer = format!("Bearer {}", world.access);
    for headers in [
        vec![id],
        vec![secret],
        vec![id, id, secret],
        vec![id, secret, secret],
        vec![("authorization", &*bearer), ("authorization", &*bearer)],
        vec![id, ("authorization", &*bearer)],
        vec![id, ("cf-access-client-secret", "")],
        vec![id, ("cf-access-client-secret", "csst_é")],
    ] {
        assert_eq!(world.reason("/authz", &headers), Some(Reason::Malformed), "{headers:?}");
    }
}

#[tokio::test]
async fn beside_the_pair_only_credentials_of_ours_are_ambiguous() {
    let world = World::new().await;
    let ours = [
        format!("Bearer {}", world.access),
        world.access.clone(),
        basic(&format!("{}:x", world.id)),
        basic(&world.access),
        format!(r#"{{"cf-access-client-id":"{}","cf-access-client-secret":"x"}}"#, world.id),
        "Bearer root-token-of-the-tests-0123456789".to_owned(),
    ];
    for value in &ours {
        let reason = world.with_pair("/authz", &[("authorization", value)]);
        assert_eq!(reason, Some(Reason::AmbiguousCredential), "{value}");
    }
    let theirs =
        ["Bearer eyJhbGciOi.J9.x", "Bearer 0123456789abcdef0123456789abcdef01234567", "Digest x", "garbage"];
    for value in theirs {
        assert_eq!(world.with_pair("/authz", &[("authorization", value)]), None, "{value}");
    }
    assert_eq!(world.with_pair("/authz", &[("authorization", &basic("someone:password"))]), None);
}

#[tokio::test]
async fn demands_must_be_understood() {
    let world = World::new().await;
    let own = format!("/authz?account={}", world.root);
    assert_eq!(world.with_pair(&own, &[]), None);
    assert_eq!(world.with_pair(&format!("{own}&kind=service&scope=a|b&scope=c%3A*"), &[]), None);
    assert_eq!(world.with_pair(&format!("{own}&kind=access"), &[]), Some(Reason::WrongKind));
    let organization = format!("/authz?organization={}", "a".repeat(32));
    assert_eq!(world.with_pair(&organization, &[]), Some(Reason::WrongOrganization));
    let foreign = format!("/authz?account={}", "0".repeat(32));
    assert_eq!(world.with_pair(&foreign, &[]), Some(Reason::WrongAccount));
    for bad in [
        "scope=",
        "scopes=a",
        "scope=a|",
        "scope=a b",
        "organization=o",
        "account=x",
        "kind=both",
        "a",
        "scope",
        "=",
        "Scope=a",
        "any",
    ] {
        assert_eq!(
            world.with_pair(&format!("/authz?{bad}").replace(' ', "%20"), &[]),
            Some(Reason::BadDemand),
            "{bad}"
        );
    }
}

#[tokio::test]
async fn a_header_can_only_narrow() {
    let world = World::new().await;
    let demand = |value| ("x-countersign-demand", value);
    assert_eq!(world.with_pair("/authz", &[demand("any")]), None);
    assert_eq!(world.with_pair("/authz?kind=access", &[demand("any")]), Some(Reason::WrongKind));
    assert_eq!(world.with_pair("/authz", &[demand("kind=access")]), Some(Reason::WrongKind));
    let both = [demand("kind=service"), demand("kind=access")];
    assert_eq!(world.with_pair("/authz", &both), Some(Reason::WrongKind));
    for nothing in ["", "&", "any&"] {
        assert_eq!(world.with_pair("/authz", &[demand(nothing)]), Some(Reason::BadDemand), "{nothing:?}");
    }
    // Below /authz/ the query is the client's.
    assert_eq!(world.with_pair("/authz/app?kind=access", &[demand("any")]), None);
    assert_eq!(world.with_pair("/authz/app?kind=service", &[]), Some(Reason::BadDemand));
    assert_eq!(world.with_pair("/authz/", &[]), Some(Reason::BadDemand));
    assert_eq!(world.with_pair("/authz/", &[demand("any"), demand("any")]), Some(Reason::BadDemand));
    assert_eq!(world.with_pair("/authz/", &[demand("kind=access")]), Some(Reason::WrongKind));
}

#[tokio::test]
async fn statements_about_the_original_request_must_agree() {
    let world = World::new().await;
    let any = ("x-countersign-demand", "any");
    let ambiguous = Some(Reason::AmbiguousRequest);
    let nginx = [("x-original-method", "GET"), ("x-original-uri", "/a?b")];
    assert_eq!(world.with_pair("/authz", &nginx), None);
    let and = |more: (&'static str, &'static str)| world.with_pair("/authz", &[nginx[0], nginx[1], more]);
    assert_eq!(and(("x-original-url", "https://h/a?b")), None);
    assert_eq!(and(("x-original-url", "https://h/other")), ambiguous);
    assert_eq!(and(("x-original-url", "/a?b")), ambiguous, "not a URL");
    assert_eq!(and(("x-forwarded-uri", "/other")), ambiguous);
    assert_eq!(and(("x-forwarded-method", "POST")), ambiguous);
    assert_eq!(and(("x-original-uri", "/a?b")), ambiguous, "twice");
    assert_eq!(world.with_pair("/authz/a?b", &[any, ("x-forwarded-uri", "/a?b")]), None);
    assert_eq!(world.with_pair("/authz/a?b", &[any, ("x-forwarded-uri", "/c")]), ambiguous);
    assert_eq!(world.with_pair("/authz/a", &[any, ("x-original-method", "POST")]), ambiguous);
    assert_eq!(world.with_pair("/authz", &[("connection", "close, X-Countersign-Demand")]), ambiguous);
    assert_eq!(world.with_pair("/authz", &[("connection", "keep-alive, upgrade")]), None);
}

#[tokio::test]
async fn refusals_of_a_kind_are_the_same_bytes() {
    let world = World::new().await;
    let bytes = async |uri: &str, headers: &[(&str, &str)]| {
        let (parts, body) = world.answer(uri, headers).into_parts();
        (parts.status.as_u16(), format!("{:?}", parts.headers), body.collect().await.unwrap().to_bytes())
    };
    let (id, other) = (&*world.id, "a1".repeat(32));
    let nothing = bytes("/authz", &[]).await;
    assert_eq!(nothing.0, 401);
    assert!(
        nothing.1.contains(r#""www-authenticate": "Bearer realm=\"countersign\", error=\"invalid_token\"""#)
    );
    let wrong = bytes("/authz", &[("cf-access-client-id", id), ("cf-access-client-secret", &other)]).await;
    assert_eq!(nothing, wrong);
    let pair = [("cf-access-client-id", id), ("cf-access-client-secret", &*world.secret)];
    let account = bytes(&format!("/authz?account={}", "0".repeat(32)), &pair).await;
    let demand = bytes("/authz?typo=1", &pair).await;
    assert_eq!((account.0, &account), (403, &demand));
    world.clock.set(world.clock.now().after(Duration::from_secs(3_600)));
    assert_eq!(nothing, bytes("/authz", &pair).await, "expired");
}

#[tokio::test]
async fn identity_headers() {
    let world = World::new().await;
    let long = "é".repeat(200);
    let scopes: Vec<_> = (0..32)
        .map(|n| countersign_domain::scope::Scope::parse(&format!("{n:02}{}", "x".repeat(60))).unwrap())
        .collect();
    let (token, secret) = world.issue(&format!("a%b {long}"), Scopes::list(scopes).unwrap()).await;
    let id = token.client_id.to_string();
    let response =
        world.answer("/authz", &[("cf-access-client-id", &id), ("cf-access-client-secret", secret.reveal())]);
    let header = |name: &str| String::from_utf8_lossy(response.headers()[name].as_bytes()).into_owned();
    assert_eq!(response.status(), 200);
    assert_eq!(header("x-countersign-account"), world.root.to_string());
    assert_eq!(header("x-countersign-token"), token.id.to_string());
    assert_eq!(header("x-countersign-kind"), "service");
    let name = header("x-countersign-name");
    assert!(name.starts_with("a%25b %C3%A9") && name.len() <= 256 && name.ends_with("%C3%A9"), "{name}");
    let list = header("x-countersign-scopes");
    assert!(list.len() <= 1028 && list.ends_with(",…"), "{list}");
    assert_eq!(header("x-countersign-organizations"), "");
    assert!(!response.headers().contains_key("deprecation"));
}

#[test]
fn which_paths_are_doors() {
    for path in ["/authz", "/authz/", "/authz/a/b"] {
        assert!(authz::is_door(path), "{path}");
    }
    for path in ["/", "/authzz", "/v1/authz", "/Authz", "/authz%2F"] {
        assert!(!authz::is_door(path), "{path}");
    }
}
