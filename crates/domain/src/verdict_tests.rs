//! Tests of [`super::judge`].

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::account::{Account, AccountFact, AccountState, Epoch};
use crate::check::Check;
use crate::demand::RequestLine;
use crate::fact::{Bearer, Kind};
use crate::id::{AccountId, ClientId, ServiceTokenId};
use crate::limits::Limits;
use crate::lineage::Lineage;
use crate::network::Networks;
use crate::organization::Organizations;
use crate::resource::{Resource, Resources};
use crate::restrictions::Restrictions;
use crate::scope::Scopes;
use crate::store::Version;

const SECRET: &str = "cfast_EqN8f9vx3sKOSY4mwCMCbZYb02L4OvfAkacLAqTZ63a435a7";
const OLD_SECRET: &str = "a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1";
const OTHER_SECRET: &str = "b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2";
const CLIENT: &str = "88bf3b6d86161464f6509f7219099e57.access";

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

fn presented(secret: &str) -> Presented<'_> {
    Presented::service(CLIENT, secret).unwrap()
}

fn digest(secret: &str) -> crate::secret::Digest {
    presented(secret).secret().unwrap().digest()
}

fn account(number: u8) -> AccountId {
    AccountId::from_bytes([number; 16])
}

/// What was got for the current secret of [`fact`].
fn signed() -> SignedToken {
    SignedToken {
        service_token: ServiceTokenId::from_bytes([7; 16]),
        client_id: CLIENT.parse().unwrap(),
        account: account(2),
        secret_version: 2,
        scopes: Scopes::FULL,
        audiences: vec!["ours".into()],
        is_for_issuer: false,
        id: "a".into(),
        issued_at: at(0),
        expires_at: at(10_000),
    }
}

/// A token of account 2, which stands below the root, account 1.
fn fact() -> Fact {
    let client_id: ClientId = CLIENT.parse().unwrap();
    Fact {
        bearer: Bearer::Service { id: ServiceTokenId::from_bytes([7; 16]), client_id },
        account: account(2),
        digest: digest(SECRET),
        secret_version: 2,
        enabled: true,
        expires_at: at(1_000),
        version: Version::FIRST,
        previous: Some(Box::new(PreviousFact {
            digest: digest(OLD_SECRET),
            secret_version: 1,
            replaced_at: at(100),
            expires_at: at(500),
        })),
        name: "ci".into(),
        lineage: Lineage::default(),
        epoch: None,
        restrictions: Restrictions::NONE,
    }
}

fn chain_of(states: [AccountState; 2], epoch: Epoch) -> AccountChain {
    let fact = |id, parent, state| AccountFact { id, parent, state, epoch, version: Version::FIRST };
    AccountChain::collect([fact(account(2), Some(account(1)), states[0]), fact(account(1), None, states[1])])
        .unwrap()
}

fn chain(enabled: [bool; 2]) -> AccountChain {
    let state = |enabled| if enabled { AccountState::Enabled } else { AccountState::Disabled };
    chain_of(enabled.map(state), Epoch::FIRST)
}

fn on(chain: Option<&AccountChain>) -> Standing<'_> {
    Standing { chain, is_cut: false, organizations: &[] }
}

fn judged(fact: &Fact, secret: &str, demand: &Demand, now: i64) -> Result<Grant, Reason> {
    match judge(
        fact,
        &on(Some(&chain([true, true]))),
        &presented(secret),
        demand,
        &Circumstances::default(),
        at(now),
    ) {
        Verdict::Granted(grant) => Ok(grant),
        Verdict::Denied(reason) => Err(reason),
    }
}

