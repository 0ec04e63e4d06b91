//! Operations on accounts.

use countersign_authority::{AccountPatch, AccountRequest, AccountStep, Decision};
use countersign_domain::account::Account;
use countersign_domain::demand::{Demand, Presented};
use countersign_domain::email::Email;
use countersign_domain::error::Error;
use countersign_domain::password::Password;
use countersign_domain::profile::Profile;
use countersign_domain::usage::Door;

use super::model::{Kind, Place};
use super::power::{ACCESS_TOKENS, ACCOUNTS, AUDIT, SERVICE_TOKENS, or_read};
use super::run::{CHILDREN, LOGINS, Outcome, Run, Trouble, Who, must};
use crate::world::sighting;
use countersign_authority::{AccessTokenList, AuditFilter, List};

impl Run {
    fn email(&mut self) -> Email {
        self.unique += 1;
        Email::parse(&format!("{}@example.com", self.unique)).unwrap()
    }

    pub(super) async fn create_account(&mut self, who: &Who) -> Outcome {
        let parent = self.place(who);
        self.create_account_below(who, parent).await
    }

    pub(super) async fn create_account_below(&mut self, who: &Who, parent: usize) -> Outcome {
        let request = AccountRequest { email: self.email(), password: None, profile: Profile::default() };
        self.note(|| format!("{} makes an account below {parent}", who.credential));
        self.expect(who, parent);
        let ground = self.ground.clone();
        let account = ground.authority.create_account(who.asked(&ground, self, parent), request).await?;
        self.may(who, parent, ACCOUNTS)?;
        self.made(&account, parent)?;
        self.tally.count("create account");
        Ok(())
    }

    fn made(&mut self, account: &Account, parent: usize) -> Outcome {
        must(account.parent == Some(self.model.accounts[parent].id), "made below another account")?;
        must(self.model.children(parent) < CHILDREN as usize, "more children than there may be")?;
        let place =
            Place { id: account.id, parent: Some(parent), enabled: true, deleted: false, login: None };
        self.model.accounts.push(place);
        let depth = self.model.depth(parent) + 1;
        self.tally.deepest = self.tally.deepest.max(depth);
        must(depth <= 8, "deeper than there may be")
    }

    /// Nobody asks for this.
    pub(super) async fn sign_up(&mut self) -> Outcome {
        let request = AccountRequest { email: self.email(), password: None, profile: Profile::default() };
        self.note(|| "somebody signs up".to_owned());
        let ground = self.ground.clone();
        let account = ground.authority.sign_up(request, &ground.origin).await?;
        self.made(&account, 0)?;
        must(ground.heard().len() == 1, "more has changed than that")?;
        self.tally.count("sign up");
        self.check_doors(true).map_err(Trouble::Broken)
    }

    pub(super) async fn update_account(&mut self, who: &Who) -> Outcome {
        let place = self.place(who);
        self.unique += 1;
        let profile = Profile::from_json(&format!("{{\"a\":{}}}", self.unique)).unwrap();
        self.note(|| format!("{} updates account {place}", who.credential));
        self.expect(who, place);
        let ground = self.ground.clone();
        let merge = |_: &Profile| Ok(profile.clone());
        let asked = who.asked(&ground, self, place);
        ground.authority.update_account(asked, AccountPatch::default(), &merge).await?;
        self.may(who, place, ACCOUNTS)?;
        self.tally.count("update account");
        Ok(())
    }

    pub(super) async fn change_email(&mut self, who: &Who) -> Outcome {
        let place = self.place_but_root(who);
        let patch = AccountPatch { email: Some(self.email()), password: None };
        self.note(|| format!("{} changes the address of account {place}", who.credential));
        self.expect(who, place);
        let ground = self.ground.clone();
        let merge = |profile: &Profile| Ok(profile.clone());
        let asked = who.asked(&ground, self, place);
        let account = ground.authority.update_account(asked, patch, &merge).await?;
        if let Some((email, _)) = &mut self.model.accounts[place].login {
            *email = account.email.as_str().to_owned();
        }
        self.may(who, place, ACCOUNTS)?;
        must(who.power.is_full(), "a restricted caller changes an address")?;
        self.model.end_access_tokens(place, who.credential);
        self.tally.count("change address");
        Ok(())
    }

