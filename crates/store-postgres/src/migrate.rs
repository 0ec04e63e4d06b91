//! Migrations: forward only, each with the SHA-256 of its text, so that a database is never used by a program that was
//! not made for it. Many nodes may start at once: one migrates, the others wait.

use std::time::Duration;

use deadpool_postgres::{ClientWrapper, GenericClient};
use sha2::{Digest as _, Sha256};
use tokio_postgres::error::SqlState;

use crate::options::OpenError;

/// One step of the schema. Numbers count from 1 without a gap; a released step is never changed.
///
/// Nodes are upgraded one after the other, so programs of the step before work beside the first that knows this one. A step
/// that only adds (*expands*) leaves them `oldest`; what they need is taken away (*contracted*) by a later release, in a
/// step whose `oldest` is the one that made it needless.
struct Migration {
    number: i32,
    /// A program that knows the steps up to this one can work with the database still.
    oldest: i32,
    sql: &'static str,
}

/// Every step.
const ALL: &[Migration] = &[
    Migration { number: 1, oldest: 1, sql: include_str!("../migrations/0001_everything.sql") },
    Migration { number: 2, oldest: 1, sql: include_str!("../migrations/0002_uses_in_place.sql") },
    Migration { number: 3, oldest: 1, sql: include_str!("../migrations/0003_limits.sql") },
    Migration { number: 4, oldest: 1, sql: include_str!("../migrations/0004_keys.sql") },
];

const LEDGER: &str = "CREATE TABLE IF NOT EXISTS migrations (
    number integer PRIMARY KEY,
    oldest integer NOT NULL CHECK (oldest BETWEEN 1 AND number),
    checksum bytea NOT NULL CHECK (length(checksum) = 32)
)";

/// The last step of this program.
fn last_known() -> i32 {
    ALL.last().map_or(0, |step| step.number)
}

/// How far a database has come.
struct Reached {
    number: i32,
    oldest: i32,
}

impl Reached {
    async fn find(client: &impl GenericClient) -> Result<Self, tokio_postgres::Error> {
        let sql = "SELECT coalesce(max(number), 0), coalesce(max(oldest), 0) FROM migrations";
        let row = client.query_one(sql, &[]).await?;
        Ok(Self { number: row.try_get(0)?, oldest: row.try_get(1)? })
    }
}

/// Held by the node that migrates. The number means nothing; nobody else uses it.
const LOCK: i64 = 0x0063_6f75_6e74_6572;
/// How often, and with which pauses, a step is tried while somebody holds a table.
const ATTEMPTS: u32 = 60;
const BETWEEN_ATTEMPTS: Duration = Duration::from_secs(1);

/// Whether the database is at the last step of this program and no further, without a write.
pub(crate) async fn check(client: &impl GenericClient) -> Result<(), OpenError> {
    let ledger = client.query_one("SELECT to_regclass('migrations') IS NOT NULL", &[]).await?;
    if !ledger.get::<_, bool>(0) {
        return Err(OpenError::Empty);
    }
    for step in ALL {
        match find_applied(client, step).await? {
            Some(applied) if applied == checksum(step) => {}
            Some(_) => return Err(OpenError::Changed { number: step.number }),
            None => return Err(OpenError::Older { known: step.number }),
        }
    }
    let (found, known) = (Reached::find(client).await?.number, last_known());
    if found > known { Err(OpenError::Newer { found, known }) } else { Ok(()) }
}

fn checksum(step: &Migration) -> [u8; 32] {
    Sha256::digest(step.sql.as_bytes()).into()
}

async fn find_applied(
    client: &impl GenericClient,
    step: &Migration,
) -> Result<Option<Vec<u8>>, tokio_postgres::Error> {
    let sql = "SELECT checksum FROM migrations WHERE number = $1";
    Ok(client.query_opt(sql, &[&step.number]).await?.map(|row| row.get(0)))
}

/// Brings the database to the last step, in one transaction. One that a newer program has brought further is left as it is.
///
/// It may take as long as it must, and so may waiting for another node that does it. But for what holds a table it does not
/// wait long: whoever wants the table after it would wait for it. It is tried again instead.
pub(crate) async fn migrate(client: &mut ClientWrapper) -> Result<(), OpenError> {
    for _ in 1..ATTEMPTS {
        match attempt(client).await {
            Err(OpenError::Failed(error)) if is_held(&*error) => {
                tracing::warn!("somebody holds what the schema's next step changes; it is tried again");
                tokio::time::sleep(BETWEEN_ATTEMPTS).await;
            }
            outcome => return outcome,
        }
    }
    attempt(client).await
}

fn is_held(error: &(dyn std::error::Error + 'static)) -> bool {
    let error = error.downcast_ref::<tokio_postgres::Error>();
    error.is_some_and(|error| error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE))
}

async fn attempt(client: &mut ClientWrapper) -> Result<(), OpenError> {
    let transaction = client.transaction().await?;
    transaction.batch_execute("SET LOCAL lock_timeout = 0").await?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    transaction.batch_execute("SET LOCAL lock_timeout = '1s'").await?;
    transaction.batch_execute(LEDGER).await?;
    let (found, known) = (Reached::find(&transaction).await?, last_known());
    if found.oldest > known {
        return Err(OpenError::Newer { found: found.number, known });
    }
    if found.number > known {
        tracing::info!(
            database = found.number,
            program = known,
            "the database was prepared for a newer program"
        );
    }
    for step in ALL {
        let checksum = checksum(step);
        match find_applied(&transaction, step).await? {
            Some(applied) if applied == checksum => {}
            Some(_) => return Err(OpenError::Changed { number: step.number }),
            None => {
                transaction.batch_execute(step.sql).await?;
                let insert = "INSERT INTO migrations (number, oldest, checksum) VALUES ($1, $2, $3)";
                transaction.execute(insert, &[&step.number, &step.oldest, &&checksum[..]]).await?;
            }
        }
    }
    Ok(transaction.commit().await?)
}
