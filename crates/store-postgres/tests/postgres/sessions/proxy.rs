//! A network that stops carrying what is sent, without saying so.

use std::future::pending;
use std::net::Ipv4Addr;

use countersign_store_conformance::world::must;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Between clients and a server on this machine.
pub(super) struct Proxy {
    port: u16,
    hangs: watch::Sender<bool>,
    _carriers: JoinSet<()>,
}

impl Proxy {
    pub(super) async fn before(server: u16) -> Self {
        let listener = must(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await);
        let port = must(listener.local_addr()).port();
        let (hangs, _) = watch::channel(false);
        let told = hangs.clone();
        let mut carriers = JoinSet::new();
        carriers.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let hangs = told.subscribe();
                connections.spawn(async move {
                    let server = must(TcpStream::connect((Ipv4Addr::LOCALHOST, server)).await);
                    let ((from_client, to_client), (from_server, to_server)) =
                        (client.into_split(), server.into_split());
                    tokio::join!(
                        carry(from_client, to_server, hangs.clone()),
                        carry(from_server, to_client, hangs)
                    );
                });
            }
        });
        Self { port, hangs, _carriers: carriers }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// From now on connections are accepted and what is sent is taken, but nothing arrives.
    pub(super) fn hang(&self) {
        self.hangs.send_replace(true);
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, hangs: watch::Receiver<bool>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if !*hangs.borrow() && to.write_all(&buffer[..length]).await.is_err() {
            break;
        }
    }
    // What hangs does not tell that somebody has left.
    if *hangs.borrow() {
        pending::<()>().await;
    }
}
