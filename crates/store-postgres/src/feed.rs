//! What other nodes have changed.
//!
//! Each transaction leaves in `feed` which facts it changed, with its own id. A node reads what it has not seen: where it
//! stands is the *snapshot* in which it read last, and what it has not seen are the transactions that were not over in
//! that one: those from its end (`xmax`) on, and those that were in progress. So one that commits late is seen, once;
//! and one that stays open, whoever's it is, holds nobody up. The facts themselves are read as they are in the new
//! snapshot, so that it does not matter how often they were changed.

use std::collections::BTreeSet;

use countersign_domain::account::AccountFact;
use countersign_domain::change::FactChange;
use countersign_domain::fact::{Bearer, CredentialKey};
use countersign_domain::id::{AccountId, ClientId, Handle, MembershipId, OrganizationId};
use countersign_domain::organization::{MembershipFact, OrganizationFact};
use countersign_domain::store::{StoreError, Version};
use deadpool_postgres::GenericClient;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::accounts::uuid;
use crate::apply::signed;
use crate::failure::Failure;
use crate::row::{self, Cells};
use crate::session::{Tx, list};
use crate::sql;

/// Most changes that are read in one go.
const MOST_CHANGES: usize = 100_000;

/// Where a node stands: the snapshot in which it read last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// All transactions before this one were over.
    oldest: String,
    /// From this transaction on, none was over.
    next: String,
    /// These before it were not over either.
    in_progress: Vec<String>,
}

impl Cursor {
    /// Of the text that PostgreSQL has for a snapshot: `xmin:xmax:xip,xip…`.
    pub(crate) fn of_snapshot(text: &str) -> Option<Self> {
        let mut parts = text.split(':').map(str::to_owned);
        let (oldest, next, in_progress) = (parts.next()?, parts.next()?, parts.next()?);
        let in_progress = in_progress.split_terminator(',').map(str::to_owned).collect();
        Some(Self { oldest, next, in_progress })
    }

    /// The first transaction that may not have been seen.
    pub(crate) fn oldest(&self) -> &str {
        &self.oldest
    }
}

/// Leaves in the feed what a transaction changed.
pub(crate) async fn leave(tx: &Tx<'_>, changes: &[FactChange]) -> Result<(), Failure> {
    if changes.is_empty() {
        return Ok(());
    }
    let (mut kinds, mut keys, mut versions) = (Vec::new(), Vec::new(), Vec::new());
    for change in changes {
        let (kind, key, version) = entry(change);
        kinds.push(kind);
        keys.push(key);
        versions.push(version.map(|version| signed(version.number())));
    }
    tx.run(sql::LEAVE_CHANGES, &[&kinds, &keys, &versions]).await?;
    Ok(())
}

/// How a change is kept: its kind, the key by which the fact is read again, and the version of what is gone.
fn entry(change: &FactChange) -> (&'static str, String, Option<Version>) {
    match change {
        FactChange::Credential(fact) => match fact.bearer {
            Bearer::Service { id, .. } => ("service_token", id.to_string(), None),
            Bearer::Access(handle) => ("access_token", handle.to_string(), None),
        },
        FactChange::CredentialGone { key: CredentialKey::Client(id), version } => {
            ("service_token_gone", uuid(id.as_bytes()).to_string(), Some(*version))
        }
        FactChange::CredentialGone { key: CredentialKey::Handle(handle), version } => {
            ("access_token_gone", handle.to_string(), Some(*version))
        }
        FactChange::Account(fact) => ("account", uuid(fact.id.as_bytes()).to_string(), Some(fact.version)),
        FactChange::AccountGone(id) => ("account_gone", uuid(id.as_bytes()).to_string(), None),
        FactChange::Organization(fact) => ("organization", uuid(fact.id.as_bytes()).to_string(), None),
        FactChange::OrganizationGone(id) => ("organization_gone", uuid(id.as_bytes()).to_string(), None),
        FactChange::Membership(fact) => ("membership", uuid(fact.id.as_bytes()).to_string(), None),
        FactChange::MembershipGone { id, version } => {
            ("membership_gone", uuid(id.as_bytes()).to_string(), Some(*version))
        }
        FactChange::Cut(handle) => ("cut", handle.to_string(), None),
        FactChange::CutHealed(handle) => ("cut_healed", handle.to_string(), None),
    }
}

