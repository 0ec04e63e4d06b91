//! Listeners: connections are accepted within a bound, handed to tasks of their own, and ended gracefully.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use crate::App;
use crate::connection::{GRACE, converse};
use crate::handler::Handler;
use crate::router::Service;
use crate::tls::{Secured, Tls};

/// Longest time for a client to take in what it was sent.
const SEND_DEADLINE: Duration = Duration::from_secs(30);
/// How long to wait after the system refused a connection, for example because no file descriptor is left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a listener answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposure {
    /// Everything.
    Everything,
    /// Doors, health and metrics only (`--internal-listen`).
    Internal,
}

/// Serves until `shutdown`, over TLS or in plain text, then lets requests finish within [`GRACE`].
///
/// Errors: none that end it; a failed accept is logged and tried again.
pub async fn serve(
    app: Arc<App>,
    listener: TcpListener,
    exposure: Exposure,
    tls: Option<Arc<Tls>>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let service = Service::new(&app, exposure);
    let places = Arc::new(Semaphore::new(app.settings.connections));
    let (end, ending) = watch::channel(());
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place,
            () = &mut shutdown => break,
        };
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
            () = &mut shutdown => break,
        };
        tune(&stream);
        let handler = Handler::new(Arc::clone(&app), service.clone(), peer.ip().to_canonical());
        let ending = ending.clone();
        // Each of its own size: nothing of TLS is kept for a connection without.
        match tls.clone() {
            None => tokio::spawn(async move {
                converse(TokioIo::new(stream), handler, ending).await;
                drop(place);
            }),
            Some(tls) => tokio::spawn(async move {
                converse_securely(&tls, stream, handler, ending).await;
                drop(place);
            }),
        };
    }
    drop((listener, ending));
    // Nobody listens when there are no connections.
    let _ = end.send(());
    if tokio::time::timeout(GRACE, end.closed()).await.is_err() {
        tracing::warn!("some connections did not finish in time and were cut");
    }
    Ok(())
}

/// As [`converse`], after a handshake.
async fn converse_securely(
    tls: &Arc<Tls>,
    stream: TcpStream,
    handler: Handler,
    mut ending: watch::Receiver<()>,
) {
    let accepted = tokio::select! {
        accepted = tls.accept(stream) => accepted,
        _ = ending.changed() => None,
    };
    let Some(Secured { stream, certificate }) = accepted else { return };
    let handler = handler.with_certificate(certificate);
    converse(TokioIo::new(stream), handler, ending).await;
}

/// Sets what a connection needs of the system; a connection on which that fails is about to fail anyway.
fn tune(stream: &TcpStream) {
    // Answers are small: waiting to fill a packet would only delay them.
    let _ = stream.set_nodelay(true);
    // A client that does not take in its answers would keep its place for ever.
    let _ = SockRef::from(stream).set_tcp_user_timeout(Some(SEND_DEADLINE));
}
