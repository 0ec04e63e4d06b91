//! The e-mail address by which an account logs in.

use std::fmt;

use crate::id::AccountId;

/// An e-mail address, in lower case: `Bob@…` and `bob@…` must not be two people.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Email(Box<str>);

/// The text is no e-mail address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an e-mail address of at most 254 characters")]
pub struct InvalidEmail;

impl Email {
    /// Longest address, in bytes (RFC 5321, 4.5.3.1.3).
    pub const LONGEST: usize = 254;

    /// Reads an address: something, `@`, something, without blanks or control characters. Whether mail arrives is for
    /// mail to show.
    pub fn parse(text: &str) -> Result<Self, InvalidEmail> {
        let is_right = |part: &str| {
            let allowed = |c: char| !c.is_whitespace() && !c.is_control() && c != '@';
            !part.is_empty() && part.chars().all(allowed)
        };
        let parts = text.split_once('@').filter(|_| text.len() <= Self::LONGEST);
        let fits = parts.is_some_and(|(local, domain)| is_right(local) && is_right(domain));
        if fits { Ok(Self(text.to_lowercase().into())) } else { Err(InvalidEmail) }
    }

    /// What takes the place of a deleted account's address, which is free again. Without `@`, so nobody logs in by it.
    pub fn of_deleted(id: AccountId) -> Self {
        Self(id.to_string().into())
    }

    /// An address as a store gave it back.
    pub fn from_store(text: &str) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for good in ["a@b", "root@localhost", "a.b+c@example.com", "ü@example.com"] {
            assert_eq!(Email::parse(good).as_ref().map(Email::as_str), Ok(good));
        }
        assert_eq!(Email::parse("Bob@Example.COM"), Email::parse("bob@example.com"));
        let long = format!("{}@b", "a".repeat(253));
        for bad in ["", "a", "@", "a@", "@b", "a@b@c", "a b@c", "a@b\n", "a@b\u{0}", &long] {
            assert_eq!(Email::parse(bad), Err(InvalidEmail), "{bad}");
        }
    }
}
