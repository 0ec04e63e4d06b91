//! The three operations on access tokens.

use countersign_domain::access_token::AccessToken;
use countersign_domain::access_token_filter::Condition;
use countersign_domain::access_token_list::Order;
use countersign_domain::audit::{Action, FieldChange, Subject};
use countersign_domain::caller::Permission;
use countersign_domain::change::Mutation;
use countersign_domain::error::{Denial, Error, Field};
use countersign_domain::id::{Handle, TokenRef};
use countersign_domain::lifetime::Ttl;
use countersign_domain::restrictions::StatedRestrictions;
use countersign_domain::secret::Secret;
use countersign_domain::store::{AccessTokenQuery, Page, StoreError};

use crate::Authority;
use crate::change::{Asked, Deed, TRIES, contended, restrictions_stated, stated, time_text};

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
    format!("would look through more than {rows} tokens; narrow it by id or by time of creation")
}

impl Authority {
    /// Issues a token and gives its text, once. Restrictions that are not stated are the caller's.
    pub async fn issue_access_token(
        &self,
        asked: Asked<'_>,
        ttl: Ttl,
        restrictions: StatedRestrictions,
    ) -> Result<(AccessToken, Secret), Error> {
        self.admit(asked.caller, asked.account, Permission::WriteAccessTokens)?;
        let ttl = self.policy.clamp_ttl(ttl)?;
        let now = self.clock.now();
        let restrictions = restrictions.or(&asked.caller.restrictions);
        let minted_by = Some(asked.caller.handle);
        let (token, text) =
            AccessToken::issue(asked.account, ttl, restrictions, minted_by, self.entropy.as_ref(), now);
        if !asked.caller.can_hand_out(&token.restrictions, token.expires_at) {
            return Err(Error::Denied(Denial::BeyondCaller));
        }
        let mut changes = vec![
            stated("ttl", token.ttl.as_number().to_string()),
            stated("expires_at", time_text(token.expires_at)),
        ];
        changes.extend(restrictions_stated(&token.restrictions));
        let deed = Deed {
            action: Action::IssueAccessToken,
            subject: Subject::Token(TokenRef::Access(token.handle)),
            changes,
        };
        let limit = self.policy.access_tokens_per_account;
        self.apply(asked, Mutation::IssueAccessToken { token: token.clone(), limit }, deed, now).await?;
        Ok((token, text))
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

    /// Ends a token. A token may end itself without any scope: whoever holds it may throw it away.
    pub async fn revoke_access_token(&self, asked: Asked<'_>, handle: Handle) -> Result<(), Error> {
        let itself = asked.account == asked.caller.account && handle == asked.caller.handle;
        if !itself {
            self.admit(asked.caller, asked.account, Permission::WriteAccessTokens)?;
        }
        for _ in 0..TRIES {
            let now = self.clock.now();
            let found = self.store.find_access_token(asked.account, handle).await?;
            let token = found.ok_or(Error::NotFound)?;
            let mutation =
                Mutation::RevokeAccessToken { account: asked.account, handle, expected: token.version };
            let deed = Deed {
                action: Action::RevokeAccessToken,
                subject: Subject::Token(TokenRef::Access(handle)),
                changes: Vec::<FieldChange>::new(),
            };
            match self.apply(asked, mutation, deed, now).await {
                Err(Error::Store(StoreError::Stale)) => {}
                outcome => return outcome,
            }
        }
        Err(contended())
    }
}
