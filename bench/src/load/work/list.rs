//! Listing a page.

use anyhow::Result;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Ticket, Work, must_be};
use crate::load::RightList;
use crate::wire::request;

/// Asks for the same page again and again.
pub(super) struct List {
    request: Vec<u8>,
    right: RightList,
}

/// What we read of the answer.
#[derive(Deserialize)]
struct Envelope {
    result: Vec<IgnoredAny>,
}

impl List {
    /// The page of this query.
    pub(super) fn new(query: &str, right: RightList) -> Self {
        Self { request: request::list(query), right }
    }
}

impl Work for List {
    fn next(&mut self) -> Option<(Ticket, &[u8])> {
        Some((Ticket(0), &self.request))
    }

    fn judge(&mut self, _: Ticket, status: u16, body: &[u8]) -> Result<(), String> {
        let rows = match self.right {
            RightList::Rows(rows) => rows,
            RightList::Status(right) => return must_be(right, status, body),
        };
        must_be(200, status, body)?;
        let Envelope { result } =
            serde_json::from_slice(body).map_err(|error| format!("no list: {error}"))?;
        if result.len() == rows {
            return Ok(());
        }
        Err(format!("{} rows instead of {rows}", result.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_its_rows_and_a_refusal_its_status() {
        let judge = |right, status| List::new("", right).judge(Ticket(0), status, br#"{"result":[{}]}"#);
        assert_eq!(judge(RightList::Rows(1), 200), Ok(()));
        assert_eq!(judge(RightList::Rows(2), 200), Err("1 rows instead of 2".into()));
        assert!(judge(RightList::Rows(1), 400).is_err());
        assert_eq!(judge(RightList::Status(400), 400), Ok(()));
        assert!(
            [200, 404, 429, 503].into_iter().all(|status| judge(RightList::Status(400), status).is_err())
        );
    }
}
