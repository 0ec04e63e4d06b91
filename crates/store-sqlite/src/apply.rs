//! One change inside an open transaction: its guard, its mutation, its audit record.

use std::net::IpAddr;

use countersign_domain::access_token::{AccessToken, Sealed, Source};
use countersign_domain::account::{AccountChain, AccountFact, Epoch};
use countersign_domain::change::{Change, Guard, Mutation};
use countersign_domain::id::{AccountId, ClientId, Handle, ServiceTokenId, TokenRef};
use countersign_domain::service_token::ServiceToken;
use countersign_domain::store::{MOST_CUTS, Revision, StoreError, Version};
use rusqlite::{Connection, Params, Row, params};

use crate::accounts::{self, find_chain};
use crate::audit;
use crate::failure::{Failure, is_duplicate};
use crate::keys;
use crate::organizations;
use crate::pages::Key;
use crate::row::Cells;
use crate::sql;
use crate::tally::{Shift, Tally};

/// Runs a statement that gives no rows; gives how many rows it changed.
pub(crate) fn run(connection: &Connection, sql: &str, params: impl Params) -> rusqlite::Result<usize> {
    connection.prepare_cached(sql)?.execute(params)
}

/// The one row of a statement, if there is one.
pub(crate) fn find<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> Result<T, Failure>,
) -> Result<Option<T>, Failure> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    rows.next()?.map(read).transpose()
}

/// Whether a statement gives a row.
pub(crate) fn exists(connection: &Connection, sql: &str, params: impl Params) -> Result<bool, Failure> {
    find(connection, sql, params, |_| Ok(())).map(|row| row.is_some())
}

/// Inserts a row with a key of its own.
pub(crate) fn insert(connection: &Connection, sql: &str, params: impl Params) -> Result<(), Failure> {
    match run(connection, sql, params) {
        Err(error) if is_duplicate(&error) => Err(StoreError::Duplicate.into()),
        other => Ok(other.map(|_| ())?),
    }
}

/// A token as the key of `uses`, `refusals` and `audit`.
pub(crate) fn token_bytes(token: &TokenRef) -> &[u8] {
    match token {
        TokenRef::Service(id) => id.as_bytes(),
        TokenRef::Access(handle) => handle.as_str().as_bytes(),
    }
}

pub(crate) fn handle_bytes(handle: &Handle) -> &[u8] {
    handle.as_str().as_bytes()
}

fn optional_handle_bytes(handle: &Option<Handle>) -> Option<&[u8]> {
    handle.as_ref().map(handle_bytes)
}

/// SQLite's integers are signed. Versions and counts stay far below the end.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(crate) fn address_bytes(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// Whether the guard holds in what the transaction sees.
pub(crate) fn check_guard(connection: &Connection, guard: Guard) -> Result<(), Failure> {
    let holds = match guard {
        Guard::Token { handle, version } => token_holds(connection, handle, version)?,
        Guard::Account { id, version } => {
            enabled(connection, id)?.is_some_and(|account| account.version == version)
        }
        Guard::System => true,
    };
    if holds { Ok(()) } else { Err(StoreError::GuardFailed.into()) }
}

/// Whether the token is what it was and has not ended with others.
fn token_holds(connection: &Connection, handle: Handle, version: Version) -> Result<bool, Failure> {
    let caller = find(connection, sql::FIND_CALLER, [handle_bytes(&handle)], |row| {
        let mut cells = Cells::of(row, "access_tokens");
        let (account, version) = (cells.account_id("account")?, cells.version("version")?);
        Ok((account, version, cells.number("epoch").map(Epoch::from_number)?, cells.lineage()?))
    })?;
    let caller = caller.filter(|(_, stored, ..)| *stored == version);
    let Some((account, _, epoch, lineage)) = caller else { return Ok(false) };
    for ancestor in lineage.handles() {
        if exists(connection, sql::IS_CUT, [handle_bytes(ancestor)])? {
            return Ok(false);
        }
    }
    Ok(enabled(connection, account)?.is_some_and(|account| epoch >= account.epoch))
}

/// The account, when it and all above it are enabled.
fn enabled(connection: &Connection, account: AccountId) -> Result<Option<AccountFact>, Failure> {
    let chain = find_chain(connection, account)?.filter(AccountChain::is_enabled);
    Ok(chain.and_then(|chain| chain.own().copied()))
}

