//! Changes that share a transaction: 64 that issue tokens take eight round trips and not 400.
//!
//! What they were decided on is looked at together, before the first of them; what they issue and their audit records are
//! written together, after the last. In between each is decided on in its turn, by what those before it have left.

use std::collections::BTreeSet;

use countersign_domain::audit::AuditEntry;
use countersign_domain::change::{Change, FactChange, Guard, Mutation};
use countersign_domain::error::causes;
use countersign_domain::id::AccountId;
use countersign_domain::store::{Revision, StoreError};
use futures_util::future::{try_join, try_join3};

use crate::failure::{Failure, concerns_one_statement, unavailable};
use crate::issued::Issued;
use crate::session::Tx;
use crate::tally::Tally;
use crate::writer::Applied;
use crate::{apply, audit, feed, guard};

/// Writes the accepted ones of these changes; gives what became of each. A change makes its checks before it writes, so
/// what is refused has written nothing. `None`: one of them failed after it wrote something, and nothing of this
/// transaction may stay.
pub(crate) async fn write_together(tx: &Tx<'_>, changes: &[Change]) -> Result<Option<Vec<Applied>>, Failure> {
    let mut batch = Batch::new(tx);
    let mut accepted = Vec::with_capacity(changes.len());
    // What touches guards ends a run: what was looked at before may be otherwise after it.
    for run in changes.chunk_by(|change, _| !change.mutation.touches_guards()) {
        batch.look_at(run).await?;
        for change in run {
            let before = tx.writes();
            let written = refusal(batch.write(change).await)?;
            if batch.issued.has_duplicates() || (written.is_err() && tx.writes() != before) {
                return Ok(None);
            }
            accepted.push(written);
        }
    }
    batch.issued.write(tx).await?;
    if batch.issued.has_duplicates() {
        return Ok(None);
    }
    batch.finish(changes, accepted).await.map(Some)
}

/// As [`write_together`], each with a savepoint, which undoes what a change wrote before it failed.
pub(crate) async fn write_apart(tx: &Tx<'_>, changes: &[Change]) -> Result<Vec<Applied>, Failure> {
    let mut batch = Batch::new(tx);
    let mut results = Vec::with_capacity(changes.len());
    for change in changes {
        results.push(batch.try_to_write(change).await?);
    }
    try_join(batch.tally.enter(tx), feed::leave(tx, &accepted_facts(changes, &results))).await?;
    Ok(results)
}

/// A transaction that is being filled.
struct Batch<'t, 'c, 'b> {
    tx: &'t Tx<'c>,
    tally: Tally,
    issued: Issued<'b>,
    /// Guards that were found to hold; what they looked at is held.
    good: Vec<Guard>,
}

impl<'t, 'c, 'b> Batch<'t, 'c, 'b> {
    fn new(tx: &'t Tx<'c>) -> Self {
        Self { tx, tally: Tally::default(), issued: Issued::default(), good: Vec::new() }
    }

    /// Looks at what these changes were decided on, of which only the last one may change something.
    async fn look_at(&mut self, changes: &[Change]) -> Result<(), Failure> {
        let mut guards = Vec::new();
        for change in changes {
            if !self.good.contains(&change.guard) && !guards.contains(&change.guard) {
                guards.push(change.guard);
            }
        }
        self.good.extend(guard::good(self.tx, &guards).await?);
        let accounts: BTreeSet<_> = changes.iter().filter_map(|change| issued_to(&change.mutation)).collect();
        self.tally.expect(self.tx, &accounts).await
    }

    /// Decides on a change, and writes it but for its audit record and for what it issues.
    async fn write(&mut self, change: &'b Change) -> Result<(), Failure> {
        self.check(change.guard).await?;
        if self.issued.is_looked_at_by(&change.mutation) {
            self.issued.write(self.tx).await?;
        }
        apply::mutate(self.tx, &change.mutation, &mut self.tally, &mut self.issued).await?;
        if change.mutation.touches_guards() {
            self.good.clear();
            self.tally.look_again();
        }
        Ok(())
    }

