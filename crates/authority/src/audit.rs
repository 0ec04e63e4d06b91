//! Reading what was done, and what was used.

use std::cmp::Reverse;

use countersign_domain::audit::Action;
use countersign_domain::caller::{Caller, Permission};
use countersign_domain::error::Error;
use countersign_domain::id::{AccountId, TokenRef};
use countersign_domain::store::{AuditPage, AuditQuery, Revision, TokenUsage};
use countersign_domain::time::Timestamp;
use countersign_domain::usage::Refusals;

use crate::Authority;

/// Which audit records are wanted.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Only of this account; `None` = of the caller's.
    pub account: Option<AccountId>,
    /// Only about this token.
    pub token: Option<TokenRef>,
    /// Only this action.
    pub action: Option<Action>,
    /// Only from this time on.
    pub since: Option<Timestamp>,
    /// Only before this time.
    pub until: Option<Timestamp>,
    /// Where the page before ended.
    pub before: Option<Revision>,
    /// Most records of the page.
    pub limit: u32,
}

impl Authority {
    /// A page of the audit, newest first.
    pub async fn list_audit(&self, caller: &Caller, filter: AuditFilter) -> Result<AuditPage, Error> {
        let account = filter.account.unwrap_or(caller.account);
        if self.is_history(caller, account) {
            self.check_scope(caller, Permission::ReadAudit)?;
        } else {
            self.admit(caller, account, Permission::ReadAudit)?;
        }
        let query = AuditQuery {
            account: Some(account),
            token: filter.token,
            action: filter.action,
            since: filter.since,
            until: filter.until,
            before: filter.before,
            limit: filter.limit,
        };
        Ok(self.store.list_audit(query).await?)
    }

    /// Whether the root asks about an account that has ended: what was done to it stays known to the operator.
    fn is_history(&self, caller: &Caller, account: AccountId) -> bool {
        let is_root = self.directory.chain(caller.account).is_some_and(|chain| chain.is_root());
        is_root && self.directory.chain(account).is_none_or(|chain| chain.is_deleted())
    }

    /// What was recorded about a token of an account, with what waits to be written laid over it.
    pub async fn load_usage(
        &self,
        caller: &Caller,
        account: AccountId,
        token: TokenRef,
    ) -> Result<TokenUsage, Error> {
        self.admit(caller, account, Permission::ReadAudit)?;
        if !self.holds(account, token).await? {
            return Err(Error::NotFound);
        }
        let read = || async { Ok(self.store.find_usage(token).await?) };
        Ok(self.overlooking_nothing(read, |stored| self.overlay_usage(token, stored)).await?.0)
    }

    fn overlay_usage(&self, token: TokenRef, mut usage: TokenUsage) -> TokenUsage {
        for pending in self.usage.pending_of(token) {
            match usage.uses.iter_mut().find(|stored| stored.secret_version == pending.secret_version) {
                Some(stored) => stored.add(&pending),
                None => usage.uses.push(pending),
            }
        }
        usage.uses.sort_by_key(|usage| Reverse(usage.secret_version));
        for pending in self.usage.pending_refusals(token) {
            let same =
                |stored: &&mut Refusals| (stored.reason, stored.minute) == (pending.reason, pending.minute);
            match usage.refusals.iter_mut().find(same) {
                Some(stored) => stored.count += pending.count,
                None => usage.refusals.push(pending),
            }
        }
        usage.refusals.sort_by_key(|refusals| Reverse(refusals.minute));
        usage
    }

    async fn holds(&self, account: AccountId, token: TokenRef) -> Result<bool, Error> {
        Ok(match token {
            TokenRef::Service(id) => self.store.find_service_token(account, id).await?.is_some(),
            TokenRef::Access(handle) => self.store.find_access_token(account, handle).await?.is_some(),
        })
    }
}
