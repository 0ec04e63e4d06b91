//! The operations on access tokens.

use std::sync::Arc;

use countersign_domain::access_token::{AccessToken, NewAccessToken, Source};
use countersign_domain::access_token_filter::Condition;
use countersign_domain::access_token_list::Order;
use countersign_domain::account::Epoch;
use countersign_domain::audit::{Action, Actor, FieldChange, Origin, Subject};
use countersign_domain::caller::{Caller, Permission};
use countersign_domain::change::{AccessTokenLimits, Guard, Mutation};
use countersign_domain::demand::Presented;
use countersign_domain::error::{Denial, Error, Field};
use countersign_domain::fact::{CredentialKey, Fact};
use countersign_domain::id::{AccountId, Handle, TokenRef};
use countersign_domain::lifetime::Ttl;
use countersign_domain::lineage::Lineage;
use countersign_domain::name::Name;
use countersign_domain::restrictions::StatedRestrictions;
use countersign_domain::secret::Secret;
use countersign_domain::store::{AccessTokenQuery, Page, StoreError};
use countersign_domain::time::Timestamp;

use crate::Authority;
use crate::change::{Asked, Author, Deed, TRIES, contended, restrictions_stated, stated, time_text};
use crate::directory::Known;

/// What a client wants of a new access token.
#[derive(Debug, Clone, Default)]
pub struct AccessTokenRequest {
    /// What people call it.
    pub name: Option<Name>,
    /// How long it lives.
    pub ttl: Ttl,
    /// What is not stated is what restricts the caller.
    pub restrictions: StatedRestrictions,
}

/// Which tokens of an account, in which order and part.
#[derive(Debug, Clone)]
pub struct AccessTokenList {
    /// Only those of which this is true.
    pub condition: Condition,
    /// Which comes first.
    pub order: Order,
    /// How many to leave out before the page.
    pub offset: u64,
    /// Most of the page.
    pub limit: u32,
}

impl AccessTokenList {
    /// All of them, in the order of creation.
    pub const fn all(offset: u64, limit: u32) -> Self {
        Self { condition: Condition::EVERYTHING, order: Order::CREATION, offset, limit }
    }
}

fn too_wide(rows: u32) -> String {
    format!(
        "would look through more than {rows} tokens; narrow it by id or by time of creation, or simplify its patterns"
    )
}

impl Authority {
    /// Issues a token and gives its text, once. Restrictions that are not stated are the caller's.
    pub async fn issue_access_token(
        &self,
        asked: Asked<'_>,
        request: AccessTokenRequest,
    ) -> Result<(AccessToken, Secret), Error> {
        self.mint(asked, request, Source::Issued).await
    }

    /// Issues a token to act in the name of an account below.
    pub async fn impersonate(&self, asked: Asked<'_>, ttl: Ttl) -> Result<(AccessToken, Secret), Error> {
        let request = AccessTokenRequest { ttl, ..AccessTokenRequest::default() };
        self.mint(asked, request, Source::Impersonation).await
    }

    async fn mint(
        &self,
        asked: Asked<'_>,
        request: AccessTokenRequest,
        source: Source,
    ) -> Result<(AccessToken, Secret), Error> {
        self.admit(asked.caller, asked.account, Permission::WriteAccessTokens)?;
        let ttl = self.policy.clamp_ttl(request.ttl)?;
        let lineage = self.lineage_below(asked).await?;
        let restrictions = request.restrictions.or(&asked.caller.restrictions);
        for _ in 0..TRIES {
            let now = self.clock.now();
            let new = NewAccessToken {
                account: asked.account,
                name: request.name.clone(),
                ttl,
                restrictions: restrictions.clone(),
                source,
                lineage: lineage.clone(),
                epoch: self.epoch_of(asked.account)?,
            };
            let (token, text) = self.make(new, now)?;
            if !asked.caller.can_hand_out(&token.restrictions, token.expires_at) {
                return Err(Error::Denied(Denial::BeyondCaller));
            }
            let mutation =
                Mutation::IssueAccessToken { token: token.clone(), limits: self.access_token_limits() };
            match self.apply(asked, mutation, issued(&token), now).await {
                // All its tokens ended a moment ago: this one would have been of the time before.
                Err(Error::Store(StoreError::Stale)) => {}
                outcome => return outcome.map(|()| (token, text)),
            }
        }
        Err(contended())
    }

