//! Service tokens: a client id, a secret, a duration; their states and transitions.
//!
//! A transition takes the token by value and gives the next state, so that an old state cannot be stored by
//! mistake. A revoked token is no state: [`ServiceToken`] is consumed and its row goes.

use std::time::Duration;

use crate::entropy::Entropy;
use crate::error::{Error, Field};
use crate::id::{AccountId, ClientId, Handle, ServiceTokenId};
use crate::lifetime::{Lifetime, Span};
use crate::lineage::Lineage;
use crate::name::Name;
use crate::restrictions::{Restrictions, StatedRestrictions};
use crate::secret::{Digest, Secret, SecretPrefix, mint_service_secret};
use crate::store::Version;
use crate::time::Timestamp;

/// Counts the secrets of one token, from 1 (`client_secret_version` on the wire).
pub type SecretVersion = u32;

/// Largest secret version; the wire's number must survive a 32-bit signed integer.
pub const LAST_SECRET_VERSION: SecretVersion = i32::MAX as u32;

/// How long a lost answer to a rotation may be asked for again (design 3).
pub const RETRY_WINDOW: Duration = Duration::from_secs(60);

/// What a machine shows at a door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceToken {
    /// Names it in the API.
    pub id: ServiceTokenId,
    /// Who owns it.
    pub account: AccountId,
    /// What people call it.
    pub name: Name,
    /// Names it at the door.
    pub client_id: ClientId,
    /// As it was stated.
    pub lifetime: Lifetime,
    /// A disabled token is refused, whichever secret is shown, and may be enabled again.
    pub enabled: bool,
    /// What it may be used for, on which requests, from where.
    pub restrictions: Restrictions,
    /// The secret that clients should use.
    pub current: CurrentSecret,
    /// The one before it. Kept after its end too, so that a refusal can say `rotated_out`.
    pub previous: Option<PreviousSecret>,
    /// When it was issued.
    pub created_at: Timestamp,
    /// When it was last updated, refreshed or rotated.
    pub updated_at: Timestamp,
    /// From then on it is refused.
    pub expires_at: Timestamp,
    /// From which access tokens it stems.
    pub lineage: Lineage,
    /// Of its row: grows with every change.
    pub version: Version,
}

/// The secret that clients should use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CurrentSecret {
    /// Its number.
    pub version: SecretVersion,
    /// What is kept of it.
    pub digest: Digest,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who rotated to it; `None` for the first.
    pub rotated_by: Option<Handle>,
}

/// The secret before the current one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviousSecret {
    /// Its number.
    pub version: SecretVersion,
    /// What is kept of it.
    pub digest: Digest,
    /// When it was made.
    pub created_at: Timestamp,
    /// Since when it is deprecated: when the current secret took its place, or when it was ended by an update.
    pub replaced_at: Timestamp,
    /// From then on it is refused. Not later than `replaced_at`: it has ended for good, whatever clocks say.
    pub expires_at: Timestamp,
}

/// What is wanted of a new token.
#[derive(Debug, Clone)]
pub struct NewServiceToken {
    /// Its name.
    pub name: Name,
    /// How long it lives.
    pub lifetime: Lifetime,
    /// Whether it opens doors at once.
    pub enabled: bool,
    /// What is not stated is what the minter has.
    pub restrictions: StatedRestrictions,
    /// The number of its first secret.
    pub secret_version: SecretVersion,
}

/// What is to change; `None` leaves it as it is.
#[derive(Debug, Clone, Default)]
pub struct ServiceTokenPatch {
    /// A new name.
    pub name: Option<Name>,
    /// A new duration, counted from now when it differs from the old one.
    pub lifetime: Option<Lifetime>,
    /// Enable or disable.
    pub enabled: Option<bool>,
    /// New restrictions, as far as they are stated.
    pub restrictions: StatedRestrictions,
    /// Rotate when larger than the current number; smaller is refused.
    pub secret_version: Option<SecretVersion>,
    /// The end of the secret before the current one (after the rotation, when there is one).
    pub previous_expires_at: Option<Timestamp>,
}

/// What a rotation needs beside the token.
pub struct Rotation<'a> {
    /// Who rotates.
    pub by: Handle,
    /// Until when the old secret is accepted; `None` = it ends now.
    pub overlap_until: Option<Timestamp>,
    /// How new secrets begin.
    pub prefix: &'a SecretPrefix,
    /// Where they come from.
    pub entropy: &'a dyn Entropy,
    /// The time.
    pub now: Timestamp,
}

impl ServiceToken {
    /// Issues a token for `account` and gives its one secret.
    pub fn issue(
        account: AccountId,
        new: NewServiceToken,
        restrictions: Restrictions,
        lineage: Lineage,
        prefix: &SecretPrefix,
        entropy: &dyn Entropy,
        now: Timestamp,
    ) -> (Self, Secret) {
        let secret = mint_service_secret(prefix, entropy);
        let token = Self {
            id: ServiceTokenId::mint(now, entropy),
            account,
            name: new.name,
            client_id: ClientId::mint(entropy),
            expires_at: new.lifetime.expiry(now, now),
            lifetime: new.lifetime,
            enabled: new.enabled,
            restrictions,
            current: CurrentSecret {
                version: new.secret_version,
                digest: secret.digest(),
                created_at: now,
                rotated_by: None,
            },
            previous: None,
            created_at: now,
            updated_at: now,
            lineage,
            version: Version::FIRST,
        };
        (token, secret)
    }

