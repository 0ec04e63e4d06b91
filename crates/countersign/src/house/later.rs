//! What is known of the time after a backup: what the present store holds, and what was done since.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use anyhow::{anyhow, bail};
use countersign_domain::access_token::AccessToken;
use countersign_domain::account::Account;
use countersign_domain::archive::{Archive, Contents, Measure, Record};
use countersign_domain::audit::AuditRecord;
use countersign_domain::error::causes;
use countersign_domain::fact_digest::FactDigest;
use countersign_domain::id::{
    AccountId, ChangeId, Handle, MembershipId, OrganizationId, ServiceTokenId, TokenRef,
};
use countersign_domain::lineage::Lineage;
use countersign_domain::organization::{Membership, Organization};
use countersign_domain::service_token::ServiceToken;
use countersign_domain::signing_key::KeyGeneration;
use countersign_domain::store::Revision;

use super::audit_file;
use super::place::Place;
use super::said::Said;

/// What must be known of a backup before it is compared with anything.
pub(crate) struct Saved {
    pub(crate) root: AccountId,
    /// The root token set last.
    pub(super) root_token: Option<Handle>,
    pub(crate) contents: Contents,
    accounts: HashSet<AccountId>,
    /// Of every token, what the doors know. A version is not enough: two stores that went on from one backup have the same
    /// versions of different rows.
    tokens: HashMap<TokenRef, FactDigest>,
    audit: HashMap<Revision, ChangeId>,
    oldest: Revision,
    /// What its audit ends with.
    newest: Option<(Revision, ChangeId)>,
}

impl Saved {
    /// Reads all of a backup. What is there must be what it says is there.
    pub(crate) fn read(backup: &mut dyn Archive) -> anyhow::Result<Self> {
        let (mut root, mut root_token, mut accounts) = (None, None, HashSet::new());
        let (mut tokens, mut audit) = (HashMap::new(), HashMap::new());
        let mut measure = Measure::default();
        let contents = backup.export(&mut |record| {
            measure.add(&record);
            match record {
                Record::Account(Account { id, parent, .. }) => {
                    accounts.insert(id);
                    root = root.or(parent.is_none().then_some(id));
                }
                Record::RootToken(handle) => root_token = Some(handle),
                Record::Audit(record) => drop(audit.insert(record.revision, record.entry.id)),
                other => tokens.extend(token_of(&other).zip(other.digest())),
            }
            Ok(())
        });
        let contents = contents.map_err(|error| anyhow!("{}", causes(&error)))?;
        if measure.contents() != Some(contents) {
            bail!("its rows are not what they are counted and digested as");
        }
        let root = root.ok_or_else(|| anyhow!("it has no root account"))?;
        let oldest = audit.keys().min().copied().unwrap_or(Revision(0));
        let newest = audit.iter().map(|(revision, id)| (*revision, *id)).max();
        Ok(Self { root, root_token, contents, accounts, tokens, audit, oldest, newest })
    }

    /// Whether the backup has an account.
    pub(super) fn has_account(&self, id: AccountId) -> bool {
        self.accounts.contains(&id)
    }

    /// Whether the backup has a token.
    pub(super) fn has(&self, token: TokenRef) -> bool {
        self.tokens.contains_key(&token)
    }

    /// Whether the backup has a token as it is in this record of it.
    fn has_as_it_is(&self, token: TokenRef, record: &Record) -> bool {
        self.tokens.get(&token).is_some_and(|known| record.digest() == Some(*known))
    }

    /// Whether a change was made after the backup. What is older than its audit was forgotten before.
    fn is_later(&self, record: &AuditRecord) -> bool {
        record.revision >= self.oldest && self.audit.get(&record.revision) != Some(&record.entry.id)
    }

    /// Why a store is none that the backup became: then what it does not have may never have been in it.
    fn is_not_continued_by(&self, store: &Contents, oldest: Revision, has_newest: bool) -> Option<String> {
        let then = self.contents.revision;
        if store.revision < then {
            return Some(format!("it is at revision {}, and the backup at {then}", store.revision));
        }
        let (revision, _) = self.newest.filter(|_| !has_newest && oldest <= then)?;
        Some(format!("its audit does not have change {revision}, with which the backup ends"))
    }

    /// Whether another change has the place of this one.
    fn has_in_place_of(&self, record: &AuditRecord) -> bool {
        self.audit.contains_key(&record.revision)
    }
}

/// What is known of the time after a backup. Of tokens that have not changed since, only their names are kept.
pub(crate) struct Later<'s> {
    pub(super) saved: &'s Saved,
    pub(super) present: Option<Present>,
    /// What the present store held when it was read.
    pub(crate) read: Option<Contents>,
    /// What the present store does not tell: everything, where it is lost.
    pub(super) said: Said,
    /// What was done since, and can stand in the audit beside what was done before.
    pub(super) audit: BTreeMap<Revision, AuditRecord>,
    /// How many changes cannot: others have their places.
    pub(crate) without_place: usize,
    /// The greatest that was ever used, as far as is known.
    pub(super) last: Revision,
}

