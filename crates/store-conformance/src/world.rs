//! A store with what a test needs around it: a clock, randomness, a record of what was published, a root account.

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use countersign_domain::access_token::{AccessToken, NewAccessToken, Source};
use countersign_domain::account::{Account, NewAccount};
use countersign_domain::audit::{Action, Actor, AuditEntry, AuditRecord, Origin, Subject};
use countersign_domain::change::{AccessTokenLimits, Change, FactChange, Guard, MembershipLimits, Mutation};
use countersign_domain::email::Email;
use countersign_domain::fact::CredentialKey;
use countersign_domain::id::{AccountId, ChangeId, ServiceTokenId, TokenRef};
use countersign_domain::lifetime::{Lifetime, Ttl};
use countersign_domain::lineage::Lineage;
use countersign_domain::name::Name;
use countersign_domain::organization::{Consent, Membership, Organization, Role};
use countersign_domain::profile::Profile;
use countersign_domain::restrictions::{Restrictions, StatedRestrictions};
use countersign_domain::secret::SecretPrefix;
use countersign_domain::service_token::{NewServiceToken, Rotation, SecretVersion, ServiceToken};
use countersign_domain::store::{
    AccessTokenQuery, AuditQuery, ChangeSink, Page, Revision, ServiceTokenQuery, SharedStore, StoreError,
    Version,
};
use countersign_domain::time::{Clock as _, Timestamp};

use crate::doubles::{ManualClock, RecordingSink, SeededEntropy};

/// An empty store, and what must outlive it, such as the guard of a temporary directory.
pub struct Made {
    /// The store.
    pub store: SharedStore,
    /// Dropped after the store.
    pub keep: Box<dyn Any + Send + Sync>,
}

/// Makes an empty store that publishes to the sink.
pub type Make<'m> = &'m dyn Fn(Arc<dyn ChangeSink>) -> Made;

/// Most tokens of an account where a test is not about limits.
pub const LIMIT: u32 = 1_000_000;

/// What a result holds; a test that meets an error ends.
#[track_caller]
pub fn must<T, E: Debug>(result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("refused: {error:?}"),
    }
}

/// Fails unless a result is the refusal of this pattern.
macro_rules! assert_refused {
    ($result:expr, $pattern:pat) => {{
        let result = $result;
        assert!(matches!(result, Err($pattern)), "{result:?} is not {}", stringify!($pattern));
    }};
}
pub(crate) use assert_refused;

/// A store and its surroundings.
pub struct World {
    /// The store.
    pub store: SharedStore,
    /// What it published.
    pub sink: Arc<RecordingSink>,
    /// The time; moves on by a millisecond with everything that is made.
    pub clock: ManualClock,
    /// Where ids and secrets come from.
    pub entropy: SeededEntropy,
    /// The root account.
    pub root: Account,
    /// The root token.
    pub root_token: AccessToken,
    _keep: Box<dyn Any + Send + Sync>,
}

impl World {
    /// A store that holds a root account and a root token.
    pub async fn new(make: Make<'_>) -> Self {
        let world = Self::empty(make);
        must(world.apply(Mutation::CreateAccount { account: world.root.clone(), limit: LIMIT }).await);
        let token = world.root_token.clone();
        must(world.apply(Mutation::SetRootToken { token, retire: None }).await);
        world.sink.take();
        world
    }

    /// A store that holds nothing, with a root account and a root token that could be put into it.
    pub fn empty(make: Make<'_>) -> Self {
        let sink = Arc::new(RecordingSink::default());
        let (clock, entropy) = (ManualClock::default(), SeededEntropy::new(1));
        let now = clock.now();
        let root = Account::create(None, new_account("root@localhost"), &entropy, now);
        let new = new_access_token(&root, Ttl::Eternal, Source::Root, Lineage::default());
        let (root_token, _) = AccessToken::issue(new, &entropy, now);
        let Made { store, keep } = make(sink.clone());
        Self { store, sink, clock, entropy, root, root_token, _keep: keep }
    }

    /// The next moment.
    pub fn tick(&self) -> Timestamp {
        self.clock.advance(Duration::from_millis(1))
    }

    /// Applies a mutation in nobody's name, with an audit entry that fits.
    pub async fn apply(&self, mutation: Mutation) -> Result<Revision, StoreError> {
        self.apply_as(Guard::System, mutation).await
    }

    /// Applies a mutation under a guard, with an audit entry that fits.
    pub async fn apply_as(&self, guard: Guard, mutation: Mutation) -> Result<Revision, StoreError> {
        self.store.apply(self.change(guard, mutation)).await
    }