    /// Gives a token its whole duration again, also after it has expired. The new expiry is strictly later than
    /// the old one; a token that lives for ever keeps its expiry.
    #[must_use]
    pub fn refresh(mut self, now: Timestamp) -> Self {
        if let Span::Finite(_) = self.lifetime.span() {
            let at_least = self.expires_at.after(Duration::from_micros(1));
            self.expires_at = self.lifetime.expiry(self.created_at, now).max(at_least);
        }
        self.touched(now)
    }

    /// Makes a new secret, numbered one more than the current one, which becomes the previous one. The one before
    /// that is dropped, however much of its overlap is left: there are exactly two.
    ///
    /// Errors: [`Error::Invalid`] when the version is at its end.
    pub fn rotate(self, rotation: &Rotation<'_>) -> Result<(Self, Secret), Error> {
        let next = self.current.version.saturating_add(1);
        self.rotate_to(next, rotation)
    }

    fn rotate_to(mut self, version: SecretVersion, rotation: &Rotation<'_>) -> Result<(Self, Secret), Error> {
        if version > LAST_SECRET_VERSION {
            return Err(Error::invalid(
                Field::SecretVersion,
                format!("must be at most {LAST_SECRET_VERSION}"),
            ));
        }
        let secret = mint_service_secret(rotation.prefix, rotation.entropy);
        let old = std::mem::replace(
            &mut self.current,
            CurrentSecret {
                version,
                digest: secret.digest(),
                created_at: rotation.now,
                rotated_by: Some(rotation.by),
            },
        );
        self.previous = Some(PreviousSecret {
            version: old.version,
            digest: old.digest,
            created_at: old.created_at,
            replaced_at: rotation.now,
            expires_at: rotation.overlap_until.unwrap_or(rotation.now),
        });
        Ok((self.touched(rotation.now), secret))
    }

    /// Whether a rotation by `by` that says it is a repetition is one: the same caller rotated within the last
    /// minute. That the new secret was never used is for the caller of this function to know.
    pub fn is_retry_of_rotation(&self, by: Handle, now: Timestamp) -> bool {
        let recent = now.since(self.current.created_at) <= RETRY_WINDOW && self.current.created_at <= now;
        self.previous.is_some() && self.current.rotated_by == Some(by) && recent
    }

    /// Answers a rotation again whose answer was lost: another secret takes the place of the one that nobody
    /// received; the previous secret and its deadline stay. So a retried rotation is one rotation.
    pub fn reissue_secret(mut self, rotation: &Rotation<'_>) -> (Self, Secret) {
        let secret = mint_service_secret(rotation.prefix, rotation.entropy);
        self.current.digest = secret.digest();
        (self.touched(rotation.now), secret)
    }

    /// Applies a patch; gives the new secret when it rotated.
    ///
    /// Errors: [`Error::Invalid`] for a secret version below the current one.
    pub fn update(
        mut self,
        patch: ServiceTokenPatch,
        rotation: &Rotation<'_>,
    ) -> Result<(Self, Option<Secret>), Error> {
        let now = rotation.now;
        if let Some(name) = patch.name {
            self.name = name;
        }
        if let Some(lifetime) = patch.lifetime
            && lifetime != self.lifetime
        {
            self.expires_at = lifetime.expiry(self.created_at, now);
            self.lifetime = lifetime;
        }
        self.enabled = patch.enabled.unwrap_or(self.enabled);
        self.restrictions = patch.restrictions.or(&self.restrictions);
        match patch.secret_version {
            Some(version) if version < self.current.version => {
                let reason = format!("must not be lower than the current version, {}", self.current.version);
                Err(Error::invalid(Field::SecretVersion, reason))
            }
            Some(version) if version > self.current.version => {
                let rotation = Rotation { overlap_until: patch.previous_expires_at, ..*rotation };
                self.rotate_to(version, &rotation).map(|(token, secret)| (token, Some(secret)))
            }
            _ => {
                if let (Some(previous), Some(end)) = (&mut self.previous, patch.previous_expires_at) {
                    previous.expires_at = end;
                    // What has ended stays ended, also when the clock is set back.
                    if end <= now {
                        previous.replaced_at = previous.replaced_at.max(end);
                    }
                }
                Ok((self.touched(now), None))
            }
        }
    }

    /// Whether `self` can do anything that `before` could not: a secret to show, a later end, fewer limits.
    pub fn is_stronger_than(&self, before: &Self) -> bool {
        let grace_end = |token: &Self| token.previous.as_ref().map(|p| (p.digest, p.expires_at));
        let longer_grace = match (grace_end(self), grace_end(before)) {
            (Some((digest, end)), Some((old_digest, old_end))) => digest != old_digest || end > old_end,
            (Some(_), None) => true,
            (None, _) => false,
        };
        self.current.digest != before.current.digest
            || longer_grace
            || self.enabled && !before.enabled
            || self.expires_at > before.expires_at
            || !self.restrictions.within(&before.restrictions)
    }

    fn touched(mut self, now: Timestamp) -> Self {
        self.updated_at = now;
        self.version = self.version.next();
        self
    }
}

#[cfg(test)]
#[path = "service_token_tests.rs"]
mod tests;
