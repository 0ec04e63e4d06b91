//! `countersign access-token …`: what account-holders call APIs with.

use std::io::Read as _;
use std::num::NonZeroUsize;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use countersign_domain::id::{AccountId, Handle};
use countersign_domain::secret::{Secret, parse_access_text};
use countersign_domain::time::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::restrictions::{RestrictionArgs, Restrictions};
use super::{InAccount, now, print_json, print_secret, rows, scopes_text};
use crate::client::read;
use crate::environment::without_line_end;
use crate::failure::Failure;
use crate::when::When;
use crate::{duration, output, table};

/// What can be done with access tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Issue a token. Its text goes to standard output, alone and once; everything else to standard error
    #[command(after_help = ISSUE_EXAMPLES)]
    Issue(IssueArgs),
    /// List live tokens by their handles
    List(ListArgs),
    /// End a token for good
    Revoke(RevokeArgs),
    /// End every token of the account but the one in use, at once
    RevokeAll(InAccount),
}

const ISSUE_EXAMPLES: &str = "\
Examples:
  countersign access-token issue --ttl 30d --scope countersign:verify > verifier.token
  countersign access-token issue --ttl forever --scope countersign:service-tokens:write";

/// A new token.
#[derive(Debug, Args)]
pub(crate) struct IssueArgs {
    /// What people call it
    #[arg(long)]
    name: Option<String>,

    /// How long it lives: 14d, 12h, seconds, or `forever` [default: 14d]
    #[arg(long, value_parser = parse_ttl, allow_negative_numbers = true)]
    ttl: Option<i64>,

    #[command(flatten)]
    restrictions: RestrictionArgs,

    #[command(flatten)]
    target: InAccount,
}

/// Which tokens.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Most tokens to show
    #[arg(long, default_value = "1000")]
    limit: NonZeroUsize,

    #[command(flatten)]
    target: InAccount,
}

/// Which token.
#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    /// The token's handle, its first 22 characters; `-` reads the whole text from standard input
    #[arg(value_name = "HANDLE", allow_hyphen_values = true)]
    which: String,

    /// With everything that stems from it: what it minted, what that minted, and so on
    #[arg(long)]
    descendants: bool,

    #[command(flatten)]
    target: InAccount,
}

/// An access token as the API gives it. `id` is the handle, or the whole text right after it was issued.
#[derive(Deserialize)]
struct Token {
    id: String,
    name: Option<String>,
    ttl: i64,
    created: When,
    #[serde(flatten)]
    restrictions: Restrictions,
}

impl Token {
    fn expires(&self, now: Timestamp) -> String {
        match u64::try_from(self.ttl) {
            Ok(seconds) => {
                When(self.created.0.after(std::time::Duration::from_secs(seconds))).with_distance(now)
            }
            Err(_) => "never".to_owned(),
        }
    }
}

impl Command {
    /// Does it.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        match self {
            Self::Issue(args) => issue(args),
            Self::List(args) => list(args),
            Self::Revoke(args) => revoke(args),
            Self::RevokeAll(target) => revoke_all(target),
        }
    }
}

fn path_of_all(account: AccountId) -> String {
    format!("/v1/Accounts/{account}/accessTokens")
}

fn issue(args: &IssueArgs) -> Result<(), Failure> {
    let (client, account) = args.target.connect()?;
    let mut body = Map::new();
    if let Some(name) = &args.name {
        body.insert("name".to_owned(), json!(name));
    }
    if let Some(ttl) = args.ttl {
        body.insert("ttl".to_owned(), json!(ttl));
    }
    args.restrictions.add_to(&mut body);
    let result = client.post(&path_of_all(account), &Value::Object(body))?.body;
    if args.target.json() {
        return print_json(&result);
    }
    let token: Token = read(result.clone())?;
    let [scopes, organizations, resources, allowed_ips, limits] = token.restrictions.facts();
    let about = table::facts([
        ("handle", parse_access_text(&token.id).map(|(handle, _)| handle.to_string())),
        ("account", Some(account.to_string())),
        ("expires", Some(token.expires(now()))),
        ("name", token.name.clone()),
        scopes,
        organizations,
        resources,
        allowed_ips,
        limits,
    ]);
    print_secret(&result, "id", &about)
}

