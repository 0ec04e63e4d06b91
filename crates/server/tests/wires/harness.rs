//! A whole server without a network: the real router over the model store.

use std::any::Any;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use countersign_authority::{
    AccountRequest, Algorithm, Asked, Authority, Directory, Policy, RootSettings, Seal, Sighting,
    SigningSettings,
};
use countersign_domain::audit::Origin;
use countersign_domain::change::FactChange;
use countersign_domain::demand::Presented;
use countersign_domain::email::Email;
use countersign_domain::entropy::Entropy;
use countersign_domain::profile::Profile;
use countersign_domain::store::{Revision, SharedStore};
use countersign_domain::usage::Door;
use countersign_postgres_cluster::Database;
use countersign_server::{
    App, Applications, Exposure, Service, Settings, SingleHeader, StoreNumbers, TrustedProxies,
};
use countersign_store_conformance::doubles::{ManualClock, ManualUptime, SeededEntropy};
use countersign_store_conformance::model::ModelStore;
use countersign_store_conformance::world::load_facts;
use countersign_store_postgres::{PostgresOptions, PostgresStore};
use countersign_store_sqlite::{SqliteOptions, SqliteStore};
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// In which real store.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stored {
    Embedded,
    Shared,
}

/// An open store.
struct Opened {
    store: SharedStore,
    model: Option<Arc<ModelStore>>,
    /// Where it is, when others can open it, too.
    url: Option<String>,
    /// What lives as long as it.
    kept: Box<dyn Any + Send + Sync>,
}

impl Stored {
    async fn open(self, directory: &Arc<Directory>) -> Opened {
        let (sink, model) = (directory.clone(), None);
        match self {
            Self::Embedded => {
                let kept = tempfile::tempdir().unwrap();
                let store = SqliteStore::open(SqliteOptions::new(kept.path()), sink).unwrap();
                Opened { store: Arc::new(store), model, url: None, kept: Box::new(kept) }
            }
            Self::Shared => {
                let kept = Database::create().unwrap();
                let url = kept.url().to_owned();
                let store = Arc::new(open_shared(&url, directory).await);
                Opened { store, model, url: Some(url), kept: Box::new(kept) }
            }
        }
    }
}

async fn open_shared(url: &str, sink: &Arc<Directory>) -> PostgresStore {
    let options = PostgresOptions::new(url.parse().unwrap(), Arc::new(ManualUptime::default()));
    PostgresStore::open(options, sink.clone()).await.unwrap()
}

/// The server's, in tokens that it signs.
pub(crate) const ISSUER: &str = "http://localhost";

/// Can sign, as soon as it has keys.
fn signing(authority: Authority) -> Authority {
    let settings = SigningSettings {
        issuer: ISSUER.into(),
        algorithm: Algorithm::EdDsa,
        lifetime: Duration::from_secs(300),
        resources: None,
        is_alone: false,
    };
    authority.signing_with(settings, seal(1))
}

fn seal(key: u8) -> Arc<Seal> {
    Arc::new(Seal::new(&[key; 32]).unwrap())
}

/// A server and what a test holds of it.
pub(crate) struct World {
    pub(crate) app: Arc<App>,
    pub(crate) service: Service,
    pub(crate) authority: Arc<Authority>,
    store: SharedStore,
    /// The store, when it is one that fails as it is told.
    model: Option<Arc<ModelStore>>,
    /// Where the store is, when others can open it, too.
    url: Option<String>,
    _kept: Box<dyn Any + Send + Sync>,
    pub(crate) clock: Arc<ManualClock>,
    directory: Arc<Directory>,
    entropy: Arc<SeededEntropy>,
    /// The root account.
    pub(crate) root_account: String,
    /// The text of its token.
    pub(crate) root: String,
}

impl World {
    /// A server that has just started, with its root account and root token.
    pub(crate) async fn new() -> Self {
        Self::with(Policy::default()).await
    }

