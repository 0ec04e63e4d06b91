//! What a restore makes of a backup: nothing that has ended since comes back, nothing that was stopped goes on, nothing
//! may do more than it may now.

use std::collections::HashSet;

use countersign_domain::access_token::AccessToken;
use countersign_domain::account::{Account, AccountState};
use countersign_domain::archive::Record;
use countersign_domain::audit::{Action, Actor, AuditEntry, AuditRecord, Origin, Subject};
use countersign_domain::id::{AccountId, ChangeId, Handle, TokenRef};
use countersign_domain::lineage::Lineage;
use countersign_domain::organization::{Membership, Organization};
use countersign_domain::restrictions::Restrictions;
use countersign_domain::service_token::ServiceToken;
use countersign_domain::signing_key::KeyGeneration;
use countersign_domain::store::{Revision, Version};
use countersign_domain::time::Timestamp;

use super::later::{Later, Present};
use super::outcome::Outcome;
use super::said::TokenSaid;

/// What a restore writes into the audit of its own.
pub(crate) struct Entry {
    pub(crate) id: ChangeId,
    pub(crate) at: Timestamp,
    /// When the backup was taken.
    pub(crate) taken_at: Timestamp,
}

/// Goes over the records of a backup.
pub(crate) struct Corrector<'l> {
    later: &'l Later<'l>,
    /// What has ended since comes back all the same.
    brings_back: bool,
    pub(crate) entry: &'l Entry,
    outcome: Outcome,
    /// Tokens of the backup that do not come back.
    gone: HashSet<TokenRef>,
}

impl<'l> Corrector<'l> {
    pub(crate) fn new(later: &'l Later<'l>, brings_back: bool, entry: &'l Entry) -> Self {
        Self { later, brings_back, entry, outcome: Outcome::default(), gone: HashSet::new() }
    }

    /// What was done, or would be.
    pub(crate) fn finish(mut self) -> Outcome {
        if let Some(present) = &self.later.present {
            let kept = self.root_token_kept(present).map(|token| TokenRef::Access(token.handle));
            let is_lost = |token: TokenRef| !self.later.saved.has(token) && Some(token) != kept;
            let lost = present.changed_tokens().filter(|(token, _)| is_lost(*token));
            lost.for_each(|(token, name)| self.outcome.lost.add(token, name));
            let is_lost = |account: &&Account| {
                account.state != AccountState::Deleted && !self.later.saved.has_account(account.id)
            };
            let lost = present.accounts.values().filter(is_lost);
            lost.for_each(|account| self.outcome.accounts_lost.add(account.id, account.email.as_str()));
        }
        self.outcome
    }

    /// Makes of a record of the backup what comes in its place.
    pub(crate) fn correct(&mut self, record: Record, out: &mut Vec<Record>) {
        match record {
            Record::Account(account) => out.push(Record::Account(self.account(account))),
            Record::Organization(row) => out.push(Record::Organization(self.organization(row))),
            Record::Membership(row) => out.extend(self.membership(row).map(Record::Membership)),
            Record::ServiceToken(token) => out.extend(self.service_token(token).map(Record::ServiceToken)),
            Record::AccessToken(token) => out.extend(self.access_token(token).map(Record::AccessToken)),
            Record::RootToken(handle) => {
                if self.brings_back || self.later.present.is_none() {
                    out.push(Record::RootToken(handle));
                }
            }
            // Those that sign are as they are now: one that was replaced does not sign again.
            Record::KeyGeneration(_) if self.keys_kept().is_some() => {}
            Record::Use(usage) if self.gone.contains(&usage.token) => {}
            Record::Refusals(refusals) if self.gone.contains(&refusals.token) => {}
            Record::End(_) => self.end(out),
            other => out.push(other),
        }
    }

    fn end(&mut self, out: &mut Vec<Record>) {
        if !self.brings_back {
            self.root_tokens(out);
        }
        let keys = self.keys_kept().into_iter().flatten();
        out.extend(keys.cloned().map(Record::KeyGeneration));
        out.extend(self.later.audit.values().cloned().map(Record::Audit));
        let revision = Revision(self.later.last.0 + 1);
        out.push(Record::Audit(AuditRecord { revision, entry: self.audit_entry() }));
        out.push(Record::End(revision));
    }

    /// The root token stays the one that is in force; what was one before is none again.
    fn root_tokens(&mut self, out: &mut Vec<Record>) {
        if let Some(present) = &self.later.present {
            out.extend(present.root_tokens.iter().copied().map(Record::RootToken));
            let kept = self.root_token_kept(present).cloned();
            out.extend(kept.map(Record::AccessToken));
        } else if let Some((_, before)) = self.later.said.root_tokens.split_last() {
            // The last one may be set again: whoever has its text has it still.
            out.extend(before.iter().copied().map(Record::RootToken));
        }
    }

