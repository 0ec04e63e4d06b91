//! What restricts a token, as options and for people.

use clap::Args;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::scopes_text;

/// Restrictions of a new token, or new ones: a list that is given replaces the one that was there.
#[derive(Debug, Args)]
pub(crate) struct RestrictionArgs {
    /// What it may be used for; repeatable, DEFAULT for everything its account may [default: what the issuer has, or as
    /// it was]
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,

    /// In which organizations, by id; repeatable [default: those of the issuer, or as it was]
    #[arg(long = "organization", value_name = "ORGANIZATION_ID")]
    organizations: Vec<String>,

    /// On which requests, such as '/reports/**' or 'GET /users/*'; repeatable [default: what the issuer has, or as it
    /// was]
    #[arg(long = "resource", value_name = "PATTERN")]
    resources: Vec<String>,

    /// From where, such as 192.0.2.0/24; repeatable [default: what the issuer has, or as it was]
    #[arg(long = "allowed-ip", value_name = "NETWORK")]
    allowed_ips: Vec<String>,
}

impl RestrictionArgs {
    /// Puts what is given into the body of a request.
    pub(super) fn add_to(&self, body: &mut Map<String, Value>) {
        let lists = [
            ("scopes", &self.scopes),
            ("organizations", &self.organizations),
            ("resources", &self.resources),
            ("allowed_ips", &self.allowed_ips),
        ];
        for (name, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
            body.insert(name.to_owned(), json!(list));
        }
    }
}

/// Restrictions as the API gives them.
#[derive(Default, Deserialize)]
pub(super) struct Restrictions {
    pub(super) scopes: Option<Vec<String>>,
    organizations: Option<Vec<String>>,
    resources: Option<Vec<String>>,
    allowed_ips: Option<Vec<String>>,
}

impl Restrictions {
    /// As facts about a token; those that few tokens have are left out where there are none.
    pub(super) fn facts(&self) -> [(&'static str, Option<String>); 4] {
        let listed = |list: &Option<Vec<String>>| {
            let text = |list: &Vec<String>| if list.is_empty() { "none".to_owned() } else { list.join(", ") };
            list.as_ref().map(text)
        };
        [
            ("scopes", Some(scopes_text(self.scopes.as_deref()))),
            ("organizations", listed(&self.organizations)),
            ("resources", listed(&self.resources)),
            ("allowed ips", listed(&self.allowed_ips)),
        ]
    }
}
