//! A way to PostgreSQL that can be blocked: what is sent on it then stays where it is, and nobody is told, as on a network
//! that is cut.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use memchr::memmem;

/// The beginning of a poll that renews the lease, on the wire: no other transaction of the store sees one moment and may
/// write.
const POLL: &[u8] = b"START TRANSACTION ISOLATION LEVEL REPEATABLE READ\0";

/// What is on its way to the one who asked gets there in this time.
const ON_ITS_WAY: Duration = Duration::from_millis(100);

/// How many polls are remembered: four of a second.
const POLLS: usize = 1_000;

/// A proxy on loopback. Its threads end with this process, or with the connections that they carry.
pub(crate) struct Proxy {
    address: SocketAddr,
    gates: Arc<Gates>,
}

/// What all connections share.
#[derive(Default)]
struct Gates {
    state: Mutex<State>,
    opened: Condvar,
}

#[derive(Default)]
struct State {
    /// Questions are held back.
    no_questions: bool,
    /// Answers are.
    no_answers: bool,
    /// When the last polls were sent.
    polls: Vec<Instant>,
}

/// Which way something goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Question,
    Answer,
}

impl Proxy {
    /// Before whoever listens at `target`.
    pub(crate) fn start(target: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let (address, gates) = (listener.local_addr()?, Arc::<Gates>::default());
        let carried = Arc::clone(&gates);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // One that cannot be carried is closed, which the client notices.
                let _ = carry(client, target, &carried);
            }
        });
        Ok(Self { address, gates })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Holds back whatever is sent. What has arrived is still answered, so that no poll is known to PostgreSQL alone.
    pub(crate) fn block(&self) {
        self.gates.lock().no_questions = true;
        thread::sleep(ON_ITS_WAY);
        self.gates.lock().no_answers = true;
    }

    /// Sends what was held back, and all that comes.
    pub(crate) fn unblock(&self) {
        let mut state = self.gates.lock();
        (state.no_questions, state.no_answers) = (false, false);
        self.gates.opened.notify_all();
    }

    /// When the last poll before `time` was sent.
    pub(crate) fn last_poll_before(&self, time: Instant) -> Result<Instant> {
        let polls = self.gates.lock().polls.iter().copied().filter(|poll| *poll <= time).max();
        polls.context("no poll was seen: does it still begin as it did?")
    }
}

impl Gates {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something may go this way, and notes a poll.
    fn pass(&self, way: Way, bytes: &[u8]) {
        let is_closed = |state: &mut State| match way {
            Way::Question => state.no_questions,
            Way::Answer => state.no_answers,
        };
        let waited = self.opened.wait_while(self.lock(), is_closed);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        if way == Way::Question && memmem::find(bytes, POLL).is_some() {
            if state.polls.len() >= POLLS {
                state.polls.remove(0);
            }
            state.polls.push(Instant::now());
        }
    }
}

/// Carries one connection, in two threads.
fn carry(client: TcpStream, target: SocketAddr, gates: &Arc<Gates>) -> io::Result<()> {
    let server = TcpStream::connect(target)?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
    }
    let ways = [(client.try_clone()?, server.try_clone()?, Way::Question), (server, client, Way::Answer)];
    for (from, to, way) in ways {
        let gates = Arc::clone(gates);
        // A connection that breaks is closed on its other side, too, where it is noticed.
        thread::spawn(move || {
            let _ = forward(&from, &to, way, &gates);
            let _ = to.shutdown(Shutdown::Both);
        });
    }
    Ok(())
}

fn forward(mut from: &TcpStream, mut to: &TcpStream, way: Way, gates: &Gates) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = from.read(&mut buffer)?;
        gates.pass(way, &buffer[..count]);
        if count == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..count])?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends back what it gets.
    fn echo() -> Result<SocketAddr> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        thread::spawn(move || {
            let streams = listener.incoming().map_while(Result::ok);
            streams.for_each(|stream| drop(io::copy(&mut &stream, &mut &stream)));
        });
        Ok(address)
    }

    #[test]
    fn what_is_sent_on_a_blocked_way_arrives_when_it_is_open_again() -> Result<()> {
        let proxy = Proxy::start(echo()?)?;
        let mut stream = TcpStream::connect(proxy.address())?;
        stream.set_read_timeout(Some(Duration::from_millis(200)))?;
        let mut answer = [0; 5];
        stream.write_all(b"first")?;
        stream.read_exact(&mut answer)?;
        assert_eq!(&answer, b"first");

        proxy.block();
        stream.write_all(b"later")?;
        let blocked = stream.read(&mut answer).map_err(|error| error.kind());
        assert_eq!(blocked, Err(io::ErrorKind::WouldBlock));
        proxy.unblock();
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.read_exact(&mut answer)?;
        assert_eq!(&answer, b"later");
        Ok(())
    }

    #[test]
    fn the_last_poll_is_known() -> Result<()> {
        let proxy = Proxy::start(echo()?)?;
        let (mut stream, begin) = (TcpStream::connect(proxy.address())?, Instant::now());
        assert!(proxy.last_poll_before(Instant::now()).is_err());
        let mut answer = [0; POLL.len()];
        stream.write_all(POLL)?;
        stream.read_exact(&mut answer)?;
        assert!(proxy.last_poll_before(Instant::now())? >= begin);
        assert!(proxy.last_poll_before(begin).is_err());
        Ok(())
    }
}
