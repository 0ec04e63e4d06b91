//! Somebody who manages households, one operation after the other, and remembers what was acknowledged.

use serde_json::{Value, json};

use crate::household::{Deed, Found, Household, Membership, Whose};
use crate::manager::{Entry, Manager, Unconfirmed};
use crate::random::Random;
use crate::server::TOKEN;

/// So many households a steward keeps about.
const POOL: usize = 4;
/// Once in so many times something is done that ends much.
const SELDOM: u64 = 6;
/// Of the tokens that have ended, so many are tried again.
const ENDED_TRIED: usize = 3;
/// Characters of a token's handle.
const HANDLE: usize = 22;

/// With all households that ever were.
pub(crate) struct Steward {
    name: String,
    random: Random,
    households: Vec<Household>,
    founded: usize,
    /// The addresses of those of which it was not acknowledged that they were founded.
    doubtful: Vec<String>,
}

impl Steward {
    pub(crate) fn new(name: String, seed: u64) -> Self {
        let (random, founded) = (Random::seeded(seed), 0);
        Self { name, random, households: Vec::new(), founded, doubtful: Vec::new() }
    }

    /// Does one thing. What is not confirmed is left alone until it is settled.
    pub(crate) fn step(&mut self, manager: &mut Manager) -> Result<(), Unconfirmed> {
        let at_hand = |household: &Household| !household.deleted && household.doubt.is_none();
        let places: Vec<usize> =
            (0..self.households.len()).filter(|place| at_hand(&self.households[*place])).collect();
        if places.len() < POOL {
            return self.found(manager);
        }
        let household = &mut self.households[*self.random.one_of(&places)];
        let mut possible = household.possible();
        if self.random.below(SELDOM) > 0 {
            // Else hardly any would live to see the rest.
            possible.retain(|deed| !matches!(deed, Deed::Disable | Deed::Delete | Deed::DeleteMembership));
        }
        let deed = *self.random.one_of(&possible);
        match perform(household, deed, manager) {
            Ok(found) => {
                household.done(deed, found);
                Ok(())
            }
            Err(unconfirmed) => {
                household.doubt = Some(deed);
                Err(unconfirmed)
            }
        }
    }

    fn found(&mut self, manager: &mut Manager) -> Result<(), Unconfirmed> {
        self.founded += 1;
        let email = format!("{}-{}@example.com", self.name, self.founded);
        let household = Household::new(String::new(), email.clone());
        let body = json!({ "email": email, "password": household.password(0) });
        match manager.confirmed_as(TOKEN, "POST", "/v1/Accounts", &body) {
            Ok(account) => {
                self.households.push(Household { owner: text(&account, "id"), ..household });
                Ok(())
            }
            Err(unconfirmed) => {
                self.doubtful.push(email);
                Err(unconfirmed)
            }
        }
    }

    /// Knocks at the door with what was changed since it was last asked and is not in doubt.
    pub(crate) fn check_doors(&self, manager: &mut Manager) {
        let settled = |household: &&Household| household.touched && household.doubt.is_none();
        self.households.iter().filter(settled).for_each(|household| check_door(household, manager));
    }

    /// What the audits were found to tell of.
    pub(crate) fn actions(&self) -> impl Iterator<Item = &str> {
        self.households.iter().flat_map(|household| household.actions.iter().copied())
    }

    /// Everything has to be looked at again.
    pub(crate) fn touch(&mut self) {
        self.households.iter_mut().for_each(|household| household.touched = true);
    }

    /// Finds out what became of what was not acknowledged, and compares all with what the server says. Gives how many
    /// operations were done and how many not. `audit`: of the root account.
    pub(crate) fn check(&mut self, audit: &[Entry], manager: &mut Manager) -> (usize, usize) {
        let (mut done, mut not_done) = (0, 0);
        for email in self.doubtful.drain(..) {
            let made = audit.iter().find(|entry| entry.became.get("email") == Some(&email));
            match made.and_then(|entry| entry.account.clone()) {
                Some(owner) => {
                    self.households.push(Household::new(owner, email));
                    done += 1;
                }
                None => not_done += 1,
            }
        }
        for household in &mut self.households {
            if let Some(deed) = household.doubt.take() {
                let was_done = settle(household, deed, audit, manager);
                done += usize::from(was_done);
                not_done += usize::from(!was_done);
                household.touched = true;
            }
            if std::mem::take(&mut household.touched) {
                check_lists(household, audit, manager);
                check_door(household, manager);
            }
        }
        (done, not_done)
    }
}

fn text(answer: &Value, field: &str) -> String {
    answer[field].as_str().unwrap_or_else(|| panic!("{field}: {answer}")).to_owned()
}

