//! What is read of a token, and what is refused of one that is not as we write it.

use std::time::Duration;

use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use countersign_domain::entropy::Entropy;
use countersign_domain::signing_key::{CLOCK_SKEW, LONGEST_SIGNED, Turn};
use countersign_domain::time::Timestamp;
use countersign_domain::verdict::Reason;
use serde_json::{Value, json};

use super::key::Algorithm;
use super::ring::{KeyRing, TokenType, make};
use super::*;

const ISSUER: &str = "https://tokens.example.com";
const DAY: u64 = 24 * 3600;

struct Counting;

impl Entropy for Counting {
    fn fill(&self, out: &mut [u8]) {
        out.fill(7);
    }
}

fn day(number: u64) -> Timestamp {
    Timestamp::from_micros(1_800_000_000_000_000).after(Duration::from_secs(number * DAY))
}

/// With keys whose turns begin on these days.
fn signing(days: &[u64]) -> Signing {
    let settings = SigningSettings {
        issuer: ISSUER.into(),
        algorithm: Algorithm::EdDsa,
        lifetime: Duration::from_secs(300),
        resources: None,
        is_alone: true,
    };
    let seal = Arc::new(Seal::new(&[9; 32]).unwrap());
    let turns = (1..).zip(days).map(|(number, signs_from)| Turn {
        number,
        signs_from: day(*signs_from),
        interval_days: 21,
    });
    let rows: Vec<_> = turns.map(|turn| make(turn, &seal, &Counting, day(0)).unwrap()).collect();
    let ring = KeyRing::default().read(&rows, &seal).unwrap();
    let signing = Signing::new(settings, seal);
    signing.ring.store(Arc::new(ring));
    signing
}

fn claims(now: Timestamp) -> Value {
    let client_id = "88bf3b6d86161464f6509f7219099e57.access";
    json!({
        "iss": ISSUER, "sub": client_id, "aud": ISSUER, "exp": now.as_seconds() + 300, "iat": now.as_seconds(),
        "jti": "a", "client_id": client_id, "token": "0192f3c4-a5b6-7c8d-9e0f-1a2b3c4d5e6f", "scope": "a b:*",
        "account": "0192f3c4a5b67c8d9e0f1a2b3c4d5e6f", "accounts_above": [], "secret_version": 1,
    })
}

impl Signing {
    /// Signs whatever it is given, with the keys of a generation.
    fn forge(&self, number: u32, algorithm: Algorithm, typ: TokenType, claims: &[u8]) -> String {
        let ring = self.ring.load();
        ring.generation(number).unwrap().key(algorithm).sign(typ, claims).unwrap()
    }

    fn forge_claims(&self, claims: &Value) -> String {
        self.forge(1, Algorithm::EdDsa, TokenType::Access, claims.to_string().as_bytes())
    }
}

#[test]
fn what_is_signed_is_read() {
    let (signing, now) = (signing(&[0]), day(1));
    for algorithm in Algorithm::ALL {
        let text = signing.forge(1, algorithm, TokenType::Access, claims(now).to_string().as_bytes());
        // The second time from memory.
        for _ in 0..2 {
            let token = signing.read(&text, now).unwrap();
            assert_eq!((token.secret_version, token.is_for_issuer), (1, true), "{algorithm:?}");
            assert!(token.scopes.cover("b:c") && !token.scopes.cover("c"));
            assert_eq!((token.issued_at, token.expires_at), (now, now.after(Duration::from_secs(300))));
        }
    }
}

