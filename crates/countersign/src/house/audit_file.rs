//! Audit records as the API and `countersign audit --json` print them.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use countersign_domain::audit::{Action, Actor, AuditEntry, AuditRecord, FieldChange, Origin, Subject};
use countersign_domain::id::{AccountId, ChangeId, TokenRef};
use countersign_domain::store::Revision;
use serde::Deserialize;

use crate::when::When;

/// No store comes so far; one that went on from there would come to the end of its numbers.
const FIRST_IMPOSSIBLE: u64 = 1 << 62;

/// Whatever can stand in a file: a page of the API, the list that the command line prints, or one record a line.
#[derive(Deserialize)]
#[serde(untagged)]
enum Piece {
    Page { entries: Vec<Entry> },
    List(Vec<Entry>),
    One(Box<Entry>),
}

#[derive(Deserialize)]
struct Entry {
    id: String,
    revision: u64,
    at: When,
    action: String,
    actor: Party,
    account: String,
    subject: Party,
    changes: Vec<Change>,
    address: Option<String>,
    request_id: Option<String>,
}

/// Who did it, or to what it was done. Countersign itself has neither token nor account.
#[derive(Deserialize)]
pub(crate) struct Party {
    pub(crate) token: Option<String>,
    pub(crate) account: Option<String>,
}

/// One value that became another.
#[derive(Deserialize)]
pub(crate) struct Change {
    pub(crate) field: String,
    pub(crate) from: Option<String>,
    pub(crate) to: Option<String>,
}

/// Gives every record of a file to `visit`.
pub(crate) fn read(path: &Path, visit: &mut dyn FnMut(AuditRecord)) -> anyhow::Result<()> {
    let name = path.display();
    let file = File::open(path).with_context(|| format!("cannot read {name}"))?;
    let pieces = serde_json::Deserializer::from_reader(BufReader::new(file)).into_iter::<Piece>();
    for piece in pieces {
        let entries = match piece {
            Ok(Piece::Page { entries } | Piece::List(entries)) => entries,
            Ok(Piece::One(entry)) => vec![*entry],
            Err(error) => {
                let line = error.line();
                return Err(anyhow!(
                    "{name} is no audit, near line {line}: write it with `countersign audit --all --json`"
                ));
            }
        };
        for entry in entries {
            let revision = entry.revision;
            if revision >= FIRST_IMPOSSIBLE {
                bail!("{name}: no store has a revision {revision}; leave the file out");
            }
            let record =
                record(entry).ok_or_else(|| anyhow!("{name}: record {revision} cannot be understood"));
            visit(record?);
        }
    }
    Ok(())
}

fn record(entry: Entry) -> Option<AuditRecord> {
    let actor = match (entry.actor.account, entry.actor.token) {
        (Some(account), Some(token)) => {
            Actor::Token { account: account.parse().ok()?, handle: token.parse().ok()? }
        }
        _ => Actor::System,
    };
    let subject = match (entry.subject.token, entry.subject.account) {
        (Some(token), _) => Subject::Token(token.parse::<TokenRef>().ok()?),
        (None, account) => Subject::Account(account?.parse::<AccountId>().ok()?),
    };
    let address = match entry.address {
        Some(address) => Some(address.parse().ok()?),
        None => None,
    };
    let change = |change: Change| FieldChange {
        field: change.field.into(),
        from: change.from.map(Into::into),
        to: change.to.map(Into::into),
    };
    Some(AuditRecord {
        revision: Revision(entry.revision),
        entry: AuditEntry {
            id: entry.id.parse::<ChangeId>().ok()?,
            at: entry.at.0,
            actor,
            action: Action::parse(&entry.action)?,
            account: entry.account.parse().ok()?,
            subject,
            origin: Origin { address, request_id: entry.request_id.map(Into::into) },
            changes: entry.changes.into_iter().map(change).collect(),
        },
    })
}
