//! A credential as a door finds it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use countersign_domain::account::AccountChain;
use countersign_domain::fact::Fact;
use countersign_domain::id::OrganizationId;
use countersign_domain::service_token::SecretVersion;

use super::account::AccountNode;

/// A credential as a door finds it.
#[derive(Debug)]
pub struct Known {
    /// What verification needs to know.
    pub fact: Fact,
    /// Its account: a pointer instead of a look-up, so that verification shares no lock between cores.
    account: Arc<AccountNode>,
    /// Whether a use of the current and of the previous secret was ever written.
    used: [AtomicBool; 2],
}

/// A credential at the moment at which it was looked for.
#[derive(Debug, Clone)]
pub struct Found {
    /// What is known of it.
    pub known: Arc<Known>,
    /// Whether a token from which it stems ended with everything that stems from it.
    pub is_cut: bool,
}

impl Known {
    pub(super) fn new(fact: Fact, account: Arc<AccountNode>) -> Self {
        Self { fact, account, used: Default::default() }
    }

    /// Its account and those above.
    pub fn chain(&self) -> Option<AccountChain> {
        self.account.chain()
    }

    /// Of these organizations, those in which its account may act right now.
    pub(crate) fn acts_in(&self, organizations: &[OrganizationId]) -> Vec<OrganizationId> {
        organizations.iter().copied().filter(|organization| self.account.acts_in(*organization)).collect()
    }

    /// The first organizations in which the bearer may act right now, at most `most`.
    pub fn organizations(&self, most: usize) -> Vec<OrganizationId> {
        match self.fact.restrictions.organizations().stated() {
            None => self.account.organizations(most),
            Some(stated) => self.acts_in(stated).into_iter().take(most).collect(),
        }
    }

    /// Whether a use of this secret, the current or the previous one, was ever written.
    pub(crate) fn used(&self, version: SecretVersion) -> &AtomicBool {
        &self.used[usize::from(version != self.fact.secret_version)]
    }

    /// Whether this is the number of its current or of its previous secret.
    pub(super) fn has_secret(&self, version: SecretVersion) -> bool {
        let previous = self.fact.previous.as_ref();
        version == self.fact.secret_version
            || previous.is_some_and(|previous| previous.secret_version == version)
    }

    /// Takes over what is known of the use of secrets that are still there.
    pub(super) fn inherit(&self, old: &Self) {
        let previous = self.fact.previous.as_ref().map(|previous| previous.secret_version);
        for version in [Some(self.fact.secret_version), previous].into_iter().flatten() {
            if old.has_secret(version) {
                let used = old.used(version).load(Ordering::Relaxed);
                self.used(version).store(used, Ordering::Relaxed);
            }
        }
    }
}