/// What was left in the feed, as it is read.
struct Entry {
    kind: String,
    key: String,
    version: Option<Version>,
}

impl Entry {
    fn read(row: &Row) -> Result<Self, Failure> {
        let mut cells = Cells::of(row, "feed");
        let (kind, key) = (cells.plain("kind")?, cells.plain("key")?);
        let version = cells.optional("version", |number: i64| u64::try_from(number).ok())?;
        Ok(Self { kind, key, version: version.map(Version::from_number) })
    }

    fn id(&self) -> Result<Uuid, Failure> {
        self.key.parse().map_err(|_| self.broken())
    }

    fn handle(&self) -> Result<Handle, Failure> {
        self.key.parse().map_err(|_| self.broken())
    }

    fn broken(&self) -> Failure {
        StoreError::Broken { table: "feed", column: "key", row: self.key.clone() }.into()
    }

    fn version(&self) -> Result<Version, Failure> {
        self.version.ok_or_else(|| self.broken())
    }
}

/// What was changed since `cursor`, in an order in which it can be learnt; `None` when that is so much that everything can
/// as well be read afresh. `client` is in a transaction that sees one moment.
pub(crate) async fn read_since(
    client: &impl GenericClient,
    cursor: &Cursor,
) -> Result<Option<Vec<FactChange>>, Failure> {
    let most = i64::try_from(MOST_CHANGES).unwrap_or(i64::MAX);
    let values: [&(dyn ToSql + Sync); 3] = [&cursor.next, &cursor.in_progress, &(most + 1)];
    let entries = list(client, sql::LIST_CHANGES, &values, Entry::read).await?;
    if entries.len() > MOST_CHANGES {
        return Ok(None);
    }
    if entries.is_empty() {
        return Ok(Some(Vec::new()));
    }
    let read = Reading { client, entries: &entries };
    let mut changes = read.accounts(true).await?;
    changes.extend(read.organizations().await?);
    changes.extend(read.memberships().await?);
    changes.extend(read.marks()?);
    // Before the accounts that were there: a token of an epoch to come is accepted, one of an epoch that is over is not.
    changes.extend(read.credentials().await?);
    changes.extend(read.accounts(false).await?);
    // What was read is there, whatever was said of it before. A cut was not read: it is healed after it was made.
    let there: BTreeSet<Subject> = changes.iter().map(Subject::of).collect();
    let is_gone = |change: &FactChange| {
        matches!(change, FactChange::CutHealed(_)) || !there.contains(&Subject::of(change))
    };
    changes.extend(read.gone()?.into_iter().filter(is_gone));
    Ok(Some(changes))
}

/// What a change is about.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    Credential(CredentialKey),
    Account(AccountId),
    Organization(OrganizationId),
    Membership(MembershipId),
    Cut(Handle),
}

impl Subject {
    pub(crate) fn of(change: &FactChange) -> Self {
        match change {
            FactChange::Credential(fact) => Self::Credential(fact.key()),
            FactChange::CredentialGone { key, .. } => Self::Credential(*key),
            FactChange::Account(AccountFact { id, .. }) | FactChange::AccountGone(id) => Self::Account(*id),
            FactChange::Organization(OrganizationFact { id, .. }) | FactChange::OrganizationGone(id) => {
                Self::Organization(*id)
            }
            FactChange::Membership(MembershipFact { id, .. }) | FactChange::MembershipGone { id, .. } => {
                Self::Membership(*id)
            }
            FactChange::Cut(handle) | FactChange::CutHealed(handle) => Self::Cut(*handle),
        }
    }
}

struct Reading<'r, C> {
    client: &'r C,
    /// In the order in which they were left.
    entries: &'r [Entry],
}