    async fn check(&mut self, guard: Guard) -> Result<(), Failure> {
        if self.good.contains(&guard) {
            return Ok(());
        }
        // It may be a token that was issued just now.
        self.issued.write(self.tx).await?;
        self.good.extend(guard::good(self.tx, &[guard]).await?);
        if self.good.contains(&guard) { Ok(()) } else { Err(StoreError::GuardFailed.into()) }
    }

    /// Writes what is left but tokens; gives what became of each change.
    async fn finish(
        self,
        changes: &[Change],
        accepted: Vec<Result<(), StoreError>>,
    ) -> Result<Vec<Applied>, Failure> {
        let there = changes.iter().zip(&accepted).filter(|(_, accepted)| accepted.is_ok());
        let there: Vec<&AuditEntry> = there.map(|(change, _)| &change.audit).collect();
        let facts = accepted_facts(changes, &accepted);
        // In this order, in which the first that fails is told of and not those that it takes with it.
        let revisions = apply::next_revisions(self.tx, there.len());
        let (revisions, ..) =
            try_join3(revisions, self.tally.enter(self.tx), feed::leave(self.tx, &facts)).await?;
        let records: Vec<_> = revisions.iter().copied().zip(there).collect();
        audit::insert(self.tx, &records).await?;
        let mut revisions = revisions.into_iter();
        let missing = || unavailable("a change has no revision");
        let revision = |accepted: Result<(), _>| accepted.and_then(|()| revisions.next().ok_or_else(missing));
        Ok(accepted.into_iter().map(revision).collect())
    }

    /// Writes all of a change, or leaves the transaction as it was. An `Err` of the outer kind ends the transaction.
    async fn try_to_write(&mut self, change: &'b Change) -> Result<Applied, Failure> {
        let tally = self.tally.clone();
        self.tx.savepoint().await?;
        let written = match self.write_at_once(change).await {
            Err(Failure::Postgres(error)) if concerns_one_statement(&error) => {
                tracing::error!(error = %causes(&error), change = %change.audit.id, "a change cannot be written");
                Err(unavailable(error).into())
            }
            other => other,
        };
        let applied = refusal(written)?;
        if applied.is_ok() {
            self.tx.release().await?;
        } else {
            self.tx.undo().await?;
            // What was held since the savepoint is let go.
            (self.tally, self.issued, self.good) = (tally, Issued::default(), Vec::new());
        }
        Ok(applied)
    }

    async fn write_at_once(&mut self, change: &'b Change) -> Result<Revision, Failure> {
        self.write(change).await?;
        self.issued.write(self.tx).await?;
        if self.issued.has_duplicates() {
            return Err(StoreError::Duplicate.into());
        }
        let revision = apply::next_revision(self.tx).await?;
        audit::insert(self.tx, &[(revision, &change.audit)]).await?;
        Ok(revision)
    }
}

/// To whom a mutation issues a token.
const fn issued_to(mutation: &Mutation) -> Option<AccountId> {
    match mutation {
        Mutation::IssueServiceToken { token, .. } => Some(token.account),
        Mutation::IssueAccessToken { token, .. } => Some(token.account),
        _ => None,
    }
}

/// What the accepted ones of these changes mean for the doors.
fn accepted_facts<T>(changes: &[Change], results: &[Result<T, StoreError>]) -> Vec<FactChange> {
    let accepted = changes.iter().zip(results).filter(|(_, result)| result.is_ok());
    accepted.flat_map(|(change, _)| change.mutation.fact_changes()).collect()
}

/// A refusal as an answer; a failure of the database ends the transaction.
fn refusal<T>(written: Result<T, Failure>) -> Result<Result<T, StoreError>, Failure> {
    match written {
        Ok(written) => Ok(Ok(written)),
        Err(Failure::Refused(refusal)) => Ok(Err(refusal)),
        Err(failure) => Err(failure),
    }
}
