//! Accounts: who owns tokens, and on whom they may act.

use crate::id::AccountId;
use crate::store::Version;
use crate::time::Timestamp;

/// An owner of tokens. The root account is the one without a parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its id on both wires.
    pub id: AccountId,
    /// The account it stands below; `None` for the root.
    pub parent: Option<AccountId>,
    /// Unique, compared byte for byte.
    pub email: Box<str>,
    /// A disabled account stops itself and everything below it.
    pub enabled: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// Of its row: grows with every change.
    pub version: Version,
}

impl Account {
    /// Deepest tree: the root and seven levels below it.
    pub const DEEPEST: usize = 8;
}

/// What the doors need to know of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountFact {
    /// The account.
    pub id: AccountId,
    /// The account it stands below.
    pub parent: Option<AccountId>,
    /// Whether it is enabled itself; the accounts above are asked separately.
    pub enabled: bool,
    /// Of its row.
    pub version: Version,
}

impl From<&Account> for AccountFact {
    fn from(account: &Account) -> Self {
        Self { id: account.id, parent: account.parent, enabled: account.enabled, version: account.version }
    }
}

/// An account and those above it, from itself up to the root.
#[derive(Debug, Clone, Copy)]
pub struct AccountChain {
    facts: [Option<AccountFact>; Account::DEEPEST],
}

impl AccountChain {
    /// Follows the parents of `id` through `find`. `None` when an account is missing or the chain is longer than
    /// a tree can be deep: what cannot be read is refused.
    pub fn load(id: AccountId, find: impl Fn(AccountId) -> Option<AccountFact>) -> Option<Self> {
        let mut facts = [None; Account::DEEPEST];
        let mut next = Some(id);
        for slot in &mut facts {
            let Some(id) = next else { break };
            let fact = find(id)?;
            next = fact.parent;
            *slot = Some(fact);
        }
        next.is_none().then_some(Self { facts })
    }

    fn iter(&self) -> impl Iterator<Item = &AccountFact> {
        self.facts.iter().flatten()
    }

    /// Whether the account and all above it are enabled.
    pub fn is_enabled(&self) -> bool {
        self.iter().all(|fact| fact.enabled)
    }

    /// Whether the account is `other` or stands below it.
    pub fn is_within(&self, other: AccountId) -> bool {
        self.iter().any(|fact| fact.id == other)
    }

    /// Whether the account is the root.
    pub fn is_root(&self) -> bool {
        self.iter().next().is_some_and(|fact| fact.parent.is_none())
    }
}
