//! What a batch of changes adds to the counts of accounts and to the directory of pages. It is kept in memory while
//! the batch is written and entered once before its commit: 64 tokens for one account are two more statements, not
//! 128.

use std::collections::BTreeMap;

use countersign_domain::account::Epoch;
use countersign_domain::id::AccountId;
use countersign_domain::store::StoreError;
use countersign_domain::time::Timestamp;
use rusqlite::{Connection, params};

use crate::apply::{find, run};
use crate::failure::Failure;
use crate::lists;
use crate::pages::{self, Key};
use crate::row::Cells;
use crate::sql;

/// A token came (`+1`) or went (`-1`).
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shift {
    ServiceToken { account: AccountId, key: Key, by: i64 },
    AccessToken { account: AccountId, by: i64 },
}

/// How many tokens of each kind.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    service: i64,
    access: i64,
}

/// What is stored of an account.
#[derive(Debug, Clone, Copy)]
struct Stored {
    counts: Counts,
    epoch: Epoch,
}

/// The counts of a batch.
#[derive(Default)]
pub(crate) struct Tally {
    /// As they are stored; read when an account first matters. `None`: there is no such account.
    stored: BTreeMap<AccountId, Option<Stored>>,
    added: BTreeMap<AccountId, Added>,
}

#[derive(Default)]
struct Added {
    counts: Counts,
    service_tokens: Vec<(Key, i64)>,
}

impl Tally {
    /// Refuses when the account may not have one more service token.
    pub(crate) fn check_room_for_service_token(
        &mut self,
        connection: &Connection,
        account: AccountId,
        limit: u32,
    ) -> Result<(), Failure> {
        let held = self.held(connection, account)?.service;
        if held < i64::from(limit) { Ok(()) } else { Err(StoreError::LimitReached { limit }.into()) }
    }

    /// Refuses with `NotFound` when there is no such account, and with `Stale` when it is in another epoch: what is made
    /// for that would not be accepted.
    pub(crate) fn check_epoch(
        &mut self,
        connection: &Connection,
        account: AccountId,
        epoch: Epoch,
    ) -> Result<(), Failure> {
        let stored = self.stored(connection, account)?.epoch;
        if stored == epoch { Ok(()) } else { Err(StoreError::Stale.into()) }
    }

    /// Refuses when the account may not have one more access token at `now`. Expired ones wait to be swept; as many as
    /// the limit are no part of it.
    pub(crate) fn check_room_for_access_token(
        &mut self,
        connection: &Connection,
        account: AccountId,
        limit: u32,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let (held, most) = (self.held(connection, account)?.access, i64::from(limit));
        let over = held - most;
        let has_room = over < 0 || over < most && lists::are_more_expired(connection, account, now, over)?;
        if has_room { Ok(()) } else { Err(StoreError::LimitReached { limit }.into()) }
    }

    fn held(&mut self, connection: &Connection, account: AccountId) -> Result<Counts, Failure> {
        let stored = self.stored(connection, account)?.counts;
        let added = self.added.get(&account).map_or(Counts::default(), |added| added.counts);
        Ok(Counts { service: stored.service + added.service, access: stored.access + added.access })
    }

    fn stored(&mut self, connection: &Connection, account: AccountId) -> Result<Stored, Failure> {
        let known = match self.stored.get(&account) {
            Some(known) => *known,
            None => {
                let found = find_counts(connection, account)?;
                self.stored.insert(account, found);
                found
            }
        };
        Ok(known.ok_or(StoreError::NotFound)?)
    }

    /// Remembers what a change did that will be committed.
    pub(crate) fn add(&mut self, shift: Shift) {
        match shift {
            Shift::ServiceToken { account, key, by } => {
                let added = self.added.entry(account).or_default();
                added.counts.service += by;
                added.service_tokens.push((key, by));
            }
            Shift::AccessToken { account, by } => {
                self.added.entry(account).or_default().counts.access += by;
            }
        }
    }

    /// Forgets what is known of accounts: there are other ones now.
    pub(crate) fn forget_stored(&mut self) {
        self.stored.clear();
    }

    /// Writes everything remembered.
    pub(crate) fn enter(self, connection: &Connection) -> Result<(), Failure> {
        for (account, added) in self.added {
            let Counts { service, access } = added.counts;
            if (service, access) != (0, 0) {
                run(connection, sql::ADD_COUNTS, params![account.as_bytes(), service, access])?;
            }
            pages::shift(connection, account, added.service_tokens)?;
        }
        Ok(())
    }
}

fn find_counts(connection: &Connection, account: AccountId) -> Result<Option<Stored>, Failure> {
    find(connection, sql::FIND_ROOM, [account.as_bytes()], |row| {
        let mut cells = Cells::of(row, "accounts");
        let counts =
            Counts { service: cells.integer("service_tokens")?, access: cells.integer("access_tokens")? };
        Ok(Stored { counts, epoch: cells.number("epoch").map(Epoch::from_number)? })
    })
}
