//! Pages of access tokens under a condition or in another order than that of creation. What a condition means is the
//! domain's to say; here is only how few rows are looked at, and that they are not too many and not too costly.

use std::time::Duration;

use countersign_domain::access_token::AccessToken;
use countersign_domain::access_token_filter::{Bounds, Reach};
use countersign_domain::access_token_list::Selection;
use countersign_domain::id::Handle;
use countersign_domain::store::{AccessTokenQuery, Page, StoreError};
use countersign_domain::time::Timestamp;
use rusqlite::{Connection, params};

use crate::apply::{find, handle_bytes};
use crate::effort::Effort;
use crate::failure::Failure;
use crate::row;
use crate::sql;

/// Most tokens that a list looks through: so many take about 0.1 s.
const MOST_LOOKED_AT: u32 = 100_000;
/// Most work for a list, and for each token besides: what a condition costs is up to the client. Usual ones cost a tenth
/// of that; one that costs a hundred times as much is noticed before others have waited for it.
const MOST_WORK: Duration = Duration::from_millis(10);
const MOST_WORK_EACH: Duration = Duration::from_micros(10);

/// Whether many rows may have to be looked at.
pub(crate) fn is_wide(query: &AccessTokenQuery) -> bool {
    !query.is_plain() && matches!(query.condition.reach(), Reach::Created(_))
}

/// A page of access tokens.
pub(crate) fn access_tokens(
    connection: &Connection,
    query: &AccessTokenQuery,
) -> Result<Page<AccessToken>, Failure> {
    match query.condition.reach() {
        Reach::Tokens(handles) => of_handles(connection, query, &handles),
        Reach::Created(bounds) => of_time(connection, query, bounds),
    }
}

/// Looks at these tokens alone, each by its index.
fn of_handles(
    connection: &Connection,
    query: &AccessTokenQuery,
    handles: &[Handle],
) -> Result<Page<AccessToken>, Failure> {
    let mut tokens = Vec::new();
    for handle in handles {
        let found = find(connection, sql::FIND_ACCESS_TOKEN, [handle_bytes(handle)], row::access_token)?;
        tokens.extend(found.filter(|token| token.account == query.account));
    }
    tokens.sort_unstable_by_key(|token| (token.created_at, token.handle));
    let mut walk = Walk::begin(query);
    tokens.into_iter().try_for_each(|token| walk.look_at(token))?;
    Ok(walk.selection.page())
}

/// Looks at every live token of the account that was issued within these bounds.
fn of_time(
    connection: &Connection,
    query: &AccessTokenQuery,
    bounds: Bounds<Timestamp>,
) -> Result<Page<AccessToken>, Failure> {
    let from = bounds.from.map_or(i64::MIN, Timestamp::as_micros);
    let to = bounds.to.map_or(i64::MAX, Timestamp::as_micros);
    let within = params![query.account.as_bytes(), from, to, query.live_at.as_micros()];
    let mut statement = connection.prepare_cached(sql::WALK_ACCESS_TOKENS)?;
    let mut rows = statement.query(within)?;
    let mut walk = Walk::begin(query);
    while let Some(row) = rows.next()? {
        walk.look_at(row::access_token(row)?)?;
    }
    Ok(walk.selection.page())
}

/// Tokens that are looked at one by one, as long as that is not too much.
struct Walk<'q> {
    selection: Selection<'q>,
    effort: Effort,
    looked_at: u32,
}

impl<'q> Walk<'q> {
    fn begin(query: &'q AccessTokenQuery) -> Self {
        Self { selection: Selection::new(query), effort: Effort::begin(), looked_at: 0 }
    }

