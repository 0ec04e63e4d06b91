//! Every fact, for the doors: read as it comes, so that a million of them are never held twice.

use std::collections::HashSet;
use std::hash::Hash;

use countersign_domain::change::FactChange;
use countersign_domain::fact::{CredentialKey, Fact};
use countersign_domain::id::TokenRef;
use countersign_domain::lineage::Lineage;
use countersign_domain::restrictions::Restrictions;
use countersign_domain::service_token::SecretVersion;
use countersign_domain::store::Revision;
use countersign_domain::usage::QuotaUse;
use deadpool_postgres::{GenericClient, Transaction};

use crate::apply::read_revision;
use crate::failure::Failure;
use crate::feed::organization_fact;
use crate::row::{self, Cells};
use crate::session::{each, find};
use crate::sql;

/// Most lists of each kind that are remembered while loading: about 100 bytes each, until it is over.
const MOST_LISTS: usize = 100_000;

/// Lets the rest of a transaction read everything, however long each statement takes. A server that falls silent is left all
/// the same.
pub(crate) async fn take_the_time(transaction: &Transaction<'_>) -> Result<(), Failure> {
    Ok(transaction.batch_execute("SET LOCAL statement_timeout = 0").await?)
}

/// Gives every fact to `visit`, accounts before tokens; gives the last revision. `client` is in a transaction that sees
/// one moment.
pub(crate) async fn facts(
    client: &impl GenericClient,
    visit: &mut (dyn FnMut(FactChange) + Send),
) -> Result<Revision, Failure> {
    let revision = find(client, sql::LAST_REVISION, &[], read_revision).await?.unwrap_or(Revision(0));
    let mut visit_all = |change| {
        visit(change);
        Ok(true)
    };
    each(client, sql::LOAD_ACCOUNTS, &[], |row| visit_all(FactChange::Account(row::account_fact(row)?)))
        .await?;
    each(client, sql::LOAD_ORGANIZATIONS, &[], |row| {
        visit_all(FactChange::Organization(organization_fact(row)?))
    })
    .await?;
    each(client, sql::LOAD_MEMBERSHIPS, &[], |row| {
        visit_all(FactChange::Membership((&row::membership(row)?).into()))
    })
    .await?;
    each(client, sql::LOAD_CUTS, &[], |row| {
        visit_all(FactChange::Cut(Cells::of(row, "cuts").handle("handle")?))
    })
    .await?;
    let mut shared = Shared::default();
    each(client, sql::LOAD_SERVICE_TOKENS, &[], |row| {
        visit_all(FactChange::Credential(shared.fact((&row::service_token(row)?).into())))
    })
    .await?;
    each(client, sql::LOAD_ACCESS_TOKENS, &[], |row| {
        visit_all(FactChange::Credential(shared.fact((&row::access_token(row)?).into())))
    })
    .await?;
    Ok(revision)
}

/// Names every secret with recorded uses to `visit`.
pub(crate) async fn used_secrets(
    client: &impl GenericClient,
    visit: &mut (dyn FnMut(CredentialKey, SecretVersion) + Send),
) -> Result<(), Failure> {
    each(client, sql::LOAD_USED_SECRETS, &[], |row| {
        let mut cells = Cells::of(row, "uses");
        let (token, version) = (cells.token("token")?, cells.number("secret_version")?);
        match token {
            TokenRef::Service(_) => visit(CredentialKey::Client(cells.client_id("client_id")?), version),
            TokenRef::Access(handle) => visit(CredentialKey::Handle(handle), version),
        }
        Ok(true)
    })
    .await
}

/// Names everything that was used of quotas to `visit`.
pub(crate) async fn quota_uses(
    client: &impl GenericClient,
    visit: &mut (dyn FnMut(CredentialKey, QuotaUse) + Send),
) -> Result<(), Failure> {
    each(client, sql::LOAD_QUOTA_USES, &[], |row| {
        let mut cells = Cells::of(row, "quota_uses");
        let uses = cells.quota_use()?;
        match uses.token {
            TokenRef::Service(_) => visit(CredentialKey::Client(cells.client_id("client_id")?), uses),
            TokenRef::Access(handle) => visit(CredentialKey::Handle(handle), uses),
        }
        Ok(true)
    })
    .await
}

/// What was read before: a million tokens that are restricted alike share one list.
#[derive(Default)]
struct Shared {
    restrictions: HashSet<Restrictions>,
    lineages: HashSet<Lineage>,
}

impl Shared {
    fn fact(&mut self, mut fact: Fact) -> Fact {
        if !fact.restrictions.is_none() {
            fact.restrictions = share(&mut self.restrictions, fact.restrictions);
        }
        fact.lineage = share(&mut self.lineages, fact.lineage);
        fact
    }
}

fn share<T: Clone + Eq + Hash>(known: &mut HashSet<T>, value: T) -> T {
    if let Some(known) = known.get(&value) {
        return known.clone();
    }
    if known.len() < MOST_LISTS {
        known.insert(value.clone());
    }
    value
}
