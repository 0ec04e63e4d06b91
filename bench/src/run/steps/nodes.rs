//! P1, P3, P4 and P5: two nodes over one PostgreSQL. S1: how soon one of them starts.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::size::last_of;
use super::verify::half_rate;
use crate::load::{Plan, VerifyPlan};
use crate::run::bench::{Bench, all_and_unknown, verify_lane};
use crate::run::countersign::Countersign;
use crate::run::database::Database;
use crate::run::goals::Metric;
use crate::run::job::Job;
use crate::run::nodes::{Nodes, Way};
use crate::run::scale::Scale;
use crate::run::seed;
use crate::run::shared_seed;
use crate::spread::{KNOWN, Kind};

/// How many transactions there have been, by whomever.
const TRANSACTIONS: &str = "SELECT sum(xact_commit + xact_rollback)::bigint FROM pg_stat_database WHERE datname = current_database()";

/// A session that does nothing more tells of its transactions after ten seconds.
const UNTIL_TOLD: Duration = Duration::from_secs(11);

/// P1: V1 on each of two nodes, each just after V1 on SQLite with the same tokens. PostgreSQL's CPU time counts with the
/// node's. Once as V1 is taken, and once after a minute of the same load, when what was used is being written.
pub(crate) fn verify(bench: &mut Bench) -> Result<()> {
    let seed = bench.seed(bench.scale.usual)?;
    let lanes = || vec![verify_lane(all_and_unknown(&seed), None)];
    for name in ["A", "B"] {
        let nodes = Nodes::start(bench, &seed, Way::Direct)?;
        let embedded = bench.start(&seed.data)?;
        let node = if name == "A" { &nodes.a } else { &nodes.b };
        let plans = [bench.plan(&embedded, lanes()), nodes.plan(bench, node, lanes())];
        let [alone, shared] = &plans;
        let pair = bench.take_pair(
            Job::load(&format!("V1, before P1 on {name}"), alone),
            Job::load(&format!("P1 on {name}"), shared),
        )?;
        let [alone, shared] = plans.map(|plan| warm(bench, plan));
        let writing = bench.take_pair(
            Job::load(&format!("V1, after a minute, before P1 on {name}"), &alone),
            Job::load(&format!("P1 on {name}, after a minute"), &shared),
        )?;
        nodes.stop()?;
        embedded.stop()?;
        bench.ledger.add(Metric::SharedVerifyCpu, pair.cpu());
        bench.ledger.add(Metric::SharedVerifyCpuWriting, writing.cpu());
    }
    Ok(())
}

fn warm(bench: &Bench, plan: Plan) -> Plan {
    Plan { warm_up_ms: bench.scale.long_warm_up.as_millis() as u64, ..plan }
}

/// P3: tokens revoked on *A*, one after the other, and shown to *B* until it refuses. P4: tokens created on *A* and shown to
/// *B* until it grants. Meanwhile *B* has V2's load, for so long already that uses are written.
pub(crate) fn spread(bench: &mut Bench) -> Result<()> {
    let rate = half_rate(bench)?;
    let seed = bench.seed(bench.scale.usual)?;
    let count = bench.scale.spread;
    let nodes = Nodes::start(bench, &seed, Way::Direct)?;
    let live = seed.count - count;
    let others =
        VerifyPlan { skip: count, live, unknown: Scale::unknown_beside(live), ..all_and_unknown(&seed) };
    let load = nodes.load_b(bench, vec![verify_lane(others, Some(rate))])?;
    sleep(bench.scale.long_warm_up);
    let [at, to] = [nodes.a.address, nodes.b.address];
    let revoked = bench.take_spread("P3", Kind::Revoke, [at, to], &seed.tokens, count)?;
    let created = bench.take_spread("P4", Kind::Create, [at, to], &seed.tokens, count)?;
    nodes.stop()?;
    bench.record_in_background("P3 and P4, beside", load)?;

    let (revoked, created) = (revoked.lane(KNOWN)?.latency, created.lane(KNOWN)?.latency);
    bench.ledger.add(Metric::RevokeSpreadP99, revoked.p99_us / 1e3);
    bench.ledger.add(Metric::RevokeSpreadMax, revoked.max_us / 1e6);
    bench.ledger.add(Metric::CreateSpreadP99, created.p99_us / 1e3);
    Ok(())
}

/// P5: transactions in PostgreSQL while *B* is flooded with unknown tokens, beside as long a time in which nobody asks.
pub(crate) fn flood(bench: &mut Bench) -> Result<()> {
    let seed = bench.seed(bench.scale.usual)?;
    let nodes = Nodes::start(bench, &seed, Way::Direct)?;
    let unknown = seed.count + Scale::unknown_beside(seed.count);
    let work = VerifyPlan::of_unknown(unknown);
    let plan = nodes.plan(bench, &nodes.b, vec![verify_lane(work, None)]);
    let plan = Plan { measured_ms: plan.measured_ms * 2, ..plan };
    let span = Duration::from_millis(plan.warm_up_ms + plan.measured_ms);
    // Of those of the start.
    sleep(UNTIL_TOLD);

    let idle = Transactions::during(&nodes.database, || {
        sleep(span);
        Ok(())
    })?;
    let mut sent = 0;
    let flooded = Transactions::during(&nodes.database, || {
        let load = bench.send_in_background(&plan)?;
        sent = bench.record_in_background("P5", load)?.requests();
        Ok(())
    })?;
    nodes.stop()?;
    bench.ledger.add(Metric::FloodTransactions, flooded.per_second() / idle.per_second());
    bench.ledger.note(format!(
        "P5: PostgreSQL saw {:.1} transactions a second while {sent} unknown tokens were shown, and {:.1} without",
        flooded.per_second(),
        idle.per_second()
    ));
    Ok(())
}

/// Transactions in a time.
struct Transactions {
    count: u64,
    time: Duration,
}

impl Transactions {
    fn during(database: &Database, work: impl FnOnce() -> Result<()>) -> Result<Self> {
        let (start, before) = (Instant::now(), database.ask_number(TRANSACTIONS)?);
        work()?;
        sleep(UNTIL_TOLD);
        let after = database.ask_number(TRANSACTIONS)?;
        Ok(Self { count: after - before, time: start.elapsed() })
    }

    fn per_second(&self) -> f64 {
        self.count as f64 / self.time.as_secs_f64()
    }
}

/// S1 over PostgreSQL: from the start to the grant of the last token. PostgreSQL runs already, on the same core.
pub(crate) fn start(bench: &mut Bench) -> Result<()> {
    let seed = bench.seed(bench.scale.many)?;
    let directory = shared_seed::open(bench, &seed)?;
    seed::warm(&directory)?;
    let last = last_of(&seed)?;
    let database = Database::open(&directory)?;
    let data = bench.scratch("start-shared")?;
    let mut setting = bench.setting(&data);
    setting.environment = vec![("COUNTERSIGN_DATABASE_URL", database.address()?.url)];
    bench.wait()?;
    let mut server = Countersign::spawn(&setting)?;
    let start = server.until_answered(&last, 200)?;
    let plan = bench.plan(&server, vec![verify_lane(all_and_unknown(&seed), None)]);
    bench.take("S1, afterwards", &Plan { database: Some(database.address()?.pid), ..plan })?;
    server.stop()?;
    database.stop()?;
    bench.ledger.add(Metric::StartShared, start.as_secs_f64());
    Ok(())
}
