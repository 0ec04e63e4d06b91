//! One database for all nodes: transactions that take time, a feed, a history that a failover changes.
//!
//! Its tables are the model of the store contract. A transaction gets its number when it begins, and does everything else
//! at its commit; so what locks are for in a real database does not happen here.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use countersign_domain::audit::Actor;
use countersign_domain::change::{Change, FactChange, Subject};
use countersign_domain::following::{Cursor, Lost, Moment, Place, Transaction, in_order};
use countersign_domain::id::{ChangeId, Handle};
use countersign_domain::store::{Revision, SharedStore, Store, StoreError, Version};
use countersign_domain::time::{Clock, Timestamp, Uptime};
use countersign_store_conformance::doubles::{ManualClock, ManualUptime, RecordingSink};
use countersign_store_conformance::model::ModelStore;
use countersign_store_conformance::world::load_facts;

use crate::chance::Chance;
use crate::pause::{finish, lock};

/// After so long a node that is not heard of is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);

/// What a transaction did.
pub(crate) type Done = (Revision, Vec<FactChange>);

/// What a transaction is about.
#[derive(Clone)]
pub(crate) enum Work {
    Change(Box<Change>),
    SweepEnded(u32),
    /// Whatever somebody else does in the same cluster.
    Nothing,
}

impl Work {
    fn id(&self) -> Option<ChangeId> {
        match self {
            Self::Change(change) => Some(change.audit.id),
            Self::SweepEnded(_) | Self::Nothing => None,
        }
    }
}

/// How a node and the database are connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    Up,
    /// What is sent fails.
    Cut,
    /// What is sent is not answered, until that changes.
    Hanging,
}

/// A transaction that has begun.
struct Open {
    work: Work,
    /// The node that waits for it; `None` when nobody does any more.
    node: Option<usize>,
    commit_was_asked: bool,
}

/// A transaction of a history that is over.
pub(crate) struct TransactionLost;

/// What became of a change.
pub(crate) enum Fate {
    StillOpen,
    Committed(Done),
    NotThere,
}

pub(crate) struct Database {
    tables: Arc<ModelStore>,
    published: Arc<RecordingSink>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) uptime: Arc<ManualUptime>,
    state: Mutex<State>,
}

struct State {
    history: u64,
    next: u64,
    last_committed: u64,
    open: BTreeMap<u64, Open>,
    /// Of transactions that are over, until somebody hears of it.
    answers: BTreeMap<u64, Result<Done, StoreError>>,
    committed: BTreeMap<ChangeId, Done>,
    /// What was changed by which transaction.
    feed: Vec<(u64, FactChange)>,
    /// The nodes' rows: what each has seen, and when it said so.
    rows: BTreeMap<u64, (u64, Timestamp)>,
    next_row: u64,
    links: Vec<Link>,
    /// In whose name something was committed, since that was asked last.
    actors: Vec<Handle>,
    chance: Chance,
}

impl Database {
    pub(crate) fn new(nodes: usize, chance: Chance) -> Self {
        let published = Arc::<RecordingSink>::default();
        let state = State {
            history: 1,
            next: 1,
            last_committed: 0,
            open: BTreeMap::new(),
            answers: BTreeMap::new(),
            committed: BTreeMap::new(),
            feed: Vec::new(),
            rows: BTreeMap::new(),
            next_row: 1,
            links: vec![Link::Up; nodes],
            actors: Vec::new(),
            chance,
        };
        Self {
            tables: Arc::new(ModelStore::new(Arc::clone(&published) as _)),
            published,
            clock: Arc::default(),
            uptime: Arc::default(),
            state: Mutex::new(state),
        }
    }

    pub(crate) fn tables(&self) -> &ModelStore {
        &self.tables
    }

    pub(crate) fn uptime(&self) -> Duration {
        self.uptime.uptime()
    }

    pub(crate) fn advance(&self, span: Duration) {
        self.clock.advance(span);
        self.uptime.advance(span);
    }

    pub(crate) fn link(&self, node: usize) -> Link {
        lock(&self.state).links[node]
    }

    pub(crate) fn set_link(&self, node: usize, link: Link) {
        lock(&self.state).links[node] = link;
    }

    pub(crate) fn history(&self) -> u64 {
        lock(&self.state).history
    }

