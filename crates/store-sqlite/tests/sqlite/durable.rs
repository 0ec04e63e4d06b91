//! The writer: many changes in one commit, a bounded queue, a bounded log, readers beside it, an end.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use countersign_domain::change::FactChange;
use countersign_domain::id::TokenRef;
use countersign_domain::service_token::ServiceToken;
use countersign_domain::store::{ChangeSink, Reload, Revision, Store as _, StoreError};
use countersign_domain::time::Timestamp;
use countersign_domain::usage::{Door, Usage, UsageBatch};
use countersign_store_conformance::doubles::{NullReload, NullSink};
use countersign_store_conformance::world::{LIMIT, Made, World, all_of, must};
use countersign_store_sqlite::{SqliteOptions, SqliteStore};
use rusqlite::Connection;

/// A sink that holds up the writer while it is shut.
#[derive(Default)]
struct Gate {
    shut: Mutex<bool>,
    opened: Condvar,
    passed: AtomicU64,
}

impl Gate {
    fn set_shut(&self, shut: bool) {
        *self.shut.lock().unwrap_or_else(PoisonError::into_inner) = shut;
        self.opened.notify_all();
    }
}

impl ChangeSink for Gate {
    fn publish(&self, _: Revision, _: Vec<FactChange>) {
        self.passed.fetch_add(1, Ordering::SeqCst);
        let shut = self.shut.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.opened.wait_while(shut, |shut| *shut).unwrap_or_else(PoisonError::into_inner));
    }

    fn begin_reload(self: Arc<Self>) -> Box<dyn Reload> {
        Box::new(NullReload)
    }
}

/// A store whose writer stands at the gate, with a change that is committed and not yet answered.
struct Held {
    world: World,
    store: Arc<SqliteStore>,
    gate: Arc<Gate>,
    first: tokio::task::JoinHandle<Result<Revision, StoreError>>,
    _directory: tempfile::TempDir,
}

async fn held(queue: usize) -> Held {
    let directory = must(tempfile::tempdir());
    let gate = Arc::new(Gate::default());
    let options = SqliteOptions { queue, ..SqliteOptions::new(directory.path()) };
    let store = Arc::new(must(SqliteStore::open(options, gate.clone())));
    let make = |_| Made { store: store.clone(), keep: Box::new(()) };
    let world = World::new(&make).await;
    gate.set_shut(true);
    let passed = gate.passed.load(Ordering::SeqCst);
    let first = apply(&world, world.service_token(&world.root, "first"));
    while gate.passed.load(Ordering::SeqCst) == passed {
        tokio::task::yield_now().await;
    }
    Held { world, store, gate, first, _directory: directory }
}

/// Issues a token in a task of its own.
fn apply(world: &World, token: ServiceToken) -> tokio::task::JoinHandle<Result<Revision, StoreError>> {
    use countersign_domain::change::{Guard, Mutation};
    let change = world.change(Guard::System, Mutation::IssueServiceToken { token, limit: LIMIT });
    let store = world.store.clone();
    tokio::spawn(async move { store.apply(change).await })
}

/// Issues so many tokens at once, and waits until all are in the queue.
async fn enqueue(held: &Held, count: usize) -> Vec<tokio::task::JoinHandle<Result<Revision, StoreError>>> {
    let tokens = (0..count).map(|_| held.world.service_token(&held.world.root, "one of many"));
    let tasks = tokens.map(|token| apply(&held.world, token)).collect();
    while held.store.stats().queued < count {
        tokio::task::yield_now().await;
    }
    tasks
}

