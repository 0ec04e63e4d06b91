//! What a transaction knows of accounts. That they are there, and of which epoch: it holds their rows. How many of each
//! they have: it takes their counts when they first matter, keeps in memory what it adds, and enters that once before its
//! commit, so that 64 tokens for one account are one update of its counts and not 64.

use std::collections::{BTreeMap, BTreeSet};

use countersign_domain::account::Epoch;
use countersign_domain::id::AccountId;
use countersign_domain::store::StoreError;
use futures_util::future::{try_join, try_join_all};
use tokio_postgres::Row;

use crate::accounts::{uuid, uuids};
use crate::failure::Failure;
use crate::row::Cells;
use crate::session::Tx;
use crate::sql;

/// How many of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) service_tokens: i64,
    pub(crate) access_tokens: i64,
    pub(crate) children: i64,
    pub(crate) memberships: i64,
}

impl Counts {
    pub(crate) fn read(row: &Row) -> Result<Self, Failure> {
        Self::next_of(&mut Cells::of(row, "account_counts"))
    }

    fn next_of(cells: &mut Cells<'_>) -> Result<Self, Failure> {
        Ok(Self {
            service_tokens: cells.plain("service_tokens")?,
            access_tokens: cells.plain("access_tokens")?,
            children: cells.plain("children")?,
            memberships: cells.plain("memberships")?,
        })
    }

    fn plus(self, other: Self) -> Self {
        Self {
            service_tokens: self.service_tokens + other.service_tokens,
            access_tokens: self.access_tokens + other.access_tokens,
            children: self.children + other.children,
            memberships: self.memberships + other.memberships,
        }
    }
}

/// The accounts of a transaction.
#[derive(Default, Clone)]
pub(crate) struct Tally {
    /// Those that are held and not deleted.
    held: BTreeMap<AccountId, Epoch>,
    /// As they are stored; taken, so that no other node changes them.
    stored: BTreeMap<AccountId, Counts>,
    added: BTreeMap<AccountId, Counts>,
}

impl Tally {
    /// Holds accounts and takes their counts, of those that are there, in two round trips and in the order of accounts.
    pub(crate) async fn expect(
        &mut self,
        tx: &Tx<'_>,
        accounts: &BTreeSet<AccountId>,
    ) -> Result<(), Failure> {
        let held = uuids(accounts.iter().filter(|account| !self.held.contains_key(account)));
        let taken = uuids(accounts.iter().filter(|account| !self.stored.contains_key(account)));
        let (held, taken) = try_join(hold(tx, &held), take(tx, &taken)).await?;
        self.held.extend(held);
        self.stored.extend(taken);
        Ok(())
    }

    /// The epoch of an account, which stays as it is until the transaction ends; `NotFound` without the account.
    pub(crate) async fn hold(&mut self, tx: &Tx<'_>, account: AccountId) -> Result<Epoch, Failure> {
        if !self.held.contains_key(&account) {
            self.held.extend(hold(tx, &uuids([&account])).await?);
        }
        Ok(self.held.get(&account).copied().ok_or(StoreError::NotFound)?)
    }

    /// How many of each an account has, with what the transaction adds. The account must be held: `NotFound` without its
    /// counts.
    pub(crate) async fn counts(&mut self, tx: &Tx<'_>, account: AccountId) -> Result<Counts, Failure> {
        if !self.stored.contains_key(&account) {
            self.stored.extend(take(tx, &uuids([&account])).await?);
        }
        let stored = self.stored.get(&account).copied().ok_or(StoreError::NotFound)?;
        Ok(stored.plus(self.added.get(&account).copied().unwrap_or_default()))
    }

    /// Refuses when the account may not have one more.
    pub(crate) async fn check_room(
        &mut self,
        tx: &Tx<'_>,
        account: AccountId,
        limit: u32,
        which: impl Fn(Counts) -> i64,
    ) -> Result<(), Failure> {
        let counted = which(self.counts(tx, account).await?);
        if counted < i64::from(limit) { Ok(()) } else { Err(StoreError::LimitReached { limit }.into()) }
    }

    /// Remembers what was done.
    pub(crate) fn add(&mut self, account: AccountId, counts: Counts) {
        let added = self.added.entry(account).or_default();
        *added = added.plus(counts);
    }

    /// Forgets which accounts are there, and of which epoch: the transaction has changed one.
    pub(crate) fn look_again(&mut self) {
        self.held.clear();
    }

    /// Forgets an account that is gone.
    pub(crate) fn forget(&mut self, account: AccountId) {
        self.held.remove(&account);
        self.stored.remove(&account);
        self.added.remove(&account);
    }

    /// Writes everything remembered, in the order of accounts: two nodes that take the same rows take them in one order.
    pub(crate) async fn enter(self, tx: &Tx<'_>) -> Result<(), Failure> {
        let added = self.added.into_iter().filter(|(_, counts)| *counts != Counts::default());
        try_join_all(added.map(|(account, counts)| add(tx, account, counts))).await?;
        Ok(())
    }
}

async fn hold(tx: &Tx<'_>, accounts: &[uuid::Uuid]) -> Result<Vec<(AccountId, Epoch)>, Failure> {
    if accounts.is_empty() {
        return Ok(Vec::new());
    }
    tx.list(sql::HOLD_ACCOUNTS, &[&accounts], |row| {
        let mut cells = Cells::of(row, "accounts");
        Ok((cells.account_id("id")?, cells.epoch()?))
    })
    .await
}

async fn take(tx: &Tx<'_>, accounts: &[uuid::Uuid]) -> Result<Vec<(AccountId, Counts)>, Failure> {
    if accounts.is_empty() {
        return Ok(Vec::new());
    }
    tx.list(sql::TAKE_COUNTS, &[&accounts], |row| {
        let mut cells = Cells::of(row, "account_counts");
        let counts = Counts::next_of(&mut cells)?;
        Ok((cells.account_id("account")?, counts))
    })
    .await
}

async fn add(tx: &Tx<'_>, account: AccountId, counts: Counts) -> Result<(), Failure> {
    let Counts { service_tokens, access_tokens, children, memberships } = counts;
    let id = uuid(account.as_bytes());
    tx.run(sql::ADD_COUNTS, &[&id, &service_tokens, &access_tokens, &children, &memberships]).await?;
    Ok(())
}
