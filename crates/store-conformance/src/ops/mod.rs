//! Random operations: the same list on the model and on another store must come to the same.
//!
//! Steps name things by small numbers, so that ids occur again and operations meet. What a step becomes depends on
//! what is stored when its turn comes: a `Change` of a token takes the token as it is then.

mod duel;
mod dump;
mod tenancy;

use proptest::collection::vec;
use proptest::prelude::*;

pub use duel::{duel, duel_together, go_on};
pub use dump::{Dump, dump};
pub use tenancy::Tenancy;

/// One operation.
#[derive(Debug, Clone)]
pub enum Step {
    /// A new account.
    CreateAccount {
        /// Which.
        account: u8,
        /// Below which; itself: a root.
        parent: u8,
        /// With the e-mail of which number.
        email: u8,
        /// Enabled or not.
        enabled: bool,
    },
    /// A new service token.
    Issue {
        /// In whose name.
        guard: GuardBy,
        /// Which.
        token: u8,
        /// Whose.
        account: u8,
        /// When.
        created: u8,
        /// The number of its name.
        name: u8,
        /// The account's limit.
        limit: u8,
    },
    /// Another state of a service token.
    Replace {
        /// In whose name.
        guard: GuardBy,
        /// Which.
        token: u8,
        /// What changes.
        how: How,
        /// What is wrong.
        flaw: Flaw,
    },
    /// The end of a service token.
    Revoke {
        /// In whose name.
        guard: GuardBy,
        /// Which.
        token: u8,
        /// What is wrong.
        flaw: Flaw,
    },
    /// A new access token.
    IssueAccess {
        /// In whose name.
        guard: GuardBy,
        /// Which.
        token: u8,
        /// Whose.
        account: u8,
        /// Its ttl in seconds; 0: it never expires.
        ttl: u8,
        /// From which access tokens it stems.
        stems_from: Vec<u8>,
        /// Whether somebody has logged in.
        is_login: bool,
        /// The account's limit.
        limit: u8,
    },
    /// The end of an access token.
    RevokeAccess {
        /// In whose name.
        guard: GuardBy,
        /// Which.
        token: u8,
        /// With what stems from it.
        descendants: bool,
        /// What is wrong.
        flaw: Flaw,
    },
    /// Something with accounts, organizations and memberships.
    Tenancy(GuardBy, Tenancy),
    /// The end of what has ended by a mark.
    SweepEnded,
    /// Another root token.
    SetRoot {
        /// Which access token.
        token: u8,
        /// Whose.
        account: u8,
        /// Whether the one before is retired.
        retire: bool,
        /// What is wrong with that.
        flaw: Flaw,
    },
    /// Uses and refusals, each of a token, a number (the version of a secret, or a minute) and a count.
    Record {
        /// Uses.
        uses: Vec<(Token, u8, u8)>,
        /// Refusals.
        refusals: Vec<(Token, u8, u8)>,
    },
    /// The end of expired access tokens.
    SweepAccess {
        /// Seconds after the start.
        before: u8,
        /// At most.
        limit: u8,
    },
    /// The end of old refusals.
    SweepRefusals {
        /// Minutes after the start.
        before: u8,
        /// At most.
        limit: u8,
    },
    /// The end of old audit records.
    SweepAudit {
        /// Seconds after the start.
        before: u8,
        /// At most.
        limit: u8,
    },
}

impl Step {
    /// Whether it is a change, and no sweep or bookkeeping.
    const fn is_change(&self) -> bool {
        !matches!(
            self,
            Self::SweepEnded
                | Self::Record { .. }
                | Self::SweepAccess { .. }
                | Self::SweepRefusals { .. }
                | Self::SweepAudit { .. }
        )
    }
}

/// In whose name a change is made.
#[derive(Debug, Clone, Copy)]
pub enum GuardBy {
    /// Countersign's own.
    System,
    /// An access token's, as it is stored.
    Token(u8),
    /// An access token's, of another version.
    Outdated(u8),
    /// An account's, as it is stored.
    Account(u8),
}

/// What changes in a service token.
#[derive(Debug, Clone, Copy)]
pub enum How {
    /// A new secret; the old one is accepted for so many seconds.
    Rotate(u8),
    /// Its whole duration again.
    Refresh,
    /// Another name.
    Rename(u8),
    /// Disabled or enabled.
    Enable(bool),
    /// Other restrictions; 0: none.
    Restrict(u8),
}

