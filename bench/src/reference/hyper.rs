//! The bare HTTP server: hyper alone, answering 204 to everything (*hyper*), or with SHA-256 and one look-up
//! in a set (*map*), which is a verification and nothing else.

use std::collections::HashSet;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HeaderMap};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;

use crate::credentials;

/// What the server does with a request.
enum Door {
    /// Nothing.
    Hello,
    /// Looks its secret's digest up.
    Map(HashSet<[u8; 32], foldhash::fast::RandomState>),
}

/// Serves until it is killed; with the tokens of `map` it verifies against them.
///
/// The runtime is the usual one: as many workers as there are cores that this process may use.
pub(crate) fn serve(listen: SocketAddr, map: Option<&Path>) -> Result<()> {
    let door = match map {
        Some(path) => Door::of(&credentials::read(path)?)?,
        None => Door::Hello,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener =
            TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
        door.open(listener).await
    })
}

impl Door {
    /// Opens for the tokens in this text of a file.
    fn of(tokens: &str) -> Result<Self> {
        let digests = credentials::parse(tokens).map(|token| Ok(digest(token?.secret.as_bytes())));
        Ok(Self::Map(digests.collect::<Result<_>>()?))
    }

    /// Serves every connection, each in a task of its own. Ends when the listener fails.
    async fn open(self, listener: TcpListener) -> Result<()> {
        // It lives as long as the process, so that a request need not count references to it.
        let door: &'static Self = Box::leak(Box::new(self));
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let service = service_fn(move |request| async move { door.answer(&request) });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    }

    fn answer(&self, request: &Request<Incoming>) -> Result<Response<Empty<Bytes>>, Infallible> {
        let mut response = Response::new(Empty::new());
        *response.status_mut() = self.judge(request.headers());
        Ok(response)
    }

    fn judge(&self, headers: &HeaderMap) -> StatusCode {
        let Self::Map(digests) = self else { return StatusCode::NO_CONTENT };
        match presented(headers) {
            Some(secret) if digests.contains(&digest(secret)) => StatusCode::OK,
            _ => StatusCode::UNAUTHORIZED,
        }
    }
}

/// The secret that a request shows: of the pair of headers, or as a bearer.
fn presented(headers: &HeaderMap) -> Option<&[u8]> {
    let bearer = || headers.get(AUTHORIZATION)?.as_bytes().strip_prefix(b"Bearer ");
    headers.get("cf-access-client-secret").map(|value| value.as_bytes()).or_else(bearer)
}

fn digest(secret: &[u8]) -> [u8; 32] {
    Sha256::digest(secret).into()
}

/// For tests of the generator: the door for these tokens on a port of its own, as long as the process lives.
#[cfg(test)]
pub(crate) fn serve_in_background(tokens: &str) -> Result<SocketAddr> {
    let door = Door::of(tokens)?;
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::spawn(move || {
        runtime.block_on(async move { door.open(TcpListener::from_std(listener)?).await })
    });
    Ok(address)
}
