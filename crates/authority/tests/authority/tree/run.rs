//! A sequence: who asks, for what, and what is looked at afterwards.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use countersign_authority::{AccountStep, Asked, Authority, Directory, Known, Policy, RootSettings};
use countersign_domain::audit::Origin;
use countersign_domain::caller::Caller;
use countersign_domain::change::FactChange;
use countersign_domain::demand::Presented;
use countersign_domain::error::{Denial, Error, Field};
use countersign_domain::fact::CredentialKey;
use countersign_domain::id::OrganizationId;
use countersign_domain::lifetime::Ttl;
use countersign_domain::organization::Organizations;
use countersign_domain::restrictions::StatedRestrictions;
use countersign_domain::secret::Secret;
use countersign_domain::store::{ChangeSink, Reload, Revision, SharedStore};
use countersign_domain::time::{Clock, Timestamp};
use countersign_domain::usage::Door;
use countersign_domain::verdict::Refusal;
use countersign_store_conformance::doubles::{ManualClock, SeededEntropy};
use countersign_store_conformance::model::ModelStore;
use countersign_store_conformance::world::load_facts;

use super::chance::{Chance, Values};
use super::model::{Credential, Kind, Model, Place};
use super::power::{self, Gauge, Power};
use super::tally::Tally;
use crate::world::{ROOT_TOKEN, sighting};

pub(super) const CHILDREN: u32 = 3;
pub(super) const ACCESS_TOKENS: u32 = 6;
pub(super) const LOGINS: u32 = 2;
pub(super) const SERVICE_TOKENS: u32 = 2;
pub(super) const ORGANIZATIONS: u32 = 2;
pub(super) const MEMBERS: u32 = 2;

/// Why a sequence did not go on as asked.
pub(super) enum Trouble {
    /// The operation was refused.
    Refused(Error),
    /// What must never be.
    Broken(String),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

pub(super) type Outcome = Result<(), Trouble>;

/// Fails the test unless it holds.
pub(super) fn must(holds: bool, otherwise: &str) -> Outcome {
    if holds { Ok(()) } else { Err(Trouble::Broken(otherwise.to_owned())) }
}

/// Hears of every change before the doors do.
struct Tee {
    directory: Arc<Directory>,
    heard: Mutex<Vec<FactChange>>,
}

impl ChangeSink for Tee {
    fn publish(&self, revision: Revision, changes: Vec<FactChange>) {
        self.heard.lock().unwrap().extend(changes.iter().cloned());
        self.directory.publish(revision, changes);
    }

    fn begin_reload(self: Arc<Self>) -> Box<dyn Reload> {
        Arc::clone(&self.directory).begin_reload()
    }
}

/// What sequences have in common, one after the other.
pub(super) struct Ground {
    pub(super) authority: Arc<Authority>,
    pub(super) store: Arc<ModelStore>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) origin: Origin,
    tee: Arc<Tee>,
    /// What has ended is swept by the operation that ended it; otherwise only the doors know until the next sweep.
    pub(super) sweeps_at_once: bool,
}

