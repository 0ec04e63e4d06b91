//! A network that stops carrying what is sent, without saying so, or cuts a connection where that hurts most.

use std::future::pending;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use countersign_store_conformance::world::must;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// As a client sends it.
const COMMIT: &[u8] = b"COMMIT\0";

/// When a connection is cut that carries a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// The server never sees the commit.
    Before,
    /// The client never sees the answer.
    After,
    /// Nor is anything else carried from then on.
    AfterAll,
}

/// What is to be cut.
struct Plan {
    /// The transaction in which this was sent.
    of: Vec<u8>,
    cut: Cut,
}

/// Between clients and a server on this machine.
pub(super) struct Proxy {
    port: u16,
    hangs: watch::Sender<bool>,
    plan: Arc<Mutex<Option<Plan>>>,
    _carriers: JoinSet<()>,
}

impl Proxy {
    pub(super) async fn before(server: u16) -> Self {
        let listener = must(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await);
        let port = must(listener.local_addr()).port();
        let (hangs, _) = watch::channel(false);
        let plan = Arc::default();
        let (told, planned) = (hangs.clone(), Arc::clone(&plan));
        let mut carriers = JoinSet::new();
        carriers.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (hangs, plan) = (told.clone(), Arc::clone(&planned));
                connections.spawn(async move {
                    let server = must(TcpStream::connect((Ipv4Addr::LOCALHOST, server)).await);
                    let ((from_client, to_client), (from_server, to_server)) =
                        (client.into_split(), server.into_split());
                    let (end, ended) = watch::channel(false);
                    tokio::select! {
                        () = carry_answers(from_server, to_client, hangs.subscribe(), ended) => {}
                        () = carry_requests(from_client, to_server, hangs, plan, end) => {}
                    }
                });
            }
        });
        Self { port, hangs, plan, _carriers: carriers }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// From now on connections are accepted and what is sent is taken, but nothing arrives.
    pub(super) fn hang(&self) {
        self.hangs.send_replace(true);
    }

    /// From now on what is sent arrives again.
    pub(super) fn go_on(&self) {
        self.hangs.send_replace(false);
    }

    /// Cuts the connection that carries the commit of the transaction in which this is sent, once.
    pub(super) fn cut_commit_of(&self, text: &str, cut: Cut) {
        *lock(&self.plan) = Some(Plan { of: text.into(), cut });
    }

    /// Whether it was cut.
    pub(super) fn has_cut(&self) -> bool {
        lock(&self.plan).is_none()
    }
}

fn lock(plan: &Mutex<Option<Plan>>) -> MutexGuard<'_, Option<Plan>> {
    plan.lock().unwrap_or_else(PoisonError::into_inner)
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Sends on what a client says, until it leaves or is cut off. Before what must not be answered is sent on, `end` is told.
async fn carry_requests(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    hangs: watch::Sender<bool>,
    plan: Arc<Mutex<Option<Plan>>>,
    end: watch::Sender<bool>,
) {
    let mut buffer = vec![0; 64 * 1024];
    let mut is_meant = false;
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let said = &buffer[..length];
        is_meant |= lock(&plan).as_ref().is_some_and(|plan| contains(said, &plan.of));
        let is_commit = is_meant && contains(said, COMMIT);
        let cut = if is_commit { lock(&plan).take().map(|plan| plan.cut) } else { None };
        if cut == Some(Cut::Before) {
            return;
        }
        let arrives = !*hangs.borrow();
        if cut.is_some() {
            end.send_replace(true);
        }
        if cut == Some(Cut::AfterAll) {
            hangs.send_replace(true);
        }
        if arrives && to.write_all(said).await.is_err() {
            break;
        }
    }
    // What hangs does not tell that somebody has left.
    if *hangs.borrow() {
        pending::<()>().await;
    }
}

async fn carry_answers(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    hangs: watch::Receiver<bool>,
    ended: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        // What comes now is the answer that the client does not get.
        if *ended.borrow() {
            return;
        }
        if !*hangs.borrow() && to.write_all(&buffer[..length]).await.is_err() {
            break;
        }
    }
    if *hangs.borrow() {
        pending::<()>().await;
    }
}