    /// Applies many mutations from 64 tasks, each in the order given.
    pub async fn apply_all(&self, mutations: impl IntoIterator<Item = Mutation>) {
        let mut shares = vec![Vec::new(); 64];
        for (index, mutation) in mutations.into_iter().enumerate() {
            shares[index % 64].push(self.change(Guard::System, mutation));
        }
        let apply = |share: Vec<Change>| {
            let store = self.store.clone();
            tokio::spawn(async move {
                for change in share {
                    must(store.apply(change).await);
                }
            })
        };
        let tasks: Vec<_> = shares.into_iter().map(apply).collect();
        for task in tasks {
            must(task.await);
        }
    }

    /// A change with an audit entry that fits.
    pub fn change(&self, guard: Guard, mutation: Mutation) -> Change {
        let id = ChangeId::mint(self.tick(), &self.entropy);
        let audit = audit_entry(id, self.clock.now(), &mutation);
        Change { guard, mutation, audit }
    }

    /// An account that is not stored yet.
    pub fn account(&self, parent: &Account) -> Account {
        let now = self.tick();
        let id = AccountId::mint(now, &self.entropy);
        Account::with_id(id, Some(parent.id), new_account(&format!("{id}@example.com")), now)
    }

    /// Stores a new account below `parent`.
    pub async fn create_account(&self, parent: &Account) -> Account {
        let account = self.account(parent);
        must(self.create_exactly(account.clone()).await);
        account
    }

    /// Stores this account.
    pub async fn create_exactly(&self, account: Account) -> Result<Revision, StoreError> {
        self.apply(Mutation::CreateAccount { account, limit: LIMIT }).await
    }

    /// Puts the next state in the place of `before`.
    pub async fn replace_account(&self, before: Version, account: &Account) -> Result<Revision, StoreError> {
        let account = account.clone();
        self.apply(Mutation::ReplaceAccount { expected: before, account, keep: None }).await
    }

    /// Stores a new organization of `owner`.
    pub async fn create_organization(&self, owner: &Account) -> (Organization, Membership) {
        let (organization, membership) =
            Organization::create(owner.id, Profile::default(), &self.entropy, self.tick());
        let mutation = Mutation::CreateOrganization {
            organization: organization.clone(),
            membership: membership.clone(),
            limit: LIMIT,
        };
        must(self.apply(mutation).await);
        (organization, membership)
    }

    /// A membership that is not stored yet.
    pub fn membership(&self, organization: &Organization, account: &Account) -> Membership {
        let (organization, now) = (organization.id, self.tick());
        Membership::create(organization, account.id, Role::Default, Consent::Given, &self.entropy, now)
    }

    /// Stores this membership.
    pub async fn invite_exactly(&self, membership: &Membership, limit: u32) -> Result<Revision, StoreError> {
        let limits = MembershipLimits { of_account: limit, of_organization: limit };
        self.apply(Mutation::CreateMembership { membership: membership.clone(), limits }).await
    }

    /// A service token that is not stored yet.
    pub fn service_token(&self, account: &Account, name: &str) -> ServiceToken {
        let new = NewServiceToken {
            name: must(Name::parse(name)),
            lifetime: Lifetime::year(),
            enabled: true,
            restrictions: StatedRestrictions::default(),
            secret_version: 1,
        };
        let (prefix, now) = (SecretPrefix::default(), self.tick());
        ServiceToken::issue(account.id, new, Restrictions::NONE, self.by_root(), &prefix, &self.entropy, now)
            .0
    }

    /// Stores a new service token.
    pub async fn issue(&self, account: &Account, name: &str) -> ServiceToken {
        let token = self.service_token(account, name);
        must(self.issue_exactly(token.clone(), LIMIT).await);
        token
    }

    /// Stores this service token.
    pub async fn issue_exactly(&self, token: ServiceToken, limit: u32) -> Result<Revision, StoreError> {
        self.apply(Mutation::IssueServiceToken { token, limit }).await
    }

    /// The token with a new secret; the one before it is good for an hour.
    pub fn rotated(&self, token: ServiceToken) -> ServiceToken {
        let now = self.tick();
        let rotation = Rotation {
            by: self.root_token.handle,
            overlap_until: Some(now.after(Duration::from_secs(3600))),
            prefix: &SecretPrefix::default(),
            entropy: &self.entropy,
            now,
        };
        must(token.rotate(&rotation)).0
    }

