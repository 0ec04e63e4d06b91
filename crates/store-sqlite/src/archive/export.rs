//! Everything durable, as records.

use countersign_domain::archive::{Contents, Record, RowCounts, Table};
use countersign_domain::fact_digest::FactHasher;
use countersign_domain::store::{Cause, StoreError};
use rusqlite::{Connection, Row};

use crate::connection::last_revision;
use crate::failure::Failure;
use crate::row::{self, Cells};
use crate::{audit, keys, load, sql};

type Visit<'v> = &'v mut dyn FnMut(Record) -> Result<(), Cause>;

/// Gives everything to `visit`; gives what there is. `connection` is in a transaction.
pub(super) fn export(connection: &Connection, visit: Visit<'_>) -> Result<Contents, Failure> {
    let mut each = |sql, read: fn(&Row<'_>) -> Result<Record, Failure>| {
        load::each(connection, sql, |row| {
            let record = read(row)?;
            visit(record).map_err(|cause| StoreError::Unavailable(cause).into())
        })
    };
    each(sql::EXPORT_ACCOUNTS, |row| Ok(Record::Account(row::account(row)?)))?;
    each(sql::EXPORT_ORGANIZATIONS, |row| Ok(Record::Organization(row::organization(row)?)))?;
    each(sql::EXPORT_MEMBERSHIPS, |row| Ok(Record::Membership(row::membership(row)?)))?;
    each(sql::EXPORT_SERVICE_TOKENS, |row| Ok(Record::ServiceToken(row::service_token(row)?)))?;
    each(sql::EXPORT_ACCESS_TOKENS, |row| Ok(Record::AccessToken(row::access_token(row)?)))?;
    each(sql::EXPORT_ROOT_TOKENS, |row| {
        Ok(Record::RootToken(Cells::of(row, "root_tokens").handle("handle")?))
    })?;
    each(sql::LOAD_CUTS, |row| Ok(Record::Cut(Cells::of(row, "cuts").handle("handle")?)))?;
    each(sql::EXPORT_EPOCH_SWEEPS, |row| {
        Ok(Record::EpochSweep(Cells::of(row, "epoch_sweeps").account_id("account")?))
    })?;
    each(sql::EXPORT_AUDIT, |row| Ok(Record::Audit(audit::read(row)?)))?;
    each(sql::EXPORT_USES, |row| Ok(Record::Use(row::usage(row)?)))?;
    each(sql::EXPORT_REFUSALS, |row| Ok(Record::Refusals(row::refusals(row)?)))?;
    each(sql::LOAD_KEY_GENERATIONS, |row| Ok(Record::KeyGeneration(keys::read(row)?)))?;
    let contents = contents(connection)?;
    visit(Record::End(contents.revision)).map_err(StoreError::Unavailable)?;
    Ok(contents)
}

/// What there is, counted by SQLite and digested as the doors would learn it.
pub(super) fn contents(connection: &Connection) -> Result<Contents, Failure> {
    let mut facts = FactHasher::default();
    load::facts(connection, &mut |fact| facts.add(&fact))?;
    let (revision, rows) = (last_revision(connection)?, count_rows(connection)?);
    Ok(Contents { revision, rows, digest: facts.finish() })
}

fn count_rows(connection: &Connection) -> Result<RowCounts, Failure> {
    let mut counts = RowCounts::default();
    load::each(connection, sql::COUNT_ROWS, |row| {
        let mut cells = Cells::of(row, "every table");
        let name = cells.text("name")?;
        let table = Table::ALL.into_iter().find(|table| table.as_str() == name);
        counts.add(table.ok_or_else(|| cells.broken("name"))?, cells.number("count")?);
        Ok(())
    })?;
    Ok(counts)
}
