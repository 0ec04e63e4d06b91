//! One key of each algorithm: how it is made, how it signs and verifies, and how it is published (RFC 7517, RFC 7638).

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::error::{KeyRejected, Unspecified};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{self, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, UnparsedPublicKey,
    VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use zeroize::Zeroizing;

/// An algorithm of RFC 7518 or RFC 8037. That of a token is its key's, never what the token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// Ed25519.
    EdDsa,
    /// ECDSA over P-256 with SHA-256.
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256, 2048 bits.
    Rs256,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 3] = [Self::EdDsa, Self::Es256, Self::Rs256];

    /// Its name in `alg`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
        }
    }

    /// The algorithm of a name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == text)
    }

    fn verification(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::EdDsa => &ED25519,
            Self::Es256 => &ECDSA_P256_SHA256_FIXED,
            Self::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
        }
    }
}

/// A key that signs.
pub(crate) enum PrivateKey {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
    Rsa(rsa::KeyPair),
}

/// A key that was made just now, and its public half in the form of [`SealedKey`](countersign_domain::signing_key::SealedKey).
pub(crate) struct MadeKey {
    pub(crate) pkcs8: Zeroizing<Vec<u8>>,
    pub(crate) public: Box<[u8]>,
}

impl PrivateKey {
    /// Makes one, from the random numbers of the library that signs with it: nobody else may know how.
    pub(crate) fn make(algorithm: Algorithm) -> Result<MadeKey, Unspecified> {
        let made =
            |pkcs8: &[u8], public: &[u8]| MadeKey { pkcs8: pkcs8.to_vec().into(), public: public.into() };
        match algorithm {
            Algorithm::EdDsa => {
                let key = Ed25519KeyPair::generate()?;
                Ok(made(key.to_pkcs8v1()?.as_ref(), key.public_key().as_ref()))
            }
            Algorithm::Es256 => {
                let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
                Ok(made(key.to_pkcs8v1()?.as_ref(), key.public_key().as_ref()))
            }
            Algorithm::Rs256 => {
                let key = rsa::KeyPair::generate(KeySize::Rsa2048)?;
                let pkcs8 = AsDer::<Pkcs8V1Der<'_>>::as_der(&key)?;
                Ok(made(pkcs8.as_ref(), key.public_key().as_ref()))
            }
        }
    }

    /// Reads one.
    pub(crate) fn read(algorithm: Algorithm, pkcs8: &[u8]) -> Result<Self, KeyRejected> {
        match algorithm {
            Algorithm::EdDsa => Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).map(Self::Ed25519),
            Algorithm::Es256 => {
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).map(Self::P256)
            }
            Algorithm::Rs256 => rsa::KeyPair::from_pkcs8(pkcs8).map(Self::Rsa),
        }
    }

    /// The signature of a message, as JWS wants it (RFC 7518, 3).
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Unspecified> {
        match self {
            Self::Ed25519(key) => Ok(key.try_sign(message)?.as_ref().to_vec()),
            Self::P256(key) => Ok(key.sign(&SystemRandom::new(), message)?.as_ref().to_vec()),
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)?;
                Ok(signature)
            }
        }
    }
}

/// A key that verifies.
pub(crate) struct PublicKey {
    pub(crate) jwk: Jwk,
    parsed: ParsedPublicKey,
}

/// A key as it is published (RFC 7517, 4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Jwk {
    /// The hexadecimal SHA-256 thumbprint of the key (RFC 7638).
    pub kid: String,
    /// What the key is for: `sig`.
    #[serde(rename = "use")]
    pub purpose: &'static str,
    /// The one algorithm that it is for.
    pub alg: &'static str,
    /// The key.
    #[serde(flatten)]
    pub material: Material,
}

