//! What is taken, and taken again when it was disturbed.

use super::database::DatabaseAddress;
use crate::load::Plan;

/// A run, before it is taken.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    /// What the table of runs calls it.
    pub(super) label: String,
    /// What is done.
    pub(super) work: Work,
}

/// What a job does.
#[derive(Debug, Clone)]
pub(super) enum Work {
    /// The generator carries out a plan.
    Load(Plan),
    /// The bare store inserts.
    Insert {
        /// Rows to a commit.
        per_commit: u32,
        /// Its environment: the slow disk.
        environment: Vec<(&'static str, String)>,
    },
    /// The bare hash.
    Hash,
    /// Short-lived tokens are minted and read without HTTP.
    Signed,
    /// pgbench inserts.
    Pgbench(DatabaseAddress),
}

impl Job {
    /// The generator carries out a plan.
    pub(crate) fn load(label: &str, plan: &Plan) -> Self {
        Self { label: label.into(), work: Work::Load(plan.clone()) }
    }

    /// The server that it drives: while another job runs, this one ought to be idle.
    pub(super) fn server(&self) -> Option<u32> {
        match &self.work {
            Work::Load(plan) => plan.server,
            Work::Insert { .. } | Work::Hash | Work::Signed | Work::Pgbench(_) => None,
        }
    }

    /// The bare store inserts, so many rows to a commit, with this environment.
    pub(crate) fn insert(label: &str, per_commit: u32, environment: Vec<(&'static str, String)>) -> Self {
        Self { label: label.into(), work: Work::Insert { per_commit, environment } }
    }

    /// pgbench inserts rows, one to a commit, on as many connections as a server is sent its requests on.
    pub(crate) fn pgbench(label: &str, database: DatabaseAddress) -> Self {
        Self { label: label.into(), work: Work::Pgbench(database) }
    }

    /// Passwords are hashed, and nothing else.
    pub(crate) fn hash(label: &str) -> Self {
        Self { label: label.into(), work: Work::Hash }
    }

    /// Short-lived tokens are minted and read without HTTP, beside the bare signature and the bare check.
    pub(crate) fn signed(label: &str) -> Self {
        Self { label: label.into(), work: Work::Signed }
    }
}
