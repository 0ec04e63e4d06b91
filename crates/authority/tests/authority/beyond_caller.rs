//! Nothing hands out more than it has, and a child account never reaches its parent or siblings (design 5, invariant
//! 5), over random sequences of operations on tokens by tokens of four accounts. `tree` tries all operations; here every
//! attempt is made with what a credential restricts in all dimensions at once.
//!
//! The oracle does not ask the rules that are tested. It asks `judge` what a credential opens, scope by scope and
//! moment by moment, and compares the result of an operation with the credential that asked for it; and it has a tree
//! of accounts of its own, beyond whose branches nothing may change or be told.

use std::collections::BTreeMap;

use countersign_authority::{AccessTokenList, AccessTokenRequest, AuditFilter, Decision, List};
use countersign_domain::account::AccountChain;
use countersign_domain::caller::Caller;
use countersign_domain::change::FactChange;
use countersign_domain::demand::{Circumstances, Demand, Presented, RequestLine};
use countersign_domain::error::Error;
use countersign_domain::fact::{CredentialKey, Fact};
use countersign_domain::id::{AccountId, ServiceTokenId, TokenRef};
use countersign_domain::lifetime::{Lifetime, Ttl};
use countersign_domain::network::Networks;
use countersign_domain::resource::{Resource, Resources};
use countersign_domain::restrictions::StatedRestrictions;
use countersign_domain::scope::{Scope, Scopes};
use countersign_domain::secret::Secret;
use countersign_domain::service_token::{NewServiceToken, ServiceTokenPatch};
use countersign_domain::time::{Clock, Timestamp};
use countersign_domain::usage::Door;
use countersign_domain::verdict::{Standing, Verdict, judge};
use proptest::prelude::*;

use crate::world::{ROOT_TOKEN, World, new_token, sighting};

/// Every scope that a door or one of our operations could ask for in these tests.
const SCOPES: [&str; 9] = [
    "a",
    "a:b",
    "a:b:c",
    "d",
    "countersign:service-tokens:read",
    "countersign:service-tokens:write",
    "countersign:access-tokens:read",
    "countersign:access-tokens:write",
    "countersign:verify",
];

#[derive(Debug, Clone)]
enum Op {
    Issue {
        restrictions: StatedRestrictions,
        duration: &'static str,
        enabled: bool,
    },
    Update {
        restrictions: StatedRestrictions,
        duration: Option<&'static str>,
        enabled: Option<bool>,
        rotates: bool,
        grace: Option<u64>,
    },
    Rotate {
        overlap: Option<u64>,
        is_retry: bool,
    },
    Refresh,
    Revoke,
    IssueAccess {
        restrictions: StatedRestrictions,
        ttl: i64,
    },
    RevokeAccess {
        which: prop::sample::Index,
    },
    /// Everything that only reads.
    Look {
        which: prop::sample::Index,
    },
    Wait {
        seconds: u64,
    },
}

/// Who asks, for which service token, below the path of which account (`None` = of the one where it belongs).
type Asking = (prop::sample::Index, prop::sample::Index, Option<prop::sample::Index>);

/// What an attempt to use a credential can be about: of these some are within the lists below.
const REQUESTS: [(&str, &str); 3] = [("GET", "/a/x"), ("POST", "/a/x"), ("GET", "/b")];
const ADDRESSES: [[u8; 4]; 2] = [[10, 0, 0, 1], [192, 0, 2, 1]];

fn any_resources() -> impl Strategy<Value = Resources> {
    let one = prop::sample::select(vec!["/a/*", "GET /a/**", "POST /a/x", "/**", "/b"]);
    prop::collection::vec(one, 0..4).prop_map(|list| {
        Resources::list(list.into_iter().map(|text| Resource::parse(text).unwrap()).collect()).unwrap()
    })
}

fn any_networks() -> impl Strategy<Value = Networks> {
    let one = prop::sample::select(vec!["10.0.0.0/8", "10.0.0.1", "0.0.0.0/0", "192.0.2.0/24"]);
    prop::collection::vec(one, 0..4).prop_map(|list| {
        Networks::list(list.into_iter().map(|text| Networks::parse_one(text).unwrap()).collect()).unwrap()
    })
}