impl Ground {
    async fn new(seed: u64) -> Self {
        let directory = Arc::new(Directory::default());
        let tee = Arc::new(Tee { directory: directory.clone(), heard: Mutex::default() });
        let store = Arc::new(ModelStore::new(tee.clone()));
        let clock = Arc::new(ManualClock::default());
        let policy = Policy {
            children_per_account: CHILDREN,
            access_tokens_per_account: ACCESS_TOKENS,
            logins_per_account: LOGINS,
            service_tokens_per_account: SERVICE_TOKENS,
            organizations_per_account: ORGANIZATIONS,
            members_per_organization: MEMBERS,
            open_sign_up: seed.is_multiple_of(2),
            ..Policy::default()
        };
        let entropy = Arc::new(SeededEntropy::new(seed));
        let authority = Authority::new(store.clone(), directory, clock.clone(), entropy, policy);
        let authority = Arc::new(authority);
        authority.load().await.unwrap();
        let sweeps_at_once = seed % 4 < 2;
        store.set_resting(!sweeps_at_once);
        Self { authority, store, clock, origin: Origin::default(), tee, sweeps_at_once }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn heard(&self) -> Vec<FactChange> {
        std::mem::take(&mut self.tee.heard.lock().unwrap())
    }
}

/// Who asks.
pub(super) struct Who {
    pub(super) credential: usize,
    pub(super) account: usize,
    pub(super) caller: Caller,
    /// What it opens now.
    pub(super) power: Power,
    /// It was judged before it ended: whatever it asks for comes too late.
    pub(super) is_late: bool,
}

impl Who {
    pub(super) fn asked<'a>(&'a self, ground: &'a Ground, run: &Run, account: usize) -> Asked<'a> {
        let account = run.model.accounts[account].id;
        Asked { caller: &self.caller, account, origin: &ground.origin }
    }
}

/// Sequences over one ground.
pub(super) struct Run {
    pub(super) ground: Arc<Ground>,
    pub(super) chance: Chance,
    pub(super) values: Arc<Values>,
    pub(super) gauge: Gauge,
    pub(super) model: Model,
    pub(super) tally: Tally,
    /// Of the sequence, where it is to be told.
    pub(super) trace: Option<Vec<String>>,
    /// How many passwords may still be hashed in this sequence; each takes its time.
    pub(super) passwords: u32,
    /// Whether the operation is within what the caller may do, so that no rule can deny it.
    pub(super) must_not_be_denied: bool,
    /// Numbers addresses.
    pub(super) unique: u64,
    /// Credentials from logging in.
    pub(super) logins: Vec<usize>,
}

impl Run {
    pub(super) async fn new(seed: u64, values: Arc<Values>, is_told: bool) -> Self {
        let ground = Arc::new(Ground::new(seed).await);
        let token = Some(Secret::from_operator(ROOT_TOKEN.into()));
        let settings = RootSettings { token, ..RootSettings::default() };
        let root = ground.authority.ensure_root(settings).await.unwrap().account;
        let place = Place { id: root, parent: None, enabled: true, deleted: false, login: None };
        let presented = Presented::access(ROOT_TOKEN).unwrap();
        let CredentialKey::Handle(handle) = presented.key() else { panic!("of an access token") };
        let text = ROOT_TOKEN.to_owned();
        let token = Credential {
            kind: Kind::Access { handle, text },
            key: presented.key(),
            account: 0,
            ancestors: Vec::new(),
            organizations: Organizations::ALL,
            enabled: true,
            ended: false,
            expires_at: Timestamp::NEVER,
            previous: None,
            caller: None,
            power: None,
        };
        let (accounts, credentials) = (vec![place], vec![token]);
        Self {
            ground,
            chance: Chance::new(seed),
            values,
            gauge: Gauge::new(),
            model: Model { accounts, credentials, organizations: Vec::new(), memberships: Vec::new() },
            tally: Tally::default(),
            trace: is_told.then(Vec::new),
            passwords: 0,
            must_not_be_denied: false,
            unique: 0,
            logins: Vec::new(),
        }
    }

    pub(super) fn note(&mut self, text: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(text());
        }
    }

    /// One sequence, from a tree of its own until nothing of it is left.
    pub(super) async fn sequence(&mut self) -> Result<(), String> {
        self.trace.iter_mut().for_each(Vec::clear);
        self.passwords = 0;
        let grown = self.grow().await;
        self.must_all(grown)?;
        for _ in 0..4 + self.chance.below(7) {
            self.step().await?;
        }
        self.wither().await?;
        self.tally.sequences += 1;
        Ok(())
    }

    async fn step(&mut self) -> Result<(), String> {
        let asks = self.chance.below(self.model.credentials.len());
        let Some(who) = self.who(asks)? else { return Ok(()) };
        self.tally.operations += 1;
        self.must_not_be_denied = false;
        let outcome = self.act(&who).await;
        let heard = self.ground.heard();
        match outcome {
            Ok(()) => {}
            Err(Trouble::Broken(what)) => return Err(what),
            Err(Trouble::Refused(error)) => self.refused(&who, error, &heard)?,
        }
        if heard.is_empty() {
            return Ok(());
        }
        if who.is_late {
            return Err("what has ended has changed something".to_owned());
        }
        self.check_changes(&who, &heard)?;
        self.check_doors(heard.iter().any(|change| !matches!(change, FactChange::Credential(_))))
    }