/// What is wrong with an operation on a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing.
    None,
    /// It was decided on another version.
    Version,
    /// It names another account.
    Account,
}

/// Either kind of token.
#[derive(Debug, Clone, Copy)]
pub enum Token {
    /// A service token.
    Service(u8),
    /// An access token.
    Access(u8),
}

/// How many accounts, tokens and so on there are.
pub(crate) const ACCOUNTS: u8 = 4;
pub(crate) const TOKENS: u8 = 6;

/// Lists of up to `most` operations, in a store that begins with two accounts: without any, all else is refused.
pub fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let create = |account| Step::CreateAccount { account, parent: 0, email: account, enabled: true };
    vec(step(), 1..=most).prop_map(move |steps| [create(0), create(1)].into_iter().chain(steps).collect())
}

fn step() -> impl Strategy<Value = Step> {
    let count = || 0u8..4;
    prop_oneof![
        1 => (0..ACCOUNTS, 0..ACCOUNTS, 0..ACCOUNTS, prop::bool::weighted(0.9))
            .prop_map(|(account, parent, email, enabled)| Step::CreateAccount { account, parent, email, enabled }),
        6 => (guard(), 0..TOKENS, owner(), 0u8..3, 0u8..3, 1u8..6).prop_map(
            |(guard, token, account, created, name, limit)| {
                Step::Issue { guard, token, account, created, name, limit }
            }
        ),
        6 => (guard(), 0..TOKENS, how(), flaw())
            .prop_map(|(guard, token, how, flaw)| Step::Replace { guard, token, how, flaw }),
        3 => (guard(), 0..TOKENS, flaw()).prop_map(|(guard, token, flaw)| Step::Revoke { guard, token, flaw }),
        6 => (guard(), 0..TOKENS, owner(), count(), 1u8..6, vec(0..TOKENS, 0..3), any::<bool>()).prop_map(
            |(guard, token, account, ttl, limit, stems_from, is_login)| {
                Step::IssueAccess { guard, token, account, ttl, limit, stems_from, is_login }
            }
        ),
        2 => (guard(), 0..TOKENS, prop::bool::weighted(0.3), flaw()).prop_map(
            |(guard, token, descendants, flaw)| Step::RevokeAccess { guard, token, descendants, flaw }
        ),
        6 => (guard(), tenancy::any_tenancy()).prop_map(|(guard, what)| Step::Tenancy(guard, what)),
        1 => Just(Step::SweepEnded),
        2 => (0..TOKENS, owner(), prop::bool::weighted(0.8), flaw())
            .prop_map(|(token, account, retire, flaw)| Step::SetRoot { token, account, retire, flaw }),
        3 => (vec((token(), 1u8..200, count()), 0..5), vec((token(), count(), count()), 0..5))
            .prop_map(|(uses, refusals)| Step::Record { uses, refusals }),
        1 => (0u8..6, count()).prop_map(|(before, limit)| Step::SweepAccess { before, limit }),
        1 => (0u8..6, count()).prop_map(|(before, limit)| Step::SweepRefusals { before, limit }),
        1 => (0u8..9, count()).prop_map(|(before, limit)| Step::SweepAudit { before, limit }),
    ]
}

/// An account; mostly one that is there from the beginning.
fn owner() -> impl Strategy<Value = u8> {
    prop_oneof![6 => 0u8..2, 1 => 0..ACCOUNTS]
}

fn guard() -> impl Strategy<Value = GuardBy> {
    prop_oneof![
        6 => Just(GuardBy::System),
        3 => (0..TOKENS).prop_map(GuardBy::Token),
        1 => (0..TOKENS).prop_map(GuardBy::Outdated),
        1 => (0..ACCOUNTS).prop_map(GuardBy::Account),
    ]
}

fn how() -> impl Strategy<Value = How> {
    prop_oneof![
        (0u8..100).prop_map(How::Rotate),
        Just(How::Refresh),
        (0u8..3).prop_map(How::Rename),
        any::<bool>().prop_map(How::Enable),
        (0u8..4).prop_map(How::Restrict),
    ]
}

fn flaw() -> impl Strategy<Value = Flaw> {
    prop_oneof![6 => Just(Flaw::None), 1 => Just(Flaw::Version), 1 => Just(Flaw::Account)]
}

fn token() -> impl Strategy<Value = Token> {
    prop_oneof![(0..TOKENS).prop_map(Token::Service), (0..TOKENS).prop_map(Token::Access)]
}
