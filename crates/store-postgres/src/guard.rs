//! What a change was decided on, and that it stays so until the change is committed.
//!
//! Another node may end the caller's token at this moment. So a guard *holds* the rows that it looks at (`FOR SHARE`):
//! whoever ends one of them waits until this transaction is over, and is acknowledged after it; and where the other one
//! was first, this one waits and sees its end. Guards of changes that arrive together are looked at together.

use std::collections::{BTreeMap, BTreeSet};

use countersign_domain::account::{AccountChain, AccountFact, Epoch};
use countersign_domain::change::Guard;
use countersign_domain::id::{AccountId, Handle};
use countersign_domain::lineage::Lineage;
use countersign_domain::store::Version;
use futures_util::future::try_join;

use crate::accounts::uuids;
use crate::failure::Failure;
use crate::row::{self, Cells};
use crate::session::Tx;
use crate::sql;

/// Which of these guards hold.
pub(crate) async fn good(tx: &Tx<'_>, guards: &[Guard]) -> Result<Vec<Guard>, Failure> {
    let (mut handles, mut accounts) = (BTreeSet::new(), BTreeSet::new());
    for guard in guards {
        match guard {
            Guard::Token { handle, .. } => drop(handles.insert(*handle)),
            Guard::Account { id, .. } => drop(accounts.insert(*id)),
            Guard::System => {}
        }
    }
    let callers = callers(tx, &handles).await?;
    accounts.extend(callers.values().map(|caller| caller.account));
    let ancestors = callers.values().flat_map(|caller| caller.lineage.handles()).copied().collect();
    let (cuts, accounts) = try_join(cuts(tx, &ancestors), chains(tx, &accounts)).await?;
    let seen = Seen { callers, cuts, accounts };
    Ok(guards.iter().copied().filter(|guard| seen.holds(*guard)).collect())
}

/// What must be known of the token in whose name a change is made.
struct Caller {
    account: AccountId,
    version: Version,
    epoch: Epoch,
    lineage: Lineage,
}

/// The rows that guards look at. All of them are held.
struct Seen {
    callers: BTreeMap<Handle, Caller>,
    cuts: BTreeSet<Handle>,
    accounts: BTreeMap<AccountId, AccountFact>,
}

impl Seen {
    fn holds(&self, guard: Guard) -> bool {
        match guard {
            Guard::Token { handle, version } => self.token_holds(handle, version),
            Guard::Account { id, version } => {
                self.enabled(id).is_some_and(|account| account.version == version)
            }
            Guard::System => true,
        }
    }

    /// Whether the token is what it was and has not ended with others.
    fn token_holds(&self, handle: Handle, version: Version) -> bool {
        let caller = self.callers.get(&handle).filter(|caller| caller.version == version);
        caller.is_some_and(|caller| {
            !caller.lineage.handles().iter().any(|ancestor| self.cuts.contains(ancestor))
                && self.enabled(caller.account).is_some_and(|account| caller.epoch >= account.epoch)
        })
    }

    /// The account, when it and all above it are enabled.
    fn enabled(&self, id: AccountId) -> Option<AccountFact> {
        let find = |id| self.accounts.get(&id).copied();
        let upwards = std::iter::successors(find(id), |below| find(below.parent?));
        let chain = AccountChain::collect(upwards).filter(AccountChain::is_enabled);
        chain.and_then(|chain| chain.own().copied())
    }
}

async fn callers(tx: &Tx<'_>, handles: &BTreeSet<Handle>) -> Result<BTreeMap<Handle, Caller>, Failure> {
    if handles.is_empty() {
        return Ok(BTreeMap::new());
    }
    let callers = tx
        .list(sql::HOLD_CALLERS, &[&texts(handles)], |row| {
            let mut cells = Cells::of(row, "access_tokens");
            let (handle, account) = (cells.handle("handle")?, cells.account_id("account")?);
            let (version, epoch) = (cells.version("version")?, cells.epoch()?);
            Ok((handle, Caller { account, version, epoch, lineage: cells.lineage()? }))
        })
        .await?;
    Ok(callers.into_iter().collect())
}

/// Which of these access tokens have ended with everything that stems from them. What lives of them is held first: to end
/// it is to wait, and what was ended by then is seen.
async fn cuts(tx: &Tx<'_>, ancestors: &BTreeSet<Handle>) -> Result<BTreeSet<Handle>, Failure> {
    if ancestors.is_empty() {
        return Ok(BTreeSet::new());
    }
    let ancestors = texts(ancestors);
    let (_, cuts) = try_join(
        tx.list(sql::HOLD_ANCESTORS, &[&ancestors], |_| Ok(())),
        tx.list(sql::LIST_CUTS_OF, &[&ancestors], |row| Cells::of(row, "cuts").handle("handle")),
    )
    .await?;
    Ok(cuts.into_iter().collect())
}

/// These accounts and all above them.
async fn chains(
    tx: &Tx<'_>,
    accounts: &BTreeSet<AccountId>,
) -> Result<BTreeMap<AccountId, AccountFact>, Failure> {
    if accounts.is_empty() {
        return Ok(BTreeMap::new());
    }
    let facts = tx.list(sql::HOLD_CHAINS, &[&uuids(accounts)], row::account_fact).await?;
    Ok(facts.into_iter().map(|fact| (fact.id, fact)).collect())
}

fn texts(handles: &BTreeSet<Handle>) -> Vec<&str> {
    handles.iter().map(Handle::as_str).collect()
}
