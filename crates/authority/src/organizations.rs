//! The operations on organizations and on who belongs to them.
//!
//! The account that made an organization, and those above it, manage it. Its members act in it. Whatever lets an account
//! act where it could not strengthens every credential of that account, so only a caller without restrictions does it.

use countersign_domain::audit::{Action, Subject};
use countersign_domain::caller::Permission;
use countersign_domain::change::{MembershipLimits, Mutation};
use countersign_domain::error::{Denial, Error, Field};
use countersign_domain::id::{AccountId, MembershipId, OrganizationId};
use countersign_domain::organization::{Consent, Membership, Organization, Role};
use countersign_domain::profile::Profile;
use countersign_domain::store::{MembershipQuery, MembershipsOf, OrganizationQuery, Page, StoreError};
use countersign_domain::time::Timestamp;

use crate::Authority;
use crate::accounts::must_be_unrestricted;
use crate::change::{Asked, Deed, TRIES, contended, stated};

/// Who is invited into an organization, and how.
#[derive(Debug, Clone, Copy)]
pub struct Invitation {
    /// The account.
    pub account: AccountId,
    /// As what.
    pub role: Role,
    /// Whether the account is asked first. One that is not the caller's, nor below it, has to be.
    pub asks: bool,
}

/// What is done with a membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MembershipStep {
    /// The account agrees.
    Accept,
    /// The account refuses.
    Reject,
    /// Those who manage the organization let it go on.
    Enable,
    /// Those who manage the organization stop it.
    Disable,
    /// Those who manage the organization give another role.
    ChangeRole(Role),
}

impl Authority {
    /// Makes an organization of the account that is asked about, which belongs to it.
    pub async fn create_organization(
        &self,
        asked: Asked<'_>,
        profile: Profile,
    ) -> Result<Organization, Error> {
        self.admit(asked.caller, asked.account, Permission::WriteAccounts)?;
        let now = self.clock.now();
        let (organization, membership) =
            Organization::create(asked.account, profile, self.entropy.as_ref(), now);
        let deed = deed(Action::CreateOrganization, asked.account, organization.id);
        let limit = self.policy.organizations_per_account;
        let mutation = Mutation::CreateOrganization { organization: organization.clone(), membership, limit };
        self.apply(asked, mutation, deed, now).await?;
        Ok(organization)
    }

    /// A page of the organizations to which the account belongs, as far as the caller may be used in them.
    pub async fn list_organizations(
        &self,
        asked: Asked<'_>,
        offset: u64,
        limit: u32,
    ) -> Result<Page<Organization>, Error> {
        self.admit(asked.caller, asked.account, Permission::ReadAccounts)?;
        let query = OrganizationQuery { account: asked.account, offset, limit };
        let Some(stated) = asked.caller.restrictions.organizations().stated() else {
            return Ok(self.store.list_organizations(query).await?);
        };
        let mut belongs = Vec::new();
        for membership in self.memberships_in(stated, asked.account).await? {
            if membership.is_effective() {
                belongs.extend(self.store.find_organization(membership.organization).await?);
            }
        }
        belongs.sort_by_key(|organization| organization.id);
        Ok(page_of(belongs, offset, limit))
    }

    /// An organization in which the caller acts or which it manages.
    pub async fn load_organization(
        &self,
        asked: Asked<'_>,
        id: OrganizationId,
    ) -> Result<Organization, Error> {
        let organization = self.find_for(asked, id, Permission::ReadAccounts).await?;
        let acts_in = self.directory.acts_in(asked.caller.account, id);
        if acts_in || self.manages(asked, &organization) {
            return Ok(organization);
        }
        Err(Error::Denied(Denial::ForeignAccount))
    }

    /// Changes what an organization says of itself (`merge`).
    pub async fn update_organization(
        &self,
        asked: Asked<'_>,
        id: OrganizationId,
        merge: &(dyn Fn(&Profile) -> Result<Profile, Error> + Sync),
    ) -> Result<Organization, Error> {
        self.change_organization(asked, id, Action::UpdateOrganization, |before, now| {
            must_be_active(&before)?;
            let profile = merge(&before.profile)?;
            Ok(before.update(profile, now))
        })
        .await
    }

