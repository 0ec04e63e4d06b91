//! V5, A1 and A2: access tokens at the door, beside LoopBack 3, and how they are come by.

use anyhow::Result;

use super::size::empty;
use super::verify::closed_loop;
use crate::load::{Asked, BearPlan, LanePlan, Plan, WorkPlan};
use crate::proc;
use crate::run::bench::{Bench, all_and_unknown, verify_lane};
use crate::run::countersign::Countersign;
use crate::run::goals::Metric;
use crate::run::job::Job;
use crate::run::peer::LOOPBACK;
use crate::run::scale::Scale;
use crate::run::tenants::{Tenants, WITH_PASSWORD};

/// Logins that are under way at once: enough that one is always hashed.
const AT_ONCE: usize = 8;

/// V5: tokens of a scope and of one organization, of as many accounts as there are, at a door that demands both: once in
/// terms of the hello before it, as V1 is, and once beside service tokens in the same directory. As many are shown as in
/// V1. Also the memory that a token takes with its share of accounts, organizations and service tokens.
pub(crate) fn door(bench: &mut Bench) -> Result<()> {
    let (without, verify) = (empty(bench)?, closed_loop(bench)?);
    let tenants = bench.tenants(bench.scale.many_tenants)?;
    let server = bench.start(&tenants.seed.data)?;
    let shown = bench.scale.usual.min(tenants.shown());
    let access = bench.plan(&server, vec![bear_lane(&tenants, shown, Asked::Door)]);
    let service = bench.plan(&server, vec![verify_lane(all_and_unknown(&tenants.seed), None)]);
    let to_hello = bench.take_beside_hello("V5", &access)?;
    let to_service =
        bench.take_pair(Job::load("V5, service tokens", &service), Job::load("V5, again", &access))?;
    let memory = proc::memory_bytes(server.pid())?.saturating_sub(without);
    server.stop()?;

    bench.ledger.add(Metric::AccessCpu, to_hello.cpu() / verify.cpu());
    bench.ledger.add(Metric::AccessCpuToService, to_service.cpu());
    bench.ledger.add(Metric::AccessMemory, memory as f64 / tenants.size.access_tokens as f64);
    Ok(())
}

/// A1: the account of a token, asked of LoopBack 3 and of the server with the same requests, each in terms of the hello
/// before it. LoopBack knows ten thousand tokens and no more; the server a million.
pub(crate) fn authorized(bench: &mut Bench) -> Result<()> {
    let tenants = bench.tenants(bench.scale.many_tenants)?;
    let known = bench.scale.loopback;
    let lane = || vec![bear_lane(&tenants, known, Asked::Authorized)];
    let loopback = bench.peer(&LOOPBACK, &tenants.access, known)?;
    let theirs = bench.plan_for(loopback.address, loopback.pid(), lane());
    // Its code is compiled while it runs.
    let theirs = Plan { warm_up_ms: theirs.warm_up_ms * 3, ..theirs };
    let server = bench.start(&tenants.seed.data)?;
    let ours = bench.plan(&server, lane());
    let theirs = bench.take_beside_hello("A1, LoopBack 3", &theirs)?;
    let ours = bench.take_beside_hello("A1", &ours)?;
    server.stop()?;
    bench.ledger.add(Metric::AuthorizedCpu, theirs.cpu() / ours.cpu());
    bench.ledger.add(Metric::AuthorizedCpuToHyper, ours.cpu());
    Ok(())
}

/// A2: logins to some accounts, beside the bare hash of the same password with the same parameters. They are limited
/// as shipped; here the limit is lifted.
pub(crate) fn login(bench: &mut Bench) -> Result<()> {
    let tenants = bench.tenants(bench.scale.few_tenants)?;
    let data = bench.copy_of(&tenants.seed)?;
    let mut setting = bench.setting(&data);
    let unlimited = ["COUNTERSIGN_LOGIN_PER_ACCOUNT", "COUNTERSIGN_LOGIN_PER_ADDRESS"];
    setting.environment.extend(unlimited.map(|name| (name, "1000000".to_owned())));
    let server = Countersign::start(&setting)?;
    let work = WorkPlan::Login { accounts: WITH_PASSWORD };
    let lane = LanePlan { name: "login".into(), connections: AT_ONCE, rate: None, work };
    let plan = bench.plan(&server, vec![lane]);
    let pair = bench.take_pair(Job::hash("argon2id"), Job::load("A2", &plan))?;
    server.stop()?;
    bench.ledger.add(Metric::LoginCpu, pair.cpu());
    bench.ledger.add(Metric::LoginRate, pair.rate());
    Ok(())
}

/// The usual 64 connections that show the first so many access tokens, and one unknown to nine of them.
fn bear_lane(tenants: &Tenants, live: usize, asked: Asked) -> LanePlan {
    let unknown = Scale::unknown_beside(live);
    let work = WorkPlan::Bear(BearPlan { tokens: tenants.access.clone(), live, unknown, asked });
    LanePlan { name: "bear".into(), connections: 64, rate: None, work }
}
