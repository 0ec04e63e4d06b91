//! The Store port: what every store promises. `store-conformance` holds a test for each numbered line.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::access_token::AccessToken;
use crate::access_token_filter::Condition;
use crate::access_token_list::Order;
use crate::account::Account;
use crate::audit::{Action, AuditRecord};
use crate::change::{Change, FactChange};
use crate::email::Email;
use crate::fact::CredentialKey;
use crate::id::{AccountId, Handle, MembershipId, OrganizationId, ServiceTokenId, TokenRef};
use crate::organization::{Membership, Organization};
use crate::service_token::{SecretVersion, ServiceToken};
use crate::signing_key::KeyGeneration;
use crate::time::Timestamp;
use crate::usage::{QuotaUse, Refusals, Usage, UsageBatch};

/// Of a row: 1 when it is made, one more with each change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(u64);

impl Version {
    /// Of a new row.
    pub const FIRST: Self = Self(1);

    /// The version of this number.
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// Of the row after one more change.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// The place of a change in the order of commits, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Any error below a store, with its chain of causes.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a store did not do what was asked. When one of these is answered to `apply`, nothing was written, but for
/// [`StoreError::InDoubt`].
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The row has another version than expected: read again, decide again.
    #[error("the row has changed meanwhile")]
    Stale,
    /// The id, e-mail, membership or root token is there already, or was.
    #[error("it exists already")]
    Duplicate,
    /// There is no such row. Never made from a failure.
    #[error("there is no such row")]
    NotFound,
    /// The caller's credential or account is no longer what the change was decided on.
    #[error("the guard does not hold")]
    GuardFailed,
    /// There are as many of the kind as there may be.
    #[error("limit of {limit} reached")]
    LimitReached {
        /// How many it may hold.
        limit: u32,
    },
    /// A search would have to look through more rows than it may.
    #[error("more than {rows} rows to search")]
    SearchTooWide {
        /// How many it may look through.
        rows: u32,
    },
    /// The queue of writes is full.
    #[error("the queue of writes is full")]
    Busy,
    /// Disk full, read-only, connection lost.
    #[error("the store is not available")]
    Unavailable(#[source] Cause),
    /// The disk failed while a change was made durable, and what became of it cannot be found out yet: it may be there
    /// later.
    #[error("what became of the change is not known")]
    InDoubt(#[source] Cause),
    /// A row that cannot be read.
    #[error("broken row: table {table}, column {column}, row {row}")]
    Broken {
        /// Which table.
        table: &'static str,
        /// Which column.
        column: &'static str,
        /// Which row, by its public id.
        row: String,
    },
}

/// Where a store puts what was committed.
pub trait ChangeSink: Send + Sync + 'static {
    /// Called in commit order, after the commit and before anyone hears of it. Must not block.
    fn publish(&self, revision: Revision, changes: Vec<FactChange>);

    /// Starts afresh, because what was published before may not be true any more: a database that was restored, or one
    /// that took over and has lost the last commits. Meanwhile nothing changes.
    fn begin_reload(self: Arc<Self>) -> Box<dyn Reload>;
}

/// All facts, once more.
pub trait Reload: Send {
    /// Takes in one fact, or one change of what was taken in: a fact of a version that is not newer than the one taken in
    /// is ignored.
    fn learn(&mut self, change: FactChange);

    /// What was taken in takes the place of everything that was published before, at once.
    fn finish(self: Box<Self>);
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows of this page.
    pub items: Vec<T>,
    /// How many rows match in all.
    pub total: u64,
}

/// Which service tokens, in which part. Ordered by creation, then id, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceTokenQuery {
    /// Whose.
    pub account: AccountId,
    /// Only those of exactly this name.
    pub name: Option<String>,
    /// Only those with this in name, id or client id, whatever its case.
    pub search: Option<String>,
    /// How many matching rows to leave out before the page.
    pub offset: u64,
    /// Most rows of the page.
    pub limit: u32,
}

