//! The sweep of what has ended by a mark: one row was changed, and everything that it stands for is refused from then
//! on; here the rows go, a few at a time.

use std::collections::BTreeSet;

use countersign_domain::account::Epoch;
use countersign_domain::change::FactChange;
use countersign_domain::email::Email;
use countersign_domain::fact::CredentialKey;
use countersign_domain::id::{AccountId, ClientId, Handle, ServiceTokenId};
use countersign_domain::lineage::Lineage;
use countersign_domain::organization::Membership;
use countersign_domain::store::{SweptEnded, Version};
use countersign_domain::time::Timestamp;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::accounts::uuid;
use crate::failure::Failure;
use crate::organizations::remove_membership;
use crate::row::{self, Cells};
use crate::session::Tx;
use crate::tally::Tally;
use crate::{access_tokens, service_tokens, sql};

/// Of a deleted account: what is below it is not marked yet.
const CHILDREN_NOT_MARKED: i16 = 1;
/// Of a deleted account: what is below it is marked.
const CHILDREN_MARKED: i16 = 2;

/// One turn: everything that has ended, until about `limit` rows were looked at.
pub(crate) async fn sweep(tx: &Tx<'_>, limit: u32) -> Result<(SweptEnded, Vec<FactChange>), Failure> {
    let mut sweep = Sweep { tx, tally: Tally::default(), left: limit, gone: Vec::new(), removed: 0 };
    let finished = sweep.deleted_accounts().await? && sweep.earlier_epochs().await? && sweep.cuts().await?;
    let Sweep { tally, gone, removed, .. } = sweep;
    tally.enter(tx).await?;
    Ok((SweptEnded { removed, more: !finished }, gone))
}

struct Sweep<'s, 'c> {
    tx: &'s Tx<'c>,
    tally: Tally,
    /// How many more rows may be looked at.
    left: u32,
    gone: Vec<FactChange>,
    removed: u32,
}

/// A service token that may go.
struct ServiceTokenRow {
    id: ServiceTokenId,
    account: AccountId,
    client_id: ClientId,
    version: Version,
    lineage: Lineage,
}

/// An access token that may go.
struct AccessTokenRow {
    handle: Handle,
    account: AccountId,
    version: Version,
    lineage: Lineage,
}

impl ServiceTokenRow {
    fn read(row: &Row) -> Result<Self, Failure> {
        let mut cells = Cells::of(row, "service_tokens");
        Ok(Self {
            id: cells.service_token_id("id")?,
            account: cells.account_id("account")?,
            client_id: cells.client_id("client_id")?,
            version: cells.version("version")?,
            lineage: cells.lineage()?,
        })
    }
}

impl AccessTokenRow {
    fn read(row: &Row) -> Result<Self, Failure> {
        let mut cells = Cells::of(row, "access_tokens");
        Ok(Self {
            handle: cells.handle("handle")?,
            account: cells.account_id("account")?,
            version: cells.version("version")?,
            lineage: cells.lineage()?,
        })
    }
}

impl Sweep<'_, '_> {
    /// Whether nothing of a deleted account is left.
    async fn deleted_accounts(&mut self) -> Result<bool, Failure> {
        // First all that is below: what has nothing below it goes first.
        while self.left > 0 {
            let Some(account) = self.find_deleted(CHILDREN_NOT_MARKED).await? else { break };
            self.delete_children(account).await?;
        }
        while self.left > 0 {
            let Some(account) = self.find_deleted(CHILDREN_MARKED).await? else { return Ok(true) };
            let leaf = self.find_leaf(account).await?;
            self.empty(leaf).await?;
        }
        Ok(false)
    }

    async fn find_deleted(&self, mark: i16) -> Result<Option<AccountId>, Failure> {
        self.tx.find(sql::FIND_DELETED, &[&mark], account_id).await
    }

