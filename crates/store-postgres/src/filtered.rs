//! Pages of access tokens under a condition or in another order than that of creation. What a condition means is the
//! domain's to say; here is only how few rows are looked at, and that they are not too many and not too costly.

use std::time::{Duration, Instant};

use countersign_domain::access_token::AccessToken;
use countersign_domain::access_token_filter::{Bounds, Reach};
use countersign_domain::access_token_list::Selection;
use countersign_domain::id::Handle;
use countersign_domain::store::{AccessTokenQuery, Page, StoreError};
use countersign_domain::time::Timestamp;
use deadpool_postgres::GenericClient;

use crate::accounts::uuid;
use crate::failure::Failure;
use crate::row;
use crate::session::{Values, each};
use crate::sql;

/// Most tokens that a list looks through.
const MOST_LOOKED_AT: u32 = 100_000;
/// Longest time for judging a list, and for each token besides: what a condition costs is up to the client.
const LONGEST: Duration = Duration::from_millis(10);
const LONGEST_EACH: Duration = Duration::from_micros(10);

/// A page of access tokens.
pub(crate) async fn access_tokens(
    client: &impl GenericClient,
    query: &AccessTokenQuery,
) -> Result<Page<AccessToken>, Failure> {
    let account = uuid(query.account.as_bytes());
    match query.condition.reach() {
        Reach::Tokens(handles) => {
            let handles: Vec<&str> = handles.iter().map(Handle::as_str).collect();
            look_through(client, query, sql::LIST_ACCESS_TOKENS_OF_HANDLES, &[&handles, &account]).await
        }
        Reach::Created(Bounds { from, to }) => {
            let from = from.map_or(i64::MIN, Timestamp::as_micros);
            let to = to.map_or(i64::MAX, Timestamp::as_micros);
            look_through(
                client,
                query,
                sql::WALK_ACCESS_TOKENS,
                &[&account, &from, &to, &query.live_at.as_micros()],
            )
            .await
        }
    }
}

async fn look_through(
    client: &impl GenericClient,
    query: &AccessTokenQuery,
    sql: &str,
    values: Values<'_>,
) -> Result<Page<AccessToken>, Failure> {
    let mut selection = Selection::new(query);
    let (mut looked_at, mut spent) = (0, Duration::ZERO);
    each(client, sql, values, |row| {
        let token = row::access_token(row)?;
        let begun = Instant::now();
        if looked_at == MOST_LOOKED_AT || spent > LONGEST + LONGEST_EACH * looked_at {
            return Err(StoreError::SearchTooWide { rows: looked_at }.into());
        }
        looked_at += 1;
        selection.offer(token);
        spent += begun.elapsed();
        Ok(true)
    })
    .await?;
    Ok(selection.page())
}
