//! What is said while other nodes cannot be followed: when it begins, from time to time, and when it is over.

use std::time::Duration;

use countersign_domain::error::causes;
use countersign_domain::lease::Freshness;
use countersign_domain::store::StoreError;
use tokio::time::Instant;

use crate::failure::Failure;

/// How often it is said that it goes on.
const BETWEEN_REMINDERS: Duration = Duration::from_secs(10);

/// Speaks of trouble once, not four times a second.
pub(crate) struct Trouble {
    /// When it was last said that something fails.
    said: Option<Instant>,
    /// What was said last. Before everything was loaded nobody has to be told that nothing is known.
    freshness: Freshness,
}

impl Default for Trouble {
    fn default() -> Self {
        Self { said: None, freshness: Freshness::Lapsed }
    }
}

impl Trouble {
    /// Takes in how an attempt to follow has ended, and what the lease says now.
    pub(crate) fn note(&mut self, done: Result<(), Failure>, freshness: Freshness) {
        match done {
            Err(failure) if self.said.is_none_or(|said| said.elapsed() >= BETWEEN_REMINDERS) => {
                let error = StoreError::from(failure);
                tracing::error!(error = %causes(&error), "what other nodes change is not known");
                self.said = Some(Instant::now());
            }
            Err(_) => {}
            Ok(()) if self.said.take().is_some() => tracing::info!("what other nodes change is known again"),
            Ok(()) => {}
        }
        if freshness != self.freshness {
            match freshness {
                Freshness::Fresh => tracing::info!("the lease is renewed"),
                Freshness::Stale => tracing::error!("the lease has lapsed; doors go on with what was known"),
                Freshness::Lapsed => tracing::error!("the lease has lapsed; everything is refused"),
            }
            self.freshness = freshness;
        }
    }
}
