//! A database of records.

use countersign_domain::archive::{Contents, ImportError, Record};
use countersign_domain::store::{Cause, Revision};
use rusqlite::{Connection, TransactionBehavior};

use super::export::contents;
use crate::apply::{handle_bytes, insert_access_token, insert_service_token, run, signed};
use crate::failure::Failure;
use crate::{accounts, audit, keys, organizations, pages, sql, usage};

/// Puts the records into an empty database, in one transaction.
pub(super) fn import(
    connection: &mut Connection,
    records: &mut dyn Iterator<Item = Record>,
    check: &mut dyn FnMut(&Contents) -> Result<(), Cause>,
) -> Result<Contents, ImportError> {
    let begun = connection.transaction_with_behavior(TransactionBehavior::Immediate);
    let transaction = begun.map_err(failed)?;
    if !contents(&transaction).map_err(failed)?.rows.is_empty() {
        return Err(ImportError::NotEmpty);
    }
    let mut end = None;
    for record in records {
        if let Some(revision) = insert(&transaction, record).map_err(failed)? {
            end = Some(revision);
            break;
        }
    }
    let end = end.ok_or(ImportError::CutShort)?;
    complete(&transaction, end).map_err(failed)?;
    let found = contents(&transaction).map_err(failed)?;
    check(&found).map_err(ImportError::Refused)?;
    transaction.commit().map_err(failed)?;
    Ok(found)
}

fn failed(failure: impl Into<Failure>) -> ImportError {
    ImportError::Store(failure.into().into())
}

/// Writes the row of a record; gives the revision when it is the end.
fn insert(connection: &Connection, record: Record) -> Result<Option<Revision>, Failure> {
    match record {
        Record::Account(account) => accounts::insert_row(connection, &account)?,
        Record::Organization(organization) => organizations::insert_row(connection, &organization)?,
        Record::Membership(membership) => organizations::insert_membership_row(connection, &membership)?,
        Record::ServiceToken(token) => drop(insert_service_token(connection, &token)?),
        Record::AccessToken(token) => drop(insert_access_token(connection, &token)?),
        Record::RootToken(handle) => {
            run(connection, sql::INSERT_ROOT_TOKEN, [handle_bytes(&handle)])?;
        }
        Record::Cut(handle) => {
            run(connection, sql::INSERT_CUT, [handle_bytes(&handle)])?;
        }
        Record::EpochSweep(account) => {
            run(connection, sql::START_EPOCH_SWEEP, [account.as_bytes()])?;
        }
        Record::Audit(record) => audit::insert(connection, record.revision, &record.entry)?,
        Record::Use(usage) => usage::insert_row(connection, &usage)?,
        Record::Refusals(refusals) => usage::add_refusals(connection, &refusals)?,
        Record::KeyGeneration(row) => keys::add(connection, &row)?,
        Record::End(revision) => return Ok(Some(revision)),
    }
    Ok(None)
}

/// Enters what follows from the rows.
fn complete(connection: &Connection, end: Revision) -> Result<(), Failure> {
    run(connection, sql::COUNT_IN_ACCOUNTS, [])?;
    run(connection, sql::COUNT_IN_ORGANIZATIONS, [])?;
    pages::fill(connection)?;
    audit::complete_all(connection, end)?;
    run(connection, sql::SET_SWEEP_REVISION, [signed(end.0)])?;
    Ok(())
}
