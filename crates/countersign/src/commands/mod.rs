//! The commands that speak to a running server, those that look at the configuration, and those that move house.

pub(crate) mod access_token;
pub(crate) mod account;
pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod config;
pub(crate) mod jwt;
pub(crate) mod migrate;
pub(crate) mod organization;
mod presented;
pub(crate) mod restore;
mod restrictions;
pub(crate) mod service_token;
pub(crate) mod verify;

use countersign_domain::id::AccountId;
use countersign_domain::time::{Clock as _, Timestamp};
use serde_json::{Value, json};

use crate::client::{Client, ServerArgs, read};
use crate::environment;
use crate::failure::Failure;
use crate::output;
use crate::ports::SystemClock;

/// Rows asked for at once: the most that the LoopBack wire gives.
const PAGE: usize = 100;

/// What every command to a server takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Common {
    #[command(flatten)]
    server: ServerArgs,

    /// Print the API's own result as JSON
    #[arg(long, help_heading = "Output")]
    json: bool,
}

/// What every command about the tokens of an account takes.
#[derive(Debug, clap::Args)]
pub(crate) struct InAccount {
    /// Act on this account instead of the token's own
    #[arg(long, value_name = "ACCOUNT_ID", help_heading = "Server")]
    account: Option<AccountId>,

    #[command(flatten)]
    common: Common,
}

impl Common {
    fn connect(&self) -> Result<Client, Failure> {
        Client::new(&self.server, &environment::of_process)
    }
}

impl InAccount {
    /// The server, and the account that is meant.
    fn connect(&self) -> Result<(Client, AccountId), Failure> {
        let client = self.common.connect()?;
        let account = client.account(self.account)?;
        Ok((client, account))
    }

    fn json(&self) -> bool {
        self.common.json
    }
}

/// Every row of a list of this wire, up to `limit`; says when there are more.
fn rows(client: &Client, path: &str, limit: usize) -> Result<Vec<Value>, Failure> {
    let mut rows: Vec<Value> = Vec::new();
    loop {
        let page = PAGE.min(limit - rows.len());
        let filter = json!({"limit": page, "skip": rows.len()}).to_string();
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("filter", &filter).finish();
        let answer = client.get(&format!("{path}?{query}"))?;
        let total = answer.number_in("x-total-count");
        let found: Vec<Value> = read(answer.body)?;
        let is_last = found.len() < page;
        rows.extend(found);
        if is_last || rows.len() >= limit {
            let total = total.unwrap_or(rows.len() as u64);
            if total > rows.len() as u64 {
                output::note(&format!("countersign: {} of {total}; see --limit", rows.len()));
            }
            return Ok(rows);
        }
    }
}

/// The time by this machine's clock.
fn now() -> Timestamp {
    SystemClock.now()
}

fn print_json(value: &Value) -> Result<(), Failure> {
    Ok(output::print(&format!("{value:#}\n"))?)
}

/// A secret alone on standard output, so that it can be piped; everything else about it goes to standard error.
fn print_secret(answer: &Value, field: &str, about: &str) -> Result<(), Failure> {
    let secret = answer.get(field).and_then(Value::as_str);
    let secret =
        secret.ok_or_else(|| Failure::Unanswered(format!("the server's answer has no `{field}`")))?;
    output::note(about.trim_end());
    Ok(output::print(&format!("{secret}\n"))?)
}

/// A list of scopes for people. None at all is not the same as an empty list.
fn scopes_text(scopes: Option<&[String]>) -> String {
    match scopes {
        None => "everything that the account may".to_owned(),
        Some([]) => "nothing".to_owned(),
        Some(list) => list.join(" "),
    }
}