    /// Lets the members of an organization act in it, or stops them.
    pub async fn set_organization_active(
        &self,
        asked: Asked<'_>,
        id: OrganizationId,
        active: bool,
    ) -> Result<Organization, Error> {
        if active {
            must_be_unrestricted(asked)?;
        }
        let action = if active { Action::ActivateOrganization } else { Action::DeactivateOrganization };
        self.change_organization(asked, id, action, |before, now| Ok(before.set_active(active, now))).await
    }

    async fn change_organization(
        &self,
        asked: Asked<'_>,
        id: OrganizationId,
        action: Action,
        change: impl Fn(Organization, Timestamp) -> Result<Organization, Error>,
    ) -> Result<Organization, Error> {
        for _ in 0..TRIES {
            let now = self.clock.now();
            let before = self.load_managed(asked, id, Permission::WriteAccounts).await?;
            let (owner, expected) = (before.owner, before.version);
            let organization = change(before, now)?;
            let mutation = Mutation::ReplaceOrganization { expected, organization: organization.clone() };
            let asked = Asked { account: owner, ..asked };
            match self.apply(asked, mutation, deed(action, owner, id), now).await {
                Err(Error::Store(StoreError::Stale)) => {}
                outcome => return outcome.map(|()| organization),
            }
        }
        Err(contended())
    }

    /// Invites an account into an organization.
    pub async fn invite(
        &self,
        asked: Asked<'_>,
        id: OrganizationId,
        invitation: Invitation,
    ) -> Result<Membership, Error> {
        let organization = self.load_managed(asked, id, Permission::WriteAccounts).await?;
        must_be_unrestricted(asked)?;
        must_be_active(&organization)?;
        // Nor is one below an account that was deleted and is not swept yet.
        let invited = self.directory.chain(invitation.account).filter(|chain| !chain.is_deleted());
        let invited = invited.ok_or_else(|| Error::invalid(Field::Invited, "is no account"))?;
        if !invitation.asks && !invited.is_within(asked.caller.account) {
            return Err(Error::Denied(Denial::ForeignAccount));
        }
        let consent = if invitation.asks { Consent::Asked } else { Consent::Given };
        let asked = Asked { account: organization.owner, ..asked };
        match self.store.find_membership_of(id, invitation.account).await? {
            None => self.create_membership(asked, id, invitation, consent).await,
            Some(before) if before.consent == Consent::Given => Err(Error::Taken { field: Field::Invited }),
            Some(before) => self.invite_again(asked, before, invitation.role, consent).await,
        }
    }

    async fn create_membership(
        &self,
        asked: Asked<'_>,
        id: OrganizationId,
        invitation: Invitation,
        consent: Consent,
    ) -> Result<Membership, Error> {
        let now = self.clock.now();
        let (account, role) = (invitation.account, invitation.role);
        let membership = Membership::create(id, account, role, consent, self.entropy.as_ref(), now);
        let limits = MembershipLimits {
            of_account: self.policy.organizations_per_account,
            of_organization: self.policy.members_per_organization,
        };
        let mutation = Mutation::CreateMembership { membership: membership.clone(), limits };
        match self.apply(asked, mutation, about(Action::InviteMember, &membership), now).await {
            Err(Error::Store(StoreError::Duplicate)) => Err(Error::Taken { field: Field::Invited }),
            outcome => outcome.map(|()| membership),
        }
    }

    /// One who was asked before, or has refused, is asked again.
    async fn invite_again(
        &self,
        asked: Asked<'_>,
        before: Membership,
        role: Role,
        consent: Consent,
    ) -> Result<Membership, Error> {
        let now = self.clock.now();
        let (expected, limit) = (before.version, self.policy.organizations_per_account);
        let mut next = before.change_role(role, now).with_consent(consent, now);
        next.version = expected.next();
        let mutation = Mutation::ReplaceMembership { expected, membership: next.clone(), limit };
        match self.apply(asked, mutation, about(Action::InviteMember, &next), now).await {
            Err(Error::Store(StoreError::Stale)) => Err(contended()),
            outcome => outcome.map(|()| next),
        }
    }

