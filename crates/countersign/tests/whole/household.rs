//! An account with another below it, an organization, who belongs to it, and tokens: as it must be.

use crate::manager::Entry;

/// Most live tokens of the owner, so that lists stay short.
const MOST_TOKENS: usize = 8;
/// Longest line of tokens that stem from each other; the root token stands before them.
const LONGEST_LINEAGE: usize = 5;

/// What can be done to a household. A token is named by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    AdmitGuest,
    Update,
    /// By the owner, with this token.
    ChangePassword(usize),
    Disable,
    Enable,
    Delete,
    CreateOrganization,
    UpdateOrganization,
    Activate,
    Deactivate,
    Invite,
    Accept,
    Reject,
    EnableMembership,
    DisableMembership,
    ChangeRole,
    DeleteMembership,
    Mint,
    /// By the owner, with this token.
    MintBelow(usize),
    MintForGuest,
    Login,
    Impersonate,
    Revoke(usize),
    RevokeDescendants(usize),
    RevokeAll,
}

/// Whose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    Owner,
    Guest,
}

/// An access token.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) handle: String,
    /// `None` when the answer that showed it was lost.
    pub(crate) text: Option<String>,
    pub(crate) whose: Whose,
    /// The tokens from which it stems, by their handles.
    ancestors: Vec<String>,
    pub(crate) ended: bool,
    /// It has ended by a mark that stands for many: no door takes it any more, and lists may still show it until it is
    /// swept, which a disk that is full, or a kill, puts off.
    lingers: bool,
}

/// An organization of the owner.
#[derive(Debug)]
pub(crate) struct Organization {
    pub(crate) id: String,
    /// How often it has got another name.
    pub(crate) names: u32,
    pub(crate) active: bool,
}

/// That the guest belongs to the organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Membership {
    pub(crate) id: String,
    pub(crate) admin: bool,
    pub(crate) active: bool,
    pub(crate) disabled: bool,
    pub(crate) rejected: bool,
}

/// What an answer, or else the audit, says of something new.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Its id or handle.
    pub(crate) id: String,
    /// The text of a token.
    pub(crate) text: Option<String>,
}

/// All of it.
#[derive(Debug)]
pub(crate) struct Household {
    pub(crate) owner: String,
    pub(crate) email: String,
    /// How often it has got another first name, and another password.
    pub(crate) names: u32,
    pub(crate) passwords: u32,
    pub(crate) enabled: bool,
    pub(crate) deleted: bool,
    pub(crate) guest: Option<String>,
    pub(crate) organization: Option<Organization>,
    pub(crate) membership: Option<Membership>,
    pub(crate) tokens: Vec<Token>,
    /// What the audits of its accounts must say, oldest first.
    pub(crate) actions: Vec<&'static str>,
    /// What was asked for and not acknowledged.
    pub(crate) doubt: Option<Deed>,
    /// Whether it must be looked at again.
    pub(crate) touched: bool,
}

impl Deed {
    pub(crate) fn action(self) -> &'static str {
        match self {
            Self::AdmitGuest => "account.create",
            Self::Update => "account.update",
            Self::ChangePassword(_) => "account.change_password",
            Self::Disable => "account.disable",
            Self::Enable => "account.enable",
            Self::Delete => "account.delete",
            Self::CreateOrganization => "organization.create",
            Self::UpdateOrganization => "organization.update",
            Self::Activate => "organization.activate",
            Self::Deactivate => "organization.deactivate",
            Self::Invite => "membership.invite",
            Self::Accept => "membership.accept",
            Self::Reject => "membership.reject",
            Self::EnableMembership => "membership.enable",
            Self::DisableMembership => "membership.disable",
            Self::ChangeRole => "membership.change_role",
            Self::DeleteMembership => "membership.delete",
            Self::Mint | Self::MintBelow(_) | Self::MintForGuest => "access_token.issue",
            Self::Login => "access_token.login",
            Self::Impersonate => "access_token.impersonate",
            Self::Revoke(_) => "access_token.revoke",
            Self::RevokeDescendants(_) => "access_token.revoke_descendants",
            Self::RevokeAll => "access_token.revoke_all",
        }
    }

    /// What the audit says of something new.
    pub(crate) fn found(self, entry: &Entry) -> Found {
        let stated = |field: &str| entry.became.get(field).cloned();
        let id = match self {
            Self::CreateOrganization => stated("organization"),
            Self::Invite => stated("membership"),
            Self::AdmitGuest => entry.account.clone(),
            _ => entry.token.clone(),
        };
        Found { id: id.unwrap_or_default(), text: None }
    }
}

