//! `countersign service-token …`: what machines show at doors.

mod list;
mod view;

use clap::{Args, Subcommand};
use countersign_domain::id::{AccountId, ServiceTokenId};
use serde_json::{Map, Value, json};

use self::list::ListArgs;
use self::view::{Token, overview};
use super::restrictions::RestrictionArgs;
use super::{InAccount, now, print_json, print_secret};
use crate::client::{Answer, Client, read};
use crate::failure::Failure;
use crate::{duration, output, when};

/// What can be done with service tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Issue a token. Its secret goes to standard output, alone and once; its id and client id to standard error
    #[command(after_help = ISSUE_EXAMPLES)]
    Issue(IssueArgs),
    /// List tokens: status, days left, last use
    List(ListArgs),
    /// Show a token, and when each of its secrets was last used
    #[command(after_help = SHOW_EXAMPLES)]
    Show(OneArgs),
    /// Change a token's name, duration, restrictions, or the end of its previous secret
    Update(UpdateArgs),
    /// Give a token its whole duration again, from now on
    Refresh(OneArgs),
    /// Make a new secret. It goes to standard output, alone and once
    #[command(after_help = ROTATE_EXAMPLES)]
    Rotate(RotateArgs),
    /// Accept a disabled token again
    Enable(OneArgs),
    /// Refuse a token, with either secret, until it is enabled
    Disable(OneArgs),
    /// End a token for good
    Revoke(OneArgs),
}

const ISSUE_EXAMPLES: &str = "\
Examples:
  countersign service-token issue --name ci --duration 90d | secret-store put ci
  countersign service-token issue --name ci --scope ci:* --json > ci.json
The second keeps id, client id and secret together.";

const SHOW_EXAMPLES: &str = "\
A rotation with an overlap is finished when nobody uses the previous secret: its
line says when it was last seen.";

const ROTATE_EXAMPLES: &str = "\
Examples:
  countersign service-token rotate ID --overlap 24h | secret-store put ci
  countersign service-token show ID                 (who uses the previous one?)
  countersign service-token update ID --overlap 0s  (end it now)";

/// Which token.
#[derive(Debug, Args)]
pub(crate) struct OneArgs {
    /// The token's id (not its client id)
    id: ServiceTokenId,

    #[command(flatten)]
    target: InAccount,
}

/// A new token.
#[derive(Debug, Args)]
pub(crate) struct IssueArgs {
    /// What people call it; need not be unique
    #[arg(long)]
    name: String,

    /// How long it lives: 8760h, 90d, 2h45m or `forever` [default: the server's, usually 8760h]
    #[arg(long, value_parser = duration::to_wire)]
    duration: Option<String>,

    #[command(flatten)]
    restrictions: RestrictionArgs,

    /// Issue it disabled; `enable` makes it work
    #[arg(long)]
    disabled: bool,

    #[command(flatten)]
    target: InAccount,
}

/// What is to be changed.
#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    /// The token's id (not its client id)
    id: ServiceTokenId,

    /// A new name
    #[arg(long)]
    name: Option<String>,

    /// A new duration, counted from now: 8760h, 90d, 2h45m or `forever`
    #[arg(long, value_parser = duration::to_wire)]
    duration: Option<String>,

    #[command(flatten)]
    restrictions: RestrictionArgs,

    /// Let the previous secret end this long from now: 0s, 2h, 14d
    #[arg(long, value_name = "SPAN", value_parser = duration::parse)]
    overlap: Option<std::time::Duration>,

    #[command(flatten)]
    target: InAccount,
}

/// A new secret.
#[derive(Debug, Args)]
pub(crate) struct RotateArgs {
    /// The token's id (not its client id)
    id: ServiceTokenId,

    /// Keep the secret of today valid beside the new one for this long: 24h, 14d [default: it ends at once]
    #[arg(long, value_name = "SPAN", value_parser = duration::parse)]
    overlap: Option<std::time::Duration>,

    #[command(flatten)]
    target: InAccount,
}

