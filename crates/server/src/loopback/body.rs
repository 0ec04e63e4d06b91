//! Bodies: what clients send and what they get.

use axum::extract::{FromRequest, Request};
use countersign_domain::access_token::AccessToken;
use countersign_domain::lifetime::Ttl;
use countersign_domain::scope::{Scope, Scopes};
use countersign_domain::secret::Secret;
use http::{HeaderMap, header};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::failure::Failure;
use super::number::whole;
use crate::json;
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
    /// Not available yet.
    #[schema(value_type = Option<Vec<String>>)]
    resources: Option<IgnoredAny>,
    /// Not available yet.
    #[schema(value_type = Option<Vec<String>>)]
    allowed_ips: Option<IgnoredAny>,
}

/// What is wanted of a new token.
pub(super) struct Wanted {
    pub(super) ttl: Ttl,
    /// `None` = what the caller may.
    pub(super) scopes: Option<Scopes>,
}

impl AccessTokenInput {
    /// For the authority.
    pub(super) fn wanted(&self) -> Result<Wanted, Failure> {
        self.refuse_what_would_be_ignored()?;
        let ttl = self.ttl.as_ref().map_or(Ok(Ttl::DEFAULT), ttl)?;
        Ok(Wanted { ttl, scopes: self.scopes.as_ref().map(scopes).transpose()? })
    }

    /// A restriction that is accepted and not enforced would be a hole.
    fn refuse_what_would_be_ignored(&self) -> Result<(), Failure> {
        let not_yet = [
            ("organizations", self.organizations.is_some()),
            ("resources", self.resources.is_some()),
            ("allowed_ips", self.allowed_ips.is_some()),
        ];
        match not_yet.into_iter().find(|(_, is_stated)| *is_stated) {
            Some((property, _)) => {
                Err(Failure::invalid(property, "is not available yet in this version; leave it out"))
            }
            None => Ok(()),
        }
    }
}

fn ttl(value: &Value) -> Result<Ttl, Failure> {
    let ttl = whole(value).and_then(|seconds| Ttl::from_number(seconds).ok());
    ttl.ok_or_else(|| Failure::invalid("ttl", "must be a whole number of seconds, or -1 for ever"))
}

/// A list as it came, repeats included. What is no list at all is malformed, as LoopBack has it; what is in it is
/// judged.
fn scopes(value: &Value) -> Result<Scopes, Failure> {
    let invalid = |reason: &dyn ToString| Failure::invalid("scopes", reason.to_string());
    let Value::Array(list) = value else {
        return Err(Failure::Malformed("Items must be an array: `scopes`".into()));
    };
    // The bound first: nobody needs errors about the ten-thousandth entry.
    if list.len() > Scopes::MOST {
        return Err(invalid(&format!("must name at most {} scopes", Scopes::MOST)));
    }
    let parse = |item: &Value| {
        let text = item.as_str().ok_or_else(|| invalid(&"must be texts"))?;
        Scope::parse(text).map_err(|why| invalid(&why))
    };
    Scopes::list(list.iter().map(parse).collect::<Result<_, _>>()?).map_err(|why| invalid(&why))
}

impl<S: Sync> FromRequest<S> for AccessTokenInput {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        let (parts, body) = request.into_parts();
        let bytes = json::read(body).await.map_err(Failure::Body)?;
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        check_form(&parts.headers)?;
        if bytes.trim_ascii() == b"null" {
            return Ok(Self::default());
        }
        json::parse(&bytes, false).map_err(Failure::Body)
    }
}

/// Only plain JSON in UTF-8 is read. A body without a type is taken for it: LoopBack ignores such a body without a
/// word and makes another token than was wanted (B5).
fn check_form(headers: &HeaderMap) -> Result<(), Failure> {
    let text = |name| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).to_lowercase());
    let encoding = text(header::CONTENT_ENCODING).filter(|encoding| encoding != "identity");
    if encoding.is_some() {
        return Err(Failure::UnsupportedBody("unsupported content encoding".into()));
    }
    let Some(media_type) = text(header::CONTENT_TYPE) else { return Ok(()) };
    let (essence, parameters) = media_type.split_once(';').unwrap_or((&media_type, ""));
    let essence = essence.trim();
    if essence != "application/json" && !essence.ends_with("+json") {
        return Err(Failure::UnsupportedBody("the body must be application/json".into()));
    }
    let charset = parameters.split(';').find_map(|parameter| parameter.trim().strip_prefix("charset="));
    match charset.map(|charset| charset.trim_matches('"')) {
        None | Some("utf-8" | "utf8") => Ok(()),
        Some(_) => Err(Failure::UnsupportedBody("unsupported charset".into())),
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
        let scopes = token.scopes.stated();
        Self {
            id: token.handle.to_string(),
            ttl: token.ttl.as_number(),
            scopes: scopes.map(|list| list.iter().map(ToString::to_string).collect()),
            created: rfc3339_millis(token.created_at),
            user_id: token.account.to_string(),
        }
    }
}

/// `{}`: it is done.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Done {}