/// Which access tokens, in which order and part.
#[derive(Debug, Clone)]
pub struct AccessTokenQuery {
    /// Whose.
    pub account: AccountId,
    /// Only those that expire later than this.
    pub live_at: Timestamp,
    /// Only those of which this is true.
    pub condition: Condition,
    /// Which comes first.
    pub order: Order,
    /// How many matching rows to leave out before the page.
    pub offset: u64,
    /// Most rows of the page.
    pub limit: u32,
}

/// Which accounts below another one, in which part. Ordered by creation, then id, ascending. Deleted ones are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountQuery {
    /// Directly below this one.
    pub parent: AccountId,
    /// How many to leave out before the page.
    pub offset: u64,
    /// Most rows of the page.
    pub limit: u32,
}

/// To which organizations an account belongs, in which part. Ordered by id, ascending: as they were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrganizationQuery {
    /// The account, by an effective membership.
    pub account: AccountId,
    /// How many to leave out before the page.
    pub offset: u64,
    /// Most rows of the page.
    pub limit: u32,
}

/// Whose memberships.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MembershipsOf {
    /// Who belongs to an organization, was asked to or refused.
    Organization(OrganizationId),
    /// To what an account belongs, was asked to or refused.
    Account(AccountId),
}

/// Which memberships, in which part. Ordered by creation, then id, ascending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MembershipQuery {
    /// Whose.
    pub of: MembershipsOf,
    /// How many to leave out before the page.
    pub offset: u64,
    /// Most rows of the page.
    pub limit: u32,
}

/// Most tokens that were ended with their descendants and wait for the sweep; one more is `Busy`.
pub const MOST_CUTS: u32 = 1_000;

/// What one turn of [`Store::sweep_ended`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SweptEnded {
    /// Rows that are gone.
    pub removed: u32,
    /// Whether another turn is needed.
    pub more: bool,
}

/// Which audit records, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditQuery {
    /// Only of this account.
    pub account: Option<AccountId>,
    /// Only about this token.
    pub token: Option<TokenRef>,
    /// Only this action.
    pub action: Option<Action>,
    /// Only from this time on.
    pub since: Option<Timestamp>,
    /// Only before this time.
    pub until: Option<Timestamp>,
    /// Only older than this place in the order: where the page before ended.
    pub before: Option<Revision>,
    /// Most records of the page.
    pub limit: u32,
}

/// A page of the audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditPage {
    /// Newest first.
    pub records: Vec<AuditRecord>,
    /// Where to go on, as `before` of the next query; `None` at the end. A page may be short, even empty, and
    /// still have one: a query looks at a bounded number of records.
    pub next: Option<Revision>,
}

/// What was recorded about one token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenUsage {
    /// Per secret, newest version first.
    pub uses: Vec<Usage>,
    /// Per minute and reason, newest first, at most 1,000.
    pub refusals: Vec<Refusals>,
}

/// The root token as the store remembers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RootToken {
    /// The handle set last.
    pub handle: Handle,
    /// The version of its row; `None` when it was revoked.
    pub live: Option<Version>,
}

