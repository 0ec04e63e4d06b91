//! What must be there: everything that was acknowledged; of what was not, all or nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::manager::{Entry, Issued, Listed, Manager, Unconfirmed};
use crate::random::Random;
use crate::steward::Steward;

/// So many live tokens a clerk keeps about, so that lists stay short.
const POOL: usize = 40;
/// How many stewards work beside the clerks.
pub(crate) const STEWARDS: u64 = 2;
/// Of the secrets that have ended, so many are tried again.
const ENDED_TRIED: usize = 3;
/// Before the next try of somebody who was told to come again.
const PAUSE: Duration = Duration::from_millis(5);
/// Longest time for something that has to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// What can be done to a token.
#[derive(Debug, Clone, Copy)]
enum Deed {
    Rotate {
        overlap: bool,
    },
    Disable,
    Enable,
    Rename,
    Refresh,
    /// Another duration.
    Update,
    Revoke,
}

/// How long a token lives, one or the other.
const DURATIONS: [&str; 2] = ["8760h", "9000h"];

/// A token as it must be.
#[derive(Debug)]
struct Token {
    name: String,
    duration: &'static str,
    client_id: String,
    version: u64,
    /// The current one; `None` when the answer that showed it was lost.
    secret: Option<String>,
    /// The one before, while both are accepted.
    previous: Option<String>,
    /// Those that must be refused, oldest first.
    ended: Vec<String>,
    enabled: bool,
    revoked: bool,
    /// What the audit must say of it, oldest first.
    actions: Vec<&'static str>,
    /// What was asked for and not acknowledged.
    doubt: Option<Deed>,
    /// Whether the door must be asked again.
    touched: bool,
}

/// Somebody who manages tokens of their own, one operation after the other, and remembers what was acknowledged.
struct Clerk {
    name: String,
    random: Random,
    tokens: BTreeMap<String, Token>,
    /// Those that something can be done to.
    live: Vec<String>,
    issued: usize,
    /// The names in issues that were not acknowledged.
    doubtful_issues: Vec<String>,
}

/// How far the clerks have come, all together, since there is a ledger.
#[derive(Default)]
pub(crate) struct Progress {
    acknowledged: AtomicUsize,
    refused: AtomicUsize,
    /// Somebody has stopped, because the server is gone or the test has failed.
    stopped: AtomicBool,
}

/// Some clerks and stewards, and what the audit has told so far.
pub(crate) struct Ledger {
    clerks: Vec<Clerk>,
    stewards: Vec<Steward>,
    audit: Vec<Entry>,
    pub(crate) progress: Progress,
    /// How many unacknowledged operations had been done after all.
    pub(crate) done_in_doubt: usize,
    /// How many had not.
    pub(crate) not_done: usize,
}

impl Deed {
    fn action(self) -> &'static str {
        match self {
            Self::Rotate { .. } => "service_token.rotate",
            Self::Disable => "service_token.disable",
            Self::Enable => "service_token.enable",
            Self::Rename => "service_token.rename",
            Self::Refresh => "service_token.refresh",
            Self::Update => "service_token.update",
            Self::Revoke => "service_token.revoke",
        }
    }
}

impl Token {
    fn issued(name: String, client_id: String, secret: Option<String>) -> Self {
        Self {
            name,
            duration: DURATIONS[0],
            client_id,
            version: 1,
            secret,
            previous: None,
            ended: Vec::new(),
            enabled: true,
            revoked: false,
            actions: vec!["service_token.issue"],
            doubt: None,
            touched: true,
        }
    }

    /// The deed is done. `secret`: the new one, when the answer came.
    fn done(&mut self, deed: Deed, secret: Option<String>) {
        match deed {
            Deed::Rotate { overlap } => {
                let old = std::mem::replace(&mut self.secret, secret);
                let before = std::mem::replace(&mut self.previous, if overlap { old.clone() } else { None });
                self.ended.extend(before);
                self.ended.extend(old.filter(|_| !overlap));
                self.version += 1;
            }
            Deed::Disable => self.enabled = false,
            Deed::Enable => self.enabled = true,
            Deed::Rename => self.name = self.next_name(),
            Deed::Refresh => {}
            Deed::Update => self.duration = self.next_duration(),
            Deed::Revoke => self.revoked = true,
        }
        self.actions.push(deed.action());
        self.touched = true;
    }

