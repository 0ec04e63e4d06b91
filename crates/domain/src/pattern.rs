//! Patterns of a client's, which a text matches or not, in time linear in the text whatever the pattern.

use std::fmt;

use regex::{Regex, RegexBuilder};

/// A pattern: words with wildcards, or a regular expression. It matches when it is found anywhere in a text.
///
/// Both kinds run in one engine without backtracking, so no pattern can make a text expensive, only its own size can,
/// and that is bounded.
#[derive(Clone)]
pub struct Pattern(Regex);

/// Why a text is no pattern. The message is a fragment that follows what it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPattern {
    /// More than [`Pattern::LONGEST`] characters.
    #[error("has more than {} characters", Pattern::LONGEST)]
    TooLong,
    /// Not in the grammar. Look-around and back-references are not in it: no linear engine has them.
    #[error("cannot be read; look-around and back-references are not supported")]
    Syntax,
    /// It stands for too much, such as `\w{1000}`.
    #[error("is too large once its repetitions are written out")]
    TooLarge,
}

/// How letters and lines are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Matching {
    /// Upper and lower case are the same.
    pub ignore_case: bool,
    /// `^` and `$` are the ends of each line.
    pub by_line: bool,
}

impl Pattern {
    /// Longest text of a pattern, in characters.
    pub const LONGEST: usize = 256;

    /// Largest compiled pattern in bytes: several classes such as `\w`, but not hundreds.
    const LARGEST: usize = 128 * 1024;
    /// Deepest nesting of groups.
    const DEEPEST: u32 = 32;

    /// Words with wildcards: `%` is any run of characters, `_` any one, `\` takes the meaning from the next. Everything
    /// else means itself.
    pub fn like(text: &str, ignore_case: bool) -> Result<Self, InvalidPattern> {
        check_length(text)?;
        let mut expression = String::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            match c {
                // Another one adds nothing but size.
                '%' if expression.ends_with(".*") => {}
                '%' => expression.push_str(".*"),
                '_' => expression.push('.'),
                '\\' => push_literal(&mut expression, chars.next().unwrap_or('\\')),
                other => push_literal(&mut expression, other),
            }
        }
        Self::compile(&format!("(?s:{expression})"), Matching { ignore_case, by_line: false })
    }

    /// A regular expression.
    pub fn regexp(text: &str, matching: Matching) -> Result<Self, InvalidPattern> {
        check_length(text)?;
        Self::compile(text, matching)
    }

    fn compile(expression: &str, matching: Matching) -> Result<Self, InvalidPattern> {
        let compiled = RegexBuilder::new(expression)
            .case_insensitive(matching.ignore_case)
            .multi_line(matching.by_line)
            .size_limit(Self::LARGEST)
            .dfa_size_limit(4 * Self::LARGEST)
            .nest_limit(Self::DEEPEST)
            .build();
        compiled.map(Self).map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => InvalidPattern::TooLarge,
            _ => InvalidPattern::Syntax,
        })
    }

    /// Whether it is found in `text`.
    pub fn is_in(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

fn check_length(text: &str) -> Result<(), InvalidPattern> {
    if text.chars().count() > Pattern::LONGEST { Err(InvalidPattern::TooLong) } else { Ok(()) }
}

fn push_literal(expression: &mut String, c: char) {
    expression.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/", self.0.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn like(pattern: &str, text: &str) -> bool {
        Pattern::like(pattern, false).unwrap().is_in(text)
    }

    fn regexp(pattern: &str, text: &str) -> bool {
        Pattern::regexp(pattern, Matching::default()).unwrap().is_in(text)
    }

    #[test]
    fn words_with_wildcards() {
        assert!(like("%", "") && like("%", "a\nb") && like("", "abc"));
        assert!(like("b", "abc"), "anywhere in the text");
        assert!(like("a%c", "xabbcx") && !like("a%c", "cba"));
        assert!(like("a_c", "abc") && like("a_c", "aéc") && !like("a_c", "ac"));
        assert!(like("a.c", "a.c") && !like("a.c", "abc"), "a dot is a dot");
        assert!(like("(a+)*[", "x(a+)*[") && like("100\\%", "100%") && !like("100\\%", "1000"));
        assert!(like("\\", "a\\b"), "nothing follows: it means itself");
        assert!(like("\\.%", ".") && like("a%%b", "axxb") && like("\\%%", "%"));
        assert!(!like("ABC", "abc"));
        let ignoring = Pattern::like("ÉCOLE_", true).unwrap();
        assert!(ignoring.is_in("école!") && !ignoring.is_in("ecole!"));
    }

    #[test]
    fn regular_expressions() {
        assert!(regexp("^ab?c$", "ac") && !regexp("^ab?c$", "xac"));
        assert!(!regexp("^b", "a\nb"));
        let by_line = Matching { by_line: true, ignore_case: true };
        assert!(Pattern::regexp("^B", by_line).unwrap().is_in("a\nb"));
        for wrong in ["(", "[", "a{2,1}", "(?=a)", "(a)\\1", "*", &"(".repeat(200)] {
            let refused = Pattern::regexp(wrong, Matching::default()).unwrap_err();
            assert_eq!(refused, InvalidPattern::Syntax, "{wrong}");
        }
    }

    #[test]
    fn sizes_are_bounded() {
        let long = "é".repeat(256);
        assert!(Pattern::regexp(&long, Matching::default()).is_ok());
        for (part, times) in [("%", 256), ("é", 256), ("K", 256), ("_%", 50)] {
            assert!(Pattern::like(&part.repeat(times), true).is_ok(), "{part}");
        }
        for text in [format!("{long}a"), "(".repeat(1 << 20)] {
            assert_eq!(Pattern::regexp(&text, Matching::default()).unwrap_err(), InvalidPattern::TooLong);
            assert_eq!(Pattern::like(&text, false).unwrap_err(), InvalidPattern::TooLong);
        }
        for large in ["\\w{1000}", "a{10000}", "a{1000}{1000}", "((a{100}){100}){100}"] {
            let refused = Pattern::regexp(large, Matching::default()).unwrap_err();
            assert_eq!(refused, InvalidPattern::TooLarge, "{large}");
        }
    }

    /// C67: what takes a backtracking engine longer than the universe has.
    #[test]
    fn no_pattern_is_expensive() {
        let text = "a".repeat(100_000);
        for pattern in ["^(a+)+!$", "(a|a)*b", "(.*)*!", "(a*)*(a*)*!"] {
            assert!(!regexp(pattern, &text), "{pattern}");
        }
        assert!(!like(&format!("{}b", "%a".repeat(50)), &text));
    }

    proptest! {
        #[test]
        fn never_panics(pattern in "[-a-z%_\\\\()\\[\\]{}|*+?.^$0-9é]{0,40}", text in ".{0,20}") {
            let _ = Pattern::regexp(&pattern, Matching::default()).map(|pattern| pattern.is_in(&text));
            let _ = Pattern::like(&pattern, true).map(|pattern| pattern.is_in(&text));
        }

        #[test]
        fn a_word_is_found_where_it_is(before in ".{0,10}", word in "[^%_\\\\]{0,10}", after in ".{0,10}") {
            let text = format!("{before}{word}{after}");
            prop_assert!(like(&word, &text));
        }
    }
}
