//! Changes of service tokens.

use countersign_domain::id::{AccountId, ClientId, ServiceTokenId, TokenRef};
use countersign_domain::service_token::ServiceToken;
use countersign_domain::store::{StoreError, Version};

use crate::accounts::uuid;
use crate::apply::{check_version, signed};
use crate::failure::Failure;
use crate::issued::Issued;
use crate::row::Cells;
use crate::session::Tx;
use crate::sql;
use crate::tally::{Counts, Tally};
use crate::usage::forget;

fn one(by: i64) -> Counts {
    Counts { service_tokens: by, ..Counts::default() }
}

pub(crate) async fn issue<'b>(
    tx: &Tx<'_>,
    token: &'b ServiceToken,
    limit: u32,
    tally: &mut Tally,
    issued: &mut Issued<'b>,
) -> Result<(), Failure> {
    tally.hold(tx, token.account).await?;
    tally.check_room(tx, token.account, limit, |counts| counts.service_tokens).await?;
    issued.add_service_token(token);
    tally.add(token.account, one(1));
    Ok(())
}

/// Takes the row of a service token that is to be changed (promise 3). The client id must be the row's too: it is what
/// doors are told of, and to end another one would leave this one open.
async fn take(
    tx: &Tx<'_>,
    account: AccountId,
    id: ServiceTokenId,
    client_id: ClientId,
    expected: Version,
) -> Result<(), Failure> {
    let row = tx
        .find(sql::TAKE_SERVICE_TOKEN, &[&uuid(id.as_bytes())], |row| {
            let mut cells = Cells::of(row, "service_tokens");
            let (of, with) = (cells.account_id("account")?, cells.client_id("client_id")?);
            Ok((of, with, cells.version("version")?))
        })
        .await?;
    let row = row.filter(|(of, with, _)| *of == account && *with == client_id);
    let (.., version) = row.ok_or(StoreError::NotFound)?;
    Ok(check_version(version, expected)?)
}

pub(crate) async fn replace(tx: &Tx<'_>, token: &ServiceToken, expected: Version) -> Result<(), Failure> {
    take(tx, token.account, token.id, token.client_id, expected).await?;
    let previous = token.previous.as_ref();
    tx.run(
        sql::UPDATE_SERVICE_TOKEN,
        &[
            &uuid(token.id.as_bytes()),
            &token.name.as_str(),
            &token.lifetime.as_str(),
            &token.enabled,
            &token.restrictions.scopes.joined(),
            &token.restrictions.organizations().joined(),
            &token.restrictions.resources().joined(),
            &token.restrictions.allowed_ips().joined(),
            &token.restrictions.limits().joined(),
            &i64::from(token.current.version),
            &&token.current.digest.as_bytes()[..],
            &token.current.created_at.as_micros(),
            &token.current.rotated_by.as_ref().map(|handle| handle.as_str()),
            &previous.map(|previous| i64::from(previous.version)),
            &previous.map(|previous| &previous.digest.as_bytes()[..]),
            &previous.map(|previous| previous.created_at.as_micros()),
            &previous.map(|previous| previous.replaced_at.as_micros()),
            &previous.map(|previous| previous.expires_at.as_micros()),
            &token.updated_at.as_micros(),
            &token.expires_at.as_micros(),
            &signed(token.version.number()),
        ],
    )
    .await?;
    Ok(())
}

pub(crate) async fn revoke(
    tx: &Tx<'_>,
    account: AccountId,
    id: ServiceTokenId,
    client_id: ClientId,
    expected: Version,
    tally: &mut Tally,
) -> Result<(), Failure> {
    take(tx, account, id, client_id, expected).await?;
    remove(tx, account, id, tally).await?;
    Ok(())
}

/// Removes a token; gives whether it was still there.
pub(crate) async fn remove(
    tx: &Tx<'_>,
    account: AccountId,
    id: ServiceTokenId,
    tally: &mut Tally,
) -> Result<bool, Failure> {
    if tx.run(sql::DELETE_SERVICE_TOKEN, &[&uuid(id.as_bytes())]).await? == 0 {
        return Ok(false);
    }
    forget(tx, TokenRef::Service(id)).await?;
    tally.add(account, one(-1));
    Ok(true)
}
