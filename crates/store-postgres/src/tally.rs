//! What a transaction adds to the counts of accounts: kept in memory while it lasts and entered once before its commit,
//! so that 64 tokens for one account are one update of its row and not 64.

use std::collections::BTreeMap;

use countersign_domain::id::AccountId;
use countersign_domain::store::StoreError;
use countersign_domain::time::Timestamp;

use crate::accounts::uuid;
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
    pub(crate) fn read(row: &tokio_postgres::Row) -> Result<Self, Failure> {
        let mut cells = Cells::of(row, "account_counts");
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

/// The counts of a transaction.
#[derive(Default, Clone)]
pub(crate) struct Tally {
    /// As they are stored; read and taken when an account first matters, so that no other node changes them.
    stored: BTreeMap<AccountId, Counts>,
    added: BTreeMap<AccountId, Counts>,
}

impl Tally {
    /// Refuses when the account may not have one more. The account must be held: `NotFound` without its counts.
    pub(crate) async fn check_room(
        &mut self,
        tx: &Tx<'_>,
        account: AccountId,
        limit: u32,
        which: impl Fn(Counts) -> i64,
    ) -> Result<(), Failure> {
        let held = which(self.held(tx, account).await?);
        if held < i64::from(limit) { Ok(()) } else { Err(StoreError::LimitReached { limit }.into()) }
    }

    /// Refuses when the account may not have one more access token at `now`. Expired ones wait to be swept; as many as
    /// the limit are no part of it.
    pub(crate) async fn check_room_for_access_token(
        &mut self,
        tx: &Tx<'_>,
        account: AccountId,
        limit: u32,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let (held, most) = (self.held(tx, account).await?.access_tokens, i64::from(limit));
        if held < most || held - tx.count_expired(account, now).await?.min(most) < most {
            return Ok(());
        }
        Err(StoreError::LimitReached { limit }.into())
    }

    async fn held(&mut self, tx: &Tx<'_>, account: AccountId) -> Result<Counts, Failure> {
        let stored = match self.stored.get(&account) {
            Some(known) => *known,
            None => {
                let id = uuid(account.as_bytes());
                let found = tx.find(sql::TAKE_COUNTS, &[&id], Counts::read).await?;
                let found = found.ok_or(StoreError::NotFound)?;
                self.stored.insert(account, found);
                found
            }
        };
        Ok(stored.plus(self.added.get(&account).copied().unwrap_or_default()))
    }

    /// Remembers what was done.
    pub(crate) fn add(&mut self, account: AccountId, counts: Counts) {
        let added = self.added.entry(account).or_default();
        *added = added.plus(counts);
    }

    /// Forgets an account that is gone.
    pub(crate) fn forget(&mut self, account: AccountId) {
        self.stored.remove(&account);
        self.added.remove(&account);
    }

    /// Writes everything remembered, in the order of accounts: two nodes that take the same rows take them in one order.
    pub(crate) async fn enter(self, tx: &Tx<'_>) -> Result<(), Failure> {
        for (account, added) in self.added {
            if added == Counts::default() {
                continue;
            }
            let Counts { service_tokens, access_tokens, children, memberships } = added;
            let id = uuid(account.as_bytes());
            tx.run(sql::ADD_COUNTS, &[&id, &service_tokens, &access_tokens, &children, &memberships]).await?;
        }
        Ok(())
    }
}
