//! Bodies: what clients send and what they get.

use axum::extract::{FromRequest, Request};
use countersign_authority::ServiceTokenView;
use countersign_domain::lifetime::Lifetime;
use countersign_domain::limits::Limits;
use countersign_domain::name::Name;
use countersign_domain::network::Networks;
use countersign_domain::organization::Organizations;
use countersign_domain::resource::Resources;
use countersign_domain::restrictions::StatedRestrictions;
use countersign_domain::scope::Scopes;
use countersign_domain::secret::Secret;
use countersign_domain::service_token::{
    LAST_SECRET_VERSION, NewServiceToken, SecretVersion, ServiceTokenPatch,
};
use countersign_domain::time::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::failure::Failure;
use crate::json;
use crate::limits::{LimitsBody, read as read_limits};
use crate::restriction::{ALLOWED_IPS, List, ORGANIZATIONS, RESOURCES, SCOPES, Wrong, texts};
use crate::time_text::{parse_rfc3339, rfc3339};

/// A JSON object; no body at all counts as `{}` (cloudflare-access.md 0, fact 10).
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Json<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        let bytes = json::read(request.into_body()).await?;
        Ok(Self(json::parse(&bytes, true)?))
    }
}

/// Of create and update. An update leaves alone what is absent or null; unknown fields are ignored.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct ServiceTokenInput {
    /// 1 to 350 characters; required when a token is created. Not unique.
    name: Option<String>,
    /// Go's duration grammar (`300ms`, `2h45m`) or `forever`; `8760h` when absent.
    duration: Option<String>,
    /// A disabled token opens nothing.
    enabled: Option<bool>,
    /// Larger than the current one: rotate. 0 counts as absent.
    #[schema(value_type = Option<u32>)]
    client_secret_version: Option<WholeNumber>,
    /// RFC 3339: when the secret before the current one ends.
    previous_client_secret_expires_at: Option<String>,
    /// What the token may be used for; absent = what the caller may.
    scopes: Option<Vec<String>>,
    /// In which organizations it may be used, at most 100 ids; absent = in those of the caller.
    organizations: Option<Vec<String>>,
    /// On which requests it may be used, at most 64 patterns: `[METHOD ]/seg/seg…`, where `*` is a whole segment and a
    /// last `**` any rest; absent = where the caller's may.
    resources: Option<Vec<String>>,
    /// From where it may be used, at most 64 addresses or networks in CIDR notation; absent = from where the caller's
    /// may.
    allowed_ips: Option<Vec<String>>,
    /// How often it may be used; absent = as often as the caller's. What is given replaces all that there was, so that `{}`
    /// is no limit at all.
    #[schema(value_type = Option<LimitsBody>)]
    limits: Option<Value>,
}

/// Of rotate.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct RotateInput {
    /// RFC 3339: until when the old secret is accepted; it ends at once when absent.
    previous_client_secret_expires_at: Option<String>,
}

/// Of refresh: nothing.
#[derive(Debug, Deserialize)]
pub(super) struct NoInput {}

/// `2` or `2.0`: clients in typed languages send both.
#[derive(Debug, Clone, Copy)]
pub(super) struct WholeNumber(u32);

impl WholeNumber {
    pub(super) const fn number(self) -> u32 {
        self.0
    }
}

impl<'de> Deserialize<'de> for WholeNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = serde_json::Number::deserialize(deserializer)
            .map_err(|_| serde::de::Error::custom("must be a whole number"))?;
        let value = number.as_f64().unwrap_or(f64::NAN);
        let is_whole = value.fract() == 0.0 && (0.0..=f64::from(LAST_SECRET_VERSION)).contains(&value);
        if !is_whole {
            let message = format!("must be a whole number, at least 0 and at most {LAST_SECRET_VERSION}");
            return Err(serde::de::Error::custom(message));
        }
        Ok(Self(value as u32))
    }
}

impl ServiceTokenInput {
    /// For the authority. The end of a previous secret is checked and left: a new token has none.
    pub(super) fn issue(self, default_lifetime: Lifetime) -> Result<NewServiceToken, Failure> {
        let patch = self.patch()?;
        Ok(NewServiceToken {
            name: patch.name.ok_or_else(|| Failure::invalid("/name", "is required"))?,
            lifetime: patch.lifetime.unwrap_or(default_lifetime),
            enabled: patch.enabled.unwrap_or(true),
            restrictions: patch.restrictions,
            secret_version: patch.secret_version.unwrap_or(1),
        })
    }

    /// For the authority.
    pub(super) fn patch(self) -> Result<ServiceTokenPatch, Failure> {
        let restrictions = self.restrictions()?;
        let name = self.name.as_deref().map(Name::parse).transpose();
        let lifetime = self.duration.as_deref().map(Lifetime::parse).transpose();
        let previous_end = self.previous_client_secret_expires_at.as_deref();
        Ok(ServiceTokenPatch {
            name: name.map_err(|why| Failure::invalid("/name", why))?,
            lifetime: lifetime.map_err(|why| Failure::invalid("/duration", why))?,
            enabled: self.enabled,
            restrictions,
            secret_version: self.client_secret_version.map(|number| number.0).filter(|number| *number != 0),
            previous_expires_at: previous_end.map(previous_expiry).transpose()?,
        })
    }