    /// A token and its text, which is kept where the deployment lists texts.
    pub(crate) fn make(&self, new: NewAccessToken, now: Timestamp) -> Result<(AccessToken, Secret), Error> {
        let (mut token, text) = AccessToken::issue(new, self.entropy.as_ref(), now);
        let sealed = self.seal.as_ref().map(|seal| seal.seal(&token, &text, self.entropy.as_ref()));
        token.sealed = sealed.transpose()?;
        Ok((token, text))
    }

    /// The text of a token that is listed, where the deployment lists texts, for a caller with full authority over its
    /// account. `None` for tokens from before that was so.
    pub fn reveal_access_token(&self, caller: &Caller, token: &AccessToken) -> Option<Secret> {
        let seal = self.seal.as_ref().filter(|_| !caller.is_restricted())?;
        self.admit(caller, token.account, Permission::ReadAccessTokens).ok()?;
        seal.open(token)
    }

    /// What stems from the caller.
    pub(crate) async fn lineage_below(&self, asked: Asked<'_>) -> Result<Lineage, Error> {
        if let Some(lineage) = self.kept_below(asked.caller) {
            return Ok(lineage);
        }
        self.remove_expired_ancestor(asked).await?;
        let reason = format!(
            "would stem from more than {} access tokens, each minted by the one before and still alive",
            Lineage::LONGEST
        );
        self.kept_below(asked.caller).ok_or_else(|| Error::invalid(Field::Lineage, reason))
    }

    /// Not those that are good at this moment: an expired one can be revoked with what stems from it for as long as it is
    /// kept, and an account that is disabled may act again.
    fn kept_below(&self, caller: &Caller) -> Option<Lineage> {
        caller.lineage.below(caller.handle, |ancestor| self.find_access_token(*ancestor).is_some())
    }