/// Writes a change that takes `revision`. It is refused before its first write; one that fails later leaves parts
/// behind, which the caller rolls back. Gives what it adds to the counts of accounts.
pub(crate) fn write(
    connection: &Connection,
    change: &Change,
    revision: Revision,
    tally: &mut Tally,
) -> Result<Vec<Shift>, Failure> {
    let shifts = mutate(connection, &change.mutation, tally)?;
    audit::insert(connection, revision, &change.audit)?;
    Ok(shifts)
}

fn mutate(connection: &Connection, mutation: &Mutation, tally: &mut Tally) -> Result<Vec<Shift>, Failure> {
    match mutation {
        Mutation::CreateAccount { account, limit } => accounts::create(connection, account, *limit),
        Mutation::ReplaceAccount { expected, account, keep } => {
            accounts::replace(connection, account, *expected, keep.as_ref())
        }
        Mutation::CreateOrganization { organization, membership, limit } => {
            organizations::create(connection, organization, membership, *limit)
        }
        Mutation::ReplaceOrganization { expected, organization } => {
            organizations::replace(connection, organization, *expected)
        }
        Mutation::CreateMembership { membership, limits } => {
            organizations::create_membership(connection, membership, *limits)
        }
        Mutation::ReplaceMembership { expected, membership, limit } => {
            organizations::replace_membership(connection, membership, *expected, *limit)
        }
        Mutation::DeleteMembership { id, expected } => {
            organizations::delete_membership(connection, *id, *expected)
        }
        Mutation::IssueServiceToken { token, limit } => {
            tally.check_room_for_service_token(connection, token.account, *limit)?;
            insert_service_token(connection, token)
        }
        Mutation::ReplaceServiceToken { expected, token } => {
            replace_service_token(connection, token, *expected)
        }
        Mutation::RevokeServiceToken { account, id, client_id, expected } => {
            revoke_service_token(connection, *account, *id, *client_id, *expected)
        }
        Mutation::IssueAccessToken { token, limits } => {
            tally.check_room_for_access_token(connection, token.account, limits.all, token.created_at)?;
            check_room_for_login(connection, token, limits.of_logins)?;
            tally.check_epoch(connection, token.account, token.epoch)?;
            insert_access_token(connection, token)
        }
        Mutation::RevokeAccessToken { account, handle, expected, descendants } => {
            let row = find_access_token_row(connection, handle)?.filter(|row| row.account == *account);
            let row = row.ok_or(StoreError::NotFound)?;
            check_version(row.version, *expected)?;
            if *descendants {
                check_room_for_cut(connection)?;
                run(connection, sql::INSERT_CUT, [handle_bytes(handle)])?;
            }
            delete_access_token(connection, &row, handle).map(|shift| vec![shift])
        }
        Mutation::SetRootToken { token, retire } => set_root_token(connection, token, *retire, tally),
        Mutation::AddKeyGeneration(added) => keys::add(connection, added).map(|()| Vec::new()),
        Mutation::ReplaceKeyInterval { number, expected, days } => {
            keys::schedule(connection, *number, *expected, *days).map(|()| Vec::new())
        }
        Mutation::RemoveKeyGeneration { number, expected } => {
            keys::remove(connection, *number, *expected).map(|()| Vec::new())
        }
    }
}

/// Tokens from logging in have a limit of their own, of which those that have expired are no part.
fn check_room_for_login(connection: &Connection, token: &AccessToken, limit: u32) -> Result<(), Failure> {
    if token.source != Source::Login {
        return Ok(());
    }
    let of = params![token.account.as_bytes(), token.created_at.as_micros()];
    let held = find(connection, sql::COUNT_LOGINS, of, |row| {
        Cells::of(row, "access_tokens").number::<u32>("count")
    })?;
    if held.unwrap_or(0) < limit { Ok(()) } else { Err(StoreError::LimitReached { limit }.into()) }
}

/// Each is kept in memory by every node, and asked for by every door until it is swept.
fn check_room_for_cut(connection: &Connection) -> Result<(), Failure> {
    let held = find(connection, sql::COUNT_CUTS, [], |row| Cells::of(row, "cuts").number::<u32>("count"))?;
    if held.unwrap_or(0) < MOST_CUTS { Ok(()) } else { Err(StoreError::Busy.into()) }
}

pub(crate) fn check_version(version: Version, expected: Version) -> Result<(), StoreError> {
    if version == expected { Ok(()) } else { Err(StoreError::Stale) }
}

