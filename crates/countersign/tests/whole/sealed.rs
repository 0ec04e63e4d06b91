//! The private keys of a store, as whoever has its seal can read them: to look for them where they must not be.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_postgres_cluster::psql;
use memchr::memmem;
use rusqlite::Connection;

use crate::server::{Data, key_file};

/// Where in PKCS #8 the number stands that is the secret, and how long it is; of an RSA key some of its middle.
const SECRETS: [(&str, &str, usize); 3] =
    [("EdDSA", "ed25519_private", 16), ("ES256", "p256_private", 36), ("RS256", "rsa_private", 600)];
const LENGTH: usize = 32;

/// What of each private key would give it away.
pub(crate) fn private_keys(data: &Data) -> Vec<Vec<u8>> {
    let file = match data.database() {
        Some(_) => key_file().to_owned(),
        None => data.path().join("seal.key"),
    };
    let seal = STANDARD.decode(std::fs::read_to_string(file).expect("the seal").trim()).expect("base64");
    let seal = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &seal).expect("a key"));
    let mut found = Vec::new();
    for (algorithm, column, offset) in SECRETS {
        for (number, sealed) in stored(data, column) {
            let (nonce, body) = sealed.split_at(NONCE_LEN);
            let nonce = Nonce::try_assume_unique_for_key(nonce).expect("a nonce");
            let purpose = Aad::from(format!("countersign signing key {number} {algorithm}"));
            let mut body = body.to_vec();
            let opened = seal.open_in_place(nonce, purpose, &mut body).expect("what was sealed");
            found.push(opened[offset..offset + LENGTH].to_vec());
        }
    }
    assert!(found.len() >= SECRETS.len(), "there are no keys");
    found
}

/// The number of each generation, and one of its keys as it is stored.
fn stored(data: &Data, column: &str) -> Vec<(u32, Vec<u8>)> {
    if let Some(database) = data.database() {
        let sql = format!("SELECT number, encode({column}, 'base64') FROM key_generations");
        let printed = psql(&database.url(), &format!("COPY ({sql}) TO STDOUT")).expect("an answer");
        let row = |line: &str| {
            let (number, text) = line.split_once('\t').expect("two columns");
            let sealed = STANDARD.decode(text.replace("\\n", "")).expect("base64");
            (number.parse().expect("a number"), sealed)
        };
        return printed.lines().map(row).collect();
    }
    let database = Connection::open(data.path().join("countersign.db")).expect("a database");
    let mut statement =
        database.prepare(&format!("SELECT number, {column} FROM key_generations")).expect("a table");
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
    rows.map(|row| row.expect("a row")).collect()
}

/// Whether a text or file has a key, as it is or as text.
pub(crate) fn has(haystack: &[u8], key: &[u8]) -> bool {
    let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    // As base64 of something longer it would begin at any of three places.
    let encoded = [0, 1, 2].map(|skipped| STANDARD.encode(&key[skipped..skipped + 30]));
    let finder = |needle: &[u8]| memmem::find(haystack, needle).is_some();
    finder(key) || finder(hex.as_bytes()) || encoded.iter().any(|text| finder(text.as_bytes()))
}

#[test]
fn a_key_is_found_in_every_spelling() {
    let key: Vec<u8> = (100..132).collect();
    let whole = [vec![9; 17], key.clone(), vec![9; 17]].concat();
    let hex: String = whole.iter().map(|byte| format!("{byte:02x}")).collect();
    for text in [whole.clone(), hex.into_bytes(), STANDARD.encode(&whole).into_bytes()] {
        assert!(has(&text, &key));
    }
    assert!(!has(&[7; 200], &key));
}