    pub(super) async fn disable_account(&mut self, who: &Who) -> Outcome {
        let place = self.place(who);
        self.step_account_at(who, place, AccountStep::Disable).await
    }

    /// Mostly one that is disabled.
    pub(super) async fn enable_account(&mut self, who: &Who) -> Outcome {
        let disabled = self.model.accounts.iter().position(|place| !place.enabled && !place.deleted);
        let place = match disabled.filter(|_| !self.chance.one_in(3)) {
            Some(disabled) => disabled,
            None => self.place(who),
        };
        self.step_account_at(who, place, AccountStep::Enable).await
    }

    pub(super) async fn delete_account(&mut self, who: &Who) -> Outcome {
        let place = self.place(who);
        self.step_account_at(who, place, AccountStep::Delete).await
    }

    pub(super) async fn step_account_at(&mut self, who: &Who, place: usize, step: AccountStep) -> Outcome {
        self.note(|| format!("{}: {step:?} account {place}", who.credential));
        self.expect(who, place);
        let ground = self.ground.clone();
        ground.authority.step_account(who.asked(&ground, self, place), step).await?;
        self.may(who, place, ACCOUNTS)?;
        must(place != 0, "a step of the root account")?;
        match step {
            AccountStep::Disable => {
                self.model.accounts[place].enabled = false;
                self.tally.count("disable account");
            }
            AccountStep::Delete => {
                self.model.accounts[place].deleted = true;
                self.tally.count("delete account");
            }
            AccountStep::Enable => {
                let was_enabled = std::mem::replace(&mut self.model.accounts[place].enabled, true);
                self.tally.count(if was_enabled { "enable account again" } else { "enable account" });
                return if was_enabled { Ok(()) } else { self.all_below_are_within(who, place) };
            }
        }
        Ok(())
    }

    /// What goes on again below an account must be within the caller.
    fn all_below_are_within(&mut self, who: &Who, place: usize) -> Outcome {
        for index in 0..self.model.credentials.len() {
            let known = &self.model.credentials[index];
            let is_live = self.model.is_live(known, self.ground.now());
            if is_live && self.model.is_within(known.account, place) {
                let known = self.fact(index);
                let power = known.map(|known| self.measure(&known, who.account)).unwrap_or_default();
                must(power.is_within(who.power), "enables what is beyond it")?;
            }
        }
        Ok(())
    }

    pub(super) async fn set_password_of(&mut self, who: &Who, place: usize) -> Outcome {
        let place = place.max(1);
        self.unique += 1;
        let text = format!("Secret!{}", self.unique);
        let password = Some(Password::parse(&text).unwrap());
        let patch = AccountPatch { email: None, password };
        self.note(|| format!("{} sets the password of account {place}", who.credential));
        self.expect(who, place);
        let ground = self.ground.clone();
        let merge = |profile: &Profile| Ok(profile.clone());
        let asked = who.asked(&ground, self, place);
        let account = ground.authority.update_account(asked, patch, &merge).await?;
        self.may(who, place, ACCOUNTS)?;
        must(who.power.is_full(), "a restricted caller sets a password")?;
        self.model.end_access_tokens(place, who.credential);
        self.model.accounts[place].login = Some((account.email.as_str().to_owned(), text));
        self.tally.count("set password");
        Ok(())
    }

    /// Logging in, and what is done with passwords; each takes its time.
    pub(super) async fn act_on_password(&mut self, who: &Who) -> Outcome {
        self.passwords -= 1;
        let has_login = self.model.accounts.iter().position(|place| place.login.is_some());
        let Some(place) = has_login else { return Ok(()) };
        match self.chance.below(6) {
            0..=2 => self.log_in(place).await,
            3 => {
                let place = self.place(who);
                self.set_password_of(who, place).await
            }
            _ => self.change_password(who, place).await,
        }
    }

