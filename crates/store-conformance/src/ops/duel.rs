//! The same operations on the model and on another store.

use std::sync::Arc;
use std::time::Duration;

use countersign_domain::access_token::{AccessToken, Sealed, Source};
use countersign_domain::account::{Account, AccountState, Epoch, NewAccount};
use countersign_domain::change::{AccessTokenLimits, Change, FactChange, Guard, Mutation};
use countersign_domain::email::Email;
use countersign_domain::id::{AccountId, ChangeId, ClientId, Handle, ServiceTokenId, TokenRef};
use countersign_domain::lifetime::{Lifetime, Ttl};
use countersign_domain::limits::Limits;
use countersign_domain::lineage::Lineage;
use countersign_domain::name::Name;
use countersign_domain::network::Networks;
use countersign_domain::organization::Organizations;
use countersign_domain::profile::Profile;
use countersign_domain::resource::{Resource, Resources};
use countersign_domain::restrictions::Restrictions;
use countersign_domain::scope::{Scope, Scopes};
use countersign_domain::secret::{Digest, SecretPrefix};
use countersign_domain::service_token::{CurrentSecret, Rotation, ServiceToken};
use countersign_domain::store::{Revision, SharedStore, StoreError, Version};
use countersign_domain::time::Timestamp;
use countersign_domain::usage::{Door, Refusals, Usage, UsageBatch};
use countersign_domain::verdict::Reason;
use futures_util::future::join_all;

use super::{ACCOUNTS, Flaw, GuardBy, How, Step, TOKENS, Token, dump, tenancy};
use crate::doubles::{RecordingSink, SeededEntropy};
use crate::model::ModelStore;
use crate::world::{Made, Make, audit_entry, must};

/// Most changes that are asked for at once.
const TOGETHER: usize = 12;

/// Does the steps on the model and on the store that `make` makes. Panics where they differ: in an answer, in what was
/// published, or in anything that can be read afterwards. Gives the store, for what a test has to do with it yet.
pub async fn duel(steps: &[Step], make: Make<'_>) -> Made {
    duel_by(1, steps, make).await
}

/// As [`duel`], but the store is asked for many changes at once, in their order: it may write them together, and what
/// becomes of them must be the same.
pub async fn duel_together(steps: &[Step], make: Make<'_>) -> Made {
    duel_by(TOGETHER, steps, make).await
}

async fn duel_by(most: usize, steps: &[Step], make: Make<'_>) -> Made {
    let (model_sink, other_sink) = (Arc::new(RecordingSink::default()), Arc::new(RecordingSink::default()));
    let model: SharedStore = Arc::new(ModelStore::new(model_sink.clone()));
    let made = make(other_sink.clone());
    go_on_by(most, steps, 3, (&model, &model_sink), (&made.store, &other_sink)).await;
    made
}

/// As [`duel`], of a model and a store that hold the same already. Ids are of the seed.
pub async fn go_on(
    steps: &[Step],
    seed: u64,
    model: (&SharedStore, &RecordingSink),
    other: (&SharedStore, &RecordingSink),
) {
    go_on_by(1, steps, seed, model, other).await;
}

async fn go_on_by(
    most: usize,
    steps: &[Step],
    seed: u64,
    (model, model_sink): (&SharedStore, &RecordingSink),
    (other, other_sink): (&SharedStore, &RecordingSink),
) {
    let mut director = Director { model: Arc::clone(model), entropy: SeededEntropy::new(seed), seconds: 0 };
    let (mut asked, mut expected) = (Vec::new(), Vec::new());
    for (index, step) in steps.iter().enumerate() {
        let operation = director.prepare(step).await;
        expected.push(perform(model, operation.clone()).await);
        asked.push(operation);
        let is_followed = steps.get(index + 1).is_some_and(Step::is_change) && step.is_change();
        if is_followed && asked.len() < most {
            continue;
        }
        // All are sent in their order before the first is waited for.
        let found = join_all(asked.iter().cloned().map(|operation| perform(other, operation))).await;
        assert_eq!(found, expected, "the answers to {asked:#?}");
        let (mut found, mut expected_facts) = (other_sink.take(), model_sink.take());
        if matches!(step, Step::SweepEnded) {
            // In which order things go that have ended already is for the store.
            found.iter_mut().chain(&mut expected_facts).for_each(|(_, facts)| sort(facts));
            // That a cut is needed no longer may be told later: where others change the same store, only after what they did.
            forget_healing(&mut found);
            forget_healing(&mut expected_facts);
        }
        assert_eq!(found, expected_facts, "what was published by {asked:#?}");
        asked.clear();
        expected.clear();
    }
    assert_eq!(dump(other).await, dump(model).await, "what is stored in the end");
}

