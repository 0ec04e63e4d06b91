//! The name that people give a token.

use std::fmt;

/// A name: 1 to 350 characters, no control characters. Not unique; kept byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(Box<str>);

/// Why a text is no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Nothing, or only white space.
    #[error("must not be empty")]
    Empty,
    /// More than 350 characters (cloudflare-access.md 1.1).
    #[error("must have at most 350 characters")]
    TooLong,
    /// A control character, which would break logs and headers.
    #[error("must not contain control characters")]
    Control,
}

impl Name {
    /// Longest name, in characters.
    pub const LONGEST: usize = 350;

    /// Reads a name.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        if text.trim().is_empty() {
            return Err(InvalidName::Empty);
        }
        if text.chars().count() > Self::LONGEST {
            return Err(InvalidName::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(InvalidName::Control);
        }
        Ok(Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges() {
        assert!(Name::parse("CI/CD token ü").is_ok());
        assert!(Name::parse(&"ü".repeat(350)).is_ok());
        assert_eq!(Name::parse(&"a".repeat(351)), Err(InvalidName::TooLong));
        assert_eq!(Name::parse(""), Err(InvalidName::Empty));
        assert_eq!(Name::parse(" \t"), Err(InvalidName::Empty));
        assert_eq!(Name::parse("a\nb"), Err(InvalidName::Control));
        assert_eq!(Name::parse("a\u{0}"), Err(InvalidName::Control));
        assert_eq!(Name::parse("a\u{85}b"), Err(InvalidName::Control));
    }
}
