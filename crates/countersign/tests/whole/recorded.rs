//! The pages of `docs/doors`: what every recipe must say, and the questions of ingress-nginx, which is not run here, as its
//! template has them written (`rootfs/etc/nginx/template/nginx.tmpl` of 1.15.1, below `location = {{ $authPath }}`).

use serde_json::json;

use crate::connection::{Answer, Connection};
use crate::manager::{Issued, Manager, tokens};
use crate::proxies::IDENTITY;
use crate::proxy::Kind;
use crate::recipe::{EXAMPLE_ACCOUNT, file, path, recipe};
use crate::scene::{Header, pair};
use crate::server::{ACCOUNT, Data, Launch};

/// The controller's pod.
const CONTROLLER: &str = "127.0.0.1/32";
/// The client of it.
const CLIENT: &str = "192.0.2.7";

/// What is demanded by the recipe, of an account.
fn demanded(account: &str) -> String {
    let page = file("docs/doors/ingress-nginx.md");
    let (_, url) = recipe(&page, "ingress").split_once("auth-url: \"").expect("auth-url");
    let (url, _) = url.split_once('"').expect("the end of the URL");
    let (_, query) = url.split_once("/authz?").expect("the door");
    format!("/authz?{}", query.replace(EXAMPLE_ACCOUNT, account))
}

/// ingress-nginx, asking for a client.
struct Ingress {
    door: Connection,
    target: String,
}