fn any_restrictions() -> impl Strategy<Value = StatedRestrictions> {
    let rarely = 0.2;
    let resources = prop::option::weighted(rarely, any_resources());
    let allowed_ips = prop::option::weighted(rarely, any_networks());
    (any_scopes(), resources, allowed_ips).prop_map(|(scopes, resources, allowed_ips)| StatedRestrictions {
        scopes,
        resources,
        allowed_ips,
        ..StatedRestrictions::default()
    })
}

fn any_scopes() -> impl Strategy<Value = Option<Scopes>> {
    let one = prop::sample::select(vec![
        "a",
        "a:b",
        "a:*",
        "a:b:*",
        "d",
        "*",
        "DEFAULT",
        "countersign:*",
        "countersign:service-tokens:*",
        "countersign:service-tokens:write",
        "countersign:service-tokens:read",
        "countersign:access-tokens:write",
    ]);
    let list = prop::collection::vec(one, 0..5).prop_map(|list| {
        Scopes::list(list.into_iter().map(|text| Scope::parse(text).unwrap()).collect()).unwrap()
    });
    prop::option::of(list)
}

fn any_op() -> impl Strategy<Value = Op> {
    let duration = || prop::sample::select(vec!["1m", "1h", "9000h", "forever"]);
    let seconds = || prop::option::of(0u64..7_200);
    prop_oneof![
        3 => (any_restrictions(), duration(), any::<bool>())
            .prop_map(|(restrictions, duration, enabled)| Op::Issue { restrictions, duration, enabled }),
        3 => (any_restrictions(), prop::option::of(duration()), any::<Option<bool>>(), any::<bool>(), seconds()).prop_map(
            |(restrictions, duration, enabled, rotates, grace)| Op::Update { restrictions, duration, enabled, rotates, grace }
        ),
        2 => (seconds(), any::<bool>()).prop_map(|(overlap, is_retry)| Op::Rotate { overlap, is_retry }),
        2 => Just(Op::Refresh),
        1 => Just(Op::Revoke),
        4 => (any_restrictions(), prop::sample::select(vec![-1, 0, 60, 3_600, 99_999_999]))
            .prop_map(|(restrictions, ttl)| Op::IssueAccess { restrictions, ttl }),
        1 => any::<prop::sample::Index>().prop_map(|which| Op::RevokeAccess { which }),
        1 => any::<prop::sample::Index>().prop_map(|which| Op::Look { which }),
        1 => (1u64..4_000).prop_map(|seconds| Op::Wait { seconds }),
    ]
}

/// One attempt: with a scope, at a time, by a request from an address.
#[derive(Debug, Clone, Copy)]
struct Attempt {
    scope: &'static str,
    time: Timestamp,
    request: (&'static str, &'static str),
    address: [u8; 4],
}

/// Whether a credential opens a door of `account`, were it enabled and its secret known.
fn opens(world: &World, account: AccountId, key: &CredentialKey, attempt: Attempt) -> bool {
    let Some(known) = world.authority.directory().find(key) else { return false };
    let (client_id, probe) = ("00000000000000000000000000000000.access", "0".repeat(64));
    let presented = Presented::service(client_id, &probe).unwrap();
    let digest = Secret::from_operator(probe.clone()).digest();
    let fact = Fact { digest, enabled: true, previous: None, ..known.fact.clone() };
    let chain: Option<AccountChain> = known.chain();
    let scopes = vec![vec![Scope::parse(attempt.scope).unwrap()]];
    let demand = Demand { scopes, accounts: vec![account], ..Demand::default() };
    let standing = Standing { chain: chain.as_ref(), is_cut: false, organizations: &[] };
    let (method, target) = attempt.request;
    let request = Some(RequestLine { method, target: target.as_bytes() });
    let circumstances = Circumstances { request, address: Some(attempt.address.into()) };
    let verdict = judge(&fact, &standing, &presented, &demand, &circumstances, attempt.time);
    matches!(verdict, Verdict::Granted(_))
}