#[test]
fn secrets_and_their_times() {
    let any = Demand::default();
    assert_eq!(judged(&fact(), SECRET, &any, 0), Ok(Grant { secret_version: 2, outgoing: None }));
    assert_eq!(judged(&fact(), OTHER_SECRET, &any, 0), Err(Reason::WrongSecret));
    let outgoing = Some(Outgoing { deprecated_at: at(100), sunset_at: at(500) });
    assert_eq!(judged(&fact(), OLD_SECRET, &any, 499), Ok(Grant { secret_version: 1, outgoing }));
    assert_eq!(judged(&fact(), OLD_SECRET, &any, 500), Err(Reason::RotatedOut));
    assert_eq!(judged(&fact(), SECRET, &any, 999).map(|grant| grant.secret_version), Ok(2));
    assert_eq!(judged(&fact(), SECRET, &any, 1_000), Err(Reason::Expired));
}

#[test]
fn disabled_token_or_account() {
    let any = Demand::default();
    let disabled = Fact { enabled: false, ..fact() };
    assert_eq!(judged(&disabled, SECRET, &any, 0), Err(Reason::Disabled));
    assert_eq!(judged(&disabled, OLD_SECRET, &any, 0), Err(Reason::Disabled));
    assert_eq!(judged(&disabled, OTHER_SECRET, &any, 0), Err(Reason::WrongSecret));
    for enabled in [[false, true], [true, false]] {
        let verdict = judge(
            &fact(),
            &on(Some(&chain(enabled))),
            &presented(SECRET),
            &any,
            &Circumstances::default(),
            at(0),
        );
        assert_eq!(verdict, Verdict::Denied(Reason::AccountDisabled));
    }
    let verdict = judge(&fact(), &on(None), &presented(SECRET), &any, &Circumstances::default(), at(0));
    assert_eq!(verdict, Verdict::Denied(Reason::AccountDisabled));
}

#[test]
fn demands() {
    let fact = |scopes: &[&str]| Fact {
        restrictions: Restrictions::new(
            Scopes::list(scopes.iter().map(|text| Scope::parse(text).unwrap()).collect()).unwrap(),
            Organizations::ALL,
            Resources::ALL,
            Networks::ALL,
            Limits::NONE,
        ),
        ..fact()
    };
    let scopes = |all: &[&[&str]]| {
        all.iter().map(|any| any.iter().map(|text| Scope::parse(text).unwrap()).collect()).collect::<Vec<_>>()
    };
    let outcome = |fact: &Fact, demand: Demand| judged(fact, SECRET, &demand, 0).map(|_| ());

    let both = Demand { scopes: scopes(&[&["a"], &["b", "c"]]), ..Demand::default() };
    assert_eq!(outcome(&fact(&["a", "c"]), both.clone()), Ok(()));
    assert_eq!(outcome(&fact(&["a"]), both.clone()), Err(Reason::InsufficientScope));
    assert_eq!(outcome(&fact(&["*"]), both.clone()), Ok(()));
    assert_eq!(outcome(&fact(&[]), both), Err(Reason::InsufficientScope));
    assert_eq!(outcome(&fact(&[]), Demand::default()), Ok(()));

    let own = Demand { accounts: vec![account(2)], ..Demand::default() };
    let above = Demand { accounts: vec![account(1), account(2)], ..Demand::default() };
    let foreign = Demand { accounts: vec![account(1), account(3)], ..Demand::default() };
    assert_eq!(outcome(&fact(&[]), own), Ok(()));
    assert_eq!(outcome(&fact(&[]), above), Ok(()));
    assert_eq!(outcome(&fact(&[]), foreign), Err(Reason::WrongAccount));

    let kinds = |kinds: &[Kind]| Demand { kinds: kinds.to_vec(), ..Demand::default() };
    assert_eq!(outcome(&fact(&[]), kinds(&[Kind::Service])), Ok(()));
    assert_eq!(outcome(&fact(&[]), kinds(&[Kind::Access])), Err(Reason::WrongKind));
    assert_eq!(outcome(&fact(&[]), kinds(&[Kind::Service, Kind::Access])), Err(Reason::WrongKind));
}