/// What is public of a key, in base64url.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kty")]
pub enum Material {
    /// RFC 8037, 2.
    #[serde(rename = "OKP")]
    Okp {
        /// `Ed25519`.
        crv: &'static str,
        /// The public key.
        x: String,
    },
    /// RFC 7518, 6.2.
    #[serde(rename = "EC")]
    Ec {
        /// `P-256`.
        crv: &'static str,
        /// One coordinate.
        x: String,
        /// The other.
        y: String,
    },
    /// RFC 7518, 6.3.
    #[serde(rename = "RSA")]
    Rsa {
        /// The exponent.
        e: String,
        /// The modulus.
        n: String,
    },
}

/// How an `RSAPublicKey` of 2048 bits with the exponent 65537 begins and ends in DER; between is the modulus.
const RSA_BEGINS: [u8; 9] = [0x30, 0x82, 0x01, 0x0a, 0x02, 0x82, 0x01, 0x01, 0x00];
const RSA_ENDS: [u8; 5] = [0x02, 0x03, 0x01, 0x00, 0x01];

impl PublicKey {
    /// Reads one; `None` when it is none.
    pub(crate) fn read(algorithm: Algorithm, public: &[u8]) -> Option<Self> {
        let material = Material::of(algorithm, public)?;
        let parsed = UnparsedPublicKey::new(algorithm.verification(), public).parse().ok()?;
        let jwk = Jwk { kid: material.thumbprint(), purpose: "sig", alg: algorithm.as_str(), material };
        Some(Self { jwk, parsed })
    }

    /// Whether the signature is of this message by this key.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.parsed.verify_sig(message, signature).is_ok()
    }
}

impl Material {
    fn of(algorithm: Algorithm, public: &[u8]) -> Option<Self> {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match algorithm {
            Algorithm::EdDsa => Some(Self::Okp { crv: "Ed25519", x: text(public) }),
            Algorithm::Es256 => {
                let (x, y) = public.strip_prefix(&[4])?.split_at_checked(32)?;
                Some(Self::Ec { crv: "P-256", x: text(x), y: text(y) })
            }
            Algorithm::Rs256 => {
                let modulus = public.strip_prefix(&RSA_BEGINS)?.strip_suffix(&RSA_ENDS)?;
                Some(Self::Rsa { e: text(&RSA_ENDS[2..]), n: text(modulus) })
            }
        }
    }

    /// Over the members in the order of their names (RFC 7638, 3).
    fn thumbprint(&self) -> String {
        let members = match self {
            Self::Okp { crv, x } => format!(r#"{{"crv":"{crv}","kty":"OKP","x":"{x}"}}"#),
            Self::Ec { crv, x, y } => format!(r#"{{"crv":"{crv}","kty":"EC","x":"{x}","y":"{y}"}}"#),
            Self::Rsa { e, n } => format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#),
        };
        digest(&SHA256, members.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7638, 3.1, and RFC 8037, A.3.
    #[test]
    fn thumbprints_are_those_of_the_standards() {
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiF\
                 V4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c\
                 7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let rsa = Material::Rsa { e: "AQAB".into(), n: n.into() };
        let hex = |text: &str| -> String {
            URL_SAFE_NO_PAD.decode(text).unwrap().iter().map(|byte| format!("{byte:02x}")).collect()
        };
        assert_eq!(rsa.thumbprint(), hex("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"));
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".into();
        let okp = Material::Okp { crv: "Ed25519", x };
        assert_eq!(okp.thumbprint(), hex("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"));
    }

    #[test]
    fn every_key_signs_what_it_verifies_and_nothing_else() {
        for algorithm in Algorithm::ALL {
            let made = PrivateKey::make(algorithm).unwrap();
            let private = PrivateKey::read(algorithm, &made.pkcs8).unwrap();
            let public = PublicKey::read(algorithm, &made.public).unwrap();
            let mut signature = private.sign(b"message").unwrap();
            assert!(public.verifies(b"message", &signature), "{algorithm:?}");
            assert!(!public.verifies(b"messagf", &signature), "{algorithm:?}");
            signature[7] ^= 1;
            assert!(!public.verifies(b"message", &signature), "{algorithm:?}");
            assert_eq!(Algorithm::parse(public.jwk.alg), Some(algorithm));
        }
    }
}
