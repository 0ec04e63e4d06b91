//! From a decision to a change: who asked, the audit entry, and another try when the row has changed meanwhile.

use countersign_domain::audit::{Action, Actor, AuditEntry, FieldChange, Origin, Subject};
use countersign_domain::caller::Caller;
use countersign_domain::change::{Change, Guard, Mutation};
use countersign_domain::error::Error;
use countersign_domain::id::{AccountId, ChangeId};
use countersign_domain::restrictions::Restrictions;
use countersign_domain::service_token::ServiceToken;
use countersign_domain::store::StoreError;
use countersign_domain::time::Timestamp;

use crate::Authority;

/// Decisions on an outdated row are made again this often before the client is asked to try again.
pub(crate) const TRIES: usize = 3;

/// Who asks for an operation, about which account, from where.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Who asks.
    pub caller: &'a Caller,
    /// About which account.
    pub account: AccountId,
    /// From where.
    pub origin: &'a Origin,
}

impl<'a> Asked<'a> {
    /// In whose name a change of `now` is made. The caller was judged before its body was read, which may have taken a
    /// while.
    pub(crate) fn author(&self, now: Timestamp) -> Result<Author<'a>, Error> {
        let Self { caller, account, origin } = *self;
        if caller.expires_at <= now {
            return Err(Error::Unauthenticated);
        }
        Ok(Author {
            guard: Guard::Token { handle: caller.handle, version: caller.version },
            actor: Actor::Token { account: caller.account, handle: caller.handle },
            account,
            origin,
        })
    }
}

/// In whose name a change is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Author<'a> {
    /// What must still be so.
    pub(crate) guard: Guard,
    /// Who is written in the audit.
    pub(crate) actor: Actor,
    /// To which account it belongs.
    pub(crate) account: AccountId,
    /// From where.
    pub(crate) origin: &'a Origin,
}

/// What the audit says of a change beside who and where.
pub(crate) struct Deed {
    pub(crate) action: Action,
    pub(crate) subject: Subject,
    pub(crate) changes: Vec<FieldChange>,
}

impl Authority {
    /// Applies a change in the caller's name.
    pub(crate) async fn apply(
        &self,
        asked: Asked<'_>,
        mutation: Mutation,
        deed: Deed,
        now: Timestamp,
    ) -> Result<(), Error> {
        Ok(self.apply_as(asked.author(now)?, mutation, deed, now).await?)
    }

    /// Applies a change in somebody's name.
    pub(crate) async fn apply_as(
        &self,
        author: Author<'_>,
        mutation: Mutation,
        deed: Deed,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let audit = AuditEntry {
            id: ChangeId::mint(now, self.entropy.as_ref()),
            at: now,
            actor: author.actor,
            action: deed.action,
            account: author.account,
            subject: deed.subject,
            origin: author.origin.clone(),
            changes: deed.changes,
        };
        self.store.apply(Change { guard: author.guard, mutation, audit }).await.map(|_| ())
    }

    /// Applies a change of Countersign's own.
    pub(crate) async fn apply_own(
        &self,
        account: AccountId,
        mutation: Mutation,
        deed: Deed,
    ) -> Result<(), StoreError> {
        self.apply_own_from(account, &Origin::default(), mutation, deed).await
    }

    /// As [`Authority::apply_own`], on behalf of somebody who is not known.
    pub(crate) async fn apply_own_from(
        &self,
        account: AccountId,
        origin: &Origin,
        mutation: Mutation,
        deed: Deed,
    ) -> Result<(), StoreError> {
        let author = Author { guard: Guard::System, actor: Actor::System, account, origin };
        self.apply_as(author, mutation, deed, self.clock.now()).await
    }
}

/// The row kept changing while we decided: the client may ask again.
pub(crate) fn contended() -> Error {
    Error::busy()
}

/// Which values of a service token changed, by their names in the native API. Never a digest. Of its secrets, when one ends and
/// the number of the current one stand together, also where one of the two is as before: they say which secret ends when.
pub(crate) fn differences(before: &ServiceToken, after: &ServiceToken) -> Vec<FieldChange> {
    let previous_end = |token: &ServiceToken| token.previous.as_ref().map(|p| time_text(p.expires_at));
    let own = [
        ("name", Some(before.name.to_string()), Some(after.name.to_string())),
        ("duration", Some(before.lifetime.to_string()), Some(after.lifetime.to_string())),
        ("enabled", Some(before.enabled.to_string()), Some(after.enabled.to_string())),
        ("expires_at", Some(time_text(before.expires_at)), Some(time_text(after.expires_at))),
        ("secret_version", Some(before.current.version.to_string()), Some(after.current.version.to_string())),
        ("previous_secret_expires_at", previous_end(before), previous_end(after)),
    ];
    let concern_secrets = ["secret_version", "previous_secret_expires_at"];
    let is_of_secrets =
        before.current.version != after.current.version || previous_end(before) != previous_end(after);
    let restrictions = before.restrictions.stated().into_iter().zip(after.restrictions.stated());
    let restrictions = restrictions.map(|((name, from), (_, to))| (name, from, to));
    own.into_iter()
        .chain(restrictions)
        .filter(|(name, from, to)| from != to || is_of_secrets && concern_secrets.contains(name))
        .map(|(field, from, to)| FieldChange {
            field: field.into(),
            from: from.map(Into::into),
            to: to.map(Into::into),
        })
        .collect()
}

/// What restricts a new token.
pub(crate) fn restrictions_stated(restrictions: &Restrictions) -> impl Iterator<Item = FieldChange> {
    restrictions.stated().into_iter().filter_map(|(name, list)| list.map(|list| stated(name, list)))
}

/// A value that was not there before.
pub(crate) fn stated(field: &str, to: impl Into<Box<str>>) -> FieldChange {
    FieldChange { field: field.into(), from: None, to: Some(to.into()) }
}

/// RFC 3339 in UTC; `never` for what does not end.
pub(crate) fn time_text(time: Timestamp) -> String {
    format!("{time:?}")
}
