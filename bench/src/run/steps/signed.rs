//! J1, J2 and J3: short-lived tokens at the door, seen for the first time and again, and how they are got.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::credentials;
use crate::load::{Door, ExchangePlan, LanePlan, Plan, VerifyPlan, WorkPlan};
use crate::reference::signed::{CHECK, MINT, READ, SIGN};
use crate::run::bench::{Bench, all_and_unknown, verify_lane};
use crate::run::countersign::Countersign;
use crate::run::goals::Metric;
use crate::run::job::Job;
use crate::run::seed::Seed;
use crate::run::taken::Taken;
use crate::wire::{ISSUER, request};

/// Longest time to get the tokens that are shown.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Directories and files of the step.
struct Material {
    /// The service tokens.
    seed: Seed,
    /// A copy of their data, to which the server adds its keys.
    data: PathBuf,
    /// Short-lived tokens that are shown again and again.
    seen: PathBuf,
    /// Others that are shown once.
    unseen: PathBuf,
}

/// J3 and J2 on one server, which has seen none of the tokens before that are shown; J1 on another, of which the same
/// holds. All service tokens are live: to refuse a forged token costs a check, too, and to refuse a pair a look-up.
pub(crate) fn tokens(bench: &mut Bench) -> Result<()> {
    let seed = bench.seed(bench.scale.usual)?;
    let material = Material {
        data: bench.copy_of(&seed)?,
        seen: bench.scratch("signed-seen")?,
        unseen: bench.scratch("signed-unseen")?,
        seed,
    };
    let server = start(bench, &material)?;
    let (seen, unseen) = (bench.scale.signed_seen, bench.scale.signed_unseen);
    get(bench, &server, exchange(&material.seed, seen, seen, &material.seen))?;
    get(bench, &server, exchange(&material.seed, material.seed.count, unseen, &material.unseen))?;
    mint(bench, &server, &material.seed)?;
    again(bench, &server, &material)?;
    server.stop()?;

    let server = start(bench, &material)?;
    first_sight(bench, &server, &material)?;
    server.stop()
}

/// J1: each token once, just after the service tokens themselves at the same door, and after the bare check. When it is
/// taken again on the same server, what that may still remember is shown in the warm-up.
fn first_sight(bench: &mut Bench, server: &Countersign, material: &Material) -> Result<()> {
    let beside = awake(bench, server, live_lane(&material.seed, material.seed.count, Door::Authz));
    let shown = awake(bench, server, signed_lane(&material.unseen, true));
    let [authz, bare, first] = bench.take_together([
        Job::load("J1, /authz", &beside),
        Job::signed("J1, without HTTP"),
        Job::load("J1, first sight", &shown),
    ])?;
    let check = part(&bare, CHECK)?;
    bench.ledger.add(Metric::SignedFirstCpu, first.cpu_us() / (authz.cpu_us() + check));
    bench.ledger.add(Metric::ReadCpu, part(&bare, READ)? / check);
    Ok(())
}

/// J2: few tokens again and again, just after their service tokens at the same door.
fn again(bench: &mut Bench, server: &Countersign, material: &Material) -> Result<()> {
    let beside = awake(bench, server, live_lane(&material.seed, bench.scale.signed_seen, Door::Authz));
    let shown = awake(bench, server, signed_lane(&material.seen, false));
    let pair = bench.take_pair(Job::load("J2, /authz", &beside), Job::load("J2, seen before", &shown))?;
    bench.ledger.add(Metric::SignedAgainCpu, pair.cpu());
    Ok(())
}

/// J3: the token endpoint just after introspection, a POST of a form that is verified and answered in JSON, and after the
/// bare signature.
fn mint(bench: &mut Bench, server: &Countersign, seed: &Seed) -> Result<()> {
    let introspect = awake(bench, server, live_lane(seed, seed.count, Door::Introspect));
    let plan = ExchangePlan { tokens: seed.tokens.clone(), live: seed.count, count: None, answered: None };
    let exchange = awake(bench, server, exchange_lane(plan));
    let [introspected, bare, minted] = bench.take_together([
        Job::load("J3, introspection", &introspect),
        Job::signed("J3, without HTTP"),
        Job::load("J3, token endpoint", &exchange),
    ])?;
    let sign = part(&bare, SIGN)?;
    bench.ledger.add(Metric::MintCpu, part(&bare, MINT)? / sign);
    bench.ledger.add(Metric::ExchangeCpu, minted.cpu_us() / (introspected.cpu_us() + sign));
    Ok(())
}

/// The CPU time of one part of what is done without HTTP, in microseconds: on the average, as a server's is.
fn part(bare: &Taken, name: &str) -> Result<f64> {
    Ok(bare.lane(name)?.latency.mean_us)
}

/// A server whose tokens live for as long as they may, and are good after it was started again at another address. It is
/// ready when it has keys.
fn start(bench: &Bench, material: &Material) -> Result<Countersign> {
    let mut setting = bench.setting(&material.data);
    let longer = [("COUNTERSIGN_PUBLIC_URL", ISSUER), ("COUNTERSIGN_JWT_LIFETIME", "24h")];
    setting.environment.extend(longer.map(|(name, value)| (name, value.to_owned())));
    let mut server = Countersign::start(&setting)?;
    let text = credentials::read(&material.seed.tokens)?;
    let token = credentials::parse(&text).next().context("there is no token")??;
    server.until_answered(&request::exchange(token.client_id, token.secret), 200)?;
    Ok(server)
}

/// A plan whose answers take very different times from those of what it is compared with.
fn awake(bench: &Bench, server: &Countersign, lane: LanePlan) -> Plan {
    Plan { awake: true, ..bench.plan(server, vec![lane]) }
}

/// Gets so many short-lived tokens for the first so many service tokens.
fn exchange(seed: &Seed, live: usize, count: usize, answered: &Path) -> ExchangePlan {
    let (tokens, answered) = (seed.tokens.clone(), Some(answered.to_owned()));
    ExchangePlan { tokens, live, count: Some(count as u64), answered }
}

fn get(bench: &Bench, server: &Countersign, plan: ExchangePlan) -> Result<()> {
    let lanes = vec![exchange_lane(plan)];
    let measured_ms = PATIENCE.as_millis() as u64;
    let report = bench.send(&Plan { warm_up_ms: 0, measured_ms, ..bench.plan(server, lanes) })?;
    let wrong: Vec<_> = report.lanes.iter().filter_map(|lane| lane.first_wrong.as_deref()).collect();
    anyhow::ensure!(wrong.is_empty(), "the server does not exchange tokens: {}", wrong.join(", "));
    Ok(())
}

fn exchange_lane(plan: ExchangePlan) -> LanePlan {
    LanePlan { name: "exchange".into(), connections: 64, rate: None, work: WorkPlan::Exchange(plan) }
}

fn signed_lane(tokens: &Path, once: bool) -> LanePlan {
    let work = WorkPlan::BearSigned { tokens: tokens.to_owned(), once };
    LanePlan { name: "bear".into(), connections: 64, rate: None, work }
}

/// The first so many service tokens of a directory, and no unknown ones.
fn live_lane(seed: &Seed, live: usize, door: Door) -> LanePlan {
    verify_lane(VerifyPlan { live, unknown: 0, door, ..all_and_unknown(seed) }, None)
}
