//! S2 and R2 on an empty server; V3, S1 and R1 with a million tokens.

use std::fs;

use anyhow::{Context, Result};

use crate::credentials;
use crate::load::{Plan, VerifyPlan};
use crate::proc;
use crate::run::bench::{Bench, all_and_unknown, verify_lane};
use crate::run::countersign::Countersign;
use crate::run::goals::Metric;
use crate::run::scale::Scale;
use crate::run::seed::{self, Seed};
use crate::run::taken::Pair;
use crate::wire::request;

/// S2: from the start in a directory that is not there to the first answer. R2: memory after verifying
/// unknown tokens, and the size of the binary. Gives the memory in bytes; the second time in a round, that of
/// the first.
pub(crate) fn empty(bench: &mut Bench) -> Result<u64> {
    if let Some(memory) = bench.round.empty_memory {
        return Ok(memory);
    }
    let data = bench.scratch("empty")?;
    let mut server = Countersign::spawn(&bench.setting(&data))?;
    let start = server.until_answered(&request::get("/healthz"), 200)?;
    server.until_answered(&request::get("/readyz"), 200)?;

    let unknown = Scale::unknown_beside(bench.scale.usual);
    let work = VerifyPlan::of_unknown(unknown);
    let plan = bench.plan(&server, vec![verify_lane(work, None)]);
    bench.take("empty", &plan)?;
    let memory = proc::memory_bytes(server.pid())?;
    server.stop()?;

    bench.ledger.add(Metric::StartEmpty, start.as_secs_f64());
    bench.ledger.add(Metric::EmptyMemory, memory as f64 / 1e6);
    bench.ledger.add(Metric::BinarySize, fs::metadata(bench.program())?.len() as f64 / 1e6);
    bench.round.empty_memory = Some(memory);
    Ok(memory)
}

/// V3: V1 with a thousand and with a million tokens, each in terms of the hello before it. S1: from the start
/// to the first grant, of the last token. R1: the memory that a token takes, after all of them were verified.
pub(crate) fn many(bench: &mut Bench) -> Result<()> {
    let without = empty(bench)?;

    let few = bench.seed(bench.scale.few)?;
    let server = bench.start(&few.data)?;
    let with_few = beside_hello(bench, &server, &few, "V3, few tokens")?;
    server.stop()?;

    let many = bench.seed(bench.scale.many)?;
    seed::warm(&many.data)?;
    let last = last_of(&many)?;
    let mut server = Countersign::spawn(&bench.setting(&many.data))?;
    let start = server.until_answered(&last, 200)?;
    let with_many = beside_hello(bench, &server, &many, "V3, many tokens")?;
    verify_all(bench, &server, &many)?;
    let memory = proc::memory_bytes(server.pid())?;
    server.stop()?;

    bench.expect_saturated(Metric::ManyTokensRate, &[&with_few, &with_many]);
    bench.ledger.add(Metric::ManyTokensRate, with_many.rate() / with_few.rate());
    bench.ledger.add(Metric::StartWithTokens, start.as_secs_f64());
    bench.ledger.add(Metric::TokenMemory, memory.saturating_sub(without) as f64 / many.count as f64);
    Ok(())
}

fn beside_hello(bench: &mut Bench, server: &Countersign, seed: &Seed, label: &str) -> Result<Pair> {
    let plan = bench.plan(server, vec![verify_lane(all_and_unknown(seed), None)]);
    bench.take_beside_hello(label, &plan)
}

/// Shows every token once: in its time V3 does not come to the end of a million, and what is kept of a use
/// takes memory.
fn verify_all(bench: &mut Bench, server: &Countersign, seed: &Seed) -> Result<()> {
    let all = VerifyPlan { unknown: 0, once: true, ..all_and_unknown(seed) };
    let lanes = vec![verify_lane(all, None)];
    let plan = Plan { warm_up_ms: 0, measured_ms: 600_000, ..bench.plan(server, lanes) };
    let load = bench.send_in_background(&plan)?;
    let taken = bench.record_in_background("R1, each token once", load)?;
    let verified = taken.lane("verify")?.answers;
    anyhow::ensure!(verified as usize == seed.count, "{verified} of {} were verified", seed.count);
    Ok(())
}

/// The verification of the last token of a directory, so that no token may still be missing when it is
/// granted.
pub(super) fn last_of(seed: &Seed) -> Result<Vec<u8>> {
    let text = credentials::read(&seed.tokens)?;
    let token = credentials::parse(&text).last().context("there is no token")??;
    Ok(request::verify(token.client_id, token.secret))
}
