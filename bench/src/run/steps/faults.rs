//! W4 and S3: what was answered must hold, at once and after a kill.

use std::time::Duration;

use anyhow::Result;

use crate::credentials;
use crate::load::{Door, LanePlan, Plan, RightAnswer, VerifyPlan, WorkPlan};
use crate::run::bench::{Bench, verify_lane};
use crate::run::goals::Metric;

/// W4: tokens are revoked one by one and verified at once on another connection, while others are verified.
pub(crate) fn revoke(bench: &mut Bench) -> Result<()> {
    let seed = bench.seed(bench.scale.usual)?;
    let data = bench.copy_of(&seed)?;
    let server = bench.start(&data)?;
    let revoked = bench.scale.revocations;
    let others = VerifyPlan {
        tokens: Some(seed.tokens.clone()),
        skip: revoked,
        live: seed.count - revoked,
        unknown: 0,
        once: false,
        right: RightAnswer::Judged,
        door: Door::Authz,
    };
    // Four connections keep the server busy and leave the generator's core to the one that counts. The load
    // ends when the server stops.
    let others = LanePlan { connections: 4, ..verify_lane(others, None) };
    let plan =
        Plan { until_closed: true, warm_up_ms: 0, measured_ms: 600_000, ..bench.plan(&server, vec![others]) };
    let load = bench.send_in_background(&plan)?;
    let seen = bench.revoke_then_verify(&server, &seed.tokens)?;
    server.stop()?;
    bench.record_in_background("W4, beside", load)?;

    anyhow::ensure!(seen.revoked as usize == revoked, "only {} of {revoked} were revoked", seen.revoked);
    bench.ledger.add(Metric::GrantsAfterRevoke, seen.granted_after as f64);
    if seen.granted_after > 0 {
        bench.ledger.wrong(format!("W4: {} of {revoked} revoked tokens were granted", seen.granted_after));
    }
    if let Some(status) = seen.first_otherwise {
        let otherwise = seen.otherwise_after;
        bench
            .ledger
            .wrong(format!("W4: {otherwise} of {revoked} revoked tokens were not refused ({status})"));
    }
    Ok(())
}

/// S3: the server is killed while it creates; every token that was answered must verify after a restart.
pub(crate) fn kill(bench: &mut Bench) -> Result<()> {
    let data = bench.scratch("kill")?;
    let answered = bench.scratch("answered")?;
    let server = bench.start(&data)?;
    let work = WorkPlan::Create { count: None, answered: Some(answered.clone()), limited: false };
    let lane = LanePlan { name: "create".into(), connections: 64, rate: None, work };
    let plan =
        Plan { until_closed: true, warm_up_ms: 0, measured_ms: 600_000, ..bench.plan(&server, vec![lane]) };
    let load = bench.send_in_background(&plan)?;
    std::thread::sleep(bench.scale.warm_up + Duration::from_secs(1));
    server.kill()?;
    bench.record_in_background("S3, before the kill", load)?;

    let live = credentials::read(&answered)?.lines().count();
    anyhow::ensure!(live > 0, "no create was answered before the kill");
    let server = bench.start(&data)?;
    let all = VerifyPlan {
        tokens: Some(answered),
        skip: 0,
        live,
        unknown: 0,
        once: true,
        right: RightAnswer::Judged,
        door: Door::Authz,
    };
    let plan =
        Plan { warm_up_ms: 0, measured_ms: 600_000, ..bench.plan(&server, vec![verify_lane(all, None)]) };
    let taken = bench.take("S3, after the restart", &plan)?;
    server.stop()?;
    let verified = taken.lane("verify")?;
    anyhow::ensure!(verified.answers as usize == live, "{} of {live} were verified", verified.answers);
    bench.ledger.add(Metric::LostCreates, verified.wrong as f64);
    Ok(())
}
