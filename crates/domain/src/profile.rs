//! What an account or an organization says of itself.

/// A JSON object, kept as text and not understood here: no rule depends on it. Which properties it may have is for the
/// wire that reads and shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile(Box<str>);

/// The text is longer than a profile may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must have at most 16 kB together")]
pub struct ProfileTooLong;

impl Profile {
    /// Longest text, in bytes.
    pub const LONGEST: usize = 16 * 1024;

    /// The profile of this text.
    pub fn from_json(text: &str) -> Result<Self, ProfileTooLong> {
        if text.len() > Self::LONGEST { Err(ProfileTooLong) } else { Ok(Self(text.into())) }
    }

    /// The text.
    pub fn as_json(&self) -> &str {
        &self.0
    }
}

impl Default for Profile {
    fn default() -> Self {
        Self("{}".into())
    }
}
