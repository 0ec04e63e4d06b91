//! The one way to the writer: bounded, changes first, background work behind them.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Most pieces of background work that wait.
const MOST_CHORES: usize = 64;
/// After so many batches in a row, background work that waits gets its turn.
const BATCHES_BEFORE_CHORE: u32 = 16;

/// Why the queue does not take something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rejected {
    /// It is full.
    Full,
    /// Nobody takes from it any more.
    Closed,
}

/// What the writer does next.
pub(crate) enum Work<T, C> {
    /// Changes for one commit, in the order in which they came.
    Batch(Vec<T>),
    /// A piece of background work.
    Chore(C),
    /// Everything is done and no more will come.
    Nothing,
}

/// How a batch is gathered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gathering {
    /// Most changes of a batch.
    pub(crate) most: usize,
    /// So many are worth waiting for.
    pub(crate) expected: usize,
    /// For so long.
    pub(crate) patience: Duration,
}

/// Changes (`T`) and chores (`C`) on their way to the writer.
pub(crate) struct Queue<T, C> {
    state: Mutex<State<T, C>>,
    /// Signalled when `wake_at` changes are there, for a chore when the writer is idle, and at the end.
    ready: Condvar,
    most: usize,
}

struct State<T, C> {
    changes: VecDeque<T>,
    chores: VecDeque<C>,
    /// The writer sleeps until there are so many changes. `None`: it does not sleep, and need not be woken.
    wake_at: Option<usize>,
    /// How many batches went before the first chore.
    batches_ahead: u32,
    closed: bool,
}

impl<T, C> Queue<T, C> {
    /// An empty queue for at most `most` changes.
    pub(crate) fn new(most: usize) -> Self {
        let state = State {
            changes: VecDeque::new(),
            chores: VecDeque::new(),
            wake_at: None,
            batches_ahead: 0,
            closed: false,
        };
        Self { state: Mutex::new(state), ready: Condvar::new(), most }
    }

    /// Adds a change.
    pub(crate) fn push(&self, change: T) -> Result<(), Rejected> {
        let mut state = self.lock();
        if state.closed {
            return Err(Rejected::Closed);
        }
        if state.changes.len() >= self.most {
            return Err(Rejected::Full);
        }
        state.changes.push_back(change);
        if state.wake_at.is_some_and(|wake_at| state.changes.len() >= wake_at) {
            state.wake_at = None;
            self.ready.notify_one();
        }
        Ok(())
    }

    /// Adds background work.
    pub(crate) fn push_chore(&self, chore: C) -> Result<(), Rejected> {
        let mut state = self.lock();
        if state.closed {
            return Err(Rejected::Closed);
        }
        if state.chores.len() >= MOST_CHORES {
            return Err(Rejected::Full);
        }
        state.chores.push_back(chore);
        self.ready.notify_one();
        Ok(())
    }

    /// How many changes wait.
    pub(crate) fn len(&self) -> usize {
        self.lock().changes.len()
    }

    /// Takes nothing more in. What is there will still be done.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.ready.notify_one();
    }

    /// Whether it was closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Lets go everything that waits.
    pub(crate) fn clear(&self) {
        let mut state = self.lock();
        let waiting = (std::mem::take(&mut state.changes), std::mem::take(&mut state.chores));
        drop(state);
        drop(waiting);
    }

    /// Waits for work.
    pub(crate) fn next(&self, gathering: Gathering) -> Work<T, C> {
        let mut state = self.lock();
        loop {
            let chore_is_due = state.changes.is_empty() || state.batches_ahead >= BATCHES_BEFORE_CHORE;
            if chore_is_due && let Some(chore) = state.chores.pop_front() {
                state.batches_ahead = 0;
                return Work::Chore(chore);
            }
            if !state.changes.is_empty() {
                state = self.gather(state, gathering);
                return state.take_batch(gathering.most);
            }
            if state.closed {
                return Work::Nothing;
            }
            state.wake_at = Some(1);
            state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.wake_at = None;
        }
    }

    /// Clients that wait for an answer before they ask again come back together, a moment after a commit. To wait
    /// for them puts them into one commit, where otherwise the first one would make the others wait for a commit of
    /// its own.
    fn gather<'q>(
        &'q self,
        mut state: MutexGuard<'q, State<T, C>>,
        gathering: Gathering,
    ) -> MutexGuard<'q, State<T, C>> {
        let deadline = Instant::now() + gathering.patience;
        while state.changes.len() < gathering.expected && !state.closed {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state.wake_at = Some(gathering.expected);
            (state, _) = self.ready.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        }
        state.wake_at = None;
        state
    }

    fn lock(&self) -> MutexGuard<'_, State<T, C>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T, C> State<T, C> {
    fn take_batch(&mut self, most: usize) -> Work<T, C> {
        self.batches_ahead = if self.chores.is_empty() { 0 } else { self.batches_ahead + 1 };
        let count = self.changes.len().min(most);
        Work::Batch(self.changes.drain(..count).collect())
    }
}