/// Where the result opens what the caller could not.
fn excess(world: &World, caller: &Caller, result: &CredentialKey) -> Option<Attempt> {
    let caller_key = CredentialKey::Handle(caller.handle);
    let now = world.clock.now();
    let exceeds = |attempt: &Attempt| {
        // An unrestricted caller is the account: its tokens may outlive it.
        let time = if caller.restrictions.is_none() { now } else { attempt.time };
        opens(world, caller.account, result, *attempt)
            && !opens(world, caller.account, &caller_key, Attempt { time, ..*attempt })
    };
    let times = [0u64, 1, 24 * 14, 24 * 366, 24 * 365 * 99];
    let times = times.map(|hours| now.after(std::time::Duration::from_secs(hours * 3_600)));
    let attempts = SCOPES.into_iter().flat_map(|scope| {
        times.into_iter().flat_map(move |time| {
            REQUESTS
                .into_iter()
                .flat_map(move |request| ADDRESSES.map(|address| Attempt { scope, time, request, address }))
        })
    });
    attempts.into_iter().find(exceeds)
}

/// Counts of a run, printed so that a generator that only makes refusals is seen.
#[derive(Debug, Default)]
struct Tally {
    done: u32,
    denied: u32,
    /// Of the denied ones, those below the path of an account that is not within the caller's.
    foreign: u32,
}

/// The accounts of a run, each with the one above it.
struct Tree(BTreeMap<AccountId, Option<AccountId>>);

impl Tree {
    /// The root, two accounts below it, and one below the first of them.
    async fn grow(world: &World) -> Self {
        let mut tree = BTreeMap::from([(world.root, None)]);
        let child = world.account_below(world.root).await;
        for parent in [world.root, child] {
            tree.insert(world.account_below(parent).await, Some(parent));
        }
        tree.insert(child, Some(world.root));
        Self(tree)
    }

    fn is_within(&self, account: AccountId, other: AccountId) -> bool {
        std::iter::successors(Some(account), |below| self.0[below]).any(|above| above == other)
    }
}

struct Run {
    world: World,
    tree: Tree,
    texts: Vec<String>,
    tokens: Vec<(AccountId, ServiceTokenId)>,
    tally: Tally,
}

impl Run {
    /// A run in which somebody of every account can ask: for everything, and for little.
    async fn new() -> Self {
        let world = World::new().await;
        let tree = Tree::grow(&world).await;
        let narrow = ["countersign:service-tokens:*", "countersign:access-tokens:*", "a:*"];
        let narrow = narrow.iter().map(|text| Scope::parse(text).unwrap()).collect();
        let narrow = Scopes::list(narrow).unwrap();
        let mut texts = vec![ROOT_TOKEN.to_owned()];
        for account in tree.0.keys() {
            for (ttl, scopes) in [(-1, None), (7_200, Some(narrow.clone()))] {
                texts.push(world.issue_access_to(*account, ttl, scopes).await.reveal().to_owned());
            }
        }
        Self { world, tree, texts, tokens: Vec::new(), tally: Tally::default() }
    }

    async fn step(&mut self, (who, what, place): Asking, op: Op) -> Result<(), String> {
        if let Op::Wait { seconds } = op {
            self.world.advance(seconds);
            return Ok(());
        }
        let text = who.get(&self.texts).clone();
        let Ok(caller) = self.world.caller(&text) else { return Ok(()) };
        let token = (!self.tokens.is_empty()).then(|| *what.get(&self.tokens));
        let Some(owner) = self.owner(&caller, token, &op) else { return Ok(()) };
        let accounts: Vec<AccountId> = self.tree.0.keys().copied().collect();
        let place = place.map_or(owner, |place| *place.get(&accounts));
        let is_new = matches!(op, Op::Issue { .. } | Op::IssueAccess { .. });
        let is_foreign = !self.tree.is_within(place, caller.account);

        let before = self.beyond(caller.account).await;
        if let (Op::Look { which }, Some((_, id))) = (&op, token) {
            return self.look(&caller, place, id, which).await;
        }
        let result = self.apply(&caller, place, token, op).await;
        if self.beyond(caller.account).await != before {
            return Err(format!("something beyond {} has changed", caller.account));
        }
        if result.is_ok() && (is_foreign || place != owner && !is_new) {
            return Err(format!("{} acts on {owner} below {place}", caller.account));
        }
        match result {
            Ok(Some(key)) => {
                self.tally.done += 1;
                match excess(&self.world, &caller, &key) {
                    Some(excess) => Err(format!("{key:?} of {:?} now opens {excess:?}", caller.restrictions)),
                    None => Ok(()),
                }
            }
            Ok(None) => Ok(()),
            Err(Error::Denied(_)) => {
                self.tally.denied += 1;
                self.tally.foreign += u32::from(is_foreign);
                Ok(())
            }
            Err(Error::NotFound | Error::Invalid { .. }) if !is_foreign => Ok(()),
            Err(other) => Err(format!("{} below {place}: {other}", caller.account)),
        }
    }

