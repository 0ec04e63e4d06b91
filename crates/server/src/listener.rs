//! Connections: accepted within a bound, served by the doors or the router, ended gracefully.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::App;
use crate::doors;
use crate::observe::Peer;
use crate::router::Service;
use crate::upload::Upload;

/// Longest time for a request's head to arrive, from when the connection is free for it. Also how long an idle
/// connection is kept: longer than the 60 s of nginx's pools, so that the proxy closes it and not we.
const HEAD_DEADLINE: Duration = Duration::from_secs(75);
/// Longest time for a client to take in what it was sent.
const SEND_DEADLINE: Duration = Duration::from_secs(30);
/// Largest request head; more is 431.
const LARGEST_HEAD: usize = 64 * 1024;
/// Most headers of a request; more is 431.
const MOST_HEADERS: usize = 100;
/// How long requests may take to finish after the listener has stopped.
const GRACE: Duration = Duration::from_secs(10);
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

/// A door's answer is made of what is at hand; the router's of what axum boxed.
type Answer = Either<Full<bytes::Bytes>, Body>;

/// Serves until `shutdown`, then lets requests finish within [`GRACE`].
///
/// Errors: none that end it; a failed accept is logged and tried again.
pub async fn serve(
    app: Arc<App>,
    listener: TcpListener,
    exposure: Exposure,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let service = Service::new(&app, exposure);
    let places = Arc::new(Semaphore::new(app.settings.connections));
    let connections = GracefulShutdown::new();
    let builder = builder();
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
        let handler =
            Handler { app: Arc::clone(&app), service: service.clone(), peer: peer.ip().to_canonical() };
        let connection = builder.serve_connection(TokioIo::new(stream), handler);
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            // Errors here are the client's: it went away, or sent what is not HTTP and has had its 400.
            let _ = connection.await;
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(GRACE, connections.shutdown()).await.is_err() {
        tracing::warn!("some connections did not finish in time and were cut");
    }
    Ok(())
}

/// Sets what a connection needs of the system; a connection on which that fails is about to fail anyway.
fn tune(stream: &TcpStream) {
    // Answers are small: waiting to fill a packet would only delay them.
    let _ = stream.set_nodelay(true);
    // A client that does not take in its answers would keep its place for ever.
    let _ = SockRef::from(stream).set_tcp_user_timeout(Some(SEND_DEADLINE));
}

/// HTTP/1.1 alone: what is not needed cannot be held open.
fn builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(LARGEST_HEAD)
        .max_headers(MOST_HEADERS);
    builder
}

/// Answers the requests of one connection.
struct Handler {
    app: Arc<App>,
    service: Service,
    peer: IpAddr,
}

impl hyper::service::Service<Request<Incoming>> for Handler {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, request: Request<Incoming>) -> Answering {
        let request = Upload::of(request);
        if doors::is_door(request.uri().path()) {
            let response = doors::answer(&self.app, &request, self.peer);
            return Answering::Door(ready(Ok(response.map(Either::Left))));
        }
        let service = self.service.clone();
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(self.peer));
        Answering::Router(Box::pin(async move { Ok(service.call(request).await.map(Either::Right)) }))
    }
}

/// An answer that is there already, or one that is being made.
enum Answering {
    Door(Ready<Result<Response<Answer>, Infallible>>),
    Router(Pin<Box<dyn Future<Output = Result<Response<Answer>, Infallible>> + Send>>),
}

impl Future for Answering {
    type Output = Result<Response<Answer>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Door(answer) => Pin::new(answer).poll(context),
            Self::Router(answer) => answer.as_mut().poll(context),
        }
    }
}
