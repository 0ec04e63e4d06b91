//! Access tokens, at the door or at the API.

use anyhow::{Context, Result};

use super::script::{Right, Script, Shown, shuffled};
use crate::credentials::{self, AccessCredential, Seeded};
use crate::load::{Asked, BearPlan};
use crate::wire::request;

/// Reads the file, makes up the unknown ones, shuffles them together.
pub(super) fn open(plan: &BearPlan) -> Result<Script> {
    let text = credentials::read(&plan.tokens)?;
    let live: Vec<_> = credentials::parse_access(&text).take(plan.live).collect::<Result<_>>()?;
    anyhow::ensure!(live.len() == plan.live, "only {} of {} tokens are there", live.len(), plan.live);
    let any = live.first().context("there is nothing to show")?;

    let render = |token: AccessCredential<'_>| match plan.asked {
        Asked::Door => request::verify_access(token.organization, token.text),
        Asked::Authorized => request::authorized(token.text),
    };
    let entropy = Seeded::new(2);
    let mut script = Script::new(false);
    for shown in shuffled(live.len(), plan.unknown) {
        match shown {
            Shown::Live(place) => {
                script.push(
                    &render(*live.get(place).context("the shuffle made up a token")?),
                    Right::status(200),
                );
            }
            Shown::Unknown => {
                let text = credentials::mint_unknown_access(&entropy);
                script.push(&render(AccessCredential { text: text.reveal(), ..*any }), Right::status(401));
            }
        }
    }
    Ok(script)
}