    fn restrictions(&self) -> Result<StatedRestrictions, Failure> {
        Ok(StatedRestrictions {
            scopes: list("scopes", self.scopes.as_deref(), &SCOPES, Scopes::list)?,
            organizations: list(
                "organizations",
                self.organizations.as_deref(),
                &ORGANIZATIONS,
                Organizations::list,
            )?,
            resources: list("resources", self.resources.as_deref(), &RESOURCES, Resources::list)?,
            allowed_ips: list("allowed_ips", self.allowed_ips.as_deref(), &ALLOWED_IPS, Networks::list)?,
            limits: limits(self.limits.as_ref())?,
        })
    }
}

impl RotateInput {
    /// Until when the old secret is accepted.
    pub(super) fn overlap_until(&self) -> Result<Option<Timestamp>, Failure> {
        self.previous_client_secret_expires_at.as_deref().map(previous_expiry).transpose()
    }
}

fn previous_expiry(text: &str) -> Result<Timestamp, Failure> {
    let reason = "must be an RFC 3339 date-time such as `2030-01-01T00:00:00Z`";
    parse_rfc3339(text).ok_or_else(|| Failure::invalid("/previous_client_secret_expires_at", reason))
}

fn list<T, E: ToString, L>(
    name: &str,
    texts: Option<&[String]>,
    grammar: &List<T, E>,
    collect: impl FnOnce(Vec<T>) -> Result<L, E>,
) -> Result<Option<L>, Failure> {
    let Some(texts) = texts else { return Ok(None) };
    let wrong = |Wrong { index, reason }| match index {
        Some(index) => Failure::invalid(format!("/{name}/{index}"), reason),
        None => Failure::invalid(format!("/{name}"), reason),
    };
    grammar.read(texts.iter().map(|text| Some(text.as_str())), collect).map(Some).map_err(wrong)
}

fn limits(stated: Option<&Value>) -> Result<Option<Limits>, Failure> {
    read_limits(stated).map_err(|wrong| Failure::invalid(format!("/{}", wrong.path.join("/")), wrong.reason))
}

/// A service token on the wire.
// No `Debug`: it may hold a secret.
#[derive(Serialize, ToSchema)]
pub(super) struct ServiceTokenOutput {
    /// A hyphenated UUID; policies and this API name the token by it.
    id: String,
    name: String,
    /// 32 hex digits and `.access`; headers name the token by it.
    client_id: String,
    /// Only in answers of create, rotate, and an update that rotated.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<String>,
    /// As it was stated.
    duration: String,
    enabled: bool,
    expires_at: Option<String>,
    created_at: Option<String>,
    updated_at: Option<String>,
    /// `null` until first use.
    last_seen_at: Option<String>,
    client_secret_version: SecretVersion,
    /// Only while there is a secret before the current one.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_client_secret_expires_at: Option<String>,
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
    /// The current secret and the one before it, newest first: how far a rotation has come.
    secrets: Vec<SecretOutput>,
}

/// One of a token's secrets, without the secret.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SecretOutput {
    version: SecretVersion,
    created_at: Option<String>,
    /// When it stops being accepted.
    expires_at: Option<String>,
    /// `null` until first use.
    last_seen_at: Option<String>,
}

impl ServiceTokenOutput {
    /// The token; with its secret where the answer may show it.
    pub(super) fn new(view: &ServiceTokenView, secret: Option<&Secret>) -> Self {
        let token = &view.token;
        let restrictions = &token.restrictions;
        Self {
            id: token.id.to_string(),
            name: token.name.to_string(),
            client_id: token.client_id.to_string(),
            client_secret: secret.map(|secret| secret.reveal().to_owned()),
            duration: token.lifetime.to_string(),
            enabled: token.enabled,
            expires_at: rfc3339(token.expires_at),
            created_at: rfc3339(token.created_at),
            updated_at: rfc3339(token.updated_at),
            last_seen_at: view.last_seen_at().and_then(rfc3339),
            client_secret_version: token.current.version,
            previous_client_secret_expires_at: token.previous.as_ref().and_then(|p| rfc3339(p.expires_at)),
            scopes: restrictions.scopes.stated().map(texts),
            organizations: restrictions.organizations().stated().map(texts),
            resources: restrictions.resources().stated().map(texts),
            allowed_ips: restrictions.allowed_ips().stated().map(texts),
            limits: LimitsBody::of(restrictions.limits()),
            secrets: secrets(view),
        }
    }
}

fn secrets(view: &ServiceTokenView) -> Vec<SecretOutput> {
    let token = &view.token;
    let output = |version, created_at, expires_at: Timestamp| {
        let usage = view.uses.iter().find(|usage| usage.secret_version == version);
        SecretOutput {
            version,
            created_at: rfc3339(created_at),
            expires_at: rfc3339(expires_at.min(token.expires_at)),
            last_seen_at: usage.and_then(|usage| rfc3339(usage.last_at)),
        }
    };
    let current = output(token.current.version, token.current.created_at, token.expires_at);
    let previous = token.previous.as_ref().map(|p| output(p.version, p.created_at, p.expires_at));
    std::iter::once(current).chain(previous).collect()
}