impl Household {
    pub(crate) fn new(owner: String, email: String) -> Self {
        Self {
            owner,
            email,
            names: 0,
            passwords: 0,
            enabled: true,
            deleted: false,
            guest: None,
            organization: None,
            membership: None,
            tokens: Vec::new(),
            actions: Vec::new(),
            doubt: None,
            touched: true,
        }
    }

    /// The password that the owner has, after so many others.
    pub(crate) fn password(&self, others: u32) -> String {
        format!("{} {others}", self.email)
    }

    /// The places of live tokens.
    fn live(&self, whose: Whose) -> impl Iterator<Item = usize> {
        let tokens = self.tokens.iter().enumerate();
        tokens.filter(move |(_, token)| !token.ended && token.whose == whose).map(|(place, _)| place)
    }

    /// All that can be done now.
    pub(crate) fn possible(&self) -> Vec<Deed> {
        if self.deleted {
            return Vec::new();
        }
        if !self.enabled {
            return vec![Deed::Enable, Deed::Enable, Deed::Update, Deed::Delete];
        }
        let mut deeds = vec![Deed::Update, Deed::Disable, Deed::Delete, Deed::RevokeAll];
        let shown: Vec<usize> =
            self.live(Whose::Owner).filter(|at| self.tokens[*at].text.is_some()).collect();
        if self.live(Whose::Owner).count() < MOST_TOKENS {
            deeds.extend([Deed::Mint, Deed::Login, Deed::Impersonate]);
            let short = |at: &&usize| self.tokens[**at].ancestors.len() < LONGEST_LINEAGE;
            deeds.extend(shown.iter().filter(short).map(|at| Deed::MintBelow(*at)));
        }
        deeds.extend(shown.first().map(|at| Deed::ChangePassword(*at)));
        for place in self.live(Whose::Owner).take(3) {
            deeds.extend([Deed::Revoke(place), Deed::RevokeDescendants(place)]);
        }
        match (&self.guest, shown.is_empty()) {
            (None, true) => {}
            (None, false) => deeds.push(Deed::AdmitGuest),
            (Some(_), _) if self.live(Whose::Guest).next().is_none() => deeds.push(Deed::MintForGuest),
            (Some(_), _) => {}
        }
        deeds.extend(self.possible_with_organization());
        deeds
    }

    fn possible_with_organization(&self) -> Vec<Deed> {
        let Some(organization) = &self.organization else { return vec![Deed::CreateOrganization] };
        if !organization.active {
            return vec![Deed::Activate];
        }
        let mut deeds = vec![Deed::UpdateOrganization, Deed::Deactivate];
        match &self.membership {
            None if self.guest.is_some() => deeds.push(Deed::Invite),
            None => {}
            Some(membership) => {
                deeds.extend([Deed::ChangeRole, Deed::DeleteMembership]);
                deeds.push(if membership.disabled {
                    Deed::EnableMembership
                } else {
                    Deed::DisableMembership
                });
                deeds.push(if membership.active { Deed::Reject } else { Deed::Accept });
            }
        }
        deeds
    }

