//! Changes of accounts.

use countersign_domain::access_token::AccessToken;
use countersign_domain::account::{Account, AccountChain, AccountFact, AccountState};
use countersign_domain::id::AccountId;
use countersign_domain::store::{StoreError, Version};
use rusqlite::{Connection, params};

use crate::apply::{check_version, exists, find, find_access_token_row, insert, run, signed};
use crate::failure::Failure;
use crate::row::{self, Cells};
use crate::sql;
use crate::tally::Shift;

/// An account and those above it, as far as they can be read.
pub(crate) fn find_chain(
    connection: &Connection,
    account: AccountId,
) -> Result<Option<AccountChain>, Failure> {
    let mut facts: Vec<AccountFact> = Vec::new();
    let mut next = Some(account);
    while let Some(id) = next {
        let Some(fact) = find(connection, sql::FIND_ACCOUNT_FACT, [id.as_bytes()], row::account_fact)? else {
            break;
        };
        next = fact.parent.filter(|_| facts.len() < Account::DEEPEST);
        facts.push(fact);
    }
    Ok(AccountChain::collect(facts))
}

pub(crate) fn create(connection: &Connection, account: &Account, limit: u32) -> Result<Vec<Shift>, Failure> {
    if let Some(parent) = account.parent {
        check_room_below(connection, parent, limit)?;
    }
    if exists(connection, sql::EMAIL_IS_TAKEN, params![account.email.as_str(), account.id.as_bytes()])? {
        return Err(StoreError::Duplicate.into());
    }
    insert_row(connection, account)?;
    if let Some(parent) = account.parent {
        run(connection, sql::ADD_CHILD, params![parent.as_bytes(), 1])?;
    }
    Ok(Vec::new())
}

/// The row alone, without a look at any other.
pub(crate) fn insert_row(connection: &Connection, account: &Account) -> Result<(), Failure> {
    let (enabled, deleted) = flags(account.state);
    let values = params![
        account.id.as_bytes(),
        account.parent.as_ref().map(AccountId::as_bytes),
        account.email.as_str(),
        account.password.as_ref().map(|password| password.as_phc()),
        account.profile.as_json(),
        enabled,
        deleted,
        account.epoch.number(),
        account.created_at.as_micros(),
        account.updated_at.as_micros(),
        signed(account.version.number()),
    ];
    insert(connection, sql::INSERT_ACCOUNT, values)
}

/// The two columns of a state. An account that was deleted is not enabled again.
const fn flags(state: AccountState) -> (bool, bool) {
    match state {
        AccountState::Enabled => (true, false),
        AccountState::Disabled => (false, false),
        AccountState::Deleted => (false, true),
    }
}

fn check_room_below(connection: &Connection, parent: AccountId, limit: u32) -> Result<(), Failure> {
    let children = find(connection, sql::FIND_ROOM_BELOW, [parent.as_bytes()], |row| {
        Cells::of(row, "accounts").number::<u32>("children")
    })?;
    match children {
        None => Err(StoreError::NotFound.into()),
        Some(held) if held >= limit => Err(StoreError::LimitReached { limit }.into()),
        Some(_) => Ok(()),
    }
}

pub(crate) fn replace(
    connection: &Connection,
    account: &Account,
    expected: Version,
    keep: Option<&AccessToken>,
) -> Result<Vec<Shift>, Failure> {
    let id = account.id.as_bytes();
    let before = find(connection, sql::FIND_ACCOUNT_FACT, [id], row::account_fact)?;
    let is_there = |before: &AccountFact| before.state != AccountState::Deleted;
    let before = before.filter(is_there).ok_or(StoreError::NotFound)?;
    check_version(before.version, expected)?;
    if exists(connection, sql::EMAIL_IS_TAKEN, params![account.email.as_str(), id])? {
        return Err(StoreError::Duplicate.into());
    }
    let kept = keep.map(|token| find_kept(connection, token)).transpose()?;

    let (enabled, deleted) = flags(account.state);
    let values = params![
        id,
        account.email.as_str(),
        account.password.as_ref().map(|password| password.as_phc()),
        account.profile.as_json(),
        enabled,
        deleted,
        account.epoch.number(),
        account.updated_at.as_micros(),
        signed(account.version.number()),
    ];
    run(connection, sql::UPDATE_ACCOUNT, values)?;
    if account.epoch > before.epoch {
        run(connection, sql::START_EPOCH_SWEEP, [id])?;
    }
    if let Some((rowid, token)) = kept {
        let version = signed(token.version.number());
        run(connection, sql::KEEP_ACCESS_TOKEN, params![rowid, token.epoch.number(), version])?;
    }
    if let Some(parent) = account.parent.filter(|_| deleted) {
        run(connection, sql::ADD_CHILD, params![parent.as_bytes(), -1])?;
    }
    Ok(Vec::new())
}

/// The row of the token that stays, which must be as it was when that was decided.
fn find_kept<'t>(connection: &Connection, token: &'t AccessToken) -> Result<(i64, &'t AccessToken), Failure> {
    let row = find_access_token_row(connection, &token.handle)?;
    let row = row.filter(|row| row.account == token.account && row.version.next() == token.version);
    Ok(row.map(|row| (row.rowid, token)).ok_or(StoreError::Stale)?)
}
