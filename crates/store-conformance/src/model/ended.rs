//! The sweep of what has ended by a mark: the model does all of it in one turn.

use countersign_domain::account::{Account, AccountState};
use countersign_domain::change::FactChange;
use countersign_domain::email::Email;
use countersign_domain::fact::CredentialKey;
use countersign_domain::id::{AccountId, TokenRef};
use countersign_domain::organization::Membership;
use countersign_domain::profile::Profile;
use countersign_domain::service_token::ServiceToken;
use countersign_domain::store::{Revision, SweptEnded, Version};

use super::state::State;

impl State {
    /// Removes what has ended; gives what that means for the doors.
    pub(super) fn sweep_ended(&mut self) -> (SweptEnded, Vec<FactChange>) {
        self.delete_orphans();
        self.epoch_sweeps.clear();
        let mut gone = self.sweep_memberships();
        gone.extend(self.sweep_service_tokens());
        gone.extend(self.sweep_access_tokens_that_ended());
        let is_deleted = |account: &Account| account.state == AccountState::Deleted;
        let deleted: Vec<_> =
            self.accounts.values().filter(|account| is_deleted(account)).map(|account| account.id).collect();
        for id in deleted {
            self.accounts.remove(&id);
            gone.push(FactChange::AccountGone(id));
        }
        let removed = gone.len() as u32;
        gone.extend(std::mem::take(&mut self.cuts).into_iter().map(FactChange::CutHealed));
        if !gone.is_empty() {
            self.revision = Revision(self.revision.0 + 1);
        }
        (SweptEnded { removed, more: false }, gone)
    }

    /// What stands below a deleted account is deleted.
    fn delete_orphans(&mut self) {
        loop {
            let is_orphan = |account: &Account| {
                account.state != AccountState::Deleted
                    && account.parent.is_some_and(|parent| !self.is_there(parent))
            };
            let orphans: Vec<AccountId> = self
                .accounts
                .values()
                .filter(|account| is_orphan(account))
                .map(|account| account.id)
                .collect();
            if orphans.is_empty() {
                return;
            }
            for account in self.accounts.values_mut().filter(|account| orphans.contains(&account.id)) {
                account.state = AccountState::Deleted;
                account.email = Email::of_deleted(account.id);
                account.password = None;
                account.profile = Profile::default();
            }
        }
    }

    fn sweep_memberships(&mut self) -> Vec<FactChange> {
        let organizations: Vec<_> =
            self.organizations.values().filter(|row| !self.is_there(row.owner)).map(|row| row.id).collect();
        let ends =
            |row: &&Membership| !self.is_there(row.account) || organizations.contains(&row.organization);
        let memberships: Vec<_> =
            self.memberships.values().filter(ends).map(|row| (row.id, row.version)).collect();
        let mut gone = Vec::new();
        for (id, version) in memberships {
            self.memberships.remove(&id);
            gone.push(FactChange::MembershipGone { id, version: version.next() });
        }
        for id in organizations {
            self.organizations.remove(&id);
            gone.push(FactChange::OrganizationGone(id));
        }
        gone
    }

    fn sweep_service_tokens(&mut self) -> Vec<FactChange> {
        let is_cut =
            |token: &ServiceToken| token.lineage.handles().iter().any(|handle| self.cuts.contains(handle));
        let ended: Vec<_> = self
            .service_tokens
            .values()
            .filter(|token| !self.is_there(token.account) || is_cut(token))
            .map(|token| (token.id, token.client_id, token.version))
            .collect();
        let mut remove = |(id, client_id, version): (_, _, Version)| {
            self.service_tokens.remove(&id);
            self.forget_usage(TokenRef::Service(id));
            FactChange::CredentialGone { key: CredentialKey::Client(client_id), version: version.next() }
        };
        ended.into_iter().map(&mut remove).collect()
    }

    fn sweep_access_tokens_that_ended(&mut self) -> Vec<FactChange> {
        let ended: Vec<_> = self
            .access_tokens
            .values()
            .filter(|token| !self.is_there(token.account) || self.has_ended(token))
            .map(|token| (token.handle, token.version))
            .collect();
        let mut remove = |(handle, version): (_, Version)| {
            self.remove_access_token(handle);
            FactChange::CredentialGone { key: CredentialKey::Handle(handle), version: version.next() }
        };
        ended.into_iter().map(&mut remove).collect()
    }
}
