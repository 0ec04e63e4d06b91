//! The model's record of uses and refusals.

use std::cmp::Reverse;

use countersign_domain::fact::CredentialKey;
use countersign_domain::id::TokenRef;
use countersign_domain::service_token::SecretVersion;
use countersign_domain::store::TokenUsage;
use countersign_domain::time::Timestamp;
use countersign_domain::usage::{Refusals, Usage, UsageBatch};

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
        self.uses.keys().filter_map(|(token, version)| match token {
            TokenRef::Service(id) => {
                let token = self.service_tokens.get(id)?;
                Some((CredentialKey::Client(token.client_id), *version))
            }
            TokenRef::Access(handle) => Some((CredentialKey::Handle(*handle), *version)),
        })
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