fn list(args: &ListArgs) -> Result<(), Failure> {
    let (client, account) = args.target.connect()?;
    let rows = rows(&client, &path_of_all(account), args.limit.get())?;
    if args.target.json() {
        return print_json(&Value::Array(rows));
    }
    let tokens: Vec<Token> = read(Value::Array(rows))?;
    Ok(output::print(&lines(&tokens, now()))?)
}

fn lines(tokens: &[Token], now: Timestamp) -> String {
    let line = |token: &Token| {
        [
            token.id.clone(),
            token.name.clone().unwrap_or_default(),
            token.created.to_string(),
            token.expires(now),
            scopes_text(token.restrictions.scopes.as_deref()),
        ]
    };
    table::columns(["HANDLE", "NAME", "CREATED", "EXPIRES", "SCOPES"], tokens.iter().map(line))
}

fn revoke(args: &RevokeArgs) -> Result<(), Failure> {
    let handle = match args.which.as_str() {
        "-" => handle_from_stdin()?,
        text => text.parse::<Handle>().map_err(|_| {
            Failure::Usage(
                "HANDLE must be the 22 characters of a handle; pass a whole token as `-` on standard input"
                    .to_owned(),
            )
        })?,
    };
    let (client, account) = args.target.connect()?;
    let query = if args.descendants { "?descendants=true" } else { "" };
    let result = client.delete(&format!("{}/{handle}{query}", path_of_all(account)))?.body;
    let below = if args.descendants { " and everything that stems from it" } else { "" };
    match args.target.json() {
        true => print_json(&result),
        false => Ok(output::print(&format!("revoked {handle}{below}\n"))?),
    }
}

fn revoke_all(target: &InAccount) -> Result<(), Failure> {
    let (client, account) = target.connect()?;
    let path = format!("/v1/Accounts/{account}/revoke-access-tokens");
    let result = client.post(&path, &json!({}))?.body;
    match target.json() {
        true => print_json(&result),
        false => {
            Ok(output::print(&format!("revoked every access token of {account}; the one in use stays\n"))?)
        }
    }
}

/// The text stays here: the URL gets the handle alone.
fn handle_from_stdin() -> Result<Handle, Failure> {
    let mut text = String::new();
    std::io::stdin().take(1_024).read_to_string(&mut text).context("cannot read standard input")?;
    let text = Secret::from_operator(without_line_end(text));
    let parsed = parse_access_text(text.reveal()).map(|(handle, _)| handle);
    parsed.ok_or_else(|| Failure::Usage("standard input holds no access token".to_owned()))
}

pub(super) fn parse_ttl(text: &str) -> Result<i64, String> {
    if matches!(text, "forever" | "-1") {
        return Ok(-1);
    }
    i64::try_from(duration::parse(text)?.as_secs()).map_err(|_| "is too long".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::when::parse_rfc3339;

    #[test]
    fn a_ttl_is_typed_as_a_span() {
        assert_eq!(parse_ttl("14d"), Ok(1_209_600));
        assert_eq!(parse_ttl("60"), Ok(60));
        assert_eq!(parse_ttl("forever"), Ok(-1));
        assert_eq!(parse_ttl("-1"), Ok(-1));
        assert!(parse_ttl("-2").is_err());
    }

    #[test]
    fn a_list_reads_at_a_glance() -> serde_json::Result<()> {
        let tokens: Vec<Token> = serde_json::from_value(json!([
            {"id": "abcdefghijklmnopqrstuv", "ttl": 1_209_600, "created": "2026-11-20T12:00:00.000Z", "userId": "x",
             "scopes": ["a", "b:*"], "name": "ci"},
            {"id": "ABCDEFGHIJKLMNOPQRSTUV", "ttl": -1, "created": "2026-01-01T00:00:00.000Z", "userId": "x"},
        ]))?;
        let now = parse_rfc3339("2026-11-21T12:00:00Z").unwrap_or(Timestamp::NEVER);
        let expected = "\
HANDLE                  NAME  CREATED               EXPIRES                            SCOPES
abcdefghijklmnopqrstuv  ci    2026-11-20 12:00 UTC  2026-12-04 12:00 UTC (in 13 days)  a b:*
ABCDEFGHIJKLMNOPQRSTUV        2026-01-01 00:00 UTC  never                              everything that the account may
";
        assert_eq!(lines(&tokens, now), expected);
        Ok(())
    }
}
