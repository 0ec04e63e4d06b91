//! Bodies: what clients send and what they get.

use axum::extract::{FromRequest, Request};
use countersign_domain::access_token::AccessToken;
use countersign_domain::lifetime::Ttl;
use countersign_domain::network::Networks;
use countersign_domain::resource::Resources;
use countersign_domain::restrictions::StatedRestrictions;
use countersign_domain::scope::Scopes;
use countersign_domain::secret::Secret;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::failure::Failure;
use super::number::whole;
use super::object::read_typed;
use crate::restriction::{ALLOWED_IPS, List, RESOURCES, SCOPES, texts};
use crate::time_text::rfc3339_millis;

/// Of create. Unknown properties, `id`, `created` and `userId` among them, are ignored.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(super) struct AccessTokenInput {
    /// Seconds to live: at most 31556926, a larger one is clamped; -1 = for ever; 0 or none = two weeks.
    #[schema(value_type = Option<i64>)]
    ttl: Option<Value>,
    /// What the token may be used for, at most 32; none = what the caller may.
    #[schema(value_type = Option<Vec<String>>)]
    scopes: Option<Value>,
    /// Not available yet.
    #[schema(value_type = Option<Vec<String>>)]
    organizations: Option<IgnoredAny>,
    /// On which requests it may be used, at most 64 patterns: `[METHOD ]/seg/seg…`, where `*` is a whole segment and a
    /// last `**` any rest; none = where the caller's may.
    #[schema(value_type = Option<Vec<String>>)]
    resources: Option<Value>,
    /// From where it may be used, at most 64 addresses or networks in CIDR notation; none = from where the caller's
    /// may.
    #[schema(value_type = Option<Vec<String>>)]
    allowed_ips: Option<Value>,
}

/// What is wanted of a new token.
pub(super) struct Wanted {
    pub(super) ttl: Ttl,
    /// What is not stated is what restricts the caller.
    pub(super) restrictions: StatedRestrictions,
}

impl AccessTokenInput {
    /// For the authority.
    pub(super) fn wanted(&self) -> Result<Wanted, Failure> {
        let ttl = self.ttl.as_ref().map_or(Ok(Ttl::DEFAULT), ttl)?;
        Ok(Wanted { ttl, restrictions: self.restrictions()? })
    }

    fn restrictions(&self) -> Result<StatedRestrictions, Failure> {
        // A restriction that is accepted and not enforced would be a hole.
        if self.organizations.is_some() {
            let reason = "is not available yet in this version; leave it out";
            return Err(Failure::invalid("organizations", reason));
        }
        Ok(StatedRestrictions {
            scopes: list("scopes", self.scopes.as_ref(), &SCOPES, Scopes::list)?,
            resources: list("resources", self.resources.as_ref(), &RESOURCES, Resources::list)?,
            allowed_ips: list("allowed_ips", self.allowed_ips.as_ref(), &ALLOWED_IPS, Networks::list)?,
        })
    }
}

fn ttl(value: &Value) -> Result<Ttl, Failure> {
    let ttl = whole(value).and_then(|seconds| Ttl::from_number(seconds).ok());
    ttl.ok_or_else(|| Failure::invalid("ttl", "must be a whole number of seconds, or -1 for ever"))
}

/// A list as it came, repeats included. What is no list at all is malformed, as LoopBack has it; what is in it is
/// judged.
fn list<T, E: ToString, L>(
    property: &'static str,
    value: Option<&Value>,
    grammar: &List<T, E>,
    collect: impl FnOnce(Vec<T>) -> Result<L, E>,
) -> Result<Option<L>, Failure> {
    let Some(value) = value else { return Ok(None) };
    let Value::Array(entries) = value else {
        return Err(Failure::Malformed(format!("Items must be an array: `{property}`")));
    };
    let read = grammar.read(entries.iter().map(Value::as_str), collect);
    read.map(Some).map_err(|wrong| Failure::invalid(property, wrong.reason))
}

impl<S: Sync> FromRequest<S> for AccessTokenInput {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        read_typed(request).await
    }
}

/// An access token on the wire.
// No `Debug`: it may hold a secret.
#[derive(Serialize, ToSchema)]
pub(super) struct AccessTokenOutput {
    /// The whole token in the answer of create; its first 22 characters, the handle, in lists.
    id: String,
    /// Seconds to live; -1 = for ever.
    ttl: i64,
    /// Only when the token is restricted.
    #[serde(skip_serializing_if = "Option::is_none")]
    scopes: Option<Vec<String>>,
    /// Only when the token is restricted to them.
    #[serde(skip_serializing_if = "Option::is_none")]
    resources: Option<Vec<String>>,
    /// Only when the token is restricted to them.
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_ips: Option<Vec<String>>,
    /// UTC, in milliseconds.
    created: Option<String>,
    /// The account.
    #[serde(rename = "userId")]
    user_id: String,
}

impl AccessTokenOutput {
    /// A token that was made just now, with its text.
    pub(super) fn issued(token: &AccessToken, text: &Secret) -> Self {
        Self { id: text.reveal().to_owned(), ..Self::listed(token) }
    }

    /// A token of which only the handle is known.
    pub(super) fn listed(token: &AccessToken) -> Self {
        let restrictions = &token.restrictions;
        Self {
            id: token.handle.to_string(),
            ttl: token.ttl.as_number(),
            scopes: restrictions.scopes.stated().map(texts),
            resources: restrictions.resources().stated().map(texts),
            allowed_ips: restrictions.allowed_ips().stated().map(texts),
            created: rfc3339_millis(token.created_at),
            user_id: token.account.to_string(),
        }
    }
}

/// `{}`: it is done.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Done {}