pub(crate) fn insert_service_token(
    connection: &Connection,
    token: &ServiceToken,
) -> Result<Vec<Shift>, Failure> {
    let previous = token.previous.as_ref();
    let values = params![
        token.id.as_bytes(),
        token.account.as_bytes(),
        token.client_id.as_bytes(),
        token.name.as_str(),
        token.lifetime.as_str(),
        token.enabled,
        token.restrictions.scopes.joined(),
        token.restrictions.organizations().joined(),
        token.restrictions.resources().joined(),
        token.restrictions.allowed_ips().joined(),
        token.restrictions.limits().joined(),
        token.current.version,
        token.current.digest.as_bytes(),
        token.current.created_at.as_micros(),
        optional_handle_bytes(&token.current.rotated_by),
        previous.map(|previous| previous.version),
        previous.map(|previous| previous.digest.as_bytes()),
        previous.map(|previous| previous.created_at.as_micros()),
        previous.map(|previous| previous.replaced_at.as_micros()),
        previous.map(|previous| previous.expires_at.as_micros()),
        token.created_at.as_micros(),
        token.updated_at.as_micros(),
        token.expires_at.as_micros(),
        token.lineage.to_bytes(),
        signed(token.version.number()),
    ];
    insert(connection, sql::INSERT_SERVICE_TOKEN, values)?;
    let key = Key { created_at: token.created_at, id: token.id };
    Ok(vec![Shift::ServiceToken { account: token.account, key, by: 1 }])
}

/// What must be known of a service token's row to replace or to end it.
struct ServiceTokenRow {
    rowid: i64,
    key: Key,
    /// The name that is stored.
    name: Box<str>,
}

/// The row of a service token that is to be changed (promise 3). The client id must be the row's too: it is what
/// doors are told of, and to end another one would leave this one open.
fn find_service_token_row(
    connection: &Connection,
    account: AccountId,
    id: ServiceTokenId,
    client_id: ClientId,
    expected: Version,
) -> Result<ServiceTokenRow, Failure> {
    let row = find(connection, sql::FIND_SERVICE_TOKEN_ROW, [id.as_bytes()], |row| {
        let mut cells = Cells::of(row, "service_tokens");
        let rowid = cells.integer("rowid")?;
        let (of, with) = (cells.account_id("account")?, cells.client_id("client_id")?);
        let is_wanted = of == account && with == client_id;
        let version = cells.version("version")?;
        let key = Key { created_at: cells.time("created_at")?, id };
        let row = ServiceTokenRow { rowid, key, name: cells.text("name")?.into() };
        Ok(is_wanted.then_some((row, version)))
    })?;
    let (row, version) = row.flatten().ok_or(StoreError::NotFound)?;
    check_version(version, expected)?;
    Ok(row)
}

fn replace_service_token(
    connection: &Connection,
    token: &ServiceToken,
    expected: Version,
) -> Result<Vec<Shift>, Failure> {
    let row = find_service_token_row(connection, token.account, token.id, token.client_id, expected)?;
    let previous = token.previous.as_ref();
    let values = params![
        row.rowid,
        token.lifetime.as_str(),
        token.enabled,
        token.restrictions.scopes.joined(),
        token.restrictions.organizations().joined(),
        token.restrictions.resources().joined(),
        token.restrictions.allowed_ips().joined(),
        token.restrictions.limits().joined(),
        token.current.version,
        token.current.digest.as_bytes(),
        token.current.created_at.as_micros(),
        optional_handle_bytes(&token.current.rotated_by),
        previous.map(|previous| previous.version),
        previous.map(|previous| previous.digest.as_bytes()),
        previous.map(|previous| previous.created_at.as_micros()),
        previous.map(|previous| previous.replaced_at.as_micros()),
        previous.map(|previous| previous.expires_at.as_micros()),
        token.updated_at.as_micros(),
        token.expires_at.as_micros(),
        signed(token.version.number()),
    ];
    run(connection, sql::UPDATE_SERVICE_TOKEN, values)?;
    if *row.name != *token.name.as_str() {
        run(connection, sql::RENAME_SERVICE_TOKEN, params![row.rowid, token.name.as_str()])?;
    }
    Ok(Vec::new())
}

