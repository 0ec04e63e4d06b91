//! Passwords: what people log in with, and what is kept of it.

use std::fmt;

use zeroize::Zeroizing;

/// A password as it came. Wiped when dropped; never printed.
#[derive(Clone)]
pub struct Password(Zeroizing<Box<str>>);

/// Why a text is no password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPassword {
    /// Fewer than 8 characters.
    #[error("must have at least 8 characters")]
    TooShort,
    /// More than 256 bytes.
    #[error("must have at most 256 bytes")]
    TooLong,
}

impl Password {
    /// Fewest characters (OWASP ASVS 5.0, 6.2.1). Rules of composition, which lead people to worse passwords, are
    /// absent on purpose (NIST SP 800-63B, 3.1.1.2).
    pub const SHORTEST: usize = 8;
    /// Most bytes: what is hashed has a bound.
    pub const LONGEST: usize = 256;

    /// A new password.
    pub fn parse(text: &str) -> Result<Self, InvalidPassword> {
        if text.chars().count() < Self::SHORTEST {
            return Err(InvalidPassword::TooShort);
        }
        if text.len() > Self::LONGEST {
            return Err(InvalidPassword::TooLong);
        }
        Ok(Self::presented(text))
    }

    /// A password that somebody shows in order to log in, whatever it looks like.
    pub fn presented(text: &str) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text, for hashing.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// What is kept of a password: an argon2id hash with its salt and parameters in PHC form.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(Box<str>);

impl PasswordHash {
    /// The hash of this text, as a hasher made it or a store gave it back.
    pub fn from_phc(text: &str) -> Self {
        Self(text.into())
    }

    /// The text, for a store or a hasher.
    pub fn as_phc(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds() {
        assert!(Password::parse("Secret!1").is_ok());
        assert!(Password::parse("üüüüüüüü").is_ok());
        assert_eq!(Password::parse("üüüüüüü").err(), Some(InvalidPassword::TooShort));
        assert!(Password::parse(&"x".repeat(256)).is_ok());
        assert_eq!(Password::parse(&"x".repeat(257)).err(), Some(InvalidPassword::TooLong));
    }

    #[test]
    fn nothing_is_printed() {
        let printed = format!("{:?} {:?}", Password::presented("Secret!1"), PasswordHash::from_phc("$argon"));
        assert!(!printed.contains("Secret") && !printed.contains("argon"), "{printed}");
    }
}
