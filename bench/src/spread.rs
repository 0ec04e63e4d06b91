//! Changes something on one node and asks another about it until it knows, again and again.

use std::net::SocketAddr;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::Deserialize;

use crate::credentials;
use crate::load::{LaneReport, Report, Times};
use crate::proc;
use crate::wire::client::Client;
use crate::wire::request;

/// Longest time for the other node: far beyond all that is allowed, so that how far is seen.
const PATIENCE: Duration = Duration::from_secs(20);

/// From one question to the next: the other node has more to do than to answer us.
const BETWEEN: Duration = Duration::from_micros(250);

/// Lane of the report: from the change to when the other node knows.
pub(crate) const KNOWN: &str = "known";

/// Lane of the report: the change itself.
const CHANGED: &str = "changed";

/// What is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// A token is revoked; the other node knows when it refuses it. Timed from when the revocation was sent.
    Revoke,
    /// A token is created; the other node knows when it grants it. Timed from when the creation was answered: nobody has the
    /// secret before.
    Create,
}

impl Kind {
    /// As the command line calls it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Revoke => "revoke",
            Self::Create => "create",
        }
    }
}

/// The part of an answer to a creation that is needed.
#[derive(Deserialize)]
struct Created<'a> {
    #[serde(borrow)]
    result: Issued<'a>,
}

#[derive(Deserialize)]
struct Issued<'a> {
    client_id: &'a str,
    client_secret: &'a str,
}

/// Two nodes and what was seen of them.
struct Spread {
    manager: Client,
    /// A door of the same node.
    near: Client,
    /// A door of the other one.
    far: Client,
    known: Times,
    changed: Times,
    count: u64,
    wrong: u64,
    first_wrong: Option<String>,
}

/// Does it `count` times: revokes the first tokens of a file, or creates as many. Fails when one is not revoked or created,
/// or was not granted before.
pub(crate) fn spread(
    kind: Kind,
    at: SocketAddr,
    to: SocketAddr,
    tokens: &Path,
    count: usize,
) -> Result<Report> {
    let (start, machine) = (Instant::now(), proc::Machine::now()?);
    let mut spread = Spread {
        manager: Client::connect(at).context("cannot connect")?,
        near: Client::connect(at).context("cannot connect")?,
        far: Client::connect(to).context("cannot connect to the other node")?,
        known: Times::new()?,
        changed: Times::new()?,
        count: 0,
        wrong: 0,
        first_wrong: None,
    };
    match kind {
        Kind::Create => (0..count).try_for_each(|number| spread.create(number))?,
        Kind::Revoke => {
            let text = credentials::read(tokens)?;
            credentials::parse(&text).take(count).try_for_each(|token| spread.revoke(token?))?;
        }
    }
    anyhow::ensure!(spread.count == count as u64, "there are only {} tokens", spread.count);
    let cores_busy = proc::Machine::now()?.shares_since(&machine);
    Ok(spread.report(start.elapsed().as_secs_f64(), cores_busy))
}

impl Spread {
    fn revoke(&mut self, token: credentials::Credential<'_>) -> Result<()> {
        let verify = request::verify(token.client_id, token.secret);
        for door in [&mut self.near, &mut self.far] {
            let before = door.ask(&verify)?.status;
            anyhow::ensure!(before == 200, "{} was answered {before} before it was revoked", token.id);
        }
        let sent = Instant::now();
        let revoked = self.manager.ask(&request::revoke(token.id))?.status;
        anyhow::ensure!(revoked == 200, "the revocation of {} was answered {revoked}", token.id);
        self.changed.add(sent.elapsed());
        self.until_known(sent, &verify, [200, 401])
    }

    fn create(&mut self, number: usize) -> Result<()> {
        let sent = Instant::now();
        let answer = self.manager.ask(&request::create(&format!("spread-{number:010}")))?;
        let answered = Instant::now();
        anyhow::ensure!(answer.status == 201, "a creation was answered {}", answer.status);
        self.changed.add(answered - sent);
        let Created { result } = serde_json::from_slice(&answer.body)?;
        self.until_known(answered, &request::verify(result.client_id, result.client_secret), [401, 200])
    }

