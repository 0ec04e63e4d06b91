//! Accounts on the wire (space-invoices-loopback.md 2.3).

use axum::extract::{FromRequest, Request};
use countersign_authority::{AccountPatch, AccountRequest};
use countersign_domain::account::{Account, AccountState};
use countersign_domain::email::Email;
use countersign_domain::error::{Error, Field};
use countersign_domain::id::AccountId;
use countersign_domain::password::Password;
use countersign_domain::profile::Profile;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::error::Flaw;
use super::failure::{ACCOUNT, Failure};
use super::object::read_object;
use crate::time_text::rfc3339_millis;

/// Texts that an account may have.
const TEXTS: [&str; 12] = [
    "firstname",
    "lastname",
    "taxNumber",
    "locale",
    "label",
    "softwareSupplierTaxNumber",
    "activateRedirect",
    "invitationLink",
    "invitationNewLink",
    "documentShareableLink",
    "resetRedirect",
    "billingOrganizationId",
];
/// Whether its children may make organizations; kept, and not judged here.
const FLAG: &str = "disableCreatingChildOrganizations";
/// A free object.
const CUSTOM: &str = "custom";
/// Longest text, in characters.
const LONGEST_TEXT: usize = 1_000;

/// Of create and patch. What is not listed is ignored, `id` and the other read-only properties among it.
// No `Debug`: it may hold a password.
#[derive(Default, ToSchema)]
#[schema(rename_all = "camelCase")]
pub(super) struct AccountInput {
    /// Unique, whatever its case.
    #[schema(value_type = Option<String>)]
    email: Option<Value>,
    /// At least 8 characters. Needed when an account is made; `null` there = nobody logs in.
    #[schema(value_type = Option<String>)]
    password: Option<Zeroizing<String>>,
    /// Whether a password is stated at all, be it `null`.
    #[schema(ignore)]
    states_password: bool,
    /// Whether what is stated is no text.
    #[schema(ignore)]
    password_is_no_text: bool,
    /// What it says of itself: `firstname`, `lastname`, `taxNumber`, `locale`, `label`, `custom` (a free object) and others.
    #[schema(ignore)]
    profile: Map<String, Value>,
}

impl<S: Sync> FromRequest<S> for AccountInput {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        let mut object = read_object(request).await?;
        let email = object.remove("email").filter(|email| !email.is_null());
        let stated = object.remove("password");
        let states_password = stated.is_some();
        let (password, password_is_no_text) = match stated {
            Some(Value::String(text)) => (Some(Zeroizing::new(text)), false),
            None | Some(Value::Null) => (None, false),
            Some(_) => (None, true),
        };
        object.retain(|name, _| is_of_profile(name));
        Ok(Self { email, password, states_password, password_is_no_text, profile: object })
    }
}

fn is_of_profile(name: &str) -> bool {
    TEXTS.contains(&name) || name == FLAG || name == CUSTOM
}

impl AccountInput {
    /// Of a new account.
    pub(super) fn wanted(&self) -> Result<AccountRequest, Failure> {
        let mut flaws = Vec::new();
        if !self.states_password {
            flaws.push(Flaw::blank("password"));
        }
        if self.email.is_none() {
            flaws.push(Flaw::blank("email"));
        }
        if !flaws.is_empty() {
            return Err(Failure::Invalid { model: ACCOUNT, flaws });
        }
        let email = self.email()?.ok_or_else(bad_email)?;
        let profile = self.merge(&Profile::default())?;
        Ok(AccountRequest { email, password: self.password()?, profile })
    }

    /// Of an account that is there.
    pub(super) fn patch(&self) -> Result<AccountPatch, Failure> {
        if self.states_password && self.password.is_none() && !self.password_is_no_text {
            return Err(Failure::invalid_in(ACCOUNT, "password", "must be a text"));
        }
        Ok(AccountPatch { email: self.email()?, password: self.password()? })
    }

    fn email(&self) -> Result<Option<Email>, Failure> {
        let Some(value) = &self.email else { return Ok(None) };
        let text = value.as_str().ok_or_else(bad_email)?;
        Email::parse(text).map(Some).map_err(|_| bad_email())
    }

