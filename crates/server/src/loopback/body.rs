//! Bodies: what clients send and what they get.

use axum::extract::{FromRequest, Request};
use countersign_authority::AccessTokenRequest;
use countersign_domain::access_token::AccessToken;
use countersign_domain::lifetime::Ttl;
use countersign_domain::name::Name;
use countersign_domain::network::Networks;
use countersign_domain::organization::Organizations;
use countersign_domain::resource::Resources;
use countersign_domain::restrictions::StatedRestrictions;
use countersign_domain::scope::Scopes;
use countersign_domain::secret::Secret;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::account_body::AccountOutput;
use super::failure::Failure;
use super::filter::Fields;
use super::number::whole;
use super::object::read_typed;
use crate::limits::{LimitsBody, Wrong, read as read_limits};
use crate::restriction::{ALLOWED_IPS, List, ORGANIZATIONS, RESOURCES, SCOPES, texts};
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
    /// What people call it: 1 to 350 characters.
    #[schema(value_type = Option<String>)]
    name: Option<Value>,
    /// In which organizations it may be used, at most 100 ids; none = in those of the caller.
    #[schema(value_type = Option<Vec<String>>)]
    organizations: Option<Value>,
    /// On which requests it may be used, at most 64 patterns: `[METHOD ]/seg/seg…`, where `*` is a whole segment and a
    /// last `**` any rest; none = where the caller's may.
    #[schema(value_type = Option<Vec<String>>)]
    resources: Option<Value>,
    /// From where it may be used, at most 64 addresses or networks in CIDR notation; none = from where the caller's
    /// may.
    #[schema(value_type = Option<Vec<String>>)]
    allowed_ips: Option<Value>,
    /// How often it may be used; none = as often as the caller's. What is given replaces what it would have of the caller, so
    /// that `{}` is no limit at all.
    #[schema(value_type = Option<LimitsBody>)]
    limits: Option<Value>,
}

impl AccessTokenInput {
    /// For the authority.
    pub(super) fn wanted(&self) -> Result<AccessTokenRequest, Failure> {
        let ttl = self.ttl.as_ref().map_or(Ok(Ttl::DEFAULT), ttl)?;
        let name = self.name.as_ref().map(name).transpose()?;
        Ok(AccessTokenRequest { name, ttl, restrictions: self.restrictions()? })
    }

    fn restrictions(&self) -> Result<StatedRestrictions, Failure> {
        Ok(StatedRestrictions {
            scopes: list("scopes", self.scopes.as_ref(), &SCOPES, Scopes::list)?,
            organizations: list(
                "organizations",
                self.organizations.as_ref(),
                &ORGANIZATIONS,
                Organizations::list,
            )?,
            resources: list("resources", self.resources.as_ref(), &RESOURCES, Resources::list)?,
            allowed_ips: list("allowed_ips", self.allowed_ips.as_ref(), &ALLOWED_IPS, Networks::list)?,
            limits: read_limits(self.limits.as_ref()).map_err(wrong_limits)?,
        })
    }
}

fn name(value: &Value) -> Result<Name, Failure> {
    let text = value.as_str().ok_or_else(|| Failure::invalid("name", "must be a text"))?;
    Name::parse(text).map_err(|why| Failure::invalid("name", why))
}

pub(super) fn ttl(value: &Value) -> Result<Ttl, Failure> {
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

fn wrong_limits(wrong: Wrong) -> Failure {
    let Wrong { path, reason } = wrong;
    match path.as_slice() {
        [_] | [] => Failure::invalid("limits", reason),
        [_, within @ ..] => Failure::invalid("limits", format!("has a `{}` that {reason}", within.join("."))),
    }
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
    /// What people call it; only when that was stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Seconds to live; -1 = for ever.
    ttl: i64,
    /// Only when the token is restricted.
    #[serde(skip_serializing_if = "Option::is_none")]
    scopes: Option<Vec<String>>,
    /// Only when the token is restricted to them.
    #[serde(skip_serializing_if = "Option::is_none")]
    organizations: Option<Vec<String>>,
    /// Only when the token is restricted to them.
    #[serde(skip_serializing_if = "Option::is_none")]
    resources: Option<Vec<String>>,
    /// Only when the token is restricted to them.
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_ips: Option<Vec<String>>,
    /// Only when its uses are limited.
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<LimitsBody>,
    /// UTC, in milliseconds.
    created: Option<String>,
    /// The account.
    #[serde(rename = "userId")]
    user_id: String,
    /// The account itself, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<AccountOutput>)]
    user: Option<Value>,
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
            name: token.name.as_ref().map(ToString::to_string),
            ttl: token.ttl.as_number(),
            scopes: restrictions.scopes.stated().map(texts),
            organizations: restrictions.organizations().stated().map(texts),
            resources: restrictions.resources().stated().map(texts),
            allowed_ips: restrictions.allowed_ips().stated().map(texts),
            limits: LimitsBody::of(restrictions.limits()),
            created: rfc3339_millis(token.created_at),
            user_id: token.account.to_string(),
            user: None,
        }
    }

    /// With the account; these properties of it, or all.
    pub(super) fn with_user(self, account: &AccountOutput, fields: Option<&Fields>) -> Self {
        let user = fields.unwrap_or(&Fields::All).of(account);
        Self { user: Some(user), ..self }
    }
}

/// `{}`: it is done.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Done {}
