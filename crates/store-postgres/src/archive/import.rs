//! A store of records, in one transaction.

use countersign_domain::account::Account;
use countersign_domain::archive::{Contents, ImportError, Record};
use countersign_domain::audit::{AuditEntry, AuditRecord};
use countersign_domain::id::{AccountId, ChangeId, Handle};
use countersign_domain::organization::{Membership, Organization};
use countersign_domain::signing_key::KeyGeneration;
use countersign_domain::store::{Cause, Revision, StoreError};
use countersign_domain::usage::{Refusals, Usage};
use deadpool_postgres::Object;
use futures_util::future::try_join_all;
use tokio_postgres::Row;

use super::Over;
use super::export::{contents, count_rows};
use crate::accounts::uuid;
use crate::apply::signed;
use crate::failure::{Failure, is_refusal};
use crate::issued::Issued;
use crate::row::Cells;
use crate::session::Tx;
use crate::{accounts, audit, keys, organizations, sql, usage};

/// So many records are written together.
const TOGETHER: usize = 2_000;

/// In an order that foreign keys allow.
const FORGET_EVERYTHING: &str = "
    DELETE FROM feed; DELETE FROM key_generations; DELETE FROM refusals; DELETE FROM uses; DELETE FROM audit; DELETE FROM epoch_sweeps;
    DELETE FROM cuts; UPDATE cut_walk SET service_tokens_to = NULL, access_tokens_to = NULL;
    DELETE FROM root_tokens; DELETE FROM access_tokens; DELETE FROM service_tokens; DELETE FROM memberships;
    DELETE FROM organizations; DELETE FROM account_counts; DELETE FROM accounts";

/// Servers that say that they live: each says so four times a second, and takes its row away when it stops.
pub(crate) const COUNT_LIVING_NODES: &str =
    "SELECT count(*) FROM nodes WHERE seen_at > clock_timestamp() - interval '5 seconds'";

/// A session whose end nobody has noticed may hold everything for hours.
const WITH_PATIENCE: &str = "SET LOCAL lock_timeout = '30s'";

/// Plans for small tables are bad ones for what has come.
const ANALYZE: &str =
    "ANALYZE accounts, organizations, memberships, service_tokens, access_tokens, audit, uses, refusals";

pub(super) async fn import(
    client: &mut Object,
    over: Over,
    records: &mut dyn Iterator<Item = Record>,
    check: &mut dyn FnMut(&Contents) -> Result<(), Cause>,
) -> Result<Contents, ImportError> {
    let tx = Tx::new(client.transaction().await.map_err(failed)?);
    make_room(&tx, over).await?;
    let mut waiting = Vec::with_capacity(TOGETHER);
    let mut end = None;
    for record in records {
        if let Record::End(revision) = record {
            end = Some(revision);
            break;
        }
        waiting.push(record);
        if waiting.len() == TOGETHER {
            write(&tx, &waiting).await.map_err(failed)?;
            waiting.clear();
        }
    }
    let end = end.ok_or(ImportError::CutShort)?;
    write(&tx, &waiting).await.map_err(failed)?;
    complete(&tx, end).await.map_err(failed)?;
    let found = contents(tx.transaction()).await.map_err(failed)?;
    check(&found).map_err(ImportError::Refused)?;
    match tx.commit().await {
        Ok(()) => Ok(found),
        Err(error) if is_refusal(&error) => Err(failed(error)),
        // Whoever does not hear the answer does not know it.
        Err(error) => Err(ImportError::Store(StoreError::InDoubt(error.into()))),
    }
}

/// Whether the audit has a change that an import wrote whose commit was not answered: once it has come to its end, or not
/// at all.
pub(super) async fn is_committed(client: &mut Object, id: ChangeId) -> Result<bool, Failure> {
    let tx = Tx::new(client.transaction().await?);
    tx.transaction().batch_execute(WITH_PATIENCE).await?;
    tx.run(sql::TAKE_EVERYTHING, &[]).await?;
    tx.exists(sql::IS_AUDITED, &[&uuid(id.as_bytes())]).await
}

fn failed(failure: impl Into<Failure>) -> ImportError {
    ImportError::Store(failure.into().into())
}

/// Nobody else writes from now on.
async fn make_room(tx: &Tx<'_>, over: Over) -> Result<(), ImportError> {
    tx.run(sql::TAKE_EVERYTHING, &[]).await.map_err(failed)?;
    let Over::Everything { known } = over else {
        return match count_rows(tx.transaction()).await.map_err(failed)?.is_empty() {
            true => Ok(()),
            false => Err(ImportError::NotEmpty),
        };
    };
    refuse_while_nodes_live(tx).await?;
    if let Some(known) = known {
        refuse_what_is_not_known(tx, &known).await?;
    }
    tx.transaction().batch_execute(FORGET_EVERYTHING).await.map_err(failed)
}

