//! Every operation of every wire, from the OpenAPI documents: routes describe themselves where they are registered, so
//! no test that goes through this list can forget one.

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
    pub(crate) access: String,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        let world = World::new().await;
        let account = world.account_below(&world.root_account).await;
        let created = world
            .post(&service_tokens_of(&account))
            .bearer(&world.root)
            .json(&json!({"name": "there"}))
            .await;
        let service = created.text_at("/result/id");
        let access = world.access_token_of(&account, json!({})).await[..22].to_owned();
        Self { world, account, service, access }
    }

    pub(crate) fn path(&self, template: &str) -> String {
        let path = template
            .replace("{account_id}", &self.account)
            .replace("{id}", &self.account)
            .replace("{service_token_id}", &self.service)
            .replace("{fk}", &self.access)
            .replace("{document}", "native.json")
            .replace("{path}", "app");
        assert!(!path.contains('{'), "teach this test what stands for the parameter in {template}");
        match template {
            "/api/v1/usage" => format!("{path}?token={}&account={}", self.service, self.account),
            "/api/v1/audit" => format!("{path}?account={}", self.account),
            _ => path,
        }
    }

    /// A body that is right for every operation.
    fn body(&self, operation: &Operation) -> Value {
        match operation.template.as_str() {
            "/api/v1/verify" => json!({"token": self.world.root}),
            _ => json!({"name": "stranger"}),
        }
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
        let call = credential.iter().fold(call, |call, (name, value)| call.header(name, value));
        if operation.method == "GET" { call.send().await } else { call.json(&self.body(operation)).await }
    }
}
