//! Requests that are known beforehand, each with its right answer.

use super::{Ticket, Work, excerpt, must_be};
use crate::credentials::Seeded;

/// Every request of a list, rendered one behind the other in the order in which they are sent: reading them
/// is reading memory straight on, however many there are.
pub(super) struct Script {
    bytes: Vec<u8>,
    requests: Vec<Rendered>,
    next: usize,
    once: bool,
}

/// One request.
struct Rendered {
    /// Where it ends in the bytes; it begins where the one before ends.
    end: usize,
    /// What it must get.
    right: Right,
}

/// The right answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Right {
    status: u16,
    /// How its body begins.
    body: &'static [u8],
}

impl Right {
    /// This status, whatever the body.
    pub(super) const fn status(status: u16) -> Self {
        Self { status, body: b"" }
    }

    /// 200, and a body that begins so.
    pub(super) const fn body(body: &'static [u8]) -> Self {
        Self { status: 200, body }
    }
}

/// Who is shown: a live token by its place in the file, or one that nobody issued.
#[derive(Clone, Copy)]
pub(super) enum Shown {
    Live(usize),
    Unknown,
}

/// So many of each in the one order of all runs.
pub(super) fn shuffled(live: usize, unknown: usize) -> Vec<Shown> {
    let mut order: Vec<Shown> = (0..live).map(Shown::Live).collect();
    order.resize(order.len() + unknown, Shown::Unknown);
    Seeded::new(1).shuffle(&mut order);
    order
}

impl Script {
    /// An empty one. `once`: each request is sent once; otherwise the list begins anew at its end.
    pub(super) fn new(once: bool) -> Self {
        Self { bytes: Vec::new(), requests: Vec::new(), next: 0, once }
    }

    /// Adds a request and the answer that it must get.
    pub(super) fn push(&mut self, request: &[u8], right: Right) {
        self.bytes.extend_from_slice(request);
        self.requests.push(Rendered { end: self.bytes.len(), right });
    }
}

impl Work for Script {
    fn next(&mut self) -> Option<(Ticket, &[u8])> {
        if self.next == self.requests.len() {
            if self.once {
                return None;
            }
            self.next = 0;
        }
        let place = self.next;
        self.next += 1;
        let start = place.checked_sub(1).map_or(0, |before| self.requests[before].end);
        Some((Ticket(place), &self.bytes[start..self.requests[place].end]))
    }

    fn judge(&mut self, ticket: Ticket, status: u16, body: &[u8]) -> Result<(), String> {
        let right = self.requests[ticket.0].right;
        must_be(right.status, status, body)?;
        if body.starts_with(right.body) { Ok(()) } else { Err(format!("not right: {}", excerpt(body))) }
    }
}
