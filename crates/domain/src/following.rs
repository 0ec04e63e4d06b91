//! Following what other nodes change in a store that is shared: where a node stands, and whether it can go on from there.
//!
//! Each transaction leaves which facts it changed, with its own number. Where a node stands is the *snapshot* in which it
//! read last, and what it has not seen are the transactions that were not over in that one: those from its end (`xmax`)
//! on, and those that were in progress. So one that commits late is seen, once; and one that stays open, whoever's it is,
//! holds nobody up. The facts themselves are read as they are in the new snapshot, so that it does not matter how often
//! they were changed.

use std::collections::BTreeSet;

use crate::change::{FactChange, Subject};
use crate::id::AccountId;

/// A snapshot of a database: which transactions were over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// All transactions before this one were over.
    oldest: u64,
    /// From this transaction on, none was over.
    next: u64,
    /// These before it were not over either.
    in_progress: Vec<u64>,
}

impl Cursor {
    /// Of the transaction that will be next, and of those before it that are in progress.
    pub fn new(next: u64, in_progress: Vec<u64>) -> Self {
        let oldest = in_progress.iter().copied().min().unwrap_or(next);
        Self { oldest, next, in_progress }
    }

    /// Of the text that PostgreSQL has for a snapshot: `xmin:xmax:xip,xip…`.
    pub fn of_snapshot(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let (oldest, next, in_progress) = (parts.next()?, parts.next()?, parts.next()?);
        let in_progress: Option<_> = in_progress.split_terminator(',').map(|id| id.parse().ok()).collect();
        Some(Self { oldest: oldest.parse().ok()?, next: next.parse().ok()?, in_progress: in_progress? })
    }

    /// The first transaction that may not have been seen.
    pub const fn oldest(&self) -> u64 {
        self.oldest
    }

    /// From this transaction on, none was seen.
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// These before it were not seen either.
    pub fn in_progress(&self) -> &[u64] {
        &self.in_progress
    }

    /// Whether what a transaction did, if it has committed, is seen from here.
    pub fn has_seen(&self, transaction: u64) -> bool {
        transaction < self.next && !self.in_progress.contains(&transaction)
    }
}

/// What is to be known of the moment that a transaction sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// In which history of which database: another one after whatever may have lost a commit, or brought one back.
    pub history: String,
    /// What is seen of it.
    pub cursor: Cursor,
}

/// A transaction that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// In which history.
    pub history: String,
    /// Its number there.
    pub number: u64,
}

/// Where a node stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place(Moment);

/// Why a node cannot go on from where it stands, but has to read everything afresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// Numbers of transactions mean nothing here.
    #[error("the database is another one, or an older state of it")]
    AnotherHistory,
    /// It is no work to read everything, compared with that.
    #[error("more has changed than can be followed")]
    TooMuch,
    /// What it has not seen may be there no longer.
    #[error("the node was away for so long that it was forgotten")]
    Forgotten,
}

impl Place {
    /// Of a node that knows everything of this moment.
    pub const fn at(moment: Moment) -> Self {
        Self(moment)
    }

    /// What has been seen from here.
    pub const fn cursor(&self) -> &Cursor {
        &self.0.cursor
    }

    /// Whether what is missing from here to the moment can be told.
    pub fn leads_to(&self, moment: &Moment) -> Result<(), Lost> {
        if self.0.history == moment.history { Ok(()) } else { Err(Lost::AnotherHistory) }
    }
}

/// What was read of changed facts, in an order in which it can be learnt.
///
/// `read` are the facts as they are, accounts after the ones above them; `made` the accounts that are new; `gone` what was
/// said to be no more, in the order in which that was said.
pub fn in_order(
    mut read: Vec<FactChange>,
    made: &BTreeSet<AccountId>,
    gone: Vec<FactChange>,
) -> Vec<FactChange> {
    // What was read is there, whatever was said of it before. A cut was not read: it is healed after it was made.
    let there: BTreeSet<Subject> = read.iter().map(Subject::of).collect();
    let is_gone = |change: &FactChange| {
        matches!(change, FactChange::CutHealed(_)) || !there.contains(&Subject::of(change))
    };
    let gone = gone.into_iter().filter(is_gone);
    read.sort_by_key(|change| match change {
        FactChange::Account(fact) if made.contains(&fact.id) => 0,
        FactChange::Organization(_) => 1,
        FactChange::Membership(_) => 2,
        FactChange::Cut(_) => 3,
        // Before the accounts that were there: a token of an epoch to come is accepted, one of an epoch that is over is
        // not.
        FactChange::Credential(_) => 4,
        _ => 5,
    });
    let (accounts, others): (Vec<_>, Vec<_>) =
        gone.partition(|change| matches!(change, FactChange::AccountGone(_)));
    read.into_iter().chain(others).chain(accounts).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_read() {
        let cursor = Cursor::of_snapshot("10:20:10,14,15");
        assert_eq!(cursor, Some(Cursor::new(20, vec![10, 14, 15])));
        assert_eq!(Cursor::of_snapshot("10:10:"), Some(Cursor::new(10, Vec::new())));
        assert_eq!(Cursor::of_snapshot("10"), None);
        assert_eq!(Cursor::of_snapshot("10:20:x"), None);
    }

    #[test]
    fn what_was_in_progress_is_not_seen() {
        let cursor = Cursor::new(20, vec![10, 14]);
        let seen: Vec<u64> = (9..22).filter(|transaction| cursor.has_seen(*transaction)).collect();
        assert_eq!(seen, [9, 11, 12, 13, 15, 16, 17, 18, 19]);
    }

    #[test]
    fn another_history_is_not_followed() {
        let moment = |history: &str| Moment { history: history.into(), cursor: Cursor::new(1, Vec::new()) };
        let place = Place::at(moment("a"));
        assert_eq!(place.leads_to(&moment("a")), Ok(()));
        assert_eq!(place.leads_to(&moment("b")), Err(Lost::AnotherHistory));
    }
}
