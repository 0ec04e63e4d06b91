//! What a deployment allows.

use std::num::NonZeroU32;
use std::time::Duration;

use countersign_domain::error::{Error, Field};
use countersign_domain::lifetime::{Lifetime, Span, Ttl};
use countersign_domain::secret::SecretPrefix;

/// What a deployment allows, from its configuration.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Longest duration of a service token and longest ttl of an access token; `None` = as long as the wires
    /// allow. Also the default duration when it is shorter than a year.
    pub max_lifetime: Option<Lifetime>,
    /// Whether a token may live for ever (`forever`, ttl -1).
    pub allow_forever: bool,
    /// Most service tokens of an account.
    pub service_tokens_per_account: u32,
    /// Most access tokens of an account.
    pub access_tokens_per_account: u32,
    /// Most access tokens of an account that come from logging in.
    pub logins_per_account: u32,
    /// Most accounts directly below an account.
    pub children_per_account: u32,
    /// Most organizations to which an account belongs.
    pub organizations_per_account: u32,
    /// Most accounts that belong to an organization.
    pub members_per_organization: u32,
    /// Whether somebody who is not known may make an account below the root.
    pub open_sign_up: bool,
    /// The ttl of a token from logging in for which none was stated.
    pub login_ttl: Ttl,
    /// How often a minute an account's password may be tried, and from an address.
    pub logins_per_minute_account: NonZeroU32,
    /// As [`Policy::logins_per_minute_account`], for all accounts from one address.
    pub logins_per_minute_address: NonZeroU32,
    /// How many passwords are hashed at once; each takes a core and 19 MB for some tens of milliseconds.
    pub hashing_at_once: usize,
    /// How new service token secrets begin.
    pub secret_prefix: SecretPrefix,
    /// How long records of the audit are kept; `None` = for ever.
    pub audit_retention: Option<Duration>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            max_lifetime: None,
            allow_forever: true,
            service_tokens_per_account: 1_000_000,
            access_tokens_per_account: 1_000_000,
            logins_per_account: 1_000,
            children_per_account: 100_000,
            organizations_per_account: 100,
            members_per_organization: 10_000,
            open_sign_up: false,
            login_ttl: Ttl::DEFAULT,
            logins_per_minute_account: const { NonZeroU32::new(20).unwrap() },
            logins_per_minute_address: const { NonZeroU32::new(60).unwrap() },
            hashing_at_once: 2,
            secret_prefix: SecretPrefix::default(),
            audit_retention: None,
        }
    }
}

impl Policy {
    /// The duration of a service token for which none was stated.
    pub fn default_lifetime(&self) -> Lifetime {
        let year = Lifetime::year();
        match &self.max_lifetime {
            Some(max) if exceeds(&year, max) => max.clone(),
            _ => year,
        }
    }

    /// Refuses a duration that is longer than allowed.
    pub(crate) fn check_lifetime(&self, lifetime: &Lifetime) -> Result<(), Error> {
        if lifetime.span() == Span::Forever && !self.allow_forever {
            return Err(Error::invalid(Field::Lifetime, "must not be `forever` here"));
        }
        match &self.max_lifetime {
            Some(max) if exceeds(lifetime, max) => {
                Err(Error::invalid(Field::Lifetime, format!("must be at most `{max}` here")))
            }
            _ => Ok(()),
        }
    }

    /// Clamps a ttl to what is allowed, as LoopBack clamps one that is too long; refuses an eternal one where none
    /// is allowed.
    pub(crate) fn clamp_ttl(&self, ttl: Ttl) -> Result<Ttl, Error> {
        let longest = match self.max_lifetime.as_ref().map(Lifetime::span) {
            Some(Span::Finite(longest)) => Some(u32::try_from(longest.as_secs()).unwrap_or(u32::MAX).max(1)),
            Some(Span::Forever) | None => None,
        };
        match (ttl, longest) {
            (Ttl::Seconds(seconds), Some(longest)) => Ok(Ttl::Seconds(seconds.min(longest))),
            (Ttl::Seconds(_), None) => Ok(ttl),
            (Ttl::Eternal, None) if self.allow_forever => Ok(ttl),
            (Ttl::Eternal, _) => {
                Err(Error::invalid(Field::Ttl, "must not be -1 here: tokens have to expire"))
            }
        }
    }
}

fn exceeds(lifetime: &Lifetime, max: &Lifetime) -> bool {
    match (lifetime.span(), max.span()) {
        (_, Span::Forever) => false,
        (Span::Forever, Span::Finite(_)) => true,
        (Span::Finite(span), Span::Finite(max)) => span > max,
    }
}