    /// Puts the next state in the place of `before`.
    pub async fn replace(&self, before: Version, token: &ServiceToken) -> Result<Revision, StoreError> {
        self.apply(Mutation::ReplaceServiceToken { expected: before, token: token.clone() }).await
    }

    /// Ends a service token.
    pub async fn revoke(&self, token: &ServiceToken) -> Result<Revision, StoreError> {
        self.apply(revocation(token)).await
    }

    /// An access token that is not stored yet.
    pub fn access_token(&self, account: &Account, ttl: Ttl) -> AccessToken {
        let now = self.tick();
        let new = new_access_token(account, ttl, Source::Issued, self.by_root());
        AccessToken::issue(new, &self.entropy, now).0
    }

    /// The lineage of what the root token mints.
    pub fn by_root(&self) -> Lineage {
        must(Lineage::of(&[self.root_token.handle]).ok_or("too long"))
    }

    /// Stores a new access token.
    pub async fn issue_access(&self, account: &Account, ttl: Ttl) -> AccessToken {
        let token = self.access_token(account, ttl);
        must(self.issue_access_exactly(token.clone(), LIMIT).await);
        token
    }

    /// Stores this access token.
    pub async fn issue_access_exactly(&self, token: AccessToken, limit: u32) -> Result<Revision, StoreError> {
        self.apply(Mutation::IssueAccessToken { token, limits: limits(limit) }).await
    }

    /// Ends an access token.
    pub async fn revoke_access(&self, token: &AccessToken) -> Result<Revision, StoreError> {
        let (account, handle, expected) = (token.account, token.handle, token.version);
        self.apply(Mutation::RevokeAccessToken { account, handle, expected, descendants: false }).await
    }

    /// Ends an access token and everything that stems from it.
    pub async fn revoke_descendants(&self, token: &AccessToken) -> Result<Revision, StoreError> {
        let (account, handle, expected) = (token.account, token.handle, token.version);
        self.apply(Mutation::RevokeAccessToken { account, handle, expected, descendants: true }).await
    }

    /// Sweeps what has ended, some rows a turn, to the end; gives how many are gone.
    pub async fn sweep_ended(&self, rows: u32) -> u32 {
        let mut removed = 0;
        loop {
            let swept = must(self.store.sweep_ended(rows).await);
            removed += swept.removed;
            if !swept.more {
                return removed;
            }
        }
    }

    /// The service token as it is stored.
    pub async fn stored(&self, token: &ServiceToken) -> Option<ServiceToken> {
        must(self.store.find_service_token(token.account, token.id).await)
    }

    /// A part of an account's service tokens.
    pub async fn page(&self, account: &Account, offset: u64, limit: u32) -> Page<ServiceToken> {
        must(self.store.list_service_tokens(all_of(account, offset, limit)).await)
    }

    /// A part of an account's access tokens, the expired ones included.
    pub async fn access_page(&self, account: &Account, offset: u64, limit: u32) -> Page<AccessToken> {
        let live_at = Timestamp::from_micros(i64::MIN);
        let query = AccessTokenQuery::of_account(account.id, live_at, offset, limit);
        must(self.store.list_access_tokens(query).await)
    }

    /// The whole audit, newest first, read by pages of `limit`.
    pub async fn audit(&self, query: AuditQuery) -> Vec<AuditRecord> {
        read_audit(&self.store, query).await
    }

    /// Everything that `load_facts` gives.
    pub async fn facts(&self) -> (Vec<FactChange>, Revision) {
        load_facts(&self.store).await
    }
}

/// What is wanted of a new account that nobody logs in to.
pub fn new_account(email: &str) -> NewAccount {
    NewAccount { email: must(Email::parse(email)), password: None, profile: Profile::default() }
}

/// What is wanted of a new access token without restrictions.
pub fn new_access_token(account: &Account, ttl: Ttl, source: Source, lineage: Lineage) -> NewAccessToken {
    let (account, epoch) = (account.id, account.epoch);
    NewAccessToken { account, name: None, ttl, restrictions: Restrictions::NONE, source, lineage, epoch }
}

/// This limit for access tokens of every source.
pub const fn limits(limit: u32) -> AccessTokenLimits {
    AccessTokenLimits { all: limit, of_logins: limit }
}

/// The query for a part of all service tokens of an account.
pub fn all_of(account: &Account, offset: u64, limit: u32) -> ServiceTokenQuery {
    ServiceTokenQuery { account: account.id, name: None, search: None, offset, limit }
}