impl Ingress {
    /// Asks whether a client may do this, which has said all of that.
    fn ask(&mut self, method: &str, target: &str, said: &[Header<'_>]) -> Answer {
        let url = format!("https://app.example.com{target}");
        let own = [
            ("X-Request-ID", "8e2b5c1f3a4d5e6f708192a3b4c5d6e7"),
            ("Host", "countersign.countersign.svc.cluster.local"),
            ("X-Original-URL", &*url),
            ("X-Original-Method", method),
            ("X-Sent-From", "nginx-ingress-controller"),
            ("X-Real-IP", CLIENT),
            ("X-Forwarded-For", CLIENT),
            ("X-Auth-Request-Redirect", target),
        ];
        // nginx drops the client's own of what it sets, and headers with underscores.
        let is_own = |name: &str| own.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
        let passed = said.iter().filter(|(name, _)| !name.contains('_') && !is_own(name));
        let mut request = format!("GET {} HTTP/1.1\r\n", self.target);
        for (name, value) in own.iter().chain(passed) {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        self.door.send_bytes(format!("{request}\r\n").as_bytes()).expect("sent");
        self.door.answer(false).expect("an answer")
    }

    fn status(&mut self, method: &str, target: &str, said: &[Header<'_>]) -> u16 {
        self.ask(method, target, said).status
    }
}

fn issue(manager: &mut Manager, more: serde_json::Value) -> Issued {
    let mut body = json!({ "name": "it", "scopes": ["app:use"] });
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    let token = manager.done("POST", &tokens(), body)["result"].take();
    let text = |field: &str| token[field].as_str().expect("a text").to_owned();
    Issued { id: text("id"), client_id: text("client_id"), secret: text("client_secret") }
}

#[test]
fn the_questions_of_ingress_nginx() {
    let data = Data::new();
    let server = Launch::new(&data).arg("--trusted-proxies").arg(CONTROLLER).start();
    let mut manager = Manager::connect(server.address());
    let open = || Connection::open(server.address()).expect("a connection");
    let mut ingress = Ingress { door: open(), target: demanded(ACCOUNT) };
    let any = issue(&mut manager, json!({}));
    let bound = issue(&mut manager, json!({ "resources": ["GET /app/**"], "allowed_ips": [CLIENT] }));
    let abroad = issue(&mut manager, json!({ "allowed_ips": ["127.0.0.1"] }));
    let [any, bound, abroad] = [&any, &bound, &abroad].map(|token| pair(&token.client_id, &token.secret));

    let granted = ingress.ask("POST", "/app/a?b=c", &any);
    assert_eq!(granted.status, 200);
    assert!(IDENTITY.iter().all(|name| granted.header(name).is_some()), "{}", granted.head);
    for (wanted, method, target, said) in [
        (401, "GET", "/app/a", vec![]),
        (401, "GET", "/app/a", vec![any[0]]),
        (401, "GET", "/app/a", vec![any[0], any[0], any[1]]),
        (401, "GET", "/app/a", IDENTITY.map(|name| (name, "forged")).to_vec()),
        (200, "GET", "/app/a?b=c", bound.to_vec()),
        (200, "GET", "/%61pp/a", bound.to_vec()),
        (403, "POST", "/app/a", bound.to_vec()),
        (403, "GET", "/other", bound.to_vec()),
        (403, "GET", "/app/../other", bound.to_vec()),
        (403, "GET", "/app%2fa", bound.to_vec()),
        (403, "GET", "//app/a", bound.to_vec()),
        (403, "GET", "/app/a", abroad.to_vec()),
        // What the client says of itself.
        (403, "GET", "/other", vec![bound[0], bound[1], ("X-Original-URI", "/app/a")]),
        (403, "GET", "/other", vec![bound[0], bound[1], ("X-Original-URL", "https://app.example.com/app/a")]),
        (403, "POST", "/app/a", vec![bound[0], bound[1], ("X-Original-Method", "GET")]),
        (403, "POST", "/app/a", vec![bound[0], bound[1], ("X-Forwarded-Method", "GET")]),
        (403, "GET", "/app/a", vec![any[0], any[1], ("X-Forwarded-Uri", "/other")]),
        (200, "GET", "/app/a", vec![any[0], any[1], ("X-Original-URI", "/app/a")]),
        (403, "GET", "/app/a", vec![abroad[0], abroad[1], ("X-Forwarded-For", "127.0.0.1")]),
        (403, "GET", "/app/a", vec![any[0], any[1], ("X-Countersign-Demand", "kind=access")]),
        (200, "GET", "/app/a", vec![any[0], any[1], ("X-Countersign-Demand", "any")]),
    ] {
        assert_eq!(ingress.status(method, target, &said), wanted, "{method} {target} {said:?}");
    }
    let mut foreign = Ingress { door: open(), target: demanded(&"0".repeat(32)) };
    assert_eq!(foreign.status("GET", "/app/a", &any), 403, "of another account");
}

/// What a page must say, whatever the proxy.
#[test]
fn every_recipe_names_the_account_and_takes_away_what_clients_say() {
    let pages = Kind::ALL.map(|kind| kind.page()).into_iter().chain([file("docs/doors/ingress-nginx.md")]);
    let readme = file("docs/doors/README.md");
    for page in pages {
        let title = page.lines().next().expect("a title").to_owned();
        let mut marked = page.split("<!-- recipe: ").skip(1);
        let recipes: String = marked.by_ref().filter_map(|part| part.split("```").nth(1)).collect();
        let plain = recipes.to_ascii_lowercase();
        assert!(plain.contains(&format!("account={EXAMPLE_ACCOUNT}")), "{title}: whose tokens");
        assert!(plain.contains("cf-access-client-secret"), "{title}: the secret ends at the proxy");
        let by_name = IDENTITY.iter().all(|name| plain.contains(&name.to_ascii_lowercase()));
        let by_pattern = ["-m sub", "key_matcher: { contains: countersign }", "(?i)countersign"];
        assert!(by_name || by_pattern.iter().any(|pattern| plain.contains(pattern)), "{title}: who it is");
        for status in ["401", "403", "429", "503"] {
            assert!(page.contains(status), "{title}: {status}");
        }
    }
    for document in [("README.md", ""), ("docs/doors/README.md", "docs/doors/")] {
        let text = file(document.0);
        let links = text.split("](").skip(1).filter_map(|part| part.split([')', '#']).next());
        for link in links.filter(|link| !link.contains("://")) {
            assert!(path(&format!("{}{link}", document.1)).exists(), "{}: {link}", document.0);
        }
    }
    for name in ["nginx", "ingress-nginx", "caddy", "haproxy", "traefik", "envoy"] {
        assert!(readme.contains(&format!("({name}.md)")), "docs/doors/README.md: {name}");
    }
    assert!(file("README.md").contains("(docs/doors/README.md)"), "README.md says where the recipes are");
}
