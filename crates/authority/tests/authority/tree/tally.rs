//! Counts of a run, printed and bounded, so that a generator that only makes refusals is seen.

use std::collections::BTreeMap;
use std::fmt;

#[derive(Default)]
pub(super) struct Tally {
    pub(super) sequences: u64,
    pub(super) operations: u64,
    pub(super) deepest: usize,
    /// Verifications at a door that were compared with what they have to be.
    pub(super) verified: u64,
    pub(super) refused: BTreeMap<&'static str, u64>,
    pub(super) done: BTreeMap<&'static str, u64>,
}

/// Every operation, and every reason to refuse one: in a million sequences each at least so often.
const DONE: [(&str, u64); 34] = [
    ("accept membership", 15_000),
    ("activate organization", 10_000),
    ("change address", 50_000),
    ("change password", 3),
    ("change role", 10_000),
    ("create account", 3_000_000),
    ("create organization", 300_000),
    ("deactivate organization", 40_000),
    ("delete account", 1_000_000),
    ("disable account", 150_000),
    ("disable membership", 10_000),
    ("enable account", 10_000),
    ("enable membership", 8_000),
    ("end membership", 15_000),
    ("impersonate", 80_000),
    ("invite", 20_000),
    ("invite silently", 12_000),
    ("issue access token", 2_000_000),
    ("issue service token", 100_000),
    ("log in", 10),
    ("look", 100_000),
    ("refresh service token", 2_000),
    ("reject membership", 10_000),
    ("revoke access token", 80_000),
    ("revoke all access tokens", 500_000),
    ("revoke descendants", 40_000),
    ("revoke service token", 2_000),
    ("rotate service token", 2_000),
    ("set password", 10),
    ("sign up", 20_000),
    ("sweep", 500_000),
    ("update account", 80_000),
    ("update organization", 15_000),
    ("update service token", 4_000),
];
const REFUSED: [(&str, u64); 9] = [
    ("beyond the caller", 100_000),
    ("foreign account", 300_000),
    ("invalid", 20_000),
    ("limit reached", 5_000),
    ("missing scope", 50_000),
    ("not found", 20_000),
    ("other organization", 4_000),
    ("too deep", 1_000),
    ("too late", 50_000),
];

impl Tally {
    pub(super) fn count(&mut self, done: &'static str) {
        *self.done.entry(done).or_default() += 1;
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.sequences += other.sequences;
        self.operations += other.operations;
        self.deepest = self.deepest.max(other.deepest);
        self.verified += other.verified;
        for (sum, part) in [(&mut self.refused, &other.refused), (&mut self.done, &other.done)] {
            part.iter().for_each(|(name, count)| *sum.entry(name).or_default() += count);
        }
    }

    /// Everything was tried often enough to mean something; of fewer sequences, less.
    pub(super) fn must_be_varied(&self) {
        if self.sequences < 10_000 {
            return;
        }
        let enough = |counts: &BTreeMap<&str, u64>, (name, at_least): (&str, u64)| {
            let count = counts.get(name).copied().unwrap_or_default();
            let at_least = u128::from(at_least) * u128::from(self.sequences) / 1_000_000;
            assert!(u128::from(count) >= at_least, "{name}: {count}, less than {at_least}");
        };
        DONE.iter().for_each(|at_least| enough(&self.done, *at_least));
        REFUSED.iter().for_each(|at_least| enough(&self.refused, *at_least));
        assert_eq!(self.deepest, 8, "no tree is as deep as there may be");
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let refused: u64 = self.refused.values().sum();
        let share = 100.0 * refused as f64 / self.operations.max(1) as f64;
        let Self { sequences, operations, verified, deepest, .. } = self;
        writeln!(
            f,
            "{sequences} sequences, {operations} operations, of which {refused} ({share:.0} %) were refused; {verified} \
             verifications; accounts up to {deepest} levels deep"
        )?;
        writeln!(f, "done, growing the trees and clearing them away included: {:?}", self.done)?;
        write!(f, "refused: {:?}", self.refused)
    }
}
