//! What services have to refuse that check signed tokens by themselves: read from the audit, which every node has, and which
//! outlives what was revoked.

use std::time::Duration;

use countersign_domain::audit::{Action, Actor, AuditEntry, AuditRecord, FieldChange, Subject};
use countersign_domain::caller::{Caller, Permission};
use countersign_domain::error::Error;
use countersign_domain::id::{AccountId, ServiceTokenId, TokenRef};
use countersign_domain::scope::Scopes;
use countersign_domain::service_token::SecretVersion;
use countersign_domain::signing_key::{CLOCK_SKEW, LONGEST_SIGNED};
use countersign_domain::store::{AuditQuery, Revision};
use countersign_domain::time::Timestamp;

use crate::Authority;

/// Most records that are looked at for a page.
const ROWS: u32 = 1_000;

/// Nobody is given a token any more, on any node, so long after something was taken from it: what a node does not know yet it hears
/// within two seconds, or it exchanges nothing.
const HEARD: Duration = CLOCK_SKEW;

/// For so long it can matter to a signed token what was done, also where clocks are late: the audit keeps it in any case.
pub(crate) const MATTERS: Duration = LONGEST_SIGNED.saturating_add(CLOCK_SKEW).saturating_add(HEARD);

/// Signed tokens that are good no more: of one service token, of an account and all below it, or all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// When it was decided.
    pub at: Timestamp,
    /// Only what was issued up to then, where more can be issued that is good; `None` = whenever it was.
    pub issued_until: Option<Timestamp>,
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
        // What is older has expired, whatever it was, also where clocks are late.
        let lifetime = self.signing()?.settings.lifetime;
        let oldest = now.before(lifetime).before(CLOCK_SKEW).before(HEARD);
        // A time that nobody can have been told yet was told before the clock was set back: it says nothing of what was decided
        // since.
        let since =
            since.filter(|since| *since <= now.before(CLOCK_SKEW)).map_or(oldest, |since| since.max(oldest));
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
        let matters = |found: &Revocation| found.from < found.at.after(LONGEST_SIGNED);
        let found = page.records.iter().filter(concerns).flat_map(|record| revocations(&record.entry));
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
        let stops_what_is_below = [Action::DisableAccount, Action::DeleteAccount, Action::RevokeDescendants];
        if stops_what_is_below.contains(&entry.action) && is_above(entry.account) {
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
fn revocations(entry: &AuditEntry) -> Vec<Revocation> {
    match entry.action {
        Action::RevokeServiceToken => vec![whole(entry, RevocationReason::Revoked)],
        Action::DeleteAccount => vec![whole(entry, RevocationReason::AccountDeleted)],
        Action::DisableServiceToken => vec![until_now(entry, RevocationReason::Disabled)],
        Action::DisableAccount => vec![until_now(entry, RevocationReason::AccountDisabled)],
        // Which service tokens stem from an access token is not known here: all of its account and below it do their exchange anew.
        Action::RevokeDescendants => vec![until_now(entry, RevocationReason::Revoked)],
        Action::RestoreStore => {
            vec![Revocation { account: None, ..until_now(entry, RevocationReason::Restored) }]
        }
        Action::UpdateServiceToken | Action::RotateServiceToken => of_update(entry),
        _ => Vec::new(),
    }
}

/// Of something that does not come back.
fn whole(entry: &AuditEntry, reason: RevocationReason) -> Revocation {
    let token = match entry.subject {
        Subject::Token(TokenRef::Service(id)) => Some(id),
        Subject::Token(TokenRef::Access(_)) | Subject::Account(_) => None,
    };
    let account = match entry.subject {
        Subject::Account(account) => account,
        Subject::Token(_) => entry.account,
    };
    Revocation {
        at: entry.at,
        issued_until: None,
        from: entry.at,
        reason,
        account: Some(account),
        token,
        secret_version_below: None,
    }
}

/// Of something that goes on, or can: what is got for it later is good.
fn until_now(entry: &AuditEntry, reason: RevocationReason) -> Revocation {
    Revocation { issued_until: Some(entry.at.after(HEARD)), ..whole(entry, reason) }
}

/// An update that takes something away. It says what became of every value, so that it need not be asked what there is now.
fn of_update(entry: &AuditEntry) -> Vec<Revocation> {
    let change = |name: &str| entry.changes.iter().find(|change| *change.field == *name);
    if change("enabled").is_some_and(|change| change.to.as_deref() == Some("false")) {
        return vec![until_now(entry, RevocationReason::Disabled)];
    }
    if change("scopes").is_some_and(narrows_scopes)
        || change("expires_at").is_some_and(ends_earlier)
        || ["organizations", "resources", "allowed_ips"]
            .iter()
            .any(|name| change(name).is_some_and(|c| c.to.is_some()))
    {
        return vec![until_now(entry, RevocationReason::Narrowed)];
    }
    match (change("previous_secret_expires_at"), change("secret_version")) {
        (Some(end), Some(version)) => of_secrets(entry, end, version),
        _ => Vec::new(),
    }
}

/// Of secrets that end: that before the current one when it is said, which can be put off until then, and at once and for good
/// whatever it has taken the place of.
fn of_secrets(entry: &AuditEntry, end: &FieldChange, version: &FieldChange) -> Vec<Revocation> {
    let number = |text: &Option<Box<str>>| text.as_deref().and_then(|text| text.parse().ok());
    let (before, after) = (number(&version.from), number(&version.to));
    let for_good = || whole(entry, RevocationReason::RotatedOut);
    let ended = match end.to.as_deref().and_then(time).filter(|end| *end > entry.at) {
        Some(from) => Revocation { from, ..until_now(entry, RevocationReason::RotatedOut) },
        None => for_good(),
    };
    let ended = Revocation { secret_version_below: after, ..ended };
    let was_accepted = end.from.as_deref().and_then(time).is_some_and(|end| end > entry.at);
    if before != after && was_accepted {
        return vec![ended, Revocation { secret_version_below: before, ..for_good() }];
    }
    vec![ended]
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