fn encode(text: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

/// Every way in which the first part of a token can be something else than it was.
fn tampered_headers(good: &str) -> Vec<(&'static str, String)> {
    let [header, payload, signature]: [&str; 3] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
    let head: Value = serde_json::from_slice(&decode(header)).unwrap();
    let with = |name: &str, value: Value| {
        let mut head = head.clone();
        head[name] = value;
        format!("{}.{payload}.{signature}", encode(head.to_string()))
    };
    let kid = head["kid"].as_str().unwrap();
    let raw = |head: &str| format!("{}.{payload}.{signature}", encode(head));
    let other = self::signing(&[0]);
    let jwk =
        serde_json::to_value(&other.ring.load().generation(1).unwrap().key(Algorithm::EdDsa).public.jwk)
            .unwrap();
    vec![
        ("alg none", with("alg", json!("none"))),
        ("alg None, unsigned", format!("{}.{payload}.", encode(r#"{"alg":"None","typ":"at+jwt"}"#))),
        ("no signature", format!("{header}.{payload}.")),
        ("HMAC with the public key", with("alg", json!("HS256"))),
        ("another algorithm of ours", with("alg", json!("ES256"))),
        ("another type", with("typ", json!("JWT"))),
        ("no type", raw(&format!(r#"{{"alg":"EdDSA","kid":"{kid}"}}"#))),
        ("no key", raw(r#"{"alg":"EdDSA","typ":"at+jwt"}"#)),
        ("another key", with("kid", json!("../../dev/null"))),
        ("a key injected by SQL", with("kid", json!("' OR 1=1 --"))),
        ("a crit", with("crit", json!(["exp"]))),
        ("an embedded key", with("jwk", jwk)),
        ("a key by URL", with("jku", json!("https://evil.example/jwks.json"))),
        ("a certificate by URL", with("x5u", json!("https://evil.example/cert.pem"))),
        ("an unencoded payload", with("b64", json!(false))),
        ("compressed", with("zip", json!("DEF"))),
        ("a nested token", raw(&format!(r#"{{"alg":"EdDSA","kid":"{kid}","typ":"at+jwt","cty":"JWT"}}"#))),
        ("alg twice", raw(&format!(r#"{{"alg":"none","alg":"EdDSA","kid":"{kid}","typ":"at+jwt"}}"#))),
        (
            "the same header, spelled otherwise",
            raw(&format!(r#"{{ "alg":"EdDSA","kid":"{kid}","typ":"at+jwt"}}"#)),
        ),
        ("an array as header", raw("[]")),
    ]
}

/// And the others.
fn tampered_parts(signing: &Signing, good: &str, now: Timestamp) -> Vec<(&'static str, String)> {
    let [header, payload, signature]: [&str; 3] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    let claiming = |name: &str, value: Value| {
        let mut claims = claims(now);
        claims[name] = value;
        format!("{header}.{}.{signature}", encode(claims.to_string()))
    };
    let mut flipped = URL_SAFE_NO_PAD.decode(signature).unwrap();
    flipped[0] ^= 1;
    let other = self::signing(&[0]);
    // The last character of 64 bytes carries four bits that say nothing.
    let last = signature.chars().last().unwrap();
    let next = char::from(last as u8 + 1);
    vec![
        ("another scope", claiming("scope", json!("*"))),
        ("a later expiry", claiming("exp", json!(now.as_seconds() + 301))),
        ("another account", claiming("account", json!("f".repeat(32)))),
        ("a flipped bit", format!("{header}.{payload}.{}", encode(&flipped))),
        ("a shorter signature", format!("{header}.{payload}.{}", encode(&flipped[1..]))),
        ("a longer signature", format!("{good}AA")),
        ("an endless signature", format!("{header}.{payload}.{}", "A".repeat(2_000))),
        ("a padded signature", format!("{good}==")),
        ("a padded header", format!("{header}=.{payload}.{signature}")),
        ("bits that say nothing", format!("{}{next}", &good[..good.len() - 1])),
        ("base64 that is not for URLs", {
            let standard = STANDARD_NO_PAD.encode([251; 64]);
            format!("{header}.{payload}.{standard}")
        }),
        ("a line break", format!("{header}.{payload}.\n{signature}")),
        ("a blank in front", format!(" {good}")),
        ("a fourth part", format!("{good}.{signature}")),
        ("five parts, as of an encrypted token", format!("{header}.a.b.c.d")),
        ("two parts", format!("{header}.{payload}")),
        ("parts in another order", format!("{payload}.{header}.{signature}")),
        (
            "JSON serialization",
            json!({"payload": payload, "protected": header, "signature": signature}).to_string(),
        ),
        ("a signature of another text", {
            let mut other = claims(now);
            other["jti"] = json!("b");
            let other = signing.forge_claims(&other);
            format!("{header}.{payload}.{}", other.rsplit('.').next().unwrap())
        }),
        ("signed by another's key of the same name", {
            let forged = other.forge_claims(&claims(now));
            let (_, rest) = forged.split_once('.').unwrap();
            format!("{header}.{rest}")
        }),
        ("another deployment's", other.forge_claims(&claims(now))),
        ("oversized", format!("{header}.{}.{signature}", "A".repeat(9_000))),
        ("standard base64 of the whole", STANDARD.encode(good)),
    ]
}

#[test]
fn nothing_that_was_tampered_with_is_read() {
    let (signing, now) = (signing(&[0]), day(1));
    let good = signing.forge_claims(&claims(now));
    let tampered = [tampered_headers(&good), tampered_parts(&signing, &good, now)].concat();
    assert!(tampered.len() >= 40);
    for warm in [false, true] {
        for (name, text) in &tampered {
            let refused = signing.read(text, now).err();
            let is_refused =
                matches!(refused, Some(Reason::Malformed | Reason::Unknown | Reason::WrongSecret));
            assert!(is_refused, "{name} (warm: {warm}): {refused:?}");
        }
        // What is known by heart helps nobody.
        signing.read(&good, now).unwrap();
    }
}

/// Our own signature is good for what we write, and for nothing else.
#[test]
fn a_good_signature_is_not_enough() {
    let (signing, now) = (signing(&[0]), day(1));
    let forged = |change: &dyn Fn(&mut Value)| {
        let mut claims = claims(now);
        change(&mut claims);
        signing.read(&signing.forge_claims(&claims), now).map(|_| ())
    };
    assert_eq!(forged(&|_| {}), Ok(()));
    assert_eq!(forged(&|claims| claims["iss"] = json!("https://other.example.com")), Err(Reason::Malformed));
    assert_eq!(forged(&|claims| claims["admin"] = json!(true)), Err(Reason::Malformed));
    assert_eq!(forged(&|claims| claims["exp"] = json!("never")), Err(Reason::Malformed));
    assert_eq!(forged(&|claims| claims["exp"] = json!(i64::MAX)), Err(Reason::Unknown), "lives too long");
    let assertion =
        signing.forge(1, Algorithm::Rs256, TokenType::Assertion, claims(now).to_string().as_bytes());
    assert_eq!(signing.read(&assertion, now).err(), Some(Reason::Unknown), "another type");
    let twice = claims(now).to_string().replacen('{', "{\"account\":\"x\",", 1);
    let twice = signing.forge(1, Algorithm::EdDsa, TokenType::Access, twice.as_bytes());
    assert_eq!(signing.read(&twice, now).err(), Some(Reason::Malformed), "a claim twice");
}

/// Whoever has stolen a retired key signs nothing with it that is accepted.
#[test]
fn a_retired_key_signs_nothing_more() {
    let signing = signing(&[0, 21]);
    let retired = day(21);
    let issued = |at: Timestamp, exp: Timestamp| {
        let mut claims = claims(at);
        claims["exp"] = json!(exp.as_seconds());
        signing.forge_claims(&claims)
    };
    let last = retired.before(Duration::from_secs(1));
    let longest = issued(last, last.after(LONGEST_SIGNED));
    assert!(signing.read(&longest, last).is_ok(), "in its time");
    let later = retired.after(CLOCK_SKEW);
    let after = issued(later, later.after(Duration::from_secs(300)));
    assert_eq!(signing.read(&after, later).err(), Some(Reason::Unknown), "said to be of later");
    let end = retired.after(LONGEST_SIGNED).after(CLOCK_SKEW);
    assert!(signing.read(&longest, end.before(Duration::from_secs(1))).is_ok());
    assert_eq!(signing.read(&longest, end).err(), Some(Reason::Unknown), "and not from memory");
}

#[test]
fn a_key_that_is_sealed_under_another_only_verifies() {
    let now = day(1);
    let signing = signing(&[0]);
    let good = signing.forge_claims(&claims(now));
    let rows = {
        let turn = Turn { number: 1, signs_from: day(0), interval_days: 21 };
        vec![make(turn, &signing.seal, &Counting, day(0)).unwrap()]
    };
    let other = Seal::new(&[8; 32]).unwrap();
    let ring = KeyRing::default().read(&rows, &other).unwrap();
    assert!(!ring.generation(1).unwrap().is_open());
    let refused = ring.signing(Algorithm::EdDsa, now).unwrap().sign(TokenType::Access, b"{}");
    assert!(refused.is_err());
    assert!(signing.read(&good, now).is_ok());
}

/// What is shown now is remembered, whatever was shown before and never again.
#[test]
fn what_came_last_is_remembered() {
    let cache = super::recent::<u32, ()>(16_384);
    let show = |key| {
        let is_known = cache.get(&key).is_some();
        if !is_known {
            cache.insert(key, ());
        }
        is_known
    };
    assert!(!(0..200_000).any(show), "each once");
    let laps = [(); 4].map(|()| (1_000_000..1_012_000).filter(|key| show(*key)).count());
    assert!(laps[3] > 11_000, "of 12,000 in four laps: {laps:?}");
}