impl Command {
    /// Does it.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        match self {
            Self::Issue(args) => issue(args),
            Self::List(args) => list::list(args),
            Self::Show(args) => one(args, |client, path| client.get(path)),
            Self::Update(args) => update(args),
            Self::Refresh(args) => {
                one(args, |client, path| client.post(&format!("{path}/refresh"), &json!({})))
            }
            Self::Rotate(args) => rotate(args),
            Self::Enable(args) => one(args, |client, path| client.put(path, &json!({"enabled": true}))),
            Self::Disable(args) => one(args, |client, path| client.put(path, &json!({"enabled": false}))),
            Self::Revoke(args) => revoke(args),
        }
    }
}

fn path_of_all(account: AccountId) -> String {
    format!("/client/v4/accounts/{account}/access/service_tokens")
}

fn path_of(account: AccountId, id: ServiceTokenId) -> String {
    format!("{}/{id}", path_of_all(account))
}

/// What an answer in Cloudflare's envelope is about.
fn result_of(mut answer: Answer) -> Value {
    answer.body.get_mut("result").map(Value::take).unwrap_or_default()
}

fn print_token(result: Value, json: bool) -> Result<(), Failure> {
    if json {
        return print_json(&result);
    }
    let token: Token = read(result)?;
    Ok(output::print(&overview(&token, now()))?)
}

/// Asks for one thing about one token and prints what the token is then.
fn one(args: &OneArgs, ask: impl Fn(&Client, &str) -> Result<Answer, Failure>) -> Result<(), Failure> {
    let (client, account) = args.target.connect()?;
    let answer = ask(&client, &path_of(account, args.id))?;
    print_token(result_of(answer), args.target.json())
}

fn issue(args: &IssueArgs) -> Result<(), Failure> {
    let (client, account) = args.target.connect()?;
    let mut body = Map::new();
    body.insert("name".to_owned(), json!(args.name));
    if let Some(duration) = &args.duration {
        body.insert("duration".to_owned(), json!(duration));
    }
    args.restrictions.add_to(&mut body);
    if args.disabled {
        body.insert("enabled".to_owned(), json!(false));
    }
    let result = result_of(client.post(&path_of_all(account), &Value::Object(body))?);
    print_with_secret(result, args.target.json())
}

fn rotate(args: &RotateArgs) -> Result<(), Failure> {
    let (client, account) = args.target.connect()?;
    let mut body = Map::new();
    if let Some(overlap) = args.overlap {
        body.insert("previous_client_secret_expires_at".to_owned(), json!(end_of(overlap)?));
    }
    let path = format!("{}/rotate", path_of(account, args.id));
    let result = result_of(client.post(&path, &Value::Object(body))?);
    print_with_secret(result, args.target.json())
}

fn print_with_secret(result: Value, json: bool) -> Result<(), Failure> {
    if json {
        return print_json(&result);
    }
    let token: Token = read(result.clone())?;
    print_secret(&result, "client_secret", &overview(&token, now()))
}

fn update(args: &UpdateArgs) -> Result<(), Failure> {
    let mut body = Map::new();
    if let Some(name) = &args.name {
        body.insert("name".to_owned(), json!(name));
    }
    if let Some(duration) = &args.duration {
        body.insert("duration".to_owned(), json!(duration));
    }
    args.restrictions.add_to(&mut body);
    if let Some(overlap) = args.overlap {
        body.insert("previous_client_secret_expires_at".to_owned(), json!(end_of(overlap)?));
    }
    if body.is_empty() {
        return Err(Failure::Usage(
            "nothing to change: give --name, --duration, --scope, --resource, --allowed-ip or --overlap"
                .to_owned(),
        ));
    }
    let (client, account) = args.target.connect()?;
    let answer = client.put(&path_of(account, args.id), &Value::Object(body))?;
    print_token(result_of(answer), args.target.json())
}

fn revoke(args: &OneArgs) -> Result<(), Failure> {
    let (client, account) = args.target.connect()?;
    let result = result_of(client.delete(&path_of(account, args.id))?);
    if args.target.json() {
        return print_json(&result);
    }
    let token: Token = read(result)?;
    Ok(output::print(&format!("revoked {} ({})\n", token.id, output::harmless(&token.name)))?)
}

fn end_of(overlap: std::time::Duration) -> Result<String, Failure> {
    when::rfc3339_after(now(), overlap).ok_or_else(|| Failure::Usage("--overlap is too long".to_owned()))
}