    /// The deed is done.
    pub(crate) fn done(&mut self, deed: Deed, found: Found) {
        match deed {
            Deed::AdmitGuest => self.guest = Some(found.id),
            Deed::Update => self.names += 1,
            Deed::ChangePassword(place) => {
                self.passwords += 1;
                self.end_by_mark(|at, _| at != place);
            }
            Deed::Disable => self.enabled = false,
            Deed::Enable => self.enabled = true,
            Deed::Delete => self.deleted = true,
            Deed::CreateOrganization => {
                self.organization = Some(Organization { id: found.id, names: 0, active: true });
            }
            Deed::UpdateOrganization | Deed::Activate | Deed::Deactivate => self.change_organization(deed),
            Deed::Invite => {
                let (admin, active, disabled, rejected) = (false, false, false, false);
                self.membership = Some(Membership { id: found.id, admin, active, disabled, rejected });
            }
            Deed::DeleteMembership => self.membership = None,
            Deed::Accept
            | Deed::Reject
            | Deed::EnableMembership
            | Deed::DisableMembership
            | Deed::ChangeRole => {
                self.change_membership(deed);
            }
            Deed::Mint | Deed::Login | Deed::Impersonate => self.add_token(found, Whose::Owner, Vec::new()),
            Deed::MintForGuest => self.add_token(found, Whose::Guest, Vec::new()),
            Deed::MintBelow(place) => {
                let parent = &self.tokens[place];
                let ancestors = parent.ancestors.iter().chain([&parent.handle]).cloned().collect();
                self.add_token(found, Whose::Owner, ancestors);
            }
            Deed::Revoke(place) => self.tokens[place].ended = true,
            Deed::RevokeDescendants(place) => {
                let handle = self.tokens[place].handle.clone();
                self.end_by_mark(|at, token| at == place || token.ancestors.contains(&handle));
            }
            Deed::RevokeAll => self.end_by_mark(|_, _| true),
        }
        if deed != Deed::Delete {
            self.actions.push(deed.action());
        }
        self.touched = true;
    }

    /// Of the owner's.
    fn end_by_mark(&mut self, ends: impl Fn(usize, &Token) -> bool) {
        for (at, token) in self.tokens.iter_mut().enumerate() {
            if !token.ended && token.whose == Whose::Owner && ends(at, token) {
                (token.ended, token.lingers) = (true, true);
            }
        }
    }

    fn add_token(&mut self, found: Found, whose: Whose, ancestors: Vec<String>) {
        self.tokens.push(Token {
            handle: found.id,
            text: found.text,
            whose,
            ancestors,
            ended: false,
            lingers: false,
        });
    }

    fn change_organization(&mut self, deed: Deed) {
        let organization = self.organization.as_mut().expect("an organization");
        match deed {
            Deed::UpdateOrganization => organization.names += 1,
            deed => organization.active = deed == Deed::Activate,
        }
    }

    fn change_membership(&mut self, deed: Deed) {
        let membership = self.membership.as_mut().expect("a membership");
        match deed {
            Deed::ChangeRole => membership.admin = !membership.admin,
            Deed::EnableMembership | Deed::DisableMembership => {
                membership.disabled = deed == Deed::DisableMembership;
            }
            deed => {
                membership.active = deed == Deed::Accept;
                membership.rejected = deed == Deed::Reject;
            }
        }
    }

    /// The handles of live tokens.
    pub(crate) fn handles(&self, whose: Whose) -> Vec<&str> {
        self.live(whose).map(|place| &*self.tokens[place].handle).collect()
    }

    /// Whether a list may show this token, which has ended.
    pub(crate) fn lingers(&self, handle: &str) -> bool {
        self.tokens.iter().any(|token| token.lingers && token.handle == handle)
    }

    /// Whether the guest may act in the organization.
    pub(crate) fn lets_guest_in(&self) -> bool {
        let member = self.membership.as_ref().is_some_and(|it| it.active && !it.disabled);
        member && self.organization.as_ref().is_some_and(|it| it.active)
    }

    /// The status of the door's answer to a token.
    pub(crate) fn door(&self, token: &Token) -> u16 {
        match token.whose {
            _ if token.ended || self.deleted || !self.enabled => 401,
            Whose::Guest if !self.lets_guest_in() => 403,
            _ => 200,
        }
    }
}
