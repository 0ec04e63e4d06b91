//! Background work: it waits until no change waits, and has transactions of its own.

use countersign_domain::change::FactChange;
use countersign_domain::fact::CredentialKey;
use countersign_domain::id::Handle;
use countersign_domain::store::{Revision, StoreError, SweptEnded};
use countersign_domain::time::Timestamp;
use countersign_domain::usage::{QuotaUse, UsageBatch};
use rusqlite::{Connection, params};
use tokio::sync::oneshot;

use crate::apply::{AccessTokenRow, delete_access_token};
use crate::audit;
use crate::batch::Batch;
use crate::ended;
use crate::failure::Failure;
use crate::row::Cells;
use crate::sql;
use crate::usage;
use crate::writer::Writer;

/// Receives facts while they are loaded.
pub(crate) type Visit = Box<dyn FnMut(FactChange) + Send>;

/// Where the answer to background work goes.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// A piece of background work and where its answer goes. Each is small, so that a change that comes meanwhile waits
/// for milliseconds; only loading, which happens before a server serves, is not.
pub(crate) enum Chore {
    Record(UsageBatch, Reply<()>),
    AddQuotaUses(Vec<QuotaUse>, Reply<Vec<QuotaUse>>),
    SweepQuotaUses { before: Timestamp, limit: u32, reply: Reply<u32> },
    SweepAccessTokens { before: Timestamp, limit: u32, reply: Reply<u32> },
    SweepRefusals { before: Timestamp, limit: u32, reply: Reply<u32> },
    SweepAudit { before: Timestamp, limit: u32, reply: Reply<u32> },
    SweepEnded { limit: u32, reply: Reply<SweptEnded> },
    LoadFacts(Visit, Reply<Revision>),
    Check(Reply<()>),
}

impl Chore {
    /// Does the work and answers.
    pub(crate) fn run(self, writer: &mut Writer) {
        match self {
            Self::Record(batch, reply) => answer(reply, record(writer, &batch)),
            Self::AddQuotaUses(uses, reply) => answer(reply, add_quota_uses(writer, &uses)),
            Self::SweepQuotaUses { before, limit, reply } => {
                answer(reply, sweep_quota_uses(writer, before, limit));
            }
            Self::SweepAccessTokens { before, limit, reply } => {
                answer(reply, writer.write_chore(|batch| sweep_access_tokens(batch, before, limit)));
            }
            Self::SweepRefusals { before, limit, reply } => {
                answer(reply, sweep_refusals(writer, before, limit));
            }
            Self::SweepAudit { before, limit, reply } => answer(reply, sweep_audit(writer, before, limit)),
            Self::SweepEnded { limit, reply } => {
                answer(reply, writer.write_chore(|batch| ended::sweep(batch, limit)));
            }
            Self::LoadFacts(mut visit, reply) => answer(reply, writer.load_facts(&mut visit)),
            Self::Check(reply) => answer(reply, writer.check()),
        }
    }
}

/// The caller may have gone away.
fn answer<T>(reply: Reply<T>, result: Result<T, StoreError>) {
    let _ = reply.send(result);
}

fn record(writer: &mut Writer, uses: &UsageBatch) -> Result<(), StoreError> {
    writer.write_lazily(|batch| Ok((usage::record(batch.connection(), uses)?, Vec::new())))
}

fn add_quota_uses(writer: &mut Writer, uses: &[QuotaUse]) -> Result<Vec<QuotaUse>, StoreError> {
    writer.write_lazily(|batch| Ok((usage::add_quota_uses(batch.connection(), uses)?, Vec::new())))
}

fn sweep_quota_uses(writer: &mut Writer, before: Timestamp, limit: u32) -> Result<u32, StoreError> {
    writer.write_lazily(|batch| Ok((usage::sweep_quota_uses(batch.connection(), before, limit)?, Vec::new())))
}

fn sweep_refusals(writer: &mut Writer, before: Timestamp, limit: u32) -> Result<u32, StoreError> {
    writer.write_lazily(|batch| Ok((usage::sweep_refusals(batch.connection(), before, limit)?, Vec::new())))
}

fn sweep_audit(writer: &mut Writer, before: Timestamp, limit: u32) -> Result<u32, StoreError> {
    writer.write_chore(|batch| Ok((audit::sweep(batch.connection(), before, limit)?, Vec::new())))
}

fn sweep_access_tokens(
    batch: &mut Batch<'_>,
    before: Timestamp,
    limit: u32,
) -> Result<(u32, Vec<FactChange>), Failure> {
    let expired = find_expired(batch.connection(), before, limit)?;
    let mut shifts = Vec::new();
    let mut gone = Vec::new();
    for (row, handle) in &expired {
        shifts.push(delete_access_token(batch.connection(), row, handle)?);
        let key = CredentialKey::Handle(*handle);
        gone.push(FactChange::CredentialGone { key, version: row.version.next() });
    }
    if !expired.is_empty() {
        batch.sweep(shifts)?;
    }
    Ok((u32::try_from(expired.len()).unwrap_or(u32::MAX), gone))
}

fn find_expired(
    connection: &Connection,
    before: Timestamp,
    limit: u32,
) -> Result<Vec<(AccessTokenRow, Handle)>, Failure> {
    let mut statement = connection.prepare_cached(sql::LIST_EXPIRED_ACCESS_TOKENS)?;
    let mut rows = statement.query(params![before.as_micros(), limit])?;
    let mut expired = Vec::new();
    while let Some(row) = rows.next()? {
        let mut cells = Cells::of(row, "access_tokens");
        let rowid = cells.integer("rowid")?;
        let handle = cells.handle("handle")?;
        let account = cells.account_id("account")?;
        expired.push((AccessTokenRow { rowid, account, version: cells.version("version")? }, handle));
    }
    Ok(expired)
}
