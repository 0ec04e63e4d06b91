//! Logging in, and the password by which that is done.

use countersign_domain::access_token::{AccessToken, NewAccessToken, Source};
use countersign_domain::account::{Account, AccountState};
use countersign_domain::audit::{Action, Actor, Origin, Subject};
use countersign_domain::change::{Guard, Mutation};
use countersign_domain::email::Email;
use countersign_domain::error::{Denial, Error, Field};
use countersign_domain::lifetime::Ttl;
use countersign_domain::lineage::Lineage;
use countersign_domain::password::Password;
use countersign_domain::restrictions::Restrictions;
use countersign_domain::secret::Secret;
use countersign_domain::store::StoreError;

use crate::Authority;
use crate::access_tokens::issued;
use crate::accounts::must_be_unrestricted;
use crate::change::{Asked, Author, Deed, TRIES, stated};

impl Authority {
    /// Issues a token to one who knows an account's address and password. An unknown address takes as long as a wrong
    /// password and is answered alike.
    pub async fn login(
        &self,
        email: &str,
        password: Password,
        ttl: Option<Ttl>,
        origin: &Origin,
    ) -> Result<(AccessToken, Secret, Account), Error> {
        let ttl = self.policy.clamp_ttl(ttl.unwrap_or(self.policy.login_ttl))?;
        // Whatever was typed is an account to the limit, so that it says nothing about which ones there are.
        let typed: String = email.chars().take(Email::LONGEST).collect();
        self.throttle.check(&typed.to_lowercase(), origin.address)?;
        let account = match Email::parse(email) {
            Ok(email) => self.store.find_account_by_email(&email).await?,
            Err(_) => None,
        };
        let hash = account.as_ref().and_then(|account| account.password.as_ref());
        let is_right = self.passwords.verify(password, hash).await?;
        let mut account = account.filter(|_| is_right).ok_or(Error::LoginFailed)?;
        for _ in 0..TRIES {
            if let Some((token, text)) = self.issue_login(&account, ttl, origin).await? {
                return Ok((token, text, account));
            }
            // Another account since: as long as its password is the one that was compared, that does not matter.
            let now = self.store.find_account(account.id).await?;
            let same =
                now.filter(|now| now.password == account.password && now.state == AccountState::Enabled);
            account = same.ok_or(Error::LoginFailed)?;
        }
        Err(Error::LoginFailed)
    }

    /// `None`: the account is another one since its password was looked at, or is stopped.
    async fn issue_login(
        &self,
        account: &Account,
        ttl: Ttl,
        origin: &Origin,
    ) -> Result<Option<(AccessToken, Secret)>, Error> {
        let now = self.clock.now();
        let new = NewAccessToken {
            account: account.id,
            name: None,
            ttl,
            restrictions: Restrictions::NONE,
            source: Source::Login,
            lineage: Lineage::default(),
            epoch: account.epoch,
        };
        let (token, text) = self.make(new, now)?;
        let mutation =
            Mutation::IssueAccessToken { token: token.clone(), limits: self.access_token_limits() };
        let author = Author {
            guard: Guard::Account { id: account.id, version: account.version },
            actor: Actor::Token { account: account.id, handle: token.handle },
            account: account.id,
            origin,
        };
        match self.apply_as(author, mutation, issued(&token), now).await {
            Err(StoreError::GuardFailed | StoreError::Stale) => Ok(None),
            outcome => Ok(outcome.map(|()| Some((token, text)))?),
        }
    }

    /// Another password for the caller's own account, from one who knows the one it had. All its access tokens end but
    /// the one that asks.
    pub async fn change_password(&self, asked: Asked<'_>, old: Password, new: Password) -> Result<(), Error> {
        if asked.account != asked.caller.account {
            return Err(Error::Denied(Denial::ForeignAccount));
        }
        must_be_unrestricted(asked)?;
        let account = self.load_row(asked.account).await?;
        // A stolen token must not be a way to guess the password. Strangers who try to log in must not stop it.
        self.throttle.check(&format!("change {}", account.id), asked.origin.address)?;
        if !self.passwords.verify(old, account.password.as_ref()).await? {
            return Err(Error::invalid(Field::OldPassword, "is not the password of the account"));
        }
        let compared_with = account.password;
        let hash = self.passwords.hash(new).await?;
        self.change_account(asked, |before, now| {
            if before.password != compared_with {
                return Err(Error::invalid(Field::OldPassword, "was changed meanwhile"));
            }
            let deed = Deed {
                action: Action::ChangePassword,
                subject: Subject::Account(before.id),
                changes: vec![stated("password", "changed")],
            };
            Ok((before.clone().change_password(hash.clone(), now), deed))
        })
        .await?;
        Ok(())
    }
}
