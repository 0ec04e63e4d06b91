//! What is counted of a lane.

use std::time::Instant;

use anyhow::Result;

use super::report::LaneReport;
use super::times::Times;

/// The measured time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    /// End of the warm-up.
    pub(super) start: Instant,
    /// From here on nothing is sent.
    pub(super) end: Instant,
}

impl Window {
    fn holds(&self, at: Instant) -> bool {
        self.start <= at && at < self.end
    }
}

/// Counts and times.
pub(super) struct Tally {
    window: Window,
    completed: u64,
    unanswered: u64,
    answers: u64,
    refused: u64,
    wrong: u64,
    first_wrong: Option<String>,
    times: Times,
}

impl Tally {
    /// Counts within `window`; whether answers are right is judged outside of it too.
    pub(super) fn new(window: Window) -> Result<Self> {
        let empty = Self {
            window,
            completed: 0,
            unanswered: 0,
            answers: 0,
            refused: 0,
            wrong: 0,
            first_wrong: None,
            times: Times::new()?,
        };
        Ok(empty)
    }

    /// An answer came `now` to a request that had been due; `judged` is the complaint about it.
    pub(super) fn answer(&mut self, due: Instant, now: Instant, status: u16, judged: Result<(), String>) {
        self.answers += 1;
        self.refused += u64::from(status == 401);
        if let Err(complaint) = judged {
            self.wrong += 1;
            self.first_wrong.get_or_insert(complaint);
        }
        self.completed += u64::from(self.window.holds(now));
        self.time(due, now);
    }

    /// A request that was due had no answer when the run was over: it took at least until `now`.
    pub(super) fn no_answer(&mut self, due: Instant, now: Instant) {
        if self.window.holds(due) {
            self.unanswered += 1;
        }
        self.time(due, now);
    }

    fn time(&mut self, due: Instant, now: Instant) {
        if self.window.holds(due) {
            self.times.add(now.saturating_duration_since(due));
        }
    }

    /// The report of a lane that was measured for `seconds`.
    pub(super) fn report(self, name: String, seconds: f64) -> LaneReport {
        LaneReport {
            name,
            completed: self.completed,
            per_second: self.completed as f64 / seconds,
            unanswered: self.unanswered,
            answers: self.answers,
            refused: self.refused,
            wrong: self.wrong,
            first_wrong: self.first_wrong,
            latency: self.times.latency(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn only_the_measured_time_counts_but_every_answer_is_judged() -> Result<()> {
        let zero = Instant::now();
        let at = |millis| zero + Duration::from_millis(millis);
        let mut tally = Tally::new(Window { start: at(100), end: at(200) })?;
        tally.answer(at(10), at(11), 200, Err("in the warm-up".into()));
        tally.answer(at(99), at(101), 200, Ok(()));
        tally.answer(at(150), at(160), 401, Ok(()));
        tally.answer(at(199), at(202), 200, Err("later".into()));
        tally.no_answer(at(190), at(1190));
        tally.no_answer(at(250), at(1190));
        let report = tally.report("lane".into(), 0.1);
        assert_eq!((report.completed, report.answers, report.refused), (2, 4, 1));
        assert_eq!((report.wrong, report.first_wrong.as_deref()), (2, Some("in the warm-up")));
        assert_eq!(report.unanswered, 1);
        assert!((report.per_second - 20.0).abs() < 1e-9);
        assert!((9_900.0..10_200.0).contains(&report.latency.p50_us), "{:?}", report.latency);
        assert!(report.latency.max_us >= 990_000.0);
        Ok(())
    }
}