    /// As [`World::new`], with this configuration.
    pub(crate) async fn with(policy: Policy) -> Self {
        Self::start(Self::unloaded_with(policy)).await
    }

    /// As [`World::new`], over a real store.
    pub(crate) async fn over(stored: Stored) -> Self {
        let directory = Arc::new(Directory::default());
        let opened = stored.open(&directory).await;
        Self::start(Self::put_together(opened, directory, Policy::default())).await
    }

    async fn start(mut world: Self) -> Self {
        world.authority.load().await.unwrap();
        world.authority.recall_uses().await.unwrap();
        let outcome = world.authority.ensure_root(RootSettings::default()).await.unwrap();
        world.root_account = outcome.account.to_string();
        world.root = outcome.minted.unwrap().reveal().to_owned();
        world
    }

    /// A server that has not read its store yet.
    pub(crate) fn unloaded() -> Self {
        Self::unloaded_with(Policy::default())
    }

    fn unloaded_with(policy: Policy) -> Self {
        let directory = Arc::new(Directory::default());
        let model = Arc::new(ModelStore::new(directory.clone()));
        let opened = Opened { store: model.clone(), model: Some(model), url: None, kept: Box::new(()) };
        Self::put_together(opened, directory, policy)
    }

    fn put_together(opened: Opened, directory: Arc<Directory>, policy: Policy) -> Self {
        let Opened { store, model, url, kept: _kept } = opened;
        let clock = Arc::new(ManualClock::default());
        let entropy = Arc::new(SeededEntropy::new(7));
        let authority =
            Authority::new(store.clone(), directory.clone(), clock.clone(), entropy.clone(), policy);
        let authority = Arc::new(signing(authority));
        let (app, service) = serve(&authority);
        let (root_account, root) = (String::new(), String::new());
        Self {
            app,
            service,
            authority,
            store,
            model,
            url,
            _kept,
            clock,
            directory,
            entropy,
            root_account,
            root,
        }
    }

    /// Another server over the same database and with the same clock, for as long as this one is there.
    pub(crate) async fn beside(&self) -> Self {
        let directory = Arc::new(Directory::default());
        let url = self.url.clone().unwrap();
        let store = Arc::new(open_shared(&url, &directory).await);
        let opened = Opened { store, model: None, url: Some(url), kept: Box::new(()) };
        let mut world = Self::put_together(opened, directory, Policy::default());
        world.clock = self.clock.clone();
        let (store, directory, entropy) =
            (world.store.clone(), world.directory.clone(), world.entropy.clone());
        let authority = Authority::new(store, directory, world.clock.clone(), entropy, Policy::default());
        world.authority = Arc::new(signing(authority));
        (world.app, world.service) = serve(&world.authority);
        world.authority.load().await.unwrap();
        world.root_account.clone_from(&self.root_account);
        world.root.clone_from(&self.root);
        world
    }

    /// Starts the server again, over the same store and with another configuration.
    pub(crate) fn configure(&mut self, policy: Policy) {
        let (store, directory) = (self.store.clone(), self.directory.clone());
        let (clock, entropy) = (self.clock.clone(), self.entropy.clone());
        self.authority = Arc::new(signing(Authority::new(store, directory, clock, entropy, policy)));
        (self.app, self.service) = serve(&self.authority);
    }

    /// From now on the texts of new access tokens are kept for those who may list them.
    pub(crate) fn list_texts(&mut self, key: u8) {
        let (store, directory) = (self.store.clone(), self.directory.clone());
        let (clock, entropy) = (self.clock.clone(), self.entropy.clone());
        let authority = Authority::new(store, directory, clock, entropy, Policy::default());
        self.authority = Arc::new(signing(authority).listing_texts(seal(key)));
        (self.app, self.service) = serve(&self.authority);
    }

    /// The store, to let it fail.
    pub(crate) fn faults(&self) -> &ModelStore {
        self.model.as_deref().unwrap()
    }

    /// Every fact that is stored, and the revision, which counts changes of whatever else there is.
    pub(crate) async fn stored(&self) -> (Vec<FactChange>, Revision) {
        load_facts(&self.store).await
    }

