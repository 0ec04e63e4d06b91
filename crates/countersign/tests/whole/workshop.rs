//! Service tokens, and what is signed for them.

use serde_json::Value;

use crate::server::{ACCOUNT, Server, TOKEN};

/// A service token.
pub(crate) struct Token {
    /// The path of its operations.
    pub(crate) path: String,
    pub(crate) client_id: String,
    pub(crate) secret: String,
}

impl Token {
    /// One of the root account.
    pub(crate) fn issue(server: &Server, body: &Value) -> Self {
        Self::issue_of(server, ACCOUNT, body)
    }

    /// One of any account.
    pub(crate) fn issue_of(server: &Server, account: &str, body: &Value) -> Self {
        let mut body = body.clone();
        body["name"] = "signed".into();
        let path = format!("/client/v4/accounts/{account}/access/service_tokens");
        let (status, answer) = server.call("POST", &path, TOKEN, Some(&body));
        assert_eq!(status, 201, "{answer}");
        let text = |field: &str| answer["result"][field].as_str().expect("a text").to_owned();
        Self {
            path: format!("{path}/{}", text("id")),
            client_id: text("client_id"),
            secret: text("client_secret"),
        }
    }

    /// The JWT for it, with more parameters of the form.
    pub(crate) fn exchange(&self, server: &Server, parameters: &[(&str, &str)]) -> String {
        let own = [
            ("grant_type", "client_credentials"),
            ("client_id", &self.client_id),
            ("client_secret", &self.secret),
        ];
        let form = own.into_iter().chain(parameters.iter().copied());
        let mut answer = ureq::post(server.url("/oauth2/token"))
            .send_form(form)
            .unwrap_or_else(|error| panic!("{error}: {}", server.log()));
        let answer: Value = answer.body_mut().read_json().expect("JSON");
        answer["access_token"].as_str().expect("a token").to_owned()
    }

    /// What a door asserts to this application.
    pub(crate) fn assertion(&self, server: &Server, application: &str) -> String {
        let answer = ureq::get(server.url(&format!("/authz?assertion={application}")))
            .header("cf-access-client-id", &self.client_id)
            .header("cf-access-client-secret", &self.secret)
            .call()
            .unwrap_or_else(|error| panic!("{error}: {}", server.log()));
        let assertion = answer.headers().get("cf-access-jwt-assertion").expect("an assertion");
        assertion.to_str().expect("text").to_owned()
    }
}
