//! A disk that fails before a commit, in it, and after it: what was answered is what is durable.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use countersign_domain::change::{FactChange, Guard, Mutation};
use countersign_domain::fact::Fact;
use countersign_domain::lifetime::Ttl;
use countersign_domain::store::{ChangeSink, Reload, Revision, Store as _, StoreError};
use countersign_store_conformance::doubles::NullReload;
use countersign_store_conformance::world::{LIMIT, Made, World, must};
use rusqlite::Connection;
use rusqlite::hooks::Wal;
use tempfile::TempDir;

use crate::connection::Sabotage;
use crate::{SqliteOptions, SqliteStore};

/// A world over a store with sabotaged connections, its store and its directory.
async fn sabotaged(sabotage: Sabotage) -> (World, Arc<SqliteStore>, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let sabotage = std::cell::Cell::new(Some(sabotage));
    let opened = OnceLock::new();
    let make = |sink: Arc<dyn ChangeSink>| {
        let options = SqliteOptions::new(directory.path());
        let store = SqliteStore::open_with(options, sink, |database| database.sabotage = sabotage.take());
        let store = opened.get_or_init(|| Arc::new(store.unwrap()));
        Made { store: Arc::clone(store) as _, keep: Box::new(()) }
    };
    let world = World::new(&make).await;
    let store = Arc::clone(opened.get().unwrap());
    (world, store, directory)
}

