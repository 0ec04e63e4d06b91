//! Everything that can be read of a store through its port.

use std::collections::{BTreeMap, BTreeSet};

use countersign_domain::access_token::AccessToken;
use countersign_domain::account::{Account, AccountFact};
use countersign_domain::audit::AuditRecord;
use countersign_domain::change::FactChange;
use countersign_domain::fact::{CredentialKey, Fact};
use countersign_domain::id::{AccountId, TokenRef};
use countersign_domain::organization::{Membership, Organization};
use countersign_domain::service_token::{SecretVersion, ServiceToken};
use countersign_domain::store::{
    AccessTokenQuery, AccountQuery, MembershipQuery, MembershipsOf, OrganizationQuery, Page, Revision,
    RootToken, ServiceTokenQuery, SharedStore, TokenUsage,
};
use countersign_domain::time::Timestamp;

use super::duel::{account_id, at, email, handle, token_id};
use super::tenancy::{MEMBERSHIPS, ORGANIZATIONS, membership_id, organization_id};
use super::{ACCOUNTS, TOKENS};
use crate::world::{load_facts, load_used_secrets, must, read_audit, whole_audit};

/// Everything that can be read of a store.
#[derive(Debug, PartialEq)]
pub struct Dump {
    revision: Revision,
    account_facts: BTreeMap<AccountId, AccountFact>,
    facts: BTreeMap<CredentialKey, Fact>,
    /// Printed, for the order.
    other_facts: BTreeSet<String>,
    organizations: Vec<Option<Organization>>,
    members: Vec<Page<Membership>>,
    memberships: Vec<Option<Membership>>,
    accounts: Vec<AccountDump>,
    root_account: Option<Account>,
    root_token: Option<RootToken>,
    usage: Vec<(TokenRef, TokenUsage)>,
    used_secrets: Vec<(CredentialKey, SecretVersion)>,
    audit: Vec<AuditRecord>,
}

#[derive(Debug, PartialEq)]
struct AccountDump {
    account: Option<Account>,
    by_email: Option<Account>,
    below: Page<Account>,
    organizations: Page<Organization>,
    all: Page<ServiceToken>,
    part: Page<ServiceToken>,
    of_name: Page<ServiceToken>,
    found: Page<ServiceToken>,
    access: Page<AccessToken>,
    live_access: Page<AccessToken>,
    by_id: Vec<Option<ServiceToken>>,
    by_handle: Vec<Option<AccessToken>>,
}

/// Reads everything of a store that was filled by [`duel`](super::duel()).
pub async fn dump(store: &SharedStore) -> Dump {
    let (facts, revision) = load_facts(store).await;
    let mut dump = Dump {
        revision,
        account_facts: BTreeMap::new(),
        facts: BTreeMap::new(),
        other_facts: BTreeSet::new(),
        organizations: Vec::new(),
        members: Vec::new(),
        memberships: Vec::new(),
        accounts: Vec::new(),
        root_account: must(store.find_root_account().await),
        root_token: must(store.find_root_token().await),
        usage: Vec::new(),
        used_secrets: load_used_secrets(store).await,
        audit: read_audit(store, whole_audit(7)).await,
    };
    for fact in facts {
        match fact {
            FactChange::Account(fact) => drop(dump.account_facts.insert(fact.id, fact)),
            FactChange::Credential(fact) => drop(dump.facts.insert(fact.key(), fact)),
            FactChange::Organization(_) | FactChange::Membership(_) | FactChange::Cut(_) => {
                dump.other_facts.insert(format!("{fact:?}"));
            }
            FactChange::CredentialGone { .. }
            | FactChange::AccountGone(_)
            | FactChange::OrganizationGone(_)
            | FactChange::MembershipGone { .. }
            | FactChange::CutHealed(_) => panic!("{fact:?} is loaded"),
        }
    }
    for number in 0..ACCOUNTS {
        dump.accounts.push(dump_account(store, number).await);
    }
    for number in 0..ORGANIZATIONS {
        let organization = organization_id(number);
        let of = MembershipsOf::Organization(organization);
        dump.organizations.push(must(store.find_organization(organization).await));
        dump.members.push(must(store.list_memberships(MembershipQuery { of, offset: 0, limit: 100 }).await));
    }
    for number in 0..MEMBERSHIPS {
        dump.memberships.push(must(store.find_membership(membership_id(number)).await));
    }
    for number in 0..TOKENS {
        for token in [TokenRef::Service(token_id(number)), TokenRef::Access(handle(number))] {
            dump.usage.push((token, must(store.find_usage(token).await)));
        }
    }
    dump
}

async fn dump_account(store: &SharedStore, number: u8) -> AccountDump {
    let account = account_id(number);
    let all = ServiceTokenQuery { account, name: None, search: None, offset: 0, limit: 100 };
    let of_name = ServiceTokenQuery { name: Some("name 1".to_owned()), ..all.clone() };
    let found = ServiceTokenQuery { search: Some("AME 2".to_owned()), ..all.clone() };
    let part = ServiceTokenQuery { offset: 1, limit: 2, ..all.clone() };
    let never = Timestamp::from_micros(i64::MIN);
    let access = AccessTokenQuery::of_account(account, never, 0, 100);
    let live_access = AccessTokenQuery { live_at: at(2), ..access.clone() };
    let (mut by_id, mut by_handle) = (Vec::new(), Vec::new());
    for number in 0..TOKENS {
        by_id.push(must(store.find_service_token(account, token_id(number)).await));
        by_handle.push(must(store.find_access_token(account, handle(number)).await));
    }
    let below = AccountQuery { parent: account, offset: 0, limit: 100 };
    let organizations = OrganizationQuery { account, offset: 0, limit: 100 };
    AccountDump {
        account: must(store.find_account(account).await),
        by_email: must(store.find_account_by_email(&email(number)).await),
        below: must(store.list_accounts(below).await),
        organizations: must(store.list_organizations(organizations).await),
        all: must(store.list_service_tokens(all).await),
        part: must(store.list_service_tokens(part).await),
        of_name: must(store.list_service_tokens(of_name).await),
        found: must(store.list_service_tokens(found).await),
        access: must(store.list_access_tokens(access).await),
        live_access: must(store.list_access_tokens(live_access).await),
        by_id,
        by_handle,
    }
}
