//! The model's record of uses and refusals.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use countersign_domain::fact::CredentialKey;
use countersign_domain::id::TokenRef;
use countersign_domain::service_token::SecretVersion;
use countersign_domain::store::TokenUsage;
use countersign_domain::time::Timestamp;
use countersign_domain::usage::{QuotaUse, Refusals, Usage, UsageBatch};

use super::state::State;

/// Most refusals told of one token.
const MOST_REFUSALS: usize = 1_000;

impl State {
    pub(super) fn record(&mut self, batch: UsageBatch) {
        for usage in batch.uses {
            if self.is_stored(usage.token) {
                self.record_use(usage);
            }
        }
        for refusals in batch.refusals {
            if self.is_stored(refusals.token) {
                self.record_refusals(refusals);
            }
        }
    }

    fn is_stored(&self, token: TokenRef) -> bool {
        match token {
            TokenRef::Service(id) => self.service_tokens.contains_key(&id),
            TokenRef::Access(handle) => self.access_tokens.contains_key(&handle),
        }
    }

    fn record_use(&mut self, usage: Usage) {
        let key = (usage.token, usage.secret_version);
        if let Some(known) = self.uses.get_mut(&key) {
            return known.add(&usage);
        }
        self.uses.insert(key, usage);
        let of_token = self.uses.keys().filter(|(token, _)| *token == key.0);
        let far_behind = of_token.rev().nth(Usage::KEPT_SECRETS as usize).copied();
        self.uses.retain(|known, _| known.0 != key.0 || far_behind.is_none_or(|last| *known > last));
    }

    fn record_refusals(&mut self, refusals: Refusals) {
        let key = (refusals.token, refusals.minute, refusals.reason.as_str());
        let before = self.refusals.get(&key).map_or(0, |known| known.count);
        let count = refusals.count.saturating_add(before);
        self.refusals.insert(key, Refusals { count, ..refusals });
    }

    pub(super) fn used_secrets(&self) -> impl Iterator<Item = (CredentialKey, SecretVersion)> {
        self.uses.keys().filter_map(|(token, version)| Some((self.key_of(*token)?, *version)))
    }

    /// By what doors know a token that is there.
    fn key_of(&self, token: TokenRef) -> Option<CredentialKey> {
        match token {
            TokenRef::Service(id) => {
                self.service_tokens.get(&id).map(|token| CredentialKey::Client(token.client_id))
            }
            TokenRef::Access(handle) => {
                self.access_tokens.contains_key(&handle).then_some(CredentialKey::Handle(handle))
            }
        }
    }

    pub(super) fn quota_uses(&self) -> impl Iterator<Item = (CredentialKey, QuotaUse)> {
        self.quota_uses.iter().filter_map(|((token, window), used)| {
            Some((self.key_of(*token)?, QuotaUse { token: *token, window: *window, used: *used }))
        })
    }

    pub(super) fn add_quota_uses(&mut self, uses: &[QuotaUse]) -> Vec<QuotaUse> {
        for QuotaUse { token, window, used } in uses {
            *self.quota_uses.entry((*token, *window)).or_default() += used;
        }
        let keys: BTreeSet<_> = uses.iter().map(|uses| (uses.token, uses.window)).collect();
        let sum = |(token, window)| QuotaUse { token, window, used: self.quota_uses[&(token, window)] };
        keys.into_iter().map(sum).collect()
    }

    pub(super) fn sweep_quota_uses(&mut self, before: Timestamp, limit: u32) -> u32 {
        let mut old: Vec<_> =
            self.quota_uses.keys().filter(|(_, window)| window.ends_at() < before).copied().collect();
        old.sort_by_key(|(token, window)| (window.ends_at(), *token));
        old.truncate(limit as usize);
        for key in &old {
            self.quota_uses.remove(key);
        }
        old.len() as u32
    }

    pub(super) fn forget_usage(&mut self, token: TokenRef) {
        self.uses.retain(|(of, _), _| *of != token);
        self.refusals.retain(|(of, _, _), _| *of != token);
    }

    pub(super) fn find_usage(&self, token: TokenRef) -> TokenUsage {
        let mut uses = self.list_uses(&[token]);
        uses.sort_by_key(|usage| Reverse(usage.secret_version));
        let mut refusals: Vec<_> =
            self.refusals.values().filter(|refusals| refusals.token == token).cloned().collect();
        refusals.sort_by_key(|refusals| Reverse((refusals.minute, refusals.reason.as_str())));
        refusals.truncate(MOST_REFUSALS);
        TokenUsage { uses, refusals }
    }

    pub(super) fn list_uses(&self, tokens: &[TokenRef]) -> Vec<Usage> {
        self.uses.values().filter(|usage| tokens.contains(&usage.token)).cloned().collect()
    }

    /// Forgets the oldest refusals first.
    pub(super) fn sweep_refusals(&mut self, before: Timestamp, limit: u32) -> u32 {
        let mut old: Vec<_> =
            self.refusals.keys().filter(|(_, minute, _)| *minute < before).copied().collect();
        old.sort_by_key(|(token, minute, reason)| (*minute, *token, *reason));
        old.truncate(limit as usize);
        for key in &old {
            self.refusals.remove(key);
        }
        old.len() as u32
    }
}