/// Learns what is known of the time after a backup: everything first, so that the latest word counts, whoever says it.
pub(crate) struct Learner<'s> {
    saved: &'s Saved,
    present: Option<Present>,
    read: Option<Contents>,
    /// Of the audit of the present store; what is older, its rows say.
    oldest: Revision,
    /// Each once, in their order.
    done: BTreeMap<(Revision, ChangeId), Done>,
}

/// What a file tells.
#[derive(Default)]
pub(crate) struct Told {
    /// How many changes since the backup.
    pub(crate) later: usize,
    /// It has one from before, too: so none is missing between.
    pub(crate) reaches_back: bool,
}

/// What was done after the backup.
struct Done {
    record: AuditRecord,
    /// The present store has it, and what came of it is in its rows.
    is_present: bool,
}

/// What the present store holds.
#[derive(Default)]
pub(super) struct Present {
    pub(super) accounts: HashMap<AccountId, Account>,
    pub(super) organizations: HashMap<OrganizationId, Organization>,
    pub(super) memberships: HashMap<MembershipId, Membership>,
    /// Those that the backup has as they are.
    unchanged: HashSet<TokenRef>,
    service_tokens: HashMap<ServiceTokenId, ServiceToken>,
    access_tokens: HashMap<Handle, AccessToken>,
    cuts: HashSet<Handle>,
    pub(super) root_tokens: Vec<Handle>,
    pub(super) key_generations: Vec<KeyGeneration>,
}

impl<'s> Learner<'s> {
    pub(crate) fn of(saved: &'s Saved) -> Self {
        Self { saved, present: None, read: None, oldest: Revision(0), done: BTreeMap::new() }
    }

    /// Learns what the present store holds.
    pub(crate) fn learn_from_store(
        &mut self,
        place: &Place,
        store: &mut dyn Archive,
    ) -> anyhow::Result<Contents> {
        let (mut present, mut oldest, mut done) = (Present::default(), None, Vec::new());
        let (mut measure, mut has_newest) = (Measure::default(), false);
        let contents = store.export(&mut |record| {
            measure.add(&record);
            match record {
                Record::Audit(record) => {
                    oldest = oldest.or(Some(record.revision));
                    has_newest |= self.saved.newest == Some((record.revision, record.entry.id));
                    done.extend(Some(record).filter(|record| self.saved.is_later(record)));
                }
                other => match token_of(&other) {
                    Some(token) if self.saved.has_as_it_is(token, &other) => {
                        present.unchanged.insert(token);
                    }
                    _ => present.take(other),
                },
            }
            Ok(())
        });
        let contents = contents.map_err(|error| place.untold(causes(&error)))?;
        // What could not be found in it would count as ended.
        if measure.contents() != Some(contents) {
            return Err(place.untold("its rows are not what they are counted and digested as"));
        }
        let root = present.accounts.values().find(|account| account.parent.is_none());
        if let Some(other) = root.filter(|root| root.id != self.saved.root) {
            bail!(
                "the present store is another one: its root account is {}, and {} in the backup; move it away, or name \
                 another place",
                other.id,
                self.saved.root
            );
        }
        let oldest = oldest.unwrap_or(Revision(contents.revision.0 + 1));
        let other = self.saved.is_not_continued_by(&contents, oldest, has_newest);
        if let Some(why) = other.filter(|_| !contents.rows.is_empty()) {
            return Err(place.untold(format!("it does not continue this backup ({why})")));
        }
        self.read = Some(contents);
        // An empty one has lost everything, and knows of no end.
        self.present = (!contents.rows.is_empty()).then_some(present);
        self.oldest = oldest;
        done.into_iter().for_each(|record| self.take(record, true));
        Ok(contents)
    }

    /// Learns what a file with audit records says. After the store.
    pub(crate) fn learn_from_file(&mut self, path: &Path) -> anyhow::Result<Told> {
        let (mut told, mut is_ours, mut records) = (Told::default(), false, 0_u64);
        audit_file::read(path, &mut |record| {
            records += 1;
            is_ours = is_ours || self.is_ours(&record);
            told.reaches_back |= record.revision <= self.saved.contents.revision;
            if self.saved.is_later(&record) {
                told.later += 1;
                self.take(record, false);
            }
        })?;
        if records > 0 && !is_ours {
            bail!(
                "{} is an audit of accounts that neither the backup nor the present store has; leave it out",
                path.display()
            );
        }
        Ok(told)
    }

    /// Whether a record is about an account that is known.
    fn is_ours(&self, record: &AuditRecord) -> bool {
        let account = record.entry.account;
        let present = self.present.as_ref();
        self.saved.has_account(account)
            || present.is_some_and(|present| present.accounts.contains_key(&account))
    }

