//! Operations on access tokens and service tokens.

use std::time::Duration;

use countersign_authority::AccessTokenRequest;
use countersign_domain::access_token::AccessToken;
use countersign_domain::fact::CredentialKey;
use countersign_domain::id::OrganizationId;
use countersign_domain::lifetime::Ttl;
use countersign_domain::lineage::Lineage;
use countersign_domain::restrictions::StatedRestrictions;
use countersign_domain::secret::Secret;
use countersign_domain::service_token::{NewServiceToken, ServiceToken, ServiceTokenPatch};

use super::model::{Credential, Kind};
use super::power;
use super::run::{ACCESS_TOKENS, Outcome, Run, SERVICE_TOKENS, Trouble, Who, must};
use crate::world::new_token;

impl Run {
    fn organization_ids(&self) -> Vec<OrganizationId> {
        self.model.organizations.iter().map(|tenant| tenant.id).collect()
    }

    pub(super) async fn issue_access_token(&mut self, who: &Who) -> Outcome {
        let place = self.place(who);
        let organizations = self.organization_ids();
        let restrictions = self.values.restrictions(&mut self.chance, &organizations);
        let ttl = *self.chance.pick(&self.values.ttls);
        self.issue_to(who, place, restrictions, ttl).await
    }

    pub(super) async fn issue_to(
        &mut self,
        who: &Who,
        place: usize,
        restrictions: StatedRestrictions,
        ttl: Ttl,
    ) -> Outcome {
        self.note(|| format!("{} issues a token of account {place}: {restrictions:?}", who.credential));
        self.expect(who, place);
        let request = AccessTokenRequest { name: None, ttl, restrictions };
        let ground = self.ground.clone();
        let issued = ground.authority.issue_access_token(who.asked(&ground, self, place), request).await;
        let (token, text) = issued?;
        self.may(who, place, power::ACCESS_TOKENS)?;
        self.minted(token, &text, Some(who))?;
        self.tally.count("issue access token");
        Ok(())
    }

    pub(super) async fn impersonate(&mut self, who: &Who) -> Outcome {
        let place = self.place(who);
        let ttl = *self.chance.pick(&self.values.ttls);
        self.note(|| format!("{} impersonates account {place}", who.credential));
        self.expect(who, place);
        let ground = self.ground.clone();
        let issued = ground.authority.impersonate(who.asked(&ground, self, place), ttl).await;
        let (token, text) = issued?;
        self.may(who, place, power::ACCESS_TOKENS)?;
        self.minted(token, &text, Some(who))?;
        self.tally.count("impersonate");
        Ok(())
    }

    /// Takes in a new access token; of one that logged in nobody is the minter.
    pub(super) fn minted(
        &mut self,
        token: AccessToken,
        text: &Secret,
        minter: Option<&Who>,
    ) -> Result<usize, Trouble> {
        let account = self.model.account(token.account);
        let account = account.ok_or_else(|| Trouble::Broken("of an unknown account".to_owned()))?;
        must(self.held(account, true) < ACCESS_TOKENS as usize, "more access tokens than there may be")?;
        let ancestors = self.ancestors(minter, &token.lineage)?;
        self.model.credentials.push(Credential {
            key: CredentialKey::Handle(token.handle),
            kind: Kind::Access { handle: token.handle, text: text.reveal().to_owned() },
            account,
            ancestors,
            organizations: token.restrictions.organizations().clone(),
            enabled: true,
            ended: false,
            expires_at: token.expires_at,
            previous: None,
            caller: None,
            power: None,
        });
        let index = self.model.credentials.len() - 1;
        match minter {
            Some(who) => self.is_within(who, index)?,
            None => must(token.restrictions.is_none(), "a login with restrictions")?,
        }
        Ok(index)
    }

    /// The minter and those from which it stems; of these the lineage has those that are not swept.
    fn ancestors(&self, minter: Option<&Who>, lineage: &Lineage) -> Result<Vec<usize>, Trouble> {
        let Some(who) = minter else { return Ok(Vec::new()) };
        must(lineage.minter() == Some(who.caller.handle), "of another minter")?;
        must(lineage.handles().len() <= Lineage::LONGEST, "a lineage longer than there may be")?;
        let mut ancestors = self.model.credentials[who.credential].ancestors.clone();
        ancestors.push(who.credential);
        Ok(ancestors)
    }

