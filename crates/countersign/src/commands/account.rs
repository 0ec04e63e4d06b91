//! `countersign account …`: who owns tokens, in a tree.

use std::io::Read as _;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use countersign_domain::id::AccountId;
use countersign_domain::secret::parse_access_text;
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::access_token::parse_ttl;
use super::{Common, print_json, print_secret, rows};
use crate::client::read;
use crate::environment::without_line_end;
use crate::failure::Failure;
use crate::when::When;
use crate::{output, table};

/// What can be done with accounts.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make an account below the token's own
    #[command(after_help = CREATE_EXAMPLES)]
    Create(CreateArgs),
    /// List the accounts directly below the token's own
    List(ListArgs),
    /// Show an account
    Show(WhichArgs),
    /// Issue a token to act in the name of an account. Its text goes to standard output, alone and once
    Impersonate(ImpersonateArgs),
    /// Stop an account and everything below it, at once
    Disable(WhichArgs),
    /// Let an account that was stopped go on
    Enable(WhichArgs),
    /// End an account and everything below it, for good
    Delete(WhichArgs),
}

const CREATE_EXAMPLES: &str = "\
Examples:
  countersign account create machines@acme.example
  countersign account create bob@acme.example --password-file -";

/// A new account.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Its e-mail address, by which it logs in
    email: String,

    /// A file that holds its password; `-` reads standard input [default: nobody logs in]
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    password_file: Option<PathBuf>,

    #[command(flatten)]
    common: Common,
}

/// Which accounts.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Most accounts to show
    #[arg(long, default_value = "1000")]
    limit: NonZeroUsize,

    #[command(flatten)]
    common: Common,
}

/// Which account.
#[derive(Debug, Args)]
pub(crate) struct WhichArgs {
    /// Its id: 32 hex digits
    #[arg(value_name = "ACCOUNT_ID")]
    id: AccountId,

    #[command(flatten)]
    common: Common,
}

/// For whom to act, and how long.
#[derive(Debug, Args)]
pub(crate) struct ImpersonateArgs {
    /// Its id: 32 hex digits
    #[arg(value_name = "ACCOUNT_ID")]
    id: AccountId,

    /// How long the token lives: 14d, 12h, seconds, or `forever` [default: as after logging in]
    #[arg(long, value_parser = parse_ttl, allow_negative_numbers = true)]
    ttl: Option<i64>,

    #[command(flatten)]
    common: Common,
}

/// An account as the API gives it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Account {
    id: String,
    email: String,
    disabled: bool,
    parent_id: Option<String>,
    created_at: When,
}

impl Account {
    fn state(&self) -> &'static str {
        if self.disabled { "disabled" } else { "enabled" }
    }

    fn facts(&self) -> String {
        table::facts([
            ("id", Some(self.id.clone())),
            ("email", Some(self.email.clone())),
            ("state", Some(self.state().to_owned())),
            ("below", self.parent_id.clone()),
            ("created", Some(self.created_at.to_string())),
        ])
    }
}

impl Command {
    /// Does it.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        match self {
            Self::Create(args) => create(args),
            Self::List(args) => list(args),
            Self::Show(args) => show(args),
            Self::Impersonate(args) => impersonate(args),
            Self::Disable(args) => step(args, "disable", "disabled"),
            Self::Enable(args) => step(args, "enable", "enabled"),
            Self::Delete(args) => delete(args),
        }
    }
}

fn create(args: &CreateArgs) -> Result<(), Failure> {
    let password = args.password_file.as_ref().map(read_password).transpose()?;
    let client = args.common.connect()?;
    let body = json!({"email": args.email, "password": password.as_ref().map(|text| text.as_str())});
    let result = client.post("/v1/Accounts", &body)?.body;
    if args.common.json {
        return print_json(&result);
    }
    let account: Account = read(result)?;
    output::note(account.facts().trim_end());
    Ok(output::print(&format!("{}\n", account.id))?)
}

/// A password is never on the command line: every user of the machine could read it there.
fn read_password(path: &PathBuf) -> Result<Zeroizing<String>, Failure> {
    let mut text = String::new();
    if path.as_os_str() == "-" {
        std::io::stdin().take(1_024).read_to_string(&mut text).context("cannot read standard input")?;
    } else {
        let file = std::fs::File::open(path);
        let mut file = file.with_context(|| format!("cannot read {}", path.display()))?.take(1_024);
        file.read_to_string(&mut text).with_context(|| format!("cannot read {}", path.display()))?;
    }
    Ok(Zeroizing::new(without_line_end(text)))
}

fn list(args: &ListArgs) -> Result<(), Failure> {
    let client = args.common.connect()?;
    let rows = rows(&client, "/v1/Accounts", args.limit.get())?;
    if args.common.json {
        return print_json(&Value::Array(rows));
    }
    let accounts: Vec<Account> = read(Value::Array(rows))?;
    let line = |account: &Account| {
        [
            account.id.clone(),
            account.email.clone(),
            account.state().to_owned(),
            account.created_at.to_string(),
        ]
    };
    Ok(output::print(&table::columns(["ID", "EMAIL", "STATE", "CREATED"], accounts.iter().map(line)))?)
}

fn show(args: &WhichArgs) -> Result<(), Failure> {
    let result = args.common.connect()?.get(&format!("/v1/Accounts/{}", args.id))?.body;
    if args.common.json {
        return print_json(&result);
    }
    let account: Account = read(result)?;
    Ok(output::print(&account.facts())?)
}

fn impersonate(args: &ImpersonateArgs) -> Result<(), Failure> {
    let client = args.common.connect()?;
    let body = json!({"id": args.id.to_string(), "ttl": args.ttl});
    let result = client.post("/v1/Accounts/impersonate", &body)?.body;
    if args.common.json {
        return print_json(&result);
    }
    let text = result.get("id").and_then(Value::as_str).unwrap_or_default();
    let handle = parse_access_text(text).map(|(handle, _)| handle.to_string());
    let about = table::facts([("handle", handle), ("account", Some(args.id.to_string()))]);
    print_secret(&result, "id", &about)
}

fn step(args: &WhichArgs, verb: &str, done: &str) -> Result<(), Failure> {
    let path = format!("/v1/Accounts/{}/{verb}", args.id);
    let result = args.common.connect()?.post(&path, &json!({}))?.body;
    tell(args, &result, done)
}

fn delete(args: &WhichArgs) -> Result<(), Failure> {
    let result = args.common.connect()?.delete(&format!("/v1/Accounts/{}", args.id))?.body;
    tell(args, &result, "deleted")
}

fn tell(args: &WhichArgs, result: &Value, done: &str) -> Result<(), Failure> {
    match args.common.json {
        true => print_json(result),
        false => Ok(output::print(&format!("{done} {} and everything below it\n", args.id))?),
    }
}
