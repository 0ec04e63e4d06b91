//! Statements, each prepared once in its session.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use countersign_domain::following;
use countersign_domain::store::StoreError;
use deadpool_postgres::{GenericClient, Transaction};
use futures_util::{TryStreamExt as _, pin_mut};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::failure::Failure;

/// The values of a statement.
pub(crate) type Values<'v> = &'v [&'v (dyn ToSql + Sync)];

/// Runs a statement that gives no rows; gives how many rows it changed.
pub(crate) async fn run(
    client: &impl GenericClient,
    sql: &str,
    values: Values<'_>,
) -> Result<u64, tokio_postgres::Error> {
    let statement = client.prepare_cached(sql).await?;
    client.execute(&statement, values).await
}

/// The one row of a statement, if there is one.
pub(crate) async fn find<T>(
    client: &impl GenericClient,
    sql: &str,
    values: Values<'_>,
    read: impl FnOnce(&Row) -> Result<T, Failure>,
) -> Result<Option<T>, Failure> {
    let statement = client.prepare_cached(sql).await?;
    client.query_opt(&statement, values).await?.as_ref().map(read).transpose()
}

/// Every row of a statement.
pub(crate) async fn list<T>(
    client: &impl GenericClient,
    sql: &str,
    values: Values<'_>,
    read: impl Fn(&Row) -> Result<T, Failure>,
) -> Result<Vec<T>, Failure> {
    let statement = client.prepare_cached(sql).await?;
    client.query(&statement, values).await?.iter().map(read).collect()
}

/// Reads the rows of a statement as they come, until `read` has enough and gives `false`.
pub(crate) async fn each(
    client: &impl GenericClient,
    sql: &str,
    values: Values<'_>,
    mut read: impl FnMut(&Row) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let statement = client.prepare_cached(sql).await?;
    let rows = client.query_raw(&statement, values.iter().copied()).await?;
    pin_mut!(rows);
    while let Some(row) = rows.try_next().await? {
        if !read(&row)? {
            break;
        }
    }
    Ok(())
}

/// Lets the commit of the transaction take as long as it must. A statement that is given up while it waits for a standby
/// is reported like a success: PostgreSQL has committed it, alone.
pub(crate) async fn wait_for_the_standby(client: &impl GenericClient) -> Result<(), tokio_postgres::Error> {
    client.batch_execute("SET LOCAL statement_timeout = 0").await
}

/// An open transaction. Dropped without a commit it is rolled back.
pub(crate) struct Tx<'c> {
    transaction: Transaction<'c>,
    /// How many statements have written.
    writes: AtomicUsize,
    /// As it is called in the feed.
    name: OnceLock<following::Transaction>,
}

impl<'c> Tx<'c> {
    pub(crate) fn new(transaction: Transaction<'c>) -> Self {
        Self { transaction, writes: AtomicUsize::new(0), name: OnceLock::new() }
    }

    /// For what reads without a bound.
    pub(crate) fn transaction(&self) -> &Transaction<'c> {
        &self.transaction
    }

    /// How it is called in the feed, when it has left something there.
    pub(crate) fn name(&self) -> Option<following::Transaction> {
        self.name.get().cloned()
    }

    /// It has left something in the feed, and is called so there.
    pub(crate) fn be_called(&self, name: following::Transaction) {
        // It is called the same however often that is said.
        let _ = self.name.set(name);
    }

    /// How many statements of changes have written: whether one has that was refused.
    pub(crate) fn writes(&self) -> usize {
        self.writes.load(Ordering::Relaxed)
    }

    pub(crate) async fn commit(self) -> Result<(), tokio_postgres::Error> {
        wait_for_the_standby(&self.transaction).await?;
        self.transaction.commit().await
    }

    pub(crate) async fn rollback(self) -> Result<(), tokio_postgres::Error> {
        self.transaction.rollback().await
    }

    /// What comes after it can be undone apart from what came before.
    pub(crate) async fn savepoint(&self) -> Result<(), tokio_postgres::Error> {
        self.transaction.batch_execute("SAVEPOINT change").await
    }

    pub(crate) async fn release(&self) -> Result<(), tokio_postgres::Error> {
        self.transaction.batch_execute("RELEASE change").await
    }

    pub(crate) async fn undo(&self) -> Result<(), tokio_postgres::Error> {
        self.transaction.batch_execute("ROLLBACK TO change; RELEASE change").await
    }

    /// As [`run`].
    pub(crate) async fn run(&self, sql: &str, values: Values<'_>) -> Result<u64, tokio_postgres::Error> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        run(&self.transaction, sql, values).await
    }

    /// Inserts a row with a key of its own; the statement does nothing where there is one.
    pub(crate) async fn insert(&self, sql: &str, values: Values<'_>) -> Result<(), Failure> {
        match run(&self.transaction, sql, values).await? {
            0 => Err(StoreError::Duplicate.into()),
            _ => {
                self.writes.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
        }
    }

    /// Inserts rows, unless there are some with their keys; gives how many. They are no part of the change that is being
    /// decided on: see [`Tx::writes`].
    pub(crate) async fn insert_rows(
        &self,
        sql: &str,
        values: Values<'_>,
    ) -> Result<u64, tokio_postgres::Error> {
        run(&self.transaction, sql, values).await
    }

    /// As [`find`].
    pub(crate) async fn find<T>(
        &self,
        sql: &str,
        values: Values<'_>,
        read: impl FnOnce(&Row) -> Result<T, Failure>,
    ) -> Result<Option<T>, Failure> {
        find(&self.transaction, sql, values, read).await
    }

    /// Whether a statement gives a row.
    pub(crate) async fn exists(&self, sql: &str, values: Values<'_>) -> Result<bool, Failure> {
        Ok(self.find(sql, values, |_| Ok(())).await?.is_some())
    }

    /// As [`list`].
    pub(crate) async fn list<T>(
        &self,
        sql: &str,
        values: Values<'_>,
        read: impl Fn(&Row) -> Result<T, Failure>,
    ) -> Result<Vec<T>, Failure> {
        list(&self.transaction, sql, values, read).await
    }
}
