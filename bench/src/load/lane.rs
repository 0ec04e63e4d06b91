//! A lane: one kind of work on its own connections.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, Result};
use mio::{Registry, Token};

use super::connection::{Connection, Received, Sent};
use super::pace::Pace;
use super::report::LaneReport;
use super::tally::{Tally, Window};
use super::work::{self, Work};
use super::{LanePlan, Protocol};

/// What became of a connection that could be read or written.
pub(super) enum Turn {
    /// Nothing that matters.
    Waiting,
    /// Something was answered, the last at this time, so it can send again.
    Answered(Instant),
    /// The server has closed it.
    Closed,
}

/// The lane and everything it has under way.
pub(super) struct Lane {
    name: String,
    protocol: Protocol,
    work: Box<dyn Work>,
    pace: Pace,
    tally: Tally,
    /// `None` in the place of one that the server has closed.
    connections: Vec<Option<Connection>>,
    /// Which connections can send: each as often as it may have requests under way and has not.
    free: Vec<usize>,
    /// Which connections have been given something to send that has not left yet.
    unsent: Vec<usize>,
    /// The work has nothing left to send.
    exhausted: bool,
}

impl Lane {
    /// Prepares the work; connects with [`Self::connect`].
    pub(super) fn prepare(
        plan: &LanePlan,
        work: Box<dyn Work>,
        begin: Instant,
        window: Window,
    ) -> Result<Self> {
        let protocol = plan.work.protocol();
        anyhow::ensure!(protocol.at_once() > 0, "a connection without streams sends nothing");
        Ok(Self {
            name: plan.name.clone(),
            protocol,
            work,
            pace: Pace::new(begin, plan.rate),
            tally: Tally::new(window)?,
            connections: Vec::with_capacity(plan.connections),
            free: Vec::with_capacity(plan.connections * protocol.at_once()),
            unsent: Vec::new(),
            exhausted: false,
        })
    }

    /// Opens `count` connections; `token` names the place of each to the poll.
    pub(super) fn connect(
        &mut self,
        address: SocketAddr,
        registry: &Registry,
        count: usize,
        token: impl Fn(usize) -> Token,
    ) -> Result<()> {
        for place in 0..count {
            let connection = Connection::connect(address, self.protocol, registry, token(place))
                .with_context(|| format!("cannot connect to {address}"))?;
            self.connections.push(Some(connection));
        }
        // By turns, so that few requests are spread over all connections.
        for _ in 0..self.protocol.at_once() {
            self.free.extend(0..count);
        }
        Ok(())
    }

    /// Sends what is due on the connections that are free. An error is that of a socket.
    pub(super) fn send_due(&mut self, now: Instant) -> Result<()> {
        while let Some(&place) = self.free.last() {
            if self.exhausted {
                break;
            }
            let Some(due) = self.pace.take(now) else { break };
            let Some((ticket, request)) = self.work.next() else {
                self.exhausted = true;
                break;
            };
            self.free.pop();
            let Some(connection) = &mut self.connections[place] else { continue };
            connection.send(request, Sent { ticket, due })?;
            if connection.has_unsent() && self.unsent.last() != Some(&place) {
                self.unsent.push(place);
            }
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<()> {
        while let Some(place) = self.unsent.pop() {
            if let Some(connection) = &mut self.connections[place] {
                connection.flush()?;
            }
        }
        Ok(())
    }

    /// A connection can be read or written. Gives what that means for the lane.
    pub(super) fn on_ready(&mut self, place: usize, writable: bool) -> Result<Turn> {
        let Some(connection) = &mut self.connections[place] else { return Ok(Turn::Waiting) };
        if writable {
            connection.flush()?;
        }
        let mut last = None;
        let received = connection.receive(|sent, status, body| {
            let now = Instant::now();
            let judged = self.work.judge(sent.ticket, status, body);
            self.tally.answer(sent.due, now, status, judged);
            self.free.push(place);
            last = Some(now);
        })?;
        Ok(match (received, last) {
            (Received::Closed, _) => Turn::Closed,
            (Received::All, Some(now)) => Turn::Answered(now),
            (Received::All, None) => Turn::Waiting,
        })
    }

    /// The server has gone from this connection.
    pub(super) fn on_closed(&mut self, place: usize) {
        self.connections[place] = None;
        self.free.retain(|free| *free != place);
    }

    /// Whether nothing is under way.
    pub(super) fn is_quiet(&self) -> bool {
        self.free.len() == self.open() * self.protocol.at_once()
    }

    /// Whether it will never send again.
    pub(super) fn is_over(&self) -> bool {
        self.open() == 0 || (self.exhausted && self.is_quiet())
    }

    fn open(&self) -> usize {
        self.connections.iter().flatten().count()
    }

    /// When it wants to send next, whatever is answered until then. `None`: it waits for an answer, or for nothing.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let can_send = !self.exhausted && !self.free.is_empty();
        self.pace.due().filter(|_| can_send)
    }

    /// Whether its requests have times of their own.
    pub(super) fn is_timed(&self) -> bool {
        self.pace.is_fixed()
    }

    /// Ends the lane: what is still unanswered at `now`, sent or only due before `end`, counts as that slow.
    pub(super) fn finish(mut self, end: Instant, now: Instant, seconds: f64) -> Result<LaneReport> {
        for sent in self.connections.iter().flatten().flat_map(Connection::under_way) {
            self.tally.no_answer(sent.due, now);
        }
        if self.pace.is_fixed() && !self.exhausted {
            while let Some(due) = self.pace.take(end) {
                self.tally.no_answer(due, now);
            }
        }
        self.work.finish()?;
        Ok(self.tally.report(self.name, seconds))
    }
}

/// Opens the work of every lane of a plan; done before any clock runs, because reading a million tokens takes
/// time.
pub(super) fn open_works(plans: &[LanePlan]) -> Result<Vec<Box<dyn Work>>> {
    plans.iter().map(|plan| work::open(&plan.work).with_context(|| format!("lane {}", plan.name))).collect()
}
