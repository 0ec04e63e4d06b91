//! `countersign verify`: would a door take this credential?

use std::net::IpAddr;

use clap::{ArgGroup, Args, ValueEnum};
use countersign_domain::id::{AccountId, ClientId, OrganizationId};
use countersign_domain::secret::Secret;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::presented::Source;
use super::{Common, now, print_json, scopes_text};
use crate::client::read;
use crate::failure::Failure;
use crate::when::When;
use crate::{output, table};

pub(crate) const EXAMPLES: &str = "\
The secret is never an argument: every user of the machine could read it there.

Examples:
  countersign verify --client-id 88bf…057e.access < secret.txt
  countersign verify --client-id 88bf…057e.access --from secret.txt --scope ci:run
  countersign verify --token-stdin --explain < token.txt

Exit code 0: valid. 1: refused; the reason is on standard output.";

/// Which credential, and what the door would want of it.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("credential").required(true).args(["client_id", "token_stdin"]))]
pub(crate) struct VerifyArgs {
    /// Verify a service token: its client id. The secret comes from --from, from COUNTERSIGN_CLIENT_SECRET, or from
    /// standard input
    #[arg(long, value_name = "CLIENT_ID")]
    client_id: Option<ClientId>,

    /// Verify an access token, or a signed one. Its text comes from --from or from standard input
    #[arg(long)]
    token_stdin: bool,

    #[command(flatten)]
    from: Source,

    /// A scope that the door demands; repeatable, all are needed, `a|b` is either
    #[arg(long = "scope", value_name = "SCOPE", help_heading = "Demand")]
    scopes: Vec<String>,

    /// The account that the door demands: the credential's account is it or stands below it
    #[arg(long, value_name = "ACCOUNT_ID", help_heading = "Demand")]
    account: Option<AccountId>,

    /// The organization that the door demands: the bearer may act in it
    #[arg(long, value_name = "ORGANIZATION_ID", help_heading = "Demand")]
    organization: Option<OrganizationId>,

    /// The kind of credential that the door demands
    #[arg(long, help_heading = "Demand")]
    kind: Option<Kind>,

    /// The method of the request to be let in; a credential that is bound to resources is not good without
    #[arg(long, requires = "uri", help_heading = "Request")]
    method: Option<String>,

    /// Path and query of that request
    #[arg(long, requires = "method", help_heading = "Request")]
    uri: Option<String>,

    /// The client's address; a credential that is bound to addresses is not good without
    #[arg(long, help_heading = "Request")]
    address: Option<IpAddr>,

    /// Tell every check of the door, the first that does not hold, and what to do about it
    #[arg(long)]
    explain: bool,

    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    Service,
    Access,
}

/// What the server says.
#[derive(Deserialize)]
struct Verdict {
    valid: bool,
    reason: Option<String>,
    token: Option<String>,
    kind: Option<String>,
    name: Option<String>,
    account: Option<String>,
    scopes: Option<Vec<String>>,
    expires_at: Option<When>,
    secret_version: Option<u64>,
    explanation: Option<Explanation>,
}

/// Why.
#[derive(Deserialize)]
struct Explanation {
    checks: Vec<Checked>,
    remedy: Option<String>,
}

/// One check of the door.
#[derive(Deserialize)]
struct Checked {
    check: String,
    passed: Option<bool>,
}

/// Asks, prints the verdict, and ends with it.
pub(crate) fn verify(args: &VerifyArgs) -> Result<(), Failure> {
    let client = args.common.connect()?;
    let answer = client.post("/api/v1/verify", &args.body()?)?.body;
    let verdict: Verdict = read(answer.clone())?;
    match args.common.json {
        true => print_json(&answer)?,
        false => output::print(&verdict.text())?,
    }
    if verdict.valid { Ok(()) } else { Err(Failure::No) }
}