    /// Whether something that was sent when the connection broke has arrived.
    pub(crate) fn has_arrived(&self) -> bool {
        lock(&self.state).chance.one_in(2)
    }

    pub(crate) fn begin(&self, work: Work, node: Option<usize>) -> Transaction {
        let mut state = lock(&self.state);
        let transaction = Transaction { history: state.history.to_string(), number: state.next };
        state.next += 1;
        state.open.insert(transaction.number, Open { work, node, commit_was_asked: false });
        transaction
    }

    pub(crate) fn ask_commit(&self, transaction: &Transaction) {
        if let Some(open) = lock(&self.state).open_of(transaction) {
            open.commit_was_asked = true;
        }
    }

    /// Nobody waits for it any more.
    pub(crate) fn leave_alone(&self, transaction: &Transaction) {
        if let Some(open) = lock(&self.state).open_of(transaction) {
            open.node = None;
        }
    }

    /// The same of everything that a node has begun.
    pub(crate) fn leave_all_alone(&self, node: usize) {
        let mut state = lock(&self.state);
        state.open.values_mut().filter(|open| open.node == Some(node)).for_each(|open| open.node = None);
    }

    /// What became of a transaction whose commit was asked for, if that is over; `Err` when it is lost.
    pub(crate) fn answer(
        &self,
        transaction: &Transaction,
    ) -> Result<Option<Result<Done, StoreError>>, TransactionLost> {
        let mut state = lock(&self.state);
        if state.history.to_string() != transaction.history {
            return Err(TransactionLost);
        }
        Ok(state.answers.remove(&transaction.number))
    }

    /// The server goes on with a transaction, if it can.
    pub(crate) fn go_on(&self, number: u64) {
        let mut state = lock(&self.state);
        let Some(open) = state.open.get(&number) else { return };
        let (asked, has_node) = (open.commit_was_asked, open.node.is_some());
        if !asked && (has_node || matches!(open.work, Work::Nothing)) {
            return;
        }
        let is_undone = !asked || (!has_node && state.chance.one_in(3));
        let Some(open) = state.open.remove(&number) else { return };
        if is_undone {
            return;
        }
        let result = self.commit(&mut state, number, open.work);
        if has_node {
            state.answers.insert(number, result);
        }
    }

    fn commit(&self, state: &mut State, number: u64, work: Work) -> Result<Done, StoreError> {
        let (id, actor) = match &work {
            Work::Change(change) => (Some(change.audit.id), Some(change.audit.actor)),
            Work::SweepEnded(_) | Work::Nothing => (None, None),
        };
        let revision = match work {
            Work::Change(change) => finish(self.tables.apply(*change))?,
            Work::SweepEnded(limit) => {
                finish(self.tables.sweep_ended(limit))?;
                Revision(0)
            }
            Work::Nothing => Revision(0),
        };
        let facts: Vec<_> = self.published.take().into_iter().flat_map(|(_, facts)| facts).collect();
        state.last_committed = state.last_committed.max(number);
        state.feed.extend(facts.iter().map(|fact| (number, fact.clone())));
        if let Some(Actor::Token { handle, .. }) = actor {
            state.actors.push(handle);
        }
        if let Some(id) = id {
            state.committed.insert(id, (revision, facts.clone()));
        }
        Ok((revision, facts))
    }

    /// As nodes find it out: the id of the audit record is there, is not, or is held by an open transaction.
    pub(crate) fn fate(&self, id: ChangeId) -> Fate {
        let state = lock(&self.state);
        if state.open.values().any(|open| open.work.id() == Some(id)) {
            return Fate::StillOpen;
        }
        state.committed.get(&id).map_or(Fate::NotThere, |done| Fate::Committed(done.clone()))
    }

    /// Transactions that the server may go on with.
    pub(crate) fn open(&self) -> Vec<u64> {
        lock(&self.state).open.keys().copied().collect()
    }

    pub(crate) fn strangers(&self) -> Vec<u64> {
        let state = lock(&self.state);
        let of_strangers = state.open.iter().filter(|(_, open)| matches!(open.work, Work::Nothing));
        of_strangers.map(|(number, _)| *number).collect()
    }

    pub(crate) fn end_stranger(&self, number: u64) {
        lock(&self.state).open.remove(&number);
    }

