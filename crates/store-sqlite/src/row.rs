//! Rows as values of the domain. A cell that cannot be read is named by table, column and row.

use std::net::IpAddr;

use countersign_domain::access_token::{AccessToken, Sealed, Source};
use countersign_domain::account::{Account, AccountFact, AccountState, Epoch};
use countersign_domain::email::Email;
use countersign_domain::id::{
    AccountId, ClientId, Handle, MembershipId, OrganizationId, ServiceTokenId, TokenRef,
};
use countersign_domain::lifetime::{Lifetime, Ttl};
use countersign_domain::limits::Limits;
use countersign_domain::lineage::Lineage;
use countersign_domain::name::Name;
use countersign_domain::network::Networks;
use countersign_domain::organization::{Consent, Membership, Organization, Organizations, Role};
use countersign_domain::password::PasswordHash;
use countersign_domain::profile::Profile;
use countersign_domain::resource::Resources;
use countersign_domain::restrictions::Restrictions;
use countersign_domain::scope::Scopes;
use countersign_domain::secret::Digest;
use countersign_domain::service_token::{CurrentSecret, PreviousSecret, SecretVersion, ServiceToken};
use countersign_domain::store::{RootToken, StoreError, Version};
use countersign_domain::time::Timestamp;
use countersign_domain::usage::{Door, Refusals, Usage};
use countersign_domain::verdict::Reason;
use rusqlite::Row;
use rusqlite::types::ValueRef;

use crate::failure::Failure;

/// Reads the cells of a row from left to right.
#[derive(Clone)]
pub(crate) struct Cells<'r> {
    row: &'r Row<'r>,
    table: &'static str,
    next: usize,
}

impl<'r> Cells<'r> {
    pub(crate) fn of(row: &'r Row<'r>, table: &'static str) -> Self {
        Self { row, table, next: 0 }
    }

