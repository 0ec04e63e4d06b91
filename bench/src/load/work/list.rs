//! Listing a page.

use anyhow::Result;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Ticket, Work, must_be};
use crate::wire::request;

/// Asks for the same page again and again.
pub(super) struct List {
    request: Vec<u8>,
    rows: Option<usize>,
}

/// What we read of the answer.
#[derive(Deserialize)]
struct Envelope {
    result: Vec<IgnoredAny>,
}

impl List {
    /// The page of this query, with so many rows.
    pub(super) fn new(query: &str, rows: Option<usize>) -> Self {
        Self { request: request::list(query), rows }
    }
}

impl Work for List {
    fn next(&mut self) -> Option<(Ticket, &[u8])> {
        Some((Ticket(0), &self.request))
    }

    fn judge(&mut self, _: Ticket, status: u16, body: &[u8]) -> Result<(), String> {
        let Some(rows) = self.rows else {
            let served = status == 200 || (400..500).contains(&status);
            return if served { Ok(()) } else { must_be(200, status, body) };
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