/// Asks for it.
fn perform(household: &Household, deed: Deed, manager: &mut Manager) -> Result<Found, Unconfirmed> {
    let mut caller = TOKEN;
    if let Deed::ChangePassword(place) | Deed::MintBelow(place) = deed {
        caller = household.tokens[place].text.as_deref().expect("a token that was shown");
    } else if deed == Deed::AdmitGuest {
        let token = household
            .tokens
            .iter()
            .find(|token| !token.ended && token.whose == Whose::Owner && token.text.is_some());
        caller = token.and_then(|token| token.text.as_deref()).expect("a token that was shown");
    }
    let (method, path, body) = request(household, deed);
    let answer = manager.confirmed_as(caller, method, &format!("/v1/{path}"), &body)?;
    let id = answer["id"].as_str().unwrap_or_default().to_owned();
    Ok(match deed {
        Deed::Mint | Deed::MintBelow(_) | Deed::MintForGuest | Deed::Login | Deed::Impersonate => {
            Found { id: id[..HANDLE].to_owned(), text: Some(id) }
        }
        _ => Found { id, text: None },
    })
}

/// Method, path and body.
fn request(household: &Household, deed: Deed) -> (&'static str, String, Value) {
    let owner = &household.owner;
    let account = |rest: &str| format!("Accounts/{owner}{rest}");
    let guest = household.guest.clone().unwrap_or_default();
    let token = |place: usize, query: &str| {
        account(&format!("/accessTokens/{}{query}", household.tokens[place].handle))
    };
    let (id, names) = household.organization.as_ref().map_or(("", 0), |it| (&*it.id, it.names));
    let organization = |rest: &str| format!("Organizations/{id}{rest}");
    let membership = |rest: &str| {
        let id = household.membership.as_ref().map_or("", |membership| &membership.id);
        format!("AccountOrganizations/{id}{rest}")
    };
    let password = household.password(household.passwords);
    let nothing = || json!({});
    match deed {
        Deed::AdmitGuest => {
            let email = format!("guest-of-{}", household.email);
            ("POST", "Accounts".into(), json!({ "email": email, "password": null }))
        }
        Deed::Update => ("PATCH", account(""), json!({ "firstname": name(household.names + 1) })),
        Deed::ChangePassword(_) => {
            let new = household.password(household.passwords + 1);
            (
                "POST",
                "Accounts/change-password".into(),
                json!({ "oldPassword": password, "newPassword": new }),
            )
        }
        Deed::Disable => ("POST", account("/disable"), nothing()),
        Deed::Enable => ("POST", account("/enable"), nothing()),
        Deed::Delete => ("DELETE", account(""), Value::Null),
        Deed::CreateOrganization => ("POST", account("/organizations"), json!({ "name": name(0) })),
        Deed::UpdateOrganization => ("PATCH", organization(""), json!({ "name": name(names + 1) })),
        Deed::Activate => ("POST", organization("/activate"), nothing()),
        Deed::Deactivate => ("POST", organization("/deactivate"), nothing()),
        Deed::Invite => ("POST", organization("/invite"), json!({ "accountId": guest })),
        Deed::Accept => ("POST", membership("/accept"), nothing()),
        Deed::Reject => ("POST", membership("/reject"), nothing()),
        Deed::EnableMembership => ("POST", membership("/enable"), nothing()),
        Deed::DisableMembership => ("POST", membership("/disable"), nothing()),
        Deed::ChangeRole => {
            let is_admin = household.membership.as_ref().is_some_and(|membership| membership.admin);
            ("POST", membership("/change-role"), json!({ "role": role(!is_admin) }))
        }
        Deed::DeleteMembership => ("DELETE", membership(""), Value::Null),
        Deed::Mint | Deed::MintBelow(_) => ("POST", account("/accessTokens"), nothing()),
        Deed::MintForGuest => ("POST", format!("Accounts/{guest}/accessTokens"), nothing()),
        Deed::Login => {
            ("POST", "Accounts/login".into(), json!({ "email": household.email, "password": password }))
        }
        Deed::Impersonate => ("POST", "Accounts/impersonate".into(), json!({ "id": owner })),
        Deed::Revoke(place) => ("DELETE", token(place, ""), Value::Null),
        Deed::RevokeDescendants(place) => ("DELETE", token(place, "?descendants=true"), Value::Null),
        Deed::RevokeAll => ("POST", account("/revoke-access-tokens"), nothing()),
    }
}

fn name(number: u32) -> String {
    format!("name {number}")
}

fn role(is_admin: bool) -> &'static str {
    if is_admin { "admin" } else { "default" }
}

/// What the audits of the owner and of the guest say, oldest first.
fn audit_of(household: &Household, manager: &mut Manager) -> Vec<Entry> {
    let mut entries = manager.audit_of(&household.owner, 0);
    if let Some(guest) = &household.guest {
        entries.extend(manager.audit_of(guest, 0));
    }
    entries.sort_by_key(|entry| entry.revision);
    entries
}

