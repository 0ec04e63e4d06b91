//! The keys that sign.

use countersign_domain::access_token::Sealed;
use countersign_domain::signing_key::{KeyGeneration, SealedKey};
use countersign_domain::store::{StoreError, Version};
use tokio_postgres::Row;

use crate::apply::{check_version, signed};
use crate::failure::Failure;
use crate::row::Cells;
use crate::session::Tx;
use crate::sql;

pub(crate) async fn add(tx: &Tx<'_>, added: &KeyGeneration) -> Result<(), Failure> {
    tx.insert(
        sql::INSERT_KEY_GENERATION,
        &[
            &i64::from(added.number),
            &&added.ed25519.public[..],
            &added.ed25519.private.as_bytes(),
            &&added.p256.public[..],
            &added.p256.private.as_bytes(),
            &&added.rsa.public[..],
            &added.rsa.private.as_bytes(),
            &&added.rsa_certificate[..],
            &added.created_at.as_micros(),
            &added.signs_from.as_micros(),
            &i64::from(added.interval_days),
            &signed(added.version.number()),
        ],
    )
    .await
}

pub(crate) async fn schedule(tx: &Tx<'_>, number: u32, expected: Version, days: u16) -> Result<(), Failure> {
    take(tx, number, expected).await?;
    tx.run(sql::UPDATE_KEY_INTERVAL, &[&i64::from(number), &i64::from(days)]).await?;
    Ok(())
}

pub(crate) async fn remove(tx: &Tx<'_>, number: u32, expected: Version) -> Result<(), Failure> {
    take(tx, number, expected).await?;
    tx.run(sql::DELETE_KEY_GENERATION, &[&i64::from(number)]).await?;
    Ok(())
}

async fn take(tx: &Tx<'_>, number: u32, expected: Version) -> Result<(), Failure> {
    let version = |row: &Row| Cells::of(row, "key_generations").version("version");
    let stored = tx.find(sql::TAKE_KEY_GENERATION, &[&i64::from(number)], version).await?;
    Ok(check_version(stored.ok_or(StoreError::NotFound)?, expected)?)
}

pub(crate) fn read(row: &Row) -> Result<KeyGeneration, Failure> {
    let mut cells = Cells::of(row, "key_generations");
    let number = cells.number("number")?;
    let mut key = |public, private| -> Result<SealedKey, Failure> {
        let public: &[u8] = cells.plain(public)?;
        Ok(SealedKey { public: public.into(), private: Sealed::from_bytes(cells.plain(private)?) })
    };
    Ok(KeyGeneration {
        number,
        ed25519: key("ed25519_public", "ed25519_private")?,
        p256: key("p256_public", "p256_private")?,
        rsa: key("rsa_public", "rsa_private")?,
        rsa_certificate: cells.plain::<&[u8]>("rsa_certificate")?.into(),
        created_at: cells.time("created_at")?,
        signs_from: cells.time("signs_from")?,
        interval_days: cells.number("interval_days")?,
        version: cells.version("version")?,
    })
}