    fn next_name(&self) -> String {
        format!("{}'", self.name)
    }

    fn next_duration(&self) -> &'static str {
        if self.duration == DURATIONS[0] { DURATIONS[1] } else { DURATIONS[0] }
    }

    /// Whether a deed in doubt was done, by what the audit says.
    fn was_done(&self, deed: Deed, audited: &[&str]) -> bool {
        audited.get(self.actions.len()).is_some_and(|action| *action == deed.action())
    }

    fn check_list(&self, id: &str, seen: Option<&Listed>) {
        let wanted = (!self.revoked).then(|| Listed {
            id: id.to_owned(),
            name: self.name.clone(),
            client_id: self.client_id.clone(),
            enabled: self.enabled,
            version: self.version,
            duration: self.duration.to_owned(),
        });
        assert_eq!(seen, wanted.as_ref(), "what the list says of {id}: {self:?}");
    }

    fn check_door(&self, id: &str, manager: &mut Manager) {
        let opens = if self.enabled && !self.revoked { 200 } else { 401 };
        for secret in self.secret.iter().chain(&self.previous) {
            let status = manager.knock(&self.client_id, secret);
            assert_eq!(status, opens, "the door, a good secret of {id}: {self:?}");
        }
        for secret in self.ended.iter().rev().take(ENDED_TRIED) {
            assert_eq!(
                manager.knock(&self.client_id, secret),
                401,
                "the door, an old secret of {id}: {self:?}"
            );
        }
        let known = manager.is_known_at_the_door(&self.client_id);
        assert_eq!(known, !self.revoked, "whether the door knows {id}: {self:?}");
    }
}

impl Clerk {
    fn new(name: String, seed: u64) -> Self {
        Self {
            name,
            random: Random::seeded(seed),
            tokens: BTreeMap::new(),
            live: Vec::new(),
            issued: 0,
            doubtful_issues: Vec::new(),
        }
    }

    /// Does one thing. What is not confirmed is left alone until it is settled.
    fn step(&mut self, manager: &mut Manager) -> Result<(), Unconfirmed> {
        let room = POOL.saturating_sub(self.live.len()) as u64;
        if self.live.is_empty() || self.random.below(POOL as u64) < room {
            return self.issue(manager);
        }
        let place = self.random.below(self.live.len() as u64) as usize;
        let enabled = self.tokens[&self.live[place]].enabled;
        let switch = if enabled { Deed::Disable } else { Deed::Enable };
        let rotate = |overlap| Deed::Rotate { overlap };
        let deeds =
            [rotate(true), rotate(false), switch, Deed::Revoke, Deed::Rename, Deed::Refresh, Deed::Update];
        let deed = *self.random.one_of(&deeds);
        self.act(manager, place, deed)
    }

    fn issue(&mut self, manager: &mut Manager) -> Result<(), Unconfirmed> {
        self.issued += 1;
        let name = format!("{} {}", self.name, self.issued);
        match manager.issue(&name) {
            Ok(Issued { id, client_id, secret }) => {
                self.tokens.insert(id.clone(), Token::issued(name, client_id, Some(secret)));
                self.live.push(id);
                Ok(())
            }
            Err(unconfirmed) => {
                self.doubtful_issues.push(name);
                Err(unconfirmed)
            }
        }
    }

    fn act(&mut self, manager: &mut Manager, place: usize, deed: Deed) -> Result<(), Unconfirmed> {
        let id = self.live.swap_remove(place);
        let token = self.tokens.get_mut(&id).expect("a token of this clerk");
        let answer = match deed {
            Deed::Rotate { overlap } => manager.rotate(&id, overlap).map(Some),
            Deed::Disable => manager.set_enabled(&id, false).map(|()| None),
            Deed::Enable => manager.set_enabled(&id, true).map(|()| None),
            Deed::Rename => manager.rename(&id, &token.next_name()).map(|()| None),
            Deed::Refresh => manager.refresh(&id).map(|()| None),
            Deed::Update => manager.set_duration(&id, token.next_duration()).map(|()| None),
            Deed::Revoke => manager.revoke(&id).map(|()| None),
        };
        match answer {
            Ok(secret) => {
                token.done(deed, secret);
                if !token.revoked {
                    self.live.push(id);
                }
                Ok(())
            }
            Err(unconfirmed) => {
                token.doubt = Some(deed);
                Err(unconfirmed)
            }
        }
    }

