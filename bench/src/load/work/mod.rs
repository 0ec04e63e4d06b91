//! What a lane sends, and which answers are right.

mod bear;
mod bear_signed;
mod create;
mod exchange;
mod introspect_oidc;
mod list;
mod list_access;
mod login;
mod rotate;
mod script;
mod verify;

use anyhow::Result;

use super::WorkPlan;
use crate::wire::request;

/// Names a request to the work that made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket(pub(super) usize);

/// A source of requests that knows the right answers.
pub(super) trait Work {
    /// The next request, or `None` for ever when there is nothing left to send.
    fn next(&mut self) -> Option<(Ticket, &[u8])>;

    /// Looks at an answer; the error says what is wrong with it.
    fn judge(&mut self, ticket: Ticket, status: u16, body: &[u8]) -> Result<(), String>;

    /// The run is over: write what is still in memory.
    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Makes the work of a plan.
pub(super) fn open(plan: &WorkPlan) -> Result<Box<dyn Work>> {
    Ok(match plan {
        WorkPlan::Verify(plan) => Box::new(verify::open(plan)?),
        WorkPlan::Bear(plan) => Box::new(bear::open(plan)?),
        WorkPlan::Exchange(plan) => Box::new(exchange::open(plan)?),
        WorkPlan::BearSigned { tokens, once } => Box::new(bear_signed::open(tokens, *once)?),
        WorkPlan::IntrospectOidc { tokens, unknown } => Box::new(introspect_oidc::open(tokens, *unknown)?),
        WorkPlan::Login { accounts } => Box::new(login::open(*accounts)),
        WorkPlan::ListAccess { account, queries, rows } => {
            Box::new(list_access::ListAccess::new(account, queries, *rows)?)
        }
        WorkPlan::Create { count, answered, limited } => {
            let request = if *limited { request::create_limited } else { request::create };
            Box::new(create::Create::open(request, count.unwrap_or(u64::MAX), answered.as_deref())?)
        }
        WorkPlan::Rotate { tokens } => Box::new(rotate::Rotate::open(tokens)?),
        WorkPlan::List { query, right } => Box::new(list::List::new(query, *right)),
    })
}

/// `status` must be `right`.
fn must_be(right: u16, status: u16, body: &[u8]) -> Result<(), String> {
    if status == right {
        return Ok(());
    }
    Err(format!("{status} instead of {right}: {}", excerpt(body)))
}

/// The beginning of a body, for a complaint.
fn excerpt(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned()
}
