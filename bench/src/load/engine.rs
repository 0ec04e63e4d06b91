//! The loop: one poll, all lanes.

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use mio::{Events, Poll, Token};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use super::lane::{Lane, Turn, open_works};
use super::report::Report;
use super::tally::Window;
use super::{LanePlan, Plan};
use crate::proc;

/// How long after the measured time answers are still waited for.
const DRAIN: Duration = Duration::from_secs(3);

/// Longest sleep of the loop: how exactly the ends of the measured time are met in a closed loop.
const NAP: Duration = Duration::from_millis(10);

/// A sleep that is shorter costs more than it saves.
const WORTH_A_SLEEP: Duration = Duration::from_micros(10);

/// Connections of one lane at most; the number of the lane stands above them in a [`Token`].
const LANE: usize = 1 << 16;

/// Runs a plan to its end. Fails when the server cannot be reached, or closes a connection that it should
/// not.
pub(crate) fn run(plan: &Plan) -> Result<Report> {
    let works = open_works(&plan.lanes)?;
    // Who keeps a schedule does not oversleep by the usual 50 us.
    rustix::thread::set_current_timer_slack(Some(NonZeroU64::MIN)).context("prctl")?;
    let begin = Instant::now();
    let start = begin + Duration::from_millis(plan.warm_up_ms);
    let window = Window { start, end: start + Duration::from_millis(plan.measured_ms) };
    let lanes = plan.lanes.iter().zip(works);
    let lanes = lanes.map(|(plan, work)| Lane::prepare(plan, work, begin, window)).collect::<Result<_>>()?;
    let longest_nap = if plan.awake { Duration::ZERO } else { NAP };
    let mut engine = Engine { poll: Poll::new()?, lanes, until_closed: plan.until_closed, longest_nap };
    engine.connect(plan.address, &plan.lanes)?;

    engine.send_until(window.start)?;
    let before = Sample::take(plan)?;
    engine.send_until(window.end)?;
    let after = Sample::take(plan)?;
    engine.drain(window.end.min(after.at))?;
    engine.report(&before, &after, window)
}

/// The loop's state.
struct Engine {
    poll: Poll,
    lanes: Vec<Lane>,
    until_closed: bool,
    longest_nap: Duration,
}

impl Engine {
    fn connect(&mut self, address: SocketAddr, plans: &[LanePlan]) -> Result<()> {
        for (number, (lane, plan)) in self.lanes.iter_mut().zip(plans).enumerate() {
            anyhow::ensure!((1..LANE).contains(&plan.connections), "1 to {LANE} connections a lane");
            let token = |place| Token(number * LANE + place);
            lane.connect(address, self.poll.registry(), plan.connections, token)?;
        }
        Ok(())
    }

    /// Sends and receives until `end`, or until no lane will ever send again.
    fn send_until(&mut self, end: Instant) -> Result<()> {
        let mut events = Events::with_capacity(1024);
        loop {
            let now = Instant::now();
            if now >= end || self.lanes.iter().all(Lane::is_over) {
                return Ok(());
            }
            for number in 0..self.lanes.len() {
                self.send_due(number, now)?;
            }
            let nap = match self.lanes.iter().filter_map(Lane::next_due).min() {
                Some(due) => {
                    self.sleep_until(due.min(end))?;
                    Duration::ZERO
                }
                None => self.longest_nap.min(end - now),
            };
            self.poll_once(&mut events, nap)?;
            for event in &events {
                let (number, place) = (event.token().0 / LANE, event.token().0 % LANE);
                if let Turn::Answered(now) = self.on_ready(number, place, event.is_writable())? {
                    self.send_due(number, now)?;
                }
            }
        }
    }

    /// Sends what was due before `end` and found no free connection, and receives what is under way: for a
    /// while.
    fn drain(&mut self, end: Instant) -> Result<()> {
        let limit = Instant::now() + DRAIN;
        let mut events = Events::with_capacity(1024);
        loop {
            for number in 0..self.lanes.len() {
                if self.lanes[number].is_timed() {
                    self.send_due(number, end)?;
                }
            }
            if Instant::now() >= limit || self.lanes.iter().all(Lane::is_quiet) {
                return Ok(());
            }
            self.poll_once(&mut events, NAP)?;
            for event in &events {
                self.on_ready(event.token().0 / LANE, event.token().0 % LANE, event.is_writable())?;
            }
        }
    }

    /// Sleeps until then, or until a connection is ready. The poll itself knows whole milliseconds only, and a generator
    /// that never slept would take from the server what the machine gives to both.
    fn sleep_until(&self, time: Instant) -> Result<()> {
        let left = time.saturating_duration_since(Instant::now());
        if left < WORTH_A_SLEEP {
            return Ok(());
        }
        let timeout = Timespec::try_from(left.min(NAP)).context("a time of some milliseconds")?;
        let poll = self.poll.registry().as_fd();
        match rustix::event::poll(&mut [PollFd::new(&poll, PollFlags::IN)], Some(&timeout)) {
            Err(error) if error != Errno::INTR => Err(error).context("poll"),
            _ => Ok(()),
        }
    }