    fn look_at(&mut self, token: AccessToken) -> Result<(), StoreError> {
        let most_work = MOST_WORK + MOST_WORK_EACH * self.looked_at;
        if self.looked_at == MOST_LOOKED_AT || self.effort.exceeds(most_work) {
            return Err(StoreError::SearchTooWide { rows: self.looked_at });
        }
        self.looked_at += 1;
        self.selection.offer(token);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrate;
    use countersign_domain::access_token_filter::{Condition, TextProperty, TextTest};
    use countersign_domain::access_token_list::{Direction, Order, OrderProperty};
    use countersign_domain::id::AccountId;
    use countersign_domain::pattern::{Matching, Pattern};

    const ACCOUNT: AccountId = AccountId::from_bytes([7; 16]);

    /// An account with this many tokens, each a microsecond younger than the one before.
    fn with_tokens(count: u32, scopes: &str) -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate::migrate(&mut connection, migrate::ALL).unwrap();
        let account =
            "INSERT INTO accounts (id, email, enabled, created_at, version) VALUES (?1, 'a@b', 1, 0, 1)";
        connection.execute(account, [ACCOUNT.as_bytes()]).unwrap();
        let tokens = "WITH RECURSIVE n(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < ?2 - 1) \
            INSERT INTO access_tokens (handle, digest, account, ttl, scopes, created_at, expires_at, version) \
            SELECT CAST(printf('%022d', n) AS BLOB), CAST(printf('%032d', n) AS BLOB), ?1, 60, ?3, n, \
            9223372036854775807, 1 FROM n";
        connection.execute(tokens, params![ACCOUNT.as_bytes(), count, scopes]).unwrap();
        connection
    }

    fn query(condition: Condition) -> AccessTokenQuery {
        let everything = AccessTokenQuery::of_account(ACCOUNT, Timestamp::from_micros(0), 0, 100);
        AccessTokenQuery { condition, ..everything }
    }

    fn refused_at(connection: &Connection, query: &AccessTokenQuery) -> Option<u32> {
        match access_tokens(connection, query) {
            Ok(_) => None,
            Err(Failure::Refused(StoreError::SearchTooWide { rows })) => Some(rows),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn so_many_rows_and_no_more() {
        let connection = with_tokens(MOST_LOOKED_AT + 1, "a:read b:write");
        let nothing = Condition::Without(TextProperty::Handle);
        assert_eq!(refused_at(&connection, &query(nothing.clone())), Some(MOST_LOOKED_AT));
        let newest_first = Order::by([(OrderProperty::Created, Direction::Descending)]);
        let ordered = AccessTokenQuery { order: newest_first, ..query(Condition::EVERYTHING) };
        assert_eq!(refused_at(&connection, &ordered), Some(MOST_LOOKED_AT));

        let narrowed = |bounds| Condition::All(vec![Condition::Created(bounds), nothing.clone()]);
        let one_less = Bounds::from(Timestamp::from_micros(1));
        assert_eq!(refused_at(&connection, &query(narrowed(one_less))), None, "narrowed by time");
        let last = format!("{MOST_LOOKED_AT:022}");
        let by_id = query(Condition::Text(TextProperty::Handle, TextTest::Equals(last)));
        assert_eq!(access_tokens(&connection, &by_id).unwrap().total, 1, "narrowed by id");
        let of_another = AccessTokenQuery { account: AccountId::from_bytes([9; 16]), ..by_id };
        assert_eq!(access_tokens(&connection, &of_another).unwrap().total, 0, "it is somebody else's");
    }

    /// A condition that costs much for each token is given up before many are looked at, however they are found.
    #[test]
    fn so_much_work_and_no_more() {
        let connection = with_tokens(MOST_LOOKED_AT, &[&*"ab".repeat(32); 8].join(" "));
        let costly = Pattern::regexp("(a|b)*a(a|b){40}c", Matching::default()).unwrap();
        let costly = || {
            let one = || Condition::Scope(TextTest::Matches(costly.clone()));
            Condition::Any((0..64).map(|_| one()).collect())
        };
        let outcome = refused_at(&connection, &query(costly()));
        assert!(outcome.is_some_and(|rows| rows < MOST_LOOKED_AT / 10), "{outcome:?}");

        let id = |number| Condition::Text(TextProperty::Handle, TextTest::Equals(format!("{number:022}")));
        let named = Condition::Any((0..500).map(id).collect());
        assert_eq!(refused_at(&connection, &query(named.clone())), None);
        let outcome = refused_at(&connection, &query(Condition::All(vec![named, costly()])));
        assert!(outcome.is_some_and(|rows| rows < 500), "{outcome:?}");
    }
}