    /// The account to which what an operation is about belongs, by itself for what is new; `None` when there is no
    /// such thing.
    fn owner(
        &self,
        caller: &Caller,
        token: Option<(AccountId, ServiceTokenId)>,
        op: &Op,
    ) -> Option<AccountId> {
        match op {
            Op::Issue { .. } | Op::IssueAccess { .. } => Some(caller.account),
            Op::RevokeAccess { which } => self.victim(which).map(|victim| victim.account),
            _ => token.map(|(account, _)| account),
        }
    }

    /// An access token other than the root's.
    fn victim(&self, which: &prop::sample::Index) -> Option<Caller> {
        let text = which.get(&self.texts);
        self.world.caller(text).ok().filter(|_| text != ROOT_TOKEN)
    }

    /// What is stored of accounts that are not within this one.
    async fn beyond(&self, account: AccountId) -> Vec<FactChange> {
        let (mut facts, _) = self.world.stored().await;
        facts.retain(|fact| {
            let owner = match fact {
                FactChange::Account(fact) => fact.id,
                FactChange::Credential(fact) => fact.account,
                _ => account,
            };
            !self.tree.is_within(owner, account)
        });
        facts
    }

    /// Asks for everything that can be read, below a path of `place`; fails when something is told of another account,
    /// or of one that is not within the caller's.
    async fn look(
        &self,
        caller: &Caller,
        place: AccountId,
        id: ServiceTokenId,
        which: &prop::sample::Index,
    ) -> Result<(), String> {
        let authority = &self.world.authority;
        let asked = self.world.asked_about(caller, place);
        let mut told = Vec::new();
        if let Ok(view) = authority.load_service_token(asked, id).await {
            told.push(view.token.account);
        }
        let list = List { name: None, search: None, offset: 0, limit: 1_000 };
        if let Ok(listed) = authority.list_service_tokens(asked, list).await {
            told.push(place);
            told.extend(listed.tokens.iter().map(|view| view.token.account));
        }
        if let Ok(page) = authority.list_access_tokens(asked, AccessTokenList::all(0, 100)).await {
            told.push(place);
            told.extend(page.items.iter().map(|token| token.account));
        }
        let filter = AuditFilter { account: Some(place), limit: 1_000, ..AuditFilter::default() };
        if let Ok(page) = authority.list_audit(caller, filter).await {
            told.push(place);
            told.extend(page.records.iter().map(|record| record.entry.account));
        }
        let owner = self.tokens.iter().find(|(_, token)| *token == id).map(|(account, _)| *account);
        if authority.load_usage(caller, place, TokenRef::Service(id)).await.is_ok() {
            told.extend(owner);
        }
        if let Some(other) = self.victim(which) {
            if authority.load_usage(caller, place, TokenRef::Access(other.handle)).await.is_ok() {
                told.push(other.account);
            }
            let text: &String = which.get(&self.texts);
            let presented = Presented::access(text).unwrap();
            let demand = Demand::default();
            let verdict = authority.verify_for(caller.account, &presented, &demand, sighting(Door::Verify));
            if matches!(verdict, Decision::Granted(_)) && !self.tree.is_within(other.account, caller.account)
            {
                return Err(format!("{} verifies a token of {}", caller.account, other.account));
            }
        }
        match told.iter().find(|account| **account != place || !self.tree.is_within(place, caller.account)) {
            Some(account) => Err(format!("{} is told of {account} below {place}", caller.account)),
            None => Ok(()),
        }
    }

