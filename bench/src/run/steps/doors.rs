//! V6: the other doors beside `/authz`, `/authz` itself where limits are counted, and npm's `oidc-provider` beside
//! introspection.

use anyhow::Result;

use crate::load::{Door, LanePlan, Plan, VerifyPlan, WorkPlan};
use crate::run::bench::{Bench, all_and_unknown, verify_lane};
use crate::run::goals::Metric;
use crate::run::job::Job;
use crate::run::peer::OIDC_PROVIDER;
use crate::run::scale::Scale;
use crate::run::seed::Seed;

/// Tokens of the peer, whose memory forgets what is beyond a thousand things.
const OF_THE_PEER: usize = 800;

/// Connections of the gRPC door, and how many requests each has under way: 64 together, as at the other doors. An Envoy
/// has a connection for each of its workers, and on it the checks of all requests that the worker has.
const CHECK_CONNECTIONS: usize = 4;
const CHECK_STREAMS: usize = 16;

/// V6: the same tokens as in V1 at each door, just after `/authz` on the same server.
pub(crate) fn others(bench: &mut Bench) -> Result<()> {
    let seed = bench.seed(bench.scale.usual)?;
    let server = bench.start(&seed.data)?;
    let at = |door| vec![verify_lane(VerifyPlan { door, ..all_and_unknown(&seed) }, None)];
    let authz = bench.plan(&server, at(Door::Authz));
    let verify = bench.plan(&server, at(Door::Verify));
    let introspect = bench.plan(&server, at(Door::Introspect));
    let check = bench.plan(&server, vec![check_lane(&seed)]);
    let beside = |label: &'static str| Job::load(label, &authz);

    let verified = bench.take_pair(beside("V6, /authz"), Job::load("V6, verify API", &verify))?;
    bench.ledger.add(Metric::VerifyApiCpu, verified.cpu());
    let introspected =
        bench.take_pair(beside("V6, /authz again"), Job::load("V6, introspection", &introspect))?;
    bench.ledger.add(Metric::IntrospectCpu, introspected.cpu());
    let checked = bench.take_pair(beside("V6, /authz before gRPC"), Job::load("V6, gRPC Check", &check))?;
    bench.ledger.add(Metric::CheckCpu, checked.cpu());
    peer(bench, &introspect)?;
    limits(bench, &authz)?;
    server.stop()
}

fn check_lane(seed: &Seed) -> LanePlan {
    let door = Door::Check { streams: CHECK_STREAMS };
    let lane = verify_lane(VerifyPlan { door, ..all_and_unknown(seed) }, None);
    LanePlan { connections: CHECK_CONNECTIONS, ..lane }
}

/// Introspection once more, just after the peer's, which knows few tokens.
fn peer(bench: &mut Bench, introspect: &Plan) -> Result<()> {
    let tokens = bench.scratch("oidc-tokens")?;
    let peer = bench.peer(&OIDC_PROVIDER, &tokens, OF_THE_PEER)?;
    let work = WorkPlan::IntrospectOidc { tokens, unknown: Scale::unknown_beside(OF_THE_PEER) };
    let lane = LanePlan { name: "introspect".into(), connections: 64, rate: None, work };
    let theirs = bench.plan_for(peer.address, peer.pid(), vec![lane]);
    // Its code is compiled while it runs.
    let theirs = Plan { warm_up_ms: theirs.warm_up_ms * 3, ..theirs };
    let pair = bench.take_pair(
        Job::load("V6, introspection of oidc-provider", &theirs),
        Job::load("V6, introspection beside it", introspect),
    )?;
    bench.ledger.add(Metric::IntrospectCpuOfPeer, 1.0 / pair.cpu());
    Ok(())
}

/// `/authz` with as many tokens that all have limits, on a server of their own, just after `/authz` without.
fn limits(bench: &mut Bench, authz: &Plan) -> Result<()> {
    let seed = bench.limited_seed(bench.scale.usual)?;
    let server = bench.start(&seed.data)?;
    let limited = bench.plan(&server, vec![verify_lane(all_and_unknown(&seed), None)]);
    let pair = bench.take_pair(
        Job::load("V6, /authz without limits", authz),
        Job::load("V6, /authz with limits", &limited),
    )?;
    bench.ledger.add(Metric::LimitedCpu, pair.cpu());
    server.stop()
}
