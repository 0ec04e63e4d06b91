//! Promise 7: `load_facts` gives everything, and the revision at which it stands.

use std::collections::BTreeSet;

use countersign_domain::account::{Account, AccountFact};
use countersign_domain::change::FactChange;
use countersign_domain::fact::Fact;
use countersign_domain::id::{AccountId, OrganizationId};
use countersign_domain::lifetime::Ttl;
use countersign_domain::limits::Limits;
use countersign_domain::lineage::Lineage;
use countersign_domain::name::Name;
use countersign_domain::network::Networks;
use countersign_domain::organization::{MembershipFact, OrganizationFact, Organizations};
use countersign_domain::resource::{Resource, Resources};
use countersign_domain::restrictions::Restrictions;
use countersign_domain::scope::{Scope, Scopes};
use countersign_domain::store::Revision;

use crate::world::{LIMIT, Make, World, must};

/// Promise 7.
pub async fn promise_07(make: Make<'_>) {
    nothing(make).await;
    everything(make).await;
    parents_first(make).await;
}

async fn nothing(make: Make<'_>) {
    let world = World::empty(make);
    assert_eq!(world.facts().await, (Vec::new(), Revision(0)));
    assert_eq!(must(world.store.find_root_account().await), None);
    assert_eq!(must(world.store.find_root_token().await), None);
}

async fn everything(make: Make<'_>) {
    let world = World::new(make).await;
    let account = world.create_account(&world.root).await;
    let list =
        |texts: &[&str]| must(Scopes::list(texts.iter().map(|text| must(Scope::parse(text))).collect()));

    let plain = world.issue(&account, "plain").await;
    let rotated = world.rotated(plain.clone());
    must(world.replace(plain.version, &rotated).await);
    let mut disabled = world.service_token(&account, "disabled, nothing allowed");
    disabled.enabled = false;
    disabled.restrictions = Restrictions::new(
        list(&[]),
        must(Organizations::list(vec![])),
        must(Resources::list(vec![])),
        must(Networks::list(vec![])),
        Limits::NARROWEST,
    );
    must(world.issue_exactly(disabled.clone(), LIMIT).await);
    let mut expired = world.service_token(&world.root, "expired");
    let resources = ["GET /a/*", "/b/**"].iter().map(|text| must(Resource::parse(text))).collect();
    let networks =
        ["192.0.2.0/24", "2001:db8::1"].iter().map(|text| must(Networks::parse_one(text))).collect();
    expired.restrictions = Restrictions::new(
        list(&["a:*", "b", "a:*"]),
        must(Organizations::list(vec![OrganizationId::from_bytes([7; 16]), OrganizationId::OF_NONE])),
        must(Resources::list(resources)),
        must(Networks::list(networks)),
        Limits::NONE,
    );
    expired.expires_at = expired.created_at;
    must(world.issue_exactly(expired.clone(), LIMIT).await);
    let mut access = world.access_token(&account, Ttl::Seconds(1));
    let one = must(Resources::list(vec![must(Resource::parse("/c"))]));
    let limits = must(Limits::from_joined("10/s;burst=20 1000/day"));
    access.restrictions =
        Restrictions::new(list(&["DEFAULT"]), Organizations::ALL, one, Networks::ALL, limits);
    access.name = Some(must(Name::parse("a name")));
    access.lineage = must(Lineage::of(&[world.root_token.handle, access.handle]).ok_or("too long"));
    must(world.issue_access_exactly(access.clone(), LIMIT).await);
    let (organization, membership) = world.create_organization(&account).await;
    let ended = world.issue_access(&account, Ttl::DEFAULT).await;
    must(world.revoke_descendants(&ended).await);
    let gone = world.issue(&account, "gone").await;
    let last = must(world.revoke(&gone).await);

    let (facts, revision) = world.facts().await;
    assert_eq!(revision, last);
    let accounts = facts.iter().take_while(|fact| matches!(fact, FactChange::Account(_))).count();
    assert_eq!(accounts, 2, "accounts come first: {facts:#?}");
    let expected = [
        FactChange::Account(AccountFact::from(&world.root)),
        FactChange::Account(AccountFact::from(&account)),
        FactChange::Organization(OrganizationFact::from(&organization)),
        FactChange::Membership(MembershipFact::from(&membership)),
        FactChange::Cut(ended.handle),
        FactChange::Credential(Fact::from(&rotated)),
        FactChange::Credential(Fact::from(&disabled)),
        FactChange::Credential(Fact::from(&expired)),
        FactChange::Credential(Fact::from(&access)),
        FactChange::Credential(Fact::from(&world.root_token)),
    ];
    for fact in &expected {
        assert!(facts.contains(fact), "{fact:?} is missing");
    }
    assert_eq!(facts.len(), expected.len());
    revisions_go_on(&world, revision).await;
}

/// An operator may choose the root's id, and ids of one millisecond are in no order.
async fn parents_first(make: Make<'_>) {
    let world = World::new(make).await;
    let below = |parent: &Account, byte: u8| Account {
        id: AccountId::from_bytes([byte; 16]),
        ..world.account(parent)
    };
    let mut chain = vec![world.root.clone()];
    for byte in [2, 1, 0] {
        let account = below(&chain[chain.len() - 1], byte);
        must(world.create_exactly(account.clone()).await);
        chain.push(account);
    }
    let (facts, _) = world.facts().await;
    let expected: Vec<_> = chain.iter().map(|account| FactChange::Account(account.into())).collect();
    assert_eq!(facts[..expected.len()], expected);
}

async fn revisions_go_on(world: &World, last: Revision) {
    let account = world.account(&world.root);
    let next = must(world.create_exactly(account).await);
    assert_eq!(next, Revision(last.0 + 1));
    let revisions: BTreeSet<_> = world.sink.published().into_iter().map(|(revision, _)| revision).collect();
    assert_eq!(revisions.last(), Some(&next));
}