    /// What stands below a deleted account is deleted. The account is taken first: what comes below it comes before, and
    /// is seen, or finds it deleted.
    async fn delete_children(&mut self, account: AccountId) -> Result<(), Failure> {
        let id = uuid(account.as_bytes());
        self.tx.find(sql::TAKE_ACCOUNT, &[&id], |_| Ok(())).await?;
        let asked = self.left;
        let children = self.tx.list(sql::LIST_CHILDREN, &[&id, &i64::from(asked)], account_id).await?;
        for child in &children {
            let email = Email::of_deleted(*child);
            self.tx.run(sql::DELETE_ORPHAN, &[&uuid(child.as_bytes()), &email.as_str()]).await?;
        }
        if children.len() < asked as usize {
            self.tx.run(sql::CHILDREN_ARE_DELETED, &[&id]).await?;
        }
        self.looked_at(children.len().max(1));
        Ok(())
    }

    /// One that has nothing below it: a tree is a few levels deep.
    async fn find_leaf(&self, mut account: AccountId) -> Result<AccountId, Failure> {
        while let Some(below) =
            self.tx.find(sql::FIND_CHILD, &[&uuid(account.as_bytes())], account_id).await?
        {
            account = below;
        }
        Ok(account)
    }

    /// Removes what is the account's, and the account when that is all gone.
    async fn empty(&mut self, account: AccountId) -> Result<(), Failure> {
        let id = uuid(account.as_bytes());
        self.tx.find(sql::TAKE_ACCOUNT, &[&id], |_| Ok(())).await?;
        self.service_tokens_of(id).await?;
        self.access_tokens_of(id).await?;
        self.memberships_of(id).await?;
        self.organizations_of(id).await?;
        if self.left == 0 {
            return Ok(());
        }
        self.tally.forget(account);
        self.tx.run(sql::END_EPOCH_SWEEP, &[&id]).await?;
        self.tx.run(sql::DELETE_COUNTS, &[&id]).await?;
        self.tx.run(sql::DELETE_ACCOUNT, &[&id]).await?;
        self.remove(FactChange::AccountGone(account));
        Ok(())
    }

    async fn service_tokens_of(&mut self, account: Uuid) -> Result<(), Failure> {
        let rows = self
            .tx
            .list(
                sql::LIST_SERVICE_TOKENS_OF_DELETED,
                &[&account, &i64::from(self.left)],
                ServiceTokenRow::read,
            )
            .await?;
        self.remove_service_tokens(&rows).await
    }

    async fn remove_service_tokens(&mut self, rows: &[ServiceTokenRow]) -> Result<(), Failure> {
        for row in rows {
            if service_tokens::remove(self.tx, row.account, row.id, &mut self.tally).await? {
                let key = CredentialKey::Client(row.client_id);
                self.remove(FactChange::CredentialGone { key, version: row.version.next() });
            }
        }
        Ok(())
    }

    async fn access_tokens_of(&mut self, account: Uuid) -> Result<(), Failure> {
        let rows = self
            .tx
            .list(
                sql::LIST_ACCESS_TOKENS_OF_DELETED,
                &[&account, &i64::from(self.left)],
                AccessTokenRow::read,
            )
            .await?;
        self.remove_access_tokens(&rows).await
    }

    async fn remove_access_tokens(&mut self, rows: &[AccessTokenRow]) -> Result<(), Failure> {
        for row in rows {
            if access_tokens::remove(self.tx, row.account, row.handle, &mut self.tally).await? {
                let key = CredentialKey::Handle(row.handle);
                self.remove(FactChange::CredentialGone { key, version: row.version.next() });
            }
        }
        Ok(())
    }

    async fn memberships_of(&mut self, account: Uuid) -> Result<(), Failure> {
        let memberships = self
            .tx
            .list(sql::LIST_MEMBERSHIPS_OF_DELETED, &[&account, &i64::from(self.left)], row::membership)
            .await?;
        self.remove_memberships(&memberships).await
    }

    async fn remove_memberships(&mut self, memberships: &[Membership]) -> Result<(), Failure> {
        for membership in memberships {
            remove_membership(self.tx, membership, &mut self.tally).await?;
            let (id, version) = (membership.id, membership.version.next());
            self.remove(FactChange::MembershipGone { id, version });
        }
        Ok(())
    }