/// The query for the whole audit.
pub fn whole_audit(limit: u32) -> AuditQuery {
    AuditQuery { account: None, token: None, action: None, since: None, until: None, before: None, limit }
}

/// What an audit query finds, read page by page.
pub async fn read_audit(store: &SharedStore, mut query: AuditQuery) -> Vec<AuditRecord> {
    let mut records = Vec::new();
    loop {
        let page = must(store.list_audit(query.clone()).await);
        assert!(page.records.len() <= query.limit as usize, "a page is longer than asked for");
        records.extend(page.records);
        let Some(next) = page.next else { return records };
        assert!(query.before.is_none_or(|before| next < before), "the audit goes on where it was");
        query.before = Some(next);
    }
}

/// Everything that `load_facts` gives.
pub async fn load_facts(store: &SharedStore) -> (Vec<FactChange>, Revision) {
    let facts = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&facts);
    let revision = store.load_facts(Box::new(move |fact| crate::doubles::lock(&seen).push(fact))).await;
    (std::mem::take(&mut *crate::doubles::lock(&facts)), must(revision))
}

/// Everything that `load_used_secrets` gives, in order.
pub async fn load_used_secrets(store: &SharedStore) -> Vec<(CredentialKey, SecretVersion)> {
    let secrets = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&secrets);
    let visit = move |key, version| crate::doubles::lock(&seen).push((key, version));
    must(store.load_used_secrets(Box::new(visit)).await);
    let mut secrets = std::mem::take(&mut *crate::doubles::lock(&secrets));
    secrets.sort_unstable();
    secrets
}

/// The mutation that ends a service token.
pub fn revocation(token: &ServiceToken) -> Mutation {
    Mutation::RevokeServiceToken {
        account: token.account,
        id: token.id,
        client_id: token.client_id,
        expected: token.version,
    }
}

/// An audit entry that fits a mutation.
pub fn audit_entry(id: ChangeId, at: Timestamp, mutation: &Mutation) -> AuditEntry {
    let service = |id: ServiceTokenId| Subject::Token(TokenRef::Service(id));
    let of_nobody = |action| (action, AccountId::OF_NONE, Subject::Account(AccountId::OF_NONE));
    let (action, account, subject) = match mutation {
        Mutation::CreateAccount { account, .. } => {
            (Action::CreateAccount, account.parent.unwrap_or(account.id), Subject::Account(account.id))
        }
        Mutation::ReplaceAccount { account, .. } => {
            (Action::UpdateAccount, account.id, Subject::Account(account.id))
        }
        Mutation::CreateOrganization { organization, .. }
        | Mutation::ReplaceOrganization { organization, .. } => {
            (Action::UpdateOrganization, organization.owner, Subject::Account(organization.owner))
        }
        Mutation::CreateMembership { membership, .. } | Mutation::ReplaceMembership { membership, .. } => {
            (Action::InviteMember, membership.account, Subject::Account(membership.account))
        }
        Mutation::DeleteMembership { .. } => of_nobody(Action::DeleteMembership),
        Mutation::IssueServiceToken { token, .. } => {
            (Action::IssueServiceToken, token.account, service(token.id))
        }
        Mutation::ReplaceServiceToken { token, .. } => {
            (Action::UpdateServiceToken, token.account, service(token.id))
        }
        Mutation::RevokeServiceToken { account, id, .. } => {
            (Action::RevokeServiceToken, *account, service(*id))
        }
        Mutation::IssueAccessToken { token, .. } => {
            (Action::IssueAccessToken, token.account, Subject::Token(TokenRef::Access(token.handle)))
        }
        Mutation::RevokeAccessToken { account, handle, .. } => {
            (Action::RevokeAccessToken, *account, Subject::Token(TokenRef::Access(*handle)))
        }
        Mutation::SetRootToken { token, .. } => {
            (Action::SetRootToken, token.account, Subject::Token(TokenRef::Access(token.handle)))
        }
        Mutation::AddKeyGeneration(_) => of_nobody(Action::RotateKeys),
        Mutation::ReplaceKeyInterval { .. } => of_nobody(Action::ScheduleKeys),
        Mutation::RemoveKeyGeneration { .. } => of_nobody(Action::RemoveKeys),
    };
    let origin = Origin { address: Some([192, 0, 2, 1].into()), request_id: Some("a-request".into()) };
    AuditEntry { id, at, actor: Actor::System, action, account, subject, origin, changes: Vec::new() }
}
