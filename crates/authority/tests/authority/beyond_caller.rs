//! Nothing hands out more than it has (design 5, invariant 5), over random sequences of all operations.
//!
//! The oracle does not ask the rule that is tested. It asks `judge` what a credential opens, scope by scope and
//! moment by moment, and compares the result of an operation with the credential that asked for it.

use countersign_domain::account::AccountChain;
use countersign_domain::caller::Caller;
use countersign_domain::demand::{Demand, Presented};
use countersign_domain::error::Error;
use countersign_domain::fact::{CredentialKey, Fact};
use countersign_domain::id::ServiceTokenId;
use countersign_domain::lifetime::{Lifetime, Ttl};
use countersign_domain::scope::{Scope, Scopes};
use countersign_domain::secret::Secret;
use countersign_domain::service_token::{NewServiceToken, ServiceTokenPatch};
use countersign_domain::time::{Clock, Timestamp};
use countersign_domain::verdict::{Verdict, judge};
use proptest::prelude::*;

use crate::world::{ROOT_TOKEN, World, new_token};

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
        scopes: Option<Scopes>,
        duration: &'static str,
        enabled: bool,
    },
    Update {
        scopes: Option<Scopes>,
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
        scopes: Option<Scopes>,
        ttl: i64,
    },
    RevokeAccess {
        which: prop::sample::Index,
    },
    Wait {
        seconds: u64,
    },
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
        3 => (any_scopes(), duration(), any::<bool>())
            .prop_map(|(scopes, duration, enabled)| Op::Issue { scopes, duration, enabled }),
        3 => (any_scopes(), prop::option::of(duration()), any::<Option<bool>>(), any::<bool>(), seconds()).prop_map(
            |(scopes, duration, enabled, rotates, grace)| Op::Update { scopes, duration, enabled, rotates, grace }
        ),
        2 => (seconds(), any::<bool>()).prop_map(|(overlap, is_retry)| Op::Rotate { overlap, is_retry }),
        2 => Just(Op::Refresh),
        1 => Just(Op::Revoke),
        4 => (any_scopes(), prop::sample::select(vec![-1, 0, 60, 3_600, 99_999_999]))
            .prop_map(|(scopes, ttl)| Op::IssueAccess { scopes, ttl }),
        1 => any::<prop::sample::Index>().prop_map(|which| Op::RevokeAccess { which }),
        1 => (1u64..4_000).prop_map(|seconds| Op::Wait { seconds }),
    ]
}

/// What a credential opens with `scope` at `time`, were it enabled and its secret known.
fn opens(world: &World, key: &CredentialKey, scope: &str, time: Timestamp) -> bool {
    let Some(known) = world.authority.directory().find(key) else { return false };
    let (client_id, probe) = ("00000000000000000000000000000000.access", "0".repeat(64));
    let presented = Presented::service(client_id, &probe).unwrap();
    let digest = Secret::from_operator(probe.clone()).digest();
    let fact = Fact { digest, enabled: true, previous: None, ..known.fact.clone() };
    let chain: Option<AccountChain> = known.chain();
    let demand = Demand { scopes: vec![vec![Scope::parse(scope).unwrap()]], ..Demand::default() };
    matches!(judge(&fact, chain.as_ref(), &presented, &demand, time), Verdict::Granted(_))
}

/// Where the result opens what the caller could not.
fn excess(world: &World, caller: &Caller, result: &CredentialKey) -> Option<String> {
    let caller_key = CredentialKey::Handle(caller.handle);
    let now = world.clock.now();
    let unscoped = caller.scopes.is_full();
    for scope in SCOPES {
        for hours in [0u64, 1, 2, 24 * 14, 24 * 366, 24 * 365 * 99] {
            let time = now.after(std::time::Duration::from_secs(hours * 3_600));
            // An unscoped caller is the account: its tokens may outlive it.
            let asked_at = if unscoped { now } else { time };
            if opens(world, result, scope, time) && !opens(world, &caller_key, scope, asked_at) {
                return Some(format!("{scope} in {hours} h"));
            }
        }
    }
    None
}

/// Counts of a run, printed so that a generator that only makes refusals is seen.
#[derive(Debug, Default)]
struct Tally {
    done: u32,
    denied: u32,
}

