//! Which access tokens: what a filter demands of one, decided the same way by every store.

use std::cmp::Ordering;

use crate::access_token::AccessToken;
use crate::id::Handle;
use crate::name::Name;
use crate::pattern::Pattern;
use crate::scope::Scope;
use crate::time::Timestamp;

/// What is demanded of a token. Whoever builds one bounds its size and depth.
#[derive(Debug, Clone)]
pub enum Condition {
    /// All of these; without any, every token is good.
    All(Vec<Self>),
    /// At least one of these; without any, no token is good.
    Any(Vec<Self>),
    /// Not this.
    Not(Box<Self>),
    /// It has such a text, and the text is so.
    Text(TextProperty, TextTest),
    /// It has no such text.
    Without(TextProperty),
    /// The number of seconds it was given is within these bounds; -1 is for ever.
    Ttl(Bounds<i64>),
    /// It was issued within these bounds.
    Created(Bounds<Timestamp>),
    /// At least one of the scopes stated in it is so.
    Scope(TextTest),
    /// The list of scopes stated in it is this one; `None`: it states none.
    Scopes(Option<Vec<String>>),
}

/// A property that is a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextProperty {
    /// The handle.
    Handle,
    /// The id of its account.
    Account,
    /// The name that people gave it.
    Name,
}

/// What is demanded of a text.
#[derive(Debug, Clone)]
pub enum TextTest {
    /// It is this one.
    Equals(String),
    /// It comes before this one, byte by byte.
    Before(String),
    /// It comes after this one, byte by byte.
    After(String),
    /// The pattern is found in it.
    Matches(Pattern),
}

/// From one value to another, both included; `None` is no bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds<T> {
    /// Not less than this.
    pub from: Option<T>,
    /// Not more than this.
    pub to: Option<T>,
}

/// Where alone tokens can be that are good: what a store can look for by an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Among these, each named once.
    Tokens(Vec<Handle>),
    /// Among those issued within these bounds.
    Created(Bounds<Timestamp>),
}

impl Condition {
    /// Every token is good.
    pub const EVERYTHING: Self = Self::All(Vec::new());
    /// No token is good.
    pub const NOTHING: Self = Self::Any(Vec::new());

    /// The opposite.
    #[must_use]
    pub fn negated(self) -> Self {
        Self::Not(Box::new(self))
    }

    /// Whether nothing is demanded.
    pub fn is_everything(&self) -> bool {
        match self {
            Self::All(conditions) => conditions.iter().all(Self::is_everything),
            _ => false,
        }
    }

    /// Whether a token is good.
    pub fn matches(&self, token: &AccessToken) -> bool {
        match self {
            Self::All(conditions) => conditions.iter().all(|condition| condition.matches(token)),
            Self::Any(conditions) => conditions.iter().any(|condition| condition.matches(token)),
            Self::Not(condition) => !condition.matches(token),
            Self::Text(property, test) => property.of(token, |text| text.is_some_and(|t| test.holds(t))),
            Self::Without(property) => property.of(token, |text| text.is_none()),
            Self::Ttl(bounds) => bounds.contain(token.ttl.as_number()),
            Self::Created(bounds) => bounds.contain(token.created_at),
            Self::Scope(test) => stated_scopes(token)
                .is_some_and(|scopes| scopes.iter().any(|scope| test.holds(scope.as_str()))),
            Self::Scopes(wanted) => {
                let texts = stated_scopes(token).map(|scopes| scopes.iter().map(Scope::as_str));
                match (wanted, texts) {
                    (None, None) => true,
                    (Some(wanted), Some(texts)) => texts.eq(wanted.iter().map(String::as_str)),
                    (Some(_), None) | (None, Some(_)) => false,
                }
            }
        }
    }

    /// Where alone good tokens can be. Need not be narrow, but leaves none out.
    pub fn reach(&self) -> Reach {
        match self {
            Self::Text(TextProperty::Handle, TextTest::Equals(text)) => {
                Reach::Tokens(text.parse().into_iter().collect())
            }
            Self::Created(bounds) => Reach::Created(*bounds),
            Self::All(conditions) => {
                conditions.iter().map(Self::reach).fold(Reach::EVERYWHERE, Reach::narrowed)
            }
            Self::Any(conditions) => reach_of_any(conditions),
            _ => Reach::EVERYWHERE,
        }
    }
}