fn forget_healing(published: &mut Vec<(Revision, Vec<FactChange>)>) {
    for (_, facts) in published.iter_mut() {
        facts.retain(|fact| !matches!(fact, FactChange::CutHealed(_)));
    }
    published.retain(|(_, facts)| !facts.is_empty());
}

fn sort(facts: &mut [FactChange]) {
    facts.sort_by_cached_key(|fact| format!("{fact:?}"));
}

/// What a store is asked to do.
#[derive(Debug, Clone)]
enum Operation {
    Apply(Box<Change>),
    Record(UsageBatch),
    SweepAccess(Timestamp, u32),
    SweepRefusals(Timestamp, u32),
    SweepAudit(Timestamp, u32),
    SweepEnded,
}

/// The answer, as text where it is an error, since errors cannot be compared.
async fn perform(store: &SharedStore, operation: Operation) -> Result<u64, String> {
    let answer = match operation {
        Operation::Apply(change) => store.apply(*change).await.map(|revision| revision.0),
        Operation::Record(batch) => store.record_usage(batch).await.map(|()| 0),
        Operation::SweepAccess(before, limit) => {
            store.sweep_access_tokens(before, limit).await.map(u64::from)
        }
        Operation::SweepRefusals(before, limit) => store.sweep_refusals(before, limit).await.map(u64::from),
        Operation::SweepAudit(before, limit) => store.sweep_audit(before, limit).await.map(u64::from),
        Operation::SweepEnded => store.sweep_ended(1_000).await.map(|swept| {
            assert!(!swept.more, "one turn is enough for so little");
            swept.removed.into()
        }),
    };
    answer.map_err(|error: StoreError| error.to_string())
}

/// `seconds` after the start.
pub(super) fn at(seconds: u8) -> Timestamp {
    Timestamp::from_micros(1_795_255_200_000_000).after(Duration::from_secs(seconds.into()))
}

pub(super) fn account_id(number: u8) -> AccountId {
    AccountId::from_bytes([number + 1; 16])
}

pub(super) fn token_id(number: u8) -> ServiceTokenId {
    ServiceTokenId::from_bytes([number + 1; 16])
}

pub(super) fn handle(number: u8) -> Handle {
    must(format!("handle{number:016}").parse())
}

fn name(number: u8) -> Name {
    must(Name::parse(&format!("name {number}")))
}

/// Makes operations of steps, in the light of what the model holds.
struct Director {
    model: SharedStore,
    entropy: SeededEntropy,
    seconds: u8,
}

impl Director {
    async fn prepare(&mut self, step: &Step) -> Operation {
        self.seconds = self.seconds.wrapping_add(1);
        let (guard, mutation) = match step {
            Step::Record { uses, refusals } => return Operation::Record(record(uses, refusals)),
            Step::SweepAccess { before, limit } => {
                return Operation::SweepAccess(at(*before), (*limit).into());
            }
            Step::SweepRefusals { before, limit } => {
                return Operation::SweepRefusals(minute(*before), (*limit).into());
            }
            Step::SweepAudit { before, limit } => {
                return Operation::SweepAudit(at(*before), (*limit).into());
            }
            Step::SweepEnded => return Operation::SweepEnded,
            Step::Tenancy(guard, what) => (*guard, tenancy::mutation(&self.model, what, self.seconds).await),
            Step::CreateAccount { account, parent, email, enabled } => {
                (GuardBy::System, create_account(*account, *parent, *email, *enabled))
            }
            Step::Issue { guard, token, account, created, name, limit } => {
                let token = service_token(*token, *account, at(*created), *name);
                (*guard, Mutation::IssueServiceToken { token, limit: (*limit).into() })
            }
            Step::Replace { guard, token, how, flaw } => (*guard, self.replace(*token, *how, *flaw).await),
            Step::Revoke { guard, token, flaw } => (*guard, self.revoke(*token, *flaw).await),
            Step::IssueAccess { guard, token, account, ttl, limit, stems_from, is_login } => {
                let mut token = access_token(*token, *account, *ttl);
                token.epoch = self.epoch_of(*account).await;
                token.source = if *is_login { Source::Login } else { Source::Issued };
                let ancestors: Vec<_> = stems_from.iter().map(|number| handle(*number)).collect();
                token.lineage = must(Lineage::of(&ancestors).ok_or("too long"));
                let limits = AccessTokenLimits { all: (*limit).into(), of_logins: u32::from(*limit / 2) };
                (*guard, Mutation::IssueAccessToken { token, limits })
            }
            Step::RevokeAccess { guard, token, descendants, flaw } => {
                (*guard, self.revoke_access(*token, *descendants, *flaw).await)
            }
            Step::SetRoot { token, account, retire, flaw } => {
                let retire = if *retire { self.live_root_token(*flaw).await } else { None };
                let mut token = access_token(*token, *account, 0);
                token.epoch = self.epoch_of(*account).await;
                (GuardBy::System, Mutation::SetRootToken { token, retire })
            }
        };
        let guard = self.guard(guard).await;
        let id = ChangeId::mint(at(self.seconds), &self.entropy);
        let audit = audit_entry(id, at(self.seconds % 7), &mutation);
        Operation::Apply(Box::new(Change { guard, mutation, audit }))
    }

