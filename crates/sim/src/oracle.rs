//! What must be true: a record of what was asked for and what was acknowledged, and what follows for a door.
//!
//! Of everything that can be on or off it is known who turned it, from when on and until when. It *must* be on when somebody
//! has turned it on, whoever asks may know of that, and nobody can have turned it off later; and the other way round.
//! Where both may be, nothing is demanded.

use std::time::Duration;

use countersign_domain::id::{AccountId, Handle, ServiceTokenId};
use countersign_domain::lease::Lease;
use countersign_domain::secret::Secret;
use countersign_domain::time::Timestamp;

use crate::chance::Chance;

/// From where something is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) enum View {
    /// From a node that knows what is acknowledged: by itself at once, and by others after the lease's term.
    Node(usize),
    /// From the database, or from a node that has just heard of everything.
    Database,
}

/// How far a write has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It may happen, or may have happened.
    Open,
    /// It was acknowledged by a node.
    Done { step: u64, at: Duration, node: usize },
    /// It did not happen and will not.
    Failed,
    /// It was so from the beginning.
    Given,
}

#[derive(Debug)]
struct Write {
    value: u32,
    begun: u64,
    end: End,
}

impl Write {
    fn is_known(&self, view: View, now: Duration) -> bool {
        match (self.end, view) {
            (End::Given, _) | (End::Done { .. }, View::Database) => true,
            (End::Done { at, node, .. }, View::Node(asked)) => node == asked || now >= at + Lease::TERM,
            (End::Open | End::Failed, _) => false,
        }
    }

    /// Whether it may have taken effect after something that began then.
    fn may_follow(&self, begun: u64) -> bool {
        match self.end {
            End::Open => true,
            End::Done { step, .. } => step >= begun,
            End::Failed | End::Given => false,
        }
    }
}

/// A value that is written now and then.
#[derive(Debug, Default)]
struct Register(Vec<Write>);

impl Register {
    fn given(value: u32) -> Self {
        Self(vec![Write { value, begun: 0, end: End::Given }])
    }

    /// Whether it must have this value, or must not; `None` when it may.
    fn must_be(&self, value: u32, view: View, now: Duration) -> Option<bool> {
        let is_settled = |is: bool| {
            let fits = |write: &&Write| (write.value == value) == is;
            let others = || self.0.iter().filter(|write| (write.value == value) != is);
            let holds = |write: &Write| {
                write.is_known(view, now) && !others().any(|other| other.may_follow(write.begun))
            };
            self.0.iter().filter(fits).any(holds)
        };
        match (is_settled(true), is_settled(false)) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        }
    }
}

/// What of a token or an account is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Switch {
    AccountEnabled(usize),
    TokenEnabled(usize),
    /// 1 until the token is revoked.
    TokenThere(usize),
    /// 1 until the token is revoked with what stems from it.
    OffspringThere(usize),
    /// The number of the secret that opens.
    Secret(usize),
}

/// A write that goes on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pending {
    switch: Switch,
    index: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    Service(ServiceTokenId),
    Access(Handle),
}

struct Account {
    id: AccountId,
    parent: Option<usize>,
    enabled: Register,
}

struct Token {
    name: Name,
    /// What it is shown with beside its secret; empty for access tokens.
    client_id: String,
    account: usize,
    minter: Option<usize>,
    expires_at: Timestamp,
    enabled: Register,
    there: Register,
    offspring: Register,
    secret: Register,
    texts: Vec<(u32, Secret)>,
}

/// A secret of a token that was handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) token: usize,
    text: usize,
}

/// A token that was handed out.
pub(crate) struct Issued {
    pub(crate) name: Name,
    pub(crate) client_id: String,
    pub(crate) account: usize,
    pub(crate) minter: Option<usize>,
    pub(crate) expires_at: Timestamp,
    pub(crate) text: Secret,
}

#[derive(Default)]
pub(crate) struct Oracle {
    /// Of the schedule.
    pub(crate) step: u64,
    pub(crate) now: Duration,
    accounts: Vec<Account>,
    tokens: Vec<Token>,
    /// Keys of what was acknowledged last.
    recent: Vec<Key>,
    next_secret: u32,
    pub(crate) acknowledged: u64,
}

impl Oracle {
    pub(crate) fn add_account(&mut self, id: AccountId, parent: Option<usize>) {
        self.accounts.push(Account { id, parent, enabled: Register::given(1) });
    }

    pub(crate) fn account(&self, account: usize) -> AccountId {
        self.accounts[account].id
    }

    pub(crate) fn accounts(&self) -> usize {
        self.accounts.len()
    }

    pub(crate) fn tokens(&self) -> usize {
        self.tokens.len()
    }

    pub(crate) fn name(&self, token: usize) -> Name {
        self.tokens[token].name
    }

    pub(crate) fn account_of(&self, token: usize) -> usize {
        self.tokens[token].account
    }

    /// What is shown of the key: the public half, where there is one, and the secret.
    pub(crate) fn shown(&self, key: Key) -> (&str, &str) {
        let token = &self.tokens[key.token];
        (&token.client_id, token.texts[key.text].1.reveal())
    }

    /// Every key that was ever handed out.
    pub(crate) fn keys(&self) -> Vec<Key> {
        let of_token = |(token, known): (usize, &Token)| {
            (0..known.texts.len()).map(move |text| Key { token, text }).collect::<Vec<_>>()
        };
        self.tokens.iter().enumerate().flat_map(of_token).collect()
    }

