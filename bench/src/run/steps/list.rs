//! L1 and L2: pages of lists, in an account of a thousand tokens and in one of a million.

use anyhow::Result;

use crate::load::{LanePlan, Plan, WorkPlan};
use crate::run::bench::Bench;
use crate::run::countersign::Countersign;
use crate::run::goals::Metric;
use crate::run::seed::Seed;
use crate::run::taken::Taken;

/// Rows of a page.
const PAGE: usize = 50;

/// Pages a second.
const RATE: u64 = 500;

/// Searches a second, one after the other: each may look through many rows.
const SEARCHES: u64 = 2;

/// The first, the middle and the last page of an account.
struct Pages {
    first: Taken,
    middle: Taken,
    last: Taken,
}

/// L1: an account with a thousand tokens. Until there are accounts beside root, the directory holds no
/// others. L2: all of a million tokens in one account.
pub(crate) fn pages(bench: &mut Bench) -> Result<()> {
    let few = bench.seed(bench.scale.few)?;
    let server = bench.start(&few.data)?;
    let short = take_pages(bench, &server, &few, "L1")?;
    server.stop()?;

    let many = bench.seed(bench.scale.many)?;
    let server = bench.start(&many.data)?;
    let long = take_pages(bench, &server, &many, "L2")?;
    let search = take_search(bench, &server)?;
    server.stop()?;

    bench.ledger.add(Metric::ListP99, short.worst_p99_ms()?);
    bench.ledger.add(Metric::ListCpu, short.cpu_us_a_row());
    bench.ledger.add(Metric::ListLastToFirst, p50_us(&short.last)? / p50_us(&short.first)?);
    bench.ledger.add(Metric::LongListP99, long.worst_p99_ms()? / short.worst_p99_ms()?);
    bench.ledger.add(Metric::LongListLast, p99_ms(&long.last)?);
    bench.ledger.add(Metric::Search, search.lane("search")?.latency.max_us / 1000.0);
    Ok(())
}

fn take_pages(bench: &mut Bench, server: &Countersign, seed: &Seed, label: &str) -> Result<Pages> {
    let count = seed.count / PAGE;
    let mut take = |which: &str, page: usize| {
        let query = format!("page={page}&per_page={PAGE}");
        let work = WorkPlan::List { query, rows: Some(PAGE) };
        let lane = LanePlan { name: "list".into(), connections: 16, rate: Some(RATE), work };
        let plan = half_as_long(bench.plan(server, vec![lane]));
        bench.take(&format!("{label}, {which} page"), &plan)
    };
    Ok(Pages { first: take("first", 1)?, middle: take("middle", count / 2)?, last: take("last", count)? })
}

/// The slowest search: for what no token has.
fn take_search(bench: &mut Bench, server: &Countersign) -> Result<Taken> {
    let work = WorkPlan::List { query: format!("search=no-such-token&per_page={PAGE}"), rows: None };
    let lane = LanePlan { name: "search".into(), connections: 1, rate: Some(SEARCHES), work };
    let plan = half_as_long(bench.plan(server, vec![lane]));
    bench.take("L2, search", &plan)
}

/// Six runs of pages would else take longer than everything else.
fn half_as_long(plan: Plan) -> Plan {
    Plan { measured_ms: plan.measured_ms / 2, warm_up_ms: plan.warm_up_ms / 2, ..plan }
}

impl Pages {
    fn worst_p99_ms(&self) -> Result<f64> {
        Ok(p99_ms(&self.first)?.max(p99_ms(&self.middle)?).max(p99_ms(&self.last)?))
    }

    fn cpu_us_a_row(&self) -> f64 {
        let pages = [&self.first, &self.middle, &self.last].map(Taken::cpu_us);
        pages.iter().sum::<f64>() / pages.len() as f64 / PAGE as f64
    }
}

fn p99_ms(taken: &Taken) -> Result<f64> {
    Ok(taken.lane("list")?.latency.p99_us / 1000.0)
}

fn p50_us(taken: &Taken) -> Result<f64> {
    Ok(taken.lane("list")?.latency.p50_us)
}