fn reach_of_any(conditions: &[Condition]) -> Reach {
    let mut all = Vec::new();
    for condition in conditions {
        let Reach::Tokens(handles) = condition.reach() else { return Reach::EVERYWHERE };
        all.extend(handles);
    }
    all.sort_unstable();
    all.dedup();
    Reach::Tokens(all)
}

impl Reach {
    /// Anywhere.
    pub const EVERYWHERE: Self = Self::Created(Bounds { from: None, to: None });

    /// Where both can be.
    fn narrowed(self, other: Self) -> Self {
        match (self, other) {
            (Self::Created(one), Self::Created(other)) => Self::Created(one.narrowed(other)),
            (Self::Tokens(some), Self::Created(_)) | (Self::Created(_), Self::Tokens(some)) => {
                Self::Tokens(some)
            }
            (Self::Tokens(mut some), Self::Tokens(others)) => {
                some.retain(|handle| others.contains(handle));
                Self::Tokens(some)
            }
        }
    }
}

fn stated_scopes(token: &AccessToken) -> Option<&[Scope]> {
    token.restrictions.scopes.stated()
}

impl TextProperty {
    /// What `look` sees in the text of a token.
    pub(crate) fn of<T>(self, token: &AccessToken, look: impl FnOnce(Option<&str>) -> T) -> T {
        match self {
            Self::Handle => look(Some(token.handle.as_str())),
            Self::Account => look(Some(token.account.encode(&mut [0; 32]))),
            Self::Name => look(token.name.as_ref().map(Name::as_str)),
        }
    }
}

impl TextTest {
    fn holds(&self, text: &str) -> bool {
        match self {
            Self::Equals(other) => text == other,
            Self::Before(other) => text.cmp(other) == Ordering::Less,
            Self::After(other) => text.cmp(other) == Ordering::Greater,
            Self::Matches(pattern) => pattern.is_in(text),
        }
    }
}

impl<T: Copy + Ord> Bounds<T> {
    /// Not less than this.
    pub const fn from(value: T) -> Self {
        Self { from: Some(value), to: None }
    }

    /// Not more than this.
    pub const fn to(value: T) -> Self {
        Self { from: None, to: Some(value) }
    }

    /// Between these, both included.
    pub const fn between(from: T, to: T) -> Self {
        Self { from: Some(from), to: Some(to) }
    }

    /// Whether a value is within them.
    pub fn contain(&self, value: T) -> bool {
        self.from.is_none_or(|from| from <= value) && self.to.is_none_or(|to| value <= to)
    }

