//! SPDX licence expressions, as far as manifests use them: `AND`, `OR`, `WITH`, parentheses, and the old `/`
//! for `OR`.

/// Whether the licences for which `accept` holds are enough for `expression`. An expression that cannot be
/// read is never satisfied. `accept` is asked about every licence in it, also where the answer no longer
/// matters.
pub(super) fn is_satisfied(expression: &str, mut accept: impl FnMut(&str) -> bool) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut parser = Parser { words: &words, accept: &mut accept };
    parser.any_of().is_some_and(|satisfied| satisfied && parser.words.is_empty())
}

struct Parser<'a, A> {
    words: &'a [&'a str],
    accept: &'a mut A,
}

impl<'a, A: FnMut(&str) -> bool> Parser<'a, A> {
    /// `a OR b OR …`; `None` when it cannot be read.
    fn any_of(&mut self) -> Option<bool> {
        let mut satisfied = self.all_of()?;
        while self.take("OR") {
            satisfied |= self.all_of()?;
        }
        Some(satisfied)
    }

    /// `a AND b AND …`, which binds closer than `OR`.
    fn all_of(&mut self) -> Option<bool> {
        let mut satisfied = self.one()?;
        while self.take("AND") {
            satisfied &= self.one()?;
        }
        Some(satisfied)
    }

    /// A licence, a licence `WITH` an exception (which is another licence), or an expression in parentheses.
    fn one(&mut self) -> Option<bool> {
        if self.take("(") {
            let satisfied = self.any_of()?;
            return self.take(")").then_some(satisfied);
        }
        let licence = self.name()?;
        if !self.take("WITH") {
            return Some((self.accept)(licence));
        }
        let exception = self.name()?;
        Some((self.accept)(&format!("{licence} WITH {exception}")))
    }

    fn name(&mut self) -> Option<&'a str> {
        let (name, rest) = self.words.split_first()?;
        if ["AND", "OR", "WITH", "(", ")"].contains(name) {
            return None;
        }
        self.words = rest;
        Some(name)
    }

    fn take(&mut self, word: &str) -> bool {
        match self.words.split_first() {
            Some((next, rest)) if *next == word => {
                self.words = rest;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_mit_and_isc(expression: &str) -> bool {
        is_satisfied(expression, |licence| ["MIT", "ISC"].contains(&licence))
    }

    #[test]
    fn expressions_that_are_satisfied() {
        for expression in [
            "MIT",
            "MIT OR GPL-3.0",
            "GPL-3.0 OR MIT",
            "MIT/Apache-2.0",
            "Apache-2.0 / MIT",
            "ISC AND (Apache-2.0 OR ISC) AND MIT",
            "GPL-3.0 AND ISC OR MIT",
            "Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT",
        ] {
            assert!(with_mit_and_isc(expression), "{expression}");
        }
    }

    #[test]
    fn expressions_that_are_not() {
        for expression in [
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "GPL-3.0 AND MIT",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "MIT AND (GPL-3.0 OR Zlib)",
            "MIT WITH some-exception",
            "mit",
        ] {
            assert!(!with_mit_and_isc(expression), "{expression}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_never_satisfied() {
        for expression in
            ["", "MIT MIT", "MIT OR", "OR MIT", "(MIT", "MIT)", "()", "MIT WITH", "MIT AND OR ISC"]
        {
            assert!(!is_satisfied(expression, |_| true), "{expression:?}");
        }
    }

    #[test]
    fn every_licence_is_asked_about() {
        let mut asked = Vec::new();
        is_satisfied("MIT OR ISC AND (Zlib OR MIT)", |licence| {
            asked.push(licence.to_owned());
            true
        });
        assert_eq!(asked, ["MIT", "ISC", "Zlib", "MIT"]);
    }
}
