//! One connection: in HTTP/1.1 with at most one request under way, in HTTP/2 with several.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Instant;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::Protocol;
use super::streams::Streams;
use super::work::Ticket;
use crate::wire::http2::PREFACE;
use crate::wire::response::parse_head;

/// Room for the usual answer, where requests are sent one at a time; it grows for a longer one.
const INBOX: usize = 4096;

/// Room for the answers that come at once to several requests.
const SHARED_INBOX: usize = 1 << 16;

/// A request that was sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    /// Which one.
    pub(super) ticket: Ticket,
    /// When it ought to have been sent.
    pub(super) due: Instant,
}

/// How one turn of reading ended.
pub(super) enum Received {
    /// There is no more for now.
    All,
    /// The server has closed.
    Closed,
}

/// The connection.
pub(super) struct Connection {
    stream: TcpStream,
    inbox: Vec<u8>,
    filled: usize,
    unsent: Vec<u8>,
    under_way: UnderWay,
}

/// What has no answer yet, in the protocol that is spoken.
enum UnderWay {
    Http1(Option<Sent>),
    Http2(Streams),
}

impl Connection {
    /// Connects, and from now on wakes the poll of `registry` as `token`.
    pub(super) fn connect(
        address: SocketAddr,
        protocol: Protocol,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        let stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        let (inbox, unsent, under_way) = match protocol {
            Protocol::Http1 => (INBOX, Vec::new(), UnderWay::Http1(None)),
            Protocol::Http2 { .. } => (SHARED_INBOX, PREFACE.to_vec(), UnderWay::Http2(Streams::new())),
        };
        Ok(Self { stream, inbox: vec![0; inbox], filled: 0, unsent, under_way })
    }

    /// Sends a request; what the socket does not take now follows with [`Self::flush`]. In HTTP/2 that is all of it, so
    /// that requests which are due at once leave at once.
    pub(super) fn send(&mut self, request: &[u8], sent: Sent) -> io::Result<()> {
        match &mut self.under_way {
            UnderWay::Http1(under_way) => *under_way = Some(sent),
            UnderWay::Http2(streams) => {
                streams.send(request, sent, &mut self.unsent);
                return Ok(());
            }
        }
        let taken = match self.stream.write(request) {
            Ok(taken) => taken,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        self.unsent.extend_from_slice(&request[taken..]);
        Ok(())
    }

    /// Whether something waits for [`Self::flush`].
    pub(super) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Sends what the socket has not taken yet.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(taken) => drop(self.unsent.drain(..taken)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads what is there, and gives each answer to `answered`: to what, with which status, with which body.
    ///
    /// A read that leaves room has emptied the socket, and the poll wakes again for what comes later, so the
    /// usual answer costs exactly one read.
    pub(super) fn receive(&mut self, mut answered: impl FnMut(Sent, u16, &[u8])) -> io::Result<Received> {
        loop {
            if self.filled == self.inbox.len() {
                self.inbox.resize(self.inbox.len() * 2, 0);
            }
            let count = match self.stream.read(&mut self.inbox[self.filled..]) {
                Ok(0) => return Ok(Received::Closed),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Received::All),
                Err(error) => return Err(error),
            };
            self.filled += count;
            let is_all = self.filled < self.inbox.len();
            self.take_answers(&mut answered)?;
            if is_all {
                // What the server asked for, too.
                self.flush()?;
                return Ok(Received::All);
            }
        }
    }

    /// The requests under way.
    pub(super) fn under_way(&self) -> Vec<Sent> {
        match &self.under_way {
            UnderWay::Http1(under_way) => under_way.iter().copied().collect(),
            UnderWay::Http2(streams) => streams.under_way().collect(),
        }
    }

    /// Takes what is whole out of the inbox.
    fn take_answers(&mut self, answered: &mut impl FnMut(Sent, u16, &[u8])) -> io::Result<()> {
        let bytes = &self.inbox[..self.filled];
        let taken = match &mut self.under_way {
            UnderWay::Http1(under_way) => take_answer(bytes, under_way, answered)?,
            UnderWay::Http2(streams) => streams.receive(bytes, &mut self.unsent, answered)?,
        };
        self.inbox.copy_within(taken..self.filled, 0);
        self.filled -= taken;
        Ok(())
    }
}

/// Takes the one answer of HTTP/1.1 that there can be; says where it ends.
fn take_answer(
    bytes: &[u8],
    under_way: &mut Option<Sent>,
    answered: &mut impl FnMut(Sent, u16, &[u8]),
) -> io::Result<usize> {
    let broken = |what| io::Error::new(ErrorKind::InvalidData, what);
    let Some(head) = parse_head(bytes).map_err(|error| broken(error.0))? else { return Ok(0) };
    if bytes.len() < head.end {
        return Ok(0);
    }
    if bytes.len() > head.end {
        return Err(broken("more bytes than one answer"));
    }
    let sent = under_way.take().ok_or(broken("an answer to no request"))?;
    answered(sent, head.status, &bytes[head.body..]);
    Ok(head.end)
}
