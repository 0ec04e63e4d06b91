//! Lists of what a credential may be used for, in one dimension.

use std::fmt::Display;
use std::sync::Arc;

/// What such a list names: a network, an organization, a pattern of requests.
pub trait Allowable: Display + Sized {
    /// Most of them in a list.
    const MOST: usize;

    /// Stands between two of them in a text; no one contains it.
    const SEPARATOR: &str;

    /// Why something is no list of these.
    type Invalid;

    /// That it names more than [`Allowable::MOST`].
    const TOO_MANY: Self::Invalid;

    /// Reads one.
    fn parse(text: &str) -> Result<Self, Self::Invalid>;

    /// Whether nothing that this allows is beyond `other`.
    fn within(&self, other: &Self) -> bool;
}

/// Everything, or what is named by a list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Allowlist<T>(Option<Arc<[T]>>);

impl<T> Default for Allowlist<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Allowable> Allowlist<T> {
    /// Most of a list.
    pub const MOST: usize = T::MOST;

    /// Everything, be it unknown.
    pub const ALL: Self = Self(None);

    /// A list as stated; an empty one means nothing at all.
    pub fn list(items: Vec<T>) -> Result<Self, T::Invalid> {
        if items.len() > T::MOST {
            return Err(T::TOO_MANY);
        }
        Ok(Self(Some(items.into())))
    }

    /// Reads one of a list.
    pub fn parse_one(text: &str) -> Result<T, T::Invalid> {
        T::parse(text)
    }

    /// The list as stated; `None` when none was.
    pub fn stated(&self) -> Option<&[T]> {
        self.0.as_deref()
    }

    /// The list as stated, in one text; `None` when none was.
    pub fn joined(&self) -> Option<String> {
        let list = self.stated()?;
        Some(list.iter().map(ToString::to_string).collect::<Vec<_>>().join(T::SEPARATOR))
    }

    /// The list of a [joined](Self::joined) text; the empty text is the empty list.
    pub fn from_joined(text: &str) -> Result<Self, T::Invalid> {
        Self::list(text.split_terminator(T::SEPARATOR).map(T::parse).collect::<Result<_, _>>()?)
    }

    /// Whether there is no list.
    pub fn is_all(&self) -> bool {
        self.0.is_none()
    }

    /// Whether there is no list, or one of its items is so.
    pub fn is_any(&self, is_so: impl Fn(&T) -> bool) -> bool {
        self.0.as_ref().is_none_or(|list| list.iter().any(is_so))
    }

    /// Whether nothing in `self` goes beyond `other`: each of its items is within one of the other's.
    pub fn within(&self, other: &Self) -> bool {
        let Some(theirs) = &other.0 else { return true };
        let is_within = |own: &T| theirs.iter().any(|their| own.within(their));
        self.0.as_ref().is_some_and(|own| own.iter().all(is_within))
    }
}
