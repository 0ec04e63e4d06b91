//! The operations on accounts, but for logging in.

use countersign_domain::account::{Account, AccountState, NewAccount};
use countersign_domain::audit::{Action, FieldChange, Origin, Subject};
use countersign_domain::caller::{Caller, Permission};
use countersign_domain::change::Mutation;
use countersign_domain::email::Email;
use countersign_domain::error::{Denial, Error, Field};
use countersign_domain::id::AccountId;
use countersign_domain::lifetime::Ttl;
use countersign_domain::password::Password;
use countersign_domain::profile::Profile;
use countersign_domain::store::{AccountQuery, Page, StoreError, Version};
use countersign_domain::time::Timestamp;

use crate::Authority;
use crate::change::{Asked, Deed, TRIES, contended, stated};

/// What a client wants of a new account.
#[derive(Debug, Clone)]
pub struct AccountRequest {
    /// Unique.
    pub email: Email,
    /// What it logs in with; `None`: nobody logs in.
    pub password: Option<Password>,
    /// What it says of itself.
    pub profile: Profile,
}

/// What a client wants to be different. What is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct AccountPatch {
    /// Its address; its access tokens end.
    pub email: Option<Email>,
    /// Its password, as an account above sets it; its access tokens end.
    pub password: Option<Password>,
}

/// What an account does with the ones below when it is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountStep {
    /// It and everything below it goes on.
    Enable,
    /// It and everything below it is stopped.
    Disable,
    /// It and everything below it ends.
    Delete,
}

impl Authority {
    /// Makes an account below the one that is asked about.
    ///
    /// Whoever knows its password gets full authority over it, so only a caller without restrictions states one.
    pub async fn create_account(&self, asked: Asked<'_>, request: AccountRequest) -> Result<Account, Error> {
        self.admit(asked.caller, asked.account, Permission::WriteAccounts)?;
        if request.password.is_some() {
            must_be_unrestricted(asked)?;
        }
        let depth = self.directory.chain(asked.account).map_or(0, |chain| chain.depth());
        if depth >= Account::DEEPEST {
            let reason = format!("stands at level {}, the deepest there is", Account::DEEPEST);
            return Err(Error::invalid(Field::Parent, reason));
        }
        let new = self.new_account(request).await?;
        let now = self.clock.now();
        let account = Account::create(Some(asked.account), new, self.entropy.as_ref(), now);
        let mutation = self.creation(&account);
        self.apply(asked, mutation, created(&account), now).await.map_err(email_is_taken)?;
        Ok(account)
    }

    /// Makes an account below the root for somebody who is not known yet, where the deployment allows that.
    pub async fn sign_up(&self, request: AccountRequest, origin: &Origin) -> Result<Account, Error> {
        if !self.policy.open_sign_up {
            return Err(Error::Denied(Denial::NoSignUp));
        }
        self.throttle.check_address(origin.address)?;
        let root = self.store.find_root_account().await?.ok_or(Error::NotFound)?;
        let new = self.new_account(request).await?;
        let account = Account::create(Some(root.id), new, self.entropy.as_ref(), self.clock.now());
        let (mutation, deed) = (self.creation(&account), created(&account));
        self.apply_own_from(root.id, origin, mutation, deed)
            .await
            .map_err(|error| email_is_taken(error.into()))?;
        Ok(account)
    }

    async fn new_account(&self, request: AccountRequest) -> Result<NewAccount, Error> {
        self.must_be_free(&request.email).await?;
        let password = match request.password {
            Some(password) => Some(self.passwords.hash(password).await?),
            None => None,
        };
        Ok(NewAccount { email: request.email, password, profile: request.profile })
    }

    /// Asked before a password is hashed, which is dear; the store makes sure.
    async fn must_be_free(&self, email: &Email) -> Result<(), Error> {
        if self.is_email_unique(email).await? { Ok(()) } else { Err(Error::Taken { field: Field::Email }) }
    }

    fn creation(&self, account: &Account) -> Mutation {
        Mutation::CreateAccount { account: account.clone(), limit: self.policy.children_per_account }
    }