    /// Begins a request; the path may have a query.
    pub(crate) fn call(&self, method: &str, path: &str) -> Call<'_> {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        Call {
            service: &self.service,
            request: Request::builder().method(method).uri(path),
            body: Body::empty(),
        }
    }

    pub(crate) fn get(&self, path: &str) -> Call<'_> {
        self.call("GET", path)
    }

    pub(crate) fn post(&self, path: &str) -> Call<'_> {
        self.call("POST", path)
    }

    pub(crate) fn delete(&self, path: &str) -> Call<'_> {
        self.call("DELETE", path)
    }

    /// Where the root account's service tokens are.
    pub(crate) fn service_tokens(&self) -> String {
        service_tokens_of(&self.root_account)
    }

    /// Where the root account's access tokens are.
    pub(crate) fn access_tokens(&self) -> String {
        format!("/v1/Accounts/{}/accessTokens", self.root_account)
    }

    /// Issues an access token for the root account in the root's name; gives its text.
    pub(crate) async fn access_token(&self, body: Value) -> String {
        self.access_token_of(&self.root_account, body).await
    }

    /// Issues an access token for an account in the root's name; gives its text.
    pub(crate) async fn access_token_of(&self, account: &str, body: Value) -> String {
        let path = format!("/v1/Accounts/{account}/accessTokens");
        let answer = self.post(&path).bearer(&self.root).json(&body).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        answer.text_at("/id")
    }

    /// Issues a service token for the root account in the root's name; gives its id, client id and secret.
    pub(crate) async fn service_token(&self, body: Value) -> ServiceToken {
        let answer = self.post(&self.service_tokens()).bearer(&self.root).json(&body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        ServiceToken {
            id: answer.text_at("/result/id"),
            client_id: answer.text_at("/result/client_id"),
            secret: answer.text_at("/result/client_secret"),
        }
    }

    /// Makes an account below another one, to which nobody logs in.
    pub(crate) async fn account_below(&self, parent: &str) -> String {
        let mut unique = [0; 8];
        self.entropy.fill(&mut unique);
        let email = format!("{}@example.com", u64::from_le_bytes(unique));
        let email = Email::parse(&email).unwrap();
        let request = AccountRequest { email, password: None, profile: Profile::default() };
        let presented = Presented::access(&self.root).unwrap();
        let sighting = Sighting { door: Door::Api, address: None, user_agent: b"", request: None };
        let (caller, _) = self.authority.authenticate(&presented, sighting).unwrap();
        let (account, origin) = (parent.parse().unwrap(), Origin::default());
        let asked = Asked { caller: &caller, account, origin: &origin };
        self.authority.create_account(asked, request).await.unwrap().id.to_string()
    }

    /// Exchanges the secret of a service token for a signed token, narrowed by more parameters of the form; gives its text.
    pub(crate) async fn exchange(&self, client_id: &str, secret: &str, more: &str) -> String {
        self.authority.tend_keys().await.unwrap();
        let form =
            format!("grant_type=client_credentials&client_id={client_id}&client_secret={secret}&{more}");
        let answer = self.post("/oauth2/token").form(&form).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        answer.text_at("/access_token")
    }

    /// A listener of this server, for as long as the test takes.
    pub(crate) async fn listen(&self, exposure: Exposure) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let end = std::future::pending();
        tokio::spawn(countersign_server::serve(self.app.clone(), listener, exposure, None, end));
        address
    }

    /// What the clock says, in seconds.
    pub(crate) fn clock_seconds(&self) -> i64 {
        self.authority.now().as_seconds()
    }

    /// What a door answers to a request with these headers: its status.
    pub(crate) fn door(&self, path: &str, headers: &[(&str, &str)]) -> StatusCode {
        let request =
            headers.iter().fold(Request::get(path), |request, (name, value)| request.header(*name, *value));
        self.app.door(&request.body(()).unwrap(), IpAddr::V4(Ipv4Addr::LOCALHOST)).status()
    }
}

