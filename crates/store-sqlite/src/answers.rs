//! Answers from the writer to the callers of a batch.
//!
//! To wake a task from a foreign thread is expensive: the runtime may have to be woken for it, and on one core the
//! woken task runs at once and the writer waits, for each of 64 tasks. So the writer answers one caller alone and gives
//! it the answers of all others, which it passes on from within the runtime, where to wake a task is cheap.

use countersign_domain::store::{Revision, StoreError};
use tokio::sync::oneshot;

use crate::batch::Applied;

/// Where the answer to a change goes. The caller may have gone away meanwhile.
pub(crate) type Reply = oneshot::Sender<Answer>;

/// The answer to a change.
pub(crate) struct Answer {
    applied: Applied,
    others: Others,
}

/// Answers to others, given when this is dropped: so they are given, whatever becomes of whoever has them.
struct Others(Vec<(Reply, Applied)>);

impl Drop for Others {
    fn drop(&mut self) {
        for (reply, applied) in self.0.drain(..) {
            let _ = reply.send(Answer { applied, others: Self(Vec::new()) });
        }
    }
}

impl Answer {
    /// What became of the change. Passes on the answers to others.
    pub(crate) fn take(self) -> Result<Revision, StoreError> {
        drop(self.others);
        self.applied
    }
}

/// The callers of a batch, until they are answered.
pub(crate) struct Callers(Vec<Reply>);

impl Callers {
    pub(crate) fn new(replies: Vec<Reply>) -> Self {
        Self(replies)
    }

    /// Answers all.
    pub(crate) fn answer(&mut self, results: Vec<Applied>) {
        let mut others = Others(self.0.drain(..).zip(results).collect());
        while let Some((reply, applied)) = others.0.pop() {
            match reply.send(Answer { applied, others }) {
                Ok(()) => return,
                // That caller has gone away: the next one passes on.
                Err(answer) => others = answer.others,
            }
        }
    }

    /// Tells all that nothing was written.
    pub(crate) fn refuse(&mut self, error: &rusqlite::Error) {
        self.answer_each(|| StoreError::Unavailable(error.to_string().into()));
    }

    /// Tells all that nobody knows yet whether it was written.
    pub(crate) fn leave_in_doubt(&mut self, error: &rusqlite::Error) {
        self.answer_each(|| StoreError::InDoubt(error.to_string().into()));
    }

    fn answer_each(&mut self, error: impl Fn() -> StoreError) {
        let answers = self.0.iter().map(|_| Err(error())).collect();
        self.answer(answers);
    }
}
