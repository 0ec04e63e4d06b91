//! How a command ends when it does not end well, and the exit code that scripts see.

use std::process::ExitCode;

use crate::output;

/// What the exit codes mean, for `--help`.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done; `verify`: the credential is valid
  1  no: `verify` refused the credential; `restore` without --yes has told what
     it would do; the configuration is wrong, or the server could not start
  2  the command line is wrong
  3  the server refused the request (4xx): what it said is on standard error
  4  the server could not be reached, or failed (5xx)";

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The answer is no, and has been printed.
    No,
    /// Something here is not as it has to be: configuration, a file, the data directory.
    Here(anyhow::Error),
    /// The command line is wrong in a way that only this command can see.
    Usage(String),
    /// The server refused: one line for each fault that it named.
    Refused(Vec<String>),
    /// The server did not answer, or answered that it failed.
    Unanswered(String),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Here(error)
    }
}

impl Failure {
    /// Says why on standard error and gives the code to exit with.
    pub(crate) fn report(&self) -> ExitCode {
        for line in self.lines() {
            output::note(&format!("countersign: {}", output::harmless(&line)));
        }
        ExitCode::from(self.code())
    }

    fn lines(&self) -> Vec<String> {
        match self {
            Self::No => Vec::new(),
            Self::Here(error) => vec![format!("{error:#}")],
            Self::Usage(line) | Self::Unanswered(line) => vec![line.clone()],
            Self::Refused(lines) => lines.clone(),
        }
    }

    fn code(&self) -> u8 {
        match self {
            Self::No | Self::Here(_) => 1,
            Self::Usage(_) => 2,
            Self::Refused(_) => 3,
            Self::Unanswered(_) => 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::{Context as _, anyhow};

    use super::*;

    #[test]
    fn the_codes_are_those_of_the_help() {
        let code_of = |failure: Failure| failure.code();
        assert_eq!(code_of(Failure::No), 1);
        assert_eq!(code_of(Failure::Here(anyhow!("x"))), 1);
        assert_eq!(code_of(Failure::Usage("x".to_owned())), 2);
        assert_eq!(code_of(Failure::Refused(vec![])), 3);
        assert_eq!(code_of(Failure::Unanswered("x".to_owned())), 4);
        for code in 0..=4 {
            assert!(EXIT_CODES.contains(&format!("\n  {code}  ")), "{code} is not in the help");
        }
    }

    #[test]
    fn a_fault_with_its_causes_is_one_line() {
        let error = Err::<(), _>(anyhow!("cause")).context("fault").map_err(Failure::from);
        assert_eq!(error.map_err(|failure| failure.lines()), Err(vec!["fault: cause".to_owned()]));
    }
}
