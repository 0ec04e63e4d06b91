//! The one decision of every door.

use crate::account::AccountChain;
use crate::demand::{Circumstances, Demand, Presented};
use crate::fact::{Fact, PreviousFact};
use crate::id::{OrganizationId, TokenRef};
use crate::scope::Scope;
use crate::service_token::SecretVersion;
use crate::signed::SignedToken;
use crate::signing_key::CLOCK_SKEW;
use crate::time::Timestamp;

/// What a door answers. A refusal is a value, never an error.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Let in.
    Granted(Grant),
    /// Turned away.
    Denied(Reason),
}

/// Who is let in, and with which of the two secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// Number of the secret that was shown.
    pub secret_version: SecretVersion,
    /// When it was not the current one: since when, and until when it is still accepted.
    pub outgoing: Option<Outgoing>,
}

/// A secret that is on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outgoing {
    /// When another one took its place (RFC 9745 `Deprecation`).
    pub deprecated_at: Timestamp,
    /// When it ends (RFC 8594 `Sunset`).
    pub sunset_at: Timestamp,
}

/// How a refusal looks from outside: the bearer learns this and nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// 401: no credential, or not a good one.
    Unauthenticated,
    /// 403: a good one, but not here.
    Forbidden,
    /// 429: a good one, but not now.
    Limited,
}

/// Why a credential was turned away, precisely: for the log, the metric and the verify API, never for the bearer
/// (design 2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Reason {
    /// No credential, half of one, or a text that cannot be one.
    Malformed,
    /// No live credential of this client id or handle.
    Unknown,
    /// The credential exists, the secret is another.
    WrongSecret,
    /// Past its expiry; of a signed token, also before its time.
    Expired,
    /// Disabled.
    Disabled,
    /// The secret before the current one, past its overlap.
    RotatedOut,
    /// Its account, or one above, is disabled or gone.
    AccountDisabled,
    /// Two credentials at once.
    AmbiguousCredential,
    /// A signed token that is for others.
    WrongAudience,
    /// Lacks a demanded scope.
    InsufficientScope,
    /// Not of a demanded organization.
    WrongOrganization,
    /// Not of a demanded account.
    WrongAccount,
    /// Not of the demanded kind.
    WrongKind,
    /// Bound to resources, and the original request is none of them, not stated or cannot be read.
    ResourceDenied,
    /// Bound to addresses, and the client's is none of them, or unknown.
    AddressDenied,
    /// Two statements about the original request that disagree.
    AmbiguousRequest,
    /// The door's demand is not understood.
    BadDemand,
    /// Used as often as it may be. [`judge`] never says so: it is asked when everything else is right.
    RateLimited,
}

impl Reason {
    /// Every reason, in the order of their numbers.
    pub const ALL: [Self; 18] = [
        Self::Malformed,
        Self::Unknown,
        Self::WrongSecret,
        Self::Expired,
        Self::Disabled,
        Self::RotatedOut,
        Self::AccountDisabled,
        Self::AmbiguousCredential,
        Self::WrongAudience,
        Self::InsufficientScope,
        Self::WrongOrganization,
        Self::WrongAccount,
        Self::WrongKind,
        Self::ResourceDenied,
        Self::AddressDenied,
        Self::AmbiguousRequest,
        Self::BadDemand,
        Self::RateLimited,
    ];