    /// What was heard first stays: the store was.
    fn take(&mut self, record: AuditRecord, is_present: bool) {
        let place = (record.revision, record.entry.id);
        self.done.entry(place).or_insert(Done { record, is_present });
    }

    /// All that was learned.
    pub(crate) fn finish(self) -> Later<'s> {
        let Self { saved, present, read, oldest, done } = self;
        let last = read.map_or(saved.contents.revision, |read| read.revision.max(saved.contents.revision));
        let (said, audit) = (Said::default(), BTreeMap::new());
        let mut later = Later { saved, present, read, said, audit, without_place: 0, last };
        // In the audit, those of the present store have their places before others.
        let (present, others): (Vec<_>, Vec<_>) = done.into_values().partition(|done| done.is_present);
        for Done { record, is_present } in present.into_iter().chain(others) {
            // A row of the present store tells what came of all that its audit has, or has forgotten: an export of it may be
            // older. Only what it never knew, because it was lost with an earlier primary, is news.
            let is_news = !is_present && record.revision >= oldest;
            if later.present.is_none() || is_news {
                later.said.hear(&record);
            }
            later.last = later.last.max(record.revision);
            later.keep(record);
        }
        later
    }
}

impl Later<'_> {
    fn keep(&mut self, record: AuditRecord) {
        if self.saved.has_in_place_of(&record) {
            self.without_place += 1;
            return;
        }
        match self.audit.entry(record.revision) {
            Entry::Vacant(place) => drop(place.insert(record)),
            Entry::Occupied(_) => self.without_place += 1,
        }
    }
}

/// Which token a record is of.
fn token_of(record: &Record) -> Option<TokenRef> {
    match record {
        Record::ServiceToken(token) => Some(TokenRef::Service(token.id)),
        Record::AccessToken(token) => Some(TokenRef::Access(token.handle)),
        _ => None,
    }
}

impl Present {
    fn take(&mut self, record: Record) {
        match record {
            Record::Account(account) => drop(self.accounts.insert(account.id, account)),
            Record::Organization(row) => drop(self.organizations.insert(row.id, row)),
            Record::Membership(row) => drop(self.memberships.insert(row.id, row)),
            Record::ServiceToken(token) => drop(self.service_tokens.insert(token.id, token)),
            Record::AccessToken(token) => drop(self.access_tokens.insert(token.handle, token)),
            Record::RootToken(handle) => self.root_tokens.push(handle),
            Record::KeyGeneration(generation) => self.key_generations.push(generation),
            Record::Cut(handle) => drop(self.cuts.insert(handle)),
            Record::EpochSweep(_)
            | Record::Audit(_)
            | Record::Use(_)
            | Record::Refusals(_)
            | Record::End(_) => {}
        }
    }

    /// What became of a token of the backup; `None`: it has ended.
    pub(super) fn service_token<'t>(&'t self, saved: &'t ServiceToken) -> Option<&'t ServiceToken> {
        let is_unchanged = self.unchanged.contains(&TokenRef::Service(saved.id));
        let stored = if is_unchanged { Some(saved) } else { self.service_tokens.get(&saved.id) };
        stored.filter(|token| !self.is_cut(&token.lineage))
    }

    /// What became of a token of the backup; `None`: it has ended.
    pub(super) fn access_token<'t>(&'t self, saved: &'t AccessToken) -> Option<&'t AccessToken> {
        let is_unchanged = self.unchanged.contains(&TokenRef::Access(saved.handle));
        let stored = if is_unchanged { Some(saved) } else { self.access_tokens.get(&saved.handle) };
        stored.filter(|token| self.is_live(token))
    }

    /// The root token that is in force, when it was set or changed after the backup.
    pub(super) fn new_root_token(&self) -> Option<&AccessToken> {
        self.access_tokens.get(self.root_tokens.last()?).filter(|token| self.is_live(token))
    }

    fn is_live(&self, token: &AccessToken) -> bool {
        let account = self.accounts.get(&token.account);
        account.is_some_and(|account| token.epoch >= account.epoch) && !self.is_cut(&token.lineage)
    }

    /// Tokens that have changed since the backup, or were issued since, with what people call them.
    pub(super) fn changed_tokens(&self) -> impl Iterator<Item = (TokenRef, &str)> {
        let service_tokens = self.service_tokens.values().filter(|token| !self.is_cut(&token.lineage));
        let access_tokens = self.access_tokens.values().filter(|token| self.is_live(token));
        let service_tokens = service_tokens.map(|token| (TokenRef::Service(token.id), token.name.as_str()));
        service_tokens.chain(access_tokens.map(|token| {
            (TokenRef::Access(token.handle), token.name.as_ref().map_or("", |name| name.as_str()))
        }))
    }

    fn is_cut(&self, lineage: &Lineage) -> bool {
        lineage.handles().iter().any(|handle| self.cuts.contains(handle))
    }
}
