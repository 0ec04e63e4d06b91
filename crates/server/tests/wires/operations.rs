//! Every operation of every wire, from the OpenAPI documents: routes describe themselves where they are registered, so
//! no test that goes through this list can forget one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_server::documents;
use http::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Answer, World, service_tokens_of};

pub(crate) struct Operation {
    pub(crate) wire: &'static str,
    pub(crate) method: String,
    pub(crate) template: String,
}

impl Operation {
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.method, self.template)
    }

    pub(crate) fn needs_mail(&self) -> bool {
        NEEDS_MAIL.contains(&self.name().as_str())
    }

    /// Whether it needs keys that sign.
    pub(crate) fn needs_keys(&self) -> bool {
        let shows_keys = self.template.starts_with("/cdn-cgi/") || self.template.ends_with("jwks.json");
        self.template.contains(KEYS) || self.template == EXCHANGE || shows_keys
    }

    pub(crate) fn is_door(&self) -> bool {
        self.template.starts_with("/authz")
    }
}

pub(crate) fn operations() -> Vec<Operation> {
    let mut operations = Vec::new();
    for (wire, document) in documents() {
        let document: Value = serde_json::from_str(&document).unwrap();
        let prefix = if wire == "cloudflare" { "/client/v4" } else { "" };
        for (path, methods) in document["paths"].as_object().unwrap() {
            for method in methods.as_object().unwrap().keys().filter(|key| *key != "parameters") {
                let template = format!("{prefix}{path}");
                operations.push(Operation { wire, method: method.to_uppercase(), template });
            }
        }
    }
    operations
}

/// A world with something at the end of every path.
pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) account: String,
    pub(crate) service: String,
    /// Client id and secret of that one, as `Basic`.
    basic: String,
    pub(crate) access: String,
    /// The whole text of another one.
    whole_access: String,
    /// Of the account, which belongs to it.
    organization: String,
    membership: String,
}

/// Operations that answer anybody that they cannot be done without mail. This list may only shrink.
const NEEDS_MAIL: [&str; 5] = [
    "POST /v1/Accounts/reset",
    "POST /v1/Accounts/reset-password",
    "GET /v1/Accounts/confirm",
    "POST /v1/Accounts/{id}/verify",
    "POST /v1/Accounts/{id}/send-verification",
];

/// Of everybody, so only in the root account.
const KEYS: &str = "/access/keys";

const EXCHANGE: &str = "/oauth2/token";
const IDENTITY: &str = "/cdn-cgi/access/get-identity";