    async fn organizations_of(&mut self, owner: Uuid) -> Result<(), Failure> {
        while self.left > 0 {
            let found = self
                .tx
                .find(sql::FIND_ORGANIZATION_OF_DELETED, &[&owner], |row| {
                    Cells::of(row, "organizations").organization_id("id")
                })
                .await?;
            let Some(organization) = found else { break };
            let id = uuid(organization.as_bytes());
            self.tx.find(sql::TAKE_ORGANIZATION, &[&id], |_| Ok(())).await?;
            let memberships = self
                .tx
                .list(sql::LIST_MEMBERSHIPS_OF_GONE, &[&id, &i64::from(self.left)], row::membership)
                .await?;
            self.remove_memberships(&memberships).await?;
            if self.left > 0 {
                self.tx.run(sql::DELETE_ORGANIZATION, &[&id]).await?;
                self.remove(FactChange::OrganizationGone(organization));
            }
        }
        Ok(())
    }

    /// Whether no account has access tokens of an earlier epoch.
    async fn earlier_epochs(&mut self) -> Result<bool, Failure> {
        while self.left > 0 {
            let swept = self
                .tx
                .find(sql::FIND_EPOCH_SWEEP, &[], |row| {
                    let mut cells = Cells::of(row, "epoch_sweeps");
                    let (account, created_at) = (cells.plain("account")?, cells.time("created_at")?);
                    Ok((account, created_at, cells.plain::<String>("handle")?, cells.epoch()?))
                })
                .await?;
            let Some((account, created_at, handle, epoch)) = swept else { return Ok(true) };
            self.earlier_epochs_of(account, epoch, created_at, &handle).await?;
        }
        Ok(false)
    }

    async fn earlier_epochs_of(
        &mut self,
        account: Uuid,
        current: Epoch,
        created_at: Timestamp,
        handle: &str,
    ) -> Result<(), Failure> {
        let asked = self.left;
        let looked_at = self
            .tx
            .list(
                sql::LIST_ACCESS_TOKENS_BEHIND,
                &[&account, &created_at.as_micros(), &handle, &i64::from(asked)],
                |row| {
                    let mut cells = Cells::of(row, "access_tokens");
                    let (handle, account) = (cells.handle("handle")?, cells.account_id("account")?);
                    let (version, lineage) = (cells.version("version")?, Lineage::default());
                    let row = AccessTokenRow { handle, account, version, lineage };
                    Ok((row, cells.epoch()?, cells.time("created_at")?))
                },
            )
            .await?;
        self.looked_at(looked_at.len());
        let is_whole = looked_at.len() < asked as usize;
        let last = looked_at.last().map(|(row, _, created_at)| (row.handle, *created_at));
        let ended = looked_at.into_iter().filter(|(_, epoch, _)| *epoch < current);
        let ended: Vec<_> = ended.map(|(row, ..)| row).collect();
        self.remove_access_tokens(&ended).await?;
        match last.filter(|_| !is_whole) {
            Some((handle, created_at)) => {
                self.tx
                    .run(sql::ADVANCE_EPOCH_SWEEP, &[&account, &created_at.as_micros(), &handle.as_str()])
                    .await?;
            }
            None => {
                self.tx.run(sql::END_EPOCH_SWEEP, &[&account]).await?;
            }
        }
        Ok(())
    }

