//! The seven operations on service tokens.

use std::collections::HashMap;

use countersign_domain::audit::{Action, FieldChange, Subject};
use countersign_domain::caller::Permission;
use countersign_domain::change::Mutation;
use countersign_domain::error::{Denial, Error};
use countersign_domain::id::{ServiceTokenId, TokenRef};
use countersign_domain::secret::Secret;
use countersign_domain::service_token::{NewServiceToken, Rotation, ServiceToken, ServiceTokenPatch};
use countersign_domain::store::{Page, ServiceTokenQuery, StoreError};
use countersign_domain::time::Timestamp;
use countersign_domain::usage::Usage;

use crate::change::{Asked, Deed, TRIES, contended, differences, restrictions_stated, stated, time_text};
use crate::{Authority, usage};

/// Most looks at the store and the usage log for one answer.
const MOST_LOOKS: u32 = 8;

/// A service token and what is known of the use of its secrets.
#[derive(Debug, Clone)]
pub struct ServiceTokenView {
    /// The token.
    pub token: ServiceToken,
    /// Uses of its current and its previous secret, pending ones included; none for a secret never used.
    pub uses: Vec<Usage>,
}

impl ServiceTokenView {
    /// The next state of the token, with what is known of the use of the secrets that it still has.
    fn with(mut self, token: ServiceToken) -> Self {
        let previous = token.previous.as_ref().map(|previous| previous.version);
        let kept = [Some(token.current.version), previous];
        self.uses.retain(|usage| kept.contains(&Some(usage.secret_version)));
        Self { token, uses: self.uses }
    }

    /// The last time any of its secrets was used.
    pub fn last_seen_at(&self) -> Option<Timestamp> {
        self.uses.iter().map(|usage| usage.last_at).max()
    }
}

/// Which service tokens to list.
#[derive(Debug, Clone, Default)]
pub struct List {
    /// Only those of exactly this name.
    pub name: Option<String>,
    /// Only those with this in name, id or client id.
    pub search: Option<String>,
    /// How many to leave out before the page.
    pub offset: u64,
    /// Most rows of the page.
    pub limit: u32,
}

/// A page of service tokens.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The tokens of this page.
    pub tokens: Vec<ServiceTokenView>,
    /// How many match in all.
    pub total: u64,
}

/// What a client wants of a transition, beside its rule.
#[derive(Debug, Clone, Copy, Default)]
struct Intent {
    /// It repeats a request whose answer it did not get.
    is_retry: bool,
    /// Until when the secret before a new one is accepted.
    overlap_until: Option<Timestamp>,
    /// It states a restriction, which must be within the caller even where it narrows.
    states_restriction: bool,
}

/// What a rule needs to know at the moment it decides.
struct Moment<'a> {
    rotation: Rotation<'a>,
    /// The request repeats a rotation whose new secret nobody has received.
    repeats_rotation: bool,
}

/// What a rule decides: the next state, the verb for it, and the secret to show where there is one.
struct Step<S> {
    after: ServiceToken,
    action: Action,
    secret: S,
}

impl Authority {
    /// Issues a token and gives its one secret.
    pub async fn issue_service_token(
        &self,
        asked: Asked<'_>,
        new: NewServiceToken,
    ) -> Result<(ServiceTokenView, Secret), Error> {
        self.admit(asked.caller, asked.account, Permission::WriteServiceTokens)?;
        self.policy.check_lifetime(&new.lifetime)?;
        let now = self.clock.now();
        let restrictions = new.restrictions.clone().or(&asked.caller.restrictions);
        let (token, secret) = ServiceToken::issue(
            asked.account,
            new,
            restrictions,
            self.lineage_below(asked).await?,
            &self.policy.secret_prefix,
            self.entropy.as_ref(),
            now,
        );
        within_caller(asked, &token)?;
        let deed = Deed {
            action: Action::IssueServiceToken,
            subject: Subject::Token(TokenRef::Service(token.id)),
            changes: issued(&token),
        };
        let limit = self.policy.service_tokens_per_account;
        let mutation = Mutation::IssueServiceToken { token: token.clone(), limit };
        self.apply(asked, mutation, deed, now).await.map_err(missing_account_is_denied)?;
        Ok((ServiceTokenView { token, uses: Vec::new() }, secret))
    }

