//! What is looked at after an operation: what was published, and what every door says now.

use countersign_authority::Decision;
use countersign_domain::change::FactChange;
use countersign_domain::demand::{Demand, Presented};
use countersign_domain::usage::Door;
use countersign_domain::verdict::{Reason, Refusal};

use super::model::{Credential, Kind};
use super::run::{Run, Who};
use crate::world::sighting;

impl Run {
    /// Nothing beyond the caller's account has changed, but for what was ended and is swept.
    pub(super) fn check_changes(&self, who: &Who, heard: &[FactChange]) -> Result<(), String> {
        let model = &self.model;
        let is_ours =
            |account: Option<usize>| account.is_some_and(|account| model.is_within(account, who.account));
        let tenant = |id| model.organizations.iter().find(|tenant| tenant.id == id);
        for change in heard {
            let is_fine = match change {
                FactChange::Account(fact) => is_ours(model.account(fact.id)),
                FactChange::Credential(fact) => is_ours(model.account(fact.account)),
                FactChange::Organization(fact) => is_ours(tenant(fact.id).map(|tenant| tenant.owner)),
                FactChange::Membership(fact) => {
                    is_ours(model.account(fact.account))
                        || is_ours(tenant(fact.organization).map(|tenant| tenant.owner))
                }
                FactChange::CredentialGone { key, .. } => {
                    let gone = model.credential(*key).map(|index| &model.credentials[index]);
                    gone.is_some_and(|gone| gone.ended || model.is_gone(gone.account))
                }
                FactChange::AccountGone(id) => {
                    model.account(*id).is_some_and(|account| model.is_gone(account))
                }
                FactChange::OrganizationGone(id) => {
                    tenant(*id).is_some_and(|tenant| model.is_gone(tenant.owner))
                }
                FactChange::MembershipGone { id, .. } => {
                    let member = model.memberships.iter().find(|member| member.id == *id);
                    member.is_some_and(|member| {
                        let owner = model.organizations[member.organization].owner;
                        member.deleted || model.is_gone(member.account) || model.is_gone(owner)
                    })
                }
                FactChange::Cut(handle) => {
                    let of_handle = |known: &&Credential| known.handle() == Some(*handle);
                    is_ours(model.credentials.iter().find(of_handle).map(|known| known.account))
                }
                FactChange::CutHealed(_) => true,
            };
            if !is_fine {
                return Err(format!("beyond account {}: {change:?}", who.account));
            }
        }
        Ok(())
    }

    /// Every credential is accepted or refused as it has to be, and where asked for in each organization.
    pub(super) fn check_doors(&mut self, in_organizations: bool) -> Result<(), String> {
        for index in 0..self.model.credentials.len() {
            let known = &self.model.credentials[index];
            let is_live = self.model.is_live(known, self.ground.now());
            let (secret, previous) = (known.secret(), known.previous.as_ref());
            self.check_door(index, secret, is_live)?;
            let mut verified = 1;
            if let Some((secret, until)) = previous {
                self.check_door(index, secret, is_live && *until > self.ground.now())?;
                verified += 1;
            }
            if is_live && in_organizations {
                self.check_organizations(index)?;
                verified += self.model.organizations.len() as u64;
            }
            self.tally.verified += verified;
        }
        Ok(())
    }

    fn check_door(&self, index: usize, secret: &str, is_live: bool) -> Result<(), String> {
        let known = &self.model.credentials[index];
        let reason = self.verify(known, secret, &Demand::default());
        let is_accepted = reason.is_none_or(|reason| reason.refusal() == Refusal::Forbidden);
        if is_accepted == is_live {
            return Ok(());
        }
        let account = known.account;
        let is = if is_live { "live" } else { "ended" };
        Err(format!("credential {index} of account {account} is {is}, and the door says {reason:?}"))
    }

    fn check_organizations(&self, index: usize) -> Result<(), String> {
        let known = &self.model.credentials[index];
        for (number, tenant) in self.model.organizations.iter().enumerate() {
            let acts = self.model.acts_in(known.account, number) && known.organizations.cover(tenant.id);
            let demand = Demand { organizations: vec![tenant.id], ..Demand::default() };
            let reason = self.verify(known, known.secret(), &demand);
            if (reason != Some(Reason::WrongOrganization)) != acts {
                let account = known.account;
                return Err(format!(
                    "credential {index} of account {account} acts in organization {number}: {acts}, and the door \
                     says {reason:?}"
                ));
            }
        }
        Ok(())
    }

    fn verify(&self, known: &Credential, secret: &str, demand: &Demand) -> Option<Reason> {
        let presented = match &known.kind {
            Kind::Access { .. } => Presented::access(secret),
            Kind::Service { client_id, .. } => Presented::service(client_id, secret),
        };
        match self.ground.authority.verify(&presented.unwrap(), demand, sighting(Door::Authz)) {
            Decision::Granted(_) => None,
            Decision::Denied { reason, .. } => Some(reason),
        }
    }
}
