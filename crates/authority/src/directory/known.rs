//! A credential as a door finds it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use countersign_domain::account::AccountChain;
use countersign_domain::fact::Fact;
use countersign_domain::id::OrganizationId;
use countersign_domain::service_token::SecretVersion;
use countersign_domain::time::Timestamp;
use countersign_domain::usage::QuotaUse;

use super::account::AccountNode;
use crate::meter::{Allowance, Exceeded, Meter};

/// A credential as a door finds it.
#[derive(Debug)]
pub struct Known {
    /// What verification needs to know.
    pub fact: Fact,
    /// Its account: a pointer instead of a look-up, so that verification shares no lock between cores.
    account: Arc<AccountNode>,
    /// Whether a use of the current and of the previous secret was ever written.
    used: [AtomicBool; 2],
    /// How often it was used, when it is limited. Shared with what it was before it changed, so that nobody counts from
    /// nothing again because a token was renamed or rotated.
    meter: Option<Arc<Meter>>,
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
        let meter = (!fact.restrictions.limits().is_none()).then(Arc::default);
        Self { fact, account, used: Default::default(), meter }
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

    /// Takes a use at `now`, where uses are limited; refuses when that would be too much.
    pub(crate) fn take(&self, now: Timestamp) -> Result<Option<Allowance>, Exceeded> {
        let Some(meter) = &self.meter else { return Ok(None) };
        meter.take(self.fact.restrictions.limits(), now).map(Some)
    }

    /// Gives back of the quota what was taken for nothing.
    pub(crate) fn give_back(&self, allowance: Option<Allowance>) {
        let quota = allowance.and_then(|allowance| allowance.quota);
        if let (Some(meter), Some(quota)) = (&self.meter, quota) {
            meter.give_back(quota.window);
        }
    }

    /// How often it was used, when it is limited.
    pub(crate) fn meter(&self) -> Option<&Meter> {
        self.meter.as_deref()
    }

    /// What is to be told of its quota; `None`: nothing new.
    pub(crate) fn begin_telling(&self) -> Option<QuotaUse> {
        let (window, used) = self.meter()?.begin_telling()?;
        Some(QuotaUse { token: self.fact.token(), window, used })
    }

    /// Takes in what was used before the start.
    pub(crate) fn recall(&self, uses: QuotaUse) {
        let quota = self.fact.restrictions.limits().quota;
        if let (Some(meter), Some(quota)) = (&self.meter, quota)
            && quota.per() == uses.window.period()
        {
            meter.recall(uses.window, uses.used);
        }
    }

    /// Takes over what is known of the use of secrets that are still there, and the meter.
    pub(super) fn inherit(&mut self, old: &Self) {
        if let (Some(meter), Some(old)) = (&mut self.meter, &old.meter) {
            *meter = Arc::clone(old);
        }
        let previous = self.fact.previous.as_ref().map(|previous| previous.secret_version);
        for version in [Some(self.fact.secret_version), previous].into_iter().flatten() {
            if old.has_secret(version) {
                let used = old.used(version).load(Ordering::Relaxed);
                self.used(version).store(used, Ordering::Relaxed);
            }
        }
    }
}
