//! The directory of pages: where in an account's service tokens, ordered by creation, each page of them begins and
//! how many it has. It finds the row at any offset in milliseconds, which SQLite alone does by counting rows.

use countersign_domain::id::{AccountId, ServiceTokenId};
use countersign_domain::time::Timestamp;
use rusqlite::{Connection, params};

use crate::apply::{find, run};
use crate::failure::Failure;
use crate::load;
use crate::row::Cells;
use crate::sql;

/// A page with more tokens than this is cut in two.
const FULL: i64 = 2048;
/// A page with fewer tokens than this, after a token is gone, joins the one before it ...
const SPARSE: i64 = 256;
/// ... when both together have at most so many, so that the next few tokens do not cut it again.
const JOINED: i64 = 1024;

/// The place of a service token in the list of its account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) created_at: Timestamp,
    pub(crate) id: ServiceTokenId,
}

impl Key {
    /// Before every token: where the first page of an account begins, so that every key has a page.
    const START: Self =
        Self { created_at: Timestamp::from_micros(i64::MIN), id: ServiceTokenId::from_bytes([0; 16]) };

    fn read(cells: &mut Cells<'_>) -> Result<Self, Failure> {
        Ok(Self { created_at: cells.time("first_created_at")?, id: cells.service_token_id("first_id")? })
    }
}

/// Where to begin to read the tokens of an account from an offset on.
pub(crate) struct Place {
    /// The first token of the page.
    pub(crate) first: Key,
    /// How many tokens to pass over from there.
    pub(crate) skip: i64,
}

/// Finds the place of the token at `offset`.
pub(crate) fn locate(connection: &Connection, account: AccountId, offset: i64) -> Result<Place, Failure> {
    let mut place = Place { first: Key::START, skip: offset };
    let mut statement = connection.prepare_cached(sql::LIST_PAGES)?;
    let mut rows = statement.query([account.as_bytes()])?;
    while let Some(row) = rows.next()? {
        let mut cells = Cells::of(row, "service_token_pages");
        place.first = Key::read(&mut cells)?;
        let tokens = cells.integer("tokens")?;
        if place.skip < tokens {
            break;
        }
        place.skip -= tokens;
    }
    Ok(place)
}

/// Enters tokens that came (`+1`) and went (`-1`) into the directory. Their rows are written already.
pub(crate) fn shift(
    connection: &Connection,
    account: AccountId,
    mut shifts: Vec<(Key, i64)>,
) -> Result<(), Failure> {
    shifts.sort_unstable();
    let mut rest = &shifts[..];
    while let Some((key, _)) = rest.first() {
        let page = Page::of(connection, account, *key)?;
        let next = page.next(connection)?;
        let within = rest.partition_point(|(key, _)| next.is_none_or(|next| *key < next));
        let (here, after) = rest.split_at(within);
        page.add(connection, here.iter().map(|(_, by)| by).sum())?;
        rest = after;
    }
    Ok(())
}

/// Makes the pages of every account from the rows that are there, where there are none yet. Each is half full.
pub(crate) fn fill(connection: &Connection) -> Result<(), Failure> {
    let mut open: Option<(Page, i64)> = None;
    load::each(connection, sql::LIST_KEYS, |row| {
        let mut cells = Cells::of(row, "service_tokens");
        let account = cells.account_id("account")?;
        let key = Key { created_at: cells.time("created_at")?, id: cells.service_token_id("id")? };
        match &mut open {
            Some((page, tokens)) if page.account == account && *tokens < FULL / 2 => *tokens += 1,
            other => {
                let is_first = other.as_ref().is_none_or(|(page, _)| page.account != account);
                let page = Page { account, first: if is_first { Key::START } else { key } };
                if let Some((full, tokens)) = other.replace((page, 1)) {
                    full.insert(connection, tokens)?;
                }
            }
        }
        Ok(())
    })?;
    open.map_or(Ok(()), |(page, tokens)| page.insert(connection, tokens))
}

/// One page of an account.
struct Page {
    account: AccountId,
    first: Key,
}

impl Page {
    /// The page to which `key` belongs. An account's first token makes its first page.
    fn of(connection: &Connection, account: AccountId, key: Key) -> Result<Self, Failure> {
        if let Some(first) = find_key(connection, sql::FIND_PAGE_OF_KEY, account, key)? {
            return Ok(Self { account, first });
        }
        let page = Self { account, first: Key::START };
        page.insert(connection, 0)?;
        Ok(page)
    }

    /// Where the page after it begins.
    fn next(&self, connection: &Connection) -> Result<Option<Key>, Failure> {
        find_key(connection, sql::FIND_NEXT_PAGE, self.account, self.first)
    }

    fn insert(&self, connection: &Connection, tokens: i64) -> Result<(), Failure> {
        let Key { created_at, id } = &self.first;
        let values = params![self.account.as_bytes(), created_at.as_micros(), id.as_bytes(), tokens];
        run(connection, sql::INSERT_PAGE, values)?;
        Ok(())
    }

    fn add(&self, connection: &Connection, by: i64) -> Result<(), Failure> {
        let Key { created_at, id } = &self.first;
        let key = (self.account.as_bytes(), created_at.as_micros(), id.as_bytes());
        run(connection, sql::ADD_TO_PAGE, (key.0, key.1, key.2, by))?;
        let count = find(connection, sql::FIND_PAGE_COUNT, key, |row| {
            Cells::of(row, "service_token_pages").integer("tokens")
        })?;
        match count.unwrap_or(0) {
            tokens if tokens > FULL => self.split(connection, tokens),
            tokens if by < 0 && tokens < SPARSE => self.join(connection, tokens),
            _ => Ok(()),
        }
    }

    /// Cuts the page into pages of half the size.
    fn split(&self, connection: &Connection, tokens: i64) -> Result<(), Failure> {
        let Key { created_at, id } = &self.first;
        let half = FULL / 2;
        let values = params![self.account.as_bytes(), created_at.as_micros(), id.as_bytes(), half];
        let middle = find(connection, sql::FIND_KEY_IN_PAGE, values, |row| {
            Key::read(&mut Cells::of(row, "service_tokens"))
        })?;
        let Some(middle) = middle else { return Ok(()) };
        Self { account: self.account, first: middle }.insert(connection, tokens - half)?;
        self.add(connection, half - tokens)
    }

    /// Makes the page a part of the one before it, when there is one and it has room.
    fn join(&self, connection: &Connection, tokens: i64) -> Result<(), Failure> {
        let Key { created_at, id } = &self.first;
        let key = (self.account.as_bytes(), created_at.as_micros(), id.as_bytes());
        let before = find(connection, sql::FIND_PAGE_BEFORE, key, |row| {
            let mut cells = Cells::of(row, "service_token_pages");
            Ok((Key::read(&mut cells)?, cells.integer("tokens")?))
        })?;
        let Some((first, _)) = before.filter(|(_, others)| others + tokens <= JOINED) else {
            return Ok(());
        };
        run(connection, sql::DELETE_PAGE, key)?;
        Self { account: self.account, first }.add(connection, tokens)
    }
}

fn find_key(
    connection: &Connection,
    sql: &str,
    account: AccountId,
    key: Key,
) -> Result<Option<Key>, Failure> {
    let values = params![account.as_bytes(), key.created_at.as_micros(), key.id.as_bytes()];
    find(connection, sql, values, |row| Key::read(&mut Cells::of(row, "service_token_pages")))
}
