//! Uses and refusals. They are bookkeeping: written behind the changes, and never to a token's row.

use std::collections::BTreeMap;

use countersign_domain::id::TokenRef;
use countersign_domain::store::TokenUsage;
use countersign_domain::time::Timestamp;
use countersign_domain::usage::{QuotaUse, Refusals, Usage, UsageBatch};
use rusqlite::{Connection, params};

use crate::apply::{address_bytes, exists, find as find_row, run, signed, token_bytes};
use crate::failure::Failure;
use crate::row::{self, Cells};
use crate::sql;

/// Adds a batch to what is known. What concerns a token that is gone is dropped, so that a late batch leaves no
/// orphans.
pub(crate) fn record(connection: &Connection, batch: &UsageBatch) -> Result<(), Failure> {
    for usage in &batch.uses {
        // A row that is there says that the token is, too: they go together.
        if !add_to_known(connection, usage)? && is_stored(connection, &usage.token)? {
            insert(connection, usage)?;
        }
    }
    for refusals in &batch.refusals {
        if is_stored(connection, &refusals.token)? {
            add_refusals(connection, refusals)?;
        }
    }
    Ok(())
}

fn is_stored(connection: &Connection, token: &TokenRef) -> Result<bool, Failure> {
    let sql = match token {
        TokenRef::Service(_) => sql::SERVICE_TOKEN_EXISTS,
        TokenRef::Access(_) => sql::ACCESS_TOKEN_EXISTS,
    };
    exists(connection, sql, [token_bytes(token)])
}

/// Whether the secret had a row, to which the uses were added.
fn add_to_known(connection: &Connection, usage: &Usage) -> Result<bool, Failure> {
    execute_with(connection, sql::ADD_USE, usage).map(|rows| rows > 0)
}

/// The first row of a secret. All but those of the newest secrets go, be it this one.
fn insert(connection: &Connection, usage: &Usage) -> Result<(), Failure> {
    insert_row(connection, usage)?;
    run(connection, sql::FORGET_USES, params![token_bytes(&usage.token), Usage::KEPT_SECRETS])?;
    Ok(())
}

/// The row alone.
pub(crate) fn insert_row(connection: &Connection, usage: &Usage) -> Result<(), Failure> {
    execute_with(connection, sql::INSERT_USE, usage).map(|_| ())
}

fn execute_with(connection: &Connection, sql: &str, usage: &Usage) -> Result<usize, Failure> {
    let values = params![
        token_bytes(&usage.token),
        usage.secret_version,
        signed(usage.count),
        usage.first_at.as_micros(),
        usage.last_at.as_micros(),
        usage.address.map(address_bytes),
        &*usage.user_agent,
        usage.door.as_str(),
    ];
    Ok(run(connection, sql, values)?)
}

pub(crate) fn add_refusals(connection: &Connection, refusals: &Refusals) -> Result<(), Failure> {
    let values = params![
        token_bytes(&refusals.token),
        refusals.minute.as_micros(),
        refusals.reason.as_str(),
        signed(refusals.count),
        refusals.address.map(address_bytes),
    ];
    run(connection, sql::ADD_REFUSALS, values)?;
    Ok(())
}

/// Forgets refusals of minutes before this one, the oldest first; gives how many.
pub(crate) fn sweep_refusals(connection: &Connection, before: Timestamp, limit: u32) -> Result<u32, Failure> {
    let swept = run(connection, sql::SWEEP_REFUSALS, params![before.as_micros(), limit])?;
    Ok(u32::try_from(swept).unwrap_or(u32::MAX))
}

/// Adds to what was used of quotas; gives the sums.
pub(crate) fn add_quota_uses(connection: &Connection, uses: &[QuotaUse]) -> Result<Vec<QuotaUse>, Failure> {
    let mut sums = BTreeMap::new();
    for QuotaUse { token, window, used } in uses {
        let values = params![
            token_bytes(token),
            window.period().as_str(),
            window.first_day(),
            window.ends_at().as_micros(),
            signed(*used),
        ];
        let sum = find_row(connection, sql::ADD_QUOTA_USES, values, |row| {
            Cells::of(row, "quota_uses").number::<u64>("used")
        })?;
        sums.insert((*token, *window), sum.unwrap_or(*used));
    }
    Ok(sums.into_iter().map(|((token, window), used)| QuotaUse { token, window, used }).collect())
}

/// Forgets what was used in days and months that ended before this; gives how many.
pub(crate) fn sweep_quota_uses(
    connection: &Connection,
    before: Timestamp,
    limit: u32,
) -> Result<u32, Failure> {
    let swept = run(connection, sql::SWEEP_QUOTA_USES, params![before.as_micros(), limit])?;
    Ok(u32::try_from(swept).unwrap_or(u32::MAX))
}

/// Everything about one token.
pub(crate) fn find(connection: &Connection, token: TokenRef) -> Result<TokenUsage, Failure> {
    let mut uses = Vec::new();
    list_uses(connection, token, &mut uses)?;
    let mut statement = connection.prepare_cached(sql::LIST_REFUSALS)?;
    let mut rows = statement.query([token_bytes(&token)])?;
    let mut refusals = Vec::new();
    while let Some(row) = rows.next()? {
        refusals.push(row::refusals(row)?);
    }
    Ok(TokenUsage { uses, refusals })
}

/// Adds the uses of a token's secrets to `uses`, the newest secret first.
pub(crate) fn list_uses(
    connection: &Connection,
    token: TokenRef,
    uses: &mut Vec<Usage>,
) -> Result<(), Failure> {
    let mut statement = connection.prepare_cached(sql::LIST_USES)?;
    let mut rows = statement.query([token_bytes(&token)])?;
    while let Some(row) = rows.next()? {
        uses.push(row::usage(row)?);
    }
    Ok(())
}
