//! A blocking client of one connection, for what is not measured under load.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::response::{Head, parse_head};

/// Longest wait for a connection or for a part of an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// One keep-alive connection.
pub(crate) struct Client {
    stream: TcpStream,
    inbox: Vec<u8>,
}

/// What was answered.
pub(crate) struct Answer {
    /// Of the status line.
    pub(crate) status: u16,
    /// All of it.
    pub(crate) body: Vec<u8>,
}

impl Client {
    /// Connects. The error is the operating system's.
    pub(crate) fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream, inbox: Vec::with_capacity(4096) })
    }

    /// Sends a request and waits for its answer.
    pub(crate) fn ask(&mut self, request: &[u8]) -> io::Result<Answer> {
        self.stream.write_all(request)?;
        self.inbox.clear();
        loop {
            if let Some(head) = self.answered()? {
                let body = self.inbox[head.body..head.end].to_vec();
                return Ok(Answer { status: head.status, body });
            }
            let mut part = [0; 4096];
            let count = self.stream.read(&mut part)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.inbox.extend_from_slice(&part[..count]);
        }
    }

    fn answered(&self) -> io::Result<Option<Head>> {
        let head = parse_head(&self.inbox).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e.0))?;
        Ok(head.filter(|head| head.end <= self.inbox.len()))
    }
}