    /// The keys that sign, when those of the present store are known.
    fn keys_kept(&self) -> Option<&'l [KeyGeneration]> {
        let present = self.later.present.as_ref().filter(|_| !self.brings_back)?;
        Some(&present.key_generations)
    }

    /// The root token, when it was set after the backup.
    fn root_token_kept<'p>(&self, present: &'p Present) -> Option<&'p AccessToken> {
        let token = present.new_root_token().filter(|_| !self.brings_back)?;
        (!self.later.saved.has(TokenRef::Access(token.handle))).then_some(token)
    }

    fn audit_entry(&self) -> AuditEntry {
        let saved = self.later.saved;
        let changes = self.outcome.changes(self.entry.taken_at, saved.contents.revision, self.brings_back);
        AuditEntry {
            id: self.entry.id,
            at: self.entry.at,
            actor: Actor::System,
            action: Action::RestoreStore,
            account: saved.root,
            subject: Subject::Account(saved.root),
            origin: Origin::default(),
            changes,
        }
    }

    fn account(&mut self, saved: Account) -> Account {
        let now = self.entry.at;
        let mut next = saved.clone();
        let present = self.later.present.as_ref();
        let stored = present.and_then(|present| present.accounts.get(&saved.id));
        let said = self.later.said.accounts.get(&saved.id);
        let is_gone =
            present.is_some() && stored.is_none_or(|account| account.state == AccountState::Deleted);
        if (is_gone || said.is_some_and(|said| said.deleted)) && saved.state != AccountState::Deleted {
            if let Ok(deleted) = next.clone().delete(now) {
                self.outcome.accounts_ended.add(saved.id, saved.email.as_str());
                next = deleted;
            }
            return self.chosen(saved, next);
        }
        let is_stopped = stored.is_some_and(|account| account.state == AccountState::Disabled)
            || said.is_some_and(|said| said.enabled == Some(false));
        if is_stopped && next.state == AccountState::Enabled {
            self.outcome.accounts_stopped.add(saved.id, saved.email.as_str());
            next.state = AccountState::Disabled;
        }
        if let Some(stored) = stored.filter(|stored| stored.epoch > saved.epoch) {
            (next.epoch, next.password) = (stored.epoch, stored.password.clone());
        }
        if said.is_some_and(|said| said.password_changed) && next.password.is_some() {
            self.outcome.passwords_unset.add(saved.id, saved.email.as_str());
            next.password = None;
        }
        next.version = newer(next.version, stored.map(|stored| stored.version));
        self.chosen(saved, next)
    }

    fn organization(&mut self, saved: Organization) -> Organization {
        let mut next = saved.clone();
        let present = self.later.present.as_ref();
        let stored = present.and_then(|present| present.organizations.get(&saved.id));
        let said = self.later.said.organizations.get(&saved.id);
        if stored.is_some_and(|stored| !stored.active) || said == Some(&false) {
            next.active = false;
        }
        next.version = newer(next.version, stored.map(|stored| stored.version));
        if next.active != saved.active {
            self.outcome.organizations_stopped.add(saved.id, "");
        }
        self.chosen(saved, next)
    }

    fn membership(&mut self, saved: Membership) -> Option<Membership> {
        let mut next = saved.clone();
        let present = self.later.present.as_ref();
        let stored = present.and_then(|present| present.memberships.get(&saved.id));
        let said = self.later.said.memberships.get(&saved.id);
        let has_ended = present.is_some() && stored.is_none() || said.is_some_and(|said| said.deleted);
        if has_ended {
            self.outcome.memberships_ended.add(saved.id, "");
            return self.brings_back.then_some(saved);
        }
        next.disabled |= stored.is_some_and(|stored| stored.disabled)
            || said.is_some_and(|said| said.disabled == Some(true));
        let consent = said.and_then(|said| said.consent).or(stored.map(|stored| stored.consent));
        if let Some(consent) = consent.filter(|_| next.is_agreed()) {
            next.consent = consent;
        }
        next.version = newer(next.version, stored.map(|stored| stored.version));
        if saved.is_effective() && !next.is_effective() {
            self.outcome.memberships_ended.add(saved.id, "");
        }
        Some(self.chosen(saved, next))
    }

    fn service_token(&mut self, saved: ServiceToken) -> Option<ServiceToken> {
        let (id, name) = (TokenRef::Service(saved.id), saved.name.to_string());
        let said = self.later.said.tokens.get(&id);
        let stored = match &self.later.present {
            Some(present) => match present.service_token(&saved) {
                Some(stored) => Some(stored),
                None => return self.ended(id, &name).then_some(saved),
            },
            None => None,
        };
        if self.was_ended(said, &saved.lineage) {
            return self.ended(id, &name).then_some(saved);
        }
        let mut next = saved.clone();
        if let Some(stored) = stored {
            // Secrets are as they are now: one that was rotated out does not come back.
            (next.current, next.previous) = (stored.current.clone(), stored.previous.clone());
            next.enabled &= stored.enabled;
            next.expires_at = next.expires_at.min(stored.expires_at);
            next.restrictions = narrower(&next.restrictions, &stored.restrictions);
            next.version = newer(next.version, Some(stored.version));
        }
        if let Some(said) = said {
            next.enabled &= said.enabled != Some(false);
            next.expires_at = next.expires_at.min(said.expires_at.unwrap_or(next.expires_at));
            next.restrictions =
                narrower(&next.restrictions, &said.restrictions.clone().or(&next.restrictions));
            if let (Some(previous), Some(end), false) =
                (&mut next.previous, said.previous_ends_at, said.rotated)
            {
                previous.expires_at = previous.expires_at.min(end);
            }
        }
        self.note_bounds(id, &name, (saved.enabled, next.enabled), is_bound(&saved, &next));
        let is_lost = said.is_some_and(|said| said.rotated);
        let is_rotated = stored.is_some_and(|stored| stored.current.digest != saved.current.digest);
        if is_lost || is_rotated && self.brings_back {
            self.outcome.rotated.add(id, &name);
            // Its secret of now is not known, and the one before may have been rotated out because others had it.
            next.enabled = false;
        }
        Some(self.chosen(saved, next))
    }

    fn access_token(&mut self, saved: AccessToken) -> Option<AccessToken> {
        let id = TokenRef::Access(saved.handle);
        let name = saved.name.as_ref().map(ToString::to_string).unwrap_or_default();
        let said = self.later.said.tokens.get(&id);
        let stored = match &self.later.present {
            Some(present) => match present.access_token(&saved) {
                Some(stored) => Some(stored),
                None => return self.ended(id, &name).then_some(saved),
            },
            None => None,
        };
        let has_ended = self.was_ended(said, &saved.lineage)
            || self.ended_with_account(saved.account, saved.handle)
            || stored.is_none() && self.was_root_token(saved.handle);
        if has_ended {
            return self.ended(id, &name).then_some(saved);
        }
        let mut next = saved.clone();
        if let Some(stored) = stored {
            next.epoch = next.epoch.max(stored.epoch);
            next.version = newer(next.version, Some(stored.version));
        }
        Some(self.chosen(saved, next))
    }

    /// Notes that a token has ended since; gives whether it comes back.
    fn ended(&mut self, id: TokenRef, name: &str) -> bool {
        self.outcome.ended.add(id, name);
        if !self.brings_back {
            self.gone.insert(id);
        }
        self.brings_back
    }

    fn was_ended(&self, said: Option<&TokenSaid>, lineage: &Lineage) -> bool {
        let tokens = &self.later.said.tokens;
        let is_cut = |handle: &Handle| {
            tokens.get(&TokenRef::Access(*handle)).is_some_and(|said| said.with_descendants)
        };
        said.is_some_and(|said| said.ended) || lineage.handles().iter().any(is_cut)
    }

    fn ended_with_account(&self, account: AccountId, handle: Handle) -> bool {
        let said = self.later.said.accounts.get(&account);
        said.and_then(|said| said.tokens_ended).is_some_and(|kept| kept != Some(handle))
    }

    fn was_root_token(&self, handle: Handle) -> bool {
        !self.later.said.root_tokens.is_empty() && self.later.saved.root_token == Some(handle)
    }

    fn note_bounds(&mut self, id: TokenRef, name: &str, enabled: (bool, bool), is_bound: bool) {
        if enabled == (true, false) {
            self.outcome.stopped.add(id, name);
        } else if is_bound {
            self.outcome.bound.add(id, name);
        }
    }

    fn chosen<T>(&self, saved: T, corrected: T) -> T {
        if self.brings_back { saved } else { corrected }
    }
}

/// Whether a token may do less than it could.
fn is_bound(saved: &ServiceToken, next: &ServiceToken) -> bool {
    next.expires_at < saved.expires_at || next.restrictions != saved.restrictions
}

/// Greater than both, where the store has changed since: whoever knows a later row does not take this one for it.
fn newer(saved: Version, stored: Option<Version>) -> Version {
    stored.filter(|stored| *stored > saved).map_or(saved, Version::next)
}

/// Of each dimension what the backup has, where that is within what is now; else what is now.
fn narrower(saved: &Restrictions, now: &Restrictions) -> Restrictions {
    Restrictions::new(
        if saved.scopes.within(&now.scopes) { saved } else { now }.scopes.clone(),
        if saved.organizations().within(now.organizations()) { saved } else { now }.organizations().clone(),
        if saved.resources().within(now.resources()) { saved } else { now }.resources().clone(),
        if saved.allowed_ips().within(now.allowed_ips()) { saved } else { now }.allowed_ips().clone(),
        if saved.limits().within(now.limits()) { saved } else { now }.limits(),
    )
}
