//! Promise 17: what has ended by a mark goes, a few rows a turn, and nothing else.

use countersign_domain::account::{Account, AccountState};
use countersign_domain::change::{FactChange, Mutation};
use countersign_domain::fact::CredentialKey;
use countersign_domain::id::AccountId;
use countersign_domain::lifetime::Ttl;
use countersign_domain::store::{
    AccountQuery, MembershipQuery, MembershipsOf, OrganizationQuery, StoreError,
};

use crate::world::{LIMIT, Make, World, assert_refused, must};

/// Promise 17.
pub async fn promise_17(make: Make<'_>) {
    for rows in [1, 2, 3, 1_000] {
        a_deleted_account_goes_with_all_below_it(make, rows).await;
    }
    organizations(make).await;
}

async fn a_deleted_account_goes_with_all_below_it(make: Make<'_>, rows: u32) {
    let world = World::new(make).await;
    let (doomed, spared) = (world.create_account(&world.root).await, world.create_account(&world.root).await);
    let child = world.create_account(&doomed).await;
    let grandchild = world.create_account(&child).await;
    let mut tokens = Vec::new();
    for account in [&doomed, &child, &grandchild] {
        tokens.push(CredentialKey::Client(world.issue(account, "service").await.client_id));
        tokens.push(CredentialKey::Handle(world.issue_access(account, Ttl::DEFAULT).await.handle));
    }
    let (organization, membership) = world.create_organization(&grandchild).await;
    let guest = world.membership(&organization, &spared);
    must(world.invite_exactly(&guest, LIMIT).await);
    let (kept_organization, kept_membership) = world.create_organization(&spared).await;
    let member = world.membership(&kept_organization, &child);
    must(world.invite_exactly(&member, LIMIT).await);
    let kept = world.issue(&spared, "kept").await;

    let deleted = must(doomed.clone().delete(world.tick()));
    must(world.replace_account(doomed.version, &deleted).await);
    assert_eq!(children(&world, &world.root).await, [spared.id]);
    let revived = Account { state: AccountState::Enabled, version: deleted.version.next(), ..doomed.clone() };
    assert_refused!(world.replace_account(deleted.version, &revived).await, StoreError::NotFound);
    // Its address is free at once.
    let successor = Account { email: doomed.email.clone(), ..world.account(&world.root) };
    must(world.create_exactly(successor.clone()).await);
    assert_refused!(world.create_exactly(world.account(&deleted)).await, StoreError::NotFound);
    let late = world.service_token(&deleted, "late");
    assert_refused!(world.issue_exactly(late, LIMIT).await, StoreError::NotFound);
    world.sink.take();

    // Three accounts, six tokens, an organization with two memberships, and one elsewhere.
    assert_eq!(world.sweep_ended(rows).await, 3 + 6 + 3 + 1);
    let published: Vec<FactChange> = world.sink.take().into_iter().flat_map(|(_, facts)| facts).collect();
    let is_gone = |wanted: &FactChange| published.contains(wanted);
    for account in [&doomed, &child, &grandchild] {
        assert!(is_gone(&FactChange::AccountGone(account.id)), "{published:?}");
        assert_eq!(must(world.store.find_account(account.id).await), None);
    }
    assert!(is_gone(&FactChange::OrganizationGone(organization.id)), "{published:?}");
    for row in [&membership, &guest, &member] {
        assert!(is_gone(&FactChange::MembershipGone { id: row.id, version: row.version.next() }));
        assert_eq!(must(world.store.find_membership(row.id).await), None);
    }
    for key in tokens {
        let gone =
            |fact: &FactChange| matches!(fact, FactChange::CredentialGone { key: of, .. } if *of == key);
        assert!(published.iter().any(gone), "{key:?} is not published as gone");
    }
    assert_eq!(world.stored(&kept).await, Some(kept));
    assert_eq!(must(world.store.find_membership(kept_membership.id).await), Some(kept_membership));
    assert_eq!(children(&world, &world.root).await, [spared.id, successor.id]);
    assert_eq!(world.sweep_ended(rows).await, 0);
}

async fn children(world: &World, parent: &Account) -> Vec<AccountId> {
    let page =
        must(world.store.list_accounts(AccountQuery { parent: parent.id, offset: 0, limit: 10 }).await);
    assert_eq!(page.total, page.items.len() as u64);
    page.items.iter().map(|account| account.id).collect()
}

async fn organizations(make: Make<'_>) {
    let world = World::new(make).await;
    let member = world.create_account(&world.root).await;
    let (first, _) = world.create_organization(&world.root).await;
    let (second, own) = world.create_organization(&world.root).await;
    let guest = world.membership(&first, &member);
    must(world.invite_exactly(&guest, LIMIT).await);
    assert_refused!(
        world.invite_exactly(&world.membership(&first, &member), LIMIT).await,
        StoreError::Duplicate
    );
    let (of_organization, of_account) =
        (world.membership(&first, &world.account(&world.root)), world.membership(&second, &member));
    assert_refused!(world.invite_exactly(&of_organization, LIMIT).await, StoreError::NotFound);
    assert_refused!(world.invite_exactly(&of_account, 1).await, StoreError::LimitReached { limit: 1 });

    let all = OrganizationQuery { account: world.root.id, offset: 0, limit: 10 };
    let listed = must(world.store.list_organizations(all).await);
    assert_eq!((listed.items, listed.total), (vec![first.clone(), second.clone()], 2));
    let one = must(world.store.list_organizations(OrganizationQuery { offset: 1, limit: 1, ..all }).await);
    assert_eq!((one.items, one.total), (vec![second], 2));
    let query = MembershipQuery { of: MembershipsOf::Organization(first.id), offset: 1, limit: 1 };
    let memberships = must(world.store.list_memberships(query).await);
    assert_eq!((memberships.items, memberships.total), (vec![guest.clone()], 2));
    let query = MembershipQuery { of: MembershipsOf::Account(member.id), offset: 0, limit: 1 };
    let memberships = must(world.store.list_memberships(query).await);
    assert_eq!((memberships.items, memberships.total), (vec![guest.clone()], 1));

    let disabled = guest.clone().set_disabled(true, world.tick());
    let replace = |expected| {
        let membership = disabled.clone();
        world.apply(Mutation::ReplaceMembership { expected, membership, limit: LIMIT })
    };
    assert_refused!(replace(guest.version.next()).await, StoreError::Stale);
    must(replace(guest.version).await);
    let of_member = OrganizationQuery { account: member.id, ..all };
    assert_eq!(must(world.store.list_organizations(of_member).await).total, 0, "it is not effective");
    let stored = must(world.store.find_membership_of(first.id, member.id).await);
    assert_eq!(stored, Some(disabled.clone()));
    let delete = |id, expected| world.apply(Mutation::DeleteMembership { id, expected });
    assert_refused!(delete(guest.id, guest.version).await, StoreError::Stale);
    must(delete(guest.id, disabled.version).await);
    assert_refused!(delete(guest.id, disabled.version).await, StoreError::NotFound);
    must(delete(own.id, own.version).await);
    assert_eq!(must(world.store.list_organizations(all).await).total, 1);
}