    async fn guard(&self, by: GuardBy) -> Guard {
        let (number, outdated) = match by {
            GuardBy::System => return Guard::System,
            GuardBy::Token(number) => (number, false),
            GuardBy::Outdated(number) => (number, true),
            GuardBy::Account(number) => {
                let account = must(self.model.find_account(account_id(number)).await);
                let version = account.map_or(Version::FIRST, |account| account.version);
                return Guard::Account { id: account_id(number), version };
            }
        };
        let AccessToken { handle, version, .. } = self.stored_access(number).await;
        Guard::Token { handle, version: if outdated { version.next() } else { version } }
    }

    /// The first stored service token from this number on; one that is not stored when there is none.
    async fn stored(&self, number: u8) -> ServiceToken {
        for (token, account) in everywhere(number) {
            let found = self.model.find_service_token(account_id(account), token_id(token)).await;
            if let Some(token) = must(found) {
                return token;
            }
        }
        service_token(number, 0, at(0), 0)
    }

    /// As [`Director::stored`], of access tokens.
    async fn stored_access(&self, number: u8) -> AccessToken {
        for (token, account) in everywhere(number) {
            let found = self.model.find_access_token(account_id(account), handle(token)).await;
            if let Some(token) = must(found) {
                return token;
            }
        }
        access_token(number, 0, 0)
    }

    async fn replace(&self, number: u8, how: How, flaw: Flaw) -> Mutation {
        let stored = self.stored(number).await;
        let expected = stored.version;
        let mut token = self.changed(stored, how);
        token.account = flawed_account(token.account, flaw);
        Mutation::ReplaceServiceToken { expected: flawed_version(expected, flaw), token }
    }

    fn changed(&self, mut token: ServiceToken, how: How) -> ServiceToken {
        let now = at(self.seconds);
        match how {
            How::Rotate(overlap) => {
                let overlap_until = Some(now.after(Duration::from_secs(overlap.into())));
                let (by, prefix) = (handle(0), &SecretPrefix::default());
                let rotation = Rotation { by, overlap_until, prefix, entropy: &self.entropy, now };
                return must(token.rotate(&rotation)).0;
            }
            How::Refresh => return token.refresh(now),
            How::Rename(number) => token.name = name(number),
            How::Enable(enabled) => token.enabled = enabled,
            How::Restrict(0) => token.restrictions = Restrictions::NONE,
            How::Restrict(count) => {
                let scope = |number| must(Scope::parse(&format!("scope:{number}")));
                let resource = |number| must(Resource::parse(&format!("GET /a/{number}/*")));
                let network = |number| must(Networks::parse_one(&format!("10.0.{number}.0/24")));
                let scopes = must(Scopes::list((1..count).map(scope).collect()));
                let resources = must(Resources::list((2..count).map(resource).collect()));
                let networks = must(Networks::list((3..count).map(network).collect()));
                let organizations = (2..count).map(tenancy::organization_id).collect();
                let organizations = must(Organizations::list(organizations));
                let limits = [None, None, Some("5/s;burst=5"), Some("900/month"), Some("5/s;burst=9 80/day")];
                let limits = limits.get(usize::from(count)).copied().flatten();
                let limits = limits.map_or(Limits::NONE, |text| must(Limits::from_joined(text)));
                token.restrictions = Restrictions::new(scopes, organizations, resources, networks, limits);
            }
        }
        token.updated_at = now;
        token.version = token.version.next();
        token
    }

    async fn revoke(&self, number: u8, flaw: Flaw) -> Mutation {
        let token = self.stored(number).await;
        Mutation::RevokeServiceToken {
            account: flawed_account(token.account, flaw),
            id: token.id,
            client_id: token.client_id,
            expected: flawed_version(token.version, flaw),
        }
    }

    /// Mostly that of the account; for some another one.
    async fn epoch_of(&self, account: u8) -> Epoch {
        let stored = must(self.model.find_account(account_id(account)).await);
        let epoch = stored.map_or(Epoch::FIRST, |account| account.epoch);
        if self.seconds.is_multiple_of(8) { epoch.next() } else { epoch }
    }

    async fn revoke_access(&self, number: u8, descendants: bool, flaw: Flaw) -> Mutation {
        let token = self.stored_access(number).await;
        Mutation::RevokeAccessToken {
            account: flawed_account(token.account, flaw),
            handle: token.handle,
            expected: flawed_version(token.version, flaw),
            descendants,
        }
    }

