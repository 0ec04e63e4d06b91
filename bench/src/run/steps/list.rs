//! L1 and L2: pages of lists, in an account of a thousand tokens and in one of a million, and searches.

use anyhow::{Context, Result};

use crate::credentials;
use crate::load::{LanePlan, Plan, RightList, WorkPlan};
use crate::run::bench::Bench;
use crate::run::countersign::Countersign;
use crate::run::goals::Metric;
use crate::run::scale::MOST_SEARCHED;
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
/// others. L2: all of a million tokens in one account. A search may not be in so many and is refused; it is
/// measured in the largest account in which it is not.
pub(crate) fn pages(bench: &mut Bench) -> Result<()> {
    let few = bench.seed(bench.scale.few)?;
    let server = bench.start(&few.data)?;
    let short = take_pages(bench, &server, &few, "L1")?;
    server.stop()?;

    let many = bench.seed(bench.scale.many)?;
    let server = bench.start(&many.data)?;
    let long = take_pages(bench, &server, &many, "L2")?;
    if many.count > MOST_SEARCHED {
        let refused = take_search(bench, &server, &many, RightList::Status(400))?;
        bench.ledger.add(Metric::SearchRefused, max_ms(&refused)?);
    }
    server.stop()?;

    let searched = bench.seed(bench.scale.searched)?;
    let server = bench.start(&searched.data)?;
    let search = take_search(bench, &server, &searched, RightList::Rows(1))?;
    server.stop()?;

    bench.ledger.add(Metric::ListP99, short.worst_p99_ms()?);
    bench.ledger.add(Metric::ListCpu, short.cpu_us_a_row());
    bench.ledger.add(Metric::ListLastToFirst, p50_us(&short.last)? / p50_us(&short.first)?);
    bench.ledger.add(Metric::LongListP99, long.worst_p99_ms()? / short.worst_p99_ms()?);
    bench.ledger.add(Metric::LongListLast, p99_ms(&long.last)?);
    bench.ledger.add(Metric::Search, max_ms(&search)?);
    Ok(())
}

fn take_pages(bench: &mut Bench, server: &Countersign, seed: &Seed, label: &str) -> Result<Pages> {
    let count = seed.count / PAGE;
    let mut take = |which: &str, page: usize| {
        let query = format!("page={page}&per_page={PAGE}");
        let work = WorkPlan::List { query, right: RightList::Rows(PAGE) };
        let lane = LanePlan { name: "list".into(), connections: 16, rate: Some(RATE), work };
        let plan = half_as_long(bench.plan(server, vec![lane]));
        bench.take(&format!("{label}, {which} page"), &plan)
    };
    Ok(Pages { first: take("first", 1)?, middle: take("middle", count / 2)?, last: take("last", count)? })
}

/// The slowest search: for hex digits, because they may be in a name, an id or a client id and all three have
/// to be looked at. They are the end of one token's id and in no other, so that the answer shows who has
/// looked.
fn take_search(bench: &mut Bench, server: &Countersign, seed: &Seed, right: RightList) -> Result<Taken> {
    let text = credentials::read(&seed.tokens)?;
    let token = credentials::parse(&text).last().context("there is no token")??;
    let digits = token.id.rsplit('-').next().context("the id is no UUID")?;
    let work = WorkPlan::List { query: format!("search={digits}&per_page={PAGE}"), right };
    let lane = LanePlan { name: "search".into(), connections: 1, rate: Some(SEARCHES), work };
    let plan = half_as_long(bench.plan(server, vec![lane]));
    bench.take(&format!("L2, search in {}", seed.count), &plan)
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

fn max_ms(search: &Taken) -> Result<f64> {
    Ok(search.lane("search")?.latency.max_us / 1000.0)
}

fn p50_us(taken: &Taken) -> Result<f64> {
    Ok(taken.lane("list")?.latency.p50_us)
}