    /// Asks the other node until it answers as it must; until then it may answer as `before`, and never again afterwards. The
    /// node that made the change knows it at once.
    fn until_known(&mut self, since: Instant, verify: &[u8], [before, after]: [u16; 2]) -> Result<()> {
        self.count += 1;
        loop {
            let status = self.far.ask(verify)?.status;
            if status == after {
                self.known.add(since.elapsed());
                break;
            }
            anyhow::ensure!(since.elapsed() < PATIENCE, "still {status} after {PATIENCE:?}");
            self.expect("the other node, before it knew", status, before);
            sleep(BETWEEN);
        }
        let (far, near) = (self.far.ask(verify)?.status, self.near.ask(verify)?.status);
        self.expect("the other node, once more", far, after);
        self.expect("the same node", near, after);
        Ok(())
    }

    fn expect(&mut self, who: &str, status: u16, right: u16) {
        if status != right {
            self.wrong += 1;
            self.first_wrong.get_or_insert_with(|| format!("{who}: {status} instead of {right}"));
        }
    }

    fn report(self, seconds: f64, cores_busy: Vec<f64>) -> Report {
        let (count, wrong, first_wrong) = (self.count, self.wrong, self.first_wrong);
        let lane = |name: &str, times: &Times| LaneReport {
            name: name.into(),
            completed: count,
            per_second: count as f64 / seconds,
            unanswered: 0,
            answers: count,
            refused: 0,
            wrong: 0,
            first_wrong: None,
            latency: times.latency(),
        };
        let known = LaneReport { wrong, first_wrong, ..lane(KNOWN, &self.known) };
        Report {
            seconds,
            server_cpu_us: 0,
            server_file_reads: 0,
            generator_cpu_us: 0,
            cores_busy,
            lanes: vec![known, lane(CHANGED, &self.changed)],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    /// Answers each request on each connection with the next of these statuses, the last of them for ever.
    fn answering(statuses: Vec<u16>) -> Result<SocketAddr> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let statuses = statuses.clone();
                thread::spawn(move || -> std::io::Result<()> {
                    for number in 0.. {
                        let status = statuses[statuses.len().min(number + 1) - 1];
                        if stream.read(&mut [0; 4096])? == 0 {
                            break;
                        }
                        write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n")?;
                    }
                    Ok(())
                });
            }
        });
        Ok(address)
    }

    fn seen(near: Vec<u16>, far: Vec<u16>, expected: [u16; 2]) -> Result<(u64, Option<String>)> {
        let (near, far) = (answering(near)?, answering(far)?);
        let mut spread = Spread {
            manager: Client::connect(near)?,
            near: Client::connect(near)?,
            far: Client::connect(far)?,
            known: Times::new()?,
            changed: Times::new()?,
            count: 0,
            wrong: 0,
            first_wrong: None,
        };
        let verify = request::verify("id", "secret");
        spread.until_known(Instant::now(), &verify, expected)?;
        let lane = spread.report(1.0, Vec::new()).lanes.swap_remove(0);
        Ok((lane.wrong, lane.first_wrong))
    }

    #[test]
    fn it_is_asked_until_the_other_node_knows() -> Result<()> {
        assert_eq!(seen(vec![401], vec![200, 200, 401], [200, 401])?, (0, None));
        assert_eq!(seen(vec![200], vec![401, 401, 200], [401, 200])?, (0, None));
        Ok(())
    }

    #[test]
    fn a_grant_after_a_refusal_an_error_and_one_on_the_same_node_are_wrong() -> Result<()> {
        let wrong = |near, far| Ok::<_, anyhow::Error>(seen(near, far, [200, 401])?.1.unwrap_or_default());
        assert_eq!(wrong(vec![401], vec![200, 401, 200])?, "the other node, once more: 200 instead of 401");
        assert_eq!(wrong(vec![401], vec![503, 401])?, "the other node, before it knew: 503 instead of 200");
        assert_eq!(wrong(vec![200], vec![200, 401])?, "the same node: 200 instead of 401");
        Ok(())
    }
}