#[test]
fn organizations() {
    let id = |number| OrganizationId::from_bytes([number; 16]);
    let outcome = |bound_to: Option<&[u8]>, acts_in: &[u8], demanded: &[u8], scope: Option<&str>| {
        let list = |numbers: &[u8]| numbers.iter().map(|number| id(*number)).collect::<Vec<_>>();
        let bound = bound_to.map(|numbers| Organizations::list(list(numbers)).unwrap());
        let bound = bound.unwrap_or_default();
        let restrictions =
            Restrictions::new(Scopes::FULL, bound, Resources::ALL, Networks::ALL, Limits::NONE);
        let (chain, organizations) = (chain([true, true]), list(acts_in));
        let standing = Standing { chain: Some(&chain), is_cut: false, organizations: &organizations };
        let scopes = scope.map(|scope| vec![Scope::parse(scope).unwrap()]).into_iter().collect();
        let demand = Demand { organizations: list(demanded), scopes, ..Demand::default() };
        let request = Circumstances::default();
        judge(&Fact { restrictions, ..fact() }, &standing, &presented(SECRET), &demand, &request, at(0))
    };
    let granted = |verdict| matches!(verdict, Verdict::Granted(_));
    let wrong = Verdict::Denied(Reason::WrongOrganization);
    assert!(granted(outcome(None, &[1, 2], &[2, 1], None)));
    assert_eq!(outcome(None, &[1], &[1, 2], None), wrong, "all that are demanded");
    assert_eq!(outcome(None, &[], &[1], None), wrong, "the account may not");
    assert!(granted(outcome(Some(&[1]), &[1, 2], &[1], None)));
    assert_eq!(outcome(Some(&[1]), &[1, 2], &[2], None), wrong, "the token may not");
    assert_eq!(outcome(Some(&[1]), &[], &[1], None), wrong, "a list alone opens nothing");
    assert_eq!(outcome(Some(&[]), &[1], &[1], None), wrong);
    assert!(granted(outcome(Some(&[]), &[1], &[], None)), "nothing is demanded");
    assert!(granted(outcome(None, &[1], &[1], Some("a"))), "unscoped beside an organization");
}

#[test]
fn what_has_ended_with_others_is_as_good_as_gone() {
    let outcome = |epoch: Option<u32>, current: u32, is_cut: bool, state, secret| {
        let chain = chain_of([state, AccountState::Enabled], Epoch::from_number(current));
        let standing = Standing { is_cut, ..on(Some(&chain)) };
        let fact = Fact { epoch: epoch.map(Epoch::from_number), ..fact() };
        match judge(
            &fact,
            &standing,
            &presented(secret),
            &Demand::default(),
            &Circumstances::default(),
            at(0),
        ) {
            Verdict::Granted(_) => Ok(()),
            Verdict::Denied(reason) => Err(reason),
        }
    };
    let enabled = AccountState::Enabled;
    assert_eq!(outcome(Some(3), 3, false, enabled, SECRET), Ok(()));
    assert_eq!(outcome(Some(4), 3, false, enabled, SECRET), Ok(()), "the account's fact is on its way");
    assert_eq!(outcome(Some(2), 3, false, enabled, SECRET), Err(Reason::Unknown));
    assert_eq!(outcome(None, 3, false, enabled, SECRET), Ok(()), "service tokens have no epoch");
    assert_eq!(outcome(None, 0, true, enabled, SECRET), Err(Reason::Unknown));
    assert_eq!(outcome(None, 0, true, enabled, OTHER_SECRET), Err(Reason::WrongSecret));
    assert_eq!(outcome(None, 0, false, AccountState::Disabled, SECRET), Err(Reason::AccountDisabled));
    assert_eq!(outcome(None, 0, false, AccountState::Deleted, SECRET), Err(Reason::AccountDisabled));
}

