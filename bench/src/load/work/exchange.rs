//! Service tokens exchanged for short-lived ones.

use std::fs::File;
use std::io::{BufWriter, Write};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::script::{Right, Script, Shown, shuffled};
use super::{Ticket, Work};
use crate::credentials;
use crate::load::ExchangePlan;
use crate::wire::request;

/// Exchanges the tokens of a list, one after the other, again and again.
pub(super) struct Exchange {
    script: Script,
    left: u64,
    answered: Option<BufWriter<File>>,
}

/// What we read of the answer.
#[derive(Deserialize)]
struct Issued<'a> {
    access_token: &'a str,
}

/// Reads the file and shuffles it.
pub(super) fn open(plan: &ExchangePlan) -> Result<Exchange> {
    let text = credentials::read(&plan.tokens)?;
    let live: Vec<_> = credentials::parse(&text).take(plan.live).collect::<Result<_>>()?;
    anyhow::ensure!(live.len() == plan.live, "only {} of {} tokens are there", live.len(), plan.live);
    anyhow::ensure!(!live.is_empty(), "there is nothing to exchange");
    let mut script = Script::new(false);
    for shown in shuffled(live.len(), 0) {
        let Shown::Live(place) = shown else { continue };
        let token = live.get(place).context("the shuffle made up a token")?;
        let right = Right::body(b"{\"access_token\":\"eyJ");
        script.push(&request::exchange(token.client_id, token.secret), right);
    }
    let create = |path| File::create(path).map(BufWriter::new);
    let answered =
        plan.answered.as_deref().map(create).transpose().context("cannot write what is answered")?;
    Ok(Exchange { script, left: plan.count.unwrap_or(u64::MAX), answered })
}

impl Work for Exchange {
    fn next(&mut self) -> Option<(Ticket, &[u8])> {
        self.left = self.left.checked_sub(1)?;
        self.script.next()
    }

    fn judge(&mut self, ticket: Ticket, status: u16, body: &[u8]) -> Result<(), String> {
        self.script.judge(ticket, status, body)?;
        let Some(answered) = &mut self.answered else { return Ok(()) };
        let unreadable = |error: &dyn std::fmt::Display| format!("exchanged, but: {error}");
        let issued: Issued<'_> = serde_json::from_slice(body).map_err(|error| unreadable(&error))?;
        writeln!(answered, "{}", issued.access_token).map_err(|error| unreadable(&error))
    }

    fn finish(&mut self) -> Result<()> {
        Ok(self.answered.as_mut().map_or(Ok(()), Write::flush)?)
    }
}