/// Where everything durable is.
///
/// Promises, each with a test of its number in `store-conformance`:
///
/// 1. `apply` writes the mutation and its audit entry together or not at all, and is durable when it returns `Ok`.
/// 2. `apply` refuses with `GuardFailed` when the guard does not hold, whatever else is wrong with the change.
/// 3. A replaced or revoked row must have the expected version and account: `NotFound` without such a row in the
///    account, `Stale` with another version. What is deleted is not replaced.
/// 4. Ids, handles, e-mails, pairs of organization and account, and root token handles are unique: `Duplicate`.
///    Compared byte for byte.
/// 5. What goes beyond a limit is `LimitReached`; access tokens that have expired when a new one is made are
///    no part of it, up to as many as the limit. What belongs to an account or an organization that is not there is
///    `NotFound`.
/// 6. Changes are published to the [`ChangeSink`] in the order of their revisions, after the commit and before
///    `apply` returns; a refused change is not published.
/// 7. `load_facts` gives the facts of every account, after the one it stands below, and of every token that is stored,
///    expired and disabled ones included, and the revision they stand at.
/// 8. Lists are ordered as their query says, and stable; a page past the end is empty with the right total. A list of
///    access tokens holds exactly those that its query [finds](AccessTokenQuery::finds), or is refused with
///    `SearchTooWide`; one without a condition, in the order of creation, is never refused.
/// 9. Recording usage touches no token row; counts add up; the latest use wins; usage of tokens that are gone is
///    dropped; a revoked token's usage goes with it. `load_used_secrets` names each secret with uses, and no other.
/// 10. Audit records are never changed, and go only by promise 14; their order is that of their revisions; paging neither repeats nor loses.
/// 11. A root token's handle that was set before can never be set again.
/// 12. A search is by substring, without regard to ASCII and Unicode simple case.
/// 13. `sweep_access_tokens` removes only tokens expired before the given time, at most as many as asked, and
///     publishes each as gone.
/// 14. `sweep_audit` removes records from the oldest revision on, up to the first that is not older than the given
///     time, at most as many as asked; the newest record stays, and no revision is used twice.
/// 15. An access token of an earlier epoch than its account's guards nothing, and none is issued for another epoch
///     (`Stale`). The token that a replaced account keeps must be there with the version before (`Stale`).
/// 16. What stems from a token that was ended with its descendants guards nothing. At most [`MOST_CUTS`] such ends wait
///     for the sweep; one more is `Busy`.
/// 17. `sweep_ended` removes, in turns that each look at about as many rows as asked: deleted accounts with all that is
///     theirs or below them, access tokens of earlier epochs, and what stems from tokens that were ended with their
///     descendants; nothing else. Everything is published as gone. Until then lists and counts may still have it.
/// 18. What is used of a quota adds up for each token and each day or month by itself, whoever says it and in whatever
///     order; `load_quota_uses` names what was used by tokens that are there, and no other.
/// 19. `load_key_generations` gives all keys as they were added, in the order of their numbers. A number that is there is
///     `Duplicate`; one that is replaced or removed must be there (`NotFound`) with the expected version (`Stale`).
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Applies a change (promises 1 to 6).
    async fn apply(&self, change: Change) -> Result<Revision, StoreError>;

    /// Gives every fact to `visit`, accounts before tokens (promise 7). Nothing is written meanwhile.
    async fn load_facts(&self, visit: Box<dyn FnMut(FactChange) + Send>) -> Result<Revision, StoreError>;

    /// Names every secret with recorded uses to `visit` (promise 9).
    async fn load_used_secrets(
        &self,
        visit: Box<dyn FnMut(CredentialKey, SecretVersion) + Send>,
    ) -> Result<(), StoreError>;

    /// Names everything that was used of quotas, with whose, to `visit` (promise 18).
    async fn load_quota_uses(
        &self,
        visit: Box<dyn FnMut(CredentialKey, QuotaUse) + Send>,
    ) -> Result<(), StoreError>;

    /// The account of this id.
    async fn find_account(&self, id: AccountId) -> Result<Option<Account>, StoreError>;

    /// The account without a parent; `None` in an empty store.
    async fn find_root_account(&self) -> Result<Option<Account>, StoreError>;

    /// The account with this e-mail address.
    async fn find_account_by_email(&self, email: &Email) -> Result<Option<Account>, StoreError>;

    /// A page of the accounts below another one (promise 8).
    async fn list_accounts(&self, query: AccountQuery) -> Result<Page<Account>, StoreError>;

    /// The organization of this id.
    async fn find_organization(&self, id: OrganizationId) -> Result<Option<Organization>, StoreError>;

    /// A page of the organizations to which an account belongs (promise 8).
    async fn list_organizations(&self, query: OrganizationQuery) -> Result<Page<Organization>, StoreError>;

    /// The membership of this id.
    async fn find_membership(&self, id: MembershipId) -> Result<Option<Membership>, StoreError>;

    /// The membership of this account in this organization.
    async fn find_membership_of(
        &self,
        organization: OrganizationId,
        account: AccountId,
    ) -> Result<Option<Membership>, StoreError>;

    /// A page of the memberships of an organization or of an account (promise 8).
    async fn list_memberships(&self, query: MembershipQuery) -> Result<Page<Membership>, StoreError>;

    /// Removes what has ended by a mark; about `limit` rows a turn (promise 17).
    async fn sweep_ended(&self, limit: u32) -> Result<SweptEnded, StoreError>;

    /// The root token set last.
    async fn find_root_token(&self) -> Result<Option<RootToken>, StoreError>;

    /// The service token of this id in this account, and the uses of its secrets in no order; both of one moment.
    async fn find_service_token_with_uses(
        &self,
        account: AccountId,
        id: ServiceTokenId,
    ) -> Result<Option<(ServiceToken, Vec<Usage>)>, StoreError>;

    /// The service token of this id in this account.
    async fn find_service_token(
        &self,
        account: AccountId,
        id: ServiceTokenId,
    ) -> Result<Option<ServiceToken>, StoreError> {
        Ok(self.find_service_token_with_uses(account, id).await?.map(|(token, _)| token))
    }

    /// A page of service tokens (promises 8 and 12).
    async fn list_service_tokens(&self, query: ServiceTokenQuery) -> Result<Page<ServiceToken>, StoreError>;

    /// The access token of this handle, whosever it is: for whoever has shown its text, or was found to be its owner.
    async fn find_access_token_anywhere(&self, handle: Handle) -> Result<Option<AccessToken>, StoreError>;

    /// The access token of this handle in this account.
    async fn find_access_token(
        &self,
        account: AccountId,
        handle: Handle,
    ) -> Result<Option<AccessToken>, StoreError> {
        let found = self.find_access_token_anywhere(handle).await?;
        Ok(found.filter(|token| token.account == account))
    }

    /// A page of access tokens (promise 8).
    async fn list_access_tokens(&self, query: AccessTokenQuery) -> Result<Page<AccessToken>, StoreError>;

    /// Removes access tokens that expired before `before`, at most `limit` (promise 13). Gives how many.
    async fn sweep_access_tokens(&self, before: Timestamp, limit: u32) -> Result<u32, StoreError>;

    /// Adds to what is known of uses and refusals (promise 9). Not durable at once: a crash may lose it.
    async fn record_usage(&self, batch: UsageBatch) -> Result<(), StoreError>;

    /// Adds to what was used of quotas; gives, in no order, what all nodes together have used of each that is named
    /// (promise 18). Not durable at once.
    async fn add_quota_uses(&self, uses: Vec<QuotaUse>) -> Result<Vec<QuotaUse>, StoreError>;

    /// Forgets what was used in days and months that ended before `before`; at most `limit`. Gives how many.
    async fn sweep_quota_uses(&self, before: Timestamp, limit: u32) -> Result<u32, StoreError>;

    /// The keys that sign (promise 19).
    async fn load_key_generations(&self) -> Result<Vec<KeyGeneration>, StoreError>;

    /// What was recorded about one token.
    async fn find_usage(&self, token: TokenRef) -> Result<TokenUsage, StoreError>;

    /// The uses of the secrets of each of these tokens, in no order.
    async fn list_uses(&self, tokens: Vec<TokenRef>) -> Result<Vec<Usage>, StoreError>;

    /// Forgets refusals of minutes before this one; at most `limit`. Gives how many.
    async fn sweep_refusals(&self, before: Timestamp, limit: u32) -> Result<u32, StoreError>;

    /// A page of the audit (promise 10).
    async fn list_audit(&self, query: AuditQuery) -> Result<AuditPage, StoreError>;

    /// Forgets the oldest audit records, all from before `before`; at most `limit` (promise 14). Gives how many.
    async fn sweep_audit(&self, before: Timestamp, limit: u32) -> Result<u32, StoreError>;

    /// Whether it can be read and written now; for `/readyz`.
    async fn check(&self) -> Result<(), StoreError>;
}

/// A store behind its port.
pub type SharedStore = Arc<dyn Store>;
