//! What audit records say of the time after a backup: what ended, was stopped, or was bound more tightly.

use std::collections::HashMap;

use countersign_domain::audit::{Action, Actor, AuditRecord, FieldChange, Subject};
use countersign_domain::id::{AccountId, Handle, MembershipId, OrganizationId, TokenRef};
use countersign_domain::limits::Limits;
use countersign_domain::network::Networks;
use countersign_domain::organization::{Consent, Organizations};
use countersign_domain::resource::Resources;
use countersign_domain::restrictions::StatedRestrictions;
use countersign_domain::scope::Scopes;
use countersign_domain::time::Timestamp;

use crate::when::parse_rfc3339;

/// Of everything, what was said of it last.
#[derive(Default)]
pub(super) struct Said {
    pub(super) tokens: HashMap<TokenRef, TokenSaid>,
    pub(super) accounts: HashMap<AccountId, AccountSaid>,
    /// Whether they are active.
    pub(super) organizations: HashMap<OrganizationId, bool>,
    pub(super) memberships: HashMap<MembershipId, MembershipSaid>,
    /// Root tokens that were set, in order.
    pub(super) root_tokens: Vec<Handle>,
}

/// Of a token.
#[derive(Default)]
pub(super) struct TokenSaid {
    pub(super) ended: bool,
    /// And everything that stems from it.
    pub(super) with_descendants: bool,
    pub(super) enabled: Option<bool>,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) previous_ends_at: Option<Timestamp>,
    pub(super) rotated: bool,
    pub(super) restrictions: StatedRestrictions,
}

/// Of an account.
#[derive(Default)]
pub(super) struct AccountSaid {
    pub(super) deleted: bool,
    pub(super) enabled: Option<bool>,
    pub(super) password_changed: bool,
    /// Its access tokens ended; but for this one, if it is its own.
    pub(super) tokens_ended: Option<Option<Handle>>,
}

/// Of a membership.
#[derive(Default)]
pub(super) struct MembershipSaid {
    pub(super) deleted: bool,
    pub(super) disabled: Option<bool>,
    pub(super) consent: Option<Consent>,
}

impl Said {
    /// Takes in a record; the records come in the order of what was done.
    pub(super) fn hear(&mut self, record: &AuditRecord) {
        let entry = &record.entry;
        match (entry.action, &entry.subject) {
            (Action::SetRootToken, Subject::Token(TokenRef::Access(handle))) => {
                self.root_tokens.push(*handle);
            }
            (action, Subject::Token(token)) => {
                self.tokens.entry(*token).or_default().hear(action, &entry.changes);
            }
            (action, Subject::Account(account)) => self.hear_of_account(*account, action, record),
        }
    }

    fn hear_of_account(&mut self, id: AccountId, action: Action, record: &AuditRecord) {
        let changes = &record.entry.changes;
        let find = |field| find(changes, field).and_then(|change| change.to.as_deref());
        match action {
            Action::ActivateOrganization | Action::DeactivateOrganization => {
                let organization = find("organization").and_then(|id| id.parse().ok());
                let is_active = action == Action::ActivateOrganization;
                self.organizations.extend(organization.map(|id| (id, is_active)));
            }
            Action::InviteMember
            | Action::AcceptMembership
            | Action::RejectMembership
            | Action::EnableMembership
            | Action::DisableMembership
            | Action::DeleteMembership => {
                if let Some(id) = find("membership").and_then(|id| id.parse().ok()) {
                    self.memberships.entry(id).or_default().hear(action);
                }
            }
            _ => {
                let own = match record.entry.actor {
                    Actor::Token { account, handle } if account == id => Some(handle),
                    _ => None,
                };
                self.accounts.entry(id).or_default().hear(action, changes, own);
            }
        }
    }
}

impl TokenSaid {
    fn hear(&mut self, action: Action, changes: &[FieldChange]) {
        match action {
            Action::RevokeServiceToken | Action::RevokeAccessToken => self.ended = true,
            Action::RevokeDescendants => (self.ended, self.with_descendants) = (true, true),
            Action::RotateServiceToken => self.rotated = true,
            _ => {}
        }
        for change in changes {
            self.hear_value(change);
        }
    }

    fn hear_value(&mut self, change: &FieldChange) {
        let to = change.to.as_deref();
        let time = |text: &str| if text == "never" { Some(Timestamp::NEVER) } else { parse_rfc3339(text) };
        match &*change.field {
            "enabled" => self.enabled = to.map(|to| to == "true"),
            "expires_at" => self.expires_at = to.and_then(time),
            "previous_secret_expires_at" => self.previous_ends_at = to.and_then(time),
            // Nothing stated is everything; what cannot be read is nothing.
            "scopes" => {
                let list = to.map_or(Some(Scopes::FULL), |to| Scopes::from_joined(to).ok());
                self.restrictions.scopes = list.or_else(|| Scopes::list(Vec::new()).ok());
            }
            "organizations" => {
                let list = to.map_or(Some(Organizations::ALL), |to| Organizations::from_joined(to).ok());
                self.restrictions.organizations = list.or_else(|| Organizations::list(Vec::new()).ok());
            }
            "resources" => {
                let list = to.map_or(Some(Resources::ALL), |to| Resources::from_joined(to).ok());
                self.restrictions.resources = list.or_else(|| Resources::list(Vec::new()).ok());
            }
            "allowed_ips" => {
                let list = to.map_or(Some(Networks::ALL), |to| Networks::from_joined(to).ok());
                self.restrictions.allowed_ips = list.or_else(|| Networks::list(Vec::new()).ok());
            }
            "limits" => {
                let limits = to.map_or(Some(Limits::NONE), |to| Limits::from_joined(to).ok());
                self.restrictions.limits = limits.or(Some(Limits::NARROWEST));
            }
            _ => {}
        }
    }
}

impl AccountSaid {
    fn hear(&mut self, action: Action, changes: &[FieldChange], own: Option<Handle>) {
        let is_changed = |field| find(changes, field).is_some();
        match action {
            Action::DeleteAccount => self.deleted = true,
            Action::EnableAccount => self.enabled = Some(true),
            Action::DisableAccount => self.enabled = Some(false),
            Action::ChangePassword => self.password_changed = true,
            Action::UpdateAccount => self.password_changed |= is_changed("password"),
            _ => {}
        }
        let ends_tokens = match action {
            Action::ChangePassword | Action::RevokeAllAccessTokens => true,
            Action::UpdateAccount => is_changed("password") || is_changed("email"),
            _ => false,
        };
        if ends_tokens {
            // What was kept once and not again has ended, too.
            let kept = self.tokens_ended.unwrap_or(own);
            self.tokens_ended = Some(kept.filter(|kept| own == Some(*kept)));
        }
    }
}

impl MembershipSaid {
    fn hear(&mut self, action: Action) {
        match action {
            Action::InviteMember => self.consent = Some(Consent::Asked),
            Action::AcceptMembership => self.consent = Some(Consent::Given),
            Action::RejectMembership => self.consent = Some(Consent::Refused),
            Action::EnableMembership => self.disabled = Some(false),
            Action::DisableMembership => self.disabled = Some(true),
            Action::DeleteMembership => self.deleted = true,
            _ => {}
        }
    }
}

fn find<'c>(changes: &'c [FieldChange], field: &str) -> Option<&'c FieldChange> {
    changes.iter().find(|change| &*change.field == field)
}
