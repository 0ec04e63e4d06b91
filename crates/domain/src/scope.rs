//! Scopes: what a credential may be used for.

use std::fmt;
use std::sync::Arc;

/// One scope: `segment(:segment)*` with segments of `[A-Za-z0-9._-]+`; a last segment `*` matches any rest
/// (design 2.3).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(Box<str>);

/// Why a text is no scope, or a list no list of scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidScope {
    /// Not in the grammar.
    #[error("must be segments of letters, digits, `.`, `_` or `-`, joined by `:`, the last one possibly `*`")]
    Syntax,
    /// More than 64 characters.
    #[error("must have at most 64 characters")]
    TooLong,
    /// More than 32 in a list.
    #[error("must name at most 32 scopes")]
    TooMany,
}

impl Scope {
    /// Longest scope.
    pub const LONGEST: usize = 64;
    /// The word for "unscoped" in lists of scopes (LoopBack's `DEFAULT`).
    pub const DEFAULT: &'static str = "DEFAULT";

    /// Reads one scope.
    pub fn parse(text: &str) -> Result<Self, InvalidScope> {
        if text.len() > Self::LONGEST {
            return Err(InvalidScope::TooLong);
        }
        let is_segment = |segment: &str| {
            let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
            !segment.is_empty() && segment.bytes().all(allowed)
        };
        let (last, before) = match text.rsplit_once(':') {
            Some((before, last)) => (last, Some(before)),
            None => (text, None),
        };
        let last_is_right = last == "*" || is_segment(last);
        let before_is_right = before.is_none_or(|before| before.split(':').all(is_segment));
        (last_is_right && before_is_right).then(|| Self(text.into())).ok_or(InvalidScope::Syntax)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether whoever has `self` has `wanted`. `a:*` covers `a:b`, `a:b:c` and `a:b:*`, but not `a`; nothing but
    /// itself covers `DEFAULT`.
    pub fn covers(&self, wanted: &str) -> bool {
        if *self.0 == *wanted {
            return true;
        }
        let Some(stem) = self.0.strip_suffix('*') else { return false };
        wanted != Self::DEFAULT && wanted.len() > stem.len() && wanted.starts_with(stem)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a credential may be used for: everything its account may, or a list.
///
/// The list is kept as it came, repeats included, because LoopBack's clients expect it back so.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Scopes(Option<Arc<[Scope]>>);

impl Scopes {
    /// Most scopes in a list.
    pub const MOST: usize = 32;

    /// Unscoped: full authority of the account.
    pub const FULL: Self = Self(None);

    /// A list as stated. `DEFAULT` in it means unscoped; an empty list means nothing at all.
    pub fn list(scopes: Vec<Scope>) -> Result<Self, InvalidScope> {
        if scopes.len() > Self::MOST {
            return Err(InvalidScope::TooMany);
        }
        Ok(Self(Some(scopes.into())))
    }

    /// The list as stated; `None` when none was.
    pub fn stated(&self) -> Option<&[Scope]> {
        self.0.as_deref()
    }

    /// The list as stated, separated by blanks; `None` when none was.
    pub fn joined(&self) -> Option<String> {
        let list = self.stated()?;
        Some(list.iter().map(Scope::as_str).collect::<Vec<_>>().join(" "))
    }

    /// The list of a [joined](Self::joined) text; the empty text is the empty list.
    pub fn from_joined(text: &str) -> Result<Self, InvalidScope> {
        Self::list(text.split_terminator(' ').map(Scope::parse).collect::<Result<_, _>>()?)
    }

    /// Whether the credential is unscoped.
    pub fn is_full(&self) -> bool {
        match &self.0 {
            None => true,
            Some(list) => list.iter().any(|scope| scope.as_str() == Scope::DEFAULT),
        }
    }

    /// Whether `wanted` is among what may be done. An unscoped credential covers everything.
    pub fn cover(&self, wanted: &str) -> bool {
        self.is_full() || self.0.iter().flat_map(|list| list.iter()).any(|scope| scope.covers(wanted))
    }

    /// What both allow.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let (Some(mine), Some(theirs)) = (self.narrow(), other.narrow()) else {
            return if self.is_full() { other.clone() } else { self.clone() };
        };
        let of_mine = mine.iter().filter(|scope| other.cover(scope.as_str()));
        let of_theirs = theirs.iter().filter(|scope| !mine.contains(scope) && self.cover(scope.as_str()));
        Self(Some(of_mine.chain(of_theirs).cloned().collect()))
    }

    /// The list, unless it says that everything is allowed.
    fn narrow(&self) -> Option<&[Scope]> {
        self.stated().filter(|_| !self.is_full())
    }

    /// Whether nothing in `self` goes beyond `other`.
    pub fn within(&self, other: &Self) -> bool {
        if other.is_full() {
            return true;
        }
        match &self.0 {
            None => false,
            Some(list) => {
                list.iter().all(|scope| scope.as_str() != Scope::DEFAULT && other.cover(scope.as_str()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scope(text: &str) -> Scope {
        Scope::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    fn scopes(texts: &[&str]) -> Scopes {
        Scopes::list(texts.iter().map(|text| scope(text)).collect()).unwrap_or_default()
    }

    #[test]
    fn grammar() {
        for good in ["a", "a:b", "a:*", "*", "a.b-c_D:9", "DEFAULT", "countersign:service-tokens:read"] {
            assert!(Scope::parse(good).is_ok(), "{good}");
        }
        for bad in ["", ":", "a:", ":a", "a::b", "*:a", "a*", "a:b*", "a b", "a,b", "ä", "a:*:*", "**"] {
            assert_eq!(Scope::parse(bad), Err(InvalidScope::Syntax), "{bad}");
        }
        assert!(Scope::parse(&"a".repeat(64)).is_ok());
        assert_eq!(Scope::parse(&"a".repeat(65)), Err(InvalidScope::TooLong));
    }

    #[test]
    fn wildcards_of_the_design() {
        assert!(scope("a:*").covers("a:b:c"));
        assert!(!scope("a:*").covers("a"));
        assert!(!scope("a:*").covers("ab:c"));
        assert!(scope("a:*").covers("a:b:*"));
        assert!(scope("a:*").covers("a:*"));
        assert!(!scope("a:b:*").covers("a:*"));
        assert!(scope("*").covers("a"));
        assert!(!scope("*").covers("DEFAULT"));
        assert!(!scope("a").covers("a:b"));
    }

    #[test]
    fn full_and_nothing() {
        assert!(Scopes::FULL.cover("a"));
        assert!(!scopes(&[]).cover("a"));
        assert!(scopes(&["DEFAULT", "a"]).cover("b"));
        assert!(scopes(&["a"]).within(&Scopes::FULL));
        assert!(!Scopes::FULL.within(&scopes(&["*"])));
        assert!(!scopes(&["DEFAULT"]).within(&scopes(&["*"])));
        assert!(scopes(&[]).within(&scopes(&[])));
        assert!(!scopes(&["a"]).within(&scopes(&[])));
    }

    fn any_scope() -> impl Strategy<Value = Scope> {
        "(DEFAULT|\\*|[ab](:[ab]){0,2}(:\\*)?)".prop_map(|text| scope(&text))
    }

    proptest! {
        /// What two lists allow together is what each of them allows.
        #[test]
        fn and_means_both(
            mine in proptest::collection::vec(any_scope(), 0..4),
            theirs in proptest::collection::vec(any_scope(), 0..4),
            wanted in any_scope(),
        ) {
            let (mine, theirs) = (Scopes::list(mine).unwrap_or_default(), Scopes::list(theirs).unwrap_or_default());
            let both = mine.and(&theirs);
            prop_assert_eq!(both.cover(wanted.as_str()), mine.cover(wanted.as_str()) && theirs.cover(wanted.as_str()));
            prop_assert!(both.within(&mine) && both.within(&theirs));
        }

        /// What is within a list never does more than the list: the ground of "nothing hands out more than it has".
        #[test]
        fn within_means_no_more(
            mine in proptest::collection::vec(any_scope(), 0..4),
            theirs in proptest::collection::vec(any_scope(), 0..4),
            wanted in any_scope(),
        ) {
            let (mine, theirs) = (Scopes::list(mine).unwrap_or_default(), Scopes::list(theirs).unwrap_or_default());
            if mine.within(&theirs) && mine.cover(wanted.as_str()) {
                prop_assert!(theirs.cover(wanted.as_str()));
            }
        }
    }
}
