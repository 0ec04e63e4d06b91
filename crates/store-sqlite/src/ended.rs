//! The sweep of what has ended by a mark: one row was changed, and everything that it stands for is refused from then
//! on; here the rows go, a few at a time.

use countersign_domain::account::Epoch;
use countersign_domain::change::FactChange;
use countersign_domain::email::Email;
use countersign_domain::fact::CredentialKey;
use countersign_domain::id::{AccountId, Handle, MembershipId, OrganizationId, ServiceTokenId, TokenRef};
use countersign_domain::store::{SweptEnded, Version};
use countersign_domain::time::Timestamp;
use rusqlite::{Connection, Params, Row, params};

use crate::apply::{AccessTokenRow, delete_access_token, find, forget_usage, handle_bytes, run};
use crate::batch::Batch;
use crate::failure::Failure;
use crate::organizations::remove_membership;
use crate::pages::Key;
use crate::row::Cells;
use crate::sql;
use crate::tally::{Shift, Tally};

/// One turn: everything that has ended, until about `limit` rows were looked at.
pub(crate) fn sweep(batch: &mut Batch<'_>, limit: u32) -> Result<(SweptEnded, Vec<FactChange>), Failure> {
    let mut sweep = Sweep { connection: batch.connection(), left: limit, gone: Vec::new(), removed: 0 };
    let finished = sweep.deleted_accounts()? && sweep.earlier_epochs()? && sweep.cuts()?;
    let (removed, gone) = (sweep.removed, sweep.gone);
    if !gone.is_empty() {
        batch.sweep(Vec::new())?;
    }
    Ok((SweptEnded { removed, more: !finished }, gone))
}

struct Sweep<'c> {
    connection: &'c Connection,
    /// How many more rows may be looked at.
    left: u32,
    gone: Vec<FactChange>,
    removed: u32,
}