    /// A page of the account's tokens, ordered by creation.
    pub async fn list_service_tokens(&self, asked: Asked<'_>, list: List) -> Result<Listed, Error> {
        self.admit(asked.caller, asked.account, Permission::ReadServiceTokens)?;
        let query = ServiceTokenQuery {
            account: asked.account,
            name: list.name,
            search: list.search,
            offset: list.offset,
            limit: list.limit,
        };
        let Page { items, total } = self.store.list_service_tokens(query).await?;
        Ok(Listed { tokens: self.with_uses(&items).await?, total })
    }

    /// One token.
    pub async fn load_service_token(
        &self,
        asked: Asked<'_>,
        id: ServiceTokenId,
    ) -> Result<ServiceTokenView, Error> {
        self.admit(asked.caller, asked.account, Permission::ReadServiceTokens)?;
        Ok(self.read_service_token(asked, id).await?.0)
    }

    /// Gives a token its whole duration again.
    pub async fn refresh_service_token(
        &self,
        asked: Asked<'_>,
        id: ServiceTokenId,
    ) -> Result<ServiceTokenView, Error> {
        let decide = |token: ServiceToken, moment: &Moment<'_>| {
            self.policy.check_lifetime(&token.lifetime)?;
            let after = token.refresh(moment.rotation.now);
            Ok(Step { after, action: Action::RefreshServiceToken, secret: () })
        };
        self.transition(asked, id, Intent::default(), decide).await.map(|(view, _)| view)
    }

    /// Makes a new secret; the old one is accepted until `overlap_until`, or ends now.
    ///
    /// `is_retry`: the client says that it repeats a request whose answer it did not get. When the rotation it
    /// repeats was its own, within a minute, and the new secret was never used, that secret is replaced and the
    /// previous one keeps its deadline; otherwise a lost answer would kill the secret in use (design 3).
    pub async fn rotate_service_token(
        &self,
        asked: Asked<'_>,
        id: ServiceTokenId,
        overlap_until: Option<Timestamp>,
        is_retry: bool,
    ) -> Result<(ServiceTokenView, Secret), Error> {
        let decide = |token: ServiceToken, moment: &Moment<'_>| {
            let (after, secret) = if moment.repeats_rotation {
                token.reissue_secret(&moment.rotation)
            } else {
                token.rotate(&moment.rotation)?
            };
            Ok(Step { after, action: Action::RotateServiceToken, secret })
        };
        let intent = Intent { is_retry, overlap_until, states_restriction: false };
        self.transition(asked, id, intent, decide).await
    }

    /// Applies a patch; gives the new secret when it rotated. `is_retry` as in [`Authority::rotate_service_token`].
    pub async fn update_service_token(
        &self,
        asked: Asked<'_>,
        id: ServiceTokenId,
        patch: ServiceTokenPatch,
        is_retry: bool,
    ) -> Result<(ServiceTokenView, Option<Secret>), Error> {
        let intent =
            Intent { is_retry, overlap_until: None, states_restriction: !patch.restrictions.is_empty() };
        let decide = |before: ServiceToken, moment: &Moment<'_>| {
            if let Some(lifetime) = patch.lifetime.as_ref().filter(|lifetime| **lifetime != before.lifetime) {
                self.policy.check_lifetime(lifetime)?;
            }
            let (after, secret) = before.clone().update(patch.clone(), &moment.rotation)?;
            // An update that was made already finds nothing left to do. One that does something else and states the
            // version that is there, as Terraform does, is no repetition of the rotation.
            let repeats_rotation = moment.repeats_rotation
                && patch.secret_version == Some(before.current.version)
                && differences(&before, &after).is_empty();
            let (after, secret) = match secret {
                None if repeats_rotation => {
                    let (after, secret) = after.reissue_secret(&moment.rotation);
                    (after, Some(secret))
                }
                secret => (after, secret),
            };
            let action = update_action(&before, &after);
            Ok(Step { after, action, secret })
        };
        self.transition(asked, id, intent, decide).await
    }

    /// Ends a token; gives its last state.
    pub async fn revoke_service_token(
        &self,
        asked: Asked<'_>,
        id: ServiceTokenId,
    ) -> Result<ServiceTokenView, Error> {
        self.admit(asked.caller, asked.account, Permission::WriteServiceTokens)?;
        for _ in 0..TRIES {
            let now = self.clock.now();
            let (view, _) = self.read_service_token(asked, id).await?;
            let mutation = Mutation::RevokeServiceToken {
                account: asked.account,
                id,
                client_id: view.token.client_id,
                expected: view.token.version,
            };
            let deed = Deed {
                action: Action::RevokeServiceToken,
                subject: Subject::Token(TokenRef::Service(id)),
                changes: vec![FieldChange {
                    field: "name".into(),
                    from: Some(view.token.name.as_str().into()),
                    to: None,
                }],
            };
            match self.apply(asked, mutation, deed, now).await {
                Err(Error::Store(StoreError::Stale)) => {}
                outcome => return outcome.map(|()| view),
            }
        }
        Err(contended())
    }

    /// Reads a token, lets `decide` make its next state, checks that this is within the caller, and writes it.
    async fn transition<S>(
        &self,
        asked: Asked<'_>,
        id: ServiceTokenId,
        intent: Intent,
        decide: impl Fn(ServiceToken, &Moment<'_>) -> Result<Step<S>, Error>,
    ) -> Result<(ServiceTokenView, S), Error> {
        self.admit(asked.caller, asked.account, Permission::WriteServiceTokens)?;
        for _ in 0..TRIES {
            let now = self.clock.now();
            let (seen, is_certain) = self.read_service_token(asked, id).await?;
            let before = &seen.token;
            let repeats_rotation =
                intent.is_retry && is_certain && self.is_unused_rotation(asked, &seen, now);
            let rotation = Rotation {
                by: asked.caller.handle,
                overlap_until: intent.overlap_until,
                prefix: &self.policy.secret_prefix,
                entropy: self.entropy.as_ref(),
                now,
            };
            let step = decide(before.clone(), &Moment { rotation, repeats_rotation })?;
            if intent.states_restriction || step.after.is_stronger_than(before) {
                within_caller(asked, &step.after)?;
            }
            let deed = Deed {
                action: step.action,
                subject: Subject::Token(TokenRef::Service(id)),
                changes: differences(before, &step.after),
            };
            let mutation =
                Mutation::ReplaceServiceToken { expected: before.version, token: step.after.clone() };
            match self.apply(asked, mutation, deed, now).await {
                Err(Error::Store(StoreError::Stale)) => {}
                outcome => {
                    outcome?;
                    // Nothing that can fail may follow: the change is made, and its secret must be shown.
                    return Ok((seen.with(step.after), step.secret));
                }
            }
        }
        Err(contended())
    }

    /// Whether the current secret comes from a rotation of the caller's own a moment ago and nobody has used it.
    /// Where a use may have gone unnoticed, it counts as used.
    fn is_unused_rotation(&self, asked: Asked<'_>, seen: &ServiceTokenView, now: Timestamp) -> bool {
        let current = &seen.token.current;
        seen.token.is_retry_of_rotation(asked.caller.handle, now)
            && !self.usage.may_have_missed_since(current.created_at)
            && seen.uses.iter().all(|usage| usage.secret_version != current.version)
    }

    /// A token, and whether what is known of its use is certain.
    async fn read_service_token(
        &self,
        asked: Asked<'_>,
        id: ServiceTokenId,
    ) -> Result<(ServiceTokenView, bool), Error> {
        let read = || async {
            let found = self.store.find_service_token_with_uses(asked.account, id).await?;
            let (token, stored) = found.ok_or(Error::NotFound)?;
            Ok((token, stored))
        };
        self.overlooking_nothing(read, |(token, stored)| self.view(token, stored)).await
    }

    /// Reads the store, then lays over it what waits in the log. What went from the one to the other meanwhile would
    /// be missed in both, so both are looked at again; but not for ever. Gives whether nothing can have been missed.
    pub(crate) async fn overlooking_nothing<R, T, F: Future<Output = Result<R, Error>>>(
        &self,
        read: impl Fn() -> F,
        overlay: impl Fn(R) -> T,
    ) -> Result<(T, bool), Error> {
        let mut looks = 0;
        loop {
            let settlements = self.usage.settlements();
            let overlaid = overlay(read().await?);
            looks += 1;
            let is_certain = self.usage.settlements() == settlements;
            if is_certain || looks == MOST_LOOKS {
                return Ok((overlaid, is_certain));
            }
        }
    }

    fn view(&self, token: ServiceToken, stored: Vec<Usage>) -> ServiceTokenView {
        let uses = self.uses_of(&token, stored);
        ServiceTokenView { token, uses }
    }

    async fn with_uses(&self, tokens: &[ServiceToken]) -> Result<Vec<ServiceTokenView>, Error> {
        let read = || async {
            let ids = tokens.iter().map(|token| TokenRef::Service(token.id)).collect();
            Ok(self.store.list_uses(ids).await?)
        };
        let overlay = |uses: Vec<Usage>| {
            let mut stored: HashMap<TokenRef, Vec<Usage>> = HashMap::new();
            for usage in uses {
                stored.entry(usage.token).or_default().push(usage);
            }
            let mut view = |token: &ServiceToken| {
                let stored = stored.remove(&TokenRef::Service(token.id)).unwrap_or_default();
                self.view(token.clone(), stored)
            };
            tokens.iter().map(&mut view).collect()
        };
        Ok(self.overlooking_nothing(read, overlay).await?.0)
    }

    /// Stored uses of the token's two secrets, with what waits to be written laid over them.
    fn uses_of(&self, token: &ServiceToken, stored: Vec<Usage>) -> Vec<Usage> {
        let versions =
            [Some(token.current.version), token.previous.as_ref().map(|previous| previous.version)];
        let of_version = |version| {
            let stored = stored.iter().find(|usage| usage.secret_version == version).cloned();
            let pending = self.usage.pending(TokenRef::Service(token.id), version);
            usage::overlay(stored, pending)
        };
        versions.into_iter().flatten().filter_map(of_version).collect()
    }
}

