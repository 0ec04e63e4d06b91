//! The keys as a node has them, ready to sign and to verify.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_domain::entropy::Entropy;
use countersign_domain::error::Error;
use countersign_domain::signing_key::{KeyGeneration, SealedKey, Timetable, Turn};
use countersign_domain::store::{StoreError, Version};
use countersign_domain::time::Timestamp;

use super::certificate;
use super::key::{Algorithm, Jwk, PrivateKey, PublicKey};
use crate::seal::Seal;

/// What a signed token is for: tokens of one type are never taken for others (RFC 8725, 3.11).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum TokenType {
    /// To be shown at doors and to services (RFC 9068).
    Access,
    /// What a door says to the service behind it (cloudflare-access.md 5.3).
    Assertion,
}

impl TokenType {
    const ALL: [Self; 2] = [Self::Access, Self::Assertion];

    /// Its name in `typ`.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Access => "at+jwt",
            Self::Assertion => "JWT",
        }
    }
}

/// A key, and the first part of every token that it signs.
pub(crate) struct Key {
    pub(crate) public: PublicKey,
    /// Without the seal under which it was made, a node verifies only.
    private: Option<PrivateKey>,
    headers: [Box<str>; TokenType::ALL.len()],
}

/// A generation that was read.
pub(crate) struct Generation {
    pub(crate) turn: Turn,
    pub(crate) version: Version,
    keys: [Key; Algorithm::ALL.len()],
    /// Of the key for RS256, in DER.
    pub(crate) certificate: Box<[u8]>,
}

/// Every key.
#[derive(Default)]
pub(crate) struct KeyRing {
    pub(crate) timetable: Timetable,
    pub(crate) generations: Vec<Arc<Generation>>,
    /// By the first part of a token: whatever else it says of its algorithm or key is no key of ours, so that nothing in
    /// it has to be read before its signature was looked at.
    by_header: HashMap<Box<str>, (usize, Algorithm, TokenType)>,
}

impl Key {
    fn read(number: u32, algorithm: Algorithm, sealed: &SealedKey, seal: &Seal) -> Option<Self> {
        let public = PublicKey::read(algorithm, &sealed.public)?;
        let private = seal.open_bytes(&purpose(number, algorithm), &sealed.private);
        let private = private.and_then(|pkcs8| PrivateKey::read(algorithm, &pkcs8).ok());
        let header = |typ: TokenType| {
            let (alg, kid, typ) = (algorithm.as_str(), &public.jwk.kid, typ.as_str());
            URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{alg}","kid":"{kid}","typ":"{typ}"}}"#)).into()
        };
        let headers = TokenType::ALL.map(header);
        Some(Self { public, private, headers })
    }

    /// A token of these claims.
    pub(crate) fn sign(&self, typ: TokenType, claims: &[u8]) -> Result<String, Error> {
        let failed = |what: &'static str| Error::Store(StoreError::Unavailable(what.into()));
        let key =
            self.private.as_ref().ok_or_else(|| failed("the signing keys are sealed under another key"))?;
        let mut token = String::from(&*self.headers[typ as usize]);
        token.reserve(claims.len() * 4 / 3 + 360);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let signature = key.sign(token.as_bytes()).map_err(|_| failed("a token cannot be signed"))?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }
}

impl Generation {
    fn read(row: &KeyGeneration, seal: &Seal) -> Result<Self, StoreError> {
        let number = row.number;
        let key = |column, algorithm, sealed| {
            Key::read(number, algorithm, sealed, seal).ok_or_else(|| StoreError::Broken {
                table: "key_generations",
                column,
                row: number.to_string(),
            })
        };
        let keys = [
            key("ed25519_public", Algorithm::EdDsa, &row.ed25519)?,
            key("p256_public", Algorithm::Es256, &row.p256)?,
            key("rsa_public", Algorithm::Rs256, &row.rsa)?,
        ];
        Ok(Self { turn: row.into(), version: row.version, keys, certificate: row.rsa_certificate.clone() })
    }

    pub(crate) fn key(&self, algorithm: Algorithm) -> &Key {
        &self.keys[algorithm as usize]
    }