#[test]
fn bound_to_requests_and_addresses() {
    let bound = |resources: &[&str], networks: &[&str]| {
        let resources = resources.iter().map(|text| Resource::parse(text).unwrap()).collect();
        let networks = networks.iter().map(|text| Networks::parse_one(text).unwrap()).collect();
        let (resources, networks) = (Resources::list(resources).unwrap(), Networks::list(networks).unwrap());
        Restrictions::new(Scopes::FULL, Organizations::ALL, resources, networks, Limits::NONE)
    };
    let outcome = |restrictions: &Restrictions, method, target: Option<&str>, address: Option<&str>| {
        let fact = Fact { restrictions: restrictions.clone(), ..fact() };
        let request = target.map(|target| RequestLine { method, target: target.as_bytes() });
        let circumstances = Circumstances { request, address: address.map(|text| text.parse().unwrap()) };
        let chain = chain([true, true]);
        match judge(&fact, &on(Some(&chain)), &presented(SECRET), &Demand::default(), &circumstances, at(0)) {
            Verdict::Granted(_) => Ok(()),
            Verdict::Denied(reason) => Err(reason),
        }
    };
    let both = bound(&["GET /reports/**"], &["192.0.2.0/24"]);
    let (denied, elsewhere) = (Err(Reason::ResourceDenied), Err(Reason::AddressDenied));
    assert_eq!(outcome(&both, "GET", Some("/reports/1?a"), Some("192.0.2.1")), Ok(()));
    assert_eq!(outcome(&both, "POST", Some("/reports/1"), Some("192.0.2.1")), denied);
    assert_eq!(outcome(&both, "GET", Some("/reports/../admin"), Some("192.0.2.1")), denied);
    assert_eq!(outcome(&both, "GET", None, Some("192.0.2.1")), denied, "not stated");
    assert_eq!(outcome(&both, "GET", Some("/reports/1"), Some("198.51.100.1")), elsewhere);
    assert_eq!(outcome(&both, "GET", Some("/reports/1"), None), elsewhere, "unknown");
    assert_eq!(
        outcome(&bound(&[], &["::/0", "0.0.0.0/0"]), "GET", Some("/"), Some("::1")),
        denied,
        "none at all"
    );
    assert_eq!(outcome(&bound(&["/**"], &[]), "GET", Some("/"), Some("::1")), elsewhere, "none at all");
    assert_eq!(outcome(&Restrictions::NONE, "GET", None, None), Ok(()));
}

#[test]
fn unscoped_meets_a_scope_only_at_the_root_or_beside_an_account() {
    let scope = || vec![vec![Scope::parse("admin").unwrap()]];
    let alone = Demand { scopes: scope(), ..Demand::default() };
    let beside_account = Demand { scopes: scope(), accounts: vec![account(1)], ..Demand::default() };
    assert_eq!(judged(&fact(), SECRET, &alone, 0), Err(Reason::InsufficientScope));
    assert!(judged(&fact(), SECRET, &beside_account, 0).is_ok());

    let (state, epoch) = (AccountState::Enabled, Epoch::FIRST);
    let root = AccountFact { id: account(1), parent: None, state, epoch, version: Version::FIRST };
    let verdict = judge(
        &Fact { account: account(1), ..fact() },
        &on(AccountChain::collect([root]).as_ref()),
        &presented(SECRET),
        &alone,
        &Circumstances::default(),
        at(0),
    );
    assert!(matches!(verdict, Verdict::Granted(_)));
}

#[test]
fn reasons_and_their_numbers() {
    for (number, reason) in Reason::ALL.into_iter().enumerate() {
        assert_eq!(reason as usize, number);
    }
    assert_eq!(Account::DEEPEST, 8);
}

