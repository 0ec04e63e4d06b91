//! What restricts a token, as options and for people.

use clap::Args;
use countersign_domain::limits::Quota;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::scopes_text;

/// Restrictions of a new token, or new ones: a list that is given replaces the one that was there, and so do limits, all
/// together.
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

    /// How many requests a second, on each node; limits that are given replace all that there were [default: those of the
    /// issuer, or as it was]
    #[arg(long, value_name = "REQUESTS")]
    rate: Option<u32>,

    /// How many of them at once after a pause [default: as many as a second]
    #[arg(long, value_name = "REQUESTS", requires = "rate")]
    burst: Option<u32>,

    /// How many requests in each day or month (UTC), such as 1000/day
    #[arg(long, value_name = "REQUESTS/PERIOD", value_parser = |text: &str| Quota::parse(text))]
    quota: Option<Quota>,

    /// Without any limit of rate or quota
    #[arg(long, conflicts_with_all = ["rate", "burst", "quota"])]
    unlimited: bool,
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
        if self.unlimited || self.rate.is_some() || self.quota.is_some() {
            body.insert("limits".to_owned(), self.limits());
        }
    }

    fn limits(&self) -> Value {
        let mut limits = Map::new();
        if let Some(rate) = self.rate {
            limits.insert("rate".to_owned(), json!({ "requests_per_second": rate, "burst": self.burst }));
        }
        if let Some(quota) = self.quota {
            let quota = json!({ "requests": quota.requests(), "period": quota.per().as_str() });
            limits.insert("quota".to_owned(), quota);
        }
        Value::Object(limits)
    }
}

/// Restrictions as the API gives them.
#[derive(Default, Deserialize)]
pub(super) struct Restrictions {
    pub(super) scopes: Option<Vec<String>>,
    organizations: Option<Vec<String>>,
    resources: Option<Vec<String>>,
    allowed_ips: Option<Vec<String>>,
    limits: Option<Limits>,
}

/// How often it may be used.
#[derive(Deserialize)]
struct Limits {
    rate: Option<Rate>,
    quota: Option<QuotaOf>,
}

#[derive(Deserialize)]
struct Rate {
    requests_per_second: u32,
    burst: u32,
}

#[derive(Deserialize)]
struct QuotaOf {
    requests: u64,
    period: String,
}

impl Limits {
    fn text(&self) -> String {
        let rate = self.rate.as_ref();
        let rate = rate.map(|rate| format!("{} a second, {} at once", rate.requests_per_second, rate.burst));
        let quota = self.quota.as_ref().map(|quota| format!("{} a {}", quota.requests, quota.period));
        rate.into_iter().chain(quota).collect::<Vec<_>>().join(", ")
    }
}

impl Restrictions {
    /// As facts about a token; those that few tokens have are left out where there are none.
    pub(super) fn facts(&self) -> [(&'static str, Option<String>); 5] {
        let listed = |list: &Option<Vec<String>>| {
            let text = |list: &Vec<String>| if list.is_empty() { "none".to_owned() } else { list.join(", ") };
            list.as_ref().map(text)
        };
        [
            ("scopes", Some(scopes_text(self.scopes.as_deref()))),
            ("organizations", listed(&self.organizations)),
            ("resources", listed(&self.resources)),
            ("allowed ips", listed(&self.allowed_ips)),
            ("limits", self.limits.as_ref().map(Limits::text)),
        ]
    }
}
