//! A client, a proxy, an app behind it, and a Countersign that the proxy asks.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use serde_json::{Value, json};

use crate::connection::{Answer, Connection};
use crate::manager::{Issued, Manager, tokens};
use crate::origin::Origin;
use crate::proxy::{Guarded, Kind, Proxy};
use crate::server::{ACCOUNT, Data, Launch, Server};

/// What the app demands.
pub(crate) const SCOPE: &str = "app:use";

/// The app's name, where it wants an assertion.
pub(crate) const AUDIENCE: &str = "4714c1358e65fe4b408ad6d432a5f878f08194bdb4752441fd56faefa9b2b6f2";

/// Name and value.
pub(crate) type Header<'a> = (&'a str, &'a str);

/// A client of the app, which it asks for `/app?x=1`.
pub(crate) struct Client {
    proxy: SocketAddr,
    connection: Connection,
}

impl Client {
    pub(crate) fn of(proxy: SocketAddr) -> Self {
        Self { proxy, connection: Connection::open(proxy).expect("a connection") }
    }

    /// From an address of our choice.
    pub(crate) fn coming_from(source: Ipv4Addr, proxy: SocketAddr) -> Self {
        Self { proxy, connection: Connection::open_from(source, proxy).expect("a connection") }
    }

    pub(crate) fn ask(&mut self, method: &str, headers: &[Header<'_>], body: &str) -> Answer {
        self.ask_for(method, "/app?x=1", headers, body)
    }

    /// Asks for something else.
    pub(crate) fn ask_for(
        &mut self,
        method: &str,
        target: &str,
        headers: &[Header<'_>],
        body: &str,
    ) -> Answer {
        let answer = self.connection.ask(method, target, headers, body.as_bytes());
        let answer = answer.expect("an answer of the proxy");
        // nginx ends a connection after a thousand requests, and after one that it does not like.
        if answer.header("connection") == Some("close") {
            *self = Self::of(self.proxy);
        }
        answer
    }

    /// What comes after an answer that is not the last, a 100.
    pub(crate) fn rest(&mut self) -> io::Result<Answer> {
        self.connection.answer(false)
    }

    /// Asks with a token, and with more headers.
    pub(crate) fn show(&mut self, token: &Issued, more: &[Header<'_>]) -> Answer {
        self.ask("GET", &[&pair(&token.client_id, &token.secret), more].concat(), "")
    }
}

/// A Countersign and an app, and nothing between them and their clients yet.
pub(crate) struct Backstage {
    pub(crate) manager: Manager,
    origin: Origin,
    server: Server,
    data: Data,
}

/// A client in front of a proxy in front of an app, and somebody who manages tokens behind the scene.
pub(crate) struct Scene {
    pub(crate) client: Client,
    pub(crate) manager: Manager,
    pub(crate) proxy: Proxy,
    pub(crate) origin: Origin,
    pub(crate) server: Server,
    _data: Data,
}

impl Backstage {
    pub(crate) fn new() -> Self {
        let data = Data::new();
        // The proxy is trusted and no other address of this machine, so that a client can come from one that is not.
        let launch = Launch::new(&data).arg("--trusted-proxies").arg("127.0.0.1/32");
        let applications = format!("{AUDIENCE}?scope={SCOPE}");
        let server = launch.env("COUNTERSIGN_CLOUDFLARE_ACCESS_APPLICATIONS", &applications).start();
        let manager = Manager::connect(server.address());
        Self { manager, origin: Origin::start(), server, data }
    }

    /// With a proxy in front that lets in the tokens of this account, and demands what people write behind it.
    pub(crate) fn behind(self, kind: Kind, account: &str) -> Scene {
        let Self { manager, origin, server, data } = self;
        let (door, app) = (server.address(), origin.address());
        let proxy = Proxy::start(kind, &Guarded { door, origin: app, account });
        let client = Client::of(proxy.address());
        Scene { client, manager, proxy, origin, server, _data: data }
    }
}

impl Scene {
    pub(crate) fn new(kind: Kind) -> Self {
        Self::of_account(kind, ACCOUNT)
    }

    /// With a proxy that lets in the tokens of this account.
    pub(crate) fn of_account(kind: Kind, account: &str) -> Self {
        Backstage::new().behind(kind, account)
    }

    /// A token that may, unless the body says otherwise.
    pub(crate) fn issue(&mut self, mut body: Value) -> Issued {
        for (field, value) in [("name", "somebody".into()), ("scopes", json!([SCOPE]))] {
            body.as_object_mut().expect("an object").entry(field).or_insert(value);
        }
        let answer = self.manager.ask("POST", &tokens(), &body).expect("an answer");
        assert_eq!(answer.status, 201, "{}; {}", answer.text(), self.server.log());
        let token = answer.json();
        let text = |field: &str| token["result"][field].as_str().expect("a text").to_owned();
        Issued { id: text("id"), client_id: text("client_id"), secret: text("client_secret") }
    }

    pub(crate) fn ask(&mut self, method: &str, headers: &[Header<'_>], body: &str) -> Answer {
        self.client.ask(method, headers, body)
    }

    /// Asks with a token, and with more headers.
    pub(crate) fn show(&mut self, token: &Issued, more: &[Header<'_>]) -> Answer {
        self.client.show(token, more)
    }
}

/// The two headers of a service token.
pub(crate) fn pair<'a>(client_id: &'a str, secret: &'a str) -> [Header<'a>; 2] {
    [("CF-Access-Client-Id", client_id), ("CF-Access-Client-Secret", secret)]
}
