//! An authority that nobody else knows, what it signs, and clients that believe it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// Longest time for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who signs certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    /// Its own certificate, in PEM.
    pub(crate) fn certificate(&self) -> String {
        self.0.pem()
    }

    /// For a server on this machine, or for a client.
    pub(crate) fn issue(&self) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("an address");
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.0).expect("a certificate").pem();
        Identity { certificate, key: key.serialize_pem() }
    }
}

impl Identity {
    /// Into `cert.pem` and `key.pem` of a directory.
    pub(crate) fn write(&self, directory: &Path) {
        std::fs::write(directory.join("cert.pem"), &self.certificate).expect("room on the disk");
        std::fs::write(directory.join("key.pem"), &self.key).expect("room on the disk");
    }

    fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).expect("a certificate")
    }
}

/// A connection over TLS.
pub(crate) struct Secure(StreamOwned<ClientConnection, TcpStream>);

impl Secure {
    /// Connects to a server of this authority, with this protocol, and perhaps with a certificate of one's own. An error
    /// is one of the handshake.
    pub(crate) fn connect(
        address: SocketAddr,
        authority: &Authority,
        protocol: &str,
        own: Option<&Identity>,
    ) -> std::io::Result<Self> {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(authority.certificate().as_bytes()).expect("a certificate");
        roots.add(root).expect("an authority");
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions of TLS")
            .with_root_certificates(roots);
        let mut config = match own {
            None => config.with_no_client_auth(),
            Some(own) => {
                let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).expect("a key");
                config.with_client_auth_cert(vec![own.der()], key).expect("a pair")
            }
        };
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let connection = ClientConnection::new(Arc::new(config), address.ip().into()).expect("a connection");
        let mut secure = Self(StreamOwned::new(connection, stream));
        while secure.0.conn.is_handshaking() {
            secure.0.conn.complete_io(&mut secure.0.sock)?;
        }
        assert_eq!(secure.0.conn.alpn_protocol(), Some(protocol.as_bytes()));
        Ok(secure)
    }

    /// Whether the server has shown this one.
    pub(crate) fn is_of(&self, identity: &Identity) -> bool {
        self.0.conn.peer_certificates().expect("after the handshake")[0] == identity.der()
    }

    /// Sends a request in HTTP/1.1, whose answer has a length; gives head and body.
    pub(crate) fn send(&mut self, line: &str, headers: &str) -> std::io::Result<(String, String)> {
        let request = format!("{line} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n");
        self.0.write_all(request.as_bytes())?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).expect("a head of text");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
        let mut body = vec![0; length.parse().expect("a number")];
        self.0.read_exact(&mut body)?;
        Ok((head, String::from_utf8(body).expect("a body of text")))
    }

    /// Sends a request without a body in HTTP/2; gives the whole block of headers of the answer, and its body.
    pub(crate) fn send_second(&mut self, method: &str, path: &str, content_type: &str) -> (Vec<u8>, Vec<u8>) {
        // Literals without Huffman, by the names' places in the static table (RFC 7541, appendix A).
        let literal = |place: u8, text: &str| {
            let length = u8::try_from(text.len()).expect("less than 127 bytes");
            [&[place, length], text.as_bytes()].concat()
        };
        // 31 = content-type: past the four bits of the prefix.
        let content_type = [&[0x0f][..], &literal(31 - 15, content_type)].concat();
        let block = [literal(2, method), vec![0x87], literal(4, path), literal(1, "localhost"), content_type];
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        let settings = frame(4, 0, 0, &[]);
        // The end of headers, and of the stream.
        let headers = frame(1, 0x5, 1, &block.concat());
        self.0.write_all(&[preface, settings, headers].concat()).expect("a connection");
        let (mut headers, mut body) = (Vec::new(), Vec::new());
        loop {
            let mut prefix = [0; 9];
            self.0.read_exact(&mut prefix).expect("a frame");
            let [a, b, c, kind, flags, stream @ ..] = prefix;
            let mut content = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
            self.0.read_exact(&mut content).expect("all of it");
            if u32::from_be_bytes(stream) != 1 {
                continue;
            }
            match kind {
                0 => body.extend(content),
                1 => headers.extend(content),
                3 => panic!("the stream was reset: {content:?}"),
                _ => {}
            }
            if flags & 1 == 1 && kind < 2 {
                return (headers, body);
            }
        }
    }
}

fn frame(kind: u8, flags: u8, stream: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).expect("a short frame");
    [&[0, 0, length, kind, flags, 0, 0, 0, stream], content].concat()
}
