//! Counting tests, over all test binaries of a run.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};

/// How many tests passed, failed and were ignored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
}

impl Tally {
    /// Of both together.
    pub(crate) const fn plus(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            ignored: self.ignored + other.ignored,
        }
    }

    /// Copies what test binaries print to `to` as it comes, and counts.
    pub(crate) fn follow(output: impl Read, mut to: impl Write) -> io::Result<Self> {
        let mut tally = Self::default();
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        while output.read_until(b'\n', &mut line)? > 0 {
            to.write_all(&line)?;
            to.flush()?;
            tally.count(&String::from_utf8_lossy(&line));
            line.clear();
        }
        Ok(tally)
    }

    /// Counts a line like `test result: FAILED. 4 passed; 1 failed; 0 ignored; 0 measured; …`; any other is
    /// none.
    fn count(&mut self, line: &str) {
        let Some((_, counts)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        for count in counts.split(';') {
            let Some((number, what)) = count.trim().split_once(' ') else { continue };
            let number = number.parse().unwrap_or(0);
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }
}

/// The closing line of a test run.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_binaries_are_added_up_and_shown() {
        let output = "\
running 2 tests
test a ... ok
test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 5 filtered out; finished in 0.00s

running 4 tests
test result: FAILED. 1 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s
   Doc-tests a
test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        let mut shown = Vec::new();
        let tally = Tally::follow(output.as_bytes(), &mut shown).expect("readable");
        assert_eq!(tally, Tally { passed: 6, failed: 2, ignored: 1 });
        assert_eq!(tally.to_string(), "6 passed, 2 failed");
        assert_eq!(String::from_utf8_lossy(&shown), output);
    }

    #[test]
    fn what_tests_print_is_not_counted() {
        let output = "the test result: ok. 9 passed\ntest result: \ntest resul\u{fffd}t: ok. 1 passed; \n";
        let tally = Tally::follow(output.as_bytes(), io::sink()).expect("readable");
        assert_eq!(tally, Tally::default());
    }
}
