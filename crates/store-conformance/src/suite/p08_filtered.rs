//! Promise 8 of lists of access tokens under conditions and in other orders.

use countersign_domain::access_token::AccessToken;
use countersign_domain::access_token_filter::{Bounds, Condition, TextProperty, TextTest};
use countersign_domain::access_token_list::{Direction, Order, OrderProperty};
use countersign_domain::account::Account;
use countersign_domain::change::Mutation;
use countersign_domain::entropy::Entropy as _;
use countersign_domain::lifetime::Ttl;
use countersign_domain::pattern::Pattern;
use countersign_domain::scope::{Scope, Scopes};
use countersign_domain::store::AccessTokenQuery;
use countersign_domain::time::Timestamp;

use crate::doubles::SeededEntropy;
use crate::world::{LIMIT, Make, World, limits, must};

/// How many random queries.
const QUERIES: usize = 400;

/// Random queries of random tokens give what a query finds among all of them, sorted and cut.
pub(super) async fn filtered(make: Make<'_>) {
    let world = World::new(make).await;
    let draw = Draw(SeededEntropy::new(8));
    let (account, other) = (world.create_account(&world.root).await, world.create_account(&world.root).await);
    let mut tokens: Vec<_> = (0..600).map(|_| draw.token(&world, &account)).collect();
    tokens.extend((0..30).map(|_| draw.token(&world, &other)));
    let issue =
        |token: &AccessToken| Mutation::IssueAccessToken { token: token.clone(), limits: limits(LIMIT) };
    world.apply_all(tokens.iter().map(issue)).await;
    for _ in 0..QUERIES {
        let query = draw.query(&account, &tokens);
        let mut found: Vec<_> = tokens.iter().filter(|token| query.finds(token)).collect();
        found.sort_by(|one, other| query.order.compare(one, other));
        let total = found.len() as u64;
        let offset = usize::try_from(query.offset).unwrap_or(usize::MAX);
        let part: Vec<_> = found.into_iter().skip(offset).take(query.limit as usize).collect();
        let page = must(world.store.list_access_tokens(query.clone()).await);
        assert_eq!((page.items.iter().collect::<Vec<_>>(), page.total), (part, total), "{query:?}");
        assert!(page.items.iter().all(|token| token.account == account.id));
    }
}

/// Random tokens and queries, from few values, so that they meet.
struct Draw(SeededEntropy);

impl Draw {
    fn below(&self, bound: usize) -> usize {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        u32::from_be_bytes(bytes) as usize % bound
    }

    fn one<'v, T>(&self, values: &'v [T]) -> &'v T {
        &values[self.below(values.len())]
    }

    fn list<T>(&self, most: usize, draw: impl Fn() -> T) -> Vec<T> {
        (0..self.below(most + 1)).map(|_| draw()).collect()
    }

    fn time(&self) -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000 + self.below(20) as i64)
    }

    fn scope(&self) -> &'static str {
        ["read", "write", "a:b", "a:*", "DEFAULT"][self.below(5)]
    }

    /// Of few moments, and some of them expired at the times that queries ask about.
    fn token(&self, world: &World, account: &Account) -> AccessToken {
        let ttl = *self.one(&[Ttl::Eternal, Ttl::Seconds(1), Ttl::Seconds(60), Ttl::Seconds(3600)]);
        let mut token = world.access_token(account, ttl);
        token.created_at = self.time();
        token.expires_at = ttl.expiry(token.created_at);
        if self.below(3) > 0 {
            let scopes = self.list(3, || must(Scope::parse(self.scope())));
            token.restrictions = must(Scopes::list(scopes)).into();
        }
        token
    }

    fn query(&self, account: &Account, tokens: &[AccessToken]) -> AccessTokenQuery {
        let live_at = Timestamp::from_micros(self.time().as_micros() + self.below(3) as i64 * 1_000_000 - 1);
        let property = || {
            *self.one(&[
                OrderProperty::Text(TextProperty::Handle),
                OrderProperty::Text(TextProperty::Account),
                OrderProperty::Text(TextProperty::Name),
                OrderProperty::Ttl,
                OrderProperty::Created,
                OrderProperty::Scopes,
            ])
        };
        let direction = || *self.one(&[Direction::Ascending, Direction::Descending]);
        AccessTokenQuery {
            condition: self.condition(tokens, 3),
            order: Order::by(self.list(2, || (property(), direction()))),
            ..AccessTokenQuery::of_account(
                account.id,
                live_at,
                *self.one(&[0, 0, 0, 1, 7, 100, 599, 10_000, u64::MAX]),
                *self.one(&[0, 1, 10, 100, 1000]),
            )
        }
    }

    fn condition(&self, tokens: &[AccessToken], depth: usize) -> Condition {
        let below = || self.condition(tokens, depth - 1);
        match self.below(if depth == 0 { 7 } else { 12 }) {
            0 => Condition::Ttl(self.bounds(|| *self.one(&[-1, 0, 1, 59, 60, 3600]))),
            1 => Condition::Created(self.bounds(|| self.time())),
            2 => Condition::Scope(self.text(self.scope().to_owned())),
            3 => Condition::Scopes(self.one(&[None, Some(vec![]), Some(vec!["read".to_owned()])]).clone()),
            4 => Condition::Text(TextProperty::Account, self.text(self.one(tokens).account.to_string())),
            5 => Condition::Without(*self.one(&[TextProperty::Name, TextProperty::Handle])),
            6 | 7 => Condition::Text(TextProperty::Handle, self.text(self.one(tokens).handle.to_string())),
            8 => below().negated(),
            9 => Condition::Any(self.list(3, below)),
            10 => Condition::Any(self.list(20, || {
                let handle = self.one(tokens).handle.to_string();
                Condition::Text(TextProperty::Handle, TextTest::Equals(handle))
            })),
            _ => Condition::All(self.list(3, below)),
        }
    }

    fn bounds<T>(&self, value: impl Fn() -> T) -> Bounds<T> {
        let side = || (self.below(3) > 0).then(&value);
        Bounds { from: side(), to: side() }
    }

    fn text(&self, text: String) -> TextTest {
        match self.below(4) {
            0 => TextTest::Before(text),
            1 => TextTest::After(text),
            2 => TextTest::Matches(must(Pattern::like(&text[..1], self.below(2) == 0))),
            _ => TextTest::Equals(text),
        }
    }
}