/// Those that are told who was let in.
pub(crate) const APPLICATIONS: [&str; 2] = [
    "32eafc7626e737dabd7ecf3ac4ac7cf4d93ee7a8c2b40a1e8d8b5ae8d6fd7ba2?scope=app:use",
    "other?scope=app:use&kind=service",
];
/// Where both halves of a service token may stand, too.
pub(crate) const SINGLE_HEADER: &str = "x-credentials";

/// Where the service tokens of an account are.
pub(crate) fn service_tokens_of(account: &str) -> String {
    format!("/client/v4/accounts/{account}/access/service_tokens")
}

fn serve(authority: &Arc<Authority>) -> (Arc<App>, Service) {
    let settings = Settings {
        trusted_proxies: TrustedProxies::loopback(),
        connections: 10,
        public_url: ISSUER.to_owned(),
        doors_need_certificate: false,
        applications: Applications::parse(APPLICATIONS).unwrap(),
        single_header: SingleHeader::parse(SINGLE_HEADER),
    };
    let app = App::new(authority.clone(), settings, Arc::new(StoreNumbers::default));
    let service = Service::new(&app, Exposure::Everything);
    (app, service)
}

/// The credential of a service token.
#[derive(Debug)]
pub(crate) struct ServiceToken {
    pub(crate) id: String,
    pub(crate) client_id: String,
    pub(crate) secret: String,
}

impl ServiceToken {
    /// As a door is shown it.
    pub(crate) fn headers(&self) -> [(&str, &str); 2] {
        [("cf-access-client-id", &self.client_id), ("cf-access-client-secret", &self.secret)]
    }
}

/// A request in the making.
pub(crate) struct Call<'w> {
    service: &'w Service,
    request: http::request::Builder,
    body: Body,
}

impl Call<'_> {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn pair(self, service: &ServiceToken) -> Self {
        self.header("cf-access-client-id", &service.client_id)
            .header("cf-access-client-secret", &service.secret)
    }

    /// A body as it is, without a type.
    pub(crate) fn body(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends it with a JSON body.
    pub(crate) async fn json(self, body: &Value) -> Answer {
        self.header("content-type", "application/json").body(body.to_string()).send().await
    }

    /// Sends it with a form.
    pub(crate) async fn form(self, form: &str) -> Answer {
        self.header("content-type", "application/x-www-form-urlencoded").body(form.to_owned()).send().await
    }

    pub(crate) async fn send(self) -> Answer {
        let response = self.service.call(self.request.body(self.body).unwrap()).await;
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(bytes.into()).unwrap(),
        }
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The text at a JSON pointer.
    pub(crate) fn text_at(&self, pointer: &str) -> String {
        let json = self.json();
        let text = json.pointer(pointer).and_then(Value::as_str);
        text.unwrap_or_else(|| panic!("no text at {pointer}: {json}")).to_owned()
    }

    /// A header, empty when it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Asserts status and body, and what every answer must have.
    #[track_caller]
    pub(crate) fn assert(&self, status: u16, body: Value) {
        assert_eq!((self.status.as_u16(), self.json()), (status, body), "{:?}", self.headers);
        assert_eq!(self.header("cache-control"), "no-store");
        assert_eq!(self.header("x-request-id").len(), 16);
    }

    /// Asserts an error of the LoopBack wire.
    #[track_caller]
    pub(crate) fn assert_loopback(&self, status: u16, name: &str, message: &str) {
        let error = json!({"error": {"statusCode": status, "name": name, "message": message}});
        self.assert(status, error);
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/json");
    }

    /// Asserts a problem of the native wire about a field.
    #[track_caller]
    pub(crate) fn assert_field(&self, field: &str, reason: &str) {
        let problem = json!({"type": "about:blank", "title": "Bad Request", "status": 400,
            "detail": format!("{field} {reason}"), "field": field});
        self.assert(400, problem);
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/problem+json");
    }
}