    fn password(&self) -> Result<Option<Password>, Failure> {
        if self.password_is_no_text {
            return Err(Failure::invalid_in(ACCOUNT, "password", "must be a text"));
        }
        let password = self.password.as_ref().map(|text| Password::parse(text));
        password.transpose().map_err(|why| Failure::invalid_in(ACCOUNT, "password", why))
    }

    /// What an account says of itself, with what is stated here: `null` takes a property away.
    pub(super) fn merge(&self, before: &Profile) -> Result<Profile, Error> {
        merge(before, &self.profile, check)
    }
}

fn bad_email() -> Failure {
    let flaw = Flaw { property: "email", code: "custom.email", reason: "is invalid".into() };
    Failure::Invalid { model: ACCOUNT, flaws: vec![flaw] }
}

/// The value as it is kept.
fn check(name: &str, value: &Value) -> Result<Value, Error> {
    let wrong = |what| {
        Error::invalid(Field::Profile, format!("is not the only free property: {name} must be {what}"))
    };
    match (name, value) {
        (CUSTOM, Value::Object(_)) => Ok(value.clone()),
        (CUSTOM, _) => Err(Error::invalid(Field::Profile, "must be an object")),
        (FLAG, Value::Bool(_)) => Ok(value.clone()),
        (FLAG, Value::String(text)) if text == "true" || text == "false" => Ok(Value::Bool(text == "true")),
        (FLAG, _) => Err(wrong("true or false")),
        (_, Value::String(text)) if text.chars().count() <= LONGEST_TEXT => Ok(value.clone()),
        _ => Err(wrong("a text of at most 1000 characters")),
    }
}

/// A profile with other values; `null` takes a property away.
pub(super) fn merge(
    before: &Profile,
    stated: &Map<String, Value>,
    check: impl Fn(&str, &Value) -> Result<Value, Error>,
) -> Result<Profile, Error> {
    let mut properties = properties(before);
    for (name, value) in stated {
        if value.is_null() {
            properties.remove(name);
        } else {
            properties.insert(name.clone(), check(name, value)?);
        }
    }
    let text = Value::Object(properties).to_string();
    Profile::from_json(&text).map_err(|why| Error::invalid(Field::Profile, why.to_string()))
}

/// What a profile says. It was written by this wire, so it is an object.
pub(super) fn properties(profile: &Profile) -> Map<String, Value> {
    serde_json::from_str(profile.as_json()).unwrap_or_default()
}

/// An account on the wire.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(super) struct AccountOutput {
    /// 32 hex digits.
    id: String,
    /// By which it logs in.
    email: String,
    /// What it says of itself, each property by its name.
    #[schema(ignore)]
    profile: Map<String, Value>,
    /// Whether mail has arrived; none is sent yet.
    email_verified: bool,
    /// Whether it and everything below it is stopped.
    disabled: bool,
    /// The root account; `null` = it is the root.
    master_id: Option<String>,
    /// The account above it.
    parent_id: Option<String>,
    /// UTC, in milliseconds.
    created_at: Option<String>,
    /// UTC, in milliseconds.
    updated_at: Option<String>,
}

impl AccountOutput {
    /// An account below this root.
    pub(super) fn of(account: &Account, root: Option<AccountId>) -> Self {
        let parent_id = account.parent.map(|parent| parent.to_string());
        Self {
            id: account.id.to_string(),
            email: account.email.to_string(),
            profile: properties(&account.profile),
            email_verified: false,
            disabled: account.state == AccountState::Disabled,
            master_id: root.filter(|_| parent_id.is_some()).map(|root| root.to_string()),
            parent_id,
            created_at: rfc3339_millis(account.created_at),
            updated_at: rfc3339_millis(account.updated_at),
        }
    }
}

/// In the order of LoopBack: what names it, what it says of itself, what happened to it.
impl Serialize for AccountOutput {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("email", &self.email)?;
        for (name, value) in &self.profile {
            map.serialize_entry(name, value)?;
        }
        map.serialize_entry("emailVerified", &self.email_verified)?;
        map.serialize_entry("disabled", &self.disabled)?;
        map.serialize_entry("masterId", &self.master_id)?;
        map.serialize_entry("parentId", &self.parent_id)?;
        map.serialize_entry("createdAt", &self.created_at)?;
        map.serialize_entry("updatedAt", &self.updated_at)?;
        map.end()
    }
}