/// Whoever has an answer finds doors that know of it: nobody is answered while the sink is still being told.
#[tokio::test(flavor = "multi_thread")]
async fn the_doors_are_told_before_the_caller() {
    let mut held = held(10).await;
    let early = tokio::time::timeout(Duration::from_millis(200), &mut held.first).await;
    // Opened before anything is asserted: a store whose writer stands at the gate cannot be closed.
    held.gate.set_shut(false);
    assert!(early.is_err(), "answered while the doors are still being told: {early:?}");
    must(must(held.first.await));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_committed_together() {
    let held = held(1_000).await;
    let waiting = enqueue(&held, 300).await;
    let before = held.store.stats();
    held.gate.set_shut(false);
    must(must(held.first.await));
    let mut last = Revision(0);
    for task in waiting {
        let revision = must(must(task.await));
        last = last.max(revision);
    }
    let after = held.store.stats();
    assert_eq!(after.commit_sizes.count() - before.commit_sizes.count(), 2, "256 and 44");
    assert_eq!(after.commit_sizes.sum - before.commit_sizes.sum, 300.0);
    assert_eq!(held.world.page(&held.world.root, 0, 1).await.total, 301);
    assert_eq!(held.world.facts().await.1, last);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_is_busy() {
    let held = held(3).await;
    let waiting = enqueue(&held, 3).await;
    let token = held.world.service_token(&held.world.root, "too many");
    let refused = held.world.issue_exactly(token.clone(), LIMIT).await;
    assert!(matches!(refused, Err(StoreError::Busy)), "{refused:?}");
    held.gate.set_shut(false);
    for task in waiting {
        must(must(task.await));
    }
    must(must(held.first.await));
    assert_eq!(held.world.stored(&token).await, None);
    must(held.world.issue_exactly(token, LIMIT).await);
}

/// Reads see what is committed, and go on while the writer stands.
#[tokio::test(flavor = "multi_thread")]
async fn readers_wait_for_nobody() {
    let held = held(10).await;
    for _ in 0..20 {
        let page =
            tokio::time::timeout(Duration::from_secs(10), held.world.page(&held.world.root, 0, 10)).await;
        assert_eq!(must(page).total, 1, "the change that was committed and not yet answered");
    }
    held.gate.set_shut(false);
    must(must(held.first.await));
}

/// An open read transaction, here a stranger's, does not hold up the writer.
#[tokio::test(flavor = "multi_thread")]
async fn the_writer_waits_for_no_reader() {
    let directory = must(tempfile::tempdir());
    let make = |sink| Made { store: Arc::new(crate::open(directory.path(), sink)), keep: Box::new(()) };
    let world = World::new(&make).await;
    let reader = must(Connection::open(directory.path().join("countersign.db")));
    let count = || reader.query_row("SELECT count(*) FROM service_tokens", [], |row| row.get::<_, i64>(0));
    must(reader.execute_batch("BEGIN"));
    assert_eq!(must(count()), 0);
    for _ in 0..100 {
        world.issue(&world.root, "beside a reader").await;
    }
    assert_eq!(must(count()), 0, "it still sees the moment at which it began");
    must(reader.execute_batch("COMMIT"));
    assert_eq!(must(count()), 100);
}

/// Under continuous writing, with reads beside it, the log begins anew again and again.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_stays_short() {
    let directory = must(tempfile::tempdir());
    let store = Arc::new(crate::open(directory.path(), Arc::new(NullSink)));
    let make = |_| Made { store: store.clone(), keep: Box::new(()) };
    let world = World::new(&make).await;
    let (mut longest, mut last, mut anew) = (0, 0, 0);
    for _ in 0..60 {
        let tokens =
            (0..512).map(|_| world.service_token(&world.root, &"a name that fills pages ".repeat(10)));
        let limit = LIMIT;
        let issue = |token| countersign_domain::change::Mutation::IssueServiceToken { token, limit };
        world.apply_all(tokens.map(issue)).await;
        must(store.list_service_tokens(all_of(&world.root, 0, 10)).await);
        let pages = store.stats().wal_pages;
        anew += u64::from(pages < last);
        (longest, last) = (longest.max(pages), pages);
    }
    assert!(anew >= 2, "the log began anew {anew} times");
    assert!(longest < 16_384, "the log had {longest} pages");
    let file = must(std::fs::metadata(directory.path().join("countersign.db-wal"))).len();
    assert!(file < 64 << 20, "the log's file has {file} bytes");
}

/// Background work waits for changes, but not for ever.
#[tokio::test(flavor = "multi_thread")]
async fn usage_gets_its_turn() {
    let held = held(1_000).await;
    let used = held.world.service_token(&held.world.root, "used");
    let waiting = enqueue(&held, 5).await;
    let at = Timestamp::from_micros(1);
    let usage = Usage {
        token: TokenRef::Access(held.world.root_token.handle),
        secret_version: 1,
        count: 1,
        first_at: at,
        last_at: at,
        address: None,
        user_agent: "agent".into(),
        door: Door::Api,
    };
    let batch = UsageBatch { uses: vec![usage.clone()], refusals: vec![] };
    let store = held.store.clone();
    let recorded = tokio::spawn(async move { store.record_usage(batch).await });
    held.gate.set_shut(false);
    must(must(recorded.await));
    assert_eq!(must(held.store.find_usage(usage.token).await).uses, [usage]);
    for task in waiting {
        must(must(task.await));
    }
    must(held.world.issue_exactly(used, LIMIT).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_finishes_what_was_accepted() {
    let held = held(1_000).await;
    let waiting = enqueue(&held, 100).await;
    let store = Arc::clone(&held.store);
    let closing = tokio::task::spawn_blocking(move || store.close());
    held.gate.set_shut(false);
    must(closing.await);
    for task in waiting {
        must(must(task.await));
    }
    let token = held.world.service_token(&held.world.root, "too late");
    let refused = held.world.issue_exactly(token, LIMIT).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    assert!(matches!(held.store.check().await, Err(StoreError::Unavailable(_))));
    let again = crate::open(held._directory.path(), Arc::new(NullSink));
    assert_eq!(must(again.list_service_tokens(all_of(&held.world.root, 0, 1)).await).total, 101);
}