fn is_deleted(household: &Household, audit: &[Entry]) -> bool {
    let of_owner = |entry: &&Entry| entry.account.as_ref() == Some(&household.owner);
    audit.iter().filter(of_owner).any(|entry| entry.action == Deed::Delete.action())
}

/// Whether what was not acknowledged was done, by what the audit says; then it is done here as well.
fn settle(household: &mut Household, deed: Deed, audit: &[Entry], manager: &mut Manager) -> bool {
    if deed == Deed::Delete {
        let was_done = is_deleted(household, audit);
        if was_done {
            household.done(deed, Found::default());
        }
        return was_done;
    }
    let entries = audit_of(household, manager);
    let Some(entry) = entries.get(household.actions.len()) else { return false };
    assert_eq!(entry.action, deed.action(), "what nobody asked for was done: {household:?}");
    household.done(deed, deed.found(entry));
    true
}

fn check_lists(household: &Household, audit: &[Entry], manager: &mut Manager) {
    assert_eq!(is_deleted(household, audit), household.deleted, "what the audit says: {household:?}");
    let owner = format!("/v1/Accounts/{}", household.owner);
    let answer = manager.ask("GET", &owner, &Value::Null).expect("an answer");
    if household.deleted {
        assert_eq!(answer.status, 401, "it has ended: {household:?}");
        if let Some(guest) = &household.guest {
            let answer =
                manager.ask("GET", &format!("/v1/Accounts/{guest}"), &Value::Null).expect("an answer");
            assert_eq!(answer.status, 401, "and what was below it: {household:?}");
        }
        return;
    }
    let actions: Vec<String> = audit_of(household, manager).into_iter().map(|entry| entry.action).collect();
    assert_eq!(actions, household.actions, "what the audit says: {household:?}");
    let account = answer.json();
    let names = if household.names == 0 { Value::Null } else { name(household.names).into() };
    assert_eq!(
        (&account["email"], &account["firstname"], &account["disabled"]),
        (&json!(household.email), &names, &json!(!household.enabled)),
        "{household:?}"
    );
    check_tokens(household, Whose::Owner, &owner, manager);
    if let Some(guest) = &household.guest {
        check_tokens(household, Whose::Guest, &format!("/v1/Accounts/{guest}"), manager);
    }
    check_organization(household, &owner, manager);
}

fn check_tokens(household: &Household, whose: Whose, account: &str, manager: &mut Manager) {
    let listed = manager.done("GET", &format!("{account}/accessTokens"), Value::Null);
    let listed = listed.as_array().expect("a list").iter().map(|row| text(row, "id"));
    let listed: Vec<String> = listed.filter(|handle| !household.lingers(handle)).collect();
    assert_eq!(listed, household.handles(whose), "its tokens: {household:?}");
}

fn check_organization(household: &Household, owner: &str, manager: &mut Manager) {
    let listed = manager.done("GET", &format!("{owner}/organizations"), Value::Null);
    let seen = listed.as_array().expect("a list").iter();
    let seen: Vec<_> = seen.map(|row| (text(row, "id"), text(row, "name"), row["active"] == true)).collect();
    let wanted = household.organization.iter();
    let wanted: Vec<_> = wanted.map(|it| (it.id.clone(), name(it.names), it.active)).collect();
    assert_eq!(seen, wanted, "its organization: {household:?}");
    if let Some(organization) = &household.organization {
        let path = format!("/v1/Organizations/{}/accountorganizations", organization.id);
        let listed = manager.done("GET", &path, Value::Null);
        let rows =
            listed.as_array().expect("a list").iter().filter(|row| row["accountId"] != *household.owner);
        let seen: Vec<Membership> = rows.map(membership).collect();
        assert_eq!(seen.first(), household.membership.as_ref(), "who belongs to it: {household:?}");
        assert!(seen.len() <= 1, "{seen:?}");
    }
}

fn membership(row: &Value) -> Membership {
    Membership {
        id: text(row, "id"),
        admin: row["role"] == role(true),
        active: row["active"] == true,
        disabled: row["disabled"] == true,
        rejected: row["rejected"] == true,
    }
}

fn check_door(household: &Household, manager: &mut Manager) {
    let ended = household.tokens.iter().rev().filter(|token| token.ended).take(ENDED_TRIED);
    for token in household.tokens.iter().filter(|token| !token.ended).chain(ended) {
        let Some(text) = &token.text else { continue };
        let demand = match (token.whose, &household.organization) {
            (Whose::Owner, _) => format!("account={}", household.owner),
            (Whose::Guest, Some(organization)) => format!("organization={}", organization.id),
            (Whose::Guest, None) => continue,
        };
        let status = manager.knock_with(text, &demand);
        assert_eq!(status, household.door(token), "the door, {}: {household:?}", token.handle);
    }
}
