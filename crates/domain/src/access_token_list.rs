//! Lists of access tokens: their order, and the one way in which every store picks a page (promise 8 of
//! [`Store`](crate::store::Store)).

use std::cmp::Ordering;

use crate::access_token::AccessToken;
use crate::access_token_filter::{Condition, TextProperty};
use crate::id::AccountId;
use crate::store::{AccessTokenQuery, Page};
use crate::time::Timestamp;

/// What a list can be ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderProperty {
    /// A text; tokens without one come first.
    Text(TextProperty),
    /// The number of seconds; for ever is -1.
    Ttl,
    /// When it was issued.
    Created,
    /// The list of scopes, scope by scope; tokens that state none come first.
    Scopes,
}

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The least first.
    Ascending,
    /// The greatest first.
    Descending,
}

/// The order of a list: by the first of these, among equals by the next, and so on; at last by creation, then handle.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Order(Vec<(OrderProperty, Direction)>);

impl Order {
    /// By creation, then handle, ascending.
    pub const CREATION: Self = Self(Vec::new());

    /// By these. What cannot matter any more is left out.
    pub fn by(parts: impl IntoIterator<Item = (OrderProperty, Direction)>) -> Self {
        let mut order: Vec<(OrderProperty, Direction)> = Vec::new();
        for (property, direction) in parts {
            let is_decided = order.iter().any(|(earlier, _)| {
                *earlier == property || *earlier == OrderProperty::Text(TextProperty::Handle)
            });
            if !is_decided {
                order.push((property, direction));
            }
        }
        let handle = OrderProperty::Text(TextProperty::Handle);
        match order.as_slice() {
            [(OrderProperty::Created, Direction::Ascending)] => Self::CREATION,
            [(OrderProperty::Created, Direction::Ascending), (second, Direction::Ascending)]
                if *second == handle =>
            {
                Self::CREATION
            }
            _ => Self(order),
        }
    }

    /// Whether it is that of creation.
    pub fn is_creation(&self) -> bool {
        self.0.is_empty()
    }

    /// Which of two tokens comes first. Equal is only a token with itself.
    pub fn compare(&self, one: &AccessToken, other: &AccessToken) -> Ordering {
        let by_parts = self.0.iter().fold(Ordering::Equal, |decided, (property, direction)| {
            decided.then_with(|| match direction {
                Direction::Ascending => property.compare(one, other),
                Direction::Descending => property.compare(other, one),
            })
        });
        by_parts.then_with(|| (one.created_at, one.handle).cmp(&(other.created_at, other.handle)))
    }
}

impl OrderProperty {
    fn compare(self, one: &AccessToken, other: &AccessToken) -> Ordering {
        match self {
            Self::Text(property) => property.of(one, |one| property.of(other, |other| one.cmp(&other))),
            Self::Ttl => one.ttl.as_number().cmp(&other.ttl.as_number()),
            Self::Created => one.created_at.cmp(&other.created_at),
            Self::Scopes => one.restrictions.scopes.stated().cmp(&other.restrictions.scopes.stated()),
        }
    }
}

impl AccessTokenQuery {
    /// For all live tokens of an account, in the order of creation.
    pub const fn of_account(account: AccountId, live_at: Timestamp, offset: u64, limit: u32) -> Self {
        Self { account, live_at, condition: Condition::EVERYTHING, order: Order::CREATION, offset, limit }
    }

    /// Whether it is for all live tokens of the account, in the order of creation.
    pub fn is_plain(&self) -> bool {
        self.condition.is_everything() && self.order.is_creation()
    }

    /// Whether a token is in the list. Whatever a condition says, only the account's own live tokens are.
    pub fn finds(&self, token: &AccessToken) -> bool {
        token.account == self.account && token.expires_at > self.live_at && self.condition.matches(token)
    }
}

/// A page in the making: it is offered tokens one by one, and keeps no more than it needs.
#[derive(Debug)]
pub struct Selection<'q> {
    query: &'q AccessTokenQuery,
    total: u64,
    kept: Vec<AccessToken>,
}

impl<'q> Selection<'q> {
    /// Of the tokens that this query finds.
    pub const fn new(query: &'q AccessTokenQuery) -> Self {
        Self { query, total: 0, kept: Vec::new() }
    }

    /// Takes a token or leaves it. They must come in the order of creation, then handle.
    pub fn offer(&mut self, token: AccessToken) {
        if !self.query.finds(&token) {
            return;
        }
        let place = self.total;
        self.total += 1;
        let (offset, end) = (self.query.offset, self.end());
        if !self.query.order.is_creation() {
            self.kept.push(token);
            self.let_go_beyond(end);
        } else if (offset..end).contains(&place) {
            self.kept.push(token);
        }
    }

    /// The place after the last row of the page.
    fn end(&self) -> u64 {
        self.query.offset.saturating_add(self.query.limit.into())
    }

    /// Half of what is kept goes at a time, so that each token is sorted a few times at most.
    fn let_go_beyond(&mut self, end: u64) {
        let end = usize::try_from(end).unwrap_or(usize::MAX);
        if self.kept.len() >= end.saturating_mul(2).max(256) {
            self.sort();
            self.kept.truncate(end);
        }
    }

    fn sort(&mut self) {
        let order = &self.query.order;
        self.kept.sort_unstable_by(|one, other| order.compare(one, other));
    }

    /// The page.
    pub fn page(mut self) -> Page<AccessToken> {
        if !self.query.order.is_creation() {
            self.sort();
            let before = usize::try_from(self.query.offset).unwrap_or(usize::MAX).min(self.kept.len());
            self.kept.drain(..before);
            self.kept.truncate(self.query.limit as usize);
        }
        Page { items: self.kept, total: self.total }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_matter_is_kept_of_an_order() {
        use Direction::{Ascending, Descending};
        use OrderProperty::{Created, Ttl};
        let handle = OrderProperty::Text(TextProperty::Handle);
        for parts in [vec![], vec![(Created, Ascending)], vec![(Created, Ascending), (handle, Ascending)]] {
            assert!(Order::by(parts.clone()).is_creation(), "{parts:?}");
        }
        for parts in [
            vec![(Created, Descending)],
            vec![(handle, Ascending)],
            vec![(Created, Ascending), (Ttl, Ascending)],
        ] {
            assert!(!Order::by(parts.clone()).is_creation(), "{parts:?}");
        }
        let long = (0..1000)
            .flat_map(|_| [(Ttl, Ascending), (Ttl, Descending), (handle, Descending), (Created, Ascending)]);
        assert_eq!(Order::by(long), Order(vec![(Ttl, Ascending), (handle, Descending)]));
    }
}
