//! Everything that restricts a credential, in one value (design 2.3).

use std::sync::Arc;

use crate::limits::Limits;
use crate::network::Networks;
use crate::organization::Organizations;
use crate::resource::Resources;
use crate::scope::Scopes;

/// What a credential may be used for, in which organizations, on which requests, from where and how often. Each dimension
/// that states nothing restricts nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Restrictions {
    /// What it may be used for.
    pub scopes: Scopes,
    /// Apart, because few credentials have any, and every live one is held in memory.
    rare: Option<Arc<Rare>>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Rare {
    organizations: Organizations,
    resources: Resources,
    allowed_ips: Networks,
    limits: Limits,
}

/// New restrictions, as far as they are stated; what is not stated is taken from somewhere else.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StatedRestrictions {
    /// `None`: not stated.
    pub scopes: Option<Scopes>,
    /// `None`: not stated.
    pub organizations: Option<Organizations>,
    /// `None`: not stated.
    pub resources: Option<Resources>,
    /// `None`: not stated.
    pub allowed_ips: Option<Networks>,
    /// `None`: not stated. Those that are stated replace all that there were.
    pub limits: Option<Limits>,
}

impl Restrictions {
    /// Full authority of the account.
    pub const NONE: Self = Self { scopes: Scopes::FULL, rare: None };

    /// These.
    pub fn new(
        scopes: Scopes,
        organizations: Organizations,
        resources: Resources,
        allowed_ips: Networks,
        limits: Limits,
    ) -> Self {
        let is_rare =
            !organizations.is_all() || !resources.is_all() || !allowed_ips.is_all() || !limits.is_none();
        let rare = || Arc::new(Rare { organizations, resources, allowed_ips, limits });
        Self { scopes, rare: is_rare.then(rare) }
    }

    /// In which organizations it may be used.
    pub fn organizations(&self) -> &Organizations {
        self.rare.as_deref().map_or(&Organizations::ALL, |rare| &rare.organizations)
    }

    /// On which requests it may be used.
    pub fn resources(&self) -> &Resources {
        self.rare.as_deref().map_or(&Resources::ALL, |rare| &rare.resources)
    }

    /// From where it may be used.
    pub fn allowed_ips(&self) -> &Networks {
        self.rare.as_deref().map_or(&Networks::ALL, |rare| &rare.allowed_ips)
    }

    /// How often it may be used.
    pub fn limits(&self) -> Limits {
        self.rare.as_deref().map_or(Limits::NONE, |rare| rare.limits)
    }

    /// Each dimension by its name in the native API, with what is stated of it; for the audit.
    pub fn stated(&self) -> [(&'static str, Option<String>); 5] {
        [
            ("scopes", self.scopes.joined()),
            ("organizations", self.organizations().joined()),
            ("resources", self.resources().joined()),
            ("allowed_ips", self.allowed_ips().joined()),
            ("limits", self.limits().joined()),
        ]
    }

    /// Whether there are none.
    pub fn is_none(&self) -> bool {
        self.scopes.is_full() && self.rare.is_none()
    }

    /// Whether nothing in `self` goes beyond `other`, in every dimension.
    pub fn within(&self, other: &Self) -> bool {
        self.scopes.within(&other.scopes)
            && self.organizations().within(other.organizations())
            && self.resources().within(other.resources())
            && self.allowed_ips().within(other.allowed_ips())
            && self.limits().within(other.limits())
    }
}

impl StatedRestrictions {
    /// Whether nothing is stated.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What is stated, and of `other` what is not.
    #[must_use]
    pub fn or(self, other: &Restrictions) -> Restrictions {
        Restrictions::new(
            self.scopes.unwrap_or_else(|| other.scopes.clone()),
            self.organizations.unwrap_or_else(|| other.organizations().clone()),
            self.resources.unwrap_or_else(|| other.resources().clone()),
            self.allowed_ips.unwrap_or_else(|| other.allowed_ips().clone()),
            self.limits.unwrap_or_else(|| other.limits()),
        )
    }
}

/// These scopes, and no other restriction.
impl From<Scopes> for Restrictions {
    fn from(scopes: Scopes) -> Self {
        Self { scopes, rare: None }
    }
}

/// These scopes, and of everything else nothing.
impl From<Scopes> for StatedRestrictions {
    fn from(scopes: Scopes) -> Self {
        Self { scopes: Some(scopes), ..Self::default() }
    }
}
