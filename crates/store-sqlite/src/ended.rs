//! The sweep of what has ended by a mark: one row was changed, and everything that it stands for is refused from then
//! on; here the rows go, a few at a time.

use std::collections::BTreeSet;

use countersign_domain::account::Epoch;
use countersign_domain::change::FactChange;
use countersign_domain::email::Email;
use countersign_domain::fact::CredentialKey;
use countersign_domain::id::{AccountId, Handle, ServiceTokenId, TokenRef};
use countersign_domain::lineage::Lineage;
use countersign_domain::organization::Membership;
use countersign_domain::store::{SweptEnded, Version};
use countersign_domain::time::Timestamp;
use rusqlite::{Connection, Params, Row, params};

use crate::apply::{AccessTokenRow, delete_access_token, find, forget_usage, handle_bytes, run};
use crate::batch::Batch;
use crate::failure::Failure;
use crate::organizations::remove_membership;
use crate::pages::Key;
use crate::row::{self, Cells};
use crate::sql;
use crate::tally::{Shift, Tally};

/// Of a deleted account: what is below it is not marked yet.
const CHILDREN_NOT_MARKED: i64 = 1;
/// Of a deleted account: what is below it is marked.
const CHILDREN_MARKED: i64 = 2;

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
        // First all that is below: what has nothing below it goes first.
        while self.left > 0 {
            let Some(account) = self.find_deleted(CHILDREN_NOT_MARKED)? else { break };
            self.delete_children(account)?;
        }
        while self.left > 0 {
            let Some(account) = self.find_deleted(CHILDREN_MARKED)? else { return Ok(true) };
            let leaf = self.find_leaf(account)?;
            self.empty(leaf)?;
        }
        Ok(false)
    }

    fn find_deleted(&self, mark: i64) -> Result<Option<AccountId>, Failure> {
        find(self.connection, sql::FIND_DELETED, [mark], |row| Cells::of(row, "accounts").account_id("id"))
    }

    /// What stands below a deleted account is deleted.
    fn delete_children(&mut self, account: AccountId) -> Result<(), Failure> {
        let asked = self.left;
        let children = self.list(sql::LIST_CHILDREN, params![account.as_bytes(), asked], |row| {
            Cells::of(row, "accounts").account_id("id")
        })?;
        for id in &children {
            let email = Email::of_deleted(*id);
            run(self.connection, sql::DELETE_ORPHAN, params![id.as_bytes(), email.as_str()])?;
        }
        if children.len() < asked as usize {
            run(self.connection, sql::CHILDREN_ARE_DELETED, [account.as_bytes()])?;
        }
        self.looked_at(children.len().max(1));
        Ok(())
    }

    /// One that has nothing below it: a tree is a few levels deep.
    fn find_leaf(&self, mut account: AccountId) -> Result<AccountId, Failure> {
        let child = |account: AccountId| {
            let read = |row: &Row<'_>| Cells::of(row, "accounts").account_id("id");
            find(self.connection, sql::FIND_CHILD, [account.as_bytes()], read)
        };
        while let Some(below) = child(account)? {
            account = below;
        }
        Ok(account)
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
        let memberships = self.list(sql::LIST_MEMBERSHIPS_OF_DELETED, of, row::membership)?;
        self.remove_memberships(&memberships)
    }

    fn remove_memberships(&mut self, memberships: &[Membership]) -> Result<(), Failure> {
        for membership in memberships {
            remove_membership(self.connection, membership)?;
            let (id, version) = (membership.id, membership.version.next());
            self.remove(FactChange::MembershipGone { id, version });
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
            let memberships = self.list(sql::LIST_MEMBERSHIPS_OF_GONE, of, row::membership)?;
            self.remove_memberships(&memberships)?;
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
    /// it would be paid for by every issue, and such an end is rare. One walk through the tokens serves all such ends
    /// that there are when it begins.
    fn cuts(&mut self) -> Result<bool, Failure> {
        while self.left > 0 {
            let cuts =
                self.list(sql::LIST_WALKING_CUTS, [], |row| Cells::of(row, "cuts").handle("handle"))?;
            if cuts.is_empty() {
                if run(self.connection, sql::BEGIN_CUT_WALK, [])? == 0 {
                    return Ok(true);
                }
                run(self.connection, sql::SET_CUT_WALK, [0, 0])?;
                continue;
            }
            let cuts: BTreeSet<Handle> = cuts.into_iter().collect();
            let walk = find(self.connection, sql::FIND_CUT_WALK, [], |row| {
                let mut cells = Cells::of(row, "cut_walk");
                Ok((cells.integer("service_tokens_to")?, cells.integer("access_tokens_to")?))
            })?;
            let (service_tokens_to, access_tokens_to) = walk.unwrap_or_default();
            let service_tokens_to = self.service_tokens_below(&cuts, service_tokens_to)?;
            let access_tokens_to = self.access_tokens_below(&cuts, access_tokens_to)?;
            match (service_tokens_to, access_tokens_to) {
                (Walked::Whole, Walked::Whole) => {
                    run(self.connection, sql::END_CUT_WALK, [])?;
                    self.gone.extend(cuts.into_iter().map(FactChange::CutHealed));
                }
                (service_tokens, access_tokens) => {
                    let to = [service_tokens.position(), access_tokens.position()];
                    run(self.connection, sql::SET_CUT_WALK, to)?;
                }
            }
        }
        Ok(false)
    }

    fn service_tokens_below(&mut self, cuts: &BTreeSet<Handle>, from: i64) -> Result<Walked, Failure> {
        let asked = self.left;
        let looked_at = self.list(sql::LIST_SERVICE_TOKEN_LINEAGES, params![from, asked], |row| {
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
        let walked =
            Walked::of(looked_at.len() < asked as usize, looked_at.last().map(|(row, _)| row.rowid), from);
        let below = looked_at.into_iter().filter(|(_, lineage)| is_below(lineage, cuts));
        self.remove_service_tokens(below.map(|(row, _)| row).collect())?;
        Ok(walked)
    }

    fn access_tokens_below(&mut self, cuts: &BTreeSet<Handle>, from: i64) -> Result<Walked, Failure> {
        let asked = self.left;
        let looked_at = self.list(sql::LIST_ACCESS_TOKEN_LINEAGES, params![from, asked], |row| {
            let mut cells = Cells::of(row, "access_tokens");
            let (rowid, lineage) = (cells.integer("rowid")?, cells.lineage()?);
            let (account, handle) = (cells.account_id("account")?, cells.handle("handle")?);
            Ok((handle, AccessTokenRow { rowid, account, version: cells.version("version")? }, lineage))
        })?;
        self.looked_at(looked_at.len());
        let walked =
            Walked::of(looked_at.len() < asked as usize, looked_at.last().map(|(_, row, _)| row.rowid), from);
        let below = looked_at.into_iter().filter(|(.., lineage)| is_below(lineage, cuts));
        self.remove_access_tokens(below.map(|(handle, row, _)| (handle, row)).collect())?;
        Ok(walked)
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

/// How far a table was looked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Walked {
    /// To its end.
    Whole,
    /// To this row.
    To(i64),
}

impl Walked {
    fn of(is_whole: bool, last: Option<i64>, from: i64) -> Self {
        if is_whole { Self::Whole } else { Self::To(last.unwrap_or(from)) }
    }

    /// From where to go on. Nothing comes behind the end that would have to be swept: its guard would not hold.
    const fn position(self) -> i64 {
        match self {
            Self::Whole => i64::MAX,
            Self::To(row) => row,
        }
    }
}

fn is_below(lineage: &Lineage, cuts: &BTreeSet<Handle>) -> bool {
    lineage.handles().iter().any(|handle| cuts.contains(handle))
}