/// Who logs in.
pub(crate) const SOMEBODY: (&str, &str) = ("somebody@example.com", "Secret!1");

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::of(World::new().await).await
    }

    pub(crate) async fn of(world: World) -> Self {
        let account = world.account_below(&world.root_account).await;
        let created = world
            .post(&service_tokens_of(&account))
            .bearer(&world.root)
            .json(&json!({"name": "there"}))
            .await;
        let service = created.text_at("/result/id");
        let pair = [created.text_at("/result/client_id"), created.text_at("/result/client_secret")].join(":");
        let basic = format!("Basic {}", STANDARD.encode(pair));
        let access = world.access_token_of(&account, json!({})).await[..22].to_owned();
        let whole_access = world.access_token_of(&account, json!({})).await;
        let path = format!("/v1/Accounts/{account}/organizations");
        let organization = world.post(&path).bearer(&world.root).json(&json!({"name": "there"})).await;
        let organization = organization.text_at("/id");
        let path = format!("/v1/Organizations/{organization}/accountorganizations");
        let membership = world.get(&path).bearer(&world.root).send().await.text_at("/0/id");
        let (email, password) = SOMEBODY;
        let body = json!({"email": email, "password": password});
        let made = world.post("/v1/Accounts").bearer(&world.root).json(&body).await;
        assert_eq!(made.status, StatusCode::OK, "{made:?}");
        Self { world, account, service, basic, access, whole_access, organization, membership }
    }

    pub(crate) fn path(&self, template: &str) -> String {
        let id = match template {
            _ if template.contains(KEYS) => &self.world.root_account,
            _ if template.starts_with("/v1/Organizations/") => &self.organization,
            _ if template.starts_with("/v1/AccountOrganizations/") => &self.membership,
            _ => &self.account,
        };
        let path = template
            .replace("{account_id}", if template.contains(KEYS) { id } else { &self.account })
            .replace("{id}", id)
            .replace("{service_token_id}", &self.service)
            .replace("{fk}", &self.access)
            .replace("{document}", "native.json")
            .replace("{path}", "app");
        assert!(!path.contains('{'), "teach this test what stands for the parameter in {template}");
        match template {
            "/api/v1/usage" => format!("{path}?token={}&account={}", self.service, self.account),
            "/v1/Accounts/is-unique" => format!("{path}?email={}", SOMEBODY.0),
            "/api/v1/audit" => format!("{path}?account={}", self.account),
            _ => path,
        }
    }

    /// A body that is right for every operation.
    fn body(&self, operation: &Operation) -> Value {
        match operation.template.as_str() {
            "/api/v1/verify" => json!({"token": self.world.root}),
            "/api/v1/verify/batch" => json!({"requests": [{"token": self.world.root}]}),
            _ if operation.template.contains(KEYS) && operation.method == "PUT" => {
                json!({"key_rotation_interval_days": 30})
            }
            "/v1/Accounts" => json!({"email": "new@example.com", "password": "Secret!1"}),
            "/v1/Accounts/login" => json!({"email": SOMEBODY.0, "password": SOMEBODY.1}),
            "/v1/Accounts/impersonate" => json!({"id": self.account}),
            "/v1/Accounts/change-password" => json!({"oldPassword": SOMEBODY.1, "newPassword": "Other!22"}),
            "/v1/Organizations/{id}/invite" => json!({"email": SOMEBODY.0}),
            "/v1/AccountOrganizations/{id}/change-role" => json!({"role": "admin"}),
            _ => json!({"name": "stranger"}),
        }
    }

    /// A signed token of the service token.
    async fn cookie(&self) -> String {
        let exchanged = self.world.post(EXCHANGE).header("authorization", &self.basic);
        let exchanged = exchanged.form("grant_type=client_credentials").await;
        format!("CF_Authorization={}", exchanged.text_at("/access_token"))
    }

    /// The status of the answer to an operation.
    pub(crate) async fn send(&self, operation: &Operation, credential: &[(&str, &str)]) -> StatusCode {
        if operation.is_door() {
            let demand = [("x-countersign-demand", "any")];
            return self.world.door(&self.path(&operation.template), &[credential, &demand].concat());
        }
        self.ask(operation, credential).await.status
    }

    /// The answer to an operation that is no door.
    pub(crate) async fn ask(&self, operation: &Operation, credential: &[(&str, &str)]) -> Answer {
        let call = self.world.call(&operation.method, &self.path(&operation.template));
        let of_root = format!("Bearer {}", self.world.root);
        let credential = match operation.template.as_str() {
            // Nobody but a service token can be exchanged for a signed one.
            EXCHANGE if credential == [("authorization", &*of_root)] => &[("authorization", &*self.basic)],
            IDENTITY if credential == [("authorization", &*of_root)] => &[("cookie", &*self.cookie().await)],
            _ => credential,
        };
        let call = credential.iter().fold(call, |call, (name, value)| call.header(name, value));
        match operation.method.as_str() {
            "GET" => call.send().await,
            _ if operation.template == EXCHANGE => call.form("grant_type=client_credentials").await,
            _ if operation.wire == "oauth" => call.form(&format!("token={}", self.whole_access)).await,
            _ => call.json(&self.body(operation)).await,
        }
    }
}