    /// Finds out what became of what was not acknowledged; gives how many operations were done and how many not.
    fn settle(
        &mut self,
        list: &BTreeMap<String, Listed>,
        actions: &BTreeMap<&str, Vec<&str>>,
    ) -> (usize, usize) {
        let (mut done, mut not_done) = (0, 0);
        for name in self.doubtful_issues.drain(..) {
            match list.values().find(|seen| seen.name == name) {
                Some(seen) => {
                    let token = Token::issued(name, seen.client_id.clone(), None);
                    self.tokens.insert(seen.id.clone(), token);
                    self.live.push(seen.id.clone());
                    done += 1;
                }
                None => not_done += 1,
            }
        }
        for (id, token) in &mut self.tokens {
            let Some(deed) = token.doubt.take() else { continue };
            token.touched = true;
            if token.was_done(deed, actions.get(&**id).map_or(&[], Vec::as_slice)) {
                token.done(deed, None);
                done += 1;
            } else {
                not_done += 1;
            }
            if !token.revoked {
                self.live.push(id.clone());
            }
        }
        (done, not_done)
    }
}

/// Does one thing after the other until told to stop, or until the server is gone.
fn work(
    mut step: impl FnMut(&mut Manager) -> Result<(), Unconfirmed>,
    manager: &mut Manager,
    progress: &Progress,
    stop: &AtomicBool,
) {
    let _stopped = Stop(&progress.stopped);
    while !stop.load(Ordering::Relaxed) {
        match step(manager) {
            Ok(()) => progress.acknowledged.fetch_add(1, Ordering::Relaxed),
            Err(Unconfirmed::Refused(answer)) => {
                assert_eq!(answer.status, 503, "{answer:?}");
                assert!(answer.header("retry-after").is_some(), "{answer:?}");
                thread::sleep(PAUSE);
                progress.refused.fetch_add(1, Ordering::Relaxed)
            }
            Err(Unconfirmed::Lost) => return,
        };
    }
}

impl Progress {
    /// How many operations were acknowledged.
    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// How many were refused, with the request to come again.
    pub(crate) fn refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }

    /// Waits for so many more operations to be acknowledged; gives whether they were, in time.
    pub(crate) fn until_acknowledged(&self, more: usize) -> bool {
        until(self, Self::acknowledged, more)
    }

    /// As [`Progress::until_acknowledged`], of those that were refused.
    pub(crate) fn until_refused(&self, more: usize) -> bool {
        until(self, Self::refused, more)
    }
}

fn until(progress: &Progress, count: impl Fn(&Progress) -> usize, more: usize) -> bool {
    let (since, wanted) = (Instant::now(), count(progress) + more);
    let goes_on = || !progress.stopped.load(Ordering::Relaxed) && since.elapsed() < PATIENCE;
    while count(progress) < wanted && goes_on() {
        thread::sleep(Duration::from_millis(1));
    }
    count(progress) >= wanted
}

impl Ledger {
    /// With so many clerks.
    pub(crate) fn new(clerks: u64) -> Self {
        Self {
            clerks: (1..=clerks).map(|number| Clerk::new(format!("clerk {number}"), number)).collect(),
            stewards: (1..=STEWARDS)
                .map(|number| Steward::new(format!("steward-{number}"), number))
                .collect(),
            audit: Vec::new(),
            progress: Progress::default(),
            done_in_doubt: 0,
            not_done: 0,
        }
    }

    /// Every clerk and every steward works, each on a connection of its own, for as long as `meanwhile` goes on, or until the server is
    /// gone.
    pub(crate) fn work(&mut self, server: SocketAddr, meanwhile: impl FnOnce(&Progress)) {
        self.progress.stopped = AtomicBool::new(false);
        let (progress, stop) = (&self.progress, &AtomicBool::new(false));
        let (clerks, stewards) = (&mut self.clerks, &mut self.stewards);
        thread::scope(|scope| {
            let _stop = Stop(stop);
            for clerk in clerks {
                let mut manager = Manager::connect(server);
                scope.spawn(move || work(|manager| clerk.step(manager), &mut manager, progress, stop));
            }
            for steward in stewards {
                let mut manager = Manager::connect(server);
                scope.spawn(move || work(|manager| steward.step(manager), &mut manager, progress, stop));
            }
            meanwhile(progress);
        });
    }