    /// The standby takes over: it has all that was committed, and nothing of what was not. It gives numbers again that it has
    /// never heard of.
    pub(crate) fn fail_over(&self) {
        let mut state = lock(&self.state);
        state.history += 1;
        state.open.clear();
        state.answers.clear();
        state.next = state.last_committed + 1;
    }

    pub(crate) fn facts(&self) -> (Vec<FactChange>, Revision) {
        let tables: SharedStore = Arc::clone(&self.tables) as _;
        finish(load_facts(&tables))
    }

    fn moment(state: &State) -> Moment {
        let cursor = Cursor::new(state.next, state.open.keys().copied().collect());
        Moment { history: state.history.to_string(), cursor }
    }

    /// Everything as it is at this moment.
    pub(crate) fn load(&self) -> (Moment, Revision, Vec<FactChange>) {
        let state = lock(&self.state);
        let (facts, revision) = self.facts();
        (Self::moment(&state), revision, facts)
    }

    /// What was changed since a node read last.
    pub(crate) fn read_since(&self, place: &Place) -> Result<(Moment, Revision, Vec<FactChange>), Lost> {
        let state = lock(&self.state);
        let moment = Self::moment(&state);
        place.leads_to(&moment)?;
        let news = state
            .feed
            .iter()
            .filter(|(number, _)| moment.cursor.has_seen(*number) && !place.cursor().has_seen(*number));
        let news: Vec<&FactChange> = news.map(|(_, change)| change).collect();
        if news.is_empty() {
            return Ok((moment, Revision(0), Vec::new()));
        }
        let (facts, revision) = self.facts();
        let changed: Vec<Subject> = news.iter().map(|change| Subject::of(change)).collect();
        let mut there: Vec<_> = facts
            .into_iter()
            .filter(|fact| !matches!(fact, FactChange::Cut(_)) && changed.contains(&Subject::of(fact)))
            .collect();
        there.extend(news.iter().filter(|change| matches!(change, FactChange::Cut(_))).map(|c| (*c).clone()));
        let made = news.iter().filter_map(|change| match change {
            FactChange::Account(fact) if fact.version == Version::FIRST => Some(fact.id),
            _ => None,
        });
        let made = made.collect();
        let gone = news.into_iter().filter(|change| is_gone(change)).cloned().collect();
        Ok((moment, revision, in_order(there, &made, gone)))
    }

    /// Makes a node known: what it has not seen is kept.
    pub(crate) fn enter(&self, row: Option<u64>) -> u64 {
        let mut state = lock(&self.state);
        let row = row.unwrap_or(state.next_row);
        state.next_row = state.next_row.max(row + 1);
        let horizon = Self::moment(&state).cursor.oldest();
        state.rows.insert(row, (horizon, self.clock.now()));
        row
    }

    /// A node says what it has seen; gives whether it is still known.
    pub(crate) fn stay(&self, row: u64, cursor: &Cursor) -> bool {
        match lock(&self.state).rows.get_mut(&row) {
            Some(known) => {
                *known = (cursor.oldest(), self.clock.now());
                true
            }
            None => false,
        }
    }

    /// Forgets what no node needs any more.
    pub(crate) fn tidy(&self) {
        let mut state = lock(&self.state);
        let before = self.clock.now().before(FORGOTTEN_AFTER);
        state.rows.retain(|_, (_, seen_at)| *seen_at >= before);
        let horizon = state.rows.values().map(|(horizon, _)| *horizon).min().unwrap_or(0);
        state.feed.retain(|(number, _)| *number >= horizon);
    }

    /// In whose name something was committed since this was asked last.
    pub(crate) fn take_actors(&self) -> Vec<Handle> {
        std::mem::take(&mut lock(&self.state).actors)
    }
}

impl State {
    fn open_of(&mut self, transaction: &Transaction) -> Option<&mut Open> {
        let is_same = self.history.to_string() == transaction.history;
        self.open.get_mut(&transaction.number).filter(|_| is_same)
    }
}

fn is_gone(change: &FactChange) -> bool {
    match change {
        FactChange::CredentialGone { .. }
        | FactChange::AccountGone(_)
        | FactChange::OrganizationGone(_)
        | FactChange::MembershipGone { .. }
        | FactChange::CutHealed(_) => true,
        FactChange::Credential(_)
        | FactChange::Account(_)
        | FactChange::Organization(_)
        | FactChange::Membership(_)
        | FactChange::Cut(_) => false,
    }
}
