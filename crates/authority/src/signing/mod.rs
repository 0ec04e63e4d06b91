//! Short-lived tokens that services check by themselves: the [keys](ring) that sign them, their [form](token), and how one
//! is [got](exchange).

mod assertion;
mod certificate;
mod exchange;
mod key;
mod keys;
mod revocations;
pub(crate) mod ring;
mod token;

use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use countersign_domain::signed::SignedToken;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, UnitWeighter};

use crate::seal::Seal;
use ring::KeyRing;

pub use exchange::{Exchange, ExchangeRefusal, Exchanged, MOST_RESOURCES, is_resource};
pub use key::{Algorithm, Jwk, Material};
pub use keys::{Certificate, KeySchedule, TEND_KEYS_EVERY};
pub(crate) use revocations::MATTERS;
pub use revocations::{Revocation, RevocationReason, Revocations};
pub use token::looks_signed;

/// Most tokens whose signatures are remembered: 300 to 600 bytes each, and 5 kB where one has as many audiences and scopes as it may.
const MOST_SEEN: usize = 16_384;

/// How this deployment signs.
#[derive(Debug, Clone)]
pub struct SigningSettings {
    /// Who issues (`iss`), and for whom a token is that says nothing else: the public URL.
    pub issuer: Box<str>,
    /// By what access tokens are signed.
    pub algorithm: Algorithm,
    /// How long an access token lives.
    pub lifetime: Duration,
    /// For whom tokens may be asked for (RFC 8707); `None` = for whomever.
    pub resources: Option<Vec<Box<str>>>,
    /// Whether nobody else has the store: then keys that this node cannot use are nobody's, and it makes others.
    pub is_alone: bool,
}

/// All that signing needs.
pub(crate) struct Signing {
    settings: SigningSettings,
    /// Under what private keys are kept.
    seal: Arc<Seal>,
    ring: ArcSwap<KeyRing>,
    /// Tokens whose signatures were found to be good, by the SHA-256 of their text. Never what came of them.
    seen: Cache<[u8; 32], Arc<SignedToken>>,
    /// Assertions that are said again.
    assertions: Cache<assertion::Subject, assertion::Kept>,
}

impl Signing {
    pub(crate) fn new(settings: SigningSettings, seal: Arc<Seal>) -> Self {
        Self {
            settings,
            seal,
            ring: ArcSwap::default(),
            seen: recent(MOST_SEEN),
            assertions: recent(assertion::MOST_KEPT),
        }
    }
}

/// A cache for what lives for minutes. As the library sets it up, nearly all of it goes to what came first and is kept until something
/// else was asked for twice while it was in the small rest; here half is for what came last.
fn recent<K: Eq + Hash, V: Clone>(most: usize) -> Cache<K, V> {
    let mut options = OptionsBuilder::new();
    options.estimated_items_capacity(most).weight_capacity(most as u64);
    let options = options.hot_allocation(0.5).ghost_allocation(1.0).build();
    options.map_or_else(
        |_| Cache::new(most),
        |options| {
            Cache::with_options(
                options,
                UnitWeighter,
                DefaultHashBuilder::default(),
                DefaultLifecycle::default(),
            )
        },
    )
}

#[cfg(test)]
mod tests;
