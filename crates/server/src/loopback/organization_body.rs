//! Organizations and memberships on the wire (space-invoices-loopback.md 2.5).

use axum::extract::{FromRequest, Request};
use countersign_domain::error::{Error, Field};
use countersign_domain::organization::{Consent, Membership, Organization, Role};
use countersign_domain::profile::Profile;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::account_body::{merge, properties};
use super::error::Flaw;
use super::failure::{Failure, ORGANIZATION};
use super::object::read_object;
use crate::time_text::rfc3339_millis;

/// What a client cannot set.
const READ_ONLY: [&str; 5] = ["id", "ownerId", "active", "createdAt", "updatedAt"];
/// A free object; every other property is a single value.
const CUSTOM: &str = "custom";
/// Longest text, in characters.
const LONGEST_TEXT: usize = 1_000;
/// Most properties.
const MOST_PROPERTIES: usize = 64;

/// Of create and patch: `name` and whatever else an organization says of itself, as texts, numbers, `true` and `false`;
/// `custom` is a free object.
#[derive(Debug, ToSchema)]
pub(super) struct OrganizationInput {
    /// What people call it; needed when it is made.
    #[schema(value_type = Option<String>, rename = "name")]
    stated: Map<String, Value>,
}

impl<S: Sync> FromRequest<S> for OrganizationInput {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        let mut stated = read_object(request).await?;
        stated.retain(|name, _| !READ_ONLY.contains(&name.as_str()));
        if stated.len() > MOST_PROPERTIES {
            return Err(Failure::Malformed(format!(
                "An organization has at most {MOST_PROPERTIES} properties"
            )));
        }
        Ok(Self { stated })
    }
}

impl OrganizationInput {
    /// Of a new organization.
    pub(super) fn wanted(&self) -> Result<Profile, Failure> {
        match self.stated.get("name") {
            Some(Value::String(name)) if !name.trim().is_empty() => Ok(self.merge(&Profile::default())?),
            _ => Err(Failure::Invalid { model: ORGANIZATION, flaws: vec![Flaw::blank("name")] }),
        }
    }

    /// What an organization says of itself, with what is stated here: `null` takes a property away.
    pub(super) fn merge(&self, before: &Profile) -> Result<Profile, Error> {
        let merged = merge(before, &self.stated, check)?;
        let properties = properties(&merged);
        if properties.len() > MOST_PROPERTIES || !properties.contains_key("name") {
            return Err(Error::invalid(Field::Organization, "needs a name, and at most 64 properties"));
        }
        Ok(merged)
    }
}

/// The value as it is kept.
fn check(name: &str, value: &Value) -> Result<Value, Error> {
    let wrong = |reason| Err(Error::invalid(Field::Organization, reason));
    match (name, value) {
        ("name", Value::String(text)) if text.trim().is_empty() => wrong("must have a name"),
        ("name", Value::Bool(_) | Value::Number(_)) => wrong("must have a text as its name"),
        (CUSTOM, Value::Object(_)) => Ok(value.clone()),
        (CUSTOM, _) => wrong("must have an object as its custom property"),
        (_, Value::String(text)) if text.chars().count() > LONGEST_TEXT => {
            wrong("has a text of more than 1000 characters")
        }
        (_, Value::String(_) | Value::Bool(_) | Value::Number(_)) => Ok(value.clone()),
        _ => wrong("has a property that is neither a text nor a number nor true or false"),
    }
}

/// An organization on the wire.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(super) struct OrganizationOutput {
    /// 32 hex digits.
    id: String,
    /// What it says of itself, each property by its name; `name` is always among it.
    #[schema(value_type = String, rename = "name")]
    profile: Map<String, Value>,
    /// The account that manages it.
    owner_id: String,
    /// Whether anybody may act in it.
    active: bool,
    /// UTC, in milliseconds.
    created_at: Option<String>,
    /// UTC, in milliseconds.
    updated_at: Option<String>,
}

