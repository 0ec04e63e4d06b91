//! `countersign audit`: what was done, by whom, to what.

use std::num::NonZeroUsize;

use clap::Args;
use countersign_domain::id::{AccountId, TokenRef};
use serde::Deserialize;
use serde_json::Value;

use super::{Common, now, print_json};
use crate::client::read;
use crate::failure::Failure;
use crate::house::{Change, Party};
use crate::when::{self, When};
use crate::{duration, output, table};

/// Rows asked for at once: the most that the API gives.
const PAGE: usize = 1_000;

/// Which records.
#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// Only about this token: a service token's id or an access token's handle
    #[arg(long, value_name = "ID")]
    token: Option<TokenRef>,

    /// Of this account instead of the token's own
    #[arg(long, value_name = "ACCOUNT_ID")]
    account: Option<AccountId>,

    /// Only this action, such as service_token.rotate
    #[arg(long)]
    action: Option<String>,

    /// Only from then on: 7d ago, or an RFC 3339 time
    #[arg(long, value_name = "SPAN|TIME", value_parser = parse_time)]
    since: Option<String>,

    /// Only before then: 7d ago, or an RFC 3339 time
    #[arg(long, value_name = "SPAN|TIME", value_parser = parse_time)]
    until: Option<String>,

    /// Most records to show, newest first
    #[arg(long, default_value = "100")]
    limit: NonZeroUsize,

    /// Every record that is kept, as `countersign restore` wants it
    #[arg(long, conflicts_with = "limit")]
    all: bool,

    #[command(flatten)]
    common: Common,
}

/// A page of the audit.
#[derive(Deserialize)]
struct Page {
    entries: Vec<Value>,
    next_cursor: Option<String>,
}

/// One record.
#[derive(Deserialize)]
struct Entry {
    at: When,
    action: String,
    actor: Party,
    subject: Party,
    changes: Vec<Change>,
    address: Option<String>,
}

/// Prints records, newest first.
pub(crate) fn audit(args: &AuditArgs) -> Result<(), Failure> {
    let client = args.common.connect()?;
    let mut rows = Vec::new();
    let mut cursor = None;
    let most = if args.all { usize::MAX } else { args.limit.get() };
    while rows.len() < most {
        let page: Page = read(client.get(&args.path(cursor.as_deref(), most - rows.len()))?.body)?;
        rows.extend(page.entries);
        // A page may be short, even empty, and still have a successor.
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    if cursor.is_some() {
        output::note(&format!(
            "countersign: there may be more than these {}; see --limit and --all",
            rows.len()
        ));
    }
    if args.common.json {
        return print_json(&Value::Array(rows));
    }
    let entries: Vec<Entry> = read(Value::Array(rows))?;
    Ok(output::print(&lines(&entries))?)
}

impl AuditArgs {
    fn path(&self, cursor: Option<&str>, wanted: usize) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let account = self.account.map(|account| account.to_string());
        let token = self.token.map(|token| token.to_string());
        let limit = wanted.min(PAGE).to_string();
        for (key, value) in [
            ("token", token.as_deref()),
            ("account", account.as_deref()),
            ("action", self.action.as_deref()),
            ("since", self.since.as_deref()),
            ("until", self.until.as_deref()),
            ("cursor", cursor),
            ("limit", Some(limit.as_str())),
        ] {
            if let Some(value) = value {
                query.append_pair(key, value);
            }
        }
        format!("/api/v1/audit?{}", query.finish())
    }
}

/// A span is counted back from now; the server gets a time.
fn parse_time(text: &str) -> Result<String, String> {
    if when::parse_rfc3339(text).is_some() {
        return Ok(text.to_owned());
    }
    let span = duration::parse(text).map_err(|why| format!("{why}; or an RFC 3339 time"))?;
    when::rfc3339_before(now(), span).ok_or_else(|| "is too long".to_owned())
}

fn lines(entries: &[Entry]) -> String {
    let line = |entry: &Entry| {
        [
            entry.at.to_string(),
            entry.action.clone(),
            entry.subject.name(),
            entry.actor.name(),
            entry.address.clone().unwrap_or_default(),
            entry.changes.iter().map(Change::text).collect::<Vec<_>>().join(", "),
        ]
    };
    table::columns(["AT", "ACTION", "SUBJECT", "BY", "FROM", "CHANGES"], entries.iter().map(line))
}

impl Party {
    /// The token if there is one, since it belongs to one account.
    fn name(&self) -> String {
        self.token.as_ref().or(self.account.as_ref()).cloned().unwrap_or_else(|| "countersign".to_owned())
    }
}

impl Change {
    fn text(&self) -> String {
        match (&self.from, &self.to) {
            (None, Some(to)) => format!("{}={to}", self.field),
            (Some(from), Some(to)) => format!("{}: {from} -> {to}", self.field),
            (Some(from), None) => format!("{}: {from} -> none", self.field),
            (None, None) => self.field.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn records_read_as_lines() -> serde_json::Result<()> {
        let entries: Vec<Entry> = serde_json::from_value(json!([
            {"id": "1", "at": "2026-11-21T12:00:00.5Z", "action": "service_token.rename", "account": "acc",
             "actor": {"account": "acc", "token": "handle"}, "subject": {"token": "tok"},
             "changes": [{"field": "name", "from": "a", "to": "b"}], "address": "10.0.0.1", "request_id": "r"},
            {"id": "2", "at": "2026-11-21T11:00:00Z", "action": "account.create", "account": "acc",
             "actor": {"system": true}, "subject": {"account": "acc"},
             "changes": [{"field": "email", "from": null, "to": "root@localhost"}], "address": null},
        ]))?;
        let expected = "\
AT                    ACTION                SUBJECT  BY           FROM      CHANGES
2026-11-21 12:00 UTC  service_token.rename  tok      handle       10.0.0.1  name: a -> b
2026-11-21 11:00 UTC  account.create        acc      countersign            email=root@localhost
";
        assert_eq!(lines(&entries), expected);
        Ok(())
    }

    #[test]
    fn times_can_be_spans() {
        assert_eq!(parse_time("2026-11-21T12:00:00+01:00").as_deref(), Ok("2026-11-21T12:00:00+01:00"));
        assert!(parse_time("7d").is_ok_and(|time| when::parse_rfc3339(&time).is_some()));
        assert!(parse_time("yesterday").is_err());
    }
}
