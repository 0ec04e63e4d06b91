//! The use cases of Countersign, without HTTP: who may do what, what is read before a rule decides, what is
//! written, and what every door is told.
//!
//! [`Authority`] is the one entry. It reads and writes through the [`Store`](countersign_domain::store::Store) port,
//! judges from the [`Directory`] alone, and keeps [`UsageLog`] beside both.

mod access_tokens;
mod accounts;
mod audit;
mod change;
mod directory;
mod login;
mod meter;
mod organizations;
mod passwords;
mod policy;
mod quotas;
mod root;
mod seal;
mod service_tokens;
mod signing;
mod throttle;
mod upkeep;
mod usage;
mod verify;

use std::sync::Arc;
use std::time::Duration;

use countersign_domain::caller::{Caller, Permission};
use countersign_domain::entropy::Entropy;
use countersign_domain::error::{Denial, Error};
use countersign_domain::id::AccountId;
use countersign_domain::lease::{Freshness, Lease};
use countersign_domain::lifetime::Lifetime;
use countersign_domain::signed::SignedToken;
use countersign_domain::store::{Revision, SharedStore, StoreError};
use countersign_domain::time::{Clock, Timestamp, Uptime};
use countersign_domain::verdict::Reason;
use tokio::sync::Semaphore;

pub use access_tokens::{AccessTokenList, AccessTokenRequest};
pub use accounts::{AccountPatch, AccountRequest, AccountStep};
pub use audit::AuditFilter;
pub use change::Asked;
pub use directory::{Census, Directory, Found, Known};
pub use meter::{Allowance, Exceeded, QuotaLeft};
pub use organizations::{Invitation, MembershipStep};
use passwords::Passwords;
pub use policy::Policy;
use quotas::QuotaLog;
pub use root::{RootError, RootOutcome, RootSettings};
pub use seal::{KEY, Seal};
pub use service_tokens::{List, Listed, ServiceTokenView};
use signing::Signing;
pub use signing::{
    Algorithm, Certificate, Exchange, ExchangeRefusal, Exchanged, Jwk, KeySchedule, MOST_RESOURCES, Material,
    Revocation, RevocationReason, Revocations, SigningSettings, TEND_KEYS_EVERY, is_resource, looks_signed,
};
use throttle::Throttle;
pub use upkeep::{FLUSH_EVERY, SWEEP_EVERY};
pub use usage::{UsageLog, UsageStats};
pub use verify::{Decision, Granted, Refused, Sighting};

/// Why nothing can be decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unready {
    /// Not everything that is stored is known yet.
    #[error("the directory is not loaded yet")]
    Loading,
    /// What other nodes changed is not known: something may have been revoked.
    #[error("what other nodes change has not been known for too long")]
    Lapsed,
}

/// Most look-ups in the store for strangers at once: fewer than the readers that it has at least.
const MOST_LOOKUPS: usize = 2;

/// The use cases. Cheap to share behind an `Arc`; holds no lock across an await.
pub struct Authority {
    /// Everything durable.
    store: SharedStore,
    /// What the doors know; the store's change sink feeds it.
    directory: Arc<Directory>,
    /// Uses and refusals that wait to be written.
    usage: UsageLog,
    /// What was used of quotas and waits to be told to the store.
    quotas: QuotaLog,
    /// Hashes passwords away from the requests.
    passwords: Passwords,
    /// How often somebody may try to log in.
    throttle: Throttle,
    /// Held by who looks something up for a stranger.
    lookups: Semaphore,
    /// Held by who removes what has just ended.
    sweeper: Semaphore,
    /// Where texts of access tokens are kept for those who may list them.
    seal: Option<Arc<Seal>>,
    /// With what short-lived tokens are signed.
    signing: Option<Box<Signing>>,
    /// Where others change the same store: until when all that they did is known.
    lease: Option<(Arc<Lease>, Arc<dyn Uptime>)>,
    /// The time.
    clock: Arc<dyn Clock>,
    /// Where secrets and ids come from.
    entropy: Arc<dyn Entropy>,
    /// What this deployment allows.
    policy: Policy,
}

impl Authority {
    /// Puts the parts together. The directory must be the change sink of the store, and nothing is known until
    /// [`Authority::load`].
    pub fn new(
        store: SharedStore,
        directory: Arc<Directory>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        policy: Policy,
    ) -> Self {
        let passwords = Passwords::new(policy.hashing_at_once, Arc::clone(&entropy));
        let throttle =
            Throttle::new(policy.logins_per_minute_account, policy.logins_per_minute_address, &clock);
        Self {
            store,
            directory,
            usage: UsageLog::default(),
            quotas: QuotaLog::default(),
            passwords,
            throttle,
            lookups: Semaphore::new(MOST_LOOKUPS),
            sweeper: Semaphore::new(1),
            seal: None,
            signing: None,
            lease: None,
            clock,
            entropy,
            policy,
        }
    }

