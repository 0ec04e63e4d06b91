//! What a change was decided on, and that it stays so until the change is committed.
//!
//! Another node may end the caller's token at this moment. So a guard *holds* the rows that it looks at (`FOR SHARE`):
//! whoever ends one of them waits until this transaction is over, and is acknowledged after it; and where the other one
//! was first, this one waits and sees its end.

use std::collections::BTreeMap;

use countersign_domain::account::{AccountChain, AccountFact};
use countersign_domain::change::Guard;
use countersign_domain::id::{AccountId, Handle};
use countersign_domain::lineage::Lineage;
use countersign_domain::store::{StoreError, Version};

use crate::accounts::uuid;
use crate::failure::Failure;
use crate::row::{self, Cells};
use crate::session::Tx;
use crate::sql;

/// Refuses when the guard does not hold.
pub(crate) async fn check(tx: &Tx<'_>, guard: Guard) -> Result<(), Failure> {
    let holds = match guard {
        Guard::Token { handle, version } => token_holds(tx, handle, version).await?,
        Guard::Account { id, version } => {
            enabled(tx, id).await?.is_some_and(|account| account.version == version)
        }
        Guard::System => true,
    };
    if holds { Ok(()) } else { Err(StoreError::GuardFailed.into()) }
}

/// Whether the token is what it was and has not ended with others.
async fn token_holds(tx: &Tx<'_>, handle: Handle, version: Version) -> Result<bool, Failure> {
    let caller = tx
        .find(sql::HOLD_CALLER, &[&handle.as_str()], |row| {
            let mut cells = Cells::of(row, "access_tokens");
            let (account, version) = (cells.account_id("account")?, cells.version("version")?);
            Ok((account, version, cells.epoch()?, cells.lineage()?))
        })
        .await?;
    let Some((account, _, epoch, lineage)) = caller.filter(|(_, stored, ..)| *stored == version) else {
        return Ok(false);
    };
    if is_cut(tx, &lineage).await? {
        return Ok(false);
    }
    Ok(enabled(tx, account).await?.is_some_and(|account| epoch >= account.epoch))
}

/// Whether something above ended with everything that stems from it. What lives above is held first: to end it is to
/// wait, and what was ended by then is seen.
async fn is_cut(tx: &Tx<'_>, lineage: &Lineage) -> Result<bool, Failure> {
    let ancestors: Vec<&str> = lineage.handles().iter().map(Handle::as_str).collect();
    if ancestors.is_empty() {
        return Ok(false);
    }
    tx.list(sql::HOLD_ANCESTORS, &[&ancestors], |_| Ok(())).await?;
    tx.exists(sql::IS_ANY_CUT, &[&ancestors]).await
}

/// The account, when it and all above it are enabled.
async fn enabled(tx: &Tx<'_>, id: AccountId) -> Result<Option<AccountFact>, Failure> {
    let facts = tx.list(sql::HOLD_CHAIN, &[&uuid(id.as_bytes())], row::account_fact).await?;
    let mut facts: BTreeMap<AccountId, AccountFact> = facts.into_iter().map(|fact| (fact.id, fact)).collect();
    let own = facts.remove(&id);
    let upwards = std::iter::successors(own, |below| facts.remove(&below.parent?));
    let chain = AccountChain::collect(upwards).filter(AccountChain::is_enabled);
    Ok(chain.and_then(|chain| chain.own().copied()))
}