/// Nothing hands out more than it has (design 2.3).
fn within_caller(asked: Asked<'_>, token: &ServiceToken) -> Result<(), Error> {
    if asked.caller.can_hand_out(&token.restrictions, token.expires_at) {
        return Ok(());
    }
    Err(Error::Denied(Denial::BeyondCaller))
}

/// An account that was there when the caller was admitted and is gone now is an account one may not see.
fn missing_account_is_denied(error: Error) -> Error {
    match error {
        Error::NotFound => Error::Denied(Denial::ForeignAccount),
        other => other,
    }
}

fn issued(token: &ServiceToken) -> Vec<FieldChange> {
    let mut changes = vec![
        stated("name", token.name.as_str()),
        stated("duration", token.lifetime.as_str()),
        stated("expires_at", time_text(token.expires_at)),
        stated("enabled", token.enabled.to_string()),
    ];
    changes.extend(restrictions_stated(&token.restrictions));
    changes
}

/// The verb that says best what a patch did.
fn update_action(before: &ServiceToken, after: &ServiceToken) -> Action {
    if before.current.digest != after.current.digest {
        return Action::RotateServiceToken;
    }
    let changed = differences(before, after);
    match changed.as_slice() {
        [only] if &*only.field == "name" => Action::RenameServiceToken,
        [only] if &*only.field == "enabled" && after.enabled => Action::EnableServiceToken,
        [only] if &*only.field == "enabled" => Action::DisableServiceToken,
        _ => Action::UpdateServiceToken,
    }
}
