//! Every fact, for the doors: read once at the start, so it is fast rather than general.

use std::collections::HashMap;

use countersign_domain::account::AccountFact;
use countersign_domain::change::FactChange;
use countersign_domain::fact::{Bearer, CredentialKey, Fact, PreviousFact};
use countersign_domain::id::TokenRef;
use countersign_domain::restrictions::Restrictions;
use countersign_domain::scope::Scopes;
use countersign_domain::service_token::SecretVersion;
use rusqlite::{Connection, Row};

use crate::failure::Failure;
use crate::row::{self, Cells, parse_scopes};
use crate::sql;

/// Most lists of scopes that are remembered while loading.
const MOST_LISTS: usize = 10_000;

/// Gives every fact to `visit`, accounts before tokens.
pub(crate) fn facts(connection: &Connection, visit: &mut dyn FnMut(FactChange)) -> Result<(), Failure> {
    let mut lists = ScopeLists::default();
    each(connection, sql::LOAD_ACCOUNTS, |row| {
        visit(FactChange::Account(AccountFact::from(&row::account(row)?)));
        Ok(())
    })?;
    each(connection, sql::LOAD_SERVICE_TOKENS, |row| {
        visit(FactChange::Credential(service_token(row, &mut lists)?));
        Ok(())
    })?;
    each(connection, sql::LOAD_ACCESS_TOKENS, |row| {
        visit(FactChange::Credential(access_token(row, &mut lists)?));
        Ok(())
    })
}

/// Names every secret with recorded uses to `visit`.
pub(crate) fn used_secrets(
    connection: &Connection,
    visit: &mut dyn FnMut(CredentialKey, SecretVersion),
) -> Result<(), Failure> {
    each(connection, sql::LOAD_USED_SECRETS, |row| {
        let mut cells = Cells::of(row, "uses");
        let (token, version) = (cells.token("token")?, cells.number("secret_version")?);
        match token {
            TokenRef::Service(_) => visit(CredentialKey::Client(cells.client_id("client_id")?), version),
            TokenRef::Access(handle) => visit(CredentialKey::Handle(handle), version),
        }
        Ok(())
    })
}

fn each(
    connection: &Connection,
    sql: &str,
    mut read: impl FnMut(&Row<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        read(row)?;
    }
    Ok(())
}

/// Lists of scopes that were read before: a million tokens with the same list share it.
#[derive(Default)]
struct ScopeLists(HashMap<Box<str>, Scopes>);

impl ScopeLists {
    fn parse(&mut self, text: &str) -> Option<Scopes> {
        if let Some(known) = self.0.get(text) {
            return Some(known.clone());
        }
        let scopes = parse_scopes(text)?;
        if self.0.len() < MOST_LISTS {
            self.0.insert(text.into(), scopes.clone());
        }
        Some(scopes)
    }

    fn read(&mut self, cells: &mut Cells<'_>) -> Result<Restrictions, Failure> {
        cells.restrictions_with(|text| self.parse(text))
    }
}

fn service_token(row: &Row<'_>, lists: &mut ScopeLists) -> Result<Fact, Failure> {
    let mut cells = Cells::of(row, "service_tokens");
    let id = cells.service_token_id("id")?;
    let account = cells.account_id("account")?;
    let client_id = cells.client_id("client_id")?;
    let name = cells.text("name")?.into();
    let enabled = cells.flag("enabled")?;
    let restrictions = lists.read(&mut cells)?;
    let secret_version = cells.number("secret_version")?;
    let digest = cells.digest("secret_digest")?;
    let previous = previous(&mut cells)?;
    let expires_at = cells.time("expires_at")?;
    let version = cells.version("version")?;
    let bearer = Bearer::Service { id, client_id };
    Ok(Fact {
        bearer,
        account,
        digest,
        secret_version,
        enabled,
        expires_at,
        version,
        previous,
        name,
        restrictions,
    })
}

fn previous(cells: &mut Cells<'_>) -> Result<Option<Box<PreviousFact>>, Failure> {
    let version: Option<SecretVersion> = cells.optional_number("previous_version")?;
    let Some(secret_version) = version else {
        cells.pass_over(3);
        return Ok(None);
    };
    Ok(Some(Box::new(PreviousFact {
        digest: cells.digest("previous_digest")?,
        secret_version,
        replaced_at: cells.time("previous_replaced_at")?,
        expires_at: cells.time("previous_expires_at")?,
    })))
}

fn access_token(row: &Row<'_>, lists: &mut ScopeLists) -> Result<Fact, Failure> {
    let mut cells = Cells::of(row, "access_tokens");
    let bearer = Bearer::Access(cells.handle("handle")?);
    let digest = cells.digest("digest")?;
    let account = cells.account_id("account")?;
    let restrictions = lists.read(&mut cells)?;
    let expires_at = cells.time("expires_at")?;
    let version = cells.version("version")?;
    let (secret_version, enabled, previous, name) = (1, true, None, "".into());
    Ok(Fact {
        bearer,
        account,
        digest,
        secret_version,
        enabled,
        expires_at,
        version,
        previous,
        name,
        restrictions,
    })
}
