//! What people who have a good token of somebody, and every public key, make of it. Nobody may take any of it.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::forge::{Key, read, unsigned};

/// What they have.
pub(crate) struct Loot {
    /// A good token.
    pub(crate) token: String,
    /// Another one, of the same kind and key.
    pub(crate) other: String,
    /// The public key of both, as it is published.
    pub(crate) jwk: Value,
    /// The same in PEM, where it is published so.
    pub(crate) certificate: Option<String>,
}

/// A token that is not good.
#[derive(Debug)]
pub(crate) struct Tampered {
    /// What was done to it.
    pub(crate) name: String,
    pub(crate) token: String,
}

/// The three parts of a token.
struct Parts<'t> {
    header: &'t str,
    claims: &'t str,
    signature: &'t str,
}

/// What was made so far.
struct Forger<'l> {
    loot: &'l Loot,
    parts: Parts<'l>,
    header: Value,
    claims: Value,
    made: Vec<Tampered>,
}

/// Everything that can be made of it.
pub(crate) fn all(loot: &Loot) -> Vec<Tampered> {
    let mut parts = loot.token.split('.');
    let mut part = || parts.next().expect("three parts");
    let parts = Parts { header: part(), claims: part(), signature: part() };
    let (header, claims) = (read(parts.header), read(parts.claims));
    let mut forger = Forger { loot, parts, header, claims, made: Vec::new() };
    forger.without_algorithm();
    forger.by_public_key_as_secret();
    forger.by_own_key();
    forger.other_claims();
    forger.other_headers();
    forger.other_signatures();
    forger.other_shapes();
    forger.too_large();
    forger.made
}

/// What says the same bytes in another way of writing: who reads base64 as it comes takes it for the good token, and is not
/// deceived by it.
pub(crate) fn other_writings(loot: &Loot) -> Vec<Tampered> {
    let (signed, signature) = loot.token.rsplit_once('.').expect("three parts");
    let standard = STANDARD_NO_PAD.encode(URL_SAFE_NO_PAD.decode(signature).expect("base64url"));
    let (start, end) = signature.split_at(20);
    let writings = [
        ("an unused bit of the signature set", unused_bit_set(signature)),
        ("a padded signature", format!("{signature}==")),
        ("a wrongly padded signature", format!("{signature}=")),
        ("a signature in the alphabet of plain base64", standard),
        ("a line break in the signature", format!("{start}\n{end}")),
        ("a blank in the signature", format!("{start} {end}")),
        ("a character of no alphabet in the signature", format!("{start}!{end}")),
        ("a line break at the end", format!("{signature}\n")),
        ("a blank at the end", format!("{signature} ")),
        ("a NUL at the end", format!("{signature}\0")),
    ];
    let changed = writings.into_iter().filter(|(_, written)| written != signature);
    let made = |(name, written): (&str, String)| Tampered {
        name: name.to_owned(),
        token: format!("{signed}.{written}"),
    };
    let mut all: Vec<Tampered> = changed.map(made).collect();
    all.push(Tampered { name: "a blank at the start".to_owned(), token: format!(" {}", loot.token) });
    all
}

/// The last character has bits that say nothing, which are to be zero.
fn unused_bit_set(signature: &str) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (start, last) = signature.split_at(signature.len() - 1);
    let place = ALPHABET.iter().position(|known| last.as_bytes() == [*known]).expect("base64url");
    assert!(place % 2 == 0, "no unused bits: {signature}");
    format!("{start}{}", char::from(ALPHABET[place + 1]))
}