    /// A page of who belongs to an organization, for those who manage it.
    pub async fn list_memberships(
        &self,
        asked: Asked<'_>,
        id: OrganizationId,
        offset: u64,
        limit: u32,
    ) -> Result<Page<Membership>, Error> {
        self.load_managed(asked, id, Permission::ReadAccounts).await?;
        let of = MembershipsOf::Organization(id);
        Ok(self.store.list_memberships(MembershipQuery { of, offset, limit }).await?)
    }

    /// A page of the memberships of the account that is asked about, invitations among them, as far as the caller may
    /// be used in their organizations.
    pub async fn list_memberships_of_account(
        &self,
        asked: Asked<'_>,
        offset: u64,
        limit: u32,
    ) -> Result<Page<Membership>, Error> {
        self.admit(asked.caller, asked.account, Permission::ReadAccounts)?;
        let Some(stated) = asked.caller.restrictions.organizations().stated() else {
            let of = MembershipsOf::Account(asked.account);
            return Ok(self.store.list_memberships(MembershipQuery { of, offset, limit }).await?);
        };
        let memberships = self.memberships_in(stated, asked.account).await?;
        Ok(page_of(memberships, offset, limit))
    }

    /// The memberships of an account in these organizations, in the order they were made.
    async fn memberships_in(
        &self,
        organizations: &[OrganizationId],
        account: AccountId,
    ) -> Result<Vec<Membership>, Error> {
        let mut memberships = Vec::new();
        for id in organizations {
            memberships.extend(self.store.find_membership_of(*id, account).await?);
        }
        memberships.sort_by_key(|membership| (membership.created_at, membership.id));
        memberships.dedup_by_key(|membership| membership.id);
        Ok(memberships)
    }

    /// Does a step with a membership: the account's own, or those of who manage the organization.
    pub async fn step_membership(
        &self,
        asked: Asked<'_>,
        id: MembershipId,
        step: MembershipStep,
    ) -> Result<Membership, Error> {
        if matches!(step, MembershipStep::Accept | MembershipStep::Enable) {
            must_be_unrestricted(asked)?;
        }
        for _ in 0..TRIES {
            let now = self.clock.now();
            let before = self.load_membership(asked, id).await?;
            let organization = self.store.find_organization(before.organization).await?;
            let organization = organization.ok_or(Error::Denied(Denial::ForeignAccount))?;
            let may = match step {
                MembershipStep::Accept | MembershipStep::Reject => self.acts_for(asked, before.account),
                MembershipStep::Enable | MembershipStep::Disable | MembershipStep::ChangeRole(_) => {
                    self.manages(asked, &organization)
                }
            };
            if !may {
                return Err(Error::Denied(Denial::ForeignAccount));
            }
            if step != MembershipStep::Disable && step != MembershipStep::Reject {
                must_be_active(&organization)?;
            }
            let (expected, limit) = (before.version, self.policy.organizations_per_account);
            let (action, next) = stepped(before, step, now);
            let mutation = Mutation::ReplaceMembership { expected, membership: next.clone(), limit };
            let asked = Asked { account: organization.owner, ..asked };
            match self.apply(asked, mutation, about(action, &next), now).await {
                Err(Error::Store(StoreError::Stale)) => {}
                outcome => return outcome.map(|()| next),
            }
        }
        Err(contended())
    }

    /// Ends a membership: the account leaves, or is put out by those who manage the organization.
    pub async fn delete_membership(&self, asked: Asked<'_>, id: MembershipId) -> Result<(), Error> {
        for _ in 0..TRIES {
            let now = self.clock.now();
            let before = self.load_membership(asked, id).await?;
            let organization = self.store.find_organization(before.organization).await?;
            let organization = organization.ok_or(Error::Denied(Denial::ForeignAccount))?;
            if !self.acts_for(asked, before.account) && !self.manages(asked, &organization) {
                return Err(Error::Denied(Denial::ForeignAccount));
            }
            let mutation = Mutation::DeleteMembership { id, expected: before.version };
            let asked = Asked { account: organization.owner, ..asked };
            match self.apply(asked, mutation, about(Action::DeleteMembership, &before), now).await {
                Err(Error::Store(StoreError::Stale)) => {}
                outcome => return outcome,
            }
        }
        Err(contended())
    }

