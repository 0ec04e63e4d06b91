//! Operations on organizations and memberships.

use countersign_authority::{Invitation, MembershipStep};
use countersign_domain::organization::{Consent, Role};
use countersign_domain::profile::Profile;
use countersign_domain::store::Store as _;

use super::model::{Member, Tenant};
use super::power::{self, ACCOUNTS, or_read};
use super::run::{MEMBERS, ORGANIZATIONS, Outcome, Run, Trouble, Who, must};

impl Run {
    /// Not of the root account, whose organizations nothing ends.
    pub(super) async fn create_organization(&mut self, who: &Who) -> Outcome {
        let owner = self.place(who).max(1);
        if self.model.organizations.len() == power::ORGANIZATIONS {
            return Ok(());
        }
        self.create_organization_of(who, owner).await
    }

    pub(super) async fn create_organization_of(&mut self, who: &Who, owner: usize) -> Outcome {
        self.note(|| format!("{} makes an organization of account {owner}", who.credential));
        self.expect(who, owner);
        let ground = self.ground.clone();
        let asked = who.asked(&ground, self, owner);
        let made = ground.authority.create_organization(asked, Profile::default()).await?;
        self.may(who, owner, ACCOUNTS)?;
        self.must_have_room(owner)?;
        let membership = ground.store.find_membership_of(made.id, made.owner).await;
        let membership = membership.ok().flatten();
        let membership = membership.ok_or_else(|| Trouble::Broken("the owner does not belong".to_owned()))?;
        let organization = self.model.organizations.len();
        self.model.organizations.push(Tenant { id: made.id, owner, active: true });
        self.model.memberships.push(Member {
            id: membership.id,
            organization,
            account: owner,
            consent: Consent::Given,
            disabled: false,
            deleted: false,
        });
        self.tally.count("create organization");
        Ok(())
    }

    /// Before the account agrees to one more.
    fn must_have_room(&self, account: usize) -> Outcome {
        let model = &self.model;
        let counts = |member: &&Member| {
            let owner = model.organizations[member.organization].owner;
            let is_agreed = member.consent == Consent::Given;
            member.account == account && is_agreed && !member.deleted && !model.is_gone(owner)
        };
        let held = model.memberships.iter().filter(counts).count();
        must(held < ORGANIZATIONS as usize, "belongs to more organizations than it may")
    }

    fn organization(&mut self) -> Option<usize> {
        let count = self.model.organizations.len();
        (count > 0).then(|| self.chance.below(count))
    }

    /// Of what was done by those who manage an organization.
    fn may_manage(&self, who: &Who, organization: usize) -> Outcome {
        must(who.power.covers(organization), "acts on an organization that the token leaves out")?;
        self.may(who, self.model.organizations[organization].owner, ACCOUNTS)
    }

    fn must_be_active(&self, organization: usize) -> Outcome {
        must(self.model.organizations[organization].active, "acts in a deactivated organization")
    }

    pub(super) async fn update_organization(&mut self, who: &Who) -> Outcome {
        let Some(organization) = self.organization() else { return Ok(()) };
        self.note(|| format!("{} updates organization {organization}", who.credential));
        let ground = self.ground.clone();
        let merge = |profile: &Profile| Ok(profile.clone());
        let (asked, id) = (who.asked(&ground, self, 0), self.model.organizations[organization].id);
        ground.authority.update_organization(asked, id, &merge).await?;
        self.may_manage(who, organization)?;
        self.must_be_active(organization)?;
        self.tally.count("update organization");
        Ok(())
    }

    pub(super) async fn set_organization_active(&mut self, who: &Who) -> Outcome {
        let Some(organization) = self.organization() else { return Ok(()) };
        let was_active = self.model.organizations[organization].active;
        let active = if self.chance.one_in(4) { was_active } else { !was_active };
        self.note(|| format!("{} sets organization {organization} active: {active}", who.credential));
        let ground = self.ground.clone();
        let (asked, id) = (who.asked(&ground, self, 0), self.model.organizations[organization].id);
        ground.authority.set_organization_active(asked, id, active).await?;
        self.may_manage(who, organization)?;
        self.model.organizations[organization].active = active;
        self.tally.count(if active { "activate organization" } else { "deactivate organization" });
        must(!active || was_active || who.power.is_full(), "a restricted caller activates")
    }

    pub(super) async fn invite(&mut self, who: &Who) -> Outcome {
        let Some(organization) = self.organization() else { return Ok(()) };
        let (account, asks) = (self.chance.below(self.model.accounts.len()), self.chance.one_in(2));
        self.note(|| {
            format!("{} invites account {account} into {organization}, asking: {asks}", who.credential)
        });
        let ground = self.ground.clone();
        let (asked, id) = (who.asked(&ground, self, 0), self.model.organizations[organization].id);
        let role = *self.chance.pick(&Role::ALL);
        let invitation = Invitation { account: self.model.accounts[account].id, role, asks };
        let membership = ground.authority.invite(asked, id, invitation).await?;
        self.may_manage(who, organization)?;
        self.must_be_active(organization)?;
        must(who.power.is_full(), "a restricted caller invites")?;
        must(!self.model.is_gone(account), "one that has ended is invited")?;
        let is_ours = self.model.is_within(account, who.account);
        must(asks || is_ours, "a foreign account belongs without being asked")?;
        let consent = if asks { Consent::Asked } else { Consent::Given };
        if !asks {
            self.must_have_room(account)?;
        }
        let known = self.model.memberships.iter_mut().find(|member| member.id == membership.id);
        if let Some(known) = known {
            known.consent = consent;
        } else {
            self.must_have_seat(organization)?;
            let (id, disabled, deleted) = (membership.id, false, false);
            let member = Member { id, organization, account, consent, disabled, deleted };
            self.model.memberships.push(member);
        }
        self.tally.count(if asks { "invite" } else { "invite silently" });
        Ok(())
    }

