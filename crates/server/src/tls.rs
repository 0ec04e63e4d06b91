//! TLS of a listener: handshakes with a deadline, and certificates that are replaced while connections go on.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Longest time for a handshake.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);
/// What is spoken inside, the best first (RFC 7301).
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// What a listener shows to those who connect.
#[derive(Debug)]
pub struct Tls(ArcSwap<ServerConfig>);

/// A connection after its handshake.
pub(crate) struct Secured {
    pub(crate) stream: TlsStream<TcpStream>,
    /// Whether the client has shown a certificate, and a good one: with another the handshake fails.
    pub(crate) has_shown_certificate: bool,
}

impl Tls {
    /// This.
    pub fn new(config: ServerConfig) -> Self {
        Self(ArcSwap::from_pointee(with_protocols(config)))
    }

    /// From now on something else. Connections that are there already go on.
    pub fn replace(&self, config: ServerConfig) {
        self.0.store(Arc::new(with_protocols(config)));
    }

    /// Shakes hands, with whatever is shown now; `None` when that does not succeed in time.
    pub(crate) async fn accept(&self, stream: TcpStream) -> Option<Secured> {
        let handshake = TlsAcceptor::from(self.0.load_full()).accept(stream);
        match tokio::time::timeout(HANDSHAKE_DEADLINE, handshake).await {
            Ok(Ok(stream)) => {
                let has_shown_certificate = stream.get_ref().1.peer_certificates().is_some();
                Some(Secured { stream, has_shown_certificate })
            }
            // Strangers cause both, as often as they like.
            Ok(Err(error)) => {
                tracing::debug!(%error, "a handshake failed");
                None
            }
            Err(_elapsed) => {
                tracing::debug!("a handshake was not complete in time");
                None
            }
        }
    }
}

fn with_protocols(mut config: ServerConfig) -> ServerConfig {
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
    config
}
