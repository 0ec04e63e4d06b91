//! The keys that sign.

use countersign_domain::access_token::Sealed;
use countersign_domain::signing_key::{KeyGeneration, SealedKey};
use countersign_domain::store::{StoreError, Version};
use rusqlite::{Connection, Row, params};

use crate::apply::{check_version, find, insert, run, signed};
use crate::failure::Failure;
use crate::load::each;
use crate::row::Cells;
use crate::sql;

pub(crate) fn add(connection: &Connection, added: &KeyGeneration) -> Result<(), Failure> {
    let values = params![
        added.number,
        added.ed25519.public,
        added.ed25519.private.as_bytes(),
        added.p256.public,
        added.p256.private.as_bytes(),
        added.rsa.public,
        added.rsa.private.as_bytes(),
        added.rsa_certificate,
        added.created_at.as_micros(),
        added.signs_from.as_micros(),
        added.interval_days,
        signed(added.version.number()),
    ];
    insert(connection, sql::INSERT_KEY_GENERATION, values)
}

pub(crate) fn schedule(
    connection: &Connection,
    number: u32,
    expected: Version,
    days: u16,
) -> Result<(), Failure> {
    check(connection, number, expected)?;
    run(connection, sql::UPDATE_KEY_INTERVAL, params![number, days])?;
    Ok(())
}

pub(crate) fn remove(connection: &Connection, number: u32, expected: Version) -> Result<(), Failure> {
    check(connection, number, expected)?;
    run(connection, sql::DELETE_KEY_GENERATION, [number])?;
    Ok(())
}

fn check(connection: &Connection, number: u32, expected: Version) -> Result<(), Failure> {
    let version = |row: &Row<'_>| Cells::of(row, "key_generations").version("version");
    let stored = find(connection, sql::FIND_KEY_VERSION, [number], version)?;
    Ok(check_version(stored.ok_or(StoreError::NotFound)?, expected)?)
}

pub(crate) fn load(connection: &Connection) -> Result<Vec<KeyGeneration>, Failure> {
    let mut all = Vec::new();
    each(connection, sql::LOAD_KEY_GENERATIONS, |row| {
        all.push(read(row)?);
        Ok(())
    })?;
    Ok(all)
}

pub(crate) fn read(row: &Row<'_>) -> Result<KeyGeneration, Failure> {
    let mut cells = Cells::of(row, "key_generations");
    let number = cells.number("number")?;
    let mut key = |public, private| -> Result<SealedKey, Failure> {
        Ok(SealedKey {
            public: cells.blob(public)?.into(),
            private: Sealed::from_bytes(cells.blob(private)?),
        })
    };
    Ok(KeyGeneration {
        number,
        ed25519: key("ed25519_public", "ed25519_private")?,
        p256: key("p256_public", "p256_private")?,
        rsa: key("rsa_public", "rsa_private")?,
        rsa_certificate: cells.blob("rsa_certificate")?.into(),
        created_at: cells.time("created_at")?,
        signs_from: cells.time("signs_from")?,
        interval_days: cells.number("interval_days")?,
        version: cells.version("version")?,
    })
}
