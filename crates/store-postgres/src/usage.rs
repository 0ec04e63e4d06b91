//! Uses and refusals. They are bookkeeping: written beside the changes, and never to a token's row. Nodes add to the
//! same rows; each statement adds, so that none overwrites another's.

use std::collections::BTreeMap;
use std::net::IpAddr;

use countersign_domain::id::TokenRef;
use countersign_domain::limits::Window;
use countersign_domain::service_token::SecretVersion;
use countersign_domain::store::TokenUsage;
use countersign_domain::time::Timestamp;
use countersign_domain::usage::{QuotaUse, Refusals, Usage, UsageBatch};
use deadpool_postgres::GenericClient;
use uuid::Uuid;

use crate::accounts::uuid;
use crate::apply::signed;
use crate::failure::Failure;
use crate::row::{self, Cells};
use crate::session::{Tx, Values, list};
use crate::sql;

/// Adds a batch to what is known. What concerns a token that is gone is dropped, so that a late batch leaves no
/// orphans. In the order of keys: two nodes that add to the same rows take them in one order.
pub(crate) async fn record(tx: &Tx<'_>, batch: &UsageBatch) -> Result<(), Failure> {
    add_uses(tx, &batch.uses).await?;
    let mut refusals: Vec<&Refusals> = batch.refusals.iter().collect();
    refusals.sort_unstable_by_key(|refusals| (refusals.token, refusals.minute, refusals.reason.as_str()));
    for refusals in refusals {
        add_refusals(tx, refusals).await?;
    }
    Ok(())
}

/// All at once: a statement for each costs PostgreSQL more than its row. Of each token that has a secret more all but the
/// newest secrets are forgotten, be they among these.
async fn add_uses(tx: &Tx<'_>, uses: &[Usage]) -> Result<(), Failure> {
    // A statement may meet a row only once.
    let mut together: BTreeMap<(TokenRef, SecretVersion), Usage> = BTreeMap::new();
    for usage in uses {
        let known = together.entry((usage.token, usage.secret_version));
        known.and_modify(|known| known.add(usage)).or_insert_with(|| usage.clone());
    }
    if together.is_empty() {
        return Ok(());
    }
    let uses = || together.values();
    let numbers = |number: fn(&Usage) -> i64| uses().map(number).collect::<Vec<i64>>();
    let tokens: Vec<String> = uses().map(|usage| usage.token.to_string()).collect();
    let ids: Vec<Option<Uuid>> = uses().map(|usage| id_of(usage.token)).collect();
    let addresses: Vec<Option<IpAddr>> = uses().map(|usage| usage.address).collect();
    let user_agents: Vec<&str> = uses().map(|usage| &*usage.user_agent).collect();
    let doors: Vec<&str> = uses().map(|usage| usage.door.as_str()).collect();
    let values: Values<'_> = &[
        &tokens,
        &ids,
        &numbers(|usage| usage.secret_version.into()),
        &numbers(|usage| signed(usage.count)),
        &numbers(|usage| usage.first_at.as_micros()),
        &numbers(|usage| usage.last_at.as_micros()),
        &addresses,
        &user_agents,
        &doors,
    ];
    let new: Vec<String> = tx.list(sql::ADD_USES, values, |row| Ok(row.try_get("token")?)).await?;
    if !new.is_empty() {
        tx.run(sql::FORGET_USES, &[&new, &i64::from(Usage::KEPT_SECRETS)]).await?;
    }
    Ok(())
}

/// By which a service token's row is found.
fn id_of(token: TokenRef) -> Option<Uuid> {
    match token {
        TokenRef::Service(id) => Some(uuid(id.as_bytes())),
        TokenRef::Access(_) => None,
    }
}

async fn add_refusals(tx: &Tx<'_>, refusals: &Refusals) -> Result<(), Failure> {
    tx.run(
        sql::ADD_REFUSALS,
        &[
            &refusals.token.to_string(),
            &id_of(refusals.token),
            &refusals.minute.as_micros(),
            &refusals.reason.as_str(),
            &signed(refusals.count),
            &refusals.address,
        ],
    )
    .await?;
    Ok(())
}

