//! Pages of tokens: at any offset in milliseconds, and everything bounded.

use countersign_domain::access_token::AccessToken;
use countersign_domain::account::Account;
use countersign_domain::id::AccountId;
use countersign_domain::organization::{Membership, Organization};
use countersign_domain::search::Search;
use countersign_domain::service_token::ServiceToken;
use countersign_domain::store::{
    AccessTokenQuery, AccountQuery, MembershipQuery, MembershipsOf, OrganizationQuery, Page,
    ServiceTokenQuery, StoreError,
};
use countersign_domain::time::Timestamp;
use rusqlite::{Connection, Params, Row, params};

use crate::apply::{exists, find, signed};
use crate::failure::Failure;
use crate::filtered;
use crate::pages;
use crate::row::{self, Cells};
use crate::sql;

/// Most tokens that a search looks through: so many take about 0.2 s.
pub(crate) const MOST_SEARCHED: u32 = 150_000;

/// A page of service tokens.
pub(crate) fn service_tokens(
    connection: &Connection,
    query: &ServiceTokenQuery,
) -> Result<Page<ServiceToken>, Failure> {
    match (&query.search, &query.name) {
        (Some(text), name) => search(connection, query, text, name.as_deref()),
        (None, Some(name)) => of_name(connection, query, name),
        (None, None) => of_account(connection, query),
    }
}

fn of_account(connection: &Connection, query: &ServiceTokenQuery) -> Result<Page<ServiceToken>, Failure> {
    let total = count_all(connection, query)?;
    if query.offset >= total {
        return Ok(Page { items: Vec::new(), total });
    }
    let place = pages::locate(connection, query.account, signed(query.offset))?;
    let from = params![
        query.account.as_bytes(),
        place.first.created_at.as_micros(),
        place.first.id.as_bytes(),
        query.limit,
        place.skip,
    ];
    Ok(Page { items: collect(connection, sql::LIST_SERVICE_TOKENS, from, row::service_token)?, total })
}

fn count_all(connection: &Connection, query: &ServiceTokenQuery) -> Result<u64, Failure> {
    let total = find(connection, sql::FIND_COUNTS, [query.account.as_bytes()], |row| {
        Cells::of(row, "accounts").number("service_tokens")
    })?;
    Ok(total.unwrap_or(0))
}

fn of_name(
    connection: &Connection,
    query: &ServiceTokenQuery,
    name: &str,
) -> Result<Page<ServiceToken>, Failure> {
    let of = params![query.account.as_bytes(), name];
    let total = find(connection, sql::COUNT_SERVICE_TOKENS_OF_NAME, of, count)?.unwrap_or(0);
    let part = params![query.account.as_bytes(), name, query.limit, signed(query.offset)];
    Ok(Page {
        items: collect(connection, sql::LIST_SERVICE_TOKENS_OF_NAME, part, row::service_token)?,
        total,
    })
}

/// Looks at every token of the account, or of one name in it. What is found is counted; the rows of the page alone
/// are read in full.
fn search(
    connection: &Connection,
    query: &ServiceTokenQuery,
    text: &str,
    name: Option<&str>,
) -> Result<Page<ServiceToken>, Failure> {
    let mut search = Search::new(text);
    let (mut statement, mut rows);
    match name {
        Some(name) => {
            statement = connection.prepare_cached(sql::SEARCH_SERVICE_TOKENS_OF_NAME)?;
            rows = statement.query(params![query.account.as_bytes(), name])?;
        }
        None => {
            refuse_too_wide(count_all(connection, query)?)?;
            statement = connection.prepare_cached(sql::SEARCH_SERVICE_TOKENS)?;
            rows = statement.query([query.account.as_bytes()])?;
        }
    }
    let (mut looked_at, mut total) = (0, 0);
    let mut items = Vec::new();
    while let Some(row) = rows.next()? {
        looked_at += 1;
        refuse_too_wide(looked_at)?;
        let mut cells = Cells::of(row, "service_tokens");
        let rowid = cells.integer("rowid")?;
        let (id, client_id) = (cells.service_token_id("id")?, cells.client_id("client_id")?);
        if !search.finds(cells.text("name")?, id, client_id) {
            continue;
        }
        if total >= query.offset && items.len() < query.limit as usize {
            items.extend(find(connection, sql::SERVICE_TOKEN_AT, [rowid], row::service_token)?);
        }
        total += 1;
    }
    Ok(Page { items, total })
}

