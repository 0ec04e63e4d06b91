//! Keys that are nobody's but the tests', and what they sign.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{self, KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// A key of one of the three algorithms.
pub(crate) struct Key {
    pair: Pair,
    kid: String,
}

enum Pair {
    EdDsa(Ed25519KeyPair),
    Es256(EcdsaKeyPair),
    Rs256(rsa::KeyPair),
}

impl Key {
    /// A new one of an algorithm, as `alg` says it.
    pub(crate) fn make(algorithm: &str) -> Self {
        let pair = match algorithm {
            "EdDSA" => Pair::EdDsa(Ed25519KeyPair::generate().expect("a key")),
            "ES256" => Pair::Es256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key")),
            "RS256" => Pair::Rs256(rsa::KeyPair::generate(KeySize::Rsa2048).expect("a key")),
            other => panic!("no algorithm {other}"),
        };
        Self { pair, kid: format!("{:064x}", 7) }
    }

    /// The public half, as key sets have it.
    pub(crate) fn jwk(&self) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match &self.pair {
            Pair::EdDsa(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": text(pair.public_key().as_ref())})
            }
            Pair::Es256(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "x": text(x), "y": text(y)})
            }
            Pair::Rs256(pair) => {
                let key = PublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                json!({"kty": "RSA", "n": text(&key.n), "e": text(&key.e)})
            }
        };
        let alg = match &self.pair {
            Pair::EdDsa(_) => "EdDSA",
            Pair::Es256(_) => "ES256",
            Pair::Rs256(_) => "RS256",
        };
        jwk["kid"] = json!(self.kid);
        jwk["alg"] = json!(alg);
        jwk["use"] = json!("sig");
        jwk
    }

    /// A token of this header and these claims, whatever they say.
    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        let signed = unsigned(&header.to_string(), &claims.to_string());
        let signature = match &self.pair {
            Pair::EdDsa(pair) => pair.sign(signed.as_bytes()).as_ref().to_vec(),
            Pair::Es256(pair) => {
                pair.sign(&SystemRandom::new(), signed.as_bytes()).expect("a signature").as_ref().to_vec()
            }
            Pair::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let random = SystemRandom::new();
                pair.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature)
                    .expect("a signature");
                signature
            }
        };
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// The first two parts of a token.
pub(crate) fn unsigned(header: &str, claims: &str) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
}

/// What a part of a token says.
pub(crate) fn read(part: &str) -> Value {
    let bytes = URL_SAFE_NO_PAD.decode(part).unwrap_or_else(|error| panic!("{part}: {error}"));
    serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{part}: {error}"))
}
