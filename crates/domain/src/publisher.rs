//! Telling the doors: what this node commits, and what others do.
//!
//! Both go on at the same time, so what was read of others may be older than what this node has published meanwhile. Of
//! facts that is no matter, because an older version is ignored; but what this node has *ended* must not come back.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::change::{FactChange, Subject};
use crate::following::{Moment, Transaction};
use crate::store::{ChangeSink, Reload, Revision};

/// One at a time.
pub struct Publisher {
    sink: Arc<dyn ChangeSink>,
    state: Mutex<State>,
}

struct State {
    meanwhile: Meanwhile,
    /// Of which moment the doors know everything; `None` before everything was loaded.
    known: Option<Moment>,
    /// Histories of moments before that.
    past: BTreeSet<String>,
}

impl State {
    /// From now on the doors know everything of this moment.
    fn know(&mut self, moment: &Moment) {
        if let Some(known) = self.known.replace(moment.clone())
            && known.history != moment.history
        {
            self.past.insert(known.history);
        }
    }

    /// Whether what a transaction did is part of what the doors were told of others, or was and is no more.
    fn has_seen(&self, transaction: Option<&Transaction>) -> bool {
        transaction.is_some_and(|Transaction { history, number }| {
            let seen = |known: &Moment| known.history == *history && known.cursor.has_seen(*number);
            self.past.contains(history) || self.known.as_ref().is_some_and(seen)
        })
    }
}

/// What has to be remembered of this node's own changes.
enum Meanwhile {
    /// Nothing: nobody is reading.
    Nothing,
    /// While it is read what others changed: what was ended since that began.
    Ended(BTreeSet<Subject>),
    /// While everything is read afresh: all changes since that began.
    Changes(Vec<(Option<Transaction>, FactChange)>),
}

impl Publisher {
    /// Publishes to `sink`, which nobody else does.
    pub fn new(sink: Arc<dyn ChangeSink>) -> Self {
        let state = State { meanwhile: Meanwhile::Nothing, known: None, past: BTreeSet::new() };
        Self { sink, state: Mutex::new(state) }
    }

    /// Everything was loaded as it was at this moment.
    pub fn loaded(&self, moment: &Moment) {
        self.state().know(moment);
    }

    /// What this node has committed, in this transaction, where that is known. Called in the order of revisions.
    pub fn publish_own(
        &self,
        revision: Revision,
        transaction: Option<&Transaction>,
        mut changes: Vec<FactChange>,
    ) {
        let mut state = self.state();
        // It took so long to hear of the commit that it was read before, and maybe that what was changed has ended since.
        if state.has_seen(transaction) {
            return;
        }
        // That nothing is left of what stemmed from a token may be the doing of others, of which the doors have not heard yet.
        // So they hear of it with everything that others did: when it is read.
        changes.retain(|change| !matches!(change, FactChange::CutHealed(_)));
        match &mut state.meanwhile {
            Meanwhile::Nothing => {}
            Meanwhile::Ended(ended) => {
                ended.extend(changes.iter().filter(|change| is_end(change)).map(Subject::of));
            }
            Meanwhile::Changes(all) => {
                all.extend(changes.iter().map(|change| (transaction.cloned(), change.clone())));
            }
        }
        self.sink.publish(revision, changes);
    }

    /// It will be read what others changed: call it before the moment of which that is.
    pub fn begin_reading(&self) {
        self.state().meanwhile = Meanwhile::Ended(BTreeSet::new());
    }

    /// What was read since [`Publisher::begin_reading`], as it was at this moment.
    pub fn publish_read(&self, revision: Revision, moment: &Moment, mut changes: Vec<FactChange>) {
        let mut state = self.state();
        state.know(moment);
        if let Meanwhile::Ended(ended) = std::mem::replace(&mut state.meanwhile, Meanwhile::Nothing) {
            changes.retain(|change| !ended.contains(&Subject::of(change)));
        }
        self.sink.publish(revision, changes);
    }

    /// Everything will be read afresh: call it before the moment of which that is.
    pub fn begin_reload(&self) -> Box<dyn Reload> {
        self.state().meanwhile = Meanwhile::Changes(Vec::new());
        Arc::clone(&self.sink).begin_reload()
    }