    fn poll_once(&mut self, events: &mut Events, nap: Duration) -> Result<()> {
        match self.poll.poll(events, Some(nap)) {
            Err(error) if error.kind() != std::io::ErrorKind::Interrupted => Err(error).context("epoll"),
            _ => Ok(()),
        }
    }

    fn send_due(&mut self, number: usize, now: Instant) -> Result<()> {
        let sent = self.lanes[number].send_due(now);
        // A socket that the server has just closed refuses; the poll is about to say which.
        if self.until_closed { Ok(()) } else { sent }
    }

    fn on_ready(&mut self, number: usize, place: usize, writable: bool) -> Result<Turn> {
        let lane = &mut self.lanes[number];
        match lane.on_ready(place, writable) {
            Ok(Turn::Closed) | Err(_) if self.until_closed => {
                lane.on_closed(place);
                Ok(Turn::Closed)
            }
            Ok(Turn::Closed) => anyhow::bail!("the server closed a connection"),
            turn => turn,
        }
    }

    fn report(self, before: &Sample, after: &Sample, window: Window) -> Result<Report> {
        let seconds = (after.at - before.at).as_secs_f64();
        let now = Instant::now();
        let lanes = self.lanes.into_iter().map(|lane| lane.finish(window.end.min(after.at), now, seconds));
        Ok(Report {
            seconds,
            server_cpu_us: after.server_cpu_us.saturating_sub(before.server_cpu_us),
            server_file_reads: after.server_file_reads.saturating_sub(before.server_file_reads),
            generator_cpu_us: after.generator_cpu_us - before.generator_cpu_us,
            cores_busy: after.machine.shares_since(&before.machine),
            lanes: lanes.collect::<Result<_>>()?,
        })
    }
}

/// The counters of the kernel at one end of the measured time.
struct Sample {
    at: Instant,
    server_cpu_us: u64,
    server_file_reads: u64,
    generator_cpu_us: u64,
    machine: proc::Machine,
}

impl Sample {
    /// A server that is gone has used nothing.
    fn take(plan: &Plan) -> Result<Self> {
        let of =
            |pid: Option<u32>, read: fn(u32) -> Result<u64>| pid.and_then(|pid| read(pid).ok()).unwrap_or(0);
        Ok(Self {
            at: Instant::now(),
            server_cpu_us: of(plan.server, proc::cpu_micros) + of(plan.database, proc::tree_cpu_micros),
            server_file_reads: of(plan.server, proc::file_reads),
            generator_cpu_us: proc::cpu_micros(std::process::id())?,
            machine: proc::Machine::now()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::{Credential, Seeded, Writer, mint_unknown};
    use crate::load::{Door, RightAnswer, VerifyPlan, WorkPlan};
    use crate::reference::hyper::serve_in_background;
    use crate::wire::{check, http2};
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::path::Path;

    /// Writes a file of `count` tokens.
    fn tokens(path: &Path, count: usize) -> Result<String> {
        let entropy = Seeded::new(9);
        let mut file = Writer::create(path)?;
        for number in 0..count {
            let (client_id, secret) = mint_unknown(&entropy);
            file.push(Credential { id: &number.to_string(), client_id: &client_id, secret: &secret })?;
        }
        file.finish()?;
        crate::credentials::read(path)
    }

    fn verify_once(address: SocketAddr, tokens: &Path, rate: Option<u64>) -> Plan {
        let work = VerifyPlan {
            tokens: Some(tokens.to_owned()),
            skip: 0,
            live: 900,
            unknown: 100,
            once: true,
            right: RightAnswer::Judged,
            door: Door::Authz,
        };
        let lane = LanePlan { name: "verify".into(), connections: 8, rate, work: WorkPlan::Verify(work) };
        Plan {
            address,
            server: None,
            database: None,
            warm_up_ms: 0,
            measured_ms: 20_000,
            until_closed: false,
            awake: false,
            lanes: vec![lane],
        }
    }

    #[test]
    fn exactly_the_unknown_ones_are_refused() -> Result<()> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("tokens");
        let address = serve_in_background(&tokens(&path, 900)?)?;
        for rate in [None, Some(5_000)] {
            let report = run(&verify_once(address, &path, rate))?;
            let lane = &report.lanes[0];
            assert_eq!(
                (lane.answers, lane.refused, lane.wrong, lane.unanswered),
                (1000, 100, 0, 0),
                "{lane:?}"
            );
            assert!(report.seconds < 10.0, "it ends when the list does");
        }
        Ok(())
    }

    #[test]
    fn one_wrong_refusal_is_seen() -> Result<()> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("tokens");
        let text = tokens(&path, 900)?;
        let (all_but_one, _) = text.trim_end().rsplit_once('\n').context("one line")?;
        let report = run(&verify_once(serve_in_background(all_but_one)?, &path, None))?;
        assert_eq!((report.lanes[0].refused, report.lanes[0].wrong), (101, 1));
        assert_eq!(report.lanes[0].first_wrong.as_deref(), Some("401 instead of 200: "));
        Ok(())
    }

    /// Answers the first connection in HTTP/2: four calls are awaited each time, and answered in one write, in another
    /// order; all but the first of them with what grants.
    fn answer_calls_by_four() -> Result<SocketAddr> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        std::thread::spawn(move || -> std::io::Result<()> {
            let (mut stream, _) = listener.accept()?;
            stream.read_exact(&mut [0; b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len()])?;
            let (mut inbox, mut calls, mut part) = (Vec::new(), Vec::new(), [0; 4096]);
            loop {
                let count = stream.read(&mut part)?;
                if count == 0 {
                    return Ok(());
                }
                inbox.extend_from_slice(&part[..count]);
                while let Ok(Some((frame, end))) = http2::parse_frame(&inbox) {
                    if let http2::Frame::Data { stream, ends: true, .. } = frame {
                        calls.push(stream);
                    }
                    inbox.drain(..end);
                }
                if calls.len() < 4 {
                    continue;
                }
                let message = |stream| if stream == 1 { check::UNKNOWN } else { check::GRANTED };
                let answers =
                    calls.drain(..).rev().map(|stream| http2::tests::answer(stream, message(stream)));
                stream.write_all(&answers.flatten().collect::<Vec<u8>>())?;
            }
        });
        Ok(address)
    }

