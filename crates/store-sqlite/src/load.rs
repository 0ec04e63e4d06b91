//! Every fact, for the doors: read once at the start, so it is fast rather than general.

use std::collections::HashMap;

use countersign_domain::account::Epoch;
use countersign_domain::change::FactChange;
use countersign_domain::fact::{Bearer, CredentialKey, Fact, PreviousFact};
use countersign_domain::id::TokenRef;
use countersign_domain::limits::{Period, Window};
use countersign_domain::lineage::Lineage;
use countersign_domain::organization::{Consent, MembershipFact, OrganizationFact};
use countersign_domain::restrictions::Restrictions;
use countersign_domain::scope::Scopes;
use countersign_domain::service_token::SecretVersion;
use countersign_domain::usage::QuotaUse;
use rusqlite::{Connection, Row};

use crate::failure::Failure;
use crate::row::{self, Cells};
use crate::sql;

/// Most lists of each kind that are remembered while loading: about 100 bytes each, until it is over.
const MOST_LISTS: usize = 100_000;

/// Gives every fact to `visit`, accounts before tokens.
pub(crate) fn facts(connection: &Connection, visit: &mut dyn FnMut(FactChange)) -> Result<(), Failure> {
    let mut lists = Shared::default();
    each(connection, sql::LOAD_ACCOUNTS, |row| {
        visit(FactChange::Account(row::account_fact(row)?));
        Ok(())
    })?;
    each(connection, sql::LOAD_ORGANIZATIONS, |row| {
        visit(FactChange::Organization(organization(row)?));
        Ok(())
    })?;
    each(connection, sql::LOAD_MEMBERSHIPS, |row| {
        visit(FactChange::Membership(membership(row)?));
        Ok(())
    })?;
    each(connection, sql::LOAD_CUTS, |row| {
        visit(FactChange::Cut(Cells::of(row, "cuts").handle("handle")?));
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

/// Names everything that was used of quotas to `visit`.
pub(crate) fn quota_uses(
    connection: &Connection,
    visit: &mut dyn FnMut(CredentialKey, QuotaUse),
) -> Result<(), Failure> {
    each(connection, sql::LOAD_QUOTA_USES, |row| {
        let mut cells = Cells::of(row, "quota_uses");
        let token = cells.token("token")?;
        let period = cells.parsed("period", |text| Period::parse(text).ok())?;
        let window = Window::of(period, cells.number("first_day")?);
        let uses = QuotaUse { token, window, used: cells.number("used")? };
        match token {
            TokenRef::Service(_) => visit(CredentialKey::Client(cells.client_id("client_id")?), uses),
            TokenRef::Access(handle) => visit(CredentialKey::Handle(handle), uses),
        }
        Ok(())
    })
}

/// Reads every row of a statement.
pub(crate) fn each(
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

/// What was read before: a million tokens with the same lists share them.
#[derive(Default)]
struct Shared {
    scopes: Remembered<Scopes>,
    /// Everything that restricts but scopes.
    others: Remembered<Restrictions>,
    lineages: Remembered<Lineage>,
}

struct Remembered<V>(HashMap<Box<[u8]>, V>);

impl<V> Default for Remembered<V> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<V: Clone> Remembered<V> {
    /// What was read of these bytes before, or else what `read` makes of them.
    fn get<E>(&mut self, bytes: &[u8], read: impl FnOnce() -> Result<V, E>) -> Result<V, E> {
        if let Some(known) = self.0.get(bytes) {
            return Ok(known.clone());
        }
        let value = read()?;
        if self.0.len() < MOST_LISTS {
            self.0.insert(bytes.into(), value.clone());
        }
        Ok(value)
    }
}

impl Shared {
    fn restrictions(&mut self, cells: &mut Cells<'_>) -> Result<Restrictions, Failure> {
        let scopes =
            cells.scopes_with(|text| self.scopes.get(text.as_bytes(), || Scopes::from_joined(text)).ok())?;
        let mut others = cells.clone();
        let organizations = cells.optional_text("organizations")?;
        let resources = cells.optional_text("resources")?;
        let allowed_ips = cells.optional_text("allowed_ips")?;
        let limits = cells.optional_text("limits")?;
        if organizations.or(resources).or(allowed_ips).or(limits).is_none() {
            return Ok(scopes.into());
        }
        let key = format!("{organizations:?} {resources:?} {allowed_ips:?} {limits:?}");
        let mut restrictions = self.others.get(key.as_bytes(), || others.restrictions_but(Scopes::FULL))?;
        restrictions.scopes = scopes;
        Ok(restrictions)
    }

    fn lineage(&mut self, cells: &mut Cells<'_>) -> Result<Lineage, Failure> {
        cells.lineage_with(|bytes| self.lineages.get(bytes, || Lineage::from_bytes(bytes).ok_or(())).ok())
    }
}

fn organization(row: &Row<'_>) -> Result<OrganizationFact, Failure> {
    let mut cells = Cells::of(row, "organizations");
    let (id, owner) = (cells.organization_id("id")?, cells.account_id("owner")?);
    let active = cells.flag("active")?;
    Ok(OrganizationFact { id, owner, active, version: cells.version("version")? })
}

fn membership(row: &Row<'_>) -> Result<MembershipFact, Failure> {
    let mut cells = Cells::of(row, "memberships");
    let id = cells.membership_id("id")?;
    let (organization, account) = (cells.organization_id("organization")?, cells.account_id("account")?);
    let (consent, disabled) = (cells.parsed("consent", Consent::parse)?, cells.flag("disabled")?);
    let effective = consent == Consent::Given && !disabled;
    Ok(MembershipFact { id, organization, account, effective, version: cells.version("version")? })
}

fn service_token(row: &Row<'_>, lists: &mut Shared) -> Result<Fact, Failure> {
    let mut cells = Cells::of(row, "service_tokens");
    let id = cells.service_token_id("id")?;
    let account = cells.account_id("account")?;
    let client_id = cells.client_id("client_id")?;
    let name = cells.text("name")?.into();
    let enabled = cells.flag("enabled")?;
    let restrictions = lists.restrictions(&mut cells)?;
    let secret_version = cells.number("secret_version")?;
    let digest = cells.digest("secret_digest")?;
    let previous = previous(&mut cells)?;
    let expires_at = cells.time("expires_at")?;
    let lineage = lists.lineage(&mut cells)?;
    let version = cells.version("version")?;
    let epoch = None;
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
        lineage,
        epoch,
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

fn access_token(row: &Row<'_>, lists: &mut Shared) -> Result<Fact, Failure> {
    let mut cells = Cells::of(row, "access_tokens");
    let bearer = Bearer::Access(cells.handle("handle")?);
    let digest = cells.digest("digest")?;
    let account = cells.account_id("account")?;
    let name = cells.optional_text("name")?.unwrap_or_default().into();
    let restrictions = lists.restrictions(&mut cells)?;
    let expires_at = cells.time("expires_at")?;
    let lineage = lists.lineage(&mut cells)?;
    let epoch = Some(cells.number("epoch").map(Epoch::from_number)?);
    let version = cells.version("version")?;
    let (secret_version, enabled, previous) = (1, true, None);
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
        lineage,
        epoch,
        restrictions,
    })
}
