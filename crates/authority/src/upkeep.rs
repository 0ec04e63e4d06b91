//! What has to be done from time to time. The binary calls these; nothing here has a clock of its own.

use std::time::Duration;

use countersign_domain::error::causes;
use countersign_domain::store::StoreError;
use countersign_domain::time::Timestamp;
use countersign_domain::usage::UsageBatch;

use crate::{Authority, signing};

/// How often [`Authority::flush_usage`] wants to be called.
pub const FLUSH_EVERY: Duration = Duration::from_millis(25);
/// How often [`Authority::sweep`] wants to be called.
pub const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// Most uses taken in one call, and rows written in one transaction. With [`FLUSH_EVERY`] this bounds the rate at which
/// usage is written, to 4,000 secrets a second: bookkeeping may cost the doors some percent and no more. Where more are
/// in use, each is written less often than once a minute. Few at a time, because on a small machine whatever is done
/// here is what a request at a door waits for.
const USES_A_FLUSH: usize = 100;
/// Rows swept in one go.
const ROWS_A_SWEEP: u32 = 500;
/// An expired access token is told apart from an unknown one for this long.
const KEEP_EXPIRED: Duration = Duration::from_secs(24 * 3600);
/// What was used of a quota is kept for so long after its day or month, for nodes that still tell of it.
const KEEP_QUOTAS: Duration = Duration::from_secs(24 * 3600);
/// Refusals are kept for this long (design 2.4).
const KEEP_REFUSALS: Duration = Duration::from_secs(30 * 24 * 3600);

impl Authority {
    /// Writes uses and refusals that are due, and what was used of quotas. What the store does not take waits for the next
    /// call.
    pub async fn flush_usage(&self) -> Result<(), StoreError> {
        // One must not wait for ever because the other is not taken.
        let quotas = self.flush_quotas(self.clock.now()).await;
        self.flush_due(self.clock.now()).await?;
        quotas.map(|_| ())
    }

    /// Writes everything that waits; for shutdown.
    pub async fn flush_all_usage(&self) -> Result<(), StoreError> {
        while self.flush_quotas(Timestamp::NEVER).await? {}
        while self.flush_due(Timestamp::NEVER).await? {}
        Ok(())
    }

    /// Writes what may be written at `time`; gives whether there was anything.
    async fn flush_due(&self, time: Timestamp) -> Result<bool, StoreError> {
        let due = self.usage.take_due(time, USES_A_FLUSH);
        if due.uses.is_empty() && due.refusals.is_empty() {
            return Ok(false);
        }
        let written = self.write_usage(&due).await;
        if written.is_err() {
            self.usage.rest(self.clock.now());
        }
        self.usage.put_back();
        written.map(|()| true)
    }

    /// Writes part after part, so that what is written once is not written again when a later part fails.
    async fn write_usage(&self, due: &UsageBatch) -> Result<(), StoreError> {
        let uses = due.uses.chunks(USES_A_FLUSH);
        let uses = uses.map(|uses| UsageBatch { uses: uses.to_vec(), refusals: Vec::new() });
        let refusals = due.refusals.chunks(USES_A_FLUSH);
        let refusals = refusals.map(|refusals| UsageBatch { uses: Vec::new(), refusals: refusals.to_vec() });
        for part in uses.chain(refusals) {
            self.store.record_usage(part.clone()).await?;
            self.usage.settle(&part);
        }
        Ok(())
    }

    /// Removes some of what has ended just now, so that lists do not show it. What is left is for [`Authority::sweep`];
    /// the doors refuse it already, so that this may fail.
    pub(crate) async fn sweep_ended_a_little(&self) {
        // One at a time: many ends at once must not fill the queue of what waits behind changes.
        // The permit comes back even when the client goes away meanwhile.
        let Ok(_permit) = self.sweeper.try_acquire() else { return };
        if let Err(error) = self.store.sweep_ended(ROWS_A_SWEEP).await {
            tracing::warn!(error = %causes(&error), "what has ended is not swept yet");
        }
    }

    /// Removes what is past its time, in small batches so that changes are not delayed. Gives how many rows.
    pub async fn sweep(&self) -> Result<u64, StoreError> {
        let now = self.clock.now();
        let mut swept = 0;
        loop {
            let tokens = self.store.sweep_access_tokens(now.before(KEEP_EXPIRED), ROWS_A_SWEEP).await?;
            let refusals = self.store.sweep_refusals(now.before(KEEP_REFUSALS), ROWS_A_SWEEP).await?;
            let quotas = self.store.sweep_quota_uses(now.before(KEEP_QUOTAS), ROWS_A_SWEEP).await?;
            let records = match self.policy.audit_retention {
                Some(retention) => {
                    let kept = retention.max(signing::MATTERS);
                    self.store.sweep_audit(now.before(kept), ROWS_A_SWEEP).await?
                }
                None => 0,
            };
            swept += [tokens, refusals, quotas, records].into_iter().map(u64::from).sum::<u64>();
            let ended = self.store.sweep_ended(ROWS_A_SWEEP).await?;
            swept += u64::from(ended.removed);
            if [tokens, refusals, quotas, records].iter().all(|rows| *rows < ROWS_A_SWEEP) && !ended.more {
                return Ok(swept);
            }
        }
    }
}