    /// How many an account holds that are not ended.
    fn held(&self, account: usize, is_access: bool) -> usize {
        let now = self.ground.now();
        let counts = |known: &&Credential| {
            known.account == account
                && !known.ended
                && known.handle().is_some() == is_access
                && (!is_access || known.expires_at > now)
        };
        self.model.credentials.iter().filter(counts).count()
    }

    pub(super) async fn revoke_access_token(&mut self, who: &Who) -> Outcome {
        let Some(victim) = self.victim(|known| matches!(known.kind, Kind::Access { .. })) else {
            return Ok(());
        };
        let account = self.model.credentials[victim].account;
        let place = if self.chance.one_in(8) { self.place(who) } else { account };
        let descendants = self.chance.one_in(3);
        let handle = self.model.credentials[victim].handle().unwrap();
        self.note(|| format!("{} revokes {victim} of account {place}, all: {descendants}", who.credential));
        self.expect(who, place);
        let ground = self.ground.clone();
        let asked = who.asked(&ground, self, place);
        ground.authority.revoke_access_token(asked, handle, descendants).await?;
        must(place == account, "revoked below the path of another account")?;
        if victim != who.credential || descendants {
            self.may(who, place, power::ACCESS_TOKENS)?;
        }
        self.model.end(victim, descendants);
        self.tally.count(if descendants { "revoke descendants" } else { "revoke access token" });
        Ok(())
    }

    pub(super) async fn revoke_all_access_tokens(&mut self, who: &Who) -> Outcome {
        let place = self.place_but_root(who);
        self.revoke_all_of(who, place).await
    }

    pub(super) async fn revoke_all_of(&mut self, who: &Who, place: usize) -> Outcome {
        self.note(|| format!("{} revokes all access tokens of account {place}", who.credential));
        self.expect(who, place);
        let ground = self.ground.clone();
        ground.authority.revoke_all_access_tokens(who.asked(&ground, self, place)).await?;
        self.may(who, place, power::ACCESS_TOKENS)?;
        self.model.end_access_tokens(place, who.credential);
        self.tally.count("revoke all access tokens");
        Ok(())
    }

    pub(super) async fn issue_service_token(&mut self, who: &Who) -> Outcome {
        let place = self.place(who);
        let organizations = self.organization_ids();
        let restrictions = self.values.restrictions(&mut self.chance, &organizations);
        let lifetime = self.chance.pick(&self.values.lifetimes).clone();
        let enabled = !self.chance.one_in(4);
        let new = NewServiceToken { restrictions, enabled, lifetime, ..new_token("1h") };
        self.note(|| format!("{} issues a service token of account {place}: {new:?}", who.credential));
        self.expect(who, place);
        let ground = self.ground.clone();
        let issued = ground.authority.issue_service_token(who.asked(&ground, self, place), new).await;
        let (view, secret) = issued?;
        self.may(who, place, power::SERVICE_TOKENS)?;
        let held = self.held(place, false);
        must(held < SERVICE_TOKENS as usize, "more service tokens than there may be")?;
        let token = view.token;
        let ancestors = self.ancestors(Some(who), &token.lineage)?;
        let secret = secret.reveal().to_owned();
        self.model.credentials.push(Credential {
            key: CredentialKey::Client(token.client_id),
            kind: Kind::Service { id: token.id, client_id: token.client_id.to_string(), secret },
            account: place,
            ancestors,
            organizations: token.restrictions.organizations().clone(),
            enabled,
            ended: false,
            expires_at: token.expires_at,
            previous: None,
            caller: None,
            power: None,
        });
        self.tally.count("issue service token");
        self.is_within(who, self.model.credentials.len() - 1)
    }

    /// A service token, and below the path of which account it is asked about.
    fn service_token(&mut self, who: &Who) -> Option<(usize, usize)> {
        let victim = self.victim(|known| known.service().is_some())?;
        let account = self.model.credentials[victim].account;
        let place = if self.chance.one_in(8) { self.place(who) } else { account };
        Some((victim, place))
    }

    /// Takes in the next state of a service token. Where it can do more than before, it has to be within the caller.
    fn replaced(&mut self, who: &Who, victim: usize, place: usize, token: &ServiceToken) -> Outcome {
        must(place == self.model.credentials[victim].account, "changed below another account's path")?;
        self.may(who, place, power::SERVICE_TOKENS)?;
        let known = &mut self.model.credentials[victim];
        let grows = token.expires_at > known.expires_at || token.enabled && !known.enabled;
        known.expires_at = token.expires_at;
        known.enabled = token.enabled;
        known.organizations = token.restrictions.organizations().clone();
        if grows { self.is_within(who, victim) } else { Ok(()) }
    }

