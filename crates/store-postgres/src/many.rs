//! Rows that are inserted together: a statement for each row costs PostgreSQL more than the row.
//!
//! `COPY` would cost less yet. But a `COPY` that is refused before its first row leaves the session out of step, with an
//! answer too many, and then the next statement is taken for done that is not: a commit, for instance.

use std::sync::OnceLock;

use futures_util::future::try_join_all;
use tokio_postgres::Error;
use tokio_postgres::types::ToSql;

use crate::session::Tx;

/// A value of a row.
pub(crate) type Cell<'v> = Box<dyn ToSql + Send + Sync + 'v>;

pub(crate) fn cell<'v>(value: impl ToSql + Send + Sync + 'v) -> Cell<'v> {
    Box::new(value)
}

/// For how many rows there are statements, the most first. Few, so that each is prepared once and used often.
const SIZES: [usize; 4] = [64, 16, 4, 1];

/// A statement that inserts one row, and those that insert more.
pub(crate) struct Insert {
    /// Ends with `VALUES ($1, …)` or with what follows that.
    of_one: &'static str,
    of_many: [OnceLock<String>; SIZES.len()],
}

impl Insert {
    pub(crate) const fn new(of_one: &'static str) -> Self {
        Self { of_one, of_many: [const { OnceLock::new() }; SIZES.len()] }
    }

    /// Inserts rows, in as few statements as there are for so many, all of which are under way before the first is
    /// answered; gives how many there are now that were not.
    pub(crate) async fn run(&self, tx: &Tx<'_>, rows: &[Vec<Cell<'_>>]) -> Result<u64, Error> {
        let (mut statements, mut left) = (Vec::new(), rows);
        for (size, text) in SIZES.into_iter().zip(&self.of_many) {
            while let Some((together, rest)) = left.split_at_checked(size) {
                let text = text.get_or_init(|| of_rows(self.of_one, size));
                statements.push(insert(tx, text, together));
                left = rest;
            }
        }
        Ok(try_join_all(statements).await?.into_iter().sum())
    }
}

async fn insert(tx: &Tx<'_>, text: &str, rows: &[Vec<Cell<'_>>]) -> Result<u64, Error> {
    let values: Vec<&(dyn ToSql + Sync)> = rows.iter().flatten().map(|cell| &**cell as _).collect();
    tx.insert_rows(text, &values).await
}

/// A statement for one row, for so many.
fn of_rows(of_one: &str, rows: usize) -> String {
    let (before, rest) = of_one.split_once("($1").unwrap_or((of_one, ""));
    let (others, after) = rest.split_once(')').unwrap_or((rest, ""));
    let columns = 1 + others.matches('$').count();
    let row = |row: usize| {
        let values: Vec<_> = (1..=columns).map(|column| format!("${}", row * columns + column)).collect();
        format!("({})", values.join(", "))
    };
    let rows: Vec<_> = (0..rows).map(row).collect();
    format!("{before}{}{after}", rows.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_has_values_of_its_own() {
        let of_one = "INSERT INTO t (a, b) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        assert_eq!(of_rows(of_one, 1), of_one);
        let of_three = "INSERT INTO t (a, b) VALUES ($1, $2), ($3, $4), ($5, $6) ON CONFLICT DO NOTHING";
        assert_eq!(of_rows(of_one, 3), of_three);
        assert_eq!(of_rows("INSERT INTO t (a) VALUES ($1)", 2), "INSERT INTO t (a) VALUES ($1), ($2)");
    }
}