    /// From now on the texts of new access tokens are kept, sealed, for those who may list them.
    #[must_use]
    pub fn listing_texts(self, seal: Arc<Seal>) -> Self {
        Self { seal: Some(seal), ..self }
    }

    /// From now on service tokens can be exchanged for signed ones. [`Authority::tend_keys`] has to be called.
    #[must_use]
    pub fn signing_with(self, settings: SigningSettings, seal: Arc<Seal>) -> Self {
        Self { signing: Some(Box::new(Signing::new(settings, seal))), ..self }
    }

    /// Whether a text begins as a signed token of ours does.
    pub fn is_signed_here(&self, text: &str) -> bool {
        self.signing.as_ref().is_some_and(|signing| signing.has_signed(text))
    }

    /// What a signed token says, if its signature is good.
    pub fn read_signed(&self, text: &str) -> Result<Arc<SignedToken>, Reason> {
        let signing = self.signing.as_ref().ok_or(Reason::Unknown)?;
        signing.read(text, self.clock.now())
    }

    /// From now on nothing is granted without a good lease: others change the same store. Whoever follows them renews it.
    #[must_use]
    pub fn leased(self, lease: Arc<Lease>, uptime: Arc<dyn Uptime>) -> Self {
        Self { lease: Some((lease, uptime)), ..self }
    }

    /// Fills the directory from the store. Call it once, before anything is written or verified.
    pub async fn load(&self) -> Result<Revision, StoreError> {
        let directory = Arc::clone(&self.directory);
        let revision = self.store.load_facts(Box::new(move |change| directory.learn(change))).await?;
        self.recall_quotas().await?;
        self.directory.ready();
        Ok(revision)
    }

    /// Learns which secrets were used before. Call it once, after [`Authority::load`]; nothing waits for it but the first
    /// uses of secrets, which are written within a minute until then, and at once from then on.
    pub async fn recall_uses(&self) -> Result<(), StoreError> {
        let directory = Arc::clone(&self.directory);
        let mark = Box::new(move |key, version| directory.mark_used(&key, version));
        self.store.load_used_secrets(mark).await?;
        self.usage.recalled();
        Ok(())
    }

    /// Whether what the directory says may be acted on. Ask it before every verification.
    pub fn readiness(&self) -> Result<Freshness, Unready> {
        if !self.directory.is_ready() {
            return Err(Unready::Loading);
        }
        let Some((lease, uptime)) = &self.lease else { return Ok(Freshness::Fresh) };
        match lease.freshness(uptime.uptime()) {
            Freshness::Lapsed => Err(Unready::Lapsed),
            freshness => Ok(freshness),
        }
    }

    /// For how much longer all that others changed is known; `None` where nobody else changes the store.
    pub fn lease_left(&self) -> Option<Duration> {
        self.lease.as_ref().map(|(lease, uptime)| lease.left(uptime.uptime()))
    }

    /// Whether the store can be read and written now.
    pub async fn check_store(&self) -> Result<(), StoreError> {
        self.store.check().await
    }

    /// What the doors know.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The state of the usage log, for metrics.
    pub fn usage_stats(&self) -> UsageStats {
        self.usage.stats()
    }

    /// The duration of a service token for which none was stated.
    pub fn default_lifetime(&self) -> Lifetime {
        self.policy.default_lifetime()
    }

    /// The time, as everything here sees it.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Fills `out` with random bytes from the port, for request ids.
    pub fn random(&self, out: &mut [u8]) {
        self.entropy.fill(out);
    }

    /// Whether the token of `caller` has the scope.
    fn check_scope(&self, caller: &Caller, permission: Permission) -> Result<(), Error> {
        if caller.may(permission) {
            return Ok(());
        }
        Err(Error::Denied(Denial::MissingScope(permission.scope())))
    }

    /// Whether `caller` may do this with `account`: its token has the scope, and the account is its own or below.
    fn admit(&self, caller: &Caller, account: AccountId, permission: Permission) -> Result<(), Error> {
        self.check_scope(caller, permission)?;
        let chain = self.directory.chain(account).filter(|chain| !chain.is_deleted());
        if !chain.is_some_and(|chain| chain.is_within(caller.account)) {
            return Err(Error::Denied(Denial::ForeignAccount));
        }
        Ok(())
    }
}