    /// One of those, but not the root token's: that is always good.
    pub(crate) fn any_key(&self, chance: &mut Chance) -> Option<Key> {
        let token = 1 + chance.below(self.tokens.len().saturating_sub(1));
        let text = chance.below(self.tokens.get(token)?.texts.len());
        Some(Key { token, text })
    }

    pub(crate) fn last_key(&self, token: usize) -> Key {
        Key { token, text: self.tokens[token].texts.len() - 1 }
    }

    pub(crate) fn recent(&self) -> &[Key] {
        &self.recent
    }

    fn register(&mut self, switch: Switch) -> &mut Register {
        match switch {
            Switch::AccountEnabled(account) => &mut self.accounts[account].enabled,
            Switch::TokenEnabled(token) => &mut self.tokens[token].enabled,
            Switch::TokenThere(token) => &mut self.tokens[token].there,
            Switch::OffspringThere(token) => &mut self.tokens[token].offspring,
            Switch::Secret(token) => &mut self.tokens[token].secret,
        }
    }

    /// From now on this may be written.
    pub(crate) fn begin(&mut self, switch: Switch, value: u32) -> Pending {
        let begun = self.step;
        let register = self.register(switch);
        register.0.push(Write { value, begun, end: End::Open });
        Pending { switch, index: register.0.len() - 1 }
    }

    /// It was acknowledged.
    pub(crate) fn done(&mut self, pending: &[Pending], node: usize) {
        let end = End::Done { step: self.step, at: self.now, node };
        for write in pending {
            self.register(write.switch).0[write.index].end = end;
            self.note(write.switch);
        }
        self.acknowledged += 1;
    }

    /// It was not done. What is in doubt stays open.
    pub(crate) fn failed(&mut self, pending: &[Pending]) {
        pending.iter().for_each(|write| self.register(write.switch).0[write.index].end = End::Failed);
    }

    fn note(&mut self, switch: Switch) {
        let is_meant = |oracle: &Self, key: &Key| match switch {
            Switch::AccountEnabled(account) => oracle.tokens[key.token].account >= account,
            Switch::OffspringThere(token) => oracle.tokens[key.token].minter == Some(token),
            Switch::TokenEnabled(token) | Switch::TokenThere(token) | Switch::Secret(token) => {
                key.token == token
            }
        };
        let keys: Vec<_> = self.keys().into_iter().filter(|key| is_meant(self, key)).collect();
        self.recent.extend(keys);
        let surplus = self.recent.len().saturating_sub(6);
        self.recent.drain(..surplus);
    }

    pub(crate) fn new_secret(&mut self) -> u32 {
        self.next_secret += 1;
        self.next_secret
    }

    /// A token was issued by an operation that began then; `node`: by which, `None` where everybody knows.
    pub(crate) fn issued(&mut self, issued: Issued, begun: u64, node: Option<usize>) {
        let secret = self.new_secret();
        let (step, at) = (self.step, self.now);
        let end = node.map_or(End::Given, |node| End::Done { step, at, node });
        let Issued { name, client_id, account, minter, expires_at, text } = issued;
        self.tokens.push(Token {
            name,
            client_id,
            account,
            minter,
            expires_at,
            enabled: Register::given(1),
            there: Register(vec![Write { value: 1, begun, end }]),
            offspring: Register::given(1),
            secret: Register(vec![Write { value: secret, begun, end }]),
            texts: vec![(secret, text)],
        });
        self.note(Switch::TokenThere(self.tokens.len() - 1));
        self.acknowledged += 1;
    }

    /// A new secret of a token was handed out.
    pub(crate) fn rotated(&mut self, token: usize, secret: u32, text: Secret) {
        self.tokens[token].texts.push((secret, text));
        self.note(Switch::Secret(token));
    }

    /// Whether a door must grant this, or must not; `None` when it may.
    pub(crate) fn must_grant(&self, key: Key, view: View, time: Timestamp) -> Option<bool> {
        let token = &self.tokens[key.token];
        let shown = token.texts[key.text].0;
        let is_current = token.secret.must_be(shown, view, self.now);
        let is_unexpired = Some(token.expires_at > time);
        all([is_current, is_unexpired, self.must_live(key.token, view)])
    }

    /// Whether a token must be good, apart from its expiry, or must not be.
    fn must_live(&self, number: usize, view: View) -> Option<bool> {
        let token = &self.tokens[number];
        let is_on = |register: &Register| register.must_be(1, view, self.now);
        let minters = std::iter::successors(token.minter, |minter| self.tokens[*minter].minter);
        let ancestors = minters.map(|minter| is_on(&self.tokens[minter].offspring));
        let parent = |account: &usize| self.accounts[*account].parent;
        let accounts = std::iter::successors(Some(token.account), parent);
        let accounts = accounts.map(|account| is_on(&self.accounts[account].enabled));
        all([is_on(&token.there), is_on(&token.enabled)].into_iter().chain(ancestors).chain(accounts))
    }

    /// Whether a change in the name of this token, that was committed just now, is one that must not be.
    pub(crate) fn was_revoked(&self, handle: Handle) -> bool {
        let known = self.tokens.iter().position(|token| token.name == Name::Access(handle));
        known.is_some_and(|token| self.must_live(token, View::Database) == Some(false))
    }
}

/// Whether all must be, or one must not be.
fn all(parts: impl IntoIterator<Item = Option<bool>>) -> Option<bool> {
    let mut certain = Some(true);
    for part in parts {
        match part {
            Some(true) => {}
            Some(false) => return Some(false),
            None => certain = None,
        }
    }
    certain
}
