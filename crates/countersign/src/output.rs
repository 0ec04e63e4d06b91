//! The two streams of the command line: results on standard output, everything else on standard error.

use std::io::{self, Write as _};

use anyhow::Context as _;

/// Writes a result. A reader that went away is an error: what it should have got may have been a secret.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("cannot write to standard output")
}

/// Tells the person in front of the terminal something that is no result.
pub(crate) fn note(text: &str) {
    // Nowhere is left to say that even this failed.
    let _ = writeln!(io::stderr(), "{text}");
}

/// `text` in one line that cannot move the cursor or recolour the terminal: what a server says is shown, not obeyed.
pub(crate) fn harmless(text: &str) -> String {
    let harmless = |c: char| if c.is_control() { '?' } else { c };
    text.chars().map(harmless).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_are_not_steered() {
        assert_eq!(harmless("a\u{1b}[31mb\nc\u{9b}dü"), "a?[31mb?c?dü");
    }
}
