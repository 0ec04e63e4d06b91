//! `countersign jwt …`: short-lived signed tokens, as clients get them and as services check them.

mod verify;

use anyhow::anyhow;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args, Subcommand};
use countersign_domain::id::ClientId;
use countersign_domain::time::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::presented::Source;
use super::{now, print_json, print_secret};
use crate::client::{Client, ServerArgs, read};
use crate::failure::Failure;
use crate::when::When;
use crate::{output, table};

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Get a signed token for a service token; it is alone on standard output
    #[command(after_help = ISSUE_EXAMPLES)]
    Issue(IssueArgs),
    /// Check a signed token as a service does by itself: by the published keys, without asking whether it was revoked
    #[command(after_help = verify::EXAMPLES)]
    Verify(verify::VerifyArgs),
    /// Show what a signed token says, without checking anything; no server is asked
    Inspect(InspectArgs),
}

const ISSUE_EXAMPLES: &str = "\
The secret comes from --from, from COUNTERSIGN_CLIENT_SECRET, or from standard
input; no COUNTERSIGN_TOKEN is needed.

Examples:
  countersign jwt issue --client-id 88bf…057e.access < secret.txt
  countersign jwt issue --client-id 88bf…057e.access --from secret.txt \\
    --scope orders:read --resource https://orders.example.com";

/// For which service token, and for what.
#[derive(Debug, Args)]
pub(crate) struct IssueArgs {
    /// The client id of the service token
    #[arg(long, value_name = "CLIENT_ID")]
    client_id: ClientId,

    #[command(flatten)]
    from: Source,

    /// What it is to be used for; repeatable [default: whatever the service token may]
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,

    /// The service that it is for, as an absolute URI; repeatable [default: the issuer]
    #[arg(long = "resource", value_name = "URI")]
    resources: Vec<String>,

    #[command(flatten)]
    server: ServerArgs,

    /// Print the answer as JSON
    #[arg(long, help_heading = "Output")]
    json: bool,
}

/// Which token.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    #[command(flatten)]
    from: Source,

    /// Print header and claims as JSON
    #[arg(long, help_heading = "Output")]
    json: bool,
}

impl Command {
    /// Does it.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        match self {
            Self::Issue(args) => args.issue(),
            Self::Verify(args) => args.verify(),
            Self::Inspect(args) => args.inspect(),
        }
    }
}

impl IssueArgs {
    fn issue(&self) -> Result<(), Failure> {
        let client = Client::of_service_token(&self.server, self.client_id, &self.from.secret()?)?;
        let answer = client.post_form("/oauth2/token", self.form())?.body;
        if self.json {
            return print_json(&answer);
        }
        let about = |name: &str| answer.get(name).map(|value| value.to_string().replace('"', ""));
        let facts = table::facts([
            ("scope", about("scope")),
            ("expires in", about("expires_in").map(|seconds| format!("{seconds} s"))),
        ]);
        print_secret(&answer, "access_token", &facts)
    }

    fn form(&self) -> String {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if !self.scopes.is_empty() {
            form.append_pair("scope", &self.scopes.join(" "));
        }
        form.extend_pairs(self.resources.iter().map(|resource| ("resource", resource)));
        form.finish()
    }
}

impl InspectArgs {
    fn inspect(&self) -> Result<(), Failure> {
        let (header, claims) = parts(self.from.token()?.reveal())?;
        if self.json {
            return print_json(&json!({"header": header, "claims": claims}));
        }
        let claims: Claims = read(claims)?;
        let word = |name: &str| header.get(name).and_then(Value::as_str).map(str::to_owned);
        let head = [("type", word("typ")), ("algorithm", word("alg")), ("key", word("kid"))];
        output::note("countersign: nothing was checked; see `countersign jwt verify`");
        Ok(output::print(&format!("{}{}", table::facts(head), claims.text()))?)
    }
}

/// What is of interest in ours.
#[derive(Debug, Deserialize)]
struct Claims {
    iss: Option<String>,
    aud: Option<Value>,
    iat: Option<i64>,
    exp: Option<i64>,
    client_id: Option<String>,
    common_name: Option<String>,
    scope: Option<String>,
    account: Option<String>,
    token: Option<String>,
    secret_version: Option<u64>,
}

impl Claims {
    /// For people.
    fn text(&self) -> String {
        let time = |seconds: i64| {
            When(Timestamp::from_micros(seconds.saturating_mul(1_000_000))).with_distance(now())
        };
        let audiences = self.aud.as_ref().map(|aud| match aud {
            Value::Array(many) => many.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
            one => one.as_str().unwrap_or_default().to_owned(),
        });
        table::facts([
            ("issuer", self.iss.clone()),
            ("audience", audiences),
            ("client", self.client_id.clone().or_else(|| self.common_name.clone())),
            ("token", self.token.clone()),
            ("secret", self.secret_version.map(|version| format!("v{version}"))),
            ("account", self.account.clone()),
            ("scope", self.scope.clone()),
            ("issued", self.iat.map(time)),
            ("expires", self.exp.map(time)),
        ])
    }
}

/// Header and claims of a token in its compact form (RFC 7515, 7.1), whoever has signed it.
fn parts(text: &str) -> Result<(Value, Value), Failure> {
    let no_token = || {
        Failure::Here(anyhow!(
            "this is no signed token: three parts are wanted, the first two JSON in base64url"
        ))
    };
    let mut parts = text.trim().split('.');
    let (Some(header), Some(claims), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(no_token());
    };
    let decoded = |part: &str| -> Option<Value> {
        let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
        serde_json::from_slice(&bytes).ok().filter(Value::is_object)
    };
    decoded(header).zip(decoded(claims)).ok_or_else(no_token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_taken_apart() {
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let (header, claims) = (json!({"alg": "EdDSA"}), json!({"iss": "a"}));
        let text = format!("{}.{}.c2ln", part(header.clone()), part(claims.clone()));
        assert_eq!(parts(&text).ok(), Some((header, claims)));
        let no_object = format!("{}.{}.", part(json!([])), part(json!({})));
        for wrong in ["", "a.b", "a.b.c", &format!("{text}.x"), &no_object] {
            assert!(parts(wrong).is_err(), "{wrong}");
        }
    }
}