struct Run {
    world: World,
    texts: Vec<String>,
    tokens: Vec<ServiceTokenId>,
    tally: Tally,
}

impl Run {
    async fn step(
        &mut self,
        who: prop::sample::Index,
        what: prop::sample::Index,
        op: Op,
    ) -> Result<(), String> {
        let text = who.get(&self.texts).clone();
        let Ok(caller) = self.world.caller(&text) else { return Ok(()) };
        let token = (!self.tokens.is_empty()).then(|| *what.get(&self.tokens));
        let result = self.apply(&caller, token, op).await;
        match result {
            Ok(Some(key)) => {
                self.tally.done += 1;
                match excess(&self.world, &caller, &key) {
                    Some(excess) => Err(format!("{:?} of {:?} now opens {excess}", key, caller.scopes)),
                    None => Ok(()),
                }
            }
            Ok(None) => Ok(()),
            Err(Error::Denied(_)) => {
                self.tally.denied += 1;
                Ok(())
            }
            Err(Error::NotFound | Error::Invalid { .. }) => Ok(()),
            Err(other) => Err(other.to_string()),
        }
    }

    /// Does it; gives the credential that it revealed or strengthened.
    async fn apply(
        &mut self,
        caller: &Caller,
        token: Option<ServiceTokenId>,
        op: Op,
    ) -> Result<Option<CredentialKey>, Error> {
        let authority = &self.world.authority;
        let asked = self.world.asked(caller);
        let later = |seconds: u64| self.world.clock.now().after(std::time::Duration::from_secs(seconds));
        match (op, token) {
            (Op::Issue { scopes, duration, enabled }, _) => {
                let new = NewServiceToken { scopes, enabled, ..new_token(duration) };
                let (view, _) = authority.issue_service_token(asked, new).await?;
                self.tokens.push(view.token.id);
                Ok(Some(CredentialKey::Client(view.token.client_id)))
            }
            (Op::Update { scopes, duration, enabled, rotates, grace }, Some(id)) => {
                let version = authority.load_service_token(asked, id).await?.token.current.version;
                let only_disables = scopes.is_none()
                    && duration.is_none()
                    && enabled != Some(true)
                    && !rotates
                    && grace.is_none();
                let patch = ServiceTokenPatch {
                    name: None,
                    lifetime: duration.map(|text| Lifetime::parse(text).unwrap()),
                    enabled,
                    scopes,
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
                self.tokens.retain(|token| *token != id);
                Ok(None)
            }
            (Op::IssueAccess { scopes, ttl }, _) => {
                let ttl = Ttl::from_number(ttl).unwrap();
                let (token, text) = authority.issue_access_token(asked, ttl, scopes).await?;
                self.texts.push(text.reveal().to_owned());
                Ok(Some(CredentialKey::Handle(token.handle)))
            }
            (Op::RevokeAccess { which }, _) => {
                let text = which.get(&self.texts).clone();
                if text == ROOT_TOKEN {
                    return Ok(None);
                }
                let Ok(victim) = self.world.caller(&text) else { return Ok(None) };
                authority.revoke_access_token(asked, victim.handle).await?;
                Ok(None)
            }
            (Op::Wait { seconds }, _) => {
                self.world.advance(seconds);
                Ok(None)
            }
            (Op::Update { .. } | Op::Rotate { .. } | Op::Refresh | Op::Revoke, None) => Ok(None),
        }
    }
}

#[test]
fn nothing_hands_out_more_than_it_has() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let total = std::cell::RefCell::new(Tally::default());
    let step = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), any_op());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 3_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let outcome = runner.run(&prop::collection::vec(step, 1..40), |steps| {
        runtime.block_on(async {
            let world = World::new().await;
            let mut run =
                Run { world, texts: vec![ROOT_TOKEN.into()], tokens: Vec::new(), tally: Tally::default() };
            for (who, what, op) in steps {
                run.step(who, what, op).await.map_err(TestCaseError::fail)?;
            }
            let mut total = total.borrow_mut();
            total.done += run.tally.done;
            total.denied += run.tally.denied;
            Ok(())
        })
    });
    outcome.unwrap();
    let Tally { done, denied } = total.into_inner();
    println!("{done} operations revealed or strengthened a credential, {denied} were denied");
    assert!(done > 5_000 && denied > 5_000, "the generator tries both: {done} done, {denied} denied");
}
