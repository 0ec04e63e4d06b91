//! What the test itself knows of a sequence: who stands below whom, who minted what, what has ended. Nothing here asks
//! the code that is tested.

use countersign_domain::account::{AccountChain, AccountFact, AccountState, Epoch};
use countersign_domain::caller::Caller;
use countersign_domain::fact::CredentialKey;
use countersign_domain::id::{AccountId, Handle, MembershipId, OrganizationId, ServiceTokenId};
use countersign_domain::organization::{Consent, Organizations};
use countersign_domain::store::Version;
use countersign_domain::time::Timestamp;

use super::power::Power;

/// Everything, by index. Nothing is ever taken out, so that an index stays.
pub(super) struct Model {
    pub(super) accounts: Vec<Place>,
    pub(super) credentials: Vec<Credential>,
    pub(super) organizations: Vec<Tenant>,
    pub(super) memberships: Vec<Member>,
}

/// An account.
pub(super) struct Place {
    pub(super) id: AccountId,
    pub(super) parent: Option<usize>,
    pub(super) enabled: bool,
    pub(super) deleted: bool,
    /// As an address to log in with, where it has a password.
    pub(super) login: Option<(String, String)>,
}

/// How a credential is shown.
pub(super) enum Kind {
    Access { handle: Handle, text: String },
    Service { id: ServiceTokenId, client_id: String, secret: String },
}

/// A credential.
pub(super) struct Credential {
    pub(super) kind: Kind,
    pub(super) key: CredentialKey,
    pub(super) account: usize,
    /// The tokens from which it stems.
    pub(super) ancestors: Vec<usize>,
    pub(super) organizations: Organizations,
    pub(super) enabled: bool,
    /// For good.
    pub(super) ended: bool,
    pub(super) expires_at: Timestamp,
    /// The secret before, and until when it is accepted.
    pub(super) previous: Option<(String, Timestamp)>,
    /// Its bearer, as it was judged when it asked last.
    pub(super) caller: Option<Caller>,
    /// What an access token opens, measured when there were so many organizations.
    pub(super) power: Option<(usize, Power)>,
}

/// An organization.
pub(super) struct Tenant {
    pub(super) id: OrganizationId,
    pub(super) owner: usize,
    pub(super) active: bool,
}

/// That an account belongs to an organization.
pub(super) struct Member {
    pub(super) id: MembershipId,
    pub(super) organization: usize,
    pub(super) account: usize,
    pub(super) consent: Consent,
    pub(super) disabled: bool,
    pub(super) deleted: bool,
}

impl Model {
    pub(super) fn upwards(&self, account: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(Some(account), |below| self.accounts[*below].parent)
    }

    pub(super) fn is_within(&self, account: usize, other: usize) -> bool {
        self.upwards(account).any(|above| above == other)
    }

    /// 1 for the root.
    pub(super) fn depth(&self, account: usize) -> usize {
        self.upwards(account).count()
    }

    /// It or one above has ended.
    pub(super) fn is_gone(&self, account: usize) -> bool {
        self.upwards(account).any(|above| self.accounts[above].deleted)
    }

    /// It and all above it go on.
    pub(super) fn goes_on(&self, account: usize) -> bool {
        self.upwards(account).all(|above| self.accounts[above].enabled && !self.accounts[above].deleted)
    }

    pub(super) fn children(&self, account: usize) -> usize {
        let is_child = |place: &&Place| place.parent == Some(account) && !place.deleted;
        self.accounts.iter().filter(is_child).count()
    }

    pub(super) fn account(&self, id: AccountId) -> Option<usize> {
        self.accounts.iter().position(|place| place.id == id)
    }

    pub(super) fn credential(&self, key: CredentialKey) -> Option<usize> {
        self.credentials.iter().position(|credential| credential.key == key)
    }

    /// Whether a credential is to be accepted.
    pub(super) fn is_live(&self, credential: &Credential, now: Timestamp) -> bool {
        let own = !credential.ended && credential.enabled && credential.expires_at > now;
        own && self.goes_on(credential.account)
    }

    /// Whether an account may act in an organization: it, or one below, belongs to it, and neither the member nor the
    /// owner has ended.
    pub(super) fn acts_in(&self, account: usize, organization: usize) -> bool {
        let tenant = &self.organizations[organization];
        let counts = |member: &&Member| {
            member.organization == organization
                && member.is_effective()
                && self.is_within(member.account, account)
                && !self.is_gone(member.account)
        };
        tenant.active && !self.is_gone(tenant.owner) && self.memberships.iter().any(|member| counts(&member))
    }

    /// What has ended is swept.
    pub(super) fn sweep(&mut self) {
        for index in 0..self.memberships.len() {
            let Member { organization, account, .. } = self.memberships[index];
            let owner = self.organizations[organization].owner;
            self.memberships[index].deleted |= self.is_gone(account) || self.is_gone(owner);
        }
    }

    /// Those of an account that have ended, all but `spared`.
    pub(super) fn end_access_tokens(&mut self, account: usize, spared: usize) {
        for (index, credential) in self.credentials.iter_mut().enumerate() {
            if credential.account == account && credential.handle().is_some() && index != spared {
                credential.ended = true;
            }
        }
    }

    /// A token, and where asked what stems from it.
    pub(super) fn end(&mut self, ended: usize, descendants: bool) {
        for (index, credential) in self.credentials.iter_mut().enumerate() {
            if index == ended || descendants && credential.ancestors.contains(&ended) {
                credential.ended = true;
            }
        }
    }

    /// An account and those above it, all of them enabled.
    pub(super) fn chain(&self, account: usize) -> AccountChain {
        let fact = |index: usize| AccountFact {
            id: self.accounts[index].id,
            parent: self.accounts[index].parent.map(|parent| self.accounts[parent].id),
            state: AccountState::Enabled,
            epoch: Epoch::FIRST,
            version: Version::FIRST,
        };
        AccountChain::collect(self.upwards(account).map(fact)).unwrap()
    }
}

impl Credential {
    pub(super) fn handle(&self) -> Option<Handle> {
        match self.kind {
            Kind::Access { handle, .. } => Some(handle),
            Kind::Service { .. } => None,
        }
    }

    pub(super) fn service(&self) -> Option<ServiceTokenId> {
        match self.kind {
            Kind::Access { .. } => None,
            Kind::Service { id, .. } => Some(id),
        }
    }
}

impl Member {
    pub(super) fn is_effective(&self) -> bool {
        self.consent == Consent::Given && !self.disabled && !self.deleted
    }
}

impl Credential {
    /// The text that is shown.
    pub(super) fn secret(&self) -> &str {
        match &self.kind {
            Kind::Access { text, .. } => text,
            Kind::Service { secret, .. } => secret,
        }
    }
}