impl Forger<'_> {
    fn make(&mut self, name: impl Into<String>, token: impl Into<String>) {
        let (name, token) = (name.into(), token.into());
        assert_ne!(token, self.loot.token, "{name}");
        self.made.push(Tampered { name, token });
    }

    /// The good claims and the good signature below another header.
    fn below(&mut self, name: &str, header: &Value) {
        let Parts { claims, signature, .. } = self.parts;
        self.make(name, format!("{}.{claims}.{signature}", URL_SAFE_NO_PAD.encode(header.to_string())));
    }

    /// The header with another value of a member; `Null` takes it away.
    fn header_with(&self, name: &str, value: Value) -> Value {
        with(&self.header, name, value)
    }

    fn without_algorithm(&mut self) {
        let signature = self.parts.signature;
        for alg in ["none", "None", "NONE", "nOnE", "none ", ""] {
            let header = self.header_with("alg", json!(alg));
            self.below(&format!("alg {alg:?}, signature kept"), &header);
            let bare = unsigned(&header.to_string(), &self.claims.to_string());
            self.make(format!("alg {alg:?}, no signature"), format!("{bare}."));
            self.make(format!("alg {alg:?}, two parts"), bare);
        }
        let bare = unsigned(r#"{"alg":"none"}"#, &self.claims.to_string());
        self.make("nothing but alg none", format!("{bare}."));
        self.make("nothing but alg none, signature kept", format!("{bare}.{signature}"));
        let own = self.header["alg"].clone();
        for alg in [Value::Null, json!([own]), json!(1), json!({}), json!(true)] {
            let header = self.header_with("alg", alg.clone());
            self.below(&format!("alg is {alg}"), &header);
        }
        let lower = own.as_str().expect("a name").to_ascii_lowercase();
        for alg in ["HS256", "HS512", "RS256", "RS512", "PS256", "ES256", "ES384", "EdDSA", "Ed448", &lower] {
            if alg != own {
                let header = self.header_with("alg", json!(alg));
                self.below(&format!("alg {alg}, signature kept"), &header);
            }
        }
    }

    /// Everybody has the public key: a library that lets the token choose takes it for the secret of an HMAC.
    fn by_public_key_as_secret(&mut self) {
        let jwk = self.loot.jwk.clone();
        let text = |name: &str| jwk[name].as_str().unwrap_or_default();
        let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)).expect("base64url");
        let mut secrets = vec![
            ("nothing", Vec::new()),
            ("the kid", text("kid").as_bytes().to_vec()),
            ("the key as JSON", jwk.to_string().into_bytes()),
            ("the key as it is written", [text("x"), text("n")].concat().into_bytes()),
            ("the key", [bytes("x"), bytes("y"), bytes("n")].concat()),
            ("the point", [vec![4], bytes("x"), bytes("y")].concat()),
        ];
        let pem = self.loot.certificate.clone();
        secrets.extend(pem.iter().map(|pem| ("the certificate", pem.as_bytes().to_vec())));
        secrets.extend(pem.iter().map(|pem| ("the certificate, trimmed", pem.trim().as_bytes().to_vec())));
        for (alg, algorithm) in [("HS256", hmac::HMAC_SHA256), ("HS512", hmac::HMAC_SHA512)] {
            for (name, secret) in &secrets {
                let header = self.header_with("alg", json!(alg));
                let signed = unsigned(&header.to_string(), &self.claims.to_string());
                let tag = hmac::sign(&hmac::Key::new(algorithm, secret), signed.as_bytes());
                let signature = URL_SAFE_NO_PAD.encode(tag);
                self.make(format!("{alg} by {name} as secret"), format!("{signed}.{signature}"));
            }
        }
    }

    fn by_own_key(&mut self) {
        let own_algorithm = self.header["alg"].as_str().expect("a name").to_owned();
        for algorithm in ["EdDSA", "ES256", "RS256"] {
            let key = Key::make(algorithm);
            let mut header = self.header_with("alg", json!(algorithm));
            self.make(format!("another's {algorithm} with our kid"), key.sign(&header, &self.claims));
            header["kid"] = key.jwk()["kid"].clone();
            self.make(format!("of another key set, {algorithm}"), key.sign(&header, &self.claims));
            let without = with(&header, "kid", Value::Null);
            self.make(format!("another's {algorithm} without kid"), key.sign(&without, &self.claims));
        }
        let key = Key::make(&own_algorithm);
        let url = "http://127.0.0.1:9/keys";
        let pointers = [
            ("jwk", key.jwk()),
            ("jku", json!(url)),
            ("x5u", json!(url)),
            ("x5c", json!(["MIIB"])),
            ("x5t", json!("AAAAAAAAAAAAAAAAAAAAAAAAAAA")),
            ("x5t#S256", json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")),
        ];
        for (name, value) in pointers {
            let header = self.header_with(name, value.clone());
            self.make(format!("{name} and our kid, by another's key"), key.sign(&header, &self.claims));
            let header = with(&header, "kid", key.jwk()["kid"].clone());
            self.make(format!("{name} and its kid, by another's key"), key.sign(&header, &self.claims));
            let header = with(&header, "kid", Value::Null);
            self.make(format!("{name} and no kid, by another's key"), key.sign(&header, &self.claims));
        }
    }

    fn other_claims(&mut self) {
        let Parts { header, signature, .. } = self.parts;
        let now = self.claims["iat"].as_i64().expect("seconds");
        let changes = [
            ("exp", json!(now + 31_536_000)),
            ("exp", json!(now - 3_600)),
            ("exp", json!("9999999999")),
            ("exp", json!(1e300)),
            ("exp", json!(true)),
            ("exp", Value::Null),
            ("iat", json!(now + 86_400)),
            ("iat", Value::Null),
            ("nbf", json!(now + 86_400)),
            ("nbf", json!(0)),
            ("aud", json!("https://other.example")),
            ("aud", json!(["https://other.example", self.claims["aud"]])),
            ("aud", Value::Null),
            ("aud", json!({})),
            ("iss", json!("https://evil.example")),
            ("iss", json!([self.claims["iss"]])),
            ("iss", Value::Null),
            ("sub", json!("somebody else")),
            ("scope", json!("DEFAULT admin")),
            ("account", json!("f".repeat(32))),
            ("accounts_above", json!(["f".repeat(32)])),
            ("secret_version", json!(999_999)),
            ("jti", json!("0")),
            ("common_name", json!("f.access")),
            ("admin", json!(true)),
        ];
        for (name, value) in changes {
            let claims = with(&self.claims, name, value.clone());
            if claims != self.claims {
                let claims = URL_SAFE_NO_PAD.encode(claims.to_string());
                self.make(format!("{name} is {value}"), format!("{header}.{claims}.{signature}"));
            }
        }
        let written = self.claims.to_string();
        let texts = [
            ("a claim twice, first", format!(r#"{{"scope":"DEFAULT",{}"#, &written[1..])),
            ("a claim twice, last", format!(r#"{},"aud":"x"}}"#, &written[..written.len() - 1])),
            ("blanks between claims", format!("{} }}", &written[..written.len() - 1])),
            ("claims in a list", format!("[{written}]")),
            ("claims that are text", json!(written).to_string()),
            ("claims that are no JSON", "claims".to_owned()),
            ("claims after a byte order mark", format!("\u{feff}{written}")),
            ("claims that are null", "null".to_owned()),
            ("no claims", "{}".to_owned()),
        ];
        for (name, text) in texts {
            let claims = URL_SAFE_NO_PAD.encode(text);
            self.make(name, format!("{header}.{claims}.{signature}"));
        }
    }

    fn other_headers(&mut self) {
        let kids = [
            "../../../../../../dev/null",
            "/dev/null",
            "file:///dev/null",
            "http://127.0.0.1:9/keys",
            "' OR '1'='1",
            "x' UNION SELECT 'AAAA' -- ",
            "; cat /etc/passwd |",
            "__proto__",
            "constructor",
            "",
            "0",
        ];
        for kid in kids {
            self.below(&format!("kid {kid:?}"), &self.header_with("kid", json!(kid)));
        }
        let own = self.header["kid"].clone();
        let upper = own.as_str().expect("a kid").to_ascii_uppercase();
        let changes = [
            ("kid", Value::Null),
            ("kid", json!(7)),
            ("kid", json!([own])),
            ("kid", json!({"a": 1})),
            ("kid", json!(upper)),
            ("crit", json!(["exp"])),
            ("crit", json!(["b64"])),
            ("crit", json!([])),
            ("crit", json!("exp")),
            ("crit", json!(["urn:unknown"])),
            ("b64", json!(false)),
            ("zip", json!("DEF")),
            ("enc", json!("A256GCM")),
            ("cty", json!("JWT")),
            ("typ", json!("JOSE")),
            ("typ", json!("dpop+jwt")),
            ("typ", json!("AT+JWT")),
            ("typ", json!("at+jwt\0")),
            ("typ", Value::Null),
            ("typ", json!(["at+jwt", "JWT"])),
        ];
        for (name, value) in changes {
            self.below(&format!("{name} is {value}"), &self.header_with(name, value));
        }
        self.below(
            "unencoded and critical",
            &with(&self.header_with("b64", json!(false)), "crit", json!(["b64"])),
        );
        let Parts { claims, signature, .. } = self.parts;
        let written = self.header.to_string();
        let texts = [
            ("a header twice", format!(r#"{{"alg":"none",{}"#, &written[1..])),
            ("blanks in the header", format!("{{ {}", &written[1..])),
            ("a header in a list", format!("[{written}]")),
            ("a header that is no JSON", "header".to_owned()),
            ("a header that is null", "null".to_owned()),
            ("an empty header", "{}".to_owned()),
        ];
        for (name, text) in texts {
            self.make(name, format!("{}.{claims}.{signature}", URL_SAFE_NO_PAD.encode(text)));
        }
    }

    fn other_signatures(&mut self) {
        let Parts { header, claims, signature } = self.parts;
        let bytes = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
        let mut flipped = bytes.clone();
        flipped[bytes.len() / 2] ^= 1;
        let reversed: Vec<u8> = bytes.iter().rev().copied().collect();
        let twice = [&bytes[..], &bytes[..]].concat();
        let longer = [&bytes[..], &[0]].concat();
        let signatures: [(&str, &[u8]); 9] = [
            ("no signature", &[]),
            ("a signature without its last byte", &bytes[..bytes.len() - 1]),
            ("half a signature", &bytes[..bytes.len() / 2]),
            ("a signature and a byte", &longer),
            ("a signature twice", &twice),
            ("a signature with a bit flipped", &flipped),
            ("a signature backwards", &reversed),
            ("a signature of zeros", &vec![0; bytes.len()]),
            ("a signature of ones", &vec![0xff; bytes.len()]),
        ];
        for (name, bytes) in signatures {
            self.make(name, format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode(bytes)));
        }
        let shorter = &signature[..signature.len() - 1];
        self.make("a signature without its last character", format!("{header}.{claims}.{shorter}"));
        let other = self.loot.other.clone();
        let (signed, others) = other.rsplit_once('.').expect("three parts");
        self.make("the signature of another token", format!("{header}.{claims}.{others}"));
        self.make("another token with this signature", format!("{signed}.{signature}"));
    }

    fn other_shapes(&mut self) {
        let Parts { header, claims, signature } = self.parts;
        let shapes = [
            ("nothing", String::new()),
            ("a dot", ".".to_owned()),
            ("two dots", "..".to_owned()),
            ("four dots", "....".to_owned()),
            ("a word", "nonsense".to_owned()),
            ("a part", header.to_owned()),
            ("two parts", format!("{header}.{claims}")),
            ("a dot at the end", format!("{header}.{claims}.{signature}.")),
            ("a dot at the start", format!(".{header}.{claims}.{signature}")),
            ("a dot in between", format!("{header}..{claims}.{signature}")),
            ("two dots before the signature", format!("{header}.{claims}..{signature}")),
            ("four parts", format!("{header}.{claims}.{signature}.{signature}")),
            ("five parts, as if encrypted", format!("{header}.{claims}.{signature}.{signature}.{signature}")),
            ("a token twice", format!("{0}.{0}", self.loot.token)),
            ("a list of tokens", format!("{0},{0}", self.loot.token)),
            ("its claims elsewhere", format!("{header}..{signature}")),
            ("parts in another order", format!("{claims}.{header}.{signature}")),
            (
                "nested",
                unsigned(&self.header.to_string(), &json!(self.loot.token).to_string()) + "." + signature,
            ),
            ("quoted", format!("\"{}\"", self.loot.token)),
            ("with a scheme", format!("Bearer {}", self.loot.token)),
            ("padded claims", format!("{header}.{claims}=.{signature}")),
            ("a blank in the claims", format!("{header}.{} {}.{signature}", &claims[..9], &claims[9..])),
            (
                "a line break in the header",
                format!("{}\n{}.{claims}.{signature}", &header[..9], &header[9..]),
            ),
            (
                "JSON instead",
                json!({"payload": claims, "protected": header, "signature": signature}).to_string(),
            ),
            (
                "JSON instead, with several signatures",
                json!({"payload": claims, "signatures": [{"protected": header, "signature": signature}]})
                    .to_string(),
            ),
        ];
        for (name, token) in shapes {
            self.make(name, token);
        }
    }

    /// As much as an HTTP server takes in a header.
    fn too_large(&mut self) {
        const LARGE: usize = 24_000;
        let Parts { header, claims, signature } = self.parts;
        let padded = with(&self.claims, "padding", json!("x".repeat(LARGE)));
        let texts = [
            ("large claims", padded.to_string()),
            ("deep claims", format!("{}1{}", "[".repeat(LARGE / 2), "]".repeat(LARGE / 2))),
        ];
        for (name, text) in texts {
            self.make(name, format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(text)));
        }
        let deep = URL_SAFE_NO_PAD.encode("[".repeat(LARGE));
        self.make("a deep header", format!("{deep}.{claims}.{signature}"));
        let large = with(&self.header, "padding", json!("x".repeat(LARGE)));
        self.below("a large header", &large);
        self.make("a large signature", format!("{header}.{claims}.{}", "A".repeat(LARGE)));
        self.make("many dots", ".".repeat(LARGE));
    }
}

/// With another value of a member; `Null` takes it away.
fn with(object: &Value, name: &str, value: Value) -> Value {
    let mut members = object.as_object().expect("an object").clone();
    match value {
        Value::Null => drop(members.remove(name)),
        value => drop(members.insert(name.to_owned(), value)),
    }
    members.into()
}