fn refuse_too_wide(rows: u64) -> Result<(), StoreError> {
    if rows > u64::from(MOST_SEARCHED) {
        return Err(StoreError::SearchTooWide { rows: MOST_SEARCHED });
    }
    Ok(())
}

/// A page of access tokens that have not expired. The expired ones are few, since they are swept: to count them and
/// take them off the account's count costs less than to count the others.
pub(crate) fn access_tokens(
    connection: &Connection,
    query: &AccessTokenQuery,
) -> Result<Page<AccessToken>, Failure> {
    if !query.is_plain() {
        return filtered::access_tokens(connection, query);
    }
    let (account, live_at) = (query.account.as_bytes(), query.live_at.as_micros());
    let all = find(connection, sql::FIND_COUNTS, [account], |row| {
        let mut cells = Cells::of(row, "accounts");
        cells.pass_over(1);
        cells.number::<u64>("access_tokens")
    })?;
    let expired = count_expired(connection, query.account, query.live_at)?;
    let total = all.unwrap_or(0).saturating_sub(u64::try_from(expired).unwrap_or(0));
    let part = params![account, live_at, query.limit, signed(query.offset)];
    Ok(Page { items: collect(connection, sql::LIST_ACCESS_TOKENS, part, row::access_token)?, total })
}

/// A page of the accounts below another one.
pub(crate) fn accounts(connection: &Connection, query: &AccountQuery) -> Result<Page<Account>, Failure> {
    let parent = query.parent.as_bytes();
    let total =
        find(connection, sql::FIND_CHILDREN, [parent], |row| Cells::of(row, "accounts").number("children"))?;
    let part = params![parent, query.limit, signed(query.offset)];
    let items = collect(connection, sql::LIST_ACCOUNTS, part, row::account)?;
    Ok(Page { items, total: total.unwrap_or(0) })
}

/// A page of the organizations to which an account belongs.
pub(crate) fn organizations(
    connection: &Connection,
    query: &OrganizationQuery,
) -> Result<Page<Organization>, Failure> {
    let account = query.account.as_bytes();
    let total = find(connection, sql::COUNT_ORGANIZATIONS, [account], count)?.unwrap_or(0);
    let part = params![account, query.limit, signed(query.offset)];
    Ok(Page { items: collect(connection, sql::LIST_ORGANIZATIONS, part, row::organization)?, total })
}

/// A page of the memberships of an organization or of an account.
pub(crate) fn memberships(
    connection: &Connection,
    query: &MembershipQuery,
) -> Result<Page<Membership>, Failure> {
    let (sql, count_sql, id) = match &query.of {
        MembershipsOf::Organization(id) => {
            (sql::LIST_MEMBERSHIPS_OF_ORGANIZATION, sql::FIND_ORGANIZATION_MEMBERSHIPS, id.as_bytes())
        }
        MembershipsOf::Account(id) => {
            (sql::LIST_MEMBERSHIPS_OF_ACCOUNT, sql::COUNT_MEMBERSHIPS_OF_ACCOUNT, id.as_bytes())
        }
    };
    let total = find(connection, count_sql, [id], |row| Cells::of(row, "memberships").number("count"))?;
    let items = collect(connection, sql, params![id, query.limit, signed(query.offset)], row::membership)?;
    Ok(Page { items, total: total.unwrap_or(0) })
}

/// Whether more access tokens of the account than this have expired at `now`. Looks at no more than decide it.
pub(crate) fn are_more_expired(
    connection: &Connection,
    account: AccountId,
    now: Timestamp,
    than: i64,
) -> Result<bool, Failure> {
    exists(connection, sql::ARE_MORE_EXPIRED, params![account.as_bytes(), now.as_micros(), than])
}

/// How many access tokens of the account have expired at `now`.
fn count_expired(connection: &Connection, account: AccountId, now: Timestamp) -> Result<i64, Failure> {
    let key = params![account.as_bytes(), now.as_micros()];
    let expired = find(connection, sql::COUNT_EXPIRED_ACCESS_TOKENS, key, |row| {
        Cells::of(row, "access_tokens").integer("count")
    })?;
    Ok(expired.unwrap_or(0))
}

fn count(row: &Row<'_>) -> Result<u64, Failure> {
    Cells::of(row, "service_tokens").number("count")
}

/// Every row of a statement.
pub(crate) fn collect<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl Fn(&Row<'_>) -> Result<T, Failure>,
) -> Result<Vec<T>, Failure> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut items = Vec::new();
    while let Some(row) = rows.next()? {
        items.push(read(row)?);
    }
    Ok(items)
}