    /// Does it; gives the credential that it revealed or strengthened.
    async fn apply(
        &mut self,
        caller: &Caller,
        place: AccountId,
        token: Option<(AccountId, ServiceTokenId)>,
        op: Op,
    ) -> Result<Option<CredentialKey>, Error> {
        let authority = &self.world.authority;
        let asked = self.world.asked_about(caller, place);
        let later = |seconds: u64| self.world.clock.now().after(std::time::Duration::from_secs(seconds));
        let token = token.map(|(_, id)| id);
        match (op, token) {
            (Op::Issue { restrictions, duration, enabled }, _) => {
                let new = NewServiceToken { restrictions, enabled, ..new_token(duration) };
                let (view, _) = authority.issue_service_token(asked, new).await?;
                self.tokens.push((place, view.token.id));
                Ok(Some(CredentialKey::Client(view.token.client_id)))
            }
            (Op::Update { restrictions, duration, enabled, rotates, grace }, Some(id)) => {
                let version = authority.load_service_token(asked, id).await?.token.current.version;
                let only_disables = restrictions.is_empty()
                    && duration.is_none()
                    && enabled != Some(true)
                    && !rotates
                    && grace.is_none();
                let patch = ServiceTokenPatch {
                    name: None,
                    lifetime: duration.map(|text| Lifetime::parse(text).unwrap()),
                    enabled,
                    restrictions,
                    secret_version: rotates.then_some(version + 1),
                    previous_expires_at: grace.map(later),
                };
                let before = authority.load_service_token(asked, id).await?.token;
                let (view, _) = authority.update_service_token(asked, id, patch, false).await?;
                let weaker = only_disables || !view.token.is_stronger_than(&before);
                Ok((!weaker).then_some(CredentialKey::Client(view.token.client_id)))
            }
            (Op::Rotate { overlap, is_retry }, Some(id)) => {
                let rotated = authority.rotate_service_token(asked, id, overlap.map(later), is_retry);
                Ok(Some(CredentialKey::Client(rotated.await?.0.token.client_id)))
            }
            (Op::Refresh, Some(id)) => {
                let before = authority.load_service_token(asked, id).await?.token.expires_at;
                let view = authority.refresh_service_token(asked, id).await?;
                let key = CredentialKey::Client(view.token.client_id);
                Ok((view.token.expires_at > before).then_some(key))
            }
            (Op::Revoke, Some(id)) => {
                authority.revoke_service_token(asked, id).await?;
                self.tokens.retain(|(_, token)| *token != id);
                Ok(None)
            }
            (Op::IssueAccess { restrictions, ttl }, _) => {
                let ttl = Ttl::from_number(ttl).unwrap();
                let request = AccessTokenRequest { ttl, restrictions, name: None };
                let (token, text) = authority.issue_access_token(asked, request).await?;
                self.texts.push(text.reveal().to_owned());
                Ok(Some(CredentialKey::Handle(token.handle)))
            }
            (Op::RevokeAccess { which }, _) => {
                if let Some(victim) = self.victim(&which) {
                    authority.revoke_access_token(asked, victim.handle, false).await?;
                }
                Ok(None)
            }
            (Op::Update { .. } | Op::Rotate { .. } | Op::Refresh | Op::Revoke, None)
            | (Op::Look { .. } | Op::Wait { .. }, _) => Ok(None),
        }
    }
}

#[test]
fn nothing_hands_out_more_than_it_has() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let total = std::cell::RefCell::new(Tally::default());
    let index = any::<prop::sample::Index>;
    let asking = (index(), index(), prop::option::weighted(0.3, index()));
    let step = (asking, any_op());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 5_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let outcome = runner.run(&prop::collection::vec(step, 1..40), |steps| {
        runtime.block_on(async {
            let mut run = Run::new().await;
            for (asking, op) in steps {
                run.step(asking, op).await.map_err(TestCaseError::fail)?;
            }
            let mut total = total.borrow_mut();
            total.done += run.tally.done;
            total.denied += run.tally.denied;
            total.foreign += run.tally.foreign;
            Ok(())
        })
    });
    outcome.unwrap();
    let Tally { done, denied, foreign } = total.into_inner();
    println!(
        "{done} operations revealed or strengthened a credential, {denied} were denied, {foreign} of these on an \
         account that is not within the caller's"
    );
    let tries_all = done > 5_000 && denied - foreign > 5_000 && foreign > 5_000;
    assert!(tries_all, "{done} done, {denied} denied, {foreign} on a foreign account");
}