    /// One account.
    pub async fn load_account(&self, asked: Asked<'_>) -> Result<Account, Error> {
        self.admit(asked.caller, asked.account, Permission::ReadAccounts)?;
        self.load_row(asked.account).await
    }

    /// The caller's own account, which needs no scope.
    pub async fn load_own_account(&self, caller: &Caller) -> Result<Account, Error> {
        self.load_row(caller.account).await
    }

    pub(crate) async fn load_row(&self, id: AccountId) -> Result<Account, Error> {
        let found = self.store.find_account(id).await?;
        found
            .filter(|account| account.state != AccountState::Deleted)
            .ok_or(Error::Denied(Denial::ForeignAccount))
    }

    /// The account of this address, when it is the caller's or below it.
    pub async fn find_account_within(
        &self,
        asked: Asked<'_>,
        email: &Email,
    ) -> Result<Option<AccountId>, Error> {
        let found = self.store.find_account_by_email(email).await?.map(|account| account.id);
        Ok(found.filter(|id| {
            self.directory.chain(*id).is_some_and(|chain| chain.is_within(asked.caller.account))
        }))
    }

    /// The account of this address, whosever it is: for one who may invite anybody.
    pub async fn find_account_id(&self, email: &Email) -> Result<Option<AccountId>, Error> {
        Ok(self.store.find_account_by_email(email).await?.map(|account| account.id))
    }

    /// The version of an account, as the doors know it: what was read of another version is not true any more.
    pub fn version_of(&self, account: AccountId) -> Option<Version> {
        self.directory.chain(account).and_then(|chain| chain.own().map(|own| own.version))
    }

    /// The root above an account, as the doors know it.
    pub fn root_of(&self, account: AccountId) -> Option<AccountId> {
        self.directory.chain(account).and_then(|chain| chain.root().map(|root| root.id))
    }

    /// Whether somebody who is not known may make an account.
    pub const fn is_sign_up_open(&self) -> bool {
        self.policy.open_sign_up
    }

    /// The ttl of a token from logging in for which none was stated.
    pub const fn login_ttl(&self) -> Ttl {
        self.policy.login_ttl
    }

    /// Whether no account has this address.
    pub async fn is_email_unique(&self, email: &Email) -> Result<bool, Error> {
        Ok(self.store.find_account_by_email(email).await?.is_none())
    }

    /// A page of the accounts directly below, ordered by creation.
    pub async fn list_accounts(
        &self,
        asked: Asked<'_>,
        offset: u64,
        limit: u32,
    ) -> Result<Page<Account>, Error> {
        self.admit(asked.caller, asked.account, Permission::ReadAccounts)?;
        Ok(self.store.list_accounts(AccountQuery { parent: asked.account, offset, limit }).await?)
    }

    /// Changes what an account says of itself (`merge`), its address or its password.
    ///
    /// Another address or password is another way in: only a caller without restrictions sets one, and an account
    /// changes its own password by [`Authority::change_password`], which asks for the old one.
    pub async fn update_account(
        &self,
        asked: Asked<'_>,
        patch: AccountPatch,
        merge: &(dyn Fn(&Profile) -> Result<Profile, Error> + Sync),
    ) -> Result<Account, Error> {
        self.admit(asked.caller, asked.account, Permission::WriteAccounts)?;
        if patch.email.is_some() || patch.password.is_some() {
            must_be_unrestricted(asked)?;
        }
        if patch.password.is_some() && asked.account == asked.caller.account {
            let reason = "is changed by change-password, which asks for the old one";
            return Err(Error::invalid(Field::Password, reason));
        }
        let password = match patch.password.clone() {
            Some(password) => Some(self.passwords.hash(password).await?),
            None => None,
        };
        self.change_account(asked, |before, now| {
            let mut next = before.clone();
            if let Some(password) = &password {
                next = next.change_password(password.clone(), now);
            }
            next = next.update(patch.email.clone(), merge(&before.profile)?, now);
            // However many steps the rule took, it is one change of the row.
            next.version = before.version.next();
            let deed = updated(before, &next);
            Ok((next, deed))
        })
        .await
        .map_err(email_is_taken)
    }