/// Adds to what was used of quotas; gives the sums. In the order of keys: two nodes that add to the same rows take them in
/// one order.
pub(crate) async fn add_quota_uses(tx: &Tx<'_>, uses: &[QuotaUse]) -> Result<Vec<QuotaUse>, Failure> {
    // A statement may meet a row only once.
    let mut together: BTreeMap<(String, Window), u64> = BTreeMap::new();
    for QuotaUse { token, window, used } in uses {
        *together.entry((token.to_string(), *window)).or_default() += used;
    }
    let numbers = |number: fn((&Window, &u64)) -> i64| {
        together.iter().map(|((_, window), used)| number((window, used))).collect::<Vec<i64>>()
    };
    let tokens: Vec<&str> = together.keys().map(|(token, _)| &**token).collect();
    let periods: Vec<&str> = together.keys().map(|(_, window)| window.period().as_str()).collect();
    let values: Values<'_> = &[
        &tokens,
        &periods,
        &numbers(|(window, _)| window.first_day().into()),
        &numbers(|(window, _)| window.ends_at().as_micros()),
        &numbers(|(_, used)| signed(*used)),
    ];
    tx.list(sql::ADD_QUOTA_USES, values, |row| Cells::of(row, "quota_uses").quota_use()).await
}

/// Forgets what was used in days and months that ended before this; gives how many.
pub(crate) async fn sweep_quota_uses(tx: &Tx<'_>, before: Timestamp, limit: u32) -> Result<u32, Failure> {
    let swept = tx.run(sql::SWEEP_QUOTA_USES, &[&before.as_micros(), &i64::from(limit)]).await?;
    Ok(u32::try_from(swept).unwrap_or(u32::MAX))
}

/// Uses of tokens that are there, where nothing is known of them yet.
pub(crate) async fn insert_uses(tx: &Tx<'_>, uses: &[&Usage]) -> Result<(), tokio_postgres::Error> {
    let tokens: Vec<_> = uses.iter().map(|usage| usage.token.to_string()).collect();
    let versions: Vec<_> = uses.iter().map(|usage| i64::from(usage.secret_version)).collect();
    let counts: Vec<_> = uses.iter().map(|usage| signed(usage.count)).collect();
    let firsts: Vec<_> = uses.iter().map(|usage| usage.first_at.as_micros()).collect();
    let lasts: Vec<_> = uses.iter().map(|usage| usage.last_at.as_micros()).collect();
    let addresses: Vec<_> = uses.iter().map(|usage| usage.address).collect();
    let agents: Vec<_> = uses.iter().map(|usage| &*usage.user_agent).collect();
    let doors: Vec<_> = uses.iter().map(|usage| usage.door.as_str()).collect();
    tx.run(sql::INSERT_USES, &[&tokens, &versions, &counts, &firsts, &lasts, &addresses, &agents, &doors])
        .await
        .map(drop)
}

/// As [`insert_uses`], of refusals.
pub(crate) async fn insert_refusals(
    tx: &Tx<'_>,
    refusals: &[&Refusals],
) -> Result<(), tokio_postgres::Error> {
    let tokens: Vec<_> = refusals.iter().map(|row| row.token.to_string()).collect();
    let minutes: Vec<_> = refusals.iter().map(|row| row.minute.as_micros()).collect();
    let reasons: Vec<_> = refusals.iter().map(|row| row.reason.as_str()).collect();
    let counts: Vec<_> = refusals.iter().map(|row| signed(row.count)).collect();
    let addresses: Vec<_> = refusals.iter().map(|row| row.address).collect();
    tx.run(sql::INSERT_REFUSALS, &[&tokens, &minutes, &reasons, &counts, &addresses]).await.map(drop)
}

/// Forgets everything about a token that is gone.
pub(crate) async fn forget(tx: &Tx<'_>, token: TokenRef) -> Result<(), Failure> {
    let token = token.to_string();
    tx.run(sql::DELETE_USES, &[&token]).await?;
    tx.run(sql::DELETE_REFUSALS, &[&token]).await?;
    Ok(())
}

/// Forgets refusals of minutes before this one, the oldest first; gives how many.
pub(crate) async fn sweep_refusals(tx: &Tx<'_>, before: Timestamp, limit: u32) -> Result<u32, Failure> {
    let swept = tx.run(sql::SWEEP_REFUSALS, &[&before.as_micros(), &i64::from(limit)]).await?;
    Ok(u32::try_from(swept).unwrap_or(u32::MAX))
}

/// Everything about one token.
pub(crate) async fn find(client: &impl GenericClient, token: TokenRef) -> Result<TokenUsage, Failure> {
    let uses = list_uses(client, &[token]).await?;
    let refusals = list(client, sql::LIST_REFUSALS, &[&token.to_string()], row::refusals).await?;
    Ok(TokenUsage { uses, refusals })
}

/// The uses of these tokens' secrets, the newest secret first.
pub(crate) async fn list_uses(
    client: &impl GenericClient,
    tokens: &[TokenRef],
) -> Result<Vec<Usage>, Failure> {
    let tokens: Vec<String> = tokens.iter().map(ToString::to_string).collect();
    list(client, sql::LIST_USES, &[&tokens], row::usage).await
}
