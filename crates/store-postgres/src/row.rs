//! Rows as values of the domain. A cell that cannot be read is named by table, column and row.

use std::net::IpAddr;

use countersign_domain::access_token::{AccessToken, Sealed, Source};
use countersign_domain::account::{Account, AccountFact, AccountState, Epoch};
use countersign_domain::email::Email;
use countersign_domain::id::{
    AccountId, ClientId, Handle, MembershipId, OrganizationId, ServiceTokenId, TokenRef,
};
use countersign_domain::lifetime::{Lifetime, Ttl};
use countersign_domain::limits::{Limits, Period, Window};
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
use countersign_domain::usage::{Door, QuotaUse, Refusals, Usage};
use countersign_domain::verdict::Reason;
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;
use uuid::Uuid;

use crate::failure::Failure;

/// Reads the cells of a row from left to right.
#[derive(Clone)]
pub(crate) struct Cells<'r> {
    row: &'r Row,
    table: &'static str,
    next: usize,
}

impl<'r> Cells<'r> {
    pub(crate) fn of(row: &'r Row, table: &'static str) -> Self {
        Self { row, table, next: 0 }
    }

    /// The next cell as what `read` makes of it; `column` is for the error alone.
    pub(crate) fn cell<C: FromSql<'r>, T>(
        &mut self,
        column: &'static str,
        read: impl FnOnce(C) -> Option<T>,
    ) -> Result<T, Failure> {
        let value = self.row.try_get(self.next).ok();
        self.next += 1;
        value.and_then(read).ok_or_else(|| Failure::Refused(self.broken(column)))
    }

    /// As [`Cells::cell`], with NULL as `None`.
    pub(crate) fn optional<C: FromSql<'r>, T>(
        &mut self,
        column: &'static str,
        read: impl FnOnce(C) -> Option<T>,
    ) -> Result<Option<T>, Failure> {
        self.cell(column, |value: Option<C>| match value {
            None => Some(None),
            Some(value) => read(value).map(Some),
        })
    }

    /// The next cell as it is.
    pub(crate) fn plain<T: FromSql<'r>>(&mut self, column: &'static str) -> Result<T, Failure> {
        self.cell(column, Some)
    }

    pub(crate) fn broken(&self, column: &'static str) -> StoreError {
        let row = match self.row.columns().first().map(|first| first.type_().name()) {
            Some("uuid") => self.row.try_get(0).map(|id: Uuid| id.to_string()),
            Some("text") => self.row.try_get(0),
            Some("int8") => self.row.try_get(0).map(|number: i64| number.to_string()),
            _ => Ok("without an id".to_owned()),
        };
        StoreError::Broken { table: self.table, column, row: row.unwrap_or_default() }
    }

    pub(crate) fn number<T: TryFrom<i64>>(&mut self, column: &'static str) -> Result<T, Failure> {
        self.cell(column, |number: i64| T::try_from(number).ok())
    }

    pub(crate) fn time(&mut self, column: &'static str) -> Result<Timestamp, Failure> {
        self.plain(column).map(Timestamp::from_micros)
    }

    pub(crate) fn version(&mut self, column: &'static str) -> Result<Version, Failure> {
        self.number(column).map(Version::from_number)
    }

    pub(crate) fn epoch(&mut self) -> Result<Epoch, Failure> {
        self.number("epoch").map(Epoch::from_number)
    }

    pub(crate) fn account_id(&mut self, column: &'static str) -> Result<AccountId, Failure> {
        self.id(column, AccountId::from_bytes)
    }

    pub(crate) fn optional_account_id(&mut self, column: &'static str) -> Result<Option<AccountId>, Failure> {
        self.optional(column, |id: Uuid| Some(AccountId::from_bytes(id.into_bytes())))
    }

    pub(crate) fn organization_id(&mut self, column: &'static str) -> Result<OrganizationId, Failure> {
        self.id(column, OrganizationId::from_bytes)
    }

    pub(crate) fn membership_id(&mut self, column: &'static str) -> Result<MembershipId, Failure> {
        self.id(column, MembershipId::from_bytes)
    }

    pub(crate) fn service_token_id(&mut self, column: &'static str) -> Result<ServiceTokenId, Failure> {
        self.id(column, ServiceTokenId::from_bytes)
    }

    pub(crate) fn client_id(&mut self, column: &'static str) -> Result<ClientId, Failure> {
        self.id(column, ClientId::from_bytes)
    }

    fn id<T>(&mut self, column: &'static str, make: impl FnOnce([u8; 16]) -> T) -> Result<T, Failure> {
        self.cell(column, |id: Uuid| Some(make(id.into_bytes())))
    }

    pub(crate) fn handle(&mut self, column: &'static str) -> Result<Handle, Failure> {
        self.parsed(column, |text| text.parse().ok())
    }

    pub(crate) fn optional_handle(&mut self, column: &'static str) -> Result<Option<Handle>, Failure> {
        self.optional(column, |text: &str| text.parse().ok())
    }

    pub(crate) fn token(&mut self, column: &'static str) -> Result<TokenRef, Failure> {
        self.parsed(column, |text| text.parse().ok())
    }

    pub(crate) fn parsed<T>(
        &mut self,
        column: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, Failure> {
        self.cell(column, parse)
    }

    pub(crate) fn digest(&mut self, column: &'static str) -> Result<Digest, Failure> {
        self.cell(column, |bytes: &[u8]| bytes.try_into().ok().map(Digest::from_bytes))
    }

    pub(crate) fn address(&mut self) -> Result<Option<IpAddr>, Failure> {
        self.plain("address")
    }

    pub(crate) fn lineage(&mut self) -> Result<Lineage, Failure> {
        Ok(self.optional("lineage", Lineage::from_bytes)?.unwrap_or_default())
    }

    /// The next four cells.
    pub(crate) fn quota_use(&mut self) -> Result<QuotaUse, Failure> {
        let token = self.token("token")?;
        let period = self.parsed("period", |text| Period::parse(text).ok())?;
        let window = Window::of(period, self.number("first_day")?);
        Ok(QuotaUse { token, window, used: self.number("used")? })
    }

    /// The next five cells.
    pub(crate) fn restrictions(&mut self) -> Result<Restrictions, Failure> {
        let scopes = self.optional("scopes", |text| Scopes::from_joined(text).ok())?;
        let organizations = self.optional("organizations", |text| Organizations::from_joined(text).ok())?;
        let resources = self.optional("resources", |text| Resources::from_joined(text).ok())?;
        let allowed_ips = self.optional("allowed_ips", |text| Networks::from_joined(text).ok())?;
        let limits = self.optional("limits", |text| Limits::from_joined(text).ok())?;
        Ok(Restrictions::new(
            scopes.unwrap_or(Scopes::FULL),
            organizations.unwrap_or_default(),
            resources.unwrap_or_default(),
            allowed_ips.unwrap_or_default(),
            limits.unwrap_or_default(),
        ))
    }

    fn account_state(&mut self) -> Result<AccountState, Failure> {
        let (enabled, deleted): (bool, i16) = (self.plain("enabled")?, self.plain("deleted")?);
        Ok(match (enabled, deleted > 0) {
            (_, true) => AccountState::Deleted,
            (true, false) => AccountState::Enabled,
            (false, false) => AccountState::Disabled,
        })
    }

    fn previous_secret(&mut self) -> Result<Option<PreviousSecret>, Failure> {
        let version: Option<SecretVersion> =
            self.optional("previous_version", |number: i64| number.try_into().ok())?;
        let Some(version) = version else {
            self.next += 4;
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

pub(crate) fn account(row: &Row) -> Result<Account, Failure> {
    let mut cells = Cells::of(row, "accounts");
    Ok(Account {
        id: cells.account_id("id")?,
        parent: cells.optional_account_id("parent")?,
        email: cells.parsed("email", |email| Some(Email::from_store(email)))?,
        password: cells.optional("password", |text: &str| Some(PasswordHash::from_phc(text)))?,
        profile: cells.parsed("profile", |profile| Profile::from_json(profile).ok())?,
        state: cells.account_state()?,
        epoch: cells.epoch()?,
        created_at: cells.time("created_at")?,
        updated_at: cells.time("updated_at")?,
        version: cells.version("version")?,
    })
}

pub(crate) fn account_fact(row: &Row) -> Result<AccountFact, Failure> {
    let mut cells = Cells::of(row, "accounts");
    Ok(AccountFact {
        id: cells.account_id("id")?,
        parent: cells.optional_account_id("parent")?,
        state: cells.account_state()?,
        epoch: cells.epoch()?,
        version: cells.version("version")?,
    })
}

pub(crate) fn organization(row: &Row) -> Result<Organization, Failure> {
    let mut cells = Cells::of(row, "organizations");
    Ok(Organization {
        id: cells.organization_id("id")?,
        owner: cells.account_id("owner")?,
        profile: cells.parsed("profile", |profile| Profile::from_json(profile).ok())?,
        active: cells.plain("active")?,
        created_at: cells.time("created_at")?,
        updated_at: cells.time("updated_at")?,
        version: cells.version("version")?,
    })
}

pub(crate) fn membership(row: &Row) -> Result<Membership, Failure> {
    let mut cells = Cells::of(row, "memberships");
    Ok(Membership {
        id: cells.membership_id("id")?,
        organization: cells.organization_id("organization")?,
        account: cells.account_id("account")?,
        role: cells.parsed("role", Role::parse)?,
        consent: cells.parsed("consent", Consent::parse)?,
        disabled: cells.plain("disabled")?,
        created_at: cells.time("created_at")?,
        updated_at: cells.time("updated_at")?,
        version: cells.version("version")?,
    })
}

pub(crate) fn service_token(row: &Row) -> Result<ServiceToken, Failure> {
    let mut cells = Cells::of(row, "service_tokens");
    Ok(ServiceToken {
        id: cells.service_token_id("id")?,
        account: cells.account_id("account")?,
        client_id: cells.client_id("client_id")?,
        name: cells.parsed("name", |name| Name::parse(name).ok())?,
        lifetime: cells.parsed("lifetime", |lifetime| Lifetime::parse(lifetime).ok())?,
        enabled: cells.plain("enabled")?,
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

pub(crate) fn access_token(row: &Row) -> Result<AccessToken, Failure> {
    let mut cells = Cells::of(row, "access_tokens");
    Ok(AccessToken {
        handle: cells.handle("handle")?,
        digest: cells.digest("digest")?,
        account: cells.account_id("account")?,
        name: cells.optional("name", |name: &str| Name::parse(name).ok())?,
        ttl: cells.cell("ttl", |number: i64| Ttl::from_number(number).ok())?,
        restrictions: cells.restrictions()?,
        created_at: cells.time("created_at")?,
        expires_at: cells.time("expires_at")?,
        source: cells.parsed("source", Source::parse)?,
        lineage: cells.lineage()?,
        epoch: cells.epoch()?,
        sealed: cells.optional("sealed", |bytes: &[u8]| Some(Sealed::from_bytes(bytes)))?,
        version: cells.version("version")?,
    })
}

pub(crate) fn root_token(row: &Row) -> Result<RootToken, Failure> {
    let mut cells = Cells::of(row, "root_tokens");
    let handle = cells.handle("handle")?;
    let live = cells.optional("version", |number: i64| u64::try_from(number).ok())?;
    Ok(RootToken { handle, live: live.map(Version::from_number) })
}

pub(crate) fn usage(row: &Row) -> Result<Usage, Failure> {
    let mut cells = Cells::of(row, "uses");
    Ok(Usage {
        token: cells.token("token")?,
        secret_version: cells.number("secret_version")?,
        count: cells.number("count")?,
        first_at: cells.time("first_at")?,
        last_at: cells.time("last_at")?,
        address: cells.address()?,
        user_agent: cells.plain::<&str>("user_agent")?.into(),
        door: cells.parsed("door", Door::parse)?,
    })
}

pub(crate) fn refusals(row: &Row) -> Result<Refusals, Failure> {
    let mut cells = Cells::of(row, "refusals");
    let reason = |word: &str| Reason::ALL.into_iter().find(|reason| reason.as_str() == word);
    Ok(Refusals {
        token: cells.token("token")?,
        minute: cells.time("minute")?,
        reason: cells.parsed("reason", reason)?,
        count: cells.number("count")?,
        address: cells.address()?,
    })
}
