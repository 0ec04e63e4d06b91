//! What a door looks at, in its order: to explain a verdict.

use crate::verdict::Reason;

/// One thing that a door looks at. It stops at the first that does not hold, so those before it do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Check {
    /// The demand is understood.
    Demand,
    /// What is said of the original request agrees.
    Request,
    /// One credential is shown, and has the form of one.
    Form,
    /// There is such a credential, and it has not ended with others.
    Token,
    /// Its secret is right.
    Secret,
    /// A secret that was replaced is still within its overlap.
    Overlap,
    /// The account and those above it are enabled.
    Account,
    /// The credential is enabled.
    Enabled,
    /// It has not expired.
    Expiry,
    /// A signed token is for the door.
    Audience,
    /// It is of a demanded kind.
    Kind,
    /// It is a demanded account's, or of one below.
    Owner,
    /// Its bearer may act in the demanded organization.
    Organization,
    /// It has the demanded scopes.
    Scope,
    /// The original request is one that it is bound to.
    Resource,
    /// The client's address is one that it is bound to.
    Address,
    /// It has not been used as often as it may be.
    Limit,
}

impl Check {
    /// Every check, in the order of a door.
    pub const ALL: [Self; 17] = [
        Self::Demand,
        Self::Request,
        Self::Form,
        Self::Token,
        Self::Secret,
        Self::Overlap,
        Self::Account,
        Self::Enabled,
        Self::Expiry,
        Self::Audience,
        Self::Kind,
        Self::Owner,
        Self::Organization,
        Self::Scope,
        Self::Resource,
        Self::Address,
        Self::Limit,
    ];

    /// The one that did not hold.
    pub const fn failed_by(reason: Reason) -> Self {
        match reason {
            Reason::BadDemand => Self::Demand,
            Reason::AmbiguousRequest => Self::Request,
            Reason::Malformed | Reason::AmbiguousCredential => Self::Form,
            Reason::Unknown => Self::Token,
            Reason::WrongSecret => Self::Secret,
            Reason::RotatedOut => Self::Overlap,
            Reason::AccountDisabled => Self::Account,
            Reason::Disabled => Self::Enabled,
            Reason::Expired => Self::Expiry,
            Reason::WrongAudience => Self::Audience,
            Reason::WrongKind => Self::Kind,
            Reason::WrongAccount => Self::Owner,
            Reason::WrongOrganization => Self::Organization,
            Reason::InsufficientScope => Self::Scope,
            Reason::ResourceDenied => Self::Resource,
            Reason::AddressDenied => Self::Address,
            Reason::RateLimited => Self::Limit,
        }
    }

    /// The word for it, in the verify API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Demand => "demand",
            Self::Request => "request",
            Self::Form => "form",
            Self::Token => "token",
            Self::Secret => "secret",
            Self::Overlap => "overlap",
            Self::Account => "account",
            Self::Enabled => "enabled",
            Self::Expiry => "expiry",
            Self::Audience => "audience",
            Self::Kind => "kind",
            Self::Owner => "owner",
            Self::Organization => "organization",
            Self::Scope => "scope",
            Self::Resource => "resource",
            Self::Address => "address",
            Self::Limit => "limit",
        }
    }

    /// Whether it held, of a verdict with this reason; `None` when it was not looked at.
    pub fn held(self, reason: Option<Reason>) -> Option<bool> {
        let Some(failed) = reason.map(Self::failed_by) else { return Some(true) };
        match self.cmp(&failed) {
            std::cmp::Ordering::Less => Some(true),
            std::cmp::Ordering::Equal => Some(false),
            std::cmp::Ordering::Greater => None,
        }
    }
}
