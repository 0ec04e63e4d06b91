//! What services have to refuse that check signed tokens by themselves: read from the audit, which every node has, and which
//! outlives what was revoked.

use countersign_domain::audit::{Action, Actor, AuditEntry, AuditRecord, FieldChange, Subject};
use countersign_domain::caller::{Caller, Permission};
use countersign_domain::error::Error;
use countersign_domain::id::{AccountId, ServiceTokenId, TokenRef};
use countersign_domain::scope::Scopes;
use countersign_domain::service_token::SecretVersion;
use countersign_domain::signing_key::CLOCK_SKEW;
use countersign_domain::store::{AuditQuery, Revision};
use countersign_domain::time::Timestamp;

use crate::Authority;

/// Most records that are looked at for a page.
const ROWS: u32 = 1_000;

/// Signed tokens that are good no more: of one service token, of an account and all below it, or all. Of each only what was issued
/// up to `at`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// When it was decided.
    pub at: Timestamp,
    /// From when on they are to be refused: later where a secret is accepted for a while after it was replaced.
    pub from: Timestamp,
    /// Why.
    pub reason: RevocationReason,
    /// Whose.
    pub account: Option<AccountId>,
    /// Of which service token; `None` = of all of the account, and of those below it.
    pub token: Option<ServiceTokenId>,
    /// Only what was got for a secret with a lower number than this.
    pub secret_version_below: Option<SecretVersion>,
}

/// Why signed tokens are good no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevocationReason {
    /// The service token was ended.
    Revoked,
    /// It was disabled.
    Disabled,
    /// The secret was ended.
    RotatedOut,
    /// It may be used for less than before.
    Narrowed,
    /// The account, or one above, was disabled.
    AccountDisabled,
    /// The account, or one above, was ended.
    AccountDeleted,
    /// The store became what it was before: what was issued since is not known any more.
    Restored,
}

impl RevocationReason {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::Disabled => "disabled",
            Self::RotatedOut => "rotated_out",
            Self::Narrowed => "narrowed",
            Self::AccountDisabled => "account_disabled",
            Self::AccountDeleted => "account_deleted",
            Self::Restored => "restored",
        }
    }
}

/// A part of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocations {
    /// Newest first.
    pub items: Vec<Revocation>,
    /// Where to go on; `None` at the end.
    pub next: Option<Revision>,
    /// From when on to ask the next time: what was decided before that is in here.
    pub asked_at: Timestamp,
}

impl Authority {
    /// What ended since a time of the caller's account and of those below it; without a time, everything that can matter to
    /// a signed token which has not expired.
    pub async fn list_revocations(
        &self,
        caller: &Caller,
        since: Option<Timestamp>,
        before: Option<Revision>,
    ) -> Result<Revocations, Error> {
        self.check_scope(caller, Permission::Verify)?;
        let now = self.clock.now();
        // What is older has expired, whatever it was.
        let lifetime = self.signing()?.settings.lifetime;
        let oldest = now.before(lifetime).before(CLOCK_SKEW);
        let since = since.map_or(oldest, |since| since.max(oldest));
        let query = AuditQuery {
            account: None,
            token: None,
            action: None,
            since: Some(since),
            until: None,
            before,
            limit: ROWS,
        };
        let page = self.store.list_audit(query).await?;
        let concerns = |record: &&AuditRecord| self.concerns(caller, &record.entry);
        // One that is to go on for longer than they live ends no signed token.
        let matters = |found: &Revocation| found.from < found.at.after(lifetime);
        let found = page.records.iter().filter(concerns).filter_map(|record| revocation(&record.entry));
        let items = found.filter(matters).collect();
        // A change is decided before it is written, and its place is taken before it is there.
        Ok(Revocations { items, next: page.next, asked_at: now.before(CLOCK_SKEW) })
    }

