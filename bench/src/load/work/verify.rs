//! Verifying at the door.

use anyhow::{Context, Result};

use super::{Ticket, Work, must_be};
use crate::credentials::{self, Seeded};
use crate::load::{RightAnswer, VerifyPlan};
use crate::wire::request;

/// Every request of the list, rendered one behind the other in the order in which they are sent: reading them
/// is reading memory straight on, however many there are.
pub(super) struct Verify {
    bytes: Vec<u8>,
    requests: Vec<Rendered>,
    next: usize,
    once: bool,
}

/// One request.
struct Rendered {
    /// Where it ends in the bytes; it begins where the one before ends.
    end: usize,
    /// The status that it must get.
    right: u16,
}

/// Who is shown: a live token by its place in the file, or one that nobody issued.
#[derive(Clone, Copy)]
enum Shown {
    Live(usize),
    Unknown,
}

impl Verify {
    /// Reads the file, makes up the unknown ones, shuffles them together.
    pub(super) fn open(plan: &VerifyPlan) -> Result<Self> {
        let text = plan.tokens.as_deref().map(credentials::read).transpose()?.unwrap_or_default();
        let live: Vec<_> =
            credentials::parse(&text).skip(plan.skip).take(plan.live).collect::<Result<_>>()?;
        anyhow::ensure!(live.len() == plan.live, "only {} of {} tokens are there", live.len(), plan.live);

        let mut order: Vec<Shown> = (0..live.len()).map(Shown::Live).collect();
        order.resize(order.len() + plan.unknown, Shown::Unknown);
        anyhow::ensure!(!order.is_empty(), "there is nothing to verify");
        Seeded::new(1).shuffle(&mut order);

        let right = |judged| if plan.right == RightAnswer::NoContent { 204 } else { judged };
        let entropy = Seeded::new(2);
        let mut work =
            Self { bytes: Vec::new(), requests: Vec::with_capacity(order.len()), next: 0, once: plan.once };
        for shown in order {
            match shown {
                Shown::Live(place) => {
                    let token = live.get(place).context("the shuffle made up a token")?;
                    work.push(&request::verify(token.client_id, token.secret), right(200));
                }
                Shown::Unknown => {
                    let (client_id, secret) = credentials::mint_unknown(&entropy);
                    work.push(&request::verify(&client_id, &secret), right(401));
                }
            }
        }
        Ok(work)
    }

    fn push(&mut self, request: &[u8], right: u16) {
        self.bytes.extend_from_slice(request);
        self.requests.push(Rendered { end: self.bytes.len(), right });
    }
}

impl Work for Verify {
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
        must_be(self.requests[ticket.0].right, status, body)
    }
}
