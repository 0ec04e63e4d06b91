//! Pages of lists.

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
use deadpool_postgres::GenericClient;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::accounts::uuid;
use crate::apply::signed;
use crate::failure::Failure;
use crate::filtered;
use crate::row::{self, Cells};
use crate::session::{Values, each, find, list};
use crate::sql;
use crate::tally::Counts;

/// Most tokens that a search looks through: so many take about 0.5 s.
const MOST_SEARCHED: u32 = 150_000;

/// A page of service tokens.
pub(crate) async fn service_tokens(
    client: &impl GenericClient,
    query: &ServiceTokenQuery,
) -> Result<Page<ServiceToken>, Failure> {
    let account = uuid(query.account.as_bytes());
    let (limit, offset) = (i64::from(query.limit), signed(query.offset));
    match (&query.search, &query.name) {
        (Some(text), name) => search(client, query, text, name.as_deref()).await,
        (None, Some(name)) => {
            let total = count(client, sql::COUNT_SERVICE_TOKENS_OF_NAME, &[&account, name]).await?;
            let items = list(
                client,
                sql::LIST_SERVICE_TOKENS_OF_NAME,
                &[&account, &limit, &offset, name],
                row::service_token,
            )
            .await?;
            Ok(Page { items, total })
        }
        (None, None) => {
            let total = positive(counts(client, query.account).await?.service_tokens);
            let items =
                list(client, sql::LIST_SERVICE_TOKENS, &[&account, &limit, &offset], row::service_token)
                    .await?;
            Ok(Page { items, total })
        }
    }
}

/// Looks at every token of the account, or of one name in it. What is found is counted; the rows of the page alone
/// are read in full.
async fn search(
    client: &impl GenericClient,
    query: &ServiceTokenQuery,
    text: &str,
    name: Option<&str>,
) -> Result<Page<ServiceToken>, Failure> {
    let too_wide = || StoreError::SearchTooWide { rows: MOST_SEARCHED };
    if name.is_none() && counts(client, query.account).await?.service_tokens > i64::from(MOST_SEARCHED) {
        return Err(too_wide().into());
    }
    let mut search = Search::new(text);
    let (mut looked_at, mut total, mut ids) = (0, 0, Vec::new());
    each(client, sql::SEARCH_SERVICE_TOKENS, &[&uuid(query.account.as_bytes()), &name], |row| {
        looked_at += 1;
        if looked_at > MOST_SEARCHED {
            return Err(too_wide().into());
        }
        let mut cells = Cells::of(row, "service_tokens");
        let (id, client_id) = (cells.service_token_id("id")?, cells.client_id("client_id")?);
        if search.finds(cells.plain("name")?, id, client_id) {
            if total >= query.offset && ids.len() < query.limit as usize {
                ids.push(uuid(id.as_bytes()));
            }
            total += 1;
        }
        Ok(true)
    })
    .await?;
    let items = list(client, sql::LIST_SERVICE_TOKENS_OF_IDS, &[&ids], row::service_token).await?;
    Ok(Page { items, total })
}

/// A page of access tokens that have not expired. The expired ones are few, since they are swept: to count them and
/// take them off the account's count costs less than to count the others.
pub(crate) async fn access_tokens(
    client: &impl GenericClient,
    query: &AccessTokenQuery,
) -> Result<Page<AccessToken>, Failure> {
    if !query.is_plain() {
        return filtered::access_tokens(client, query).await;
    }
    let all = counts(client, query.account).await?.access_tokens;
    let expired = count_expired_at(client, query.account, query.live_at).await?;
    let (account, live_at) = (uuid(query.account.as_bytes()), query.live_at.as_micros());
    let items = list(
        client,
        sql::LIST_ACCESS_TOKENS,
        &[&account, &live_at, &i64::from(query.limit), &signed(query.offset)],
        row::access_token,
    )
    .await?;
    Ok(Page { items, total: positive(all - expired) })
}

/// A page of the accounts below another one.
pub(crate) async fn accounts(
    client: &impl GenericClient,
    query: &AccountQuery,
) -> Result<Page<Account>, Failure> {
    let total = positive(counts(client, query.parent).await?.children);
    Ok(Page {
        items: list(
            client,
            sql::LIST_ACCOUNTS,
            &[&uuid(query.parent.as_bytes()), &i64::from(query.limit), &signed(query.offset)],
            row::account,
        )
        .await?,
        total,
    })
}

/// A page of the organizations to which an account belongs.
pub(crate) async fn organizations(
    client: &impl GenericClient,
    query: &OrganizationQuery,
) -> Result<Page<Organization>, Failure> {
    let account = uuid(query.account.as_bytes());
    let total = count(client, sql::COUNT_ORGANIZATIONS, &[&account]).await?;
    Ok(Page {
        items: list(
            client,
            sql::LIST_ORGANIZATIONS,
            &[&account, &i64::from(query.limit), &signed(query.offset)],
            row::organization,
        )
        .await?,
        total,
    })
}

/// A page of the memberships of an organization or of an account.
pub(crate) async fn memberships(
    client: &impl GenericClient,
    query: &MembershipQuery,
) -> Result<Page<Membership>, Failure> {
    let (list_sql, count_sql, id) = match &query.of {
        MembershipsOf::Organization(id) => (
            sql::LIST_MEMBERSHIPS_OF_ORGANIZATION,
            sql::COUNT_MEMBERSHIPS_OF_ORGANIZATION,
            uuid(id.as_bytes()),
        ),
        MembershipsOf::Account(id) => {
            (sql::LIST_MEMBERSHIPS_OF_ACCOUNT, sql::COUNT_MEMBERSHIPS_OF_ACCOUNT, uuid(id.as_bytes()))
        }
    };
    let total = count(client, count_sql, &[&id]).await?;
    Ok(Page {
        items: list(
            client,
            list_sql,
            &[&id, &i64::from(query.limit), &signed(query.offset)],
            row::membership,
        )
        .await?,
        total,
    })
}

async fn counts(client: &impl GenericClient, account: AccountId) -> Result<Counts, Failure> {
    let account: Uuid = uuid(account.as_bytes());
    Ok(find(client, sql::FIND_COUNTS, &[&account], Counts::read).await?.unwrap_or_default())
}

/// How many access tokens of the account have expired at `now`.
async fn count_expired_at(
    client: &impl GenericClient,
    account: AccountId,
    now: Timestamp,
) -> Result<i64, Failure> {
    Ok(find(client, sql::COUNT_EXPIRED_ACCESS_TOKENS, &[&uuid(account.as_bytes()), &now.as_micros()], number)
        .await?
        .unwrap_or(0))
}

async fn count(client: &impl GenericClient, sql: &str, values: Values<'_>) -> Result<u64, Failure> {
    Ok(positive(find(client, sql, values, number).await?.unwrap_or(0)))
}

fn number(row: &Row) -> Result<i64, Failure> {
    Cells::of(row, "counts").plain("count")
}

fn positive(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}