proptest! {
    /// Whatever else holds: no grant without a right secret, past an expiry, or for what is disabled.
    #[test]
    fn never_grants_what_must_be_refused(
        secret in prop::sample::select(vec![SECRET, OLD_SECRET, OTHER_SECRET]),
        enabled: bool, own: bool, above: bool,
        expires in 0i64..1_000, grace in 0i64..1_000, now in 0i64..1_000,
    ) {
        let mut fact = Fact { enabled, expires_at: at(expires), ..fact() };
        let mut overlaps = false;
        if let Some(previous) = &mut fact.previous {
            previous.expires_at = at(grace);
            overlaps = previous.replaced_at < previous.expires_at;
        }
        let chain = chain([own, above]);
        let verdict = judge(&fact, &on(Some(&chain)), &presented(secret), &Demand::default(), &Circumstances::default(), at(now));
        let secret_is_good = secret == SECRET || secret == OLD_SECRET && overlaps && now < grace;
        let should = secret_is_good && enabled && own && above && now < expires;
        prop_assert_eq!(matches!(verdict, Verdict::Granted(_)), should);
    }
}

/// Wall clocks are set back; what has ended does not begin again.
#[test]
fn a_secret_without_overlap_has_ended_at_every_time() {
    let mut fact = fact();
    for end in [at(100), at(99)] {
        fact.previous.as_mut().unwrap().expires_at = end;
        for now in [at(0), at(50), at(99), at(100), at(900)] {
            let verdict = judge(
                &fact,
                &on(Some(&chain([true, true]))),
                &presented(OLD_SECRET),
                &Demand::default(),
                &Circumstances::default(),
                now,
            );
            assert_eq!(verdict, Verdict::Denied(Reason::RotatedOut), "{end:?}, {now:?}");
        }
    }
}

/// A client is told the end that comes first.
#[test]
fn the_sunset_of_a_secret_is_not_after_its_token() {
    let mut fact = fact();
    fact.previous.as_mut().unwrap().expires_at = at(5_000);
    let verdict = judge(
        &fact,
        &on(Some(&chain([true, true]))),
        &presented(OLD_SECRET),
        &Demand::default(),
        &Circumstances::default(),
        at(200),
    );
    let outgoing = Outgoing { deprecated_at: at(100), sunset_at: at(1_000) };
    assert_eq!(verdict, Verdict::Granted(Grant { secret_version: 1, outgoing: Some(outgoing) }));
}