    /// Stops an account and everything below it, lets it go on, or ends it: one row, whatever is below.
    ///
    /// To let go on is to give back every credential below, so only a caller without restrictions does it.
    pub async fn step_account(&self, asked: Asked<'_>, step: AccountStep) -> Result<Account, Error> {
        self.admit(asked.caller, asked.account, Permission::WriteAccounts)?;
        if step == AccountStep::Enable {
            must_be_unrestricted(asked)?;
        }
        self.change_account(asked, |before, now| {
            let (next, action) = match step {
                AccountStep::Enable => (before.clone().set_enabled(true, now)?, Action::EnableAccount),
                AccountStep::Disable => (before.clone().set_enabled(false, now)?, Action::DisableAccount),
                AccountStep::Delete => (before.clone().delete(now)?, Action::DeleteAccount),
            };
            let changes = vec![stated("email", before.email.as_str())];
            Ok((next, Deed { action, subject: Subject::Account(before.id), changes }))
        })
        .await
    }

    /// Writes what `rule` makes of an account, again if another change comes first, and sweeps a little of what ended
    /// by it. When its access tokens end, the caller's own stays, if it is one of them.
    pub(crate) async fn change_account(
        &self,
        asked: Asked<'_>,
        rule: impl Fn(&Account, Timestamp) -> Result<(Account, Deed), Error> + Sync,
    ) -> Result<Account, Error> {
        for _ in 0..TRIES {
            let now = self.clock.now();
            let before = self.load_row(asked.account).await?;
            let (next, deed) = rule(&before, now)?;
            match self.replace_account(asked, &before, next.clone(), deed, now).await {
                Err(Error::Store(StoreError::Stale)) => {}
                Err(error) => return Err(error),
                Ok(()) => {
                    if next.epoch != before.epoch || next.state == AccountState::Deleted {
                        self.sweep_ended_a_little().await;
                    }
                    return Ok(next);
                }
            }
        }
        Err(contended())
    }

    async fn replace_account(
        &self,
        asked: Asked<'_>,
        before: &Account,
        next: Account,
        deed: Deed,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut keep = None;
        if next.epoch != before.epoch && asked.account == asked.caller.account {
            let token = self.store.find_access_token(asked.account, asked.caller.handle).await?;
            keep = Some(token.ok_or(Error::Unauthenticated)?.kept_in(next.epoch));
        }
        // Of what is gone nobody but the operator may ask: its end stands beside its beginning.
        let told = if next.state == AccountState::Deleted { before.parent } else { None };
        let asked = Asked { account: told.unwrap_or(before.id), ..asked };
        let mutation = Mutation::ReplaceAccount { expected: before.version, account: next, keep };
        self.apply(asked, mutation, deed, now).await
    }
}

/// What hands out more than can be listed is for callers who may do everything in their account.
pub(crate) fn must_be_unrestricted(asked: Asked<'_>) -> Result<(), Error> {
    if asked.caller.is_restricted() { Err(Error::Denied(Denial::BeyondCaller)) } else { Ok(()) }
}

fn email_is_taken(error: Error) -> Error {
    match error {
        Error::Store(StoreError::Duplicate) => Error::Taken { field: Field::Email },
        other => other,
    }
}

fn created(account: &Account) -> Deed {
    let changes = vec![
        stated("email", account.email.as_str()),
        stated("password", if account.password.is_some() { "set" } else { "none" }),
    ];
    Deed { action: Action::CreateAccount, subject: Subject::Account(account.id), changes }
}

/// Which values changed; of what an account says of itself and of its password only that they did.
fn updated(before: &Account, after: &Account) -> Deed {
    let mut changes = Vec::new();
    if before.email != after.email {
        changes.push(FieldChange {
            field: "email".into(),
            from: Some(before.email.as_str().into()),
            to: Some(after.email.as_str().into()),
        });
    }
    if before.profile != after.profile {
        changes.push(stated("profile", "changed"));
    }
    if before.password != after.password {
        changes.push(stated("password", "changed"));
    }
    Deed { action: Action::UpdateAccount, subject: Subject::Account(after.id), changes }
}
