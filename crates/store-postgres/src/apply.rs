//! Mutations inside an open transaction, and their places in the order of changes.

use countersign_domain::change::Mutation;
use countersign_domain::store::{Revision, StoreError, Version};

use crate::failure::Failure;
use crate::issued::Issued;
use crate::session::Tx;
use crate::tally::Tally;
use crate::{access_tokens, accounts, keys, organizations, service_tokens, sql};

/// PostgreSQL's integers are signed. Versions and counts stay far below the end.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(crate) fn check_version(version: Version, expected: Version) -> Result<(), StoreError> {
    if version == expected { Ok(()) } else { Err(StoreError::Stale) }
}

/// Takes the next place in the order of changes.
pub(crate) async fn next_revision(tx: &Tx<'_>) -> Result<Revision, Failure> {
    let revision = next_revisions(tx, 1).await?.first().copied();
    Ok(revision.unwrap_or(Revision(0)))
}

/// Takes the next places, one for each of so many changes.
pub(crate) async fn next_revisions(tx: &Tx<'_>, count: usize) -> Result<Vec<Revision>, Failure> {
    if count == 0 {
        return Ok(Vec::new());
    }
    tx.list(sql::NEXT_REVISIONS, &[&i64::try_from(count).unwrap_or(i64::MAX)], read_revision).await
}

pub(crate) fn read_revision(row: &tokio_postgres::Row) -> Result<Revision, Failure> {
    crate::row::Cells::of(row, "revisions").number("revision").map(Revision)
}

/// Writes a mutation whose guard holds, but for the tokens that it issues. It is refused before its first write where that
/// can be; one that fails later leaves parts behind, which the caller undoes.
pub(crate) async fn mutate<'b>(
    tx: &Tx<'_>,
    mutation: &'b Mutation,
    tally: &mut Tally,
    issued: &mut Issued<'b>,
) -> Result<(), Failure> {
    match mutation {
        Mutation::CreateAccount { account, limit } => accounts::create(tx, account, *limit, tally).await,
        Mutation::ReplaceAccount { expected, account, keep } => {
            accounts::replace(tx, account, *expected, keep.as_ref(), tally).await
        }
        Mutation::CreateOrganization { organization, membership, limit } => {
            organizations::create(tx, organization, membership, *limit, tally).await
        }
        Mutation::ReplaceOrganization { expected, organization } => {
            organizations::replace(tx, organization, *expected).await
        }
        Mutation::CreateMembership { membership, limits } => {
            organizations::create_membership(tx, membership, *limits, tally).await
        }
        Mutation::ReplaceMembership { expected, membership, limit } => {
            organizations::replace_membership(tx, membership, *expected, *limit, tally).await
        }
        Mutation::DeleteMembership { id, expected } => {
            organizations::delete_membership(tx, *id, *expected, tally).await
        }
        Mutation::IssueServiceToken { token, limit } => {
            service_tokens::issue(tx, token, *limit, tally, issued).await
        }
        Mutation::ReplaceServiceToken { expected, token } => {
            service_tokens::replace(tx, token, *expected).await
        }
        Mutation::RevokeServiceToken { account, id, client_id, expected } => {
            service_tokens::revoke(tx, *account, *id, *client_id, *expected, tally).await
        }
        Mutation::IssueAccessToken { token, limits } => {
            access_tokens::issue(tx, token, *limits, tally, issued).await
        }
        Mutation::RevokeAccessToken { account, handle, expected, descendants } => {
            access_tokens::revoke(tx, *account, *handle, *expected, *descendants, tally).await
        }
        Mutation::SetRootToken { token, retire } => {
            access_tokens::set_root(tx, token, *retire, tally, issued).await
        }
        Mutation::AddKeyGeneration(added) => keys::add(tx, added).await,
        Mutation::ReplaceKeyInterval { number, expected, days } => {
            keys::schedule(tx, *number, *expected, *days).await
        }
        Mutation::RemoveKeyGeneration { number, expected } => keys::remove(tx, *number, *expected).await,
    }
}
