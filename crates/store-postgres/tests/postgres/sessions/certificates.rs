//! Authorities that nobody else knows.

use countersign_store_conformance::world::must;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};

/// Who signs certificates.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(super) fn new(name: &str) -> Self {
        let mut params = named(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(must(CertifiedIssuer::self_signed(params, must(KeyPair::generate()))))
    }

    /// Its own certificate.
    pub(super) fn certificate(&self) -> String {
        self.0.pem()
    }

    /// A certificate for hosts of these names, or for a client, and its key.
    pub(super) fn issue(&self, common_name: &str, hosts: &[&str]) -> (String, String) {
        let key = must(KeyPair::generate());
        let mut params = named(common_name, hosts);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = must(params.signed_by(&key, &self.0));
        (certificate.pem(), key.serialize_pem())
    }
}

fn named(common_name: &str, hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<_> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut params = must(CertificateParams::new(hosts));
    params.distinguished_name.push(DnType::CommonName, common_name);
    params
}
