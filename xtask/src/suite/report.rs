//! How each stage went and how long it took.

use std::fmt;
use std::time::Duration;

/// From here on the suite is too slow to be run often.
const SLOW: Duration = Duration::from_secs(45 * 60);
/// From here on it is too near to the 90 minutes after which CI ends it.
const TOO_SLOW: Duration = Duration::from_secs(70 * 60);

/// How a stage went.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Passed,
    /// With the reason.
    Failed(String),
    /// Because one before it failed.
    NotRun,
}

/// The table at the end of a run.
#[derive(Debug, Default)]
pub(super) struct Report {
    stages: Vec<(String, Outcome, Duration)>,
    total: Duration,
}

impl Report {
    /// Adds a stage.
    pub(super) fn add(&mut self, stage: String, outcome: Outcome, time: Duration) {
        self.stages.push((stage, outcome, time));
    }

    /// Says how long the whole run took.
    pub(super) fn close(&mut self, total: Duration) {
        self.total = total;
    }

    /// Whether a stage failed, or the run took too long.
    pub(super) fn has_failed(&self) -> bool {
        self.total >= TOO_SLOW || self.stages.iter().any(|(_, outcome, _)| *outcome != Outcome::Passed)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<10} {:>8}  outcome", "stage", "time")?;
        for (stage, outcome, time) in &self.stages {
            let outcome = match outcome {
                Outcome::Passed => "passed",
                Outcome::Failed(reason) => &format!("FAILED: {reason}"),
                Outcome::NotRun => "not run",
            };
            writeln!(f, "{stage:<10} {:>8}  {outcome}", minutes(*time))?;
        }
        writeln!(f, "{:<10} {:>8}  {}", "total", minutes(self.total), pace(self.total))
    }
}

fn pace(total: Duration) -> &'static str {
    if total >= TOO_SLOW {
        return "FAILED: the suite must take less than 70 minutes";
    }
    if total >= SLOW { "WARNING: the suite should take less than 45 minutes" } else { "" }
}

/// Minutes and seconds, like `12:05`.
fn minutes(time: Duration) -> String {
    format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(outcomes: impl IntoIterator<Item = Outcome>, minutes: u64) -> Report {
        let mut report = Report::default();
        for outcome in outcomes {
            report.add("fmt".to_owned(), outcome, Duration::from_secs(65));
        }
        report.close(Duration::from_secs(minutes * 60));
        report
    }

    #[test]
    fn one_failed_stage_fails_the_run() {
        assert!(!report([Outcome::Passed, Outcome::Passed], 1).has_failed());
        let broken = || Outcome::Failed("broken".to_owned());
        assert!(report([Outcome::Passed, broken()], 1).has_failed());
        let failed = report([Outcome::Passed, broken(), Outcome::NotRun], 1);
        assert!(failed.has_failed());
        let shown = failed.to_string();
        assert!(shown.contains("fmt            1:05  FAILED: broken\n"), "{shown}");
        assert!(shown.contains("not run"), "{shown}");
    }

    #[test]
    fn a_slow_run_warns_and_then_fails() {
        assert!(!report([], 44).to_string().contains("WARNING"));
        assert!(report([], 45).to_string().contains("WARNING"));
        assert!(!report([], 69).has_failed());
        assert!(report([], 70).has_failed());
        assert!(report([], 70).to_string().contains("FAILED"));
    }
}
