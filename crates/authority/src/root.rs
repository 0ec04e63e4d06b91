//! The root account and the root token (design 2.1).

use std::sync::Arc;

use countersign_domain::access_token::{AccessToken, NewAccessToken, Source};
use countersign_domain::account::{Account, Epoch, NewAccount};
use countersign_domain::audit::{Action, Subject};
use countersign_domain::change::Mutation;
use countersign_domain::email::Email;
use countersign_domain::id::{AccountId, Handle, TokenRef};
use countersign_domain::lifetime::Ttl;
use countersign_domain::lineage::Lineage;
use countersign_domain::profile::Profile;
use countersign_domain::restrictions::Restrictions;
use countersign_domain::secret::Secret;
use countersign_domain::store::{Cause, RootToken, StoreError, Version};

use crate::Authority;
use crate::change::{Deed, stated};

/// What the operator says about the root.
#[derive(Debug, Default)]
pub struct RootSettings {
    /// Its id; `None` = make one.
    pub account_id: Option<AccountId>,
    /// Its e-mail, used when the account is made.
    pub email: Option<String>,
    /// Its token; `None` = make one, unless there is or was one.
    pub token: Option<Secret>,
}

/// What became of it.
#[derive(Debug)]
pub struct RootOutcome {
    /// The root account.
    pub account: AccountId,
    /// A root token that was made just now, to be shown once.
    pub minted: Option<Secret>,
    /// Whether the token that the operator stated was set last but has been revoked since; it is not set again.
    pub stated_token_is_revoked: bool,
    /// Whether the token was made at an earlier start and nobody has used it since: perhaps nobody has it.
    pub token_is_unused: bool,
    /// Whether a token was made and kept, and another node that started at the same time set its own first. What was kept
    /// opens nothing.
    pub kept_in_vain: bool,
}

impl RootOutcome {
    /// There is nothing to tell.
    fn quiet(account: AccountId) -> Self {
        Self {
            account,
            minted: None,
            stated_token_is_revoked: false,
            token_is_unused: false,
            kept_in_vain: false,
        }
    }
}

/// Why the root cannot be as the operator says.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// The store has another root account.
    #[error("COUNTERSIGN_ROOT_ACCOUNT_ID is {stated}, but the root account of this store is {found}")]
    OtherAccount {
        /// As configured.
        stated: AccountId,
        /// As stored.
        found: AccountId,
    },
    /// The text cannot be an e-mail address.
    #[error("COUNTERSIGN_ROOT_EMAIL must be an e-mail address, such as root@localhost")]
    UnfitEmail,
    /// The text cannot be a token.
    #[error(
        "COUNTERSIGN_ROOT_TOKEN must be 32 to 128 characters of A-Z a-z 0-9 _ -, at least 10 of them different; \
         for example the output of `openssl rand -hex 32`"
    )]
    UnfitToken,
    /// The token was the root token once and has been replaced.
    #[error("COUNTERSIGN_ROOT_TOKEN was retired before and cannot come back; choose a new one")]
    RetiredToken,
    /// A token that was made could not be kept for the operator, and was not set.
    #[error(transparent)]
    NotKept(Cause),
    /// The store failed.
    #[error("the store failed while the root account was made")]
    Store(#[from] StoreError),
}

impl Authority {
    /// Makes the root account and the root token when they are missing, and sets the token that the operator
    /// states when it is not the one set last. Call it after [`Authority::load`].
    pub async fn ensure_root(self: &Arc<Self>, settings: RootSettings) -> Result<RootOutcome, RootError> {
        self.ensure_root_kept(settings, |_| Ok(())).await
    }

    /// As [`Authority::ensure_root`], with `keep` called for a token that is made, before it is set. A process that
    /// ends in between leaves a text that opens nothing, and the next start makes another token; the other way round
    /// it would leave a token that may do everything and whose text nobody has.
    pub async fn ensure_root_kept(
        self: &Arc<Self>,
        settings: RootSettings,
        keep: impl FnOnce(&Secret) -> Result<(), Cause>,
    ) -> Result<RootOutcome, RootError> {
        let account = self.ensure_root_account(&settings).await?;
        let last = self.store.find_root_token().await?;
        let outcome = RootOutcome::quiet(account);
        match (settings.token, last) {
            (Some(text), last) => {
                let stated_token_is_revoked = self.ensure_stated_token(account, &text, last).await?;
                Ok(RootOutcome { stated_token_is_revoked, ..outcome })
            }
            (None, Some(last)) => {
                let token_is_unused = last.live.is_some() && self.is_unused(last.handle).await?;
                Ok(RootOutcome { token_is_unused, ..outcome })
            }
            (None, None) => match self.mint_root_token(account, None, keep).await {
                Ok(minted) => Ok(RootOutcome { minted: Some(minted), ..outcome }),
                Err(RootError::Store(StoreError::Stale)) => Ok(RootOutcome { kept_in_vain: true, ..outcome }),
                Err(error) => Err(error),
            },
        }
    }