    /// A membership of an organization in which the caller may be used.
    async fn load_membership(&self, asked: Asked<'_>, id: MembershipId) -> Result<Membership, Error> {
        self.check_scope(asked.caller, Permission::WriteAccounts)?;
        let found = self.store.find_membership(id).await?;
        let membership = found.ok_or(Error::Denied(Denial::ForeignAccount))?;
        if asked.caller.restrictions.organizations().cover(membership.organization) {
            return Ok(membership);
        }
        Err(Error::Denied(Denial::OtherOrganization))
    }

    async fn load_managed(
        &self,
        asked: Asked<'_>,
        id: OrganizationId,
        permission: Permission,
    ) -> Result<Organization, Error> {
        let organization = self.find_for(asked, id, permission).await?;
        if self.manages(asked, &organization) {
            return Ok(organization);
        }
        Err(Error::Denied(Denial::ForeignAccount))
    }

    /// An organization in which the caller's token may be used. Whether its account has to do with it is not judged yet.
    async fn find_for(
        &self,
        asked: Asked<'_>,
        id: OrganizationId,
        permission: Permission,
    ) -> Result<Organization, Error> {
        self.check_scope(asked.caller, permission)?;
        if !asked.caller.restrictions.organizations().cover(id) {
            return Err(Error::Denied(Denial::OtherOrganization));
        }
        self.store.find_organization(id).await?.ok_or(Error::Denied(Denial::ForeignAccount))
    }

    fn manages(&self, asked: Asked<'_>, organization: &Organization) -> bool {
        self.acts_for(asked, organization.owner)
    }

    fn acts_for(&self, asked: Asked<'_>, account: AccountId) -> bool {
        let chain = self.directory.chain(account).filter(|chain| !chain.is_deleted());
        chain.is_some_and(|chain| chain.is_within(asked.caller.account))
    }
}

fn page_of<T>(all: Vec<T>, offset: u64, limit: u32) -> Page<T> {
    let total = all.len() as u64;
    let offset = usize::try_from(offset).unwrap_or(usize::MAX);
    Page { items: all.into_iter().skip(offset).take(limit as usize).collect(), total }
}

/// No action is possible in one that is not (space-invoices-loopback.md 2.5).
fn must_be_active(organization: &Organization) -> Result<(), Error> {
    if organization.active {
        return Ok(());
    }
    Err(Error::invalid(Field::Organization, "is deactivated; activate it first"))
}

fn stepped(before: Membership, step: MembershipStep, now: Timestamp) -> (Action, Membership) {
    match step {
        MembershipStep::Accept => (Action::AcceptMembership, before.with_consent(Consent::Given, now)),
        MembershipStep::Reject => (Action::RejectMembership, before.with_consent(Consent::Refused, now)),
        MembershipStep::Enable => (Action::EnableMembership, before.set_disabled(false, now)),
        MembershipStep::Disable => (Action::DisableMembership, before.set_disabled(true, now)),
        MembershipStep::ChangeRole(role) => (Action::ChangeRole, before.change_role(role, now)),
    }
}

fn deed(action: Action, owner: AccountId, organization: OrganizationId) -> Deed {
    let changes = vec![stated("organization", organization.to_string())];
    Deed { action, subject: Subject::Account(owner), changes }
}

fn about(action: Action, membership: &Membership) -> Deed {
    let changes = vec![
        stated("organization", membership.organization.to_string()),
        stated("membership", membership.id.to_string()),
        stated("role", membership.role.as_str()),
    ];
    Deed { action, subject: Subject::Account(membership.account), changes }
}