    /// Everything was read as it was at this moment; what this node has changed since belongs to it.
    pub fn finish_reload(&self, moment: &Moment, mut reload: Box<dyn Reload>) {
        let mut state = self.state();
        state.know(moment);
        if let Meanwhile::Changes(changes) = std::mem::replace(&mut state.meanwhile, Meanwhile::Nothing) {
            let since = changes.into_iter().filter(|(by, _)| !state.has_seen(by.as_ref()));
            since.for_each(|(_, change)| reload.learn(change));
        }
        reload.finish();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_end(change: &FactChange) -> bool {
    match change {
        FactChange::CredentialGone { .. }
        | FactChange::AccountGone(_)
        | FactChange::OrganizationGone(_)
        | FactChange::MembershipGone { .. } => true,
        FactChange::Credential(_)
        | FactChange::Account(_)
        | FactChange::Organization(_)
        | FactChange::Membership(_)
        | FactChange::Cut(_)
        | FactChange::CutHealed(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::following::Cursor;
    use crate::id::{AccountId, Handle, OrganizationId};
    use crate::organization::OrganizationFact;
    use crate::store::Version;

    /// Remembers what was published.
    #[derive(Default)]
    struct RecordingSink(Mutex<Vec<FactChange>>);

    impl ChangeSink for RecordingSink {
        fn publish(&self, _revision: Revision, changes: Vec<FactChange>) {
            self.0.lock().unwrap().extend(changes);
        }

        fn begin_reload(self: Arc<Self>) -> Box<dyn Reload> {
            Box::new(Recording { sink: self, everything: Vec::new() })
        }
    }

    struct Recording {
        sink: Arc<RecordingSink>,
        everything: Vec<FactChange>,
    }

    impl Reload for Recording {
        fn learn(&mut self, change: FactChange) {
            self.everything.push(change);
        }

        fn finish(self: Box<Self>) {
            self.sink.publish(Revision(0), self.everything);
        }
    }

    fn handle(letter: &str) -> Handle {
        letter.repeat(22).parse().unwrap_or_else(|_| panic!("a handle"))
    }

    fn moment(next: u64) -> Moment {
        Moment { history: "1".into(), cursor: Cursor::new(next, Vec::new()) }
    }

    /// A commit is made and not answered; another node ends what it made, and that is read before the answer comes.
    #[test]
    fn what_others_have_ended_does_not_come_back_by_a_late_answer() {
        let sink = Arc::new(RecordingSink::default());
        let publisher = Publisher::new(sink.clone());
        let (made, ended) = (FactChange::Cut(handle("a")), FactChange::CutHealed(handle("a")));
        let by = |number| Transaction { history: "1".into(), number };
        publisher.loaded(&moment(5));
        publisher.begin_reading();
        publisher.publish_read(Revision(2), &moment(7), vec![ended.clone()]);
        publisher.publish_own(Revision(1), Some(&by(5)), vec![made.clone()]);
        assert_eq!(told(&sink), [ended]);
        publisher.publish_own(Revision(3), Some(&by(7)), vec![made.clone()]);
        assert_eq!(told(&sink), std::slice::from_ref(&made));
        let reload = publisher.begin_reload();
        publisher.publish_own(Revision(4), Some(&by(8)), vec![made.clone()]);
        publisher.finish_reload(&moment(9), reload);
        assert_eq!(told(&sink), [made], "when it was published, and not again");
    }

    fn told(sink: &RecordingSink) -> Vec<FactChange> {
        std::mem::take(&mut *sink.0.lock().unwrap())
    }

    /// Another node has made something, this one has ended it, and only then is it published what was read before that.
    #[test]
    fn what_this_node_has_ended_does_not_come_back() {
        let sink = Arc::new(RecordingSink::default());
        let publisher = Publisher::new(sink.clone());
        let id = OrganizationId::from_bytes([1; 16]);
        let fact = OrganizationFact {
            id,
            owner: AccountId::from_bytes([2; 16]),
            active: true,
            version: Version::FIRST,
        };
        let (made, other) = (FactChange::Organization(fact), FactChange::Cut(handle("b")));
        publisher.begin_reading();
        publisher.publish_own(Revision(2), None, vec![FactChange::OrganizationGone(id)]);
        publisher.publish_read(Revision(1), &moment(1), vec![made.clone(), other.clone()]);
        assert_eq!(told(&sink), [FactChange::OrganizationGone(id), other]);
        // What is read later is newer than that.
        publisher.begin_reading();
        publisher.publish_read(Revision(3), &moment(1), vec![made.clone()]);
        assert_eq!(told(&sink), [made]);
    }

    /// Another node has ended what this one has cut, and this one finds that nothing is left, before it hears of the end.
    #[test]
    fn a_cut_stays_until_it_is_read_what_others_ended() {
        let sink = Arc::new(RecordingSink::default());
        let publisher = Publisher::new(sink.clone());
        let (cut, healed) = (FactChange::Cut(handle("a")), FactChange::CutHealed(handle("a")));
        publisher.publish_own(Revision(1), None, vec![cut.clone()]);
        publisher.publish_own(Revision(2), None, vec![healed.clone()]);
        assert_eq!(told(&sink), [cut]);
        publisher.begin_reading();
        publisher.publish_read(Revision(2), &moment(1), vec![healed.clone()]);
        assert_eq!(told(&sink), [healed]);
    }

    /// This node changes something while everything is read as it was before.
    #[test]
    fn what_this_node_changes_is_there_after_everything_was_read_afresh() {
        let sink = Arc::new(RecordingSink::default());
        let publisher = Publisher::new(sink.clone());
        let (old, new) = (FactChange::Cut(handle("a")), FactChange::Cut(handle("b")));
        let mut reload = publisher.begin_reload();
        reload.learn(old.clone());
        publisher.publish_own(Revision(2), None, vec![new.clone()]);
        assert_eq!(told(&sink), std::slice::from_ref(&new), "the doors know it at once");
        publisher.finish_reload(&moment(1), reload);
        assert_eq!(told(&sink), [old, new]);
    }
}
