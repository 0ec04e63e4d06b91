//! Everything durable that a store holds, as a stream: for backups, for what is restored from them, and for moving
//! from one kind of store to the other.

use std::fmt;

use crate::access_token::AccessToken;
use crate::account::Account;
use crate::audit::AuditRecord;
use crate::change::FactChange;
use crate::fact_digest::{FactDigest, FactHasher};
use crate::id::{AccountId, Handle};
use crate::organization::{Membership, Organization};
use crate::service_token::ServiceToken;
use crate::signing_key::KeyGeneration;
use crate::store::{Cause, Revision, StoreError};
use crate::usage::{Refusals, Usage};

/// One durable thing. What is not in here (counts, indexes, how far a sweep has come) follows from what is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// An account, after the one it stands below.
    Account(Account),
    /// An organization.
    Organization(Organization),
    /// A membership.
    Membership(Membership),
    /// A service token.
    ServiceToken(ServiceToken),
    /// An access token.
    AccessToken(AccessToken),
    /// A root token that was set once, in the order in which they were: the last one is in force.
    RootToken(Handle),
    /// An access token that was ended with what stems from it.
    Cut(Handle),
    /// An account whose access tokens of earlier epochs wait to be swept.
    EpochSweep(AccountId),
    /// What was done.
    Audit(AuditRecord),
    /// Uses of a secret.
    Use(Usage),
    /// Refusals within a minute.
    Refusals(Refusals),
    /// Keys that sign.
    KeyGeneration(KeyGeneration),
    /// The last record, with the place of the last change: a stream without it was cut short.
    End(Revision),
}

/// Where records of one kind are. Named as both stores name their tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Table {
    /// Accounts.
    Accounts,
    /// Organizations.
    Organizations,
    /// Memberships.
    Memberships,
    /// Service tokens.
    ServiceTokens,
    /// Access tokens.
    AccessTokens,
    /// Root tokens that were ever set.
    RootTokens,
    /// Access tokens that were ended with what stems from them.
    Cuts,
    /// Accounts whose access tokens of earlier epochs wait to be swept.
    EpochSweeps,
    /// The audit.
    Audit,
    /// Uses.
    Uses,
    /// Refusals.
    Refusals,
    /// Keys that sign.
    KeyGenerations,
}

impl Table {
    /// Every table, in the order in which records come.
    pub const ALL: [Self; 12] = [
        Self::Accounts,
        Self::Organizations,
        Self::Memberships,
        Self::ServiceTokens,
        Self::AccessTokens,
        Self::RootTokens,
        Self::Cuts,
        Self::EpochSweeps,
        Self::Audit,
        Self::Uses,
        Self::Refusals,
        Self::KeyGenerations,
    ];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accounts => "accounts",
            Self::Organizations => "organizations",
            Self::Memberships => "memberships",
            Self::ServiceTokens => "service_tokens",
            Self::AccessTokens => "access_tokens",
            Self::RootTokens => "root_tokens",
            Self::Cuts => "cuts",
            Self::EpochSweeps => "epoch_sweeps",
            Self::Audit => "audit",
            Self::Uses => "uses",
            Self::Refusals => "refusals",
            Self::KeyGenerations => "key_generations",
        }
    }
}

impl Record {
    /// Where it is; the end is nowhere.
    pub const fn table(&self) -> Option<Table> {
        Some(match self {
            Self::Account(_) => Table::Accounts,
            Self::Organization(_) => Table::Organizations,
            Self::Membership(_) => Table::Memberships,
            Self::ServiceToken(_) => Table::ServiceTokens,
            Self::AccessToken(_) => Table::AccessTokens,
            Self::RootToken(_) => Table::RootTokens,
            Self::Cut(_) => Table::Cuts,
            Self::EpochSweep(_) => Table::EpochSweeps,
            Self::Audit(_) => Table::Audit,
            Self::Use(_) => Table::Uses,
            Self::Refusals(_) => Table::Refusals,
            Self::KeyGeneration(_) => Table::KeyGenerations,
            Self::End(_) => return None,
        })
    }

    /// Of what the doors know of it, if they know anything.
    pub fn digest(&self) -> Option<FactDigest> {
        let mut hasher = FactHasher::default();
        hasher.add(&self.fact()?);
        Some(hasher.finish())
    }

    /// What the doors know of it.
    fn fact(&self) -> Option<FactChange> {
        Some(match self {
            Self::Account(account) => FactChange::Account(account.into()),
            Self::Organization(organization) => FactChange::Organization(organization.into()),
            Self::Membership(membership) => FactChange::Membership(membership.into()),
            Self::ServiceToken(token) => FactChange::Credential(token.into()),
            Self::AccessToken(token) => FactChange::Credential(token.into()),
            Self::Cut(handle) => FactChange::Cut(*handle),
            Self::RootToken(_)
            | Self::EpochSweep(_)
            | Self::Audit(_)
            | Self::Use(_)
            | Self::Refusals(_)
            | Self::KeyGeneration(_)
            | Self::End(_) => return None,
        })
    }
}