    #[test]
    fn several_calls_are_under_way_on_one_connection() -> Result<()> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("tokens");
        tokens(&path, 20)?;
        let mut plan = verify_once(answer_calls_by_four()?, &path, None);
        let door = Door::Check { streams: 4 };
        let work = VerifyPlan { tokens: Some(path), live: 20, door, once: true, ..VerifyPlan::of_unknown(0) };
        (plan.lanes[0].connections, plan.lanes[0].work) = (1, WorkPlan::Verify(work));
        let lane = &run(&plan)?.lanes[0];
        assert_eq!((lane.answers, lane.wrong, lane.unanswered), (20, 1, 0), "{lane:?}");
        Ok(())
    }

    #[test]
    fn a_fixed_rate_is_kept() -> Result<()> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("tokens");
        let address = serve_in_background(&tokens(&path, 900)?)?;
        let report = run(&verify_once(address, &path, Some(2_000)))?;
        assert!(report.seconds >= 0.49, "1,000 requests at 2,000/s took {} s", report.seconds);
        Ok(())
    }

    #[test]
    fn what_was_due_in_time_is_sent_late_but_sent() -> Result<()> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("tokens");
        let mut plan = verify_once(serve_in_background(&tokens(&path, 900)?)?, &path, Some(100_000));
        (plan.measured_ms, plan.lanes[0].connections) = (10, 1);
        let lane = &run(&plan)?.lanes[0];
        assert_eq!((lane.answers, lane.wrong, lane.unanswered), (1000, 0, 0), "{lane:?}");
        assert!(lane.completed < 1000 && lane.latency.max_us > 5_000.0, "they were late: {lane:?}");
        Ok(())
    }

    #[test]
    fn a_server_that_closes_is_an_error_unless_it_is_to_be_killed() -> Result<()> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("tokens");
        tokens(&path, 900)?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        std::thread::spawn(move || listener.incoming().take(16).for_each(drop));
        let mut plan = verify_once(address, &path, None);
        assert!(run(&plan).is_err());
        plan.until_closed = true;
        let report = run(&plan)?;
        assert_eq!((report.lanes[0].answers, report.lanes[0].wrong), (0, 0));
        Ok(())
    }

    /// Answers one request with `answer`, in parts of 3,000 bytes with rests between them.
    fn answer_in_parts(answer: String) -> Result<SocketAddr> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        std::thread::spawn(move || -> std::io::Result<()> {
            let (mut stream, _) = listener.accept()?;
            let _ = stream.read(&mut [0; 4096])?;
            for part in answer.as_bytes().chunks(3_000) {
                std::thread::sleep(Duration::from_millis(5));
                stream.write_all(part)?;
            }
            stream.read_to_end(&mut Vec::new()).map(drop)
        });
        Ok(address)
    }

    #[test]
    fn an_answer_may_come_in_parts_and_what_it_issued_is_kept() -> Result<()> {
        let directory = tempfile::tempdir()?;
        let answered = directory.path().join("answered");
        let token = r#""id":"7","client_id":"c.access","client_secret":"s""#;
        let body = format!(r#"{{"result":{{{token},"name":"{}"}}}}"#, "n".repeat(20_000));
        let head = format!("HTTP/1.1 201 Created\r\ncontent-length: {}\r\n\r\n", body.len());
        let work = WorkPlan::Create { count: Some(1), answered: Some(answered.clone()), limited: false };
        let lane = LanePlan { name: "create".into(), connections: 1, rate: None, work };
        let address = answer_in_parts(head + &body)?;
        let report = run(&Plan { lanes: vec![lane], ..verify_once(address, &answered, None) })?;
        assert_eq!((report.lanes[0].answers, report.lanes[0].wrong), (1, 0), "{report:?}");
        assert_eq!(crate::credentials::read(&answered)?, "7 c.access s\n");
        Ok(())
    }
}
