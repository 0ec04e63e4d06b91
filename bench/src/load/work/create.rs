//! Creating service tokens.

use std::path::Path;

use anyhow::Result;
use serde::Deserialize;

use super::{Ticket, Work, must_be};
use crate::credentials::{Credential, Writer};

/// The name in the template, in whose place the names of the tokens are written.
const NAME: &str = "bench-0000000000";

/// Creates tokens of ascending names.
pub(super) struct Create {
    /// The request; only the name changes from one to the next.
    request: Vec<u8>,
    /// Where the name stands in it.
    name: std::ops::Range<usize>,
    serial: usize,
    left: u64,
    answered: Option<Writer>,
}

/// What we read of the answer.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    result: Issued<'a>,
}

#[derive(Deserialize)]
struct Issued<'a> {
    id: &'a str,
    client_id: &'a str,
    client_secret: &'a str,
}

impl Create {
    /// Creates `count` tokens with the request that `of` makes of a name, and writes those that were answered to the file,
    /// if one is named.
    pub(super) fn open(of: fn(&str) -> Vec<u8>, count: u64, answered: Option<&Path>) -> Result<Self> {
        let request = of(NAME);
        let start = memchr::memmem::find(&request, NAME.as_bytes());
        let start = start.ok_or_else(|| anyhow::anyhow!("the template has lost its name"))?;
        let answered = answered.map(Writer::create).transpose()?;
        Ok(Self { request, name: start..start + NAME.len(), serial: 0, left: count, answered })
    }
}

impl Work for Create {
    fn next(&mut self) -> Option<(Ticket, &[u8])> {
        self.left = self.left.checked_sub(1)?;
        self.serial += 1;
        let name = format!("bench-{:010}", self.serial);
        self.request[self.name.clone()].copy_from_slice(name.as_bytes());
        Some((Ticket(self.serial), &self.request))
    }

    fn judge(&mut self, _: Ticket, status: u16, body: &[u8]) -> Result<(), String> {
        must_be(201, status, body)?;
        let Some(answered) = &mut self.answered else { return Ok(()) };
        let unreadable = |error: &dyn std::fmt::Display| format!("created, but: {error}");
        let Envelope { result } = serde_json::from_slice(body).map_err(|error| unreadable(&error))?;
        let token = Credential { id: result.id, client_id: result.client_id, secret: result.client_secret };
        answered.push(token).map_err(|error| unreadable(&error))
    }

    fn finish(&mut self) -> Result<()> {
        Ok(self.answered.as_mut().map_or(Ok(()), Writer::finish)?)
    }
}