/// What another process would read.
fn stored_tokens(directory: &TempDir) -> i64 {
    let connection = Connection::open(directory.path().join("countersign.db")).unwrap();
    connection.query_row("SELECT count(*) FROM service_tokens", [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn a_full_disk_refuses_and_recovers() {
    let most_pages = Arc::new(AtomicI64::new(100));
    let limit = Arc::clone(&most_pages);
    let (world, store, directory) = sabotaged(Box::new(move |connection| {
        let limit = limit.load(Ordering::SeqCst);
        connection.query_row(&format!("PRAGMA max_page_count = {limit}"), [], |_| Ok(())).unwrap();
    }))
    .await;
    let first = world.issue(&world.root, "before").await;
    fill(&world).await;

    let failures = store.stats().failures;
    let token = world.service_token(&world.root, &"wide".repeat(80));
    let refused = world.issue_exactly(token.clone(), LIMIT).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    assert_eq!(store.stats().failures, failures + 1);
    assert_eq!(world.sink.published().len() as i64, stored_tokens(&directory), "published is stored");
    assert_eq!(world.stored(&first).await.as_ref(), Some(&first), "reading goes on");

    most_pages.store(1 << 30, Ordering::SeqCst);
    must(store.check().await);
    must(world.issue_exactly(token.clone(), LIMIT).await);
    assert_eq!(world.stored(&token).await, Some(token));
}

/// Issues tokens until one after the other is refused: some row may still fit where another does not.
async fn fill(world: &World) {
    let mut refused = 0;
    for _ in 0..10_000 {
        let token = world.service_token(&world.root, &"wide".repeat(80));
        refused = if world.issue_exactly(token, LIMIT).await.is_err() { refused + 1 } else { 0 };
        if refused == 10 {
            return;
        }
    }
    panic!("the disk never becomes full");
}

/// Fails the next commit, which SQLite then undoes.
fn undone(armed: &Arc<AtomicBool>) -> Sabotage {
    let armed = Arc::clone(armed);
    Box::new(move |connection| {
        let armed = Arc::clone(&armed);
        connection.commit_hook(Some(move || armed.swap(false, Ordering::SeqCst))).unwrap();
    })
}

/// Says that the next commit failed after it was made.
fn denied(armed: &Arc<AtomicBool>) -> Sabotage {
    let armed = Arc::clone(armed);
    Box::new(move |connection| {
        let armed = Arc::clone(&armed);
        let hook = move |_: &mut Wal, _: i32| match armed.swap(false, Ordering::SeqCst) {
            true => Err(rusqlite::Error::InvalidQuery),
            false => Ok(()),
        };
        connection.wal_hook(Some(hook)).unwrap();
    })
}

#[tokio::test]
async fn a_commit_that_failed_and_is_not_there_is_refused() {
    let armed = Arc::new(AtomicBool::new(false));
    let (world, store, directory) = sabotaged(undone(&armed)).await;
    armed.store(true, Ordering::SeqCst);
    let token = world.service_token(&world.root, "lost");
    let refused = world.issue_exactly(token.clone(), LIMIT).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    assert_eq!((world.sink.take(), stored_tokens(&directory)), (vec![], 0));
    assert_eq!(store.stats().failures, 1);

    let before = world.facts().await.1;
    let revision = must(world.issue_exactly(token.clone(), LIMIT).await);
    assert_eq!(revision.0, before.0 + 1, "no revision is lost");
    assert_eq!(world.sink.take().len(), 1);
}

#[tokio::test]
async fn a_commit_that_failed_but_is_there_is_acknowledged() {
    let armed = Arc::new(AtomicBool::new(false));
    let (world, store, directory) = sabotaged(denied(&armed)).await;
    armed.store(true, Ordering::SeqCst);
    let token = world.service_token(&world.root, "there after all");
    let revision = must(world.issue_exactly(token.clone(), LIMIT).await);
    let published = vec![(revision, vec![FactChange::Credential(Fact::from(&token))])];
    assert_eq!((world.sink.take(), stored_tokens(&directory)), (published, 1));
    assert_eq!((store.stats().failures, armed.load(Ordering::SeqCst)), (0, false));
    must(world.issue_exactly(world.service_token(&world.root, "and on"), LIMIT).await);
}

#[tokio::test]
async fn a_sweep_that_failed_but_is_there_is_published() {
    let armed = Arc::new(AtomicBool::new(false));
    let (world, store, _directory) = sabotaged(denied(&armed)).await;
    let token = world.issue_access(&world.root, Ttl::Seconds(1)).await;
    world.sink.take();
    armed.store(true, Ordering::SeqCst);
    let later = token.expires_at.after(Duration::from_secs(1));
    assert_eq!(must(store.sweep_access_tokens(later, 10).await), 1);
    assert_eq!(world.sink.take().len(), 1);
    assert!(!armed.load(Ordering::SeqCst));
}

/// One change of a batch fails after it has written its token: it leaves nothing, and the others are made.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_fails_halfway_fails_alone() {
    let (world, store, directory) = sabotaged(Box::new(|_| {})).await;
    let stranger = Connection::open(directory.path().join("countersign.db")).unwrap();
    let poison = "CREATE TRIGGER poison BEFORE INSERT ON audit WHEN NEW.request_id = 'poison'
                  BEGIN SELECT RAISE(ABORT, 'poisoned'); END";
    stranger.execute_batch(poison).unwrap();
    let issue = |request_id: &str| {
        let token = world.service_token(&world.root, "beside a bad one");
        let mut change = world.change(Guard::System, Mutation::IssueServiceToken { token, limit: LIMIT });
        change.audit.origin.request_id = Some(request_id.into());
        store.apply(change)
    };
    let (good, bad, later) = tokio::join!(issue("first"), issue("poison"), issue("last"));
    assert!(matches!(bad, Err(StoreError::Unavailable(_))), "{bad:?}");
    let (good, later) = (must(good), must(later));
    let published: Vec<_> = world.sink.take().iter().map(|(revision, _)| *revision).collect();
    assert_eq!(published.len(), 2);
    assert!(published.contains(&good) && published.contains(&later));
    assert_eq!(world.page(&world.root, 0, 10).await.total, 2);
    assert_eq!((stored_tokens(&directory), store.stats().failures), (2, 0));
}

/// A stranger's open transaction keeps the log from being emptied, so that the writer cannot find out at once.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_answered_before_the_outcome_is_known() {
    let armed = Arc::new(AtomicBool::new(false));
    let (world, store, directory) = sabotaged(denied(&armed)).await;
    let stranger = Connection::open(directory.path().join("countersign.db")).unwrap();
    stranger.execute_batch("BEGIN; SELECT * FROM accounts").unwrap();
    armed.store(true, Ordering::SeqCst);
    let token = world.service_token(&world.root, "in doubt");
    let answer = world.issue_exactly(token.clone(), LIMIT);
    tokio::pin!(answer);
    let early = tokio::time::timeout(Duration::from_millis(200), &mut answer).await;
    assert!(early.is_err(), "{early:?}");
    assert_eq!(world.sink.take(), []);
    stranger.execute_batch("ROLLBACK").unwrap();
    must(answer.await);
    assert_eq!((world.sink.take().len(), store.stats().failures), (1, 0));
}

/// Nobody waits for ever for a disk that does not come back; but what turns out to be there reaches the doors.
#[tokio::test(flavor = "multi_thread")]
async fn what_stays_in_doubt_is_answered_so_and_published_when_it_is_known() {
    let armed = Arc::new(AtomicBool::new(false));
    let (world, store, directory) = sabotaged(denied(&armed)).await;
    let stranger = Connection::open(directory.path().join("countersign.db")).unwrap();
    stranger.execute_batch("BEGIN; SELECT * FROM accounts").unwrap();
    armed.store(true, Ordering::SeqCst);
    let token = world.service_token(&world.root, "in doubt");
    let answer = world.issue_exactly(token.clone(), LIMIT).await;
    assert!(matches!(answer, Err(StoreError::InDoubt(_))), "{answer:?}");
    assert_eq!(world.sink.take(), []);
    stranger.execute_batch("ROLLBACK").unwrap();
    must(store.check().await);
    assert_eq!(world.sink.take().len(), 1);
    assert_eq!(world.stored(&token).await, Some(token));
}

/// A store whose writer has come to an end refuses; it lets nobody wait.
#[tokio::test]
async fn after_a_panic_everything_is_refused() {
    struct Panics(AtomicBool);
    impl ChangeSink for Panics {
        fn publish(&self, _: Revision, _: Vec<FactChange>) {
            assert!(!self.0.load(Ordering::SeqCst), "the sink panics, as this test wants");
        }

        fn begin_reload(self: Arc<Self>) -> Box<dyn Reload> {
            Box::new(NullReload)
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let sink = Arc::new(Panics(AtomicBool::new(false)));
    let panics = Arc::clone(&sink);
    let make = |_| Made {
        store: Arc::new(SqliteStore::open(SqliteOptions::new(directory.path()), panics.clone()).unwrap()),
        keep: Box::new(()),
    };
    let world = World::new(&make).await;
    sink.0.store(true, Ordering::SeqCst);
    for _ in 0..2 {
        let token = world.service_token(&world.root, "unanswered");
        let refused = world.issue_exactly(token, LIMIT).await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    }
    assert!(matches!(world.store.check().await, Err(StoreError::Unavailable(_))), "not ready");
}