/// Everything that can be wrong beside each other is; then one thing after the other is put right. Explanations rest on
/// this order.
#[test]
fn the_first_check_that_does_not_hold_is_the_reason() {
    use Check::{
        Account, Address, Audience, Enabled, Expiry, Kind, Organization, Overlap, Owner, Resource, Scope,
        Secret,
    };
    let order = [
        Secret,
        Overlap,
        Account,
        Enabled,
        Expiry,
        Audience,
        Kind,
        Owner,
        Organization,
        Scope,
        Resource,
        Address,
    ];
    let judged = 4..Check::ALL.len() - 1;
    assert_eq!(order[..], Check::ALL[judged], "between what comes before judging and the limit after it");
    let resources = Resources::list(vec![crate::resource::Resource::parse("GET /a").unwrap()]).unwrap();
    let networks = Networks::list(vec![Networks::parse_one("10.0.0.0/8").unwrap()]).unwrap();
    let bound = Restrictions::new(
        Scopes::list(vec![crate::scope::Scope::parse("a").unwrap()]).unwrap(),
        Organizations::ALL,
        resources,
        networks,
        Limits::NONE,
    );
    let cases = [false, true]
        .into_iter()
        .flat_map(|signed| order.into_iter().enumerate().map(move |at| (signed, at)));
    // Whoever knows a secret is bound to no audience.
    for (is_signed, (right, check)) in cases.filter(|(signed, (_, check))| *signed || *check != Audience) {
        let is_wrong = |check: Check| order[right..].contains(&check);
        let fact = Fact { enabled: !is_wrong(Enabled), restrictions: bound.clone(), ..fact() };
        let secret = match (is_wrong(Secret), is_wrong(Overlap)) {
            (true, _) => OTHER_SECRET,
            (false, true) => OLD_SECRET,
            (false, false) => SECRET,
        };
        let token = Arc::new(SignedToken {
            secret_version: match secret {
                OTHER_SECRET => 3,
                OLD_SECRET => 1,
                _ => 2,
            },
            ..signed()
        });
        let shown = if is_signed { Presented::Signed(&token) } else { presented(secret) };
        let demand = Demand {
            audiences: vec![if is_wrong(Audience) { "other".into() } else { "ours".into() }],
            kinds: vec![if is_wrong(Kind) { crate::fact::Kind::Access } else { crate::fact::Kind::Service }],
            accounts: vec![account(if is_wrong(Owner) { 9 } else { 2 })],
            organizations: is_wrong(Organization)
                .then(|| OrganizationId::from_bytes([3; 16]))
                .into_iter()
                .collect(),
            scopes: vec![vec![crate::scope::Scope::parse(if is_wrong(Scope) { "b" } else { "a" }).unwrap()]],
            ..Demand::default()
        };
        let request = Circumstances {
            request: Some(RequestLine {
                method: "GET",
                target: if is_wrong(Resource) { b"/b" } else { b"/a" },
            }),
            address: Some([if is_wrong(Address) { 11 } else { 10 }, 0, 0, 1].into()),
        };
        let now = if is_wrong(Overlap) || is_wrong(Expiry) { 1_000 } else { 0 };
        let chain = chain([!is_wrong(Account), true]);
        let verdict = judge(&fact, &on(Some(&chain)), &shown, &demand, &request, at(now));
        let Verdict::Denied(reason) = verdict else { panic!("{check:?}: {verdict:?}") };
        assert_eq!(Check::failed_by(reason), check, "{reason:?}");
        let held = Check::ALL.map(|other| other.held(Some(reason)));
        assert_eq!(held.iter().filter(|held| **held == Some(true)).count(), 4 + right);
    }
}

/// What is not the same token's, or not of its time, is refused whatever its signature says.
#[test]
fn a_signed_token_is_of_one_token_and_of_its_time() {
    let chain = chain([true, true]);
    let demand = Demand { audiences: vec!["ours".into()], ..Demand::default() };
    let decide = |token: SignedToken, now: i64| {
        let fact = Fact { expires_at: at(i64::MAX), ..fact() };
        let token = Arc::new(token);
        let presented = Presented::Signed(&token);
        match judge(&fact, &on(Some(&chain)), &presented, &demand, &Circumstances::default(), at(now)) {
            Verdict::Granted(grant) => Ok(grant),
            Verdict::Denied(reason) => Err(reason),
        }
    };
    assert_eq!(decide(signed(), 0), Ok(Grant { secret_version: 2, outgoing: None }));
    let old = SignedToken { secret_version: 1, ..signed() };
    assert!(decide(old.clone(), 499).is_ok_and(|grant| grant.outgoing.is_some()));
    assert_eq!(decide(old, 500), Err(Reason::RotatedOut));
    assert_eq!(decide(SignedToken { secret_version: 0, ..signed() }, 0), Err(Reason::RotatedOut));
    assert_eq!(decide(SignedToken { account: account(1), ..signed() }, 0), Err(Reason::Unknown));
    let other = ServiceTokenId::from_bytes([8; 16]);
    assert_eq!(decide(SignedToken { service_token: other, ..signed() }, 0), Err(Reason::Unknown));
    assert!(decide(signed(), 9_999).is_ok());
    assert_eq!(decide(signed(), 10_000), Err(Reason::Expired));
    let early = SignedToken { issued_at: at(1_000).after(CLOCK_SKEW), ..signed() };
    assert_eq!(decide(early.clone(), 999), Err(Reason::Expired), "before its time");
    assert!(decide(early, 1_000).is_ok());
}
