//! Service tokens at a door.

use anyhow::{Context, Result};

use super::script::{Right, Script, Shown, shuffled};
use crate::credentials::{self, Seeded};
use crate::load::{Door, RightAnswer, VerifyPlan};
use crate::wire::{check, request};

/// Reads the file, makes up the unknown ones, shuffles them together.
pub(super) fn open(plan: &VerifyPlan) -> Result<Script> {
    let text = plan.tokens.as_deref().map(credentials::read).transpose()?.unwrap_or_default();
    let live: Vec<_> = credentials::parse(&text).skip(plan.skip).take(plan.live).collect::<Result<_>>()?;
    anyhow::ensure!(live.len() == plan.live, "only {} of {} tokens are there", live.len(), plan.live);

    let order = shuffled(live.len(), plan.unknown);
    anyhow::ensure!(!order.is_empty(), "there is nothing to verify");
    let entropy = Seeded::new(2);
    let mut script = Script::new(plan.once);
    for shown in order {
        match shown {
            Shown::Live(place) => {
                let token = live.get(place).context("the shuffle made up a token")?;
                script.push(&render(plan.door, token.client_id, token.secret), right(plan, true));
            }
            Shown::Unknown => {
                let (client_id, secret) = credentials::mint_unknown(&entropy);
                script.push(&render(plan.door, &client_id, &secret), right(plan, false));
            }
        }
    }
    Ok(script)
}

fn render(door: Door, client_id: &str, secret: &str) -> Vec<u8> {
    match door {
        Door::Authz => request::verify(client_id, secret),
        Door::Verify => request::verify_by_request(client_id, secret),
        Door::Introspect => request::introspect(client_id, secret),
        Door::Check { .. } => check::check(client_id, secret),
    }
}

fn right(plan: &VerifyPlan, live: bool) -> Right {
    match (plan.right, plan.door, live) {
        (RightAnswer::NoContent, ..) => Right::status(204),
        (_, Door::Authz, true) => Right::status(200),
        (_, Door::Authz, false) => Right::status(401),
        (_, Door::Verify, true) => Right::body(b"{\"valid\":true,"),
        (_, Door::Verify, false) => Right::body(b"{\"valid\":false,"),
        (_, Door::Introspect, true) => Right::body(b"{\"active\":true,"),
        (_, Door::Introspect, false) => Right::body(b"{\"active\":false}"),
        (_, Door::Check { .. }, true) => Right::body(check::GRANTED),
        (_, Door::Check { .. }, false) => Right::body(check::UNKNOWN),
    }
}
