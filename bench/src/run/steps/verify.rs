//! V1, V2 and V4: the door under a full load, at a fixed rate, and under a flood.

use anyhow::Result;

use crate::load::VerifyPlan;
use crate::run::bench::{Bench, all_and_unknown, verify_lane};
use crate::run::goals::Metric;
use crate::run::scale::Scale;
use crate::run::taken::Pair;

/// V1: as many requests as the server answers, a tenth of them of unknown tokens. Gives the run with the
/// hello before it; the second time in a round, those of the first.
///
/// Between *map* and V1 the core changes its speed, and either may be taken again. So each is taken in terms
/// of its own hello, and the ratio of the two is one of these ratios.
pub(crate) fn closed_loop(bench: &mut Bench) -> Result<Pair> {
    if let Some(taken) = bench.round.verify.clone() {
        return Ok(taken);
    }
    let seed = bench.seed(bench.scale.usual)?;
    let map = bench.map(&seed)?;
    let server = bench.start(&seed.data)?;
    let plan = bench.plan(&server, vec![verify_lane(all_and_unknown(&seed), None)]);
    let verify = bench.take_beside_hello("V1", &plan)?;
    server.stop()?;

    bench.expect_saturated(Metric::VerifyRate, &[&verify]);
    bench.expect_saturated(Metric::VerifyRateToMap, &[&verify, &map]);
    bench.ledger.add(Metric::VerifyCpu, verify.cpu());
    bench.ledger.add(Metric::VerifyRate, verify.rate());
    bench.ledger.add(Metric::VerifyRateToMap, verify.rate() / map.rate());
    bench.round.verify = Some(verify.clone());
    Ok(verify)
}

/// Half of what V1 reached in this round, in requests a second.
pub(crate) fn half_rate(bench: &mut Bench) -> Result<u64> {
    Ok((closed_loop(bench)?.target.per_second() / 2.0) as u64)
}

/// V2: V1 at half its rate, each request timed from when it was due. Gives p99 in microseconds.
pub(crate) fn fixed_rate(bench: &mut Bench) -> Result<f64> {
    if let Some(p99) = bench.round.fixed_rate_p99_us {
        return Ok(p99);
    }
    let rate = half_rate(bench)?;
    let seed = bench.seed(bench.scale.usual)?;
    let server = bench.start(&seed.data)?;
    let plan = bench.plan_warm(&server, vec![verify_lane(all_and_unknown(&seed), Some(rate))]);
    let pair = bench.take_beside_hello_at(rate, "V2", &plan)?;
    let [hello, p99] = [&pair.reference, &pair.target].map(|taken| taken.lane("verify"));
    let (hello, p99) = (hello?.latency.p99_us, p99?.latency.p99_us);
    server.stop()?;

    bench.ledger.add(Metric::FixedRateP99, p99 / 1000.0);
    bench.ledger.add(Metric::FixedRateP99ToHyper, p99 / hello);
    bench.round.fixed_rate_p99_us = Some(p99);
    Ok(p99)
}

/// V4: V1 with unknown tokens alone, as many different ones as V1 has lines: fewer would be in every cache.
/// Both are taken in terms of the hello just before them.
pub(crate) fn flood(bench: &mut Bench) -> Result<()> {
    let verify = closed_loop(bench)?;
    let seed = bench.seed(bench.scale.usual)?;
    let server = bench.start(&seed.data)?;
    let unknown = seed.count + Scale::unknown_beside(seed.count);
    let work = VerifyPlan::of_unknown(unknown);
    let plan = bench.plan(&server, vec![verify_lane(work, None)]);
    let flood = bench.take_beside_hello("V4", &plan)?;
    server.stop()?;

    bench.ledger.add(Metric::FloodCpu, flood.cpu() / verify.cpu());
    let reads = flood.target.report.server_file_reads as f64 / flood.target.requests().max(1) as f64;
    bench.ledger.add(Metric::FloodReads, reads);
    Ok(())
}
