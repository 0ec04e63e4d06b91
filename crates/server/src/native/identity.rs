//! What is said of a good credential.

use countersign_authority::Granted;
use countersign_domain::organization::Organizations;
use serde::Serialize;
use utoipa::ToSchema;

use crate::limits::LeftBody;
use crate::time_text::rfc3339;

/// Whose credential it is and what it may be used for.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Identity {
    /// 32 hex digits.
    account: String,
    /// The id of a service token, the handle of an access token.
    token: String,
    /// `service` or `access`.
    kind: &'static str,
    /// What people call it.
    name: Option<String>,
    /// What it may be used for; `null` = everything its account may.
    scopes: Option<Vec<String>>,
    /// In which organizations it may act right now; the first 100 of them.
    organizations: Vec<String>,
    /// RFC 3339; `null` = never.
    expires_at: Option<String>,
    /// The number of the secret that was shown.
    secret_version: u32,
    /// What is left after this, when its uses are limited.
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<LeftBody>,
    /// Only when the secret before the current one was shown: when another took its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    deprecated_at: Option<String>,
    /// Only then: when it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    sunset_at: Option<String>,
}

impl Identity {
    /// Of a credential that was let in.
    pub(super) fn of(granted: &Granted) -> Self {
        let fact = &granted.known.fact;
        let scopes = granted.scopes();
        let scopes = scopes.stated().filter(|_| !scopes.is_full());
        let outgoing = granted.grant.outgoing;
        Self {
            account: fact.account.to_string(),
            token: fact.token().to_string(),
            kind: fact.kind().as_str(),
            name: Some(fact.name.to_string()).filter(|name| !name.is_empty()),
            scopes: scopes.map(|list| list.iter().map(ToString::to_string).collect()),
            organizations: granted
                .known
                .organizations(Organizations::MOST)
                .iter()
                .map(ToString::to_string)
                .collect(),
            expires_at: rfc3339(granted.expires_at()),
            secret_version: granted.grant.secret_version,
            limits: granted.allowance.as_ref().map(LeftBody::of),
            deprecated_at: outgoing.and_then(|outgoing| rfc3339(outgoing.deprecated_at)),
            sunset_at: outgoing.and_then(|outgoing| rfc3339(outgoing.sunset_at)),
        }
    }
}
