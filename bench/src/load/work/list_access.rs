//! Listing access tokens.

use anyhow::Result;
use serde::de::IgnoredAny;

use super::{Ticket, Work, must_be};
use crate::wire::request;

/// Asks for the pages of a list in turn.
pub(super) struct ListAccess {
    requests: Vec<Vec<u8>>,
    next: usize,
    rows: usize,
}

impl ListAccess {
    /// The pages of these queries, each of so many rows.
    pub(super) fn new(account: &str, queries: &[String], rows: usize) -> Result<Self> {
        anyhow::ensure!(!queries.is_empty(), "there is nothing to list");
        let requests = queries.iter().map(|query| request::list_access(account, query)).collect();
        Ok(Self { requests, next: 0, rows })
    }
}

impl Work for ListAccess {
    fn next(&mut self) -> Option<(Ticket, &[u8])> {
        let place = self.next;
        self.next = (place + 1) % self.requests.len();
        Some((Ticket(place), &self.requests[place]))
    }

    fn judge(&mut self, _: Ticket, status: u16, body: &[u8]) -> Result<(), String> {
        must_be(200, status, body)?;
        let rows: Vec<IgnoredAny> =
            serde_json::from_slice(body).map_err(|error| format!("no list: {error}"))?;
        if rows.len() == self.rows {
            return Ok(());
        }
        Err(format!("{} rows instead of {}", rows.len(), self.rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_come_in_turn_and_have_their_rows() -> Result<()> {
        let mut list = ListAccess::new("a", &["1".into(), "2".into()], 1)?;
        let tickets: Vec<_> = (0..3).filter_map(|_| list.next().map(|(ticket, _)| ticket.0)).collect();
        assert_eq!(tickets, [0, 1, 0]);
        assert_eq!(list.judge(Ticket(0), 200, b"[{}]"), Ok(()));
        assert_eq!(list.judge(Ticket(0), 200, b"[]"), Err("0 rows instead of 1".into()));
        assert!(list.judge(Ticket(0), 400, b"[{}]").is_err());
        assert!(ListAccess::new("a", &[], 1).is_err());
        Ok(())
    }
}
