//! Poolers between this node and PostgreSQL.
//!
//! One that gives each transaction whatever session is free (pgbouncer's `pool_mode = transaction`) mixes up what belongs to
//! a session: prepared statements and settings, with those of other clients, too. With a session for as long as a
//! client is there (`pool_mode = session`) everything is as without it.

use std::collections::BTreeSet;
use std::sync::Arc;

use deadpool_postgres::ClientWrapper;
use tokio_postgres::SimpleQueryMessage;

use crate::connect::Connector;
use crate::options::OpenError;

/// How often it is asked who answers. An idle pooler shows itself at once, a busy one soon.
const ROUNDS: usize = 5;

/// Refuses a pooler that gives what is one session here to others in between: two sessions that are open at once never
/// have the same process behind them, and each keeps its own.
pub(crate) async fn refuse(connector: &Arc<Connector>) -> Result<(), OpenError> {
    let mut processes = [BTreeSet::new(), BTreeSet::new()];
    let sessions = [session(connector).await?, session(connector).await?];
    for _ in 0..ROUNDS {
        for (session, processes) in sessions.iter().zip(&mut processes) {
            processes.extend(process(session).await?);
        }
    }
    let [one, other] = processes;
    if one.len() == 1 && other.len() == 1 && one.is_disjoint(&other) {
        return Ok(());
    }
    Err(OpenError::TransactionPooling)
}

async fn session(connector: &Arc<Connector>) -> Result<ClientWrapper, OpenError> {
    let (client, task) = connector.connect().await?;
    Ok(ClientWrapper::new(client, task))
}

/// Which process of PostgreSQL answers.
async fn process(session: &ClientWrapper) -> Result<Option<String>, OpenError> {
    let answer = session.simple_query("SELECT pg_backend_pid()").await?;
    Ok(answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    }))
}