    /// The bearer of a credential; also of one that has ended, when it has asked before.
    fn who(&mut self, credential: usize) -> Result<Option<Who>, String> {
        let known = &self.model.credentials[credential];
        let Kind::Access { text, .. } = &known.kind else { return Ok(None) };
        let is_live = self.model.is_live(known, self.ground.now());
        let presented = Presented::access(text).unwrap();
        let outcome = self.ground.authority.authenticate(&presented, sighting(Door::Api));
        let caller = match (outcome, is_live) {
            (Ok(_), false) => return Err(format!("{credential} has ended and asks")),
            (Ok((caller, _)), true) => caller,
            (Err(refused), true) if refused.reason.refusal() == Refusal::Unauthenticated => {
                return Err(format!("{credential} is refused: {refused:?}"));
            }
            (Err(_), true) => return Ok(None),
            (Err(_), false) => match &known.caller {
                Some(caller) => caller.clone(),
                None => return Ok(None),
            },
        };
        let account = known.account;
        let power = self.power(credential);
        self.model.credentials[credential].caller = Some(caller.clone());
        Ok(Some(Who { credential, account, caller, power, is_late: !is_live }))
    }

    pub(super) fn fact(&self, credential: usize) -> Option<Arc<Known>> {
        self.ground.authority.directory().find(&self.model.credentials[credential].key)
    }

    /// What an access token opens at doors of its own account. Nothing changes that, but that there is one more
    /// organization.
    fn power(&mut self, credential: usize) -> Power {
        let (known, count) = (&self.model.credentials[credential], self.model.organizations.len());
        if let Some((_, power)) = known.power.filter(|(of, _)| *of == count) {
            return power;
        }
        let account = known.account;
        let Some(fact) = self.fact(credential) else { return Power::default() };
        let power = self.measure(&fact, account);
        self.model.credentials[credential].power = Some((count, power));
        power
    }

    /// What a credential opens at doors of an account.
    pub(super) fn measure(&mut self, known: &Known, at: usize) -> Power {
        let mut ids = [OrganizationId::OF_NONE; power::ORGANIZATIONS];
        let count = self.model.organizations.len();
        for (id, tenant) in ids.iter_mut().zip(&self.model.organizations) {
            *id = tenant.id;
        }
        let owner = self.model.account(known.fact.account).unwrap();
        let chain = self.model.chain(owner);
        self.gauge.measure(&known.fact, &chain, self.model.accounts[at].id, &ids[..count])
    }

    fn refused(&mut self, who: &Who, error: Error, heard: &[FactChange]) -> Result<(), String> {
        let name = match &error {
            Error::Denied(Denial::MissingScope(_)) => "missing scope",
            Error::Denied(Denial::ForeignAccount) => "foreign account",
            Error::Denied(Denial::BeyondCaller) => "beyond the caller",
            Error::Denied(Denial::OtherOrganization) => "other organization",
            Error::Denied(Denial::NoSignUp) => "no sign-up",
            Error::Invalid { field: Field::Parent, .. } => "too deep",
            Error::Invalid { field: Field::Lineage, .. } => "lineage too long",
            Error::Invalid { .. } => "invalid",
            Error::NotFound => "not found",
            Error::Taken { .. } => "taken",
            Error::LimitReached { .. } => "limit reached",
            Error::Unauthenticated if who.is_late => "too late",
            Error::LoginFailed | Error::TooManyLogins { .. } => "login failed",
            other => return Err(format!("refused by {other:?}")),
        };
        if !heard.is_empty() {
            return Err(format!("refused ({name}), and something has changed"));
        }
        if self.must_not_be_denied && matches!(error, Error::Denied(_)) {
            return Err(format!("denied what it may do: {error}"));
        }
        self.note(|| format!("  refused: {error}"));
        *self.tally.refused.entry(name).or_default() += 1;
        Ok(())
    }

    /// An operation that has to be done.
    fn must_all(&self, outcome: Outcome) -> Result<(), String> {
        let heard = self.ground.heard();
        match outcome {
            Ok(()) if heard.is_empty() => Err("nothing has changed".to_owned()),
            Ok(()) => Ok(()),
            Err(Trouble::Broken(what)) => Err(what),
            Err(Trouble::Refused(error)) => Err(format!("the root is refused: {error:?}")),
        }
    }

