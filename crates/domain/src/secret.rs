//! Secrets: how they are made, recognised and kept.
//!
//! Three types keep the plain text apart from what may be stored: [`Secret`] is one we made and may show once,
//! [`PresentedSecret`] is one a client sent, [`Digest`] is what stays. Only [`Secret::reveal`] gives text out.

use std::fmt;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::entropy::Entropy;
use crate::id::Handle;

/// Digits of base62, most significant first in numbers.
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Random characters of a service token's secret: 238 bits.
const SERVICE_BODY: usize = 40;
/// Hex digits of its checksum.
const SERVICE_CHECKSUM: usize = 8;
/// Secrets made before the checksummed format: this many lower-case hex digits (cloudflare-access.md 5.1).
const OLD_SERVICE_SECRET: usize = 64;

/// Characters of an access token's text.
const ACCESS_TEXT: usize = 64;
/// Of these, all but the checksum.
const ACCESS_BODY: usize = 58;

/// A text that opens doors, wiped when dropped. It has no `Display`, no `Clone`, and its `Debug` shows nothing,
/// so that it cannot reach a log by accident.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes in a text that came from the operator, such as a root token from the environment.
    pub fn from_operator(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The plain text. Call it only where the one answer that shows the secret is written.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// SHA-256 of a secret's text. Secrets hold over 200 random bits, so a fast hash cannot be searched, and
/// verification stays in microseconds. Compared in constant time.
#[derive(Clone, Copy)]
pub struct Digest([u8; 32]);

impl Digest {
    fn of(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    /// The digest of these bytes, as a store keeps them.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, as a store keeps them.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Digest {}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(…)")
    }
}

/// A secret's text as a client sent it: well-formed, not yet compared with anything.
#[derive(Clone, Copy)]
pub struct PresentedSecret<'a>(&'a str);

impl PresentedSecret<'_> {
    /// What to compare with the digest that is kept.
    pub fn digest(&self) -> Digest {
        Digest::of(self.0)
    }
}

impl fmt::Debug for PresentedSecret<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PresentedSecret(…)")
    }
}

/// What stands before the random part of a new service token secret, so that scanners find it in leaked text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretPrefix(Box<str>);

/// The text is no prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 16 lower-case letters, digits or `_`, ending in `_`")]
pub struct InvalidPrefix;

impl SecretPrefix {
    /// Longest prefix.
    pub const LONGEST: usize = 16;

