//! One keep-alive connection with at most one request under way.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Instant;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::work::Ticket;
use crate::wire::response::{Head, parse_head};

/// Room for the usual answer; it grows for a longer one.
const INBOX: usize = 4096;

/// A request that was sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    /// Which one.
    pub(super) ticket: Ticket,
    /// When it ought to have been sent.
    pub(super) due: Instant,
}

/// What one turn of reading gave.
pub(super) enum Received {
    /// No whole answer yet.
    Nothing,
    /// An answer; its body is [`Connection::body`] of it.
    Answer(Sent, Head),
    /// The server has closed.
    Closed,
}

/// The connection.
pub(super) struct Connection {
    stream: TcpStream,
    inbox: Vec<u8>,
    filled: usize,
    unsent: Vec<u8>,
    under_way: Option<Sent>,
}

impl Connection {
    /// Connects, and from now on wakes the poll of `registry` as `token`.
    pub(super) fn connect(address: SocketAddr, registry: &Registry, token: Token) -> io::Result<Self> {
        let stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self { stream, inbox: vec![0; INBOX], filled: 0, unsent: Vec::new(), under_way: None })
    }

    /// Sends a request; what the socket does not take now follows with [`Self::flush`].
    pub(super) fn send(&mut self, request: &[u8], sent: Sent) -> io::Result<()> {
        self.under_way = Some(sent);
        let taken = match self.stream.write(request) {
            Ok(taken) => taken,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        self.unsent.extend_from_slice(&request[taken..]);
        Ok(())
    }

    /// Sends on what the socket did not take before.
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

    /// Reads what is there.
    ///
    /// A read that leaves room has emptied the socket, and the poll wakes again for what comes later, so the
    /// usual answer costs exactly one read.
    pub(super) fn receive(&mut self) -> io::Result<Received> {
        loop {
            if self.filled == self.inbox.len() {
                self.inbox.resize(self.inbox.len() * 2, 0);
            }
            let count = match self.stream.read(&mut self.inbox[self.filled..]) {
                Ok(0) => return Ok(Received::Closed),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Received::Nothing),
                Err(error) => return Err(error),
            };
            self.filled += count;
            if let Some((sent, head)) = self.answered()? {
                self.filled = 0;
                return Ok(Received::Answer(sent, head));
            }
            if self.filled < self.inbox.len() {
                return Ok(Received::Nothing);
            }
        }
    }

    /// The body of the answer received last.
    pub(super) fn body(&self, head: &Head) -> &[u8] {
        &self.inbox[head.body..head.end]
    }

    /// The request under way, if one is.
    pub(super) fn under_way(&self) -> Option<Sent> {
        self.under_way
    }

    fn answered(&mut self) -> io::Result<Option<(Sent, Head)>> {
        let broken = |what| io::Error::new(ErrorKind::InvalidData, what);
        let Some(head) = parse_head(&self.inbox[..self.filled]).map_err(|error| broken(error.0))? else {
            return Ok(None);
        };
        if self.filled < head.end {
            return Ok(None);
        }
        if self.filled > head.end {
            return Err(broken("more bytes than one answer"));
        }
        let sent = self.under_way.take().ok_or(broken("an answer to no request"))?;
        Ok(Some((sent, head)))
    }
}
