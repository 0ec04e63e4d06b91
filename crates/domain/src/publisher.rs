//! Telling the doors: what this node commits, and what others do.
//!
//! Both go on at the same time, so what was read of others may be older than what this node has published meanwhile. Of
//! facts that is no matter, because an older version is ignored; but what this node has *ended* must not come back.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::change::{FactChange, Subject};
use crate::store::{ChangeSink, Reload, Revision};

/// One at a time.
pub struct Publisher {
    sink: Arc<dyn ChangeSink>,
    meanwhile: Mutex<Meanwhile>,
}

/// What has to be remembered of this node's own changes.
enum Meanwhile {
    /// Nothing: nobody is reading.
    Nothing,
    /// While it is read what others changed: what was ended since that began.
    Ended(BTreeSet<Subject>),
    /// While everything is read afresh: all changes since that began.
    Changes(Vec<FactChange>),
}

impl Publisher {
    /// Publishes to `sink`, which nobody else does.
    pub fn new(sink: Arc<dyn ChangeSink>) -> Self {
        Self { sink, meanwhile: Mutex::new(Meanwhile::Nothing) }
    }

    /// What this node has committed. Called in the order of revisions.
    pub fn publish_own(&self, revision: Revision, changes: Vec<FactChange>) {
        let mut meanwhile = self.meanwhile();
        match &mut *meanwhile {
            Meanwhile::Nothing => {}
            Meanwhile::Ended(ended) => {
                ended.extend(changes.iter().filter(|change| is_end(change)).map(Subject::of));
            }
            Meanwhile::Changes(all) => all.extend(changes.iter().cloned()),
        }
        self.sink.publish(revision, changes);
    }

    /// It will be read what others changed: call it before the moment of which that is.
    pub fn begin_reading(&self) {
        *self.meanwhile() = Meanwhile::Ended(BTreeSet::new());
    }

    /// What was read since [`Publisher::begin_reading`].
    pub fn publish_read(&self, revision: Revision, mut changes: Vec<FactChange>) {
        let mut meanwhile = self.meanwhile();
        if let Meanwhile::Ended(ended) = std::mem::replace(&mut *meanwhile, Meanwhile::Nothing) {
            changes.retain(|change| !ended.contains(&Subject::of(change)));
        }
        self.sink.publish(revision, changes);
    }

    /// Everything will be read afresh: call it before the moment of which that is.
    pub fn begin_reload(&self) -> Box<dyn Reload> {
        *self.meanwhile() = Meanwhile::Changes(Vec::new());
        Arc::clone(&self.sink).begin_reload()
    }

    /// Everything was read; what this node has changed meanwhile belongs to it.
    pub fn finish_reload(&self, mut reload: Box<dyn Reload>) {
        let mut meanwhile = self.meanwhile();
        if let Meanwhile::Changes(changes) = std::mem::replace(&mut *meanwhile, Meanwhile::Nothing) {
            changes.into_iter().for_each(|change| reload.learn(change));
        }
        reload.finish();
    }

    fn meanwhile(&self) -> MutexGuard<'_, Meanwhile> {
        self.meanwhile.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_end(change: &FactChange) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Handle;

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

    fn told(sink: &RecordingSink) -> Vec<FactChange> {
        std::mem::take(&mut *sink.0.lock().unwrap())
    }

    /// Another node has made something, this one has ended it, and only then is it published what was read before that.
    #[test]
    fn what_this_node_has_ended_does_not_come_back() {
        let sink = Arc::new(RecordingSink::default());
        let publisher = Publisher::new(sink.clone());
        let (made, other) = (FactChange::Cut(handle("a")), FactChange::Cut(handle("b")));
        publisher.begin_reading();
        publisher.publish_own(Revision(2), vec![FactChange::CutHealed(handle("a"))]);
        publisher.publish_read(Revision(1), vec![made.clone(), other.clone()]);
        assert_eq!(told(&sink), [FactChange::CutHealed(handle("a")), other]);
        // What is read later is newer than that.
        publisher.begin_reading();
        publisher.publish_read(Revision(3), vec![made.clone()]);
        assert_eq!(told(&sink), [made]);
    }

    /// This node changes something while everything is read as it was before.
    #[test]
    fn what_this_node_changes_is_there_after_everything_was_read_afresh() {
        let sink = Arc::new(RecordingSink::default());
        let publisher = Publisher::new(sink.clone());
        let (old, new) = (FactChange::Cut(handle("a")), FactChange::Cut(handle("b")));
        let mut reload = publisher.begin_reload();
        reload.learn(old.clone());
        publisher.publish_own(Revision(2), vec![new.clone()]);
        assert_eq!(told(&sink), std::slice::from_ref(&new), "the doors know it at once");
        publisher.finish_reload(reload);
        assert_eq!(told(&sink), [old, new]);
    }
}