impl Sweep<'_> {
    /// Whether nothing of a deleted account is left.
    fn deleted_accounts(&mut self) -> Result<bool, Failure> {
        while self.left > 0 {
            if self.delete_orphans()? {
                continue;
            }
            let Some(account) = self.find_deleted_leaf()? else { return Ok(true) };
            self.empty(account)?;
        }
        Ok(false)
    }

    /// What stands below a deleted account is deleted; gives whether there was anything.
    fn delete_orphans(&mut self) -> Result<bool, Failure> {
        let orphans = self.list(sql::FIND_ORPHANED_ACCOUNTS, [self.left], |row| {
            Cells::of(row, "accounts").account_id("id")
        })?;
        for id in &orphans {
            let email = Email::of_deleted(*id);
            run(self.connection, sql::DELETE_ORPHAN, params![id.as_bytes(), email.as_str()])?;
        }
        self.looked_at(orphans.len());
        Ok(!orphans.is_empty())
    }

    fn find_deleted_leaf(&self) -> Result<Option<AccountId>, Failure> {
        find(self.connection, sql::FIND_DELETED_LEAF, [], |row| Cells::of(row, "accounts").account_id("id"))
    }

    /// Removes what is the account's, and the account when that is all gone.
    fn empty(&mut self, account: AccountId) -> Result<(), Failure> {
        self.service_tokens_of(account)?;
        self.access_tokens_of(account)?;
        self.memberships_of(account)?;
        self.organizations_of(account)?;
        if self.left == 0 {
            return Ok(());
        }
        run(self.connection, sql::DELETE_PAGES, [account.as_bytes()])?;
        run(self.connection, sql::END_EPOCH_SWEEP, [account.as_bytes()])?;
        run(self.connection, sql::DELETE_ACCOUNT, [account.as_bytes()])?;
        self.remove(FactChange::AccountGone(account));
        Ok(())
    }

    fn service_tokens_of(&mut self, account: AccountId) -> Result<(), Failure> {
        let of = params![account.as_bytes(), self.left];
        let tokens = self.list(sql::LIST_SERVICE_TOKENS_OF_DELETED, of, |row| {
            let mut cells = Cells::of(row, "service_tokens");
            Ok(ServiceTokenRow {
                rowid: cells.integer("rowid")?,
                account,
                id: cells.service_token_id("id")?,
                key: CredentialKey::Client(cells.client_id("client_id")?),
                created_at: cells.time("created_at")?,
                version: cells.version("version")?,
            })
        })?;
        self.remove_service_tokens(tokens)
    }

    fn remove_service_tokens(&mut self, tokens: Vec<ServiceTokenRow>) -> Result<(), Failure> {
        let mut tally = Tally::default();
        for token in tokens {
            run(self.connection, sql::DELETE_SERVICE_TOKEN, [token.rowid])?;
            forget_usage(self.connection, TokenRef::Service(token.id))?;
            let key = Key { created_at: token.created_at, id: token.id };
            tally.add(Shift::ServiceToken { account: token.account, key, by: -1 });
            self.remove(FactChange::CredentialGone { key: token.key, version: token.version.next() });
        }
        tally.enter(self.connection)
    }

    fn access_tokens_of(&mut self, account: AccountId) -> Result<(), Failure> {
        let of = params![account.as_bytes(), self.left];
        let tokens = self.list(sql::LIST_ACCESS_TOKENS_OF_DELETED, of, |row| {
            let mut cells = Cells::of(row, "access_tokens");
            let (rowid, handle) = (cells.integer("rowid")?, cells.handle("handle")?);
            Ok((handle, AccessTokenRow { rowid, account, version: cells.version("version")? }))
        })?;
        self.remove_access_tokens(tokens)
    }

    fn remove_access_tokens(&mut self, tokens: Vec<(Handle, AccessTokenRow)>) -> Result<(), Failure> {
        let mut tally = Tally::default();
        for (handle, row) in tokens {
            tally.add(delete_access_token(self.connection, &row, &handle)?);
            let key = CredentialKey::Handle(handle);
            self.remove(FactChange::CredentialGone { key, version: row.version.next() });
        }
        tally.enter(self.connection)
    }

    fn memberships_of(&mut self, account: AccountId) -> Result<(), Failure> {
        let of = params![account.as_bytes(), self.left];
        let memberships = self.list(sql::LIST_MEMBERSHIPS_OF_DELETED, of, |row| {
            let mut cells = Cells::of(row, "memberships");
            let (id, organization) = (cells.membership_id("id")?, cells.organization_id("organization")?);
            Ok((id, account, organization, cells.version("version")?))
        })?;
        self.remove_memberships(memberships)
    }

    fn remove_memberships(
        &mut self,
        memberships: Vec<(MembershipId, AccountId, OrganizationId, Version)>,
    ) -> Result<(), Failure> {
        for (id, account, organization, version) in memberships {
            remove_membership(self.connection, id, account, organization)?;
            self.remove(FactChange::MembershipGone { id, version: version.next() });
        }
        Ok(())
    }

    fn organizations_of(&mut self, owner: AccountId) -> Result<(), Failure> {
        while self.left > 0 {
            let found =
                find(self.connection, sql::FIND_ORGANIZATION_OF_DELETED, [owner.as_bytes()], |row| {
                    Cells::of(row, "organizations").organization_id("id")
                })?;
            let Some(organization) = found else { break };
            let of = params![organization.as_bytes(), self.left];
            let memberships = self.list(sql::LIST_MEMBERSHIPS_OF_GONE, of, |row| {
                let mut cells = Cells::of(row, "memberships");
                let (id, account) = (cells.membership_id("id")?, cells.account_id("account")?);
                Ok((id, account, organization, cells.version("version")?))
            })?;
            self.remove_memberships(memberships)?;
            if self.left > 0 {
                run(self.connection, sql::DELETE_ORGANIZATION, [organization.as_bytes()])?;
                self.remove(FactChange::OrganizationGone(organization));
            }
        }
        Ok(())
    }

    /// Whether no account has access tokens of an earlier epoch.
    fn earlier_epochs(&mut self) -> Result<bool, Failure> {
        while self.left > 0 {
            let swept = find(self.connection, sql::FIND_EPOCH_SWEEP, [], |row| {
                let mut cells = Cells::of(row, "epoch_sweeps");
                let account = cells.account_id("account")?;
                let (created_at, handle) = (cells.time("created_at")?, cells.blob("handle")?.to_vec());
                Ok((account, created_at, handle, cells.number("epoch").map(Epoch::from_number)?))
            })?;
            let Some((account, created_at, handle, epoch)) = swept else { return Ok(true) };
            self.earlier_epochs_of(account, epoch, created_at, &handle)?;
        }
        Ok(false)
    }

    fn earlier_epochs_of(
        &mut self,
        account: AccountId,
        current: Epoch,
        created_at: Timestamp,
        handle: &[u8],
    ) -> Result<(), Failure> {
        let (asked, behind) =
            (self.left, params![account.as_bytes(), created_at.as_micros(), handle, self.left]);
        let looked_at = self.list(sql::LIST_ACCESS_TOKENS_BEHIND, behind, |row| {
            let mut cells = Cells::of(row, "access_tokens");
            let (rowid, handle) = (cells.integer("rowid")?, cells.handle("handle")?);
            let row = AccessTokenRow { rowid, account, version: cells.version("version")? };
            let epoch = cells.number("epoch").map(Epoch::from_number)?;
            Ok((handle, row, epoch, cells.time("created_at")?))
        })?;
        self.looked_at(looked_at.len());
        let last = looked_at.last().map(|(handle, _, _, created_at)| (*handle, *created_at));
        let ended = looked_at.iter().filter(|(_, _, epoch, _)| *epoch < current);
        self.remove_access_tokens(ended.map(|(handle, row, ..)| (*handle, *row)).collect())?;
        match last.filter(|_| looked_at.len() == asked as usize) {
            Some((handle, created_at)) => {
                let to = params![account.as_bytes(), created_at.as_micros(), handle_bytes(&handle)];
                run(self.connection, sql::ADVANCE_EPOCH_SWEEP, to)?;
            }
            None => {
                run(self.connection, sql::END_EPOCH_SWEEP, [account.as_bytes()])?;
            }
        }
        Ok(())
    }

    /// Whether nothing is left that stems from a token that was ended with its descendants. There is no index for it:
    /// it would be paid for by every issue, and such an end is rare.
    fn cuts(&mut self) -> Result<bool, Failure> {
        while self.left > 0 {
            let cut = find(self.connection, sql::FIND_CUT, [], |row| {
                let mut cells = Cells::of(row, "cuts");
                let handle = cells.handle("handle")?;
                Ok(Cut {
                    handle,
                    service_tokens_to: cells.integer("service_tokens_to")?,
                    access_tokens_to: cells.integer("access_tokens_to")?,
                })
            })?;
            let Some(mut cut) = cut else { return Ok(true) };
            let handle = handle_bytes(&cut.handle).to_vec();
            if self.service_tokens_below(&mut cut)? && self.access_tokens_below(&mut cut)? {
                run(self.connection, sql::HEAL_CUT, [handle])?;
                self.gone.push(FactChange::CutHealed(cut.handle));
            } else {
                let to = params![handle, cut.service_tokens_to, cut.access_tokens_to];
                run(self.connection, sql::ADVANCE_CUT, to)?;
            }
        }
        Ok(false)
    }

    /// Whether there are no more rows to look at.
    fn service_tokens_below(&mut self, cut: &mut Cut) -> Result<bool, Failure> {
        let asked = self.left;
        let rows = params![cut.service_tokens_to, asked];
        let looked_at = self.list(sql::LIST_SERVICE_TOKEN_LINEAGES, rows, |row| {
            let mut cells = Cells::of(row, "service_tokens");
            let (rowid, lineage) = (cells.integer("rowid")?, cells.lineage()?);
            let row = ServiceTokenRow {
                rowid,
                account: cells.account_id("account")?,
                id: cells.service_token_id("id")?,
                key: CredentialKey::Client(cells.client_id("client_id")?),
                created_at: cells.time("created_at")?,
                version: cells.version("version")?,
            };
            Ok((row, lineage))
        })?;
        self.looked_at(looked_at.len());
        cut.service_tokens_to = looked_at.last().map_or(cut.service_tokens_to, |(row, _)| row.rowid);
        let is_last = looked_at.len() < asked as usize;
        let below = looked_at.into_iter().filter(|(_, lineage)| lineage.handles().contains(&cut.handle));
        self.remove_service_tokens(below.map(|(row, _)| row).collect())?;
        Ok(is_last)
    }

    /// Whether there are no more rows to look at.
    fn access_tokens_below(&mut self, cut: &mut Cut) -> Result<bool, Failure> {
        if self.left == 0 {
            return Ok(false);
        }
        let asked = self.left;
        let rows = params![cut.access_tokens_to, asked];
        let looked_at = self.list(sql::LIST_ACCESS_TOKEN_LINEAGES, rows, |row| {
            let mut cells = Cells::of(row, "access_tokens");
            let (rowid, lineage) = (cells.integer("rowid")?, cells.lineage()?);
            let (account, handle) = (cells.account_id("account")?, cells.handle("handle")?);
            Ok((handle, AccessTokenRow { rowid, account, version: cells.version("version")? }, lineage))
        })?;
        self.looked_at(looked_at.len());
        cut.access_tokens_to = looked_at.last().map_or(cut.access_tokens_to, |(_, row, _)| row.rowid);
        let is_last = looked_at.len() < asked as usize;
        let below = looked_at.into_iter().filter(|(.., lineage)| lineage.handles().contains(&cut.handle));
        self.remove_access_tokens(below.map(|(handle, row, _)| (handle, row)).collect())?;
        Ok(is_last)
    }

    fn list<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl Fn(&Row<'_>) -> Result<T, Failure>,
    ) -> Result<Vec<T>, Failure> {
        crate::lists::collect(self.connection, sql, params, read)
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

/// A service token that goes.
struct ServiceTokenRow {
    rowid: i64,
    account: AccountId,
    id: ServiceTokenId,
    key: CredentialKey,
    created_at: Timestamp,
    version: Version,
}

/// A token that was ended with its descendants, and how far the tables were looked through for those.
struct Cut {
    handle: Handle,
    service_tokens_to: i64,
    access_tokens_to: i64,
}
