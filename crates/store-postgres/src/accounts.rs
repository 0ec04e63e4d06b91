//! Changes of accounts. Whoever adds something to an account holds its row, so that the sweep, which takes it, cannot
//! remove the account meanwhile.

use countersign_domain::access_token::AccessToken;
use countersign_domain::account::{Account, AccountState};
use countersign_domain::id::AccountId;
use countersign_domain::store::{StoreError, Version};
use uuid::Uuid;

use crate::apply::{check_version, signed};
use crate::failure::Failure;
use crate::row;
use crate::session::Tx;
use crate::sql;
use crate::tally::{Counts, Tally};

/// An id as the database has it.
pub(crate) fn uuid(id: &[u8; 16]) -> Uuid {
    Uuid::from_bytes(*id)
}

/// Ids of accounts, in their order.
pub(crate) fn uuids<'a>(accounts: impl IntoIterator<Item = &'a AccountId>) -> Vec<Uuid> {
    accounts.into_iter().map(|account| uuid(account.as_bytes())).collect()
}

pub(crate) async fn create(
    tx: &Tx<'_>,
    account: &Account,
    limit: u32,
    tally: &mut Tally,
) -> Result<(), Failure> {
    if let Some(parent) = account.parent {
        tally.hold(tx, parent).await?;
        tally.check_room(tx, parent, limit, |counts| counts.children).await?;
    }
    let id = uuid(account.id.as_bytes());
    if tx.exists(sql::EMAIL_IS_TAKEN, &[&account.email.as_str(), &id]).await? {
        return Err(StoreError::Duplicate.into());
    }
    insert_row(tx, account).await?;
    tx.run(sql::INSERT_COUNTS, &[&id]).await?;
    if let Some(parent) = account.parent {
        tally.add(parent, Counts { children: 1, ..Counts::default() });
    }
    Ok(())
}

/// The row alone, without a look at any other.
pub(crate) async fn insert_row(tx: &Tx<'_>, account: &Account) -> Result<(), Failure> {
    let (enabled, deleted) = flags(account.state);
    tx.insert(
        sql::INSERT_ACCOUNT,
        &[
            &uuid(account.id.as_bytes()),
            &account.parent.as_ref().map(|parent| uuid(parent.as_bytes())),
            &account.email.as_str(),
            &account.password.as_ref().map(|password| password.as_phc()),
            &account.profile.as_json(),
            &enabled,
            &deleted,
            &i64::from(account.epoch.number()),
            &account.created_at.as_micros(),
            &account.updated_at.as_micros(),
            &signed(account.version.number()),
        ],
    )
    .await
}

/// The two columns of a state. An account that was deleted is not enabled again.
const fn flags(state: AccountState) -> (bool, i16) {
    match state {
        AccountState::Enabled => (true, 0),
        AccountState::Disabled => (false, 0),
        AccountState::Deleted => (false, 1),
    }
}

pub(crate) async fn replace(
    tx: &Tx<'_>,
    account: &Account,
    expected: Version,
    keep: Option<&AccessToken>,
    tally: &mut Tally,
) -> Result<(), Failure> {
    let id = uuid(account.id.as_bytes());
    let before = tx.find(sql::TAKE_ACCOUNT, &[&id], row::account_fact).await?;
    let before = before.filter(|before| before.state != AccountState::Deleted).ok_or(StoreError::NotFound)?;
    check_version(before.version, expected)?;
    if tx.exists(sql::EMAIL_IS_TAKEN, &[&account.email.as_str(), &id]).await? {
        return Err(StoreError::Duplicate.into());
    }
    if let Some(token) = keep {
        keep_access_token(tx, token).await?;
    }
    let (enabled, deleted) = flags(account.state);
    tx.run(
        sql::UPDATE_ACCOUNT,
        &[
            &id,
            &account.email.as_str(),
            &account.password.as_ref().map(|password| password.as_phc()),
            &account.profile.as_json(),
            &enabled,
            &deleted,
            &i64::from(account.epoch.number()),
            &account.updated_at.as_micros(),
            &signed(account.version.number()),
        ],
    )
    .await?;
    if account.epoch > before.epoch {
        tx.run(sql::START_EPOCH_SWEEP, &[&id]).await?;
    }
    if let Some(parent) = account.parent.filter(|_| deleted > 0) {
        tally.add(parent, Counts { children: -1, ..Counts::default() });
    }
    Ok(())
}

/// The token that stays must be as it was when that was decided.
async fn keep_access_token(tx: &Tx<'_>, token: &AccessToken) -> Result<(), Failure> {
    let kept = tx
        .run(
            sql::KEEP_ACCESS_TOKEN,
            &[
                &token.handle.as_str(),
                &i64::from(token.epoch.number()),
                &signed(token.version.number()),
                &uuid(token.account.as_bytes()),
            ],
        )
        .await?;
    if kept == 0 { Err(StoreError::Stale.into()) } else { Ok(()) }
}