    /// Whether nothing is left that stems from a token that was ended with its descendants. There is no index for it:
    /// it would be paid for by every issue, and such an end is rare. One walk through the tokens, in the order of their
    /// keys, serves all such ends that there are when it begins: nothing stems from one of them that is made later.
    async fn cuts(&mut self) -> Result<bool, Failure> {
        while self.left > 0 {
            // One node walks at a time.
            let walk = self
                .tx
                .find(sql::TAKE_CUT_WALK, &[], |row| {
                    let mut cells = Cells::of(row, "cut_walk");
                    Ok((
                        cells.plain("service_tokens_to")?,
                        cells.plain::<Option<String>>("access_tokens_to")?,
                    ))
                })
                .await?;
            let (service_tokens_to, access_tokens_to) = walk.unwrap_or_default();
            let cuts = self
                .tx
                .list(sql::LIST_WALKING_CUTS, &[], |row| Cells::of(row, "cuts").handle("handle"))
                .await?;
            let cuts: BTreeSet<Handle> = cuts.into_iter().collect();
            if cuts.is_empty() {
                if self.tx.run(sql::BEGIN_CUT_WALK, &[]).await? == 0 {
                    return Ok(true);
                }
                self.tx.run(sql::SET_CUT_WALK, &[&None::<Uuid>, &None::<String>]).await?;
                continue;
            }
            let (service_whole, service_tokens_to) =
                self.service_tokens_below(&cuts, service_tokens_to).await?;
            let (access_whole, access_tokens_to) = self.access_tokens_below(&cuts, access_tokens_to).await?;
            if service_whole && access_whole {
                self.tx.run(sql::END_CUT_WALK, &[]).await?;
                self.gone.extend(cuts.into_iter().map(FactChange::CutHealed));
            } else {
                self.tx.run(sql::SET_CUT_WALK, &[&service_tokens_to, &access_tokens_to]).await?;
            }
        }
        Ok(false)
    }

    /// Looks at service tokens behind `from`; gives whether there are no more, and the last one.
    async fn service_tokens_below(
        &mut self,
        cuts: &BTreeSet<Handle>,
        from: Option<Uuid>,
    ) -> Result<(bool, Option<Uuid>), Failure> {
        let asked = self.left;
        let rows = self
            .tx
            .list(sql::LIST_SERVICE_TOKEN_LINEAGES, &[&from, &i64::from(asked)], ServiceTokenRow::read)
            .await?;
        self.looked_at(rows.len());
        let is_whole = rows.len() < asked as usize;
        let last = rows.last().map(|row| uuid(row.id.as_bytes())).or(from);
        let below: Vec<_> = rows.into_iter().filter(|row| is_below(&row.lineage, cuts)).collect();
        self.remove_service_tokens(&below).await?;
        Ok((is_whole, last))
    }

    /// As [`Sweep::service_tokens_below`].
    async fn access_tokens_below(
        &mut self,
        cuts: &BTreeSet<Handle>,
        from: Option<String>,
    ) -> Result<(bool, Option<String>), Failure> {
        let asked = self.left;
        let rows = self
            .tx
            .list(sql::LIST_ACCESS_TOKEN_LINEAGES, &[&from, &i64::from(asked)], AccessTokenRow::read)
            .await?;
        self.looked_at(rows.len());
        let is_whole = rows.len() < asked as usize;
        let last = rows.last().map(|row| row.handle.as_str().to_owned()).or(from);
        let below: Vec<_> = rows.into_iter().filter(|row| is_below(&row.lineage, cuts)).collect();
        self.remove_access_tokens(&below).await?;
        Ok((is_whole, last))
    }

    fn looked_at(&mut self, rows: usize) {
        self.left = self.left.saturating_sub(u32::try_from(rows).unwrap_or(u32::MAX));
    }

    fn remove(&mut self, gone: FactChange) {
        self.gone.push(gone);
        self.removed += 1;
        self.left = self.left.saturating_sub(1);
    }
}

fn account_id(row: &Row) -> Result<AccountId, Failure> {
    Cells::of(row, "accounts").account_id("id")
}

fn is_below(lineage: &Lineage, cuts: &BTreeSet<Handle>) -> bool {
    lineage.handles().iter().any(|handle| cuts.contains(handle))
}

/// Removes access tokens that expired before `before`, the oldest first.
pub(crate) async fn sweep_expired(
    tx: &Tx<'_>,
    before: Timestamp,
    limit: u32,
) -> Result<(u32, Vec<FactChange>), Failure> {
    let expired = tx
        .list(
            sql::TAKE_EXPIRED_ACCESS_TOKENS,
            &[&before.as_micros(), &i64::from(limit)],
            AccessTokenRow::read,
        )
        .await?;
    let mut sweep = Sweep { tx, tally: Tally::default(), left: limit, gone: Vec::new(), removed: 0 };
    sweep.remove_access_tokens(&expired).await?;
    let Sweep { tally, gone, removed, .. } = sweep;
    tally.enter(tx).await?;
    Ok((removed, gone))
}