    /// The next cell as what `read` makes of it; `column` is for the error alone.
    fn cell<T>(
        &mut self,
        column: &'static str,
        read: impl FnOnce(ValueRef<'r>) -> Option<T>,
    ) -> Result<T, Failure> {
        let value = self.row.get_ref(self.next)?;
        self.next += 1;
        read(value).ok_or_else(|| Failure::Refused(self.broken(column)))
    }

    /// As [`Cells::cell`], with NULL as `None`.
    pub(crate) fn optional<T>(
        &mut self,
        column: &'static str,
        read: impl FnOnce(ValueRef<'r>) -> Option<T>,
    ) -> Result<Option<T>, Failure> {
        self.cell(column, |value| match value {
            ValueRef::Null => Some(None),
            value => read(value).map(Some),
        })
    }

    pub(crate) fn broken(&self, column: &'static str) -> StoreError {
        let row = match self.row.get_ref(0) {
            Ok(ValueRef::Integer(number)) => number.to_string(),
            Ok(ValueRef::Blob(bytes)) => printed_id(self.table, bytes),
            _ => "without an id".to_owned(),
        };
        StoreError::Broken { table: self.table, column, row }
    }

    pub(crate) fn integer(&mut self, column: &'static str) -> Result<i64, Failure> {
        self.cell(column, integer)
    }

    pub(crate) fn number<T: TryFrom<i64>>(&mut self, column: &'static str) -> Result<T, Failure> {
        self.cell(column, |value| T::try_from(integer(value)?).ok())
    }

    pub(crate) fn optional_number<T: TryFrom<i64>>(
        &mut self,
        column: &'static str,
    ) -> Result<Option<T>, Failure> {
        self.optional(column, |value| T::try_from(integer(value)?).ok())
    }

    /// Leaves out the next cells.
    pub(crate) fn pass_over(&mut self, cells: usize) {
        self.next += cells;
    }

    pub(crate) fn time(&mut self, column: &'static str) -> Result<Timestamp, Failure> {
        self.cell(column, time)
    }

    pub(crate) fn flag(&mut self, column: &'static str) -> Result<bool, Failure> {
        self.cell(column, |value| Some(integer(value)? != 0))
    }

    pub(crate) fn version(&mut self, column: &'static str) -> Result<Version, Failure> {
        self.number(column).map(Version::from_number)
    }

    pub(crate) fn digest(&mut self, column: &'static str) -> Result<Digest, Failure> {
        self.cell(column, |value| bytes(value).map(Digest::from_bytes))
    }

    pub(crate) fn text(&mut self, column: &'static str) -> Result<&'r str, Failure> {
        self.cell(column, text)
    }

    pub(crate) fn optional_text(&mut self, column: &'static str) -> Result<Option<&'r str>, Failure> {
        self.optional(column, text)
    }

    pub(crate) fn account_id(&mut self, column: &'static str) -> Result<AccountId, Failure> {
        self.cell(column, |value| bytes(value).map(AccountId::from_bytes))
    }

    pub(crate) fn optional_account_id(&mut self, column: &'static str) -> Result<Option<AccountId>, Failure> {
        self.optional(column, |value| bytes(value).map(AccountId::from_bytes))
    }

    pub(crate) fn organization_id(&mut self, column: &'static str) -> Result<OrganizationId, Failure> {
        self.cell(column, |value| bytes(value).map(OrganizationId::from_bytes))
    }

    pub(crate) fn membership_id(&mut self, column: &'static str) -> Result<MembershipId, Failure> {
        self.cell(column, |value| bytes(value).map(MembershipId::from_bytes))
    }

    /// The next two cells.
    fn account_state(&mut self) -> Result<AccountState, Failure> {
        let (enabled, deleted) = (self.flag("enabled")?, self.flag("deleted")?);
        Ok(match (enabled, deleted) {
            (_, true) => AccountState::Deleted,
            (true, false) => AccountState::Enabled,
            (false, false) => AccountState::Disabled,
        })
    }

    pub(crate) fn lineage(&mut self) -> Result<Lineage, Failure> {
        self.lineage_with(Lineage::from_bytes)
    }

    /// As [`Cells::lineage`]; `read` reads the cell.
    pub(crate) fn lineage_with(
        &mut self,
        read: impl FnOnce(&[u8]) -> Option<Lineage>,
    ) -> Result<Lineage, Failure> {
        Ok(self.optional("lineage", |value| read(value.as_blob().ok()?))?.unwrap_or_default())
    }

    pub(crate) fn service_token_id(&mut self, column: &'static str) -> Result<ServiceTokenId, Failure> {
        self.cell(column, |value| bytes(value).map(ServiceTokenId::from_bytes))
    }

    pub(crate) fn client_id(&mut self, column: &'static str) -> Result<ClientId, Failure> {
        self.cell(column, |value| bytes(value).map(ClientId::from_bytes))
    }

    pub(crate) fn handle(&mut self, column: &'static str) -> Result<Handle, Failure> {
        self.cell(column, handle)
    }

    pub(crate) fn optional_handle(&mut self, column: &'static str) -> Result<Option<Handle>, Failure> {
        self.optional(column, handle)
    }

    pub(crate) fn bytes<const N: usize>(&mut self, column: &'static str) -> Result<[u8; N], Failure> {
        self.cell(column, bytes)
    }

    pub(crate) fn blob(&mut self, column: &'static str) -> Result<&'r [u8], Failure> {
        self.cell(column, |value| value.as_blob().ok())
    }

    pub(crate) fn token(&mut self, column: &'static str) -> Result<TokenRef, Failure> {
        self.cell(column, token)
    }

    pub(crate) fn optional_token(&mut self, column: &'static str) -> Result<Option<TokenRef>, Failure> {
        self.optional(column, token)
    }

    pub(crate) fn address(&mut self, column: &'static str) -> Result<Option<IpAddr>, Failure> {
        self.optional(column, |value| match value.as_blob().ok()?.len() {
            4 => bytes::<4>(value).map(IpAddr::from),
            16 => bytes::<16>(value).map(IpAddr::from),
            _ => None,
        })
    }

    /// What `parse` makes of the next cell, a text.
    pub(crate) fn parsed<T>(
        &mut self,
        column: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, Failure> {
        self.cell(column, |value| parse(text(value)?))
    }

    /// The next five cells.
    pub(crate) fn restrictions(&mut self) -> Result<Restrictions, Failure> {
        let scopes = self.scopes_with(|text| Scopes::from_joined(text).ok())?;
        self.restrictions_but(scopes)
    }

    /// The next cell; `read` reads it.
    pub(crate) fn scopes_with(
        &mut self,
        read: impl FnOnce(&str) -> Option<Scopes>,
    ) -> Result<Scopes, Failure> {
        Ok(self.optional("scopes", |value| read(text(value)?))?.unwrap_or(Scopes::FULL))
    }

    /// The next four cells, for these scopes.
    pub(crate) fn restrictions_but(&mut self, scopes: Scopes) -> Result<Restrictions, Failure> {
        let organizations =
            self.optional("organizations", |value| Organizations::from_joined(text(value)?).ok())?;
        let resources = self.optional("resources", |value| Resources::from_joined(text(value)?).ok())?;
        let allowed_ips = self.optional("allowed_ips", |value| Networks::from_joined(text(value)?).ok())?;
        let limits = self.optional("limits", |value| Limits::from_joined(text(value)?).ok())?;
        Ok(Restrictions::new(
            scopes,
            organizations.unwrap_or(Organizations::ALL),
            resources.unwrap_or(Resources::ALL),
            allowed_ips.unwrap_or(Networks::ALL),
            limits.unwrap_or(Limits::NONE),
        ))
    }

    fn previous_secret(&mut self) -> Result<Option<PreviousSecret>, Failure> {
        let version: Option<SecretVersion> = self.optional_number("previous_version")?;
        let Some(version) = version else {
            self.pass_over(4);
            return Ok(None);
        };
        Ok(Some(PreviousSecret {
            version,
            digest: self.digest("previous_digest")?,
            created_at: self.time("previous_created_at")?,
            replaced_at: self.time("previous_replaced_at")?,
            expires_at: self.time("previous_expires_at")?,
        }))
    }
}

fn integer(value: ValueRef<'_>) -> Option<i64> {
    value.as_i64().ok()
}

fn time(value: ValueRef<'_>) -> Option<Timestamp> {
    integer(value).map(Timestamp::from_micros)
}

fn text(value: ValueRef<'_>) -> Option<&str> {
    value.as_str().ok()
}

fn bytes<const N: usize>(value: ValueRef<'_>) -> Option<[u8; N]> {
    value.as_blob().ok()?.try_into().ok()
}

fn handle(value: ValueRef<'_>) -> Option<Handle> {
    Handle::from_ascii(value.as_blob().ok()?)
}

/// The two kinds of token differ in length.
fn token(value: ValueRef<'_>) -> Option<TokenRef> {
    match value.as_blob().ok()?.len() {
        16 => bytes(value).map(|id| TokenRef::Service(ServiceTokenId::from_bytes(id))),
        _ => handle(value).map(TokenRef::Access),
    }
}

/// The id in the first column, as the API prints it.
fn printed_id(table: &'static str, id: &[u8]) -> String {
    match <[u8; 16]>::try_from(id) {
        Ok(id) if matches!(table, "accounts" | "organizations" | "memberships") => {
            AccountId::from_bytes(id).to_string()
        }
        Ok(id) => ServiceTokenId::from_bytes(id).to_string(),
        Err(_) => String::from_utf8_lossy(id).into_owned(),
    }
}

pub(crate) fn account(row: &Row<'_>) -> Result<Account, Failure> {
    let mut cells = Cells::of(row, "accounts");
    Ok(Account {
        id: cells.account_id("id")?,
        parent: cells.optional_account_id("parent")?,
        email: Email::from_store(cells.text("email")?),
        password: cells.optional_text("password")?.map(PasswordHash::from_phc),
        profile: cells.parsed("profile", |profile| Profile::from_json(profile).ok())?,
        state: cells.account_state()?,
        epoch: cells.number("epoch").map(Epoch::from_number)?,
        created_at: cells.time("created_at")?,
        updated_at: cells.time("updated_at")?,
        version: cells.version("version")?,
    })
}

pub(crate) fn account_fact(row: &Row<'_>) -> Result<AccountFact, Failure> {
    let mut cells = Cells::of(row, "accounts");
    Ok(AccountFact {
        id: cells.account_id("id")?,
        parent: cells.optional_account_id("parent")?,
        state: cells.account_state()?,
        epoch: cells.number("epoch").map(Epoch::from_number)?,
        version: cells.version("version")?,
    })
}

pub(crate) fn organization(row: &Row<'_>) -> Result<Organization, Failure> {
    let mut cells = Cells::of(row, "organizations");
    Ok(Organization {
        id: cells.organization_id("id")?,
        owner: cells.account_id("owner")?,
        profile: cells.parsed("profile", |profile| Profile::from_json(profile).ok())?,
        active: cells.flag("active")?,
        created_at: cells.time("created_at")?,
        updated_at: cells.time("updated_at")?,
        version: cells.version("version")?,
    })
}

pub(crate) fn membership(row: &Row<'_>) -> Result<Membership, Failure> {
    let mut cells = Cells::of(row, "memberships");
    Ok(Membership {
        id: cells.membership_id("id")?,
        organization: cells.organization_id("organization")?,
        account: cells.account_id("account")?,
        role: cells.parsed("role", Role::parse)?,
        consent: cells.parsed("consent", Consent::parse)?,
        disabled: cells.flag("disabled")?,
        created_at: cells.time("created_at")?,
        updated_at: cells.time("updated_at")?,
        version: cells.version("version")?,
    })
}

pub(crate) fn service_token(row: &Row<'_>) -> Result<ServiceToken, Failure> {
    let mut cells = Cells::of(row, "service_tokens");
    Ok(ServiceToken {
        id: cells.service_token_id("id")?,
        account: cells.account_id("account")?,
        client_id: cells.client_id("client_id")?,
        name: cells.parsed("name", |name| Name::parse(name).ok())?,
        lifetime: cells.parsed("lifetime", |lifetime| Lifetime::parse(lifetime).ok())?,
        enabled: cells.flag("enabled")?,
        restrictions: cells.restrictions()?,
        current: CurrentSecret {
            version: cells.number("secret_version")?,
            digest: cells.digest("secret_digest")?,
            created_at: cells.time("secret_created_at")?,
            rotated_by: cells.optional_handle("rotated_by")?,
        },
        previous: cells.previous_secret()?,
        created_at: cells.time("created_at")?,
        updated_at: cells.time("updated_at")?,
        expires_at: cells.time("expires_at")?,
        lineage: cells.lineage()?,
        version: cells.version("version")?,
    })
}

pub(crate) fn access_token(row: &Row<'_>) -> Result<AccessToken, Failure> {
    let mut cells = Cells::of(row, "access_tokens");
    Ok(AccessToken {
        handle: cells.handle("handle")?,
        digest: cells.digest("digest")?,
        account: cells.account_id("account")?,
        name: cells.optional("name", |value| Name::parse(text(value)?).ok())?,
        ttl: cells.cell("ttl", |value| Ttl::from_number(integer(value)?).ok())?,
        restrictions: cells.restrictions()?,
        created_at: cells.time("created_at")?,
        expires_at: cells.time("expires_at")?,
        source: cells.parsed("source", Source::parse)?,
        lineage: cells.lineage()?,
        epoch: cells.number("epoch").map(Epoch::from_number)?,
        sealed: cells.optional("sealed", |value| value.as_blob().ok().map(Sealed::from_bytes))?,
        version: cells.version("version")?,
    })
}

pub(crate) fn root_token(row: &Row<'_>) -> Result<RootToken, Failure> {
    let mut cells = Cells::of(row, "root_tokens");
    let handle = cells.handle("handle")?;
    let live = cells.optional_number("version")?.map(Version::from_number);
    Ok(RootToken { handle, live })
}

pub(crate) fn usage(row: &Row<'_>) -> Result<Usage, Failure> {
    let mut cells = Cells::of(row, "uses");
    Ok(Usage {
        token: cells.token("token")?,
        secret_version: cells.number("secret_version")?,
        count: cells.number("count")?,
        first_at: cells.time("first_at")?,
        last_at: cells.time("last_at")?,
        address: cells.address("address")?,
        user_agent: cells.text("user_agent")?.into(),
        door: cells.parsed("door", Door::parse)?,
    })
}

pub(crate) fn refusals(row: &Row<'_>) -> Result<Refusals, Failure> {
    let mut cells = Cells::of(row, "refusals");
    let reason = |word: &str| Reason::ALL.into_iter().find(|reason| reason.as_str() == word);
    Ok(Refusals {
        token: cells.token("token")?,
        minute: cells.time("minute")?,
        reason: cells.parsed("reason", reason)?,
        count: cells.number("count")?,
        address: cells.address("address")?,
    })
}