    async fn log_in(&mut self, place: usize) -> Outcome {
        let (email, password) = self.model.accounts[place].login.clone().unwrap();
        let is_right = !self.chance.one_in(3);
        let shown = if is_right { password } else { "Secret!0".to_owned() };
        self.note(|| format!("somebody logs in to account {place}, {is_right}"));
        let ground = self.ground.clone();
        let now = ground.now();
        let logged_in =
            ground.authority.login(&email, Password::presented(&shown), None, &ground.origin).await;
        let goes_on = self.model.goes_on(place);
        let (token, text, account) = match logged_in {
            Err(Error::LoginFailed) => {
                must(!is_right || !goes_on, "the right password is refused")?;
                return Err(Error::LoginFailed.into());
            }
            outcome => outcome?,
        };
        must(is_right && goes_on, "logs in where nobody may")?;
        must(account.id == self.model.accounts[place].id, "logs in to another account")?;
        let index = self.minted(token, &text, None)?;
        must(ground.heard().len() == 1, "more has changed than that")?;
        let is_login = |login: &&usize| self.model.is_live(&self.model.credentials[**login], now);
        self.logins.push(index);
        let live = self.logins.iter().filter(is_login).count();
        must(live <= LOGINS as usize, "more logins than there may be")?;
        self.tally.count("log in");
        self.check_doors(true).map_err(Trouble::Broken)
    }

    async fn change_password(&mut self, who: &Who, place: usize) -> Outcome {
        let (_, old) = self.model.accounts[place].login.clone().unwrap();
        self.unique += 1;
        let text = format!("Secret!{}", self.unique);
        self.note(|| format!("{} changes the password of account {place}", who.credential));
        let ground = self.ground.clone();
        let asked = who.asked(&ground, self, place);
        let (old, new) = (Password::presented(&old), Password::parse(&text).unwrap());
        ground.authority.change_password(asked, old, new).await?;
        must(who.account == place && who.power.is_full(), "changes a password it may not")?;
        self.model.end_access_tokens(place, who.credential);
        if let Some((_, password)) = &mut self.model.accounts[place].login {
            *password = text;
        }
        self.tally.count("change password");
        Ok(())
    }

    /// Everything that only reads: nothing is told of an account that is not the caller's or below it.
    pub(super) async fn look(&mut self, who: &Who) -> Outcome {
        let place = self.place(who);
        self.note(|| format!("{} looks at account {place}", who.credential));
        if who.is_late {
            return Ok(());
        }
        let ground = self.ground.clone();
        let asked = who.asked(&ground, self, place);
        let (authority, id) = (&ground.authority, asked.account);
        if let Ok(account) = authority.load_account(asked).await {
            self.may(who, place, or_read(ACCOUNTS))?;
            must(account.id == id, "told of another account")?;
        }
        if let Ok(page) = authority.list_accounts(asked, 0, 100).await {
            self.may(who, place, or_read(ACCOUNTS))?;
            must(page.items.len() == self.model.children(place), "other children")?;
        }
        if let Ok(page) = authority.list_access_tokens(asked, AccessTokenList::all(0, 100)).await {
            self.may(who, place, or_read(ACCESS_TOKENS))?;
            must(page.items.iter().all(|token| token.account == id), "told of another account's tokens")?;
        }
        let list = List { name: None, search: None, offset: 0, limit: 100 };
        if let Ok(listed) = authority.list_service_tokens(asked, list).await {
            self.may(who, place, or_read(SERVICE_TOKENS))?;
            let is_theirs = listed.tokens.iter().all(|view| view.token.account == id);
            must(is_theirs, "told of another account's service tokens")?;
        }
        let filter = AuditFilter { account: Some(id), limit: 10, ..AuditFilter::default() };
        if let Ok(page) = authority.list_audit(&who.caller, filter).await {
            // What was done to an account that is gone stays known to the operator.
            if who.account != 0 || !self.model.is_gone(place) {
                self.may(who, place, AUDIT)?;
            }
            must(page.records.iter().all(|record| record.entry.account == id), "told of another audit")?;
        }
        self.look_at_others(who)?;
        self.look_at_organizations(who, place).await?;
        self.tally.count("look");
        Ok(())
    }

    /// Whether another credential is good is told to those above it only.
    fn look_at_others(&mut self, who: &Who) -> Outcome {
        let Some(other) = self.victim(|known| matches!(known.kind, Kind::Access { .. })) else {
            return Ok(());
        };
        let other = &self.model.credentials[other];
        let presented = Presented::access(other.secret()).unwrap();
        let authority = &self.ground.authority;
        let (within, at) = (who.caller.account, sighting(Door::Verify));
        let decision = authority.verify_for(within, &presented, &Demand::default(), at);
        let is_told = matches!(decision, Decision::Granted(_));
        must(!is_told || self.model.is_within(other.account, who.account), "verifies a stranger's token")
    }
}