/// What a server acknowledges while everything gives way would be lost.
async fn refuse_while_nodes_live(tx: &Tx<'_>) -> Result<(), ImportError> {
    let count = |row: &Row| Cells::of(row, "nodes").number("count");
    match tx.find(COUNT_LIVING_NODES, &[], count).await.map_err(failed)? {
        None | Some(0) => Ok(()),
        Some(living) => Err(ImportError::Refused(
            format!(
                "servers that use the database: {living}; stop every one, and do it again (one that was killed counts \
                 for five seconds more)"
            )
            .into(),
        )),
    }
}

/// What gives way must be what was looked at. Not the revision alone: one is taken before its change is committed, so a
/// change can come between that has it already.
async fn refuse_what_is_not_known(tx: &Tx<'_>, known: &Contents) -> Result<(), ImportError> {
    let found = contents(tx.transaction()).await.map_err(failed)?;
    match known.difference(&found) {
        None => Ok(()),
        Some(difference) => Err(ImportError::Refused(
            format!("the store was changed meanwhile ({difference}): stop its servers, and do it again")
                .into(),
        )),
    }
}

/// Enters what follows from the rows.
async fn complete(tx: &Tx<'_>, end: Revision) -> Result<(), Failure> {
    tx.transaction().batch_execute(ANALYZE).await?;
    tx.run(sql::COUNT_OF_ACCOUNTS, &[]).await?;
    tx.run(sql::COUNT_OF_ORGANIZATIONS, &[]).await?;
    if end > Revision(0) {
        tx.run(sql::SET_REVISION, &[&signed(end.0)]).await?;
    }
    // Whoever followed what was there before, if only nothing, follows no further.
    tx.run(sql::NEW_EPOCH, &[]).await?;
    Ok(())
}

/// Writes records together, in the order of their tables: what others refer to first.
async fn write(tx: &Tx<'_>, records: &[Record]) -> Result<(), Failure> {
    let mut rows = Rows::default();
    records.iter().for_each(|record| rows.add(record));
    try_join_all(rows.accounts.into_iter().map(|account| accounts::insert_row(tx, account))).await?;
    try_join_all(rows.organizations.into_iter().map(|row| organizations::insert_row(tx, row))).await?;
    try_join_all(rows.memberships.into_iter().map(|row| organizations::insert_membership_row(tx, row)))
        .await?;
    rows.tokens.write(tx).await?;
    for handle in rows.root_tokens {
        tx.insert(sql::INSERT_ROOT_TOKEN, &[&handle.as_str()]).await?;
    }
    for handle in rows.cuts {
        tx.run(sql::INSERT_CUT, &[&handle.as_str()]).await?;
    }
    for account in rows.epoch_sweeps {
        tx.run(sql::START_EPOCH_SWEEP, &[&uuid(account.as_bytes())]).await?;
    }
    audit::insert(tx, &rows.audit).await?;
    usage::insert_uses(tx, &rows.uses).await?;
    usage::insert_refusals(tx, &rows.refusals).await?;
    for generation in rows.key_generations {
        keys::add(tx, generation).await?;
    }
    Ok(())
}

/// Records by their tables.
#[derive(Default)]
struct Rows<'r> {
    accounts: Vec<&'r Account>,
    organizations: Vec<&'r Organization>,
    memberships: Vec<&'r Membership>,
    tokens: Issued<'r>,
    root_tokens: Vec<&'r Handle>,
    cuts: Vec<&'r Handle>,
    epoch_sweeps: Vec<&'r AccountId>,
    audit: Vec<(Revision, &'r AuditEntry)>,
    uses: Vec<&'r Usage>,
    refusals: Vec<&'r Refusals>,
    key_generations: Vec<&'r KeyGeneration>,
}

impl<'r> Rows<'r> {
    fn add(&mut self, record: &'r Record) {
        match record {
            Record::Account(account) => self.accounts.push(account),
            Record::Organization(row) => self.organizations.push(row),
            Record::Membership(row) => self.memberships.push(row),
            Record::ServiceToken(token) => self.tokens.add_service_token(token),
            Record::AccessToken(token) => self.tokens.add_access_token(token),
            Record::RootToken(handle) => self.root_tokens.push(handle),
            Record::Cut(handle) => self.cuts.push(handle),
            Record::EpochSweep(account) => self.epoch_sweeps.push(account),
            Record::Audit(AuditRecord { revision, entry }) => self.audit.push((*revision, entry)),
            Record::Use(usage) => self.uses.push(usage),
            Record::Refusals(refusals) => self.refusals.push(refusals),
            Record::KeyGeneration(row) => self.key_generations.push(row),
            Record::End(_) => {}
        }
    }
}
