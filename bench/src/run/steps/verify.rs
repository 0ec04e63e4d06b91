//! V1, V2 and V4: the door under a full load, at a fixed rate, and under a flood.

use anyhow::Result;

use crate::load::{RightAnswer, VerifyPlan};
use crate::run::bench::{Bench, all_and_unknown, verify_lane};
use crate::run::goals::Metric;
use crate::run::scale::Scale;
use crate::run::taken::Taken;

/// V1: as many requests as the server answers, a tenth of them of unknown tokens. Gives the run and the hello
/// before it; the second time in a round, those of the first.
pub(crate) fn closed_loop(bench: &mut Bench) -> Result<(Taken, Taken)> {
    if let Some(taken) = bench.round.verify.clone() {
        return Ok(taken);
    }
    let seed = bench.seed(bench.scale.usual)?;
    let map = bench.map(&seed)?;
    let server = bench.start(&seed.data)?;
    let plan = bench.plan(&server, vec![verify_lane(all_and_unknown(&seed), None)]);
    let hello = bench.hello()?;
    let verify = bench.take("V1", &plan)?;
    server.stop()?;

    bench.expect_saturated(&verify);
    bench.ledger.add(Metric::VerifyCpu, verify.cpu_us() / hello.cpu_us());
    bench.ledger.add(Metric::VerifyRate, verify.per_second() / hello.per_second());
    bench.ledger.add(Metric::VerifyRateToMap, verify.per_second() / map.per_second());
    bench.round.verify = Some((verify.clone(), hello.clone()));
    Ok((verify, hello))
}

/// Half of what V1 reached in this round, in requests a second.
pub(crate) fn half_rate(bench: &mut Bench) -> Result<u64> {
    Ok((closed_loop(bench)?.0.per_second() / 2.0) as u64)
}

/// V2: V1 at half its rate, each request timed from when it was due. Gives p99 in microseconds.
pub(crate) fn fixed_rate(bench: &mut Bench) -> Result<f64> {
    if let Some(p99) = bench.round.fixed_rate_p99_us {
        return Ok(p99);
    }
    let rate = half_rate(bench)?;
    let seed = bench.seed(bench.scale.usual)?;
    let server = bench.start(&seed.data)?;
    let plan = bench.plan(&server, vec![verify_lane(all_and_unknown(&seed), Some(rate))]);
    let hello = bench.hello_at(rate)?.lane("verify")?.latency.p99_us;
    let p99 = bench.take("V2", &plan)?.lane("verify")?.latency.p99_us;
    server.stop()?;

    bench.ledger.add(Metric::FixedRateP99, p99 / 1000.0);
    bench.ledger.add(Metric::FixedRateP99ToHyper, p99 / hello);
    bench.round.fixed_rate_p99_us = Some(p99);
    Ok(p99)
}

/// V4: V1 with unknown tokens alone. Both are taken in terms of the hello just before them.
pub(crate) fn flood(bench: &mut Bench) -> Result<()> {
    let (verify, before_verify) = closed_loop(bench)?;
    let seed = bench.seed(bench.scale.usual)?;
    let server = bench.start(&seed.data)?;
    let unknown = Scale::unknown_beside(seed.count);
    let work =
        VerifyPlan { tokens: None, skip: 0, live: 0, unknown, once: false, right: RightAnswer::Judged };
    let plan = bench.plan(&server, vec![verify_lane(work, None)]);
    let hello = bench.hello()?;
    let flood = bench.take("V4", &plan)?;
    server.stop()?;

    let (of_flood, of_verify) = (flood.cpu_us() / hello.cpu_us(), verify.cpu_us() / before_verify.cpu_us());
    bench.ledger.add(Metric::FloodCpu, of_flood / of_verify);
    let reads = flood.report.server_file_reads as f64 / flood.requests().max(1) as f64;
    bench.ledger.add(Metric::FloodReads, reads);
    Ok(())
}
