//! Changes of access tokens.

use countersign_domain::access_token::{AccessToken, Sealed, Source};
use countersign_domain::account::Epoch;
use countersign_domain::change::AccessTokenLimits;
use countersign_domain::id::{AccountId, Handle, TokenRef};
use countersign_domain::store::{MOST_CUTS, StoreError, Version};

use crate::accounts::{hold, uuid};
use crate::apply::{check_version, signed};
use crate::failure::Failure;
use crate::row::{self, Cells};
use crate::session::Tx;
use crate::sql;
use crate::tally::{Counts, Tally};
use crate::usage::forget;

fn one(by: i64) -> Counts {
    Counts { access_tokens: by, ..Counts::default() }
}

pub(crate) async fn issue(
    tx: &Tx<'_>,
    token: &AccessToken,
    limits: AccessTokenLimits,
    tally: &mut Tally,
) -> Result<(), Failure> {
    let epoch = hold(tx, token.account).await?;
    tally.check_room_for_access_token(tx, token.account, limits.all, token.created_at).await?;
    check_room_for_login(tx, token, limits.of_logins).await?;
    check_epoch(epoch, token.epoch)?;
    store(tx, token, tally).await
}

/// What is made for another epoch would not be accepted.
fn check_epoch(stored: Epoch, epoch: Epoch) -> Result<(), StoreError> {
    if stored == epoch { Ok(()) } else { Err(StoreError::Stale) }
}

/// Tokens from logging in have a limit of their own, of which those that have expired are no part.
async fn check_room_for_login(tx: &Tx<'_>, token: &AccessToken, limit: u32) -> Result<(), Failure> {
    if token.source != Source::Login {
        return Ok(());
    }
    let (account, now) = (uuid(token.account.as_bytes()), token.created_at.as_micros());
    let held = count(tx, sql::COUNT_LOGINS, &[&account, &now]).await?;
    if held < i64::from(limit) { Ok(()) } else { Err(StoreError::LimitReached { limit }.into()) }
}

async fn count(tx: &Tx<'_>, sql: &str, values: crate::session::Values<'_>) -> Result<i64, Failure> {
    let read = |row: &_| Cells::of(row, "access_tokens").plain("count");
    Ok(tx.find(sql, values, read).await?.unwrap_or(0))
}

async fn store(tx: &Tx<'_>, token: &AccessToken, tally: &mut Tally) -> Result<(), Failure> {
    tx.insert(
        sql::INSERT_ACCESS_TOKEN,
        &[
            &token.handle.as_str(),
            &&token.digest.as_bytes()[..],
            &uuid(token.account.as_bytes()),
            &token.name.as_ref().map(|name| name.as_str()),
            &token.ttl.as_number(),
            &token.restrictions.scopes.joined(),
            &token.restrictions.organizations().joined(),
            &token.restrictions.resources().joined(),
            &token.restrictions.allowed_ips().joined(),
            &token.created_at.as_micros(),
            &token.expires_at.as_micros(),
            &token.source.as_str(),
            &token.lineage.to_bytes(),
            &i64::from(token.epoch.number()),
            &token.sealed.as_ref().map(Sealed::as_bytes),
            &signed(token.version.number()),
        ],
    )
    .await?;
    tally.add(token.account, one(1));
    Ok(())
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

pub(crate) async fn set_root(
    tx: &Tx<'_>,
    token: &AccessToken,
    retire: Option<(Handle, Version)>,
    tally: &mut Tally,
) -> Result<(), Failure> {
    tx.run(sql::TAKE_ROOT_TOKENS, &[]).await?;
    check_epoch(hold(tx, token.account).await?, token.epoch)?;
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
    store(tx, token, tally).await
}