    /// The word for it, in logs, metrics and the verify API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unknown => "unknown",
            Self::WrongSecret => "wrong_secret",
            Self::Expired => "expired",
            Self::Disabled => "disabled",
            Self::RotatedOut => "rotated_out",
            Self::AccountDisabled => "account_disabled",
            Self::AmbiguousCredential => "ambiguous_credential",
            Self::WrongAudience => "wrong_audience",
            Self::InsufficientScope => "insufficient_scope",
            Self::WrongOrganization => "wrong_organization",
            Self::WrongAccount => "wrong_account",
            Self::WrongKind => "wrong_kind",
            Self::ResourceDenied => "resource_denied",
            Self::AddressDenied => "address_denied",
            Self::AmbiguousRequest => "ambiguous_request",
            Self::BadDemand => "bad_demand",
            Self::RateLimited => "rate_limited",
        }
    }

    /// How it looks from outside.
    pub const fn refusal(self) -> Refusal {
        match self {
            Self::Malformed
            | Self::Unknown
            | Self::WrongSecret
            | Self::Expired
            | Self::Disabled
            | Self::RotatedOut
            | Self::AccountDisabled
            | Self::AmbiguousCredential
            | Self::WrongAudience => Refusal::Unauthenticated,
            Self::InsufficientScope
            | Self::WrongOrganization
            | Self::WrongAccount
            | Self::WrongKind
            | Self::ResourceDenied
            | Self::AddressDenied
            | Self::AmbiguousRequest
            | Self::BadDemand => Refusal::Forbidden,
            Self::RateLimited => Refusal::Limited,
        }
    }
}

/// What is known of that on which a credential stands.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'a> {
    /// The fact's account and those above it; `None` when it cannot be read, which refuses.
    pub chain: Option<&'a AccountChain>,
    /// Whether a token from which it stems was ended with everything that stems from it.
    pub is_cut: bool,
    /// Of the organizations that are asked about: those in which the account may act right now.
    pub organizations: &'a [OrganizationId],
}

/// Decides about a credential of which the fact is known. Pure: the same arguments give the same verdict.
pub fn judge(
    fact: &Fact,
    standing: &Standing<'_>,
    presented: &Presented<'_>,
    demand: &Demand,
    request: &Circumstances<'_>,
    now: Timestamp,
) -> Verdict {
    let decide = || {
        let (grant, chain) = authenticate(fact, standing, presented, now)?;
        if let Some(token) = presented.signed() {
            check_signed(token, demand, now)?;
        }
        meet_demand(fact, chain, standing.organizations, presented, demand)?;
        keep_restrictions(fact, request)?;
        Ok(grant)
    };
    decide().map_or_else(Verdict::Denied, Verdict::Granted)
}

/// The secret first: to one who does not know it, every other property of the token is the same refusal.
fn authenticate<'c>(
    fact: &Fact,
    standing: &Standing<'c>,
    presented: &Presented<'_>,
    now: Timestamp,
) -> Result<(Grant, &'c AccountChain), Reason> {
    let grant = match presented.signed() {
        Some(token) => grant_signed(fact, token, now)?,
        None => grant_secret(fact, presented, now)?,
    };
    Ok((grant, check_live(fact, standing, now)?))
}

fn grant_secret(fact: &Fact, presented: &Presented<'_>, now: Timestamp) -> Result<Grant, Reason> {
    let shown = presented.secret().ok_or(Reason::WrongSecret)?.digest();
    if shown == fact.digest {
        return Ok(Grant { secret_version: fact.secret_version, outgoing: None });
    }
    let previous = fact.previous.as_deref().filter(|previous| previous.digest == shown);
    grant_previous(fact, previous.ok_or(Reason::WrongSecret)?, now)
}

/// A signed token is worth as much as the secret that it was exchanged for, and ends with it.
fn grant_signed(fact: &Fact, token: &SignedToken, now: Timestamp) -> Result<Grant, Reason> {
    if token.account != fact.account || TokenRef::Service(token.service_token) != fact.token() {
        return Err(Reason::Unknown);
    }
    if token.secret_version == fact.secret_version {
        return Ok(Grant { secret_version: fact.secret_version, outgoing: None });
    }
    let previous =
        fact.previous.as_deref().filter(|previous| previous.secret_version == token.secret_version);
    match previous {
        Some(previous) => grant_previous(fact, previous, now),
        None if token.secret_version < fact.secret_version => Err(Reason::RotatedOut),
        // Of a secret that another node knows already.
        None => Err(Reason::WrongSecret),
    }
}