    /// The id of a token that something can be done to.
    pub(crate) fn live_token(&self) -> String {
        self.clerks.iter().find_map(|clerk| clerk.live.first()).expect("a live token").clone()
    }

    /// Knocks at the door with what was changed since it was last asked and is not in doubt.
    pub(crate) fn check_doors(&self, server: SocketAddr) {
        let mut manager = Manager::connect(server);
        let tokens = self.clerks.iter().flat_map(|clerk| &clerk.tokens);
        for (id, token) in tokens.filter(|(_, token)| token.touched && token.doubt.is_none()) {
            token.check_door(id, &mut manager);
        }
        self.stewards.iter().for_each(|steward| steward.check_doors(&mut manager));
    }

    /// Compares everything with what the server says: the list, the audit, and the door where something was done since
    /// it was last asked.
    pub(crate) fn check(&mut self, server: SocketAddr) {
        let mut manager = Manager::connect(server);
        let list = listed_by_id(&mut manager);
        let last = self.audit.last().map_or(0, |entry| entry.revision);
        self.audit.extend(manager.audit_after(last));
        assert!(self.audit.is_sorted_by(|a, b| a.revision < b.revision), "a revision was used twice");
        let actions = actions_by_token(&self.audit);
        let clerks = self.clerks.iter_mut().map(|clerk| clerk.settle(&list, &actions));
        let stewards = self.stewards.iter_mut().map(|steward| steward.check(&self.audit, &mut manager));
        for (done, not_done) in clerks.chain(stewards) {
            self.done_in_doubt += done;
            self.not_done += not_done;
        }
        self.check_tokens(&list, &mut manager);
    }

    /// As [`Ledger::check`], for every token that ever was, and the audit from its beginning.
    pub(crate) fn check_everything(&mut self, server: SocketAddr) {
        self.check(server);
        self.clerks
            .iter_mut()
            .flat_map(|clerk| clerk.tokens.values_mut())
            .for_each(|token| token.touched = true);
        self.stewards.iter_mut().for_each(Steward::touch);
        assert_eq!(Manager::connect(server).audit_after(0), self.audit, "the audit has changed");
        self.check(server);
    }

    /// Every action that the audit was found to tell of.
    pub(crate) fn actions(&self) -> BTreeSet<&str> {
        let told = self.audit.iter().map(|entry| &*entry.action);
        told.chain(self.stewards.iter().flat_map(Steward::actions)).collect()
    }

    fn check_tokens(&mut self, list: &BTreeMap<String, Listed>, manager: &mut Manager) {
        let mut actions = actions_by_token(&self.audit);
        let mut listed = 0;
        for (id, token) in self.clerks.iter_mut().flat_map(|clerk| &mut clerk.tokens) {
            let seen = list.get(id);
            listed += usize::from(seen.is_some());
            token.check_list(id, seen);
            let audited = actions.remove(&**id).unwrap_or_default();
            assert_eq!(audited, token.actions, "what the audit says of {id}: {token:?}");
            if std::mem::take(&mut token.touched) {
                token.check_door(id, manager);
            }
        }
        assert_eq!(listed, list.len(), "tokens that nobody asked for: {list:?}");
        assert!(actions.is_empty(), "the audit knows of tokens that never were: {actions:?}");
    }
}

/// Set when dropped, also when the test fails meanwhile.
pub(crate) struct Stop<'a>(pub(crate) &'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn listed_by_id(manager: &mut Manager) -> BTreeMap<String, Listed> {
    manager.list().into_iter().map(|seen| (seen.id.clone(), seen)).collect()
}

/// What the audit says of each service token, oldest first.
fn actions_by_token(audit: &[Entry]) -> BTreeMap<&str, Vec<&str>> {
    let mut actions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for Entry { action, token, .. } in audit.iter().filter(|entry| entry.action.starts_with("service_token."))
    {
        let token = token.as_deref().unwrap_or_else(|| panic!("{action} of no token"));
        actions.entry(token).or_default().push(action);
    }
    actions
}
