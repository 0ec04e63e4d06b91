//! How long and how large.

use std::time::Duration;

use super::tenants::TenantsSize;

/// Most tokens that the server looks through for a search; in a larger account it refuses to.
pub(crate) const MOST_SEARCHED: usize = 150_000;

/// The sizes of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    /// How often everything is measured.
    pub(crate) rounds: u32,
    /// Before anything is counted.
    pub(crate) warm_up: Duration,
    /// The same where latency is measured: a minute, for then the server writes usage as on any later day.
    pub(crate) long_warm_up: Duration,
    /// Of a target.
    pub(crate) measured: Duration,
    /// Of the reference before it.
    pub(crate) reference: Duration,
    /// Of the run that needs ten checkpoints.
    pub(crate) checkpoints: Duration,
    /// Live tokens of the small directory.
    pub(crate) few: usize,
    /// Live tokens of the usual one.
    pub(crate) usual: usize,
    /// Live tokens of the large one: as many as an account may have.
    pub(crate) many: usize,
    /// Live tokens of the one that is searched: as many as a search looks through, if it can.
    pub(crate) searched: usize,
    /// The small directory with a tree of accounts.
    pub(crate) few_tenants: TenantsSize,
    /// The large one.
    pub(crate) many_tenants: TenantsSize,
    /// Access tokens that LoopBack knows.
    pub(crate) loopback: usize,
    /// Short-lived tokens that are shown again and again: fewer than the server remembers.
    pub(crate) signed_seen: usize,
    /// Short-lived tokens that are shown once: about as many as the door reads while it is measured.
    pub(crate) signed_unseen: usize,
    /// Tokens revoked and verified at once.
    pub(crate) revocations: usize,
    /// Changes on one node that are waited for on another.
    pub(crate) spread: usize,
    /// How often a node is cut off.
    pub(crate) cuts: u32,
    /// Wait for a quiet machine, and measure again when it was not.
    pub(crate) quiet: bool,
}

impl Scale {
    /// The sizes of `reference/measuring.md`, or small ones.
    pub(crate) fn of(quick: bool) -> Self {
        if quick { Self::quick() } else { Self::full() }
    }

    fn full() -> Self {
        Self {
            rounds: 3,
            warm_up: Duration::from_secs(2),
            long_warm_up: Duration::from_secs(65),
            measured: Duration::from_secs(10),
            reference: Duration::from_secs(4),
            checkpoints: Duration::from_secs(40),
            few: 1_000,
            usual: 100_000,
            many: 1_000_000,
            searched: MOST_SEARCHED,
            few_tenants: TenantsSize { accounts: 1_000, access_tokens: 10_000, service_tokens: 100 },
            many_tenants: TenantsSize {
                accounts: 100_000,
                access_tokens: 1_000_000,
                service_tokens: 100_000,
            },
            loopback: 10_000,
            signed_seen: 10_000,
            signed_unseen: 300_000,
            revocations: 10_000,
            spread: 1_000,
            cuts: 5,
            quiet: true,
        }
    }

    fn quick() -> Self {
        Self {
            rounds: 1,
            warm_up: Duration::from_millis(300),
            long_warm_up: Duration::from_millis(300),
            measured: Duration::from_secs(1),
            reference: Duration::from_secs(1),
            checkpoints: Duration::from_secs(4),
            few: 1_000,
            usual: 5_000,
            many: 20_000,
            searched: 5_000,
            few_tenants: TenantsSize { accounts: 200, access_tokens: 2_000, service_tokens: 100 },
            many_tenants: TenantsSize { accounts: 1_000, access_tokens: 10_000, service_tokens: 5_000 },
            loopback: 1_000,
            signed_seen: 1_000,
            signed_unseen: 30_000,
            revocations: 500,
            spread: 100,
            cuts: 2,
            quiet: false,
        }
    }

    /// One unknown token to nine live ones: 10% of the answers must be refusals.
    pub(crate) fn unknown_beside(live: usize) -> usize {
        live / 9
    }
}