    /// The root token, asking.
    pub(super) fn root(&mut self) -> Who {
        match self.who(0) {
            Ok(Some(who)) => who,
            _ => panic!("the root token is not accepted"),
        }
    }

    /// Two siblings on each of three levels below the root, or one branch as deep as there may be, and tokens here and
    /// there; now and then a long line of tokens, each minted by the one before.
    async fn grow(&mut self) -> Outcome {
        let root = self.root();
        let is_branch = self.chance.one_in(32);
        let parents: &[usize] = if is_branch { &[0, 1, 2, 3, 4, 5, 6] } else { &[0, 0, 1, 1, 3, 3] };
        for parent in parents {
            self.create_account_below(&root, *parent).await?;
        }
        if self.chance.one_in(16_384) {
            self.passwords = 4;
            let account = *self.chance.pick(&[1, 1, 3]);
            self.set_password_of(&root, account).await?;
        }
        let everything = StatedRestrictions::default;
        let narrow = self.values.narrow();
        let other = 1 + self.chance.below(parents.len());
        let of_other = self.values.restrictions(&mut self.chance, &[]);
        for (account, restrictions) in [(1, everything()), (3, everything()), (1, narrow), (other, of_other)]
        {
            self.issue_to(&root, account, restrictions, Ttl::Eternal).await?;
        }
        if self.chance.one_in(2) {
            let owner = *self.chance.pick(&[1, 3, 3, 5]);
            self.create_organization_of(&root, owner).await?;
        }
        if self.chance.one_in(64) {
            let mut minter = 1;
            for account in [3, 3, 3, 5, 5, 5, 5] {
                let who = self.who(minter).map_err(Trouble::Broken)?;
                let who = who.ok_or_else(|| Trouble::Broken("a new token is not accepted".to_owned()))?;
                self.issue_to(&who, account, everything(), Ttl::Eternal).await?;
                minter = self.model.credentials.len() - 1;
            }
        }
        Ok(())
    }

    /// Sweeps, ends every account below the root, and sweeps again: at each step the doors know, and in the end nothing
    /// is left.
    async fn wither(&mut self) -> Result<(), String> {
        self.sweep().await?;
        let root = self.root();
        for account in 1..self.model.accounts.len() {
            let place = &self.model.accounts[account];
            if place.parent == Some(0) && !place.deleted {
                let outcome = self.step_account_at(&root, account, AccountStep::Delete).await;
                self.must_all(outcome)?;
            }
        }
        let outcome = self.revoke_all_of(&root, 0).await;
        self.must_all(outcome)?;
        for token in self.service_tokens_of_root() {
            // Another state of the root token than a moment ago: it was spared.
            let root = self.root();
            let outcome = self.revoke_service_token_at(&root, token, 0).await;
            self.must_all(outcome)?;
        }
        self.check_doors(false)?;
        self.sweep_away().await?;
        if self.chance.one_in(8) {
            self.check_doors(false)?;
        }
        let store: SharedStore = self.ground.store.clone();
        let (facts, _) = load_facts(&store).await;
        if facts.len() != 2 {
            return Err(format!("{facts:?} are left"));
        }
        self.model.accounts.truncate(1);
        self.model.credentials.truncate(1);
        self.model.organizations.clear();
        self.model.memberships.clear();
        self.logins.clear();
        Ok(())
    }

    /// What has ended is taken out; the doors say the same before and after.
    pub(super) async fn sweep(&mut self) -> Result<(), String> {
        self.sweep_away().await?;
        self.tally.count("sweep");
        self.check_doors(true)
    }

    async fn sweep_away(&mut self) -> Result<(), String> {
        let ground = self.ground.clone();
        ground.store.set_resting(false);
        ground.authority.sweep().await.map_err(|error| error.to_string())?;
        ground.store.set_resting(!ground.sweeps_at_once);
        ground.heard();
        self.model.sweep();
        Ok(())
    }

    pub(super) fn wait(&mut self) {
        let seconds = 1 + self.chance.below(4_000) as u64;
        self.note(|| format!("{seconds} s pass"));
        self.ground.clock.advance(Duration::from_secs(seconds));
        self.tally.count("wait");
    }
}