    fn narrowed(self, other: Self) -> Self {
        let tighter = |one: Option<T>, other: Option<T>, pick: fn(T, T) -> T| match (one, other) {
            (Some(one), Some(other)) => Some(pick(one, other)),
            (one, other) => one.or(other),
        };
        Self { from: tighter(self.from, other.from, T::max), to: tighter(self.to, other.to, T::min) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access_token::{NewAccessToken, Source};
    use crate::account::Epoch;
    use crate::entropy::Entropy;
    use crate::id::AccountId;
    use crate::lifetime::Ttl;
    use crate::lineage::Lineage;
    use crate::restrictions::Restrictions;
    use crate::scope::Scopes;

    struct Zero;
    impl Entropy for Zero {
        fn fill(&self, out: &mut [u8]) {
            out.fill(0);
        }
    }

    fn token(ttl: Ttl, scopes: Option<&[&str]>) -> AccessToken {
        let scopes = scopes.map_or(Scopes::FULL, |scopes| {
            Scopes::list(scopes.iter().map(|scope| Scope::parse(scope).unwrap()).collect()).unwrap()
        });
        let account = AccountId::from_bytes([0xab; 16]);
        let now = Timestamp::from_micros(1_000);
        let new = NewAccessToken {
            account,
            name: None,
            ttl,
            restrictions: Restrictions::from(scopes),
            source: Source::Issued,
            lineage: Lineage::default(),
            epoch: Epoch::FIRST,
        };
        AccessToken::issue(new, &Zero, now).0
    }

    fn equals(text: &str) -> TextTest {
        TextTest::Equals(text.into())
    }

    fn handle(text: &str) -> Condition {
        Condition::Text(TextProperty::Handle, equals(text))
    }

    #[test]
    fn every_property() {
        let eternal = token(Ttl::Eternal, None);
        let short = token(Ttl::Seconds(60), Some(&["read", "write"]));
        let is = |condition: &Condition| (condition.matches(&eternal), condition.matches(&short));
        for (condition, expected) in [
            (Condition::EVERYTHING, (true, true)),
            (Condition::NOTHING, (false, false)),
            (Condition::NOTHING.negated(), (true, true)),
            (Condition::Ttl(Bounds::between(60, 60)), (false, true)),
            (Condition::Ttl(Bounds::to(0)), (true, false)),
            (Condition::Ttl(Bounds::from(61)), (false, false)),
            (Condition::Ttl(Bounds::between(61, 60)), (false, false)),
            (Condition::Created(Bounds::from(Timestamp::from_micros(1_000))), (true, true)),
            (Condition::Created(Bounds::to(Timestamp::from_micros(999))), (false, false)),
            (Condition::Scope(equals("read")), (false, true)),
            (Condition::Scope(equals("rea")), (false, false)),
            (Condition::Scope(equals("read")).negated(), (true, false)),
            (Condition::Scope(TextTest::After("read".into())), (false, true)),
            (Condition::Scope(TextTest::Before("read".into())), (false, false)),
            (Condition::Scope(TextTest::Matches(Pattern::like("r%e", false).unwrap())), (false, true)),
            (Condition::Scopes(None), (true, false)),
            (Condition::Scopes(Some(vec!["read".into(), "write".into()])), (false, true)),
            (Condition::Scopes(Some(vec!["read".into()])), (false, false)),
            (Condition::Text(TextProperty::Account, equals(&"ab".repeat(16))), (true, true)),
            (Condition::Text(TextProperty::Name, equals("")), (false, false)),
            (Condition::Without(TextProperty::Name), (true, true)),
            (Condition::Without(TextProperty::Account), (false, false)),
            (handle(eternal.handle.as_str()), (true, true)),
        ] {
            assert_eq!(is(&condition), expected, "{condition:?}");
        }
        let both = |other| vec![Condition::Ttl(Bounds::to(0)), other];
        assert_eq!(is(&Condition::All(both(Condition::Scopes(None)))), (true, false));
        assert_eq!(is(&Condition::All(both(Condition::NOTHING))), (false, false));
        assert_eq!(is(&Condition::Any(both(Condition::Scope(equals("write"))))), (true, true));
    }

    #[test]
    fn where_to_look() {
        let (a, b) = ("a".repeat(Handle::LEN), "b".repeat(Handle::LEN));
        let tokens =
            |texts: &[&String]| Reach::Tokens(texts.iter().map(|text| text.parse().unwrap()).collect());
        let time = Timestamp::from_micros;
        let from = |micros| Condition::Created(Bounds::from(time(micros)));
        let both = || Condition::Any(vec![handle(&b), handle(&a), handle(&b)]);
        for (condition, reach) in [
            (Condition::EVERYTHING, Reach::EVERYWHERE),
            (Condition::NOTHING, tokens(&[])),
            (handle(&a), tokens(&[&a])),
            (handle("no handle"), tokens(&[])),
            (handle(&a).negated(), Reach::EVERYWHERE),
            (both(), tokens(&[&a, &b])),
            (Condition::Any(vec![handle(&a), from(1)]), Reach::EVERYWHERE),
            (Condition::All(vec![from(1), both(), handle(&b)]), tokens(&[&b])),
            (Condition::All(vec![handle(&a), handle(&b)]), tokens(&[])),
            (
                Condition::All(vec![
                    from(1),
                    Condition::All(vec![from(2)]),
                    Condition::Created(Bounds::to(time(9))),
                ]),
                Reach::Created(Bounds::between(time(2), time(9))),
            ),
            (Condition::Scopes(None), Reach::EVERYWHERE),
        ] {
            assert_eq!(condition.reach(), reach, "{condition:?}");
        }
    }
}
