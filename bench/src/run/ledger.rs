//! The numbers of all rounds.

use std::collections::BTreeMap;

use super::goals::{Bound, Goal, Metric};

/// What was measured so far.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    samples: BTreeMap<Metric, Vec<f64>>,
    notes: Vec<String>,
    wrong: Vec<String>,
}

/// The samples of one number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Summary {
    /// The middle one; of an even number, the mean of the two in the middle.
    pub(crate) median: f64,
    /// The smallest.
    pub(crate) min: f64,
    /// The largest.
    pub(crate) max: f64,
}

/// How a number stands to its goals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As good as the machine is thought to allow.
    Near,
    /// Good enough, or without a bound that it must keep.
    Met,
    /// Not good enough.
    Missed,
}

impl Ledger {
    /// Adds a number.
    pub(crate) fn add(&mut self, metric: Metric, value: f64) {
        self.samples.entry(metric).or_default().push(value);
    }

    /// Adds what a reader of the numbers has to know.
    pub(crate) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// Adds a wrong answer, or a demand that was not met: the whole run has failed.
    pub(crate) fn wrong(&mut self, what: String) {
        self.wrong.push(what);
    }

    /// What a reader has to know.
    pub(crate) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Why the run has failed.
    pub(crate) fn wrong_answers(&self) -> &[String] {
        &self.wrong
    }

    /// The samples of a number, if it was measured.
    pub(crate) fn summary(&self, metric: Metric) -> Option<Summary> {
        let mut samples = self.samples.get(&metric)?.clone();
        samples.sort_by(f64::total_cmp);
        let (min, max) = (*samples.first()?, *samples.last()?);
        let middle = samples.len() / 2;
        let odd = samples.len() % 2 == 1;
        let median = if odd { samples[middle] } else { (samples[middle - 1] + samples[middle]) / 2.0 };
        Some(Summary { median, min, max })
    }
}

impl Summary {
    /// Against the goals: the median, or the worst round where it is that which counts.
    pub(crate) fn verdict(self, goal: &Goal) -> Verdict {
        let Goal { must, near, .. } = *goal;
        let value = match must {
            Some(Bound::AtMost(_)) if goal.worst => self.max,
            Some(Bound::AtLeast(_)) if goal.worst => self.min,
            _ => self.median,
        };
        let holds = |bound: Option<Bound>| bound.is_none_or(|bound| bound.holds(value));
        match (holds(must), holds(near)) {
            (false, _) => Verdict::Missed,
            (true, true) => Verdict::Near,
            (true, false) => Verdict::Met,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.summary(Metric::VerifyCpu), None);
        for value in [3.0, 1.0, 2.0] {
            ledger.add(Metric::VerifyCpu, value);
        }
        assert_eq!(ledger.summary(Metric::VerifyCpu), Some(Summary { median: 2.0, min: 1.0, max: 3.0 }));
        ledger.add(Metric::VerifyCpu, 10.0);
        assert_eq!(ledger.summary(Metric::VerifyCpu).map(|s| s.median), Some(2.5));
    }

    fn goal(must: Option<Bound>, near: Option<Bound>) -> Goal {
        Goal { must, near, ..Metric::VerifyCpu.goal() }
    }

    #[test]
    fn one_round_with_a_grant_or_without_checkpoints_is_a_miss() {
        let once = Summary { median: 0.0, min: 0.0, max: 1.0 };
        assert_eq!(once.verdict(&Metric::GrantsAfterRevoke.goal()), Verdict::Missed);
        let few = Summary { median: 20.0, min: 9.0, max: 30.0 };
        assert_eq!(few.verdict(&Metric::Checkpoints.goal()), Verdict::Missed);
    }

    #[test]
    fn otherwise_the_median_counts() {
        let noisy = Summary { median: 1.3, min: 1.2, max: 1.6 };
        let (must, near) = (Some(Bound::AtMost(1.5)), Some(Bound::AtMost(1.25)));
        assert_eq!(noisy.verdict(&goal(must, near)), Verdict::Met);
        assert_eq!(noisy.verdict(&goal(None, near)), Verdict::Met);
        assert_eq!(noisy.verdict(&goal(must, None)), Verdict::Near);
        assert_eq!(noisy.verdict(&goal(near, near)), Verdict::Missed);
    }
}