    async fn live_root_token(&self, flaw: Flaw) -> Option<(Handle, Version)> {
        let last = must(self.model.find_root_token().await)?;
        Some((last.handle, flawed_version(last.live?, flaw)))
    }
}

/// Every place where a token can be, beginning with those of this number.
fn everywhere(number: u8) -> impl Iterator<Item = (u8, u8)> {
    let tokens = (0..TOKENS).map(move |offset| (number + offset) % TOKENS);
    tokens.flat_map(|token| (0..ACCOUNTS).map(move |account| (token, account)))
}

fn flawed_version(version: Version, flaw: Flaw) -> Version {
    if flaw == Flaw::Version { version.next() } else { version }
}

fn flawed_account(account: AccountId, flaw: Flaw) -> AccountId {
    let other = if account == account_id(0) { account_id(1) } else { account_id(0) };
    if flaw == Flaw::Account { other } else { account }
}

fn create_account(number: u8, parent: u8, email: u8, enabled: bool) -> Mutation {
    let account = new_account(number, parent, email, enabled);
    Mutation::CreateAccount { account, limit: 2 }
}

pub(super) fn email(number: u8) -> Email {
    Email::from_store(&format!("{number}@example.com"))
}

pub(super) fn new_account(number: u8, parent: u8, email_number: u8, enabled: bool) -> Account {
    let parent = (parent != number).then(|| account_id(parent));
    let new = NewAccount { email: email(email_number), password: None, profile: Profile::default() };
    let state = if enabled { AccountState::Enabled } else { AccountState::Disabled };
    Account { state, ..Account::with_id(account_id(number), parent, new, at(number)) }
}

fn service_token(number: u8, account: u8, created_at: Timestamp, name_number: u8) -> ServiceToken {
    let lifetime = Lifetime::year();
    ServiceToken {
        id: token_id(number),
        account: account_id(account),
        name: name(name_number),
        client_id: ClientId::from_bytes([number; 16]),
        expires_at: lifetime.expiry(created_at, created_at),
        lifetime,
        enabled: true,
        restrictions: Restrictions::NONE,
        current: CurrentSecret {
            version: 1,
            digest: Digest::from_bytes([number; 32]),
            created_at,
            rotated_by: None,
        },
        previous: None,
        created_at,
        updated_at: created_at,
        lineage: must(Lineage::of(&[handle(number), handle((number + 1) % TOKENS)]).ok_or("too long")),
        version: Version::FIRST,
    }
}

fn access_token(number: u8, account: u8, seconds: u8) -> AccessToken {
    let ttl = if seconds == 0 { Ttl::Eternal } else { Ttl::Seconds(seconds.into()) };
    AccessToken {
        handle: handle(number),
        digest: Digest::from_bytes([number; 32]),
        account: account_id(account),
        name: number.is_multiple_of(2).then(|| name(number)),
        ttl,
        restrictions: Restrictions::default(),
        created_at: at(number % 3),
        expires_at: ttl.expiry(at(number % 3)),
        source: Source::Issued,
        lineage: Lineage::default(),
        epoch: Epoch::FIRST,
        sealed: number.is_multiple_of(3).then(|| Sealed::from_bytes(&[number; 9])),
        version: Version::FIRST,
    }
}

fn minute(number: u8) -> Timestamp {
    Timestamp::from_micros(i64::from(number) * 60_000_000)
}

fn token_ref(token: Token) -> TokenRef {
    match token {
        Token::Service(number) => TokenRef::Service(token_id(number)),
        Token::Access(number) => TokenRef::Access(handle(number)),
    }
}

fn record(uses: &[(Token, u8, u8)], refusals: &[(Token, u8, u8)]) -> UsageBatch {
    let use_of = |(token, version, count): &(Token, u8, u8)| Usage {
        token: token_ref(*token),
        secret_version: (*version).into(),
        count: (*count).into(),
        first_at: at(*count),
        last_at: at(count.wrapping_mul(5) % 4),
        address: (*count > 1).then(|| [10, 0, 0, *count].into()),
        user_agent: format!("agent {count}").into(),
        door: Door::ALL[usize::from(*count) % Door::ALL.len()],
    };
    let refusals_of = |(token, number, count): &(Token, u8, u8)| Refusals {
        token: token_ref(*token),
        reason: Reason::ALL[usize::from(*count) % Reason::ALL.len()],
        minute: minute(*number),
        count: (*count).into(),
        address: (*count > 1).then(|| [10, 0, 0, *count].into()),
    };
    UsageBatch {
        uses: uses.iter().map(use_of).collect(),
        refusals: refusals.iter().map(refusals_of).collect(),
    }
}
