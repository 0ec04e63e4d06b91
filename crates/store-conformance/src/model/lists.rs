//! The model's lists: look at everything, keep what matches, sort, cut.

use countersign_domain::access_token::AccessToken;
use countersign_domain::account::Account;
use countersign_domain::audit::{AuditRecord, Subject};
use countersign_domain::organization::{Membership, Organization};
use countersign_domain::search::Search;
use countersign_domain::service_token::ServiceToken;
use countersign_domain::store::{
    AccessTokenQuery, AccountQuery, AuditPage, AuditQuery, MembershipQuery, MembershipsOf, OrganizationQuery,
    Page, ServiceTokenQuery,
};

use super::state::State;

/// The part of sorted `matching` rows that a query asks for.
fn page<T>(matching: Vec<T>, offset: u64, limit: u32) -> Page<T> {
    let total = matching.len() as u64;
    let offset = usize::try_from(offset).unwrap_or(usize::MAX);
    Page { items: matching.into_iter().skip(offset).take(limit as usize).collect(), total }
}

impl State {
    pub(super) fn list_service_tokens(&self, query: &ServiceTokenQuery) -> Page<ServiceToken> {
        let mut search = query.search.as_deref().map(Search::new);
        let mut matches = |token: &ServiceToken| {
            token.account == query.account
                && query.name.as_deref().is_none_or(|name| token.name.as_str() == name)
                && search
                    .as_mut()
                    .is_none_or(|search| search.finds(token.name.as_str(), token.id, token.client_id))
        };
        let mut tokens: Vec<_> =
            self.service_tokens.values().filter(|token| matches(token)).cloned().collect();
        tokens.sort_by_key(|token| (token.created_at, token.id));
        page(tokens, query.offset, query.limit)
    }

    pub(super) fn list_access_tokens(&self, query: &AccessTokenQuery) -> Page<AccessToken> {
        let found = |token: &&AccessToken| query.finds(token);
        let mut tokens: Vec<_> = self.access_tokens.values().filter(found).cloned().collect();
        tokens.sort_by(|one, other| query.order.compare(one, other));
        page(tokens, query.offset, query.limit)
    }

    pub(super) fn list_accounts(&self, query: &AccountQuery) -> Page<Account> {
        let mut accounts: Vec<_> = self.children(query.parent).cloned().collect();
        accounts.sort_by_key(|account| (account.created_at, account.id));
        page(accounts, query.offset, query.limit)
    }

    pub(super) fn list_organizations(&self, query: &OrganizationQuery) -> Page<Organization> {
        let belongs = |organization: &&Organization| {
            let membership = self.find_membership_of(organization.id, query.account);
            membership.is_some_and(Membership::is_effective)
        };
        let organizations = self.organizations.values().filter(belongs).cloned().collect();
        page(organizations, query.offset, query.limit)
    }

    pub(super) fn list_memberships(&self, query: &MembershipQuery) -> Page<Membership> {
        let is_asked_for = |row: &&Membership| match query.of {
            MembershipsOf::Organization(id) => row.organization == id,
            MembershipsOf::Account(id) => row.account == id,
        };
        let mut memberships: Vec<_> = self.memberships.values().filter(is_asked_for).cloned().collect();
        memberships.sort_by_key(|row| (row.created_at, row.id));
        page(memberships, query.offset, query.limit)
    }

    pub(super) fn list_audit(&self, query: &AuditQuery) -> AuditPage {
        let mut matching = self.audit.iter().rev().filter(|record| matches_audit(query, record));
        let records: Vec<_> = matching.by_ref().take(query.limit as usize).cloned().collect();
        let more = matching.next().is_some();
        let next = records.last().filter(|_| more).map(|record| record.revision);
        AuditPage { records, next }
    }
}

fn matches_audit(query: &AuditQuery, record: &AuditRecord) -> bool {
    let entry = &record.entry;
    query.account.is_none_or(|account| entry.account == account)
        && query.token.is_none_or(|token| entry.subject == Subject::Token(token))
        && query.action.is_none_or(|action| entry.action == action)
        && query.since.is_none_or(|since| entry.at >= since)
        && query.until.is_none_or(|until| entry.at < until)
        && query.before.is_none_or(|before| record.revision < before)
}