impl VerifyArgs {
    fn body(&self) -> Result<Value, Failure> {
        let credential = self.credential()?;
        let mut body = Map::new();
        match self.client_id {
            Some(client_id) => {
                body.insert("client_id".to_owned(), json!(client_id.to_string()));
                body.insert("client_secret".to_owned(), json!(credential.reveal()));
            }
            None => {
                body.insert("token".to_owned(), json!(credential.reveal()));
            }
        }
        if !self.scopes.is_empty() {
            body.insert("scope".to_owned(), json!(self.scopes));
        }
        let (account, organization) =
            (self.account.map(|id| id.to_string()), self.organization.map(|id| id.to_string()));
        if let Some(kind) = self.kind {
            let word = match kind {
                Kind::Service => "service",
                Kind::Access => "access",
            };
            body.insert("kind".to_owned(), json!(word));
        }
        if self.explain {
            body.insert("explain".to_owned(), json!(true));
        }
        let address = self.address.map(|address| address.to_string());
        let others = [
            ("account", &account),
            ("organization", &organization),
            ("method", &self.method),
            ("uri", &self.uri),
            ("address", &address),
        ];
        for (name, value) in others {
            if let Some(value) = value {
                body.insert(name.to_owned(), json!(value));
            }
        }
        Ok(Value::Object(body))
    }

    fn credential(&self) -> Result<Secret, Failure> {
        if self.client_id.is_some() { self.from.secret() } else { self.from.token() }
    }
}

impl Verdict {
    fn text(&self) -> String {
        let explanation = self.explanation.as_ref().map(Explanation::text).unwrap_or_default();
        self.verdict_text() + &explanation
    }

    fn verdict_text(&self) -> String {
        if !self.valid {
            return format!(
                "refused: {}\n",
                output::harmless(self.reason.as_deref().unwrap_or("no reason given"))
            );
        }
        let facts = table::facts([
            ("token", self.token.clone()),
            ("kind", self.kind.clone()),
            ("name", self.name.clone()),
            ("account", self.account.clone()),
            ("scopes", Some(scopes_text(self.scopes.as_deref()))),
            ("expires", self.expires_at.map(|end| end.with_distance(now()))),
            ("secret", self.secret_version.map(|version| format!("v{version}"))),
        ]);
        format!("valid\n{facts}")
    }
}

impl Explanation {
    fn text(&self) -> String {
        let word = |passed| match passed {
            Some(true) => "holds",
            Some(false) => "does not hold",
            None => "not looked at",
        };
        let line = |one: &Checked| format!("  {:<14}{}\n", output::harmless(&one.check), word(one.passed));
        let checks: String = self.checks.iter().map(line).collect();
        let remedy = self.remedy.as_deref().map(|text| format!("{}\n", output::harmless(text)));
        format!("checks:\n{checks}{}", remedy.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_one_word_and_why() -> serde_json::Result<()> {
        let refused: Verdict = serde_json::from_value(json!({"valid": false, "reason": "rotated_out"}))?;
        assert_eq!(refused.text(), "refused: rotated_out\n");
        let explained: Verdict =
            serde_json::from_value(json!({"valid": false, "reason": "expired", "explanation": {
            "checks": [{"check": "enabled", "passed": true}, {"check": "expiry", "passed": false},
                {"check": "kind", "passed": null}], "remedy": "issue a new token"}}))?;
        let lines =
            "checks:\n  enabled       holds\n  expiry        does not hold\n  kind          not looked at\n";
        assert_eq!(explained.text(), format!("refused: expired\n{lines}issue a new token\n"));
        let valid: Verdict = serde_json::from_value(json!({
            "valid": true, "reason": null, "token": "t", "kind": "service", "name": "ci", "scopes": ["a", "b"],
            "expires_at": null, "secret_version": 2,
        }))?;
        assert_eq!(valid.text(), "valid\ntoken   t\nkind    service\nname    ci\nscopes  a b\nsecret  v2\n");
        Ok(())
    }
}
