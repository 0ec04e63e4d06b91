//! Search by substring, the same in every store (promise 12 of [`Store`](crate::store::Store)).

use std::fmt::{self, Write as _};

use crate::id::{ClientId, ServiceTokenId};

/// A text to look for, whatever its case.
///
/// Case is compared by Unicode's simple mappings, one character to one: `É` finds `é` and `Σ` finds `ς`, but
/// `STRASSE` does not find `straße`. A search through many tokens uses one buffer, so that it allocates nothing for
/// each.
#[derive(Clone)]
pub struct Search {
    wanted: String,
    may_be_in_id: bool,
    buffer: String,
}

impl Search {
    /// A search for `text`. The empty text is in everything.
    pub fn new(text: &str) -> Self {
        let wanted: String = text.chars().map(fold).collect();
        let in_ids = |c: char| matches!(c, '0'..='9' | 'a'..='f' | '-') || ".access".contains(c);
        let may_be_in_id = wanted.chars().all(in_ids);
        Self { wanted, may_be_in_id, buffer: String::new() }
    }

    /// Whether the text is in a service token's name, id or client id.
    pub fn finds(&mut self, name: &str, id: ServiceTokenId, client_id: ClientId) -> bool {
        self.is_in(name) || self.may_be_in_id && (self.is_printed_in(id) || self.is_printed_in(client_id))
    }

    fn is_in(&mut self, text: &str) -> bool {
        self.buffer.clear();
        self.buffer.extend(text.chars().map(fold));
        self.buffer.contains(&self.wanted)
    }

    /// Ids are printed in lower case, so they need no folding.
    fn is_printed_in(&mut self, id: impl fmt::Display) -> bool {
        self.buffer.clear();
        let printed = write!(self.buffer, "{id}");
        printed.is_ok() && self.buffer.contains(&self.wanted)
    }
}

/// The lower case of the upper case, so that the several lower cases of one letter (`σ` and `ς`) become one. A
/// character whose other case is several characters stays as it is.
fn fold(c: char) -> char {
    if c.is_ascii() {
        return c.to_ascii_lowercase();
    }
    let upper = single(c.to_uppercase()).unwrap_or(c);
    single(upper.to_lowercase()).unwrap_or(c)
}

fn single(mut chars: impl Iterator<Item = char>) -> Option<char> {
    let first = chars.next()?;
    chars.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finds(wanted: &str, name: &str) -> bool {
        let id = ServiceTokenId::from_bytes([0xab; 16]);
        Search::new(wanted).finds(name, id, ClientId::from_bytes([0xcd; 16]))
    }

    #[test]
    fn whatever_the_case() {
        assert!(finds("ci/", "GitHub CI/CD"));
        assert!(finds("GITHUB", "GitHub CI/CD"));
        assert!(finds("ÉCOLE", "école"));
        assert!(finds("σίσυφος", "ΣΊΣΥΦΟΣ"));
        assert!(finds("\u{212a}elvin", "kelvin"), "the sign of kelvin is a capital k");
        assert!(finds("ß", "straße"));
        assert!(!finds("STRASSE", "straße"), "one character for one");
        assert!(!finds("ecole", "école"), "accents matter");
        assert!(finds("", "anything"));
        assert!(!finds("abc", "ab"));
    }

    #[test]
    fn in_printed_ids() {
        assert!(finds("ABAB-abab", "x"));
        assert!(finds("cdcd.access", "x"));
        assert!(finds("CDCD.ACC", "x"));
        assert!(!finds("abcd", "x"));
        assert!(!finds("abab.access", "x"));
    }
}
