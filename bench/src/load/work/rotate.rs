//! Rotating service tokens.

use std::path::Path;

use anyhow::Result;

use super::{Ticket, Work, must_be};
use crate::credentials::{self, Seeded};
use crate::wire::request;

/// The id in the template, in whose place the ids of the tokens are written.
const ID: &str = "00000000-0000-0000-0000-000000000000";

/// Rotates tokens of a file, drawn at random, again and again.
pub(super) struct Rotate {
    request: Vec<u8>,
    /// Where the id stands in it.
    id: std::ops::Range<usize>,
    /// The ids, one behind the other, each as long as the one in the template.
    ids: Vec<u8>,
    draw: Seeded,
}

impl Rotate {
    /// Reads the ids.
    pub(super) fn open(tokens: &Path) -> Result<Self> {
        let text = credentials::read(tokens)?;
        let mut ids = Vec::new();
        for token in credentials::parse(&text) {
            let id = token?.id;
            anyhow::ensure!(id.len() == ID.len(), "`{id}` is no id of a service token");
            ids.extend_from_slice(id.as_bytes());
        }
        anyhow::ensure!(!ids.is_empty(), "there is nothing to rotate in {}", tokens.display());
        let request = request::rotate(ID);
        let start = memchr::memmem::find(&request, ID.as_bytes());
        let start = start.ok_or_else(|| anyhow::anyhow!("the template has lost its id"))?;
        Ok(Self { request, id: start..start + ID.len(), ids, draw: Seeded::new(3) })
    }
}

impl Work for Rotate {
    fn next(&mut self) -> Option<(Ticket, &[u8])> {
        let place = self.draw.below(self.ids.len() / ID.len());
        let id = &self.ids[place * ID.len()..][..ID.len()];
        self.request[self.id.clone()].copy_from_slice(id);
        Some((Ticket(place), &self.request))
    }

    fn judge(&mut self, _: Ticket, status: u16, body: &[u8]) -> Result<(), String> {
        must_be(200, status, body)
    }
}
