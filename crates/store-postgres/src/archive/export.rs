//! Everything durable, as records.

use countersign_domain::archive::{Contents, Record, RowCounts, Table};
use countersign_domain::fact_digest::FactHasher;
use countersign_domain::store::{Cause, StoreError};
use deadpool_postgres::{GenericClient, Object};
use tokio_postgres::Row;

use crate::failure::Failure;
use crate::follower::one_moment;
use crate::row::{self, Cells};
use crate::session::each;
use crate::{audit, keys, load, sql};

/// Gives everything to `visit`; gives what there is.
pub(super) async fn export(
    client: &mut Object,
    visit: &mut dyn FnMut(Record) -> Result<(), Cause>,
) -> Result<Contents, Failure> {
    let moment = one_moment(client).await?;
    let mut all = async |sql, read: fn(&Row) -> Result<Record, Failure>| {
        each(&moment, sql, &[], |row| {
            visit(read(row)?).map_err(StoreError::Unavailable)?;
            Ok(true)
        })
        .await
    };
    all(sql::EXPORT_ACCOUNTS, |row| Ok(Record::Account(row::account(row)?))).await?;
    all(sql::EXPORT_ORGANIZATIONS, |row| Ok(Record::Organization(row::organization(row)?))).await?;
    all(sql::LOAD_MEMBERSHIPS, |row| Ok(Record::Membership(row::membership(row)?))).await?;
    all(sql::LOAD_SERVICE_TOKENS, |row| Ok(Record::ServiceToken(row::service_token(row)?))).await?;
    all(sql::LOAD_ACCESS_TOKENS, |row| Ok(Record::AccessToken(row::access_token(row)?))).await?;
    all(sql::EXPORT_ROOT_TOKENS, |row| {
        Ok(Record::RootToken(Cells::of(row, "root_tokens").handle("handle")?))
    })
    .await?;
    all(sql::LOAD_CUTS, |row| Ok(Record::Cut(Cells::of(row, "cuts").handle("handle")?))).await?;
    all(sql::EXPORT_EPOCH_SWEEPS, |row| {
        Ok(Record::EpochSweep(Cells::of(row, "epoch_sweeps").account_id("account")?))
    })
    .await?;
    all(sql::EXPORT_AUDIT, |row| Ok(Record::Audit(audit::read(row)?))).await?;
    all(sql::EXPORT_USES, |row| Ok(Record::Use(row::usage(row)?))).await?;
    all(sql::EXPORT_REFUSALS, |row| Ok(Record::Refusals(row::refusals(row)?))).await?;
    all(sql::LOAD_KEY_GENERATIONS, |row| Ok(Record::KeyGeneration(keys::read(row)?))).await?;
    let contents = contents(&moment).await?;
    visit(Record::End(contents.revision)).map_err(StoreError::Unavailable)?;
    Ok(contents)
}

/// What there is, counted by PostgreSQL and digested as the doors would learn it.
pub(super) async fn contents(client: &impl GenericClient) -> Result<Contents, Failure> {
    let mut facts = FactHasher::default();
    let revision = load::facts(client, &mut |fact| facts.add(&fact)).await?;
    Ok(Contents { revision, rows: count_rows(client).await?, digest: facts.finish() })
}

pub(super) async fn count_rows(client: &impl GenericClient) -> Result<RowCounts, Failure> {
    let mut counts = RowCounts::default();
    each(client, sql::COUNT_ROWS, &[], |row| {
        let mut cells = Cells::of(row, "every table");
        let name: &str = cells.plain("name")?;
        let table = Table::ALL.into_iter().find(|table| table.as_str() == name);
        counts.add(table.ok_or_else(|| cells.broken("name"))?, cells.number("count")?);
        Ok(true)
    })
    .await?;
    Ok(counts)
}