    /// Whether this node can sign with it.
    pub(crate) fn is_open(&self) -> bool {
        self.keys.iter().all(|key| key.private.is_some())
    }
}

impl KeyRing {
    /// Reads what is stored; what was read before is not read again.
    pub(crate) fn read(&self, rows: &[KeyGeneration], seal: &Seal) -> Result<Self, StoreError> {
        let generation = |row: &KeyGeneration| {
            let known = self.generations.iter().find(|known| {
                known.turn == row.into()
                    && known.version == row.version
                    && known.certificate == row.rsa_certificate
            });
            known.map_or_else(|| Generation::read(row, seal).map(Arc::new), |known| Ok(Arc::clone(known)))
        };
        let generations = rows.iter().map(generation).collect::<Result<Vec<_>, _>>()?;
        let timetable = Timetable::new(generations.iter().map(|generation| generation.turn));
        let mut by_header = HashMap::new();
        for (index, generation) in generations.iter().enumerate() {
            for algorithm in Algorithm::ALL {
                for typ in TokenType::ALL {
                    let header = generation.key(algorithm).headers[typ as usize].clone();
                    by_header.insert(header, (index, algorithm, typ));
                }
            }
        }
        Ok(Self { timetable, generations, by_header })
    }

    /// The key that signs now.
    pub(crate) fn signing(&self, algorithm: Algorithm, now: Timestamp) -> Option<&Key> {
        let turn = self.timetable.signing(now)?;
        Some(self.generation(turn.number)?.key(algorithm))
    }

    /// A generation by its number.
    pub(crate) fn generation(&self, number: u32) -> Option<&Arc<Generation>> {
        self.generations.iter().find(|generation| generation.turn.number == number)
    }

    /// The key of a token by its first part, with the number of its generation and the type that it says.
    pub(crate) fn find(&self, header: &str) -> Option<(u32, &Key, TokenType)> {
        let (index, algorithm, typ) = *self.by_header.get(header)?;
        let generation = self.generations.get(index)?;
        Some((generation.turn.number, generation.key(algorithm), typ))
    }

    /// Every key of these algorithms, as it is published.
    pub(crate) fn jwks(&self, algorithms: &[Algorithm]) -> Vec<Jwk> {
        let of = |generation: &Arc<Generation>| -> Vec<Jwk> {
            algorithms.iter().map(|algorithm| generation.key(*algorithm).public.jwk.clone()).collect()
        };
        self.generations.iter().flat_map(of).collect()
    }
}

/// To what a private key is bound.
fn purpose(number: u32, algorithm: Algorithm) -> Vec<u8> {
    format!("countersign signing key {number} {}", algorithm.as_str()).into_bytes()
}

/// Makes the keys of a turn: some tenths of a second of work.
pub(crate) fn make(
    turn: Turn,
    seal: &Seal,
    entropy: &dyn Entropy,
    now: Timestamp,
) -> Result<KeyGeneration, Error> {
    let failed = |what: &'static str| Error::Store(StoreError::Unavailable(what.into()));
    let make = |algorithm| PrivateKey::make(algorithm).map_err(|_| failed("a signing key cannot be made"));
    let made = [make(Algorithm::EdDsa)?, make(Algorithm::Es256)?, make(Algorithm::Rs256)?];
    let rsa_certificate = certificate::of(&made[2].pkcs8, turn.number, now)
        .map_err(|error| Error::Store(StoreError::Unavailable(error.into())))?;
    let [ed25519, p256, rsa] = made;
    let sealed = |algorithm, made: super::key::MadeKey| -> Result<SealedKey, Error> {
        let private = seal.seal_bytes(&purpose(turn.number, algorithm), &made.pkcs8, entropy)?;
        Ok(SealedKey { public: made.public, private })
    };
    Ok(KeyGeneration {
        number: turn.number,
        ed25519: sealed(Algorithm::EdDsa, ed25519)?,
        p256: sealed(Algorithm::Es256, p256)?,
        rsa: sealed(Algorithm::Rs256, rsa)?,
        rsa_certificate,
        created_at: now,
        signs_from: turn.signs_from,
        interval_days: turn.interval_days,
        version: Version::FIRST,
    })
}