    pub(super) async fn update_service_token(&mut self, who: &Who) -> Outcome {
        let Some((victim, place)) = self.service_token(who) else { return Ok(()) };
        let organizations = self.organization_ids();
        let patch = ServiceTokenPatch {
            lifetime: self.chance.one_in(4).then(|| self.chance.pick(&self.values.lifetimes).clone()),
            enabled: (!self.chance.one_in(3)).then(|| self.chance.one_in(2)),
            restrictions: self.values.restrictions(&mut self.chance, &organizations),
            ..ServiceTokenPatch::default()
        };
        self.note(|| format!("{} updates {victim} of account {place}: {patch:?}", who.credential));
        let states_restrictions = !patch.restrictions.is_empty();
        let before = self.fact(victim).map(|known| self.measure(&known, who.account));
        let ground = self.ground.clone();
        let id = self.model.credentials[victim].service().unwrap();
        let asked = who.asked(&ground, self, place);
        let (view, _) = ground.authority.update_service_token(asked, id, patch, false).await?;
        self.replaced(who, victim, place, &view.token)?;
        self.tally.count("update service token");
        let after = self.fact(victim).map(|known| self.measure(&known, who.account));
        let is_no_more = after.zip(before).is_some_and(|(after, before)| after.is_within(before));
        if states_restrictions || !is_no_more { self.is_within(who, victim) } else { Ok(()) }
    }

    pub(super) async fn rotate_service_token(&mut self, who: &Who) -> Outcome {
        let Some((victim, place)) = self.service_token(who) else { return Ok(()) };
        let overlap = Duration::from_secs(self.chance.below(4_000) as u64);
        self.note(|| format!("{} rotates {victim} of account {place}, {overlap:?}", who.credential));
        let ground = self.ground.clone();
        let id = self.model.credentials[victim].service().unwrap();
        let until = ground.now().after(overlap);
        let asked = who.asked(&ground, self, place);
        let (view, new) = ground.authority.rotate_service_token(asked, id, Some(until), false).await?;
        self.replaced(who, victim, place, &view.token)?;
        let known = &mut self.model.credentials[victim];
        if let Kind::Service { secret, .. } = &mut known.kind {
            let old = std::mem::replace(secret, new.reveal().to_owned());
            known.previous = Some((old, until));
        }
        self.tally.count("rotate service token");
        self.is_within(who, victim)
    }

    pub(super) async fn refresh_service_token(&mut self, who: &Who) -> Outcome {
        let Some((victim, place)) = self.service_token(who) else { return Ok(()) };
        self.note(|| format!("{} refreshes {victim} of account {place}", who.credential));
        let ground = self.ground.clone();
        let id = self.model.credentials[victim].service().unwrap();
        let asked = who.asked(&ground, self, place);
        let view = ground.authority.refresh_service_token(asked, id).await?;
        self.replaced(who, victim, place, &view.token)?;
        self.tally.count("refresh service token");
        Ok(())
    }

    pub(super) async fn revoke_service_token(&mut self, who: &Who) -> Outcome {
        let Some((victim, place)) = self.service_token(who) else { return Ok(()) };
        self.note(|| format!("{} revokes {victim} of account {place}", who.credential));
        self.revoke_service_token_at(who, victim, place).await?;
        self.tally.count("revoke service token");
        Ok(())
    }

    pub(super) async fn revoke_service_token_at(
        &mut self,
        who: &Who,
        victim: usize,
        place: usize,
    ) -> Outcome {
        let ground = self.ground.clone();
        let id = self.model.credentials[victim].service().unwrap();
        ground.authority.revoke_service_token(who.asked(&ground, self, place), id).await?;
        must(place == self.model.credentials[victim].account, "revoked below another account's path")?;
        self.may(who, place, power::SERVICE_TOKENS)?;
        self.model.end(victim, false);
        Ok(())
    }

    pub(super) fn service_tokens_of_root(&self) -> Vec<usize> {
        let credentials = self.model.credentials.iter().enumerate();
        let left =
            credentials.filter(|(_, known)| known.account == 0 && known.service().is_some() && !known.ended);
        left.map(|(index, _)| index).collect()
    }
}
