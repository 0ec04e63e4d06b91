//! L3 and L4: the access tokens of one account among all, page by page and by a filter.

use anyhow::Result;

use crate::load::{LanePlan, Plan, WorkPlan};
use crate::run::bench::Bench;
use crate::run::goals::Metric;
use crate::run::taken::Taken;
use crate::run::tenants::{LISTED, Tenants, TenantsSize};

/// Rows of a page: the most that this wire gives at once.
const PAGE: usize = 100;

/// Whole lists a second.
const LISTS: u64 = 20;

/// Filtered pages a second.
const FILTERED: u64 = 100;

/// Filters that find half of the account's tokens and all of them, of which each gives a page.
const FILTERS: [&str; 2] = [
    "filter[where][ttl][gt]=1209600",
    "filter[where][ttl][inq][0]=1209600&filter[where][ttl][inq][1]=31556926&filter[where][ttl][inq][2]=60",
];

/// L3: all tokens of an account with a thousand, in pages one after the other. L4: a page of those that a filter finds
/// among them, with ten thousand tokens in all and with a million.
pub(crate) fn lists(bench: &mut Bench) -> Result<()> {
    let few = take(bench, bench.scale.few_tenants, "L4, few in all", filtered(), FILTERED)?;
    let pages = (0..LISTED / PAGE).map(|page| format!("filter[limit]={PAGE}&filter[skip]={}", page * PAGE));
    let pages: Vec<_> = pages.collect();
    let pages_of_list = pages.len() as u64;
    let many = bench.scale.many_tenants;
    let all = take(bench, many, "L3", pages, LISTS * pages_of_list)?;
    let filtered = take(bench, many, "L4, many in all", filtered(), FILTERED)?;

    let (few, all_p99, filtered) = (latency(&few)?, latency(&all)?.p99_us, latency(&filtered)?);
    bench.ledger.add(Metric::AccessListP99, all_p99 * pages_of_list as f64 / 1000.0);
    bench.ledger.add(Metric::AccessListCpu, all.cpu_us() / PAGE as f64);
    bench.ledger.add(Metric::FilteredListP99, filtered.p99_us / 1000.0);
    bench.ledger.add(Metric::FilteredListToFew, filtered.p50_us / few.p50_us);
    Ok(())
}

fn filtered() -> Vec<String> {
    FILTERS.map(str::to_owned).into()
}

fn take(bench: &mut Bench, size: TenantsSize, label: &str, queries: Vec<String>, rate: u64) -> Result<Taken> {
    let tenants = bench.tenants(size)?;
    let server = bench.start(&tenants.seed.data)?;
    let work = WorkPlan::ListAccess { account: Tenants::listed(), queries, rows: PAGE };
    let lane = LanePlan { name: "list".into(), connections: 16, rate: Some(rate), work };
    let plan = bench.plan(&server, vec![lane]);
    let plan = Plan { measured_ms: plan.measured_ms / 2, warm_up_ms: plan.warm_up_ms / 2, ..plan };
    let taken = bench.take(label, &plan)?;
    server.stop()?;
    Ok(taken)
}

fn latency(taken: &Taken) -> Result<crate::load::Latency> {
    Ok(taken.lane("list")?.latency)
}
