//! V6: the other doors beside `/authz`, and npm's `oidc-provider` beside introspection.

use anyhow::Result;

use crate::load::{Door, LanePlan, Plan, VerifyPlan, WorkPlan};
use crate::run::bench::{Bench, all_and_unknown, verify_lane};
use crate::run::goals::Metric;
use crate::run::job::Job;
use crate::run::peer::OIDC_PROVIDER;
use crate::run::scale::Scale;

/// Tokens of the peer, whose memory forgets what is beyond a thousand things.
const OF_THE_PEER: usize = 800;

/// Connections of the gRPC door, and how many requests each has under way: 64 together, as at the other doors. An Envoy
/// has a connection for each of its workers, and on it the checks of all requests that the worker has.
const CHECK_CONNECTIONS: usize = 4;
const CHECK_STREAMS: usize = 16;

/// V6: the same tokens as in V1 at each door, just after `/authz` on the same server; and introspection once more just
/// after the peer's, which knows few tokens.
pub(crate) fn others(bench: &mut Bench) -> Result<()> {
    let seed = bench.seed(bench.scale.usual)?;
    let server = bench.start(&seed.data)?;
    let at = |door| vec![verify_lane(VerifyPlan { door, ..all_and_unknown(&seed) }, None)];
    let authz = bench.plan(&server, at(Door::Authz));
    let verify = bench.plan(&server, at(Door::Verify));
    let introspect = bench.plan(&server, at(Door::Introspect));
    let check = at(Door::Check { streams: CHECK_STREAMS })
        .into_iter()
        .map(|lane| LanePlan { connections: CHECK_CONNECTIONS, ..lane });
    let check = bench.plan(&server, check.collect());
    let beside = |label: &'static str| Job::load(label, &authz);
    let verified = bench.take_pair(beside("V6, /authz"), Job::load("V6, verify API", &verify))?;
    let introspected =
        bench.take_pair(beside("V6, /authz again"), Job::load("V6, introspection", &introspect))?;
    let checked = bench.take_pair(beside("V6, /authz before Check"), Job::load("V6, gRPC Check", &check))?;

    let tokens = bench.scratch("oidc-tokens")?;
    let peer = bench.peer(&OIDC_PROVIDER, &tokens, OF_THE_PEER)?;
    let work = WorkPlan::IntrospectOidc { tokens, unknown: Scale::unknown_beside(OF_THE_PEER) };
    let lane = LanePlan { name: "introspect".into(), connections: 64, rate: None, work };
    let theirs = bench.plan_for(peer.address, peer.pid(), vec![lane]);
    // Its code is compiled while it runs.
    let theirs = Plan { warm_up_ms: theirs.warm_up_ms * 3, ..theirs };
    let beside_peer = bench.take_pair(
        Job::load("V6, introspection of oidc-provider", &theirs),
        Job::load("V6, introspection beside it", &introspect),
    )?;
    server.stop()?;

    bench.ledger.add(Metric::VerifyApiCpu, verified.cpu());
    bench.ledger.add(Metric::IntrospectCpu, introspected.cpu());
    bench.ledger.add(Metric::IntrospectCpuOfPeer, 1.0 / beside_peer.cpu());
    bench.ledger.add(Metric::CheckCpu, checked.cpu());
    Ok(())
}
