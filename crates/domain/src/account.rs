//! Accounts: who owns tokens, and on whom they may act.

use crate::email::Email;
use crate::entropy::Entropy;
use crate::error::{Error, Field};
use crate::id::AccountId;
use crate::password::PasswordHash;
use crate::profile::Profile;
use crate::store::Version;
use crate::time::Timestamp;

/// An owner of tokens. The root account is the one without a parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its id on both wires.
    pub id: AccountId,
    /// The account it stands below; `None` for the root.
    pub parent: Option<AccountId>,
    /// Unique.
    pub email: Email,
    /// What it logs in with; `None`: nobody logs in.
    pub password: Option<PasswordHash>,
    /// What it says of itself.
    pub profile: Profile,
    /// Whether it may do anything.
    pub state: AccountState,
    /// Access tokens of an earlier one have ended.
    pub epoch: Epoch,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Of its row: grows with every change.
    pub version: Version,
}

/// Whether an account may do anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AccountState {
    /// It may.
    Enabled,
    /// It and everything below it are stopped, until it is enabled.
    Disabled,
    /// It and everything below it have ended, and wait to be swept.
    Deleted,
}

/// Grows when all access tokens of an account but one end at once: what is of an earlier one is not accepted. So a
/// million tokens end with one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch(u32);

impl Epoch {
    /// Of a new account.
    pub const FIRST: Self = Self(0);

    /// The epoch of this number.
    pub const fn from_number(number: u32) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The one after it.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// What is wanted of a new account.
#[derive(Debug, Clone)]
pub struct NewAccount {
    /// Unique.
    pub email: Email,
    /// What it logs in with; `None`: nobody logs in.
    pub password: Option<PasswordHash>,
    /// What it says of itself.
    pub profile: Profile,
}

impl Account {
    /// Deepest tree: the root and seven levels below it.
    pub const DEEPEST: usize = 8;

    /// A new account below `parent`; `None`: the root.
    pub fn create(parent: Option<AccountId>, new: NewAccount, entropy: &dyn Entropy, now: Timestamp) -> Self {
        Self::with_id(AccountId::mint(now, entropy), parent, new, now)
    }

    /// As [`Account::create`], with an id that the operator chose.
    pub fn with_id(id: AccountId, parent: Option<AccountId>, new: NewAccount, now: Timestamp) -> Self {
        Self {
            id,
            parent,
            email: new.email,
            password: new.password,
            profile: new.profile,
            state: AccountState::Enabled,
            epoch: Epoch::FIRST,
            created_at: now,
            updated_at: now,
            version: Version::FIRST,
        }
    }

    /// What it says of itself. Another address ends its access tokens, as another password does: both are what it logs
    /// in with (space-invoices-loopback.md 3).
    #[must_use]
    pub fn update(self, email: Option<Email>, profile: Profile, now: Timestamp) -> Self {
        let email = email.unwrap_or_else(|| self.email.clone());
        let epoch = if email == self.email { self.epoch } else { self.epoch.next() };
        Self { email, profile, epoch, ..self.changed(now) }
    }

    /// Another password; access tokens end.
    #[must_use]
    pub fn change_password(self, password: PasswordHash, now: Timestamp) -> Self {
        Self { password: Some(password), ..self.end_access_tokens(now) }
    }

    /// The end of all access tokens that it has.
    #[must_use]
    pub fn end_access_tokens(self, now: Timestamp) -> Self {
        Self { epoch: self.epoch.next(), ..self.changed(now) }
    }

    /// Stops it and all below it, or lets them go on.
    pub fn set_enabled(self, enabled: bool, now: Timestamp) -> Result<Self, Error> {
        self.refuse_root("can be neither disabled nor enabled")?;
        let state = if enabled { AccountState::Enabled } else { AccountState::Disabled };
        Ok(Self { state, ..self.changed(now) })
    }

    /// Ends it and all below it. Its address is free again.
    pub fn delete(self, now: Timestamp) -> Result<Self, Error> {
        self.refuse_root("cannot be deleted")?;
        let email = Email::of_deleted(self.id);
        Ok(Self {
            state: AccountState::Deleted,
            email,
            password: None,
            profile: Profile::default(),
            ..self.changed(now)
        })
    }

    /// The root account cannot be stopped: nobody could let it go on (design 2.1).
    fn refuse_root(&self, cannot: &str) -> Result<(), Error> {
        match self.parent {
            Some(_) => Ok(()),
            None => Err(Error::invalid(Field::RootAccount, cannot)),
        }
    }

    fn changed(self, now: Timestamp) -> Self {
        Self { updated_at: now, version: self.version.next(), ..self }
    }
}

/// What the doors need to know of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountFact {
    /// The account.
    pub id: AccountId,
    /// The account it stands below.
    pub parent: Option<AccountId>,
    /// Its own; the accounts above are asked separately.
    pub state: AccountState,
    /// Access tokens of an earlier one have ended.
    pub epoch: Epoch,
    /// Of its row.
    pub version: Version,
}

impl From<&Account> for AccountFact {
    fn from(account: &Account) -> Self {
        let Account { id, parent, state, epoch, version, .. } = *account;
        Self { id, parent, state, epoch, version }
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

    /// The account, and those above it in their order, the root last.
    pub fn iter(&self) -> impl Iterator<Item = &AccountFact> {
        self.facts.iter().flatten()
    }

    /// The account itself.
    pub fn own(&self) -> Option<&AccountFact> {
        self.iter().next()
    }

    /// The root account.
    pub fn root(&self) -> Option<&AccountFact> {
        self.iter().last()
    }

    /// How many accounts it has: 1 for the root's.
    pub fn depth(&self) -> usize {
        self.iter().count()
    }

    /// Whether the account and all above it are enabled.
    pub fn is_enabled(&self) -> bool {
        self.iter().all(|fact| fact.state == AccountState::Enabled)
    }

    /// Whether the account or one above it is deleted.
    pub fn is_deleted(&self) -> bool {
        self.iter().any(|fact| fact.state == AccountState::Deleted)
    }

    /// Whether the account is `other` or stands below it.
    pub fn is_within(&self, other: AccountId) -> bool {
        self.iter().any(|fact| fact.id == other)
    }

    /// Whether the account is the root.
    pub fn is_root(&self) -> bool {
        self.own().is_some_and(|fact| fact.parent.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(id: u8, parent: Option<u8>) -> AccountFact {
        let id_of = |byte| AccountId::from_bytes([byte; 16]);
        let (state, epoch) = (AccountState::Enabled, Epoch::FIRST);
        AccountFact { id: id_of(id), parent: parent.map(id_of), state, epoch, version: Version::FIRST }
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
