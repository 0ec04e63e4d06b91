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
    /// The chain of these facts, each the parent of the one before. `None` when they are none, do not end at the
    /// root, or are more than a tree can be deep: what cannot be read is refused.
    pub fn collect(from_account_to_root: impl IntoIterator<Item = AccountFact>) -> Option<Self> {
        let mut facts = [None; Account::DEEPEST];
        let mut expected = None;
        for (level, fact) in from_account_to_root.into_iter().enumerate() {
            if level > 0 && expected != Some(fact.id) {
                return None;
            }
            expected = fact.parent;
            *facts.get_mut(level)? = Some(fact);
        }
        (facts[0].is_some() && expected.is_none()).then_some(Self { facts })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(id: u8, parent: Option<u8>) -> AccountFact {
        let id_of = |byte| AccountId::from_bytes([byte; 16]);
        AccountFact { id: id_of(id), parent: parent.map(id_of), enabled: true, version: Version::FIRST }
    }

    #[test]
    fn only_whole_chains() {
        assert!(AccountChain::collect([]).is_none());
        assert!(AccountChain::collect([fact(1, None)]).is_some_and(|chain| chain.is_root()));
        assert!(
            AccountChain::collect([fact(2, Some(1)), fact(1, None)]).is_some_and(|chain| !chain.is_root())
        );
        assert!(AccountChain::collect([fact(2, Some(1))]).is_none(), "the root is missing");
        assert!(AccountChain::collect([fact(3, Some(2)), fact(1, None)]).is_none(), "a link is missing");
        let deep =
            |levels: u8| AccountChain::collect((1..=levels).rev().map(|n| fact(n, (n > 1).then(|| n - 1))));
        assert!(deep(8).is_some());
        assert!(deep(9).is_none());
    }
}