/// How many rows each table has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RowCounts([u64; Table::ALL.len()]);

impl RowCounts {
    /// Adds rows of a table.
    pub fn add(&mut self, table: Table, rows: u64) {
        self.0[table as usize] += rows;
    }

    /// The rows of a table.
    pub const fn of(&self, table: Table) -> u64 {
        self.0[table as usize]
    }

    /// Every table and its rows.
    pub fn iter(&self) -> impl Iterator<Item = (Table, u64)> {
        Table::ALL.into_iter().map(|table| (table, self.of(table)))
    }

    /// Whether there is no row at all.
    pub fn is_empty(&self) -> bool {
        self.iter().all(|(_, rows)| rows == 0)
    }
}

/// What a store holds, in short: two stores that agree in it hold the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contents {
    /// The place of the last change.
    pub revision: Revision,
    /// How many rows of each table.
    pub rows: RowCounts,
    /// Of what the doors know.
    pub digest: FactDigest,
}

impl Contents {
    /// Where `other` differs first; `None` when it does not.
    pub fn difference(&self, other: &Self) -> Option<Difference> {
        let rows = self.rows.iter().zip(other.rows.iter());
        let mut differing = rows.filter(|((_, here), (_, there))| here != there);
        if let Some(((table, here), (_, there))) = differing.next() {
            return Some(Difference::Rows { table: table.as_str(), here, there });
        }
        if self.revision != other.revision {
            return Some(Difference::Revision { here: self.revision, there: other.revision });
        }
        (self.digest != other.digest).then_some(Difference::Digest)
    }
}

/// In what two stores differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    /// In how many rows a table has.
    #[error("{here} rows of {table} on one side, {there} on the other")]
    Rows {
        /// Which table.
        table: &'static str,
        /// On the one side.
        here: u64,
        /// On the other.
        there: u64,
    },
    /// In the place of the last change.
    #[error("the last change is {here} on one side, {there} on the other")]
    Revision {
        /// On the one side.
        here: Revision,
        /// On the other.
        there: Revision,
    },
    /// In what the doors know.
    #[error("what the doors know of accounts and tokens is not the same on both sides")]
    Digest,
}

/// Finds the contents of a stream of records.
#[derive(Debug, Default)]
pub struct Measure {
    rows: RowCounts,
    facts: FactHasher,
    end: Option<Revision>,
}

impl Measure {
    /// Takes a record in.
    pub fn add(&mut self, record: &Record) {
        if let Some(table) = record.table() {
            self.rows.add(table, 1);
        }
        if let Some(fact) = record.fact() {
            self.facts.add(&fact);
        }
        if let Record::End(revision) = record {
            self.end = Some(*revision);
        }
    }

    /// What was taken in; `None` before the end.
    pub fn contents(&self) -> Option<Contents> {
        Some(Contents { revision: self.end?, rows: self.rows, digest: self.facts.finish() })
    }
}

/// Why records were not taken in. The store is as it was, but for [`StoreError::InDoubt`]: then it may have them.
#[derive(Debug)]
pub enum ImportError {
    /// There is something in the store already.
    NotEmpty,
    /// The stream ended before its end.
    CutShort,
    /// What came of it was looked at and refused.
    Refused(Cause),
    /// The store failed.
    Store(StoreError),
}

impl From<StoreError> for ImportError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotEmpty => f.write_str("there is something in the store already"),
            Self::CutShort => f.write_str("the records end before their end"),
            Self::Refused(cause) => fmt::Display::fmt(cause, f),
            Self::Store(error) => fmt::Display::fmt(error, f),
        }
    }
}

impl std::error::Error for ImportError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NotEmpty | Self::CutShort => None,
            Self::Refused(cause) => cause.source(),
            Self::Store(error) => error.source(),
        }
    }
}

/// A store as something that can be emptied into a stream, or filled from one. Blocks: it is for commands, not for a
/// server.
pub trait Archive: Send {
    /// Gives everything durable to `visit`, all of one moment, in the order of [`Table::ALL`] and then
    /// [`Record::End`]; gives what the store held in that moment, counted and digested by itself. Ends early when
    /// `visit` fails, with its error as the cause.
    fn export(&mut self, visit: &mut dyn FnMut(Record) -> Result<(), Cause>) -> Result<Contents, StoreError>;

    /// Puts these records into the store: all of them, or nothing. Before they are there to stay, `check` is asked
    /// about what the store then holds, counted and digested by itself.
    fn import(
        &mut self,
        records: &mut dyn Iterator<Item = Record>,
        check: &mut dyn FnMut(&Contents) -> Result<(), Cause>,
    ) -> Result<Contents, ImportError>;
}