/// Whether it is the time of a signed token, and whether it is for who demands something of it.
fn check_signed(token: &SignedToken, demand: &Demand, now: Timestamp) -> Result<(), Reason> {
    if token.expires_at <= now || token.issued_at > now.after(CLOCK_SKEW) {
        return Err(Reason::Expired);
    }
    let is_for_all = match demand.audiences.is_empty() {
        true => token.is_for_issuer,
        false => demand.audiences.iter().all(|audience| token.audiences.contains(audience)),
    };
    if is_for_all { Ok(()) } else { Err(Reason::WrongAudience) }
}

/// Whether the credential would be accepted from one who knows its secret; gives its account and those above.
pub fn check_live<'c>(
    fact: &Fact,
    standing: &Standing<'c>,
    now: Timestamp,
) -> Result<&'c AccountChain, Reason> {
    let chain = standing.chain.filter(|chain| !chain.is_deleted()).ok_or(Reason::AccountDisabled)?;
    if standing.is_cut || has_ended_with_epoch(fact, chain) {
        return Err(Reason::Unknown);
    }
    if !chain.is_enabled() {
        return Err(Reason::AccountDisabled);
    }
    if !fact.enabled {
        return Err(Reason::Disabled);
    }
    if fact.expires_at <= now {
        return Err(Reason::Expired);
    }
    Ok(chain)
}

/// Whether all access tokens of its account were ended after it was issued. It is as good as gone.
fn has_ended_with_epoch(fact: &Fact, chain: &AccountChain) -> bool {
    let current = chain.own().map(|account| account.epoch);
    fact.epoch.is_some_and(|epoch| current.is_none_or(|current| epoch < current))
}

fn grant_previous(fact: &Fact, previous: &PreviousFact, now: Timestamp) -> Result<Grant, Reason> {
    if previous.has_ended(now) {
        return Err(Reason::RotatedOut);
    }
    let sunset_at = previous.expires_at.min(fact.expires_at);
    let outgoing = Outgoing { deprecated_at: previous.replaced_at, sunset_at };
    Ok(Grant { secret_version: previous.secret_version, outgoing: Some(outgoing) })
}

/// Refuses with the first part of the demand that does not hold.
fn meet_demand(
    fact: &Fact,
    chain: &AccountChain,
    organizations: &[OrganizationId],
    presented: &Presented<'_>,
    demand: &Demand,
) -> Result<(), Reason> {
    if demand.kinds.iter().any(|kind| *kind != fact.kind()) {
        return Err(Reason::WrongKind);
    }
    if demand.accounts.iter().any(|account| !chain.is_within(*account)) {
        return Err(Reason::WrongAccount);
    }
    let acts_in = |organization: &OrganizationId| {
        organizations.contains(organization) && fact.restrictions.organizations().cover(*organization)
    };
    if !demand.organizations.iter().all(acts_in) {
        return Err(Reason::WrongOrganization);
    }
    // What was left out when a token was exchanged is not there, whatever the service token has.
    let is_left = |scope: &Scope| presented.signed().is_none_or(|token| token.scopes.cover(scope.as_str()));
    let holds = |any_of: &Vec<Scope>| {
        any_of.iter().any(|scope| scope_holds(fact, chain, demand, scope) && is_left(scope))
    };
    if demand.scopes.iter().all(holds) { Ok(()) } else { Err(Reason::InsufficientScope) }
}

/// Refuses a credential that is bound to other requests or addresses than this one's. What is not known of the
/// request is none of them.
fn keep_restrictions(fact: &Fact, request: &Circumstances<'_>) -> Result<(), Reason> {
    let resources = fact.restrictions.resources();
    if !resources.is_all() && !request.resource().is_some_and(|(method, path)| resources.cover(method, &path))
    {
        return Err(Reason::ResourceDenied);
    }
    let networks = fact.restrictions.allowed_ips();
    if !networks.is_all() && !request.address.is_some_and(|address| networks.cover(address)) {
        return Err(Reason::AddressDenied);
    }
    Ok(())
}

/// At the root an unscoped token meets every scope.
fn scope_holds(fact: &Fact, chain: &AccountChain, demand: &Demand, scope: &Scope) -> bool {
    if fact.restrictions.scopes.is_full() {
        return chain.is_root() || demand.takes_unscoped();
    }
    fact.restrictions.scopes.cover(scope.as_str())
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
