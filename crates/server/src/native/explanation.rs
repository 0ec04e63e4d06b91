//! Why a credential was let in or turned away, one check after the other, and what to do about it.

use countersign_domain::check::Check;
use countersign_domain::verdict::Reason;
use serde::Serialize;
use utoipa::ToSchema;

/// A verdict, explained to the operator of a service. Its client is never told so much.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Explanation {
    /// Every check, in the order in which a door makes them.
    checks: Vec<Checked>,
    /// What to do, when one did not hold.
    remedy: Option<&'static str>,
}

/// One check.
#[derive(Debug, Serialize, ToSchema)]
struct Checked {
    /// `demand`, `request`, `form`, `token`, `secret`, `overlap`, `account`, `enabled`, `expiry`, `audience`, `kind`, `owner`,
    /// `organization`, `scope`, `resource`, `address` or `limit`.
    check: &'static str,
    /// Whether it held; `null`: one before it did not, so it was not made.
    passed: Option<bool>,
}

impl Explanation {
    /// Of a verdict; `None` is a grant.
    pub(super) fn of(reason: Option<Reason>) -> Self {
        let checked = |check: Check| Checked { check: check.as_str(), passed: check.held(reason) };
        Self { checks: Check::ALL.map(checked).into(), remedy: reason.map(remedy) }
    }
}

const fn remedy(reason: Reason) -> &'static str {
    match reason {
        Reason::Malformed => {
            "send an access token, or a client id with its secret, whole and as it was handed out; the checksum in it \
             says that this is none, or only a part of one"
        }
        Reason::AmbiguousCredential => "send one credential only",
        Reason::WrongAudience => {
            "the signed token is for others: get one for this service (`resource`), or demand its `audience` in the proxy's \
             configuration"
        }
        Reason::Unknown => {
            "there is no such credential in your account or below it: it was revoked or never issued, or it belongs to \
             somebody else; issue a new one"
        }
        Reason::WrongSecret => {
            "the client id is right and the secret is another one's, or older than the last two; if it is lost, rotate \
             the token"
        }
        Reason::Expired => {
            "issue a new token; a service token can also be refreshed before it expires, and a signed one got again"
        }
        Reason::Disabled => "enable the service token again, if it was not disabled for a reason",
        Reason::RotatedOut => "use the secret that the last rotation gave; the overlap with this one is over",
        Reason::AccountDisabled => "enable the account, or the one above it that is disabled",
        Reason::InsufficientScope => {
            "issue a token with the demanded scope; one without scopes, of an account that is not the root, has it only \
             where an account or an organization is demanded, too"
        }
        Reason::WrongOrganization => {
            "the account has no live membership in the demanded organization, or the token is bound to others"
        }
        Reason::WrongAccount => "show a token of the demanded account, or of one below it",
        Reason::WrongKind => "show a token of the demanded kind",
        Reason::ResourceDenied => {
            "the token is bound to other requests; state `method` and `uri` as the client sent them, or widen its \
             resources"
        }
        Reason::AddressDenied => {
            "the token is bound to other addresses; state the client's `address`, or have the proxy forward it and be \
             trusted (`trusted_proxies`)"
        }
        Reason::AmbiguousRequest => "let the proxy state the original request once, in headers that agree",
        Reason::BadDemand => "correct the demand in the proxy's configuration",
        Reason::RateLimited => {
            "the token was used as often as it may be; come again after `retry_after` seconds, or raise its limits"
        }
    }
}
