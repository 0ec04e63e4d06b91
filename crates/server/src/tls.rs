//! TLS of a listener: handshakes with a deadline, and certificates that are replaced while connections go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Longest time for a handshake.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);
/// What is spoken inside, the best first (RFC 7301).
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// What a listener shows to those who connect, and whom it believes.
#[derive(Debug)]
pub struct Tls(ArcSwap<Current>);

/// What was read of files.
#[derive(Debug)]
pub struct TlsConfig {
    /// What is shown.
    pub server: ServerConfig,
    /// Who is believed when clients show certificates; the same as in `server`. `None`: they are not asked for any.
    pub clients: Option<Arc<dyn ClientCertVerifier>>,
}

/// One configuration after the other.
#[derive(Debug)]
struct Current {
    number: u64,
    server: Arc<ServerConfig>,
    clients: Option<Arc<dyn ClientCertVerifier>>,
}

/// A connection after its handshake.
pub(crate) struct Secured {
    pub(crate) stream: TlsStream<TcpStream>,
    /// What the client has shown, if anything. It was good: with another the handshake fails.
    pub(crate) certificate: Option<Certificate>,
}

/// What a client has shown, with what leads to its authority.
pub(crate) struct Certificate {
    tls: Arc<Tls>,
    chain: Vec<CertificateDer<'static>>,
    /// By which configuration it was looked at last, and in the lowest bit whether it was good.
    looked_at: AtomicU64,
}

impl Certificate {
    /// Whether it is good by the authorities of now. It is looked at again when they were replaced: whoever is not believed
    /// any more shall not go on with a connection of before.
    pub(crate) fn is_good(&self) -> bool {
        let current = self.tls.0.load();
        let looked_at = self.looked_at.load(Ordering::Relaxed);
        if looked_at >> 1 == current.number {
            return looked_at & 1 == 1;
        }
        let is_good = current.believes(&self.chain);
        self.looked_at.store(current.number << 1 | u64::from(is_good), Ordering::Relaxed);
        is_good
    }
}

impl Current {
    fn new(number: u64, config: TlsConfig) -> Self {
        let TlsConfig { mut server, clients } = config;
        server.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
        Self { number, server: Arc::new(server), clients }
    }

    fn believes(&self, chain: &[CertificateDer<'static>]) -> bool {
        let (Some(clients), [own, between @ ..]) = (&self.clients, chain) else { return false };
        clients.verify_client_cert(own, between, UnixTime::now()).is_ok()
    }
}

impl Tls {
    /// This.
    pub fn new(config: TlsConfig) -> Self {
        // Not 0, which is what no certificate was looked at by.
        Self(ArcSwap::from_pointee(Current::new(1, config)))
    }

    /// From now on something else. Connections that are there already go on, but doors look again at what was shown there.
    /// One caller at a time.
    pub fn replace(&self, config: TlsConfig) {
        let next = self.0.load().number + 1;
        self.0.store(Arc::new(Current::new(next, config)));
    }

    /// Shakes hands, with whatever is shown now; `None` when that does not succeed in time.
    pub(crate) async fn accept(self: &Arc<Self>, stream: TcpStream) -> Option<Secured> {
        let handshake = TlsAcceptor::from(Arc::clone(&self.0.load().server)).accept(stream);
        match tokio::time::timeout(HANDSHAKE_DEADLINE, handshake).await {
            Ok(Ok(stream)) => {
                let certificate = self.certificate(&stream);
                Some(Secured { stream, certificate })
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

    fn certificate(self: &Arc<Self>, stream: &TlsStream<TcpStream>) -> Option<Certificate> {
        let chain = stream.get_ref().1.peer_certificates()?.to_vec();
        Some(Certificate { tls: Arc::clone(self), chain, looked_at: AtomicU64::new(0) })
    }
}
