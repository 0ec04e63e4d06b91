//! TLS to the database: with hosts that show a certificate of their name, and ours if they want to see one.

use std::sync::{Arc, OnceLock};

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::address::{Address, CertificateFiles, Roots};
use crate::files::{FileError, Named, Readers, Reason};

/// Why there can be no TLS, whatever the host.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(
        "the system has no certificates of authorities: install ca-certificates, or say sslrootcert=FILE"
    )]
    NoSystemRoots,
    #[error("rustls has no version of TLS in common with its provider")]
    Provider(#[source] rustls::Error),
}

/// Reads what the address names.
pub(crate) fn connector(address: &Address) -> Result<MakeRustlsConnect, TlsError> {
    let roots = match &address.roots {
        Roots::System => system_roots()?,
        Roots::File(path) => of_certificates(Named { name: "sslrootcert", path })?,
    };
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Provider)?
        .with_root_certificates(roots);
    let config = match &address.certificate {
        None => config.with_no_client_auth(),
        Some(CertificateFiles { certificate, key }) => {
            let chain = certificates(Named { name: "sslcert", path: certificate })?;
            let named = Named { name: "sslkey", path: key };
            let key = private_key(named)?;
            // The error may say more of the key than anybody should read.
            config.with_client_auth_cert(chain, key).map_err(|_| named.error(Reason::OtherKey))?
        }
    };
    Ok(MakeRustlsConnect::new(config))
}

/// Those of the machine, which are many: read once.
fn system_roots() -> Result<RootCertStore, TlsError> {
    static ROOTS: OnceLock<RootCertStore> = OnceLock::new();
    let roots = ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots
    });
    if roots.is_empty() { Err(TlsError::NoSystemRoots) } else { Ok(roots.clone()) }
}

fn of_certificates(file: Named<'_>) -> Result<RootCertStore, FileError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(|_| file.error(Reason::NoCertificate))?;
    }
    Ok(roots)
}

fn certificates(file: Named<'_>) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let content = file.read(Readers::Everybody)?;
    let certificates = CertificateDer::pem_slice_iter(&content).collect::<Result<Vec<_>, _>>();
    certificates
        .ok()
        .filter(|certificates| !certificates.is_empty())
        .ok_or_else(|| file.error(Reason::NoCertificate))
}

fn private_key(file: Named<'_>) -> Result<PrivateKeyDer<'static>, FileError> {
    let content = file.read(Readers::OwnerOrGroupOfRoot)?;
    PrivateKeyDer::from_pem_slice(&content).map_err(|_| file.error(Reason::NoKey))
}