impl<C: GenericClient> Reading<'_, C> {
    fn of_kind(&self, kind: &'static str) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.kind == kind)
    }

    fn ids(&self, kind: &'static str) -> Result<Vec<Uuid>, Failure> {
        let ids: BTreeSet<Uuid> = self.of_kind(kind).map(Entry::id).collect::<Result<_, _>>()?;
        Ok(ids.into_iter().collect())
    }

    /// Accounts that were made since, in the order in which they were, or those that were there.
    async fn accounts(&self, made_since: bool) -> Result<Vec<FactChange>, Failure> {
        let is_first = |entry: &&Entry| entry.version == Some(Version::FIRST);
        let made: Vec<Uuid> =
            self.of_kind("account").filter(is_first).map(Entry::id).collect::<Result<_, _>>()?;
        let ids = match made_since {
            true => made,
            false => self.ids("account")?.into_iter().filter(|id| !made.contains(id)).collect(),
        };
        list(self.client, sql::LIST_ACCOUNT_FACTS, &[&ids], |row| {
            Ok(FactChange::Account(row::account_fact(row)?))
        })
        .await
    }

    async fn organizations(&self) -> Result<Vec<FactChange>, Failure> {
        list(self.client, sql::LIST_ORGANIZATION_FACTS, &[&self.ids("organization")?], |row| {
            Ok(FactChange::Organization(organization_fact(row)?))
        })
        .await
    }

    async fn memberships(&self) -> Result<Vec<FactChange>, Failure> {
        list(self.client, sql::LIST_MEMBERSHIPS_OF_IDS, &[&self.ids("membership")?], |row| {
            Ok(FactChange::Membership((&row::membership(row)?).into()))
        })
        .await
    }

    async fn credentials(&self) -> Result<Vec<FactChange>, Failure> {
        let service_token = |row: &_| Ok(FactChange::Credential((&row::service_token(row)?).into()));
        let access_token = |row: &_| Ok(FactChange::Credential((&row::access_token(row)?).into()));
        let ids = self.ids("service_token")?;
        let handles: BTreeSet<&str> = self.of_kind("access_token").map(|entry| entry.key.as_str()).collect();
        let handles: Vec<&str> = handles.into_iter().collect();
        let mut credentials =
            list(self.client, sql::LIST_SERVICE_TOKENS_OF_IDS, &[&ids], service_token).await?;
        credentials
            .extend(list(self.client, sql::LIST_ACCESS_TOKENS_OF_ALL, &[&handles], access_token).await?);
        Ok(credentials)
    }

    fn marks(&self) -> Result<Vec<FactChange>, Failure> {
        self.of_kind("cut").map(|entry| Ok(FactChange::Cut(entry.handle()?))).collect()
    }

    /// What was said to be no more; accounts last.
    fn gone(&self) -> Result<Vec<FactChange>, Failure> {
        let mut gone = Vec::new();
        for entry in self.entries {
            match entry.kind.as_str() {
                "service_token_gone" => {
                    let key = CredentialKey::Client(ClientId::from_bytes(entry.id()?.into_bytes()));
                    gone.push(FactChange::CredentialGone { key, version: entry.version()? });
                }
                "access_token_gone" => {
                    let key = CredentialKey::Handle(entry.handle()?);
                    gone.push(FactChange::CredentialGone { key, version: entry.version()? });
                }
                "membership_gone" => {
                    let id = MembershipId::from_bytes(entry.id()?.into_bytes());
                    gone.push(FactChange::MembershipGone { id, version: entry.version()? });
                }
                "organization_gone" => {
                    let id = OrganizationId::from_bytes(entry.id()?.into_bytes());
                    gone.push(FactChange::OrganizationGone(id));
                }
                "cut_healed" => gone.push(FactChange::CutHealed(entry.handle()?)),
                _ => {}
            }
        }
        for entry in self.of_kind("account_gone") {
            let id = AccountId::from_bytes(entry.id()?.into_bytes());
            gone.push(FactChange::AccountGone(id));
        }
        Ok(gone)
    }
}

/// What the doors need to know of an organization.
pub(crate) fn organization_fact(row: &Row) -> Result<OrganizationFact, Failure> {
    let mut cells = Cells::of(row, "organizations");
    let (id, owner) = (cells.organization_id("id")?, cells.account_id("owner")?);
    let active = cells.plain("active")?;
    Ok(OrganizationFact { id, owner, active, version: cells.version("version")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_read() {
        let of = |text| {
            let Cursor { oldest, next, in_progress } = Cursor::of_snapshot(text)?;
            Some((oldest, next, in_progress.join(" ")))
        };
        assert_eq!(of("10:20:10,14,15"), Some(("10".into(), "20".into(), "10 14 15".into())));
        assert_eq!(of("10:10:"), Some(("10".into(), "10".into(), String::new())));
        assert_eq!(of("10"), None);
    }
}