    /// Makes place in a full lineage: the oldest that has expired goes before its day is over, so that a token which is
    /// replaced every few minutes does not come to an end. From then on it cannot be revoked, which whoever tries is told.
    async fn remove_expired_ancestor(&self, asked: Asked<'_>) -> Result<(), Error> {
        let now = self.clock.now();
        let ancestors = asked.caller.lineage.handles().iter();
        let mut known = ancestors.filter_map(|handle| Some((*handle, self.find_access_token(*handle)?)));
        let Some((handle, known)) = known.find(|(_, known)| known.fact.expires_at <= now) else {
            return Ok(());
        };
        let (account, expected) = (known.fact.account, known.fact.version);
        let mutation = Mutation::RevokeAccessToken { account, handle, expected, descendants: false };
        let subject = Subject::Token(TokenRef::Access(handle));
        let deed = Deed { action: Action::RevokeAccessToken, subject, changes: Vec::new() };
        match self.apply_own_from(account, asked.origin, mutation, deed).await {
            // Somebody else has removed it.
            Ok(()) | Err(StoreError::Stale) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn find_access_token(&self, handle: Handle) -> Option<Arc<Known>> {
        self.directory.find(&CredentialKey::Handle(handle))
    }

    /// As the doors know it. It is the store that makes sure.
    pub(crate) fn epoch_of(&self, account: AccountId) -> Result<Epoch, Error> {
        let chain = self.directory.chain(account);
        let own = chain.and_then(|chain| chain.own().map(|account| account.epoch));
        own.ok_or(Error::Denied(Denial::ForeignAccount))
    }

    pub(crate) const fn access_token_limits(&self) -> AccessTokenLimits {
        AccessTokenLimits {
            all: self.policy.access_tokens_per_account,
            of_logins: self.policy.logins_per_account,
        }
    }

    /// A page of the account's live tokens.
    pub async fn list_access_tokens(
        &self,
        asked: Asked<'_>,
        list: AccessTokenList,
    ) -> Result<Page<AccessToken>, Error> {
        self.admit(asked.caller, asked.account, Permission::ReadAccessTokens)?;
        let AccessTokenList { condition, order, offset, limit } = list;
        let (account, live_at) = (asked.account, self.clock.now());
        let query = AccessTokenQuery { account, live_at, condition, order, offset, limit };
        self.store.list_access_tokens(query).await.map_err(|error| match error {
            StoreError::SearchTooWide { rows } => Error::invalid(Field::Filter, too_wide(rows)),
            other => other.into(),
        })
    }

    /// Ends a token, and where asked for everything that stems from it. A token may end itself without any scope:
    /// whoever holds it may throw it away.
    pub async fn revoke_access_token(
        &self,
        asked: Asked<'_>,
        handle: Handle,
        descendants: bool,
    ) -> Result<(), Error> {
        let itself = asked.account == asked.caller.account && handle == asked.caller.handle;
        if !itself || descendants {
            self.admit(asked.caller, asked.account, Permission::WriteAccessTokens)?;
        }
        let author = asked.author(self.clock.now())?;
        self.end_access_token(author, handle, descendants).await?;
        if descendants {
            self.sweep_ended_a_little().await;
        }
        Ok(())
    }

    /// Ends a token in the name of whoever shows its whole text (RFC 7009): possession is enough, whatever the token is
    /// bound to, because who holds it elsewhere should not. `false`: it is no text of a token that there is.
    ///
    /// The store is asked, not the directory alone: of a token that another node has just issued this one may not know yet,
    /// and whoever hears that it is revoked will not ask again. [`Error::Busy`] when too many ask about unknown ones.
    pub async fn revoke_shown_access_token(
        &self,
        presented: &Presented<'_>,
        origin: &Origin,
    ) -> Result<bool, Error> {
        let CredentialKey::Handle(handle) = presented.key() else { return Ok(false) };
        let known = self.directory.find(&presented.key());
        if known.as_ref().is_some_and(|known| !known.fact.is_shown_by(presented)) {
            return Ok(false);
        }
        // Anybody can make up what is not known: however many do, the store is there for others.
        let turn = known.is_none().then(|| self.lookups.try_acquire());
        let _turn = turn.transpose().map_err(|_| Error::busy())?;
        let found = self.store.find_access_token_anywhere(handle).await?;
        let Some(token) = found.filter(|token| Fact::from(token).is_shown_by(presented)) else {
            return Ok(false);
        };
        let account = token.account;
        let actor = Actor::Token { account, handle };
        let author = Author { guard: Guard::System, actor, account, origin };
        match self.end_access_token(author, handle, false).await {
            // Somebody else was faster.
            Ok(()) | Err(Error::NotFound) => Ok(true),
            Err(error) => Err(error),
        }
    }

    async fn end_access_token(
        &self,
        author: Author<'_>,
        handle: Handle,
        descendants: bool,
    ) -> Result<(), Error> {
        let action = if descendants { Action::RevokeDescendants } else { Action::RevokeAccessToken };
        for _ in 0..TRIES {
            let account = author.account;
            let found = self.store.find_access_token(account, handle).await?;
            let expected = found.ok_or(Error::NotFound)?.version;
            let mutation = Mutation::RevokeAccessToken { account, handle, expected, descendants };
            let deed = Deed {
                action,
                subject: Subject::Token(TokenRef::Access(handle)),
                changes: Vec::<FieldChange>::new(),
            };
            match self.apply_as(author, mutation, deed, self.clock.now()).await {
                Err(StoreError::Stale) => {}
                outcome => return Ok(outcome?),
            }
        }
        Err(contended())
    }

    /// Ends every access token of the account; of the caller's own account all but the one that asks. One change,
    /// however many they are.
    pub async fn revoke_all_access_tokens(&self, asked: Asked<'_>) -> Result<(), Error> {
        self.admit(asked.caller, asked.account, Permission::WriteAccessTokens)?;
        self.change_account(asked, |before, now| {
            let deed = Deed {
                action: Action::RevokeAllAccessTokens,
                subject: Subject::Account(before.id),
                changes: Vec::new(),
            };
            Ok((before.clone().end_access_tokens(now), deed))
        })
        .await?;
        Ok(())
    }
}

/// What the audit says of a new token.
pub(crate) fn issued(token: &AccessToken) -> Deed {
    let action = match token.source {
        Source::Login => Action::Login,
        Source::Impersonation => Action::Impersonate,
        Source::Issued | Source::Root => Action::IssueAccessToken,
    };
    let mut changes = vec![
        stated("ttl", token.ttl.as_number().to_string()),
        stated("expires_at", time_text(token.expires_at)),
    ];
    changes.extend(token.name.as_ref().map(|name| stated("name", name.as_str())));
    changes.extend(restrictions_stated(&token.restrictions));
    Deed { action, subject: Subject::Token(TokenRef::Access(token.handle)), changes }
}
