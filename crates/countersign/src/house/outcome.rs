//! What a restore does, or would do, beside what the backup says; for people and for the audit.

use std::fmt::{Display, Write as _};

use countersign_domain::audit::FieldChange;
use countersign_domain::store::Revision;
use countersign_domain::time::Timestamp;

use crate::output;

/// So many of each are named.
const NAMED: usize = 20;

/// What differs between a backup and what is restored from it.
#[derive(Default)]
pub(crate) struct Outcome {
    /// Tokens that have ended since.
    pub(super) ended: Listed,
    /// Tokens that were disabled since.
    pub(super) stopped: Listed,
    /// Tokens that end earlier now, or may do less.
    pub(super) bound: Listed,
    /// Tokens that were rotated since, and of which only the secret before is known, or wanted.
    pub(super) rotated: Listed,
    /// Tokens that were issued since.
    pub(super) lost: Listed,
    /// Accounts that were made since.
    pub(super) accounts_lost: Listed,
    pub(super) accounts_ended: Listed,
    pub(super) accounts_stopped: Listed,
    /// Accounts whose password was changed since to one that is not known.
    pub(super) passwords_unset: Listed,
    pub(super) organizations_stopped: Listed,
    pub(super) memberships_ended: Listed,
}

/// How many, and the first of them.
#[derive(Default)]
pub(super) struct Listed {
    count: u64,
    first: Vec<String>,
}

impl Listed {
    pub(super) fn add(&mut self, id: impl Display, name: &str) {
        self.count += 1;
        if self.first.len() < NAMED {
            let name = output::harmless(name);
            self.first.push(if name.is_empty() { id.to_string() } else { format!("{id}  {name}") });
        }
    }
}

impl Outcome {
    /// For people: a block for each difference that there is. `brings_back`: what has ended since comes back.
    pub(crate) fn text(&self, brings_back: bool) -> String {
        let or = |stays: &'static str, comes: &'static str| if brings_back { comes } else { stays };
        let mut text = String::new();
        for (listed, what, then) in [
            (&self.ended, "tokens that have ended since", or("stay ended", "OPEN AGAIN")),
            (&self.stopped, "tokens that were disabled since", or("stay disabled", "OPEN AGAIN")),
            (&self.bound, "tokens that end earlier or may do less since", or("stay so", "may do more again")),
            (
                &self.rotated,
                "tokens that were rotated since",
                or(
                    "disabled, as their secrets of now are lost: rotate, then enable them",
                    "their secrets before OPEN AGAIN",
                ),
            ),
            (&self.accounts_ended, "accounts that were deleted since", or("stay deleted", "come back")),
            (&self.accounts_stopped, "accounts that were disabled since", or("stay disabled", "go on")),
            (
                &self.passwords_unset,
                "accounts whose password was changed since, to one that is not known",
                or("get none: set it anew", "get the one before"),
            ),
            (
                &self.organizations_stopped,
                "organizations that were deactivated since",
                or("stay so", "go on"),
            ),
            (&self.memberships_ended, "memberships that have ended since", or("stay ended", "come back")),
            (&self.accounts_lost, "accounts that were made since", "will be gone"),
            (&self.lost, "tokens that were issued since", "will be gone"),
        ] {
            block(&mut text, listed, what, then);
        }
        text
    }

    /// For the audit.
    pub(super) fn changes(
        &self,
        taken_at: Timestamp,
        revision: Revision,
        brings_back: bool,
    ) -> Vec<FieldChange> {
        let stated =
            |field: &str, to: String| FieldChange { field: field.into(), from: None, to: Some(to.into()) };
        vec![
            stated("backup_taken_at", format!("{taken_at:?}")),
            stated("backup_revision", revision.to_string()),
            stated(
                "ended_tokens",
                format!("{} {}", self.ended.count, if brings_back { "came back" } else { "stay ended" }),
            ),
        ]
    }
}

fn block(text: &mut String, listed: &Listed, what: &str, then: &str) {
    if listed.count == 0 {
        return;
    }
    let _ = writeln!(text, "{what}: {} ({then})", listed.count);
    for line in &listed.first {
        let _ = writeln!(text, "  {line}");
    }
    let more = listed.count - listed.first.len() as u64;
    if more > 0 {
        let _ = writeln!(text, "  and {more} more");
    }
}