    /// Reads a prefix: 1 to 16 of `[a-z0-9_]`, the last one `_`.
    pub fn parse(text: &str) -> Result<Self, InvalidPrefix> {
        let wanted = text.ends_with('_') && text.len() <= Self::LONGEST && is_prefix(text.as_bytes());
        wanted.then(|| Self(text.into())).ok_or(InvalidPrefix)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for SecretPrefix {
    fn default() -> Self {
        Self("csst_".into())
    }
}

fn is_prefix(bytes: &[u8]) -> bool {
    bytes.len() <= SecretPrefix::LONGEST
        && bytes.iter().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

/// Makes a service token secret: prefix, 40 random base62 characters, and the CRC-32/ISO-HDLC of these 40 as 8
/// hex digits (cloudflare-access.md 5.1).
pub fn mint_service_secret(prefix: &SecretPrefix, entropy: &dyn Entropy) -> Secret {
    let body = random_base62(SERVICE_BODY, entropy);
    let checksum = crc32fast::hash(body.as_bytes());
    Secret(Zeroizing::new(format!("{}{}{checksum:08x}", prefix.as_str(), body.as_str())))
}

/// Recognises a service token secret: either format, any prefix that a deployment could have had, the checksum
/// right. `None` costs no hash and no look-up.
pub fn parse_service_secret(text: &str) -> Option<PresentedSecret<'_>> {
    let bytes = text.as_bytes();
    let is_hex = |bytes: &[u8]| bytes.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if bytes.len() == OLD_SERVICE_SECRET && is_hex(bytes) {
        return Some(PresentedSecret(text));
    }
    let prefix_len = bytes.len().checked_sub(SERVICE_BODY + SERVICE_CHECKSUM)?;
    let (prefix, rest) = bytes.split_at(prefix_len);
    let (body, checksum) = rest.split_at(SERVICE_BODY);
    if !is_prefix(prefix) || !body.iter().all(u8::is_ascii_alphanumeric) || !is_hex(checksum) {
        return None;
    }
    let stated = u32::from_str_radix(text.get(prefix_len + SERVICE_BODY..)?, 16).ok()?;
    (crc32fast::hash(body) == stated).then_some(PresentedSecret(text))
}

/// Makes an access token's text: 22 public characters (the handle), 36 secret ones, and 6 of checksum
/// (design 2.3).
pub fn mint_access_text(entropy: &dyn Entropy) -> (Handle, Secret) {
    let body = random_base62(ACCESS_BODY, entropy);
    let mut text = Zeroizing::new(String::with_capacity(ACCESS_TEXT));
    text.push_str(&body);
    for digit in access_checksum(body.as_bytes()) {
        text.push(char::from(digit));
    }
    let mut handle = [0; Handle::LEN];
    handle.copy_from_slice(&body.as_bytes()[..Handle::LEN]);
    (Handle::from_base62(handle), Secret(text))
}

/// Recognises the text of an access token and says which handle it has.
///
/// In our format the handle is its first 22 characters and costs no hash. Other texts of 32 to 128 characters of
/// `[A-Za-z0-9_-]` (a root token from the environment, an imported token) have a handle made of their SHA-256.
pub fn parse_access_text(text: &str) -> Option<(Handle, PresentedSecret<'_>)> {
    let bytes = text.as_bytes();
    if is_access_text(text) {
        return Some((Handle::from_ascii(&bytes[..Handle::LEN])?, PresentedSecret(text)));
    }
    let foreign = (32..=128).contains(&bytes.len())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if !foreign {
        return None;
    }
    Some((derived_handle(text), PresentedSecret(text)))
}

/// Whether a text is in our own format for access tokens, its checksum right.
pub fn is_access_text(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.len() != ACCESS_TEXT || !bytes.iter().all(u8::is_ascii_alphanumeric) {
        return false;
    }
    let (body, checksum) = bytes.split_at(ACCESS_BODY);
    access_checksum(body) == checksum
}

/// CRC-32/ISO-HDLC of the first 58 characters as six base62 digits, most significant first.
fn access_checksum(body: &[u8]) -> [u8; ACCESS_TEXT - ACCESS_BODY] {
    let mut rest = crc32fast::hash(body);
    let mut digits = [b'0'; ACCESS_TEXT - ACCESS_BODY];
    for digit in digits.iter_mut().rev() {
        *digit = BASE62[(rest % 62) as usize];
        rest /= 62;
    }
    digits
}

/// The first 22 of the 43 base62 digits of SHA-256("handle" ‖ text), read as a big-endian number.
fn derived_handle(text: &str) -> Handle {
    let hash: [u8; 32] =
        Sha256::new().chain_update(b"handle").chain_update(text.as_bytes()).finalize().into();
    let mut limbs = [0u32; 8];
    for (limb, bytes) in limbs.iter_mut().zip(hash.chunks_exact(4)) {
        *limb = bytes.iter().fold(0, |value, byte| value << 8 | u32::from(*byte));
    }
    let mut digits = [b'0'; 43];
    // Some digits at once: every request with such a text does this.
    for group in digits.rchunks_mut(5) {
        const DIVISOR: u64 = 62_u64.pow(5);
        let mut remainder = 0u64;
        for limb in &mut limbs {
            let value = remainder << 32 | u64::from(*limb);
            *limb = (value / DIVISOR) as u32;
            remainder = value % DIVISOR;
        }
        for digit in group.iter_mut().rev() {
            *digit = BASE62[(remainder % 62) as usize];
            remainder /= 62;
        }
    }
    let mut handle = [0; Handle::LEN];
    handle.copy_from_slice(&digits[..Handle::LEN]);
    Handle::from_base62(handle)
}

/// `len` characters of base62, each equally likely: bytes above the largest multiple of 62 are drawn again.
fn random_base62(len: usize, entropy: &dyn Entropy) -> Zeroizing<String> {
    const FAIR: u8 = 62 * 4;
    let mut text = Zeroizing::new(String::with_capacity(len));
    let mut pool = Zeroizing::new([0u8; 64]);
    while text.len() < len {
        entropy.fill(pool.as_mut());
        let wanted = len - text.len();
        let fair = pool.iter().filter(|byte| **byte < FAIR).take(wanted);
        text.extend(fair.map(|byte| char::from(BASE62[usize::from(byte % 62)])));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::Mutex;

    /// Bytes from a list, then a counter: enough to drive the generators.
    struct Bytes(Mutex<u64>);

    impl Entropy for Bytes {
        fn fill(&self, out: &mut [u8]) {
            let Ok(mut state) = self.0.lock() else { return };
            for byte in out {
                *state =
                    state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                *byte = (*state >> 56) as u8;
            }
        }
    }

    #[test]
    fn the_official_example_has_our_checksum() {
        // cloudflare-access.md 5.1: the one secret that Cloudflare has published.
        assert!(parse_service_secret("cfast_EqN8f9vx3sKOSY4mwCMCbZYb02L4OvfAkacLAqTZ63a435a7").is_some());
        assert!(parse_service_secret("cfast_EqN8f9vx3sKOSY4mwCMCbZYb02L4OvfAkacLAqTZ63a435a8").is_none());
        assert!(parse_service_secret("cfast_FqN8f9vx3sKOSY4mwCMCbZYb02L4OvfAkacLAqTZ63a435a7").is_none());
        assert!(parse_service_secret("cfast_EqN8f9vx3sKOSY4mwCMCbZYb02L4OvfAkacLAqTZ63A435A7").is_none());
        assert!(parse_service_secret(&"a1".repeat(32)).is_some(), "old format");
        assert!(parse_service_secret(&"A1".repeat(32)).is_none());
    }

    #[test]
    fn a_foreign_text_has_a_derived_handle() {
        let text = "a-root-token-from-the-environment_0123";
        let first = parse_access_text(text).map(|(handle, _)| handle.to_string());
        // python3: n = int(sha256(b"handle" + text).hexdigest(), 16), 43 base62 digits, the first 22
        assert_eq!(first.as_deref(), Some("8nozrU2VjhZBDbyTKKwhby"));
        assert!(parse_access_text("short").is_none());
        assert!(parse_access_text(&"x".repeat(129)).is_none());
        assert!(parse_access_text(&"ü".repeat(32)).is_none());
    }

    #[test]
    fn debug_shows_nothing() {
        let (_, secret) = mint_access_text(&Bytes(Mutex::new(1)));
        assert_eq!(format!("{secret:?} {:?}", secret.digest()), "Secret(…) Digest(…)");
    }

    #[test]
    fn digests_that_differ_in_one_bit_differ() {
        let digest = Digest::from_bytes([7; 32]);
        assert_eq!(digest, Digest::from_bytes([7; 32]));
        for bit in 0..256 {
            let mut bytes = [7; 32];
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(digest, Digest::from_bytes(bytes), "bit {bit}");
        }
    }

    #[test]
    fn base62_is_fair() {
        let text = random_base62(62_000, &Bytes(Mutex::new(7)));
        for digit in BASE62 {
            let count = text.bytes().filter(|byte| byte == digit).count();
            assert!((800..1200).contains(&count), "{} occurs {count} times", char::from(*digit));
        }
    }

    proptest! {
        #[test]
        fn what_is_minted_is_recognised(seed: u64, prefix in "[a-z0-9]{0,15}_") {
            let entropy = Bytes(Mutex::new(seed));
            let prefix = SecretPrefix::parse(&prefix).map_err(|e| TestCaseError::fail(e.to_string()))?;
            let service = mint_service_secret(&prefix, &entropy);
            let presented = parse_service_secret(service.reveal());
            prop_assert_eq!(presented.map(|p| p.digest()), Some(service.digest()));

            let (handle, access) = mint_access_text(&entropy);
            let parsed = parse_access_text(access.reveal()).map(|(handle, text)| (handle, text.digest()));
            prop_assert_eq!(parsed, Some((handle, access.digest())));
            prop_assert_eq!(handle.as_str(), &access.reveal()[..22]);
        }

        #[test]
        fn one_wrong_character_is_noticed(seed: u64, at in 0usize..53, with in "[0-9A-Za-z]") {
            let entropy = Bytes(Mutex::new(seed));
            let secret = mint_service_secret(&SecretPrefix::default(), &entropy);
            let mut text = secret.reveal().to_owned();
            text.replace_range(at..=at, &with);
            // A changed prefix is another prefix; everything behind it is covered by the checksum.
            prop_assume!(at >= 5 && text != secret.reveal());
            prop_assert!(parse_service_secret(&text).is_none());
        }

        #[test]
        fn parse_never_panics(text in ".{0,140}") {
            let _ = parse_service_secret(&text);
            let _ = parse_access_text(&text);
        }
    }
}
