//! What other nodes have changed: each transaction leaves in `feed` which facts it changed, with its own id
//! ([`following`](countersign_domain::following) says how that is read).

use std::collections::BTreeSet;

use countersign_domain::change::FactChange;
use countersign_domain::fact::{Bearer, CredentialKey};
use countersign_domain::following::{Cursor, Transaction, in_order};
use countersign_domain::id::{AccountId, ClientId, Handle, MembershipId, OrganizationId};
use countersign_domain::organization::OrganizationFact;
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
    let name = tx
        .find(sql::LEAVE_CHANGES, &[&kinds, &keys, &versions], |row| {
            let mut cells = Cells::of(row, "feed");
            let number = cells.parsed("transaction", |text| text.parse().ok())?;
            Ok(Transaction { number, history: cells.plain("history")? })
        })
        .await?;
    if let Some(name) = name {
        tx.be_called(name);
    }
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
pub(crate) struct Entry {
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

/// What was left since `cursor`, in the order in which it was; `None` when that is so much that everything can as well be
/// read afresh.
pub(crate) async fn left_since(
    client: &impl GenericClient,
    cursor: &Cursor,
) -> Result<Option<Vec<Entry>>, Failure> {
    let most = i64::try_from(MOST_CHANGES).unwrap_or(i64::MAX);
    // PostgreSQL's type for the id of a transaction has no other form here than text.
    let next = cursor.next().to_string();
    let in_progress: Vec<String> = cursor.in_progress().iter().map(u64::to_string).collect();
    let values: [&(dyn ToSql + Sync); 3] = [&next, &in_progress, &(most + 1)];
    let entries = list(client, sql::LIST_CHANGES, &values, Entry::read).await?;
    Ok((entries.len() <= MOST_CHANGES).then_some(entries))
}

/// What was changed, in an order in which it can be learnt. `client` is in the transaction that has read the entries, and
/// sees one moment.
pub(crate) async fn changes(
    client: &impl GenericClient,
    entries: &[Entry],
) -> Result<Vec<FactChange>, Failure> {
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    let read = Reading { client, entries };
    let made = read.made()?;
    let mut there = read.accounts(&made).await?;
    there.extend(read.organizations().await?);
    there.extend(read.memberships().await?);
    there.extend(read.marks()?);
    there.extend(read.credentials().await?);
    let made = made.into_iter().map(account_id).collect();
    Ok(in_order(there, &made, read.gone()?))
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

    /// Accounts that were made since, in the order in which they were.
    fn made(&self) -> Result<Vec<Uuid>, Failure> {
        let is_first = |entry: &&Entry| entry.version == Some(Version::FIRST);
        self.of_kind("account").filter(is_first).map(Entry::id).collect()
    }

    /// Those that were made since first, in the same order.
    async fn accounts(&self, made: &[Uuid]) -> Result<Vec<FactChange>, Failure> {
        let others = self.ids("account")?.into_iter().filter(|id| !made.contains(id));
        let ids: Vec<Uuid> = made.iter().copied().chain(others).collect();
        self.facts(sql::LIST_ACCOUNT_FACTS, &ids, |row| Ok(FactChange::Account(row::account_fact(row)?)))
            .await
    }

    async fn organizations(&self) -> Result<Vec<FactChange>, Failure> {
        self.facts(sql::LIST_ORGANIZATION_FACTS, &self.ids("organization")?, |row| {
            Ok(FactChange::Organization(organization_fact(row)?))
        })
        .await
    }

    async fn memberships(&self) -> Result<Vec<FactChange>, Failure> {
        self.facts(sql::LIST_MEMBERSHIPS_OF_IDS, &self.ids("membership")?, |row| {
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
        let mut credentials = self.facts(sql::LIST_SERVICE_TOKENS_OF_IDS, &ids, service_token).await?;
        credentials.extend(self.facts(sql::LIST_ACCESS_TOKENS_OF_ALL, &handles, access_token).await?);
        Ok(credentials)
    }

    /// The facts with these keys. Most changes are of one kind: for the others nobody waits for an answer that is known.
    async fn facts<K: ToSql + Sync>(
        &self,
        sql: &str,
        keys: &[K],
        read: impl Fn(&Row) -> Result<FactChange, Failure>,
    ) -> Result<Vec<FactChange>, Failure> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        list(self.client, sql, &[&keys], read).await
    }

    fn marks(&self) -> Result<Vec<FactChange>, Failure> {
        self.of_kind("cut").map(|entry| Ok(FactChange::Cut(entry.handle()?))).collect()
    }

    /// What was said to be no more.
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
                "account_gone" => gone.push(FactChange::AccountGone(account_id(entry.id()?))),
                "cut_healed" => gone.push(FactChange::CutHealed(entry.handle()?)),
                _ => {}
            }
        }
        Ok(gone)
    }
}

fn account_id(id: Uuid) -> AccountId {
    AccountId::from_bytes(id.into_bytes())
}

/// What the doors need to know of an organization.
pub(crate) fn organization_fact(row: &Row) -> Result<OrganizationFact, Failure> {
    let mut cells = Cells::of(row, "organizations");
    let (id, owner) = (cells.organization_id("id")?, cells.account_id("owner")?);
    let active = cells.plain("active")?;
    Ok(OrganizationFact { id, owner, active, version: cells.version("version")? })
}
