//! Service tokens at the door.

use anyhow::{Context, Result};

use super::script::{Script, Shown, shuffled};
use crate::credentials::{self, Seeded};
use crate::load::{RightAnswer, VerifyPlan};
use crate::wire::request;

/// Reads the file, makes up the unknown ones, shuffles them together.
pub(super) fn open(plan: &VerifyPlan) -> Result<Script> {
    let text = plan.tokens.as_deref().map(credentials::read).transpose()?.unwrap_or_default();
    let live: Vec<_> = credentials::parse(&text).skip(plan.skip).take(plan.live).collect::<Result<_>>()?;
    anyhow::ensure!(live.len() == plan.live, "only {} of {} tokens are there", live.len(), plan.live);

    let order = shuffled(live.len(), plan.unknown);
    anyhow::ensure!(!order.is_empty(), "there is nothing to verify");
    let right = |judged| if plan.right == RightAnswer::NoContent { 204 } else { judged };
    let entropy = Seeded::new(2);
    let mut script = Script::new(plan.once);
    for shown in order {
        match shown {
            Shown::Live(place) => {
                let token = live.get(place).context("the shuffle made up a token")?;
                script.push(&request::verify(token.client_id, token.secret), right(200));
            }
            Shown::Unknown => {
                let (client_id, secret) = credentials::mint_unknown(&entropy);
                script.push(&request::verify(&client_id, &secret), right(401));
            }
        }
    }
    Ok(script)
}
