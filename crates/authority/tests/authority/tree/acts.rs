//! Which operation is tried, and what must be true of every one that is done.

use super::model::Credential;
use super::run::{Outcome, Run, Trouble, Who, must};

impl Run {
    /// One operation, chosen at random.
    pub(super) async fn act(&mut self, who: &Who) -> Outcome {
        if self.passwords > 0 && self.chance.one_in(2) {
            return self.act_on_password(who).await;
        }
        match self.chance.below(64) {
            0..=4 => self.create_account(who).await,
            5..=6 => self.update_account(who).await,
            7..=8 => self.change_email(who).await,
            9..=12 => self.disable_account(who).await,
            13..=17 => self.enable_account(who).await,
            18..=19 => self.delete_account(who).await,
            20..=26 => self.issue_access_token(who).await,
            27..=28 => self.impersonate(who).await,
            29..=32 => self.revoke_access_token(who).await,
            33..=34 => self.revoke_all_access_tokens(who).await,
            35..=37 => self.issue_service_token(who).await,
            38..=39 => self.update_service_token(who).await,
            40 => self.rotate_service_token(who).await,
            41 => self.refresh_service_token(who).await,
            42 => self.revoke_service_token(who).await,
            43..=44 => self.create_organization(who).await,
            45 => self.update_organization(who).await,
            46..=48 => self.set_organization_active(who).await,
            49..=52 => self.invite(who).await,
            53..=56 => self.step_membership(who).await,
            57 => self.delete_membership(who).await,
            58..=60 => self.look(who).await,
            61 => self.sign_up().await,
            62 => {
                self.wait();
                self.check_doors(true).map_err(Trouble::Broken)
            }
            _ => self.sweep().await.map_err(Trouble::Broken),
        }
    }

    /// An account to act on: mostly one where the caller may.
    pub(super) fn place(&mut self, who: &Who) -> usize {
        let count = self.model.accounts.len();
        if self.chance.one_in(4) {
            return self.chance.below(count);
        }
        for _ in 0..6 {
            let place = self.chance.below(count);
            if self.model.is_within(place, who.account) && !self.model.is_gone(place) {
                return place;
            }
        }
        who.account
    }

    /// As [`Run::place`], but a token of the root account that is not the root token leaves this account alone, so that
    /// there is somebody to clear up.
    pub(super) fn place_but_root(&mut self, who: &Who) -> usize {
        match self.place(who) {
            0 if who.credential != 0 => 1,
            place => place,
        }
    }

    /// Who may do everything there is not denied what is about to be asked for.
    pub(super) fn expect(&mut self, who: &Who, place: usize) {
        let may = self.model.is_within(place, who.account) && !self.model.is_gone(place);
        self.must_not_be_denied = may && who.caller.restrictions.is_none();
    }

    /// Of what was done: the account is the caller's or below it, and the caller has one of these scopes.
    pub(super) fn may(&self, who: &Who, place: usize, scopes: u16) -> Outcome {
        let is_ours = self.model.is_within(place, who.account) && !self.model.is_gone(place);
        must(is_ours, "acts on an account that is not below its own")?;
        must(who.power.scopes & scopes != 0, "acts without the scope")
    }

    /// Of what was done: the credential is within the caller's in every dimension.
    pub(super) fn is_within(&mut self, who: &Who, credential: usize) -> Outcome {
        let Some(known) = self.fact(credential) else {
            return must(false, "the doors do not know what was made");
        };
        if who.power.is_full() {
            return Ok(());
        }
        let power = self.measure(&known, who.account);
        if !power.is_within(who.power) {
            let what = format!("{:?} is given by {:?}", known.fact.restrictions, who.caller.restrictions);
            return Err(Trouble::Broken(what));
        }
        must(known.fact.expires_at <= who.caller.expires_at, "outlives a restricted caller")
    }

    /// A credential that is not the root token.
    pub(super) fn victim(&mut self, fits: impl Fn(&Credential) -> bool) -> Option<usize> {
        let count = self.model.credentials.len();
        let from = self.chance.below(count);
        let found = (from..count).chain(0..from).filter(|index| *index != 0);
        let mut found = found.filter(|index| fits(&self.model.credentials[*index]));
        found.next()
    }
}