    fn must_have_seat(&self, organization: usize) -> Outcome {
        let model = &self.model;
        let counts = |member: &&Member| {
            member.organization == organization && !member.deleted && !model.is_gone(member.account)
        };
        let held = model.memberships.iter().filter(counts).count();
        must(held < MEMBERS as usize, "has more members than it may")
    }

    fn membership(&mut self) -> Option<usize> {
        let count = self.model.memberships.len();
        (count > 0).then(|| self.chance.below(count))
    }

    pub(super) async fn step_membership(&mut self, who: &Who) -> Outcome {
        let Some(membership) = self.membership() else { return Ok(()) };
        let role = MembershipStep::ChangeRole(*self.chance.pick(&Role::ALL));
        let steps = [
            MembershipStep::Accept,
            MembershipStep::Accept,
            MembershipStep::Reject,
            MembershipStep::Enable,
            MembershipStep::Disable,
            role,
        ];
        let step = *self.chance.pick(&steps);
        self.note(|| format!("{}: {step:?} membership {membership}", who.credential));
        let ground = self.ground.clone();
        let asked = who.asked(&ground, self, 0);
        ground.authority.step_membership(asked, self.model.memberships[membership].id, step).await?;
        let Member { organization, account, deleted, .. } = self.model.memberships[membership];
        must(!deleted, "a step of a membership that is no more")?;
        let is_own = matches!(step, MembershipStep::Accept | MembershipStep::Reject);
        if is_own {
            must(who.power.covers(organization), "accepts where the token leaves the organization out")?;
            self.may(who, account, ACCOUNTS)?;
        } else {
            self.may_manage(who, organization)?;
        }
        if matches!(step, MembershipStep::Accept | MembershipStep::Enable) {
            must(who.power.is_full(), "a restricted caller lets an account act")?;
            self.must_be_active(organization)?;
        }
        if step == MembershipStep::Accept && self.model.memberships[membership].consent != Consent::Given {
            self.must_have_room(account)?;
        }
        let member = &mut self.model.memberships[membership];
        let done = match step {
            MembershipStep::Accept => {
                member.consent = Consent::Given;
                "accept membership"
            }
            MembershipStep::Reject => {
                member.consent = Consent::Refused;
                "reject membership"
            }
            MembershipStep::Enable => {
                member.disabled = false;
                "enable membership"
            }
            MembershipStep::Disable => {
                member.disabled = true;
                "disable membership"
            }
            MembershipStep::ChangeRole(_) => "change role",
        };
        self.tally.count(done);
        Ok(())
    }

    pub(super) async fn delete_membership(&mut self, who: &Who) -> Outcome {
        let Some(membership) = self.membership() else { return Ok(()) };
        self.note(|| format!("{} ends membership {membership}", who.credential));
        let ground = self.ground.clone();
        let asked = who.asked(&ground, self, 0);
        ground.authority.delete_membership(asked, self.model.memberships[membership].id).await?;
        let Member { organization, account, deleted, .. } = self.model.memberships[membership];
        must(!deleted, "ends a membership that is no more")?;
        must(who.power.covers(organization), "leaves where the token leaves the organization out")?;
        if self.may_manage(who, organization).is_err() {
            self.may(who, account, ACCOUNTS)?;
        }
        self.model.memberships[membership].deleted = true;
        self.tally.count("end membership");
        Ok(())
    }

    /// What is told of organizations.
    pub(super) async fn look_at_organizations(&mut self, who: &Who, place: usize) -> Outcome {
        let ground = self.ground.clone();
        let asked = who.asked(&ground, self, place);
        if let Ok(page) = ground.authority.list_organizations(asked, 0, 100).await {
            self.may(who, place, or_read(ACCOUNTS))?;
            for told in page.items {
                let known = self.model.organizations.iter().position(|tenant| tenant.id == told.id);
                must(known.is_some_and(|known| who.power.covers(known)), "told of an organization left out")?;
            }
        }
        let Some(organization) = self.organization() else { return Ok(()) };
        let Tenant { id, owner, .. } = self.model.organizations[organization];
        let acts = self.model.acts_in(who.account, organization);
        if ground.authority.load_organization(asked, id).await.is_ok() {
            must(who.power.covers(organization), "told of an organization left out")?;
            let is_ours = acts || self.may(who, owner, or_read(ACCOUNTS)).is_ok();
            must(is_ours, "told of a foreign organization")?;
        }
        if ground.authority.list_memberships(asked, id, 0, 100).await.is_ok() {
            must(who.power.covers(organization), "told of members of an organization left out")?;
            self.may(who, owner, or_read(ACCOUNTS))?;
        }
        Ok(())
    }
}
