//! Changes of access tokens.

use countersign_domain::access_token::{AccessToken, Source};
use countersign_domain::account::Epoch;
use countersign_domain::change::AccessTokenLimits;
use countersign_domain::id::{AccountId, Handle, TokenRef};
use countersign_domain::store::{MOST_CUTS, StoreError, Version};

use crate::accounts::uuid;
use crate::apply::check_version;
use crate::failure::Failure;
use crate::issued::Issued;
use crate::row::{self, Cells};
use crate::session::Tx;
use crate::sql;
use crate::tally::{Counts, Tally};
use crate::usage::forget;

fn one(by: i64) -> Counts {
    Counts { access_tokens: by, ..Counts::default() }
}

pub(crate) async fn issue<'b>(
    tx: &Tx<'_>,
    token: &'b AccessToken,
    limits: AccessTokenLimits,
    tally: &mut Tally,
    issued: &mut Issued<'b>,
) -> Result<(), Failure> {
    let epoch = tally.hold(tx, token.account).await?;
    check_room(tx, token, limits.all, tally, issued).await?;
    check_room_for_login(tx, token, limits.of_logins, issued).await?;
    check_epoch(epoch, token.epoch)?;
    store(token, tally, issued);
    Ok(())
}

/// Expired tokens wait to be swept; as many as the limit are no part of what an account holds.
async fn check_room(
    tx: &Tx<'_>,
    token: &AccessToken,
    limit: u32,
    tally: &mut Tally,
    issued: &mut Issued<'_>,
) -> Result<(), Failure> {
    let most = i64::from(limit);
    let over = tally.counts(tx, token.account).await?.access_tokens - most;
    if over < 0 {
        return Ok(());
    }
    issued.write(tx).await?;
    let (account, now) = (uuid(token.account.as_bytes()), token.created_at.as_micros());
    let has_room = over < most && tx.exists(sql::ARE_MORE_EXPIRED, &[&account, &now, &over]).await?;
    if has_room { Ok(()) } else { Err(StoreError::LimitReached { limit }.into()) }
}

/// What is made for another epoch would not be accepted.
fn check_epoch(stored: Epoch, epoch: Epoch) -> Result<(), StoreError> {
    if stored == epoch { Ok(()) } else { Err(StoreError::Stale) }
}

/// Tokens from logging in have a limit of their own, of which those that have expired are no part.
async fn check_room_for_login(
    tx: &Tx<'_>,
    token: &AccessToken,
    limit: u32,
    issued: &mut Issued<'_>,
) -> Result<(), Failure> {
    if token.source != Source::Login {
        return Ok(());
    }
    issued.write(tx).await?;
    let (account, now) = (uuid(token.account.as_bytes()), token.created_at.as_micros());
    let held = count(tx, sql::COUNT_LOGINS, &[&account, &now]).await?;
    if held < i64::from(limit) { Ok(()) } else { Err(StoreError::LimitReached { limit }.into()) }
}

async fn count(tx: &Tx<'_>, sql: &str, values: crate::session::Values<'_>) -> Result<i64, Failure> {
    let read = |row: &_| Cells::of(row, "access_tokens").plain("count");
    Ok(tx.find(sql, values, read).await?.unwrap_or(0))
}

fn store<'b>(token: &'b AccessToken, tally: &mut Tally, issued: &mut Issued<'b>) {
    issued.add_access_token(token);
    tally.add(token.account, one(1));
}

/// Takes the row of an access token that is to be ended; gives its account and version.
async fn take(tx: &Tx<'_>, handle: Handle) -> Result<Option<(AccountId, Version)>, Failure> {
    tx.find(sql::TAKE_ACCESS_TOKEN, &[&handle.as_str()], |row| {
        let mut cells = Cells::of(row, "access_tokens");
        Ok((cells.account_id("account")?, cells.version("version")?))
    })
    .await
}

pub(crate) async fn revoke(
    tx: &Tx<'_>,
    account: AccountId,
    handle: Handle,
    expected: Version,
    descendants: bool,
    tally: &mut Tally,
) -> Result<(), Failure> {
    let row = take(tx, handle).await?.filter(|(of, _)| *of == account);
    let (_, version) = row.ok_or(StoreError::NotFound)?;
    check_version(version, expected)?;
    if descendants {
        // Each is kept in memory by every node, and asked for by every door until it is swept.
        if count(tx, sql::COUNT_CUTS, &[]).await? >= i64::from(MOST_CUTS) {
            return Err(StoreError::Busy.into());
        }
        tx.run(sql::INSERT_CUT, &[&handle.as_str()]).await?;
    }
    remove(tx, account, handle, tally).await?;
    Ok(())
}

/// Removes a token; gives whether it was still there.
pub(crate) async fn remove(
    tx: &Tx<'_>,
    account: AccountId,
    handle: Handle,
    tally: &mut Tally,
) -> Result<bool, Failure> {
    if tx.run(sql::DELETE_ACCESS_TOKEN, &[&handle.as_str()]).await? == 0 {
        return Ok(false);
    }
    forget(tx, TokenRef::Access(handle)).await?;
    tally.add(account, one(-1));
    Ok(true)
}

pub(crate) async fn set_root<'b>(
    tx: &Tx<'_>,
    token: &'b AccessToken,
    retire: Option<(Handle, Version)>,
    tally: &mut Tally,
    issued: &mut Issued<'b>,
) -> Result<(), Failure> {
    tx.run(sql::TAKE_ROOT_TOKENS, &[]).await?;
    check_epoch(tally.hold(tx, token.account).await?, token.epoch)?;
    let handle = token.handle.as_str();
    if tx.exists(sql::ROOT_TOKEN_WAS_SET, &[&handle]).await?
        || tx.exists(sql::ACCESS_TOKEN_EXISTS, &[&handle]).await?
    {
        return Err(StoreError::Duplicate.into());
    }
    let last = tx.find(sql::FIND_ROOT_TOKEN, &[], row::root_token).await?;
    let live = match last {
        Some(last) => take(tx, last.handle).await?.map(|row| (last.handle, row)),
        None => None,
    };
    if retire != live.map(|(handle, (_, version))| (handle, version)) {
        return Err(StoreError::Stale.into());
    }
    if let Some((handle, (account, _))) = live {
        remove(tx, account, handle, tally).await?;
    }
    tx.run(sql::INSERT_ROOT_TOKEN, &[&handle]).await?;
    store(token, tally, issued);
    Ok(())
}