impl From<&Organization> for OrganizationOutput {
    fn from(organization: &Organization) -> Self {
        Self {
            id: organization.id.to_string(),
            profile: properties(&organization.profile),
            owner_id: organization.owner.to_string(),
            active: organization.active,
            created_at: rfc3339_millis(organization.created_at),
            updated_at: rfc3339_millis(organization.updated_at),
        }
    }
}

impl Serialize for OrganizationOutput {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.id)?;
        for (name, value) in &self.profile {
            map.serialize_entry(name, value)?;
        }
        map.serialize_entry("ownerId", &self.owner_id)?;
        map.serialize_entry("active", &self.active)?;
        map.serialize_entry("createdAt", &self.created_at)?;
        map.serialize_entry("updatedAt", &self.updated_at)?;
        map.end()
    }
}

/// An access object: that an account belongs to an organization.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct MembershipOutput {
    /// 32 hex digits.
    id: String,
    organization_id: String,
    account_id: String,
    /// `default`, `admin` or `readonly`.
    role: &'static str,
    /// Whether the account agrees.
    active: bool,
    /// Whether those who manage the organization have stopped it.
    disabled: bool,
    /// Whether the account has refused.
    rejected: bool,
    /// UTC, in milliseconds.
    created_at: Option<String>,
    /// UTC, in milliseconds.
    updated_at: Option<String>,
}

impl From<&Membership> for MembershipOutput {
    fn from(membership: &Membership) -> Self {
        Self {
            id: membership.id.to_string(),
            organization_id: membership.organization.to_string(),
            account_id: membership.account.to_string(),
            role: membership.role.as_str(),
            active: membership.consent == Consent::Given,
            disabled: membership.disabled,
            rejected: membership.consent == Consent::Refused,
            created_at: rfc3339_millis(membership.created_at),
            updated_at: rfc3339_millis(membership.updated_at),
        }
    }
}

/// Who is invited.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
pub(super) struct InviteInput {
    /// The account; either this, or its address.
    pub(super) account_id: Option<String>,
    /// Of an account that there is.
    pub(super) email: Option<String>,
    /// `default`, `admin` or `readonly`; `default` when absent.
    #[schema(value_type = Option<String>)]
    pub(super) role: Role,
    /// Whether the account has to accept; `true` when absent. One that is not below the caller's always has to.
    pub(super) require_confirmation: bool,
    /// Must not be `true`: no mail is sent yet.
    pub(super) send_email: bool,
}

impl<S: Sync> FromRequest<S> for InviteInput {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        let object = read_object(request).await?;
        let role = object.get("role").map_or(Ok(Role::Default), role)?;
        Ok(Self {
            account_id: text(&object, "accountId")?,
            email: text(&object, "email")?,
            role,
            require_confirmation: flag(&object, "requireConfirmation")?.unwrap_or(true),
            send_email: flag(&object, "sendEmail")?.unwrap_or(false),
        })
    }
}

/// Of change-role.
#[derive(Debug, ToSchema)]
pub(super) struct RoleInput {
    /// `default`, `admin` or `readonly`.
    #[schema(value_type = String)]
    pub(super) role: Role,
}

impl<S: Sync> FromRequest<S> for RoleInput {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        let object = read_object(request).await?;
        let missing = || Failure::Malformed("role is a required argument".into());
        Ok(Self { role: role(object.get("role").ok_or_else(missing)?)? })
    }
}

fn role(value: &Value) -> Result<Role, Failure> {
    let role = value.as_str().and_then(Role::parse);
    role.ok_or_else(|| Failure::invalid_in(ACCESS, "role", "must be default, admin or readonly"))
}

/// LoopBack's name of a membership.
const ACCESS: &str = "AccountOrganization";

fn text(object: &Map<String, Value>, name: &'static str) -> Result<Option<String>, Failure> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Failure::invalid_in(ACCESS, name, "must be a text")),
    }
}

/// In a form everything is a text.
fn flag(object: &Map<String, Value>, name: &'static str) -> Result<Option<bool>, Failure> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(Value::String(text)) if text == "true" => Ok(Some(true)),
        Some(Value::String(text)) if text == "false" => Ok(Some(false)),
        Some(_) => Err(Failure::invalid_in(ACCESS, name, "must be true or false")),
    }
}