    /// Whether something was done to what is the caller's account's or below it. Of an account that is gone it is not known any more
    /// where it stood; the root hears of it, and whoever ended it.
    fn concerns(&self, caller: &Caller, entry: &AuditEntry) -> bool {
        if entry.action == Action::RestoreStore {
            return true;
        }
        let own = self.directory.chain(caller.account);
        // What stops an account above stops this one.
        let is_above = |account| own.as_ref().is_some_and(|chain| chain.is_within(account));
        if matches!(entry.action, Action::DisableAccount | Action::DeleteAccount) && is_above(entry.account) {
            return true;
        }
        match self.directory.chain(entry.account) {
            Some(chain) => chain.is_within(caller.account),
            None => own.is_some_and(|chain| chain.is_root()) || is_actor_within(self, entry, caller.account),
        }
    }
}

fn is_actor_within(authority: &Authority, entry: &AuditEntry, account: AccountId) -> bool {
    match entry.actor {
        Actor::Token { account: actor, .. } => {
            authority.directory.chain(actor).is_some_and(|chain| chain.is_within(account))
        }
        Actor::System => false,
    }
}

/// What an entry of the audit means for signed tokens.
fn revocation(entry: &AuditEntry) -> Option<Revocation> {
    let mut from = entry.at;
    let (reason, secret_version_below) = match entry.action {
        Action::RevokeServiceToken => (RevocationReason::Revoked, None),
        Action::DisableServiceToken => (RevocationReason::Disabled, None),
        Action::UpdateServiceToken | Action::RotateServiceToken => {
            let (reason, version, end) = of_update(entry)?;
            from = from.max(end);
            (reason, version)
        }
        Action::DisableAccount => (RevocationReason::AccountDisabled, None),
        Action::DeleteAccount => (RevocationReason::AccountDeleted, None),
        Action::RestoreStore => (RevocationReason::Restored, None),
        _ => return None,
    };
    let token = match entry.subject {
        Subject::Token(TokenRef::Service(id)) => Some(id),
        Subject::Token(TokenRef::Access(_)) | Subject::Account(_) => None,
    };
    let account = match entry.subject {
        _ if reason == RevocationReason::Restored => None,
        Subject::Account(account) => Some(account),
        Subject::Token(_) => Some(entry.account),
    };
    Some(Revocation { at: entry.at, from, reason, account, token, secret_version_below })
}

/// An update that takes something away. It says what became of every value, so that it need not be asked what there is now.
fn of_update(entry: &AuditEntry) -> Option<(RevocationReason, Option<SecretVersion>, Timestamp)> {
    let change = |name: &str| entry.changes.iter().find(|change| *change.field == *name);
    if change("enabled").is_some_and(|change| change.to.as_deref() == Some("false")) {
        return Some((RevocationReason::Disabled, None, entry.at));
    }
    if change("scopes").is_some_and(narrows_scopes)
        || change("expires_at").is_some_and(ends_earlier)
        || ["organizations", "resources", "allowed_ips"]
            .iter()
            .any(|name| change(name).is_some_and(|c| c.to.is_some()))
    {
        return Some((RevocationReason::Narrowed, None, entry.at));
    }
    let version = change("secret_version").and_then(|change| change.to.as_deref()?.parse().ok());
    let previous = change("previous_secret_expires_at")?;
    let end = previous.to.as_deref().and_then(time).unwrap_or(entry.at);
    Some((RevocationReason::RotatedOut, version, end))
}

/// What was signed before may live beyond the end that there is now.
fn ends_earlier(change: &FieldChange) -> bool {
    let end = |text: &Option<Box<str>>| text.as_deref().and_then(time).unwrap_or(Timestamp::NEVER);
    end(&change.to) < end(&change.from)
}

fn narrows_scopes(change: &FieldChange) -> bool {
    let list = |text: &Option<Box<str>>| match text {
        None => Some(Scopes::FULL),
        Some(text) => Scopes::from_joined(text).ok(),
    };
    let (Some(from), Some(to)) = (list(&change.from), list(&change.to)) else { return true };
    !from.within(&to)
}

/// As the audit writes times.
fn time(text: &str) -> Option<Timestamp> {
    text.parse::<jiff::Timestamp>().ok().map(|time| Timestamp::from_micros(time.as_microsecond()))
}
