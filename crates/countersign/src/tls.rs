//! TLS towards clients: certificate, key and authorities, read at the start and again on SIGHUP.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use countersign_server::{Tls, TlsConfig};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::signal::unix::Signal;
use tokio::task::spawn_blocking;

use crate::config::TlsFiles;
use crate::lifecycle::{Stopped, wait};

/// What a listener shows, and where it was read.
#[derive(Debug, Clone)]
pub(crate) struct Certificates {
    files: TlsFiles,
    tls: Arc<Tls>,
}

impl Certificates {
    /// Reads the files. An error is one line that names the file, the key and the remedy.
    pub(crate) fn load(files: &TlsFiles) -> anyhow::Result<Self> {
        Ok(Self { files: files.clone(), tls: Arc::new(Tls::new(read(files)?)) })
    }

    /// What the listener is given.
    pub(crate) fn tls(&self) -> Arc<Tls> {
        Arc::clone(&self.tls)
    }

    /// Whether the doors ask for certificates.
    pub(crate) fn are_asked_for(&self) -> bool {
        self.files.client_ca.is_some()
    }

    /// Reads the files again. When they are not good, everything stays as it is.
    async fn reread(&self) {
        let files = self.files.clone();
        let read = spawn_blocking(move || read(&files)).await;
        match read.map_err(Into::into).and_then(std::convert::identity) {
            Ok(config) => {
                self.tls.replace(config);
                tracing::info!(
                    cert = %self.files.cert.display(),
                    "the files of TLS were read again; new connections get what is in them"
                );
            }
            Err(error) => {
                tracing::error!(
                    cause = format!("{error:#}"),
                    "the files of TLS cannot be used; what was read before stays in use"
                );
            }
        }
    }
}

/// Reads the files again at each SIGHUP, until it is stopped. Without TLS there is nothing to read, and nothing happens.
pub(crate) async fn follow(mut hangups: Signal, certificates: Option<Certificates>, stopped: Stopped) {
    let mut stopped = std::pin::pin!(wait(stopped));
    loop {
        tokio::select! {
            biased;
            () = &mut stopped => return,
            _ = hangups.recv() => {}
        }
        match &certificates {
            Some(certificates) => certificates.reread().await,
            None => tracing::info!("SIGHUP has no effect: there are no files of TLS to read again"),
        }
    }
}

/// TLS 1.2 and 1.3, with the provider of all our TLS.
fn read(files: &TlsFiles) -> anyhow::Result<TlsConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .context("rustls has no version of TLS in common with its provider")?;
    let clients = files.client_ca.as_deref().map(|path| believed(path, provider)).transpose()?;
    let config = match &clients {
        None => config.with_no_client_auth(),
        Some(clients) => config.with_client_cert_verifier(Arc::clone(clients)),
    };
    let (chain, key) = (certificates("tls_cert", &files.cert)?, private_key(&files.key)?);
    // The error of the library may say more of the key than anybody should read.
    let server = config.with_single_cert(chain, key).map_err(|_| {
        anyhow!(
            "the key in {} (`tls_key`) is not that of the first certificate in {} (`tls_cert`); name a certificate and \
             its own key",
            files.key.display(),
            files.cert.display()
        )
    })?;
    Ok(TlsConfig { server, clients })
}

/// Whom these authorities vouch for, and whoever shows nothing: managers do.
fn believed(path: &Path, provider: Arc<CryptoProvider>) -> anyhow::Result<Arc<dyn ClientCertVerifier>> {
    let roots = Arc::new(authorities(path)?);
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).allow_unauthenticated();
    verifier.build().map_err(|_| no_authority(path))
}

fn authorities(path: &Path) -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("tls_client_ca", path)? {
        roots.add(certificate).map_err(|_| no_authority(path))?;
    }
    Ok(roots)
}

fn no_authority(path: &Path) -> anyhow::Error {
    anyhow!("{} (`tls_client_ca`) holds a certificate that is none of an authority", path.display())
}

fn certificates(key: &str, path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let content = content(key, path)?;
    let certificates = CertificateDer::pem_slice_iter(&content).collect::<Result<Vec<_>, _>>();
    certificates.ok().filter(|certificates| !certificates.is_empty()).ok_or_else(|| {
        anyhow!("there is no certificate in PEM in {} (`{key}`); name a file that holds one", path.display())
    })
}

fn private_key(path: &Path) -> anyhow::Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_slice(&content("tls_key", path)?).map_err(|_| {
        anyhow!(
            "there is no key in PEM in {} (`tls_key`); name a file that holds one without a passphrase (PKCS8, PKCS1 or \
             SEC1)",
            path.display()
        )
    })
}

fn content(key: &str, path: &Path) -> anyhow::Result<zeroize::Zeroizing<Vec<u8>>> {
    let content = std::fs::read(path).map_err(|error| {
        anyhow!(
            "cannot read {} (`{key}`): {error}; name a file in PEM that this process may read",
            path.display()
        )
    })?;
    Ok(zeroize::Zeroizing::new(content))
}