fn revoke_service_token(
    connection: &Connection,
    account: AccountId,
    id: ServiceTokenId,
    client_id: ClientId,
    expected: Version,
) -> Result<Vec<Shift>, Failure> {
    let row = find_service_token_row(connection, account, id, client_id, expected)?;
    run(connection, sql::DELETE_SERVICE_TOKEN, [row.rowid])?;
    forget_usage(connection, TokenRef::Service(id))?;
    Ok(vec![Shift::ServiceToken { account, key: row.key, by: -1 }])
}

pub(crate) fn forget_usage(connection: &Connection, token: TokenRef) -> Result<(), Failure> {
    run(connection, sql::DELETE_USES, [token_bytes(&token)])?;
    run(connection, sql::DELETE_REFUSALS, [token_bytes(&token)])?;
    Ok(())
}

pub(crate) fn insert_access_token(
    connection: &Connection,
    token: &AccessToken,
) -> Result<Vec<Shift>, Failure> {
    let values = params![
        handle_bytes(&token.handle),
        token.digest.as_bytes(),
        token.account.as_bytes(),
        token.name.as_ref().map(|name| name.as_str()),
        token.ttl.as_number(),
        token.restrictions.scopes.joined(),
        token.restrictions.organizations().joined(),
        token.restrictions.resources().joined(),
        token.restrictions.allowed_ips().joined(),
        token.restrictions.limits().joined(),
        token.created_at.as_micros(),
        token.expires_at.as_micros(),
        token.source.as_str(),
        token.lineage.to_bytes(),
        token.epoch.number(),
        token.sealed.as_ref().map(Sealed::as_bytes),
        signed(token.version.number()),
    ];
    insert(connection, sql::INSERT_ACCESS_TOKEN, values)?;
    Ok(vec![Shift::AccessToken { account: token.account, by: 1 }])
}

/// What must be known of an access token's row to judge it or to end it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AccessTokenRow {
    pub(crate) rowid: i64,
    pub(crate) account: AccountId,
    pub(crate) version: Version,
}

pub(crate) fn find_access_token_row(
    connection: &Connection,
    handle: &Handle,
) -> Result<Option<AccessTokenRow>, Failure> {
    find(connection, sql::FIND_ACCESS_TOKEN_ROW, [handle_bytes(handle)], |row| {
        let mut cells = Cells::of(row, "access_tokens");
        Ok(AccessTokenRow {
            rowid: cells.integer("rowid")?,
            account: cells.account_id("account")?,
            version: cells.version("version")?,
        })
    })
}

/// Ends an access token whose row was found.
pub(crate) fn delete_access_token(
    connection: &Connection,
    row: &AccessTokenRow,
    handle: &Handle,
) -> Result<Shift, Failure> {
    run(connection, sql::DELETE_ACCESS_TOKEN, [row.rowid])?;
    forget_usage(connection, TokenRef::Access(*handle))?;
    Ok(Shift::AccessToken { account: row.account, by: -1 })
}

fn set_root_token(
    connection: &Connection,
    token: &AccessToken,
    retire: Option<(Handle, Version)>,
    tally: &mut Tally,
) -> Result<Vec<Shift>, Failure> {
    tally.check_epoch(connection, token.account, token.epoch)?;
    let handle = handle_bytes(&token.handle);
    if exists(connection, sql::ROOT_TOKEN_WAS_SET, [handle])?
        || exists(connection, sql::ACCESS_TOKEN_EXISTS, [handle])?
    {
        return Err(StoreError::Duplicate.into());
    }
    let live = find_live_root_token(connection)?;
    if retire != live.as_ref().map(|(handle, row)| (*handle, row.version)) {
        return Err(StoreError::Stale.into());
    }
    let retired = live.map(|(handle, row)| delete_access_token(connection, &row, &handle)).transpose()?;
    run(connection, sql::INSERT_ROOT_TOKEN, [handle])?;
    let mut shifts = insert_access_token(connection, token)?;
    shifts.extend(retired);
    Ok(shifts)
}

/// The root token set last, when it still lives.
fn find_live_root_token(connection: &Connection) -> Result<Option<(Handle, AccessTokenRow)>, Failure> {
    let last =
        find(connection, sql::FIND_ROOT_TOKEN, [], |row| Cells::of(row, "root_tokens").handle("handle"))?;
    let Some(handle) = last else { return Ok(None) };
    Ok(find_access_token_row(connection, &handle)?.map(|row| (handle, row)))
}