    /// Ends the root token and makes a new one, which is given once.
    pub async fn reset_root_token(self: &Arc<Self>) -> Result<RootOutcome, RootError> {
        let account = self.ensure_root_account(&RootSettings::default()).await?;
        let last = self.store.find_root_token().await?;
        let retire = last.and_then(|last| Some((last.handle, last.live?)));
        let minted = Some(self.mint_root_token(account, retire, |_| Ok(())).await?);
        Ok(RootOutcome { minted, ..RootOutcome::quiet(account) })
    }

    /// Sets the stated token, unless it was set last; gives whether it was and has been revoked since.
    async fn ensure_stated_token(
        &self,
        account: AccountId,
        text: &Secret,
        last: Option<RootToken>,
    ) -> Result<bool, RootError> {
        let token = AccessToken::root(text, account, self.root_epoch(account), self.clock.now())
            .ok_or(RootError::UnfitToken)?;
        let Some(unchanged) = last.filter(|last| last.handle == token.handle) else {
            let retire = last.and_then(|last| Some((last.handle, last.live?)));
            self.set_root_token(token, retire).await?;
            return Ok(false);
        };
        self.check_same_text(&token).await?;
        Ok(unchanged.live.is_none())
    }

    async fn is_unused(&self, handle: Handle) -> Result<bool, RootError> {
        Ok(self.store.find_usage(TokenRef::Access(handle)).await?.uses.is_empty())
    }

    async fn ensure_root_account(&self, settings: &RootSettings) -> Result<AccountId, RootError> {
        if let Some(found) = self.find_root_account(settings).await? {
            return Ok(found);
        }
        let now = self.clock.now();
        let id = settings.account_id.unwrap_or_else(|| AccountId::mint(now, self.entropy.as_ref()));
        let email = Email::parse(settings.email.as_deref().unwrap_or("root@localhost"));
        let email = email.map_err(|_| RootError::UnfitEmail)?;
        let deed = Deed {
            action: Action::CreateAccount,
            subject: Subject::Account(id),
            changes: vec![stated("email", email.as_str())],
        };
        let new = NewAccount { email, password: None, profile: Profile::default() };
        let account = Account::with_id(id, None, new, now);
        match self.apply_own(id, Mutation::CreateAccount { account, limit: 0 }, deed).await {
            // Another node that starts at the same time may have been first.
            Err(StoreError::Duplicate) => {
                self.find_root_account(settings).await?.ok_or(StoreError::Duplicate.into())
            }
            made => Ok(made.map(|_| id)?),
        }
    }

    async fn find_root_account(&self, settings: &RootSettings) -> Result<Option<AccountId>, RootError> {
        let found = self.store.find_root_account().await?.map(|account| account.id);
        match (settings.account_id, found) {
            (Some(stated), Some(found)) if stated != found => Err(RootError::OtherAccount { stated, found }),
            _ => Ok(found),
        }
    }

    async fn mint_root_token(
        &self,
        account: AccountId,
        retire: Option<(Handle, Version)>,
        keep: impl FnOnce(&Secret) -> Result<(), Cause>,
    ) -> Result<Secret, RootError> {
        let now = self.clock.now();
        let new = NewAccessToken {
            account,
            name: None,
            ttl: Ttl::Eternal,
            restrictions: Restrictions::NONE,
            source: Source::Root,
            lineage: Lineage::default(),
            epoch: self.root_epoch(account),
        };
        let (token, text) = AccessToken::issue(new, self.entropy.as_ref(), now);
        keep(&text).map_err(RootError::NotKept)?;
        // What was kept stays when this fails: a commit of which that is said may have happened all the same.
        self.set_root_token(token, retire).await?;
        Ok(text)
    }

    fn root_epoch(&self, account: AccountId) -> Epoch {
        self.epoch_of(account).unwrap_or_default()
    }

    async fn set_root_token(
        &self,
        token: AccessToken,
        retire: Option<(Handle, Version)>,
    ) -> Result<(), RootError> {
        let (account, handle) = (token.account, token.handle);
        let deed = Deed {
            action: Action::SetRootToken,
            subject: Subject::Token(TokenRef::Access(token.handle)),
            changes: Vec::new(),
        };
        match self.apply_own(account, Mutation::SetRootToken { token, retire }, deed).await {
            Err(StoreError::Duplicate) => match self.store.find_root_token().await? {
                // Another node that starts at the same time has set it.
                Some(last) if last.handle == handle && last.live.is_some() => Ok(()),
                _ => Err(RootError::RetiredToken),
            },
            outcome => Ok(outcome?),
        }
    }

    /// Two texts in our own format can share a handle; the one that is not stored must not pass for the other.
    async fn check_same_text(&self, stated: &AccessToken) -> Result<(), RootError> {
        let stored = self.store.find_access_token(stated.account, stated.handle).await?;
        match stored {
            Some(stored) if stored.digest != stated.digest => Err(RootError::RetiredToken),
            _ => Ok(()),
        }
    }
}
