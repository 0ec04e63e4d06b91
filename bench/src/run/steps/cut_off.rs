//! P6: a node that is cut off from PostgreSQL.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::credentials::{self, Credential};
use crate::run::bench::Bench;
use crate::run::goals::Metric;
use crate::run::nodes::{Nodes, Way};
use crate::wire::client::Client;
use crate::wire::request;

/// How long a node is cut off: twice as long as it may go on.
const CUT_OFF: Duration = Duration::from_secs(4);

/// Longest time for a node that is connected again to serve.
const PATIENCE: Duration = Duration::from_secs(60);

/// From one verification to the next.
const BETWEEN: Duration = Duration::from_micros(500);

/// How long ago a node was seen that nobody hears of any more, in microseconds; the other one still is.
const UNSEEN_FOR: &str =
    "SELECT (extract(epoch FROM clock_timestamp() - min(seen_at)) * 1000000)::bigint FROM nodes";

/// P6: *B* is cut off, again and again: its connections stay, but nothing goes through. A token is revoked on *A* just
/// after that, of which *B* cannot hear. Until when does *B* grant it? Afterwards it must answer 503, as is its policy; and
/// connected again, refuse the token and grant another one.
pub(crate) fn cut_off(bench: &mut Bench) -> Result<()> {
    let seed = bench.seed(bench.scale.few)?;
    let nodes = Nodes::start(bench, &seed, Way::Proxied)?;
    let known = nodes.database.ask_number("SELECT count(*) FROM nodes")?;
    anyhow::ensure!(known == 2, "PostgreSQL knows {known} nodes, not 2");
    let text = credentials::read(&seed.tokens)?;
    let mut tokens = credentials::parse(&text);
    let stays = tokens.next().context("there is no token")??;
    let mut back = Duration::ZERO;
    for (number, token) in (0..bench.scale.cuts).zip(tokens) {
        // At another moment between two polls each time.
        sleep(Duration::from_secs(1) + Duration::from_millis(83) * number);
        let seen = cut_once(&nodes, token?, stays)?;
        bench.ledger.add(Metric::CutOffGrant, seen.last_grant.as_secs_f64());
        back = back.max(seen.back);
        seen.wrong.into_iter().for_each(|wrong| bench.ledger.wrong(format!("P6: {wrong}")));
    }
    bench.ledger.note(format!("P6: connected again, B served after {:.3} s at most", back.as_secs_f64()));
    nodes.stop()
}

/// What was seen of a node that was cut off.
struct Seen {
    /// From when its last good poll was sent to the start of the last verification that was granted.
    last_grant: Duration,
    /// From when it was connected again to its first grant.
    back: Duration,
    wrong: Vec<String>,
}

fn cut_once(nodes: &Nodes, revoked: Credential<'_>, stays: Credential<'_>) -> Result<Seen> {
    let proxy = nodes.proxy.as_ref().context("B is connected directly")?;
    let [revoked_id, revoked, stays] = [
        request::revoke(revoked.id),
        request::verify(revoked.client_id, revoked.secret),
        request::verify(stays.client_id, stays.secret),
    ];
    let mut door = Door { client: Client::connect(nodes.b.address)?, wrong: Vec::new() };
    door.ask(&revoked, &[200], "before it was cut off")?;
    proxy.block();
    let answer = Client::connect(nodes.a.address)?.ask(&revoked_id)?.status;
    anyhow::ensure!(answer == 200, "the revocation was answered {answer}");
    let last = door.watch(&revoked)?;
    // Later than it was by the time that this question takes: a small part of that between two polls.
    let unseen_for = Duration::from_micros(nodes.database.ask_number(UNSEEN_FOR)?);
    let polled = proxy.last_poll_before(Instant::now() - unseen_for)?;
    proxy.unblock();
    let back = door.until_back(&revoked, &stays)?;
    Ok(Seen { last_grant: last - polled, back, wrong: door.wrong })
}

/// *B*'s.
struct Door {
    client: Client,
    wrong: Vec<String>,
}

impl Door {
    /// Gives the status, which has to be one of these.
    fn ask(&mut self, verify: &[u8], right: &[u16], when: &str) -> Result<u16> {
        let status = self.client.ask(verify)?.status;
        if !right.contains(&status) {
            self.wrong.push(format!("{status} instead of {right:?} {when}"));
        }
        Ok(status)
    }

    /// Shows a token for as long as the node is cut off. Gives when the last verification began that was granted.
    fn watch(&mut self, verify: &[u8]) -> Result<Instant> {
        let (begin, mut last, mut is_over) = (Instant::now(), None, false);
        while begin.elapsed() < CUT_OFF {
            let started = Instant::now();
            let right: &[u16] = if is_over { &[503] } else { &[200, 503] };
            match self.ask(verify, right, "while it was cut off")? {
                200 => last = Some(started),
                status => is_over |= status == 503,
            }
            sleep(BETWEEN);
        }
        last.context("nothing was granted just after the cut: how long it may be is not seen")
    }

    /// Asks the node, connected again, until it grants `stays`. It must never grant `revoked`.
    fn until_back(&mut self, revoked: &[u8], stays: &[u8]) -> Result<Duration> {
        let connected = Instant::now();
        while connected.elapsed() < PATIENCE {
            self.ask(revoked, &[401, 503], "connected again, for what was revoked")?;
            if self.ask(stays, &[200, 503], "connected again")? == 200 {
                let back = connected.elapsed();
                self.ask(revoked, &[401], "when it served again, for what was revoked")?;
                return Ok(back);
            }
            sleep(BETWEEN);
        }
        anyhow::bail!("{PATIENCE:?} after it was connected again B does not serve")
    }
}
