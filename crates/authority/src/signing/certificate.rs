//! The key for RS256 as a certificate, for verifiers that take nothing else (cloudflare-access.md 5.4).

use countersign_domain::time::Timestamp;
use rcgen::{CertificateParams, DnType, KeyPair, KeyUsagePurpose};
use time::{Duration, OffsetDateTime};

/// For longer than any key is published.
const VALID_FOR: Duration = Duration::days(3 * 365);

/// Signed by the key itself; in DER.
pub(super) fn of(pkcs8: &[u8], number: u32, now: Timestamp) -> Result<Box<[u8]>, rcgen::Error> {
    let key = KeyPair::try_from(pkcs8)?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, format!("Countersign signing key {number}"));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let now = OffsetDateTime::from_unix_timestamp(now.as_seconds()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    params.not_before = now.saturating_sub(Duration::hours(1));
    params.not_after = now.saturating_add(VALID_FOR);
    Ok(params.self_signed(&key)?.der().as_ref().into())
}
