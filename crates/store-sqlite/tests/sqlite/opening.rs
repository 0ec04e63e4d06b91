//! Opening: what is made, what is refused, and with which words.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use countersign_domain::store::StoreError;
use countersign_store_conformance::doubles::NullSink;
use countersign_store_conformance::world::{Made, World, must};
use countersign_store_sqlite::{OpenError, SqliteOptions, SqliteStore};
use rusqlite::Connection;

fn refusal(directory: &Path) -> OpenError {
    match SqliteStore::open(SqliteOptions::new(directory), Arc::new(NullSink)) {
        Err(error) => error,
        Ok(_) => panic!("it was opened"),
    }
}

/// Changes a closed store behind its back.
fn tamper(directory: &Path, sql: &str) {
    must(must(Connection::open(directory.join("countersign.db"))).execute_batch(sql));
}

fn new_store() -> tempfile::TempDir {
    let directory = must(tempfile::tempdir());
    crate::open(directory.path(), Arc::new(NullSink)).close();
    directory
}

#[test]
fn nobody_else_can_read_it() {
    let above = must(tempfile::tempdir());
    let directory = above.path().join("a/b");
    let store = crate::open(&directory, Arc::new(NullSink));
    let mode = |path: &Path| must(fs::metadata(path)).permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    let mut files = 0;
    for entry in must(fs::read_dir(&directory)) {
        let path = must(entry).path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        files += 1;
    }
    assert_eq!(files, 4, "database, log, index of the log, lock");
    drop(store);
    assert!(!directory.join("countersign.db-wal").exists(), "the log is empty after the end");
}

#[test]
fn a_second_opener_is_refused() {
    let directory = must(tempfile::tempdir());
    let first = crate::open(directory.path(), Arc::new(NullSink));
    let error = refusal(directory.path());
    assert!(matches!(error, OpenError::Locked { .. }), "{error:?}");
    assert_line(&error, &["countersign.lock", "stop the server"]);
    first.close();
    let second = crate::open(directory.path(), Arc::new(NullSink));
    drop(first);
    assert!(matches!(refusal(directory.path()), OpenError::Locked { .. }), "the lock is the second's now");
    drop(second);
}

#[test]
fn a_newer_schema_is_refused() {
    let directory = new_store();
    tamper(directory.path(), "INSERT INTO migrations (number, checksum) VALUES (99, zeroblob(32))");
    let error = refusal(directory.path());
    assert!(matches!(error, OpenError::NewerSchema { found: 99, known: 1.., .. }), "{error:?}");
    assert_line(&error, &["countersign.db", "99", "newer countersign"]);
    tamper(directory.path(), "DELETE FROM migrations WHERE number = 99");
    crate::open(directory.path(), Arc::new(NullSink));
}

#[test]
fn a_changed_migration_is_refused() {
    let directory = new_store();
    tamper(directory.path(), "UPDATE migrations SET checksum = zeroblob(32) WHERE number = 1");
    let error = refusal(directory.path());
    assert!(matches!(error, OpenError::ChangedMigration { number: 1, .. }), "{error:?}");
    assert_line(&error, &["countersign.db", "migration 1"]);
}

#[test]
fn what_is_no_database_is_refused() {
    let directory = new_store();
    must(fs::write(directory.path().join("countersign.db"), "x".repeat(10_000)));
    let error = refusal(directory.path());
    assert!(matches!(error, OpenError::Database { .. }), "{error:?}");
    assert_line(&error, &["countersign.db"]);
}

#[test]
fn a_schema_that_lacks_something_stops_the_start() {
    let directory = new_store();
    tamper(directory.path(), "DROP TABLE refusals");
    let error = refusal(directory.path());
    assert_line(&error, &["countersign.db", "refusals"]);
}

#[test]
fn what_cannot_be_a_directory_is_refused() {
    let above = must(tempfile::tempdir());
    let file = above.path().join("file");
    must(fs::write(&file, ""));
    for path in [file.clone(), file.join("below")] {
        let error = refusal(&path);
        assert!(matches!(error, OpenError::Directory { .. }), "{error:?}");
        assert_line(&error, &[&path.display().to_string(), "writable"]);
    }
}

fn assert_line(error: &OpenError, parts: &[&str]) {
    let text = error.to_string();
    assert!(!text.contains('\n'), "{text}");
    for part in parts {
        assert!(text.contains(part), "{text} does not speak of {part}");
    }
}

/// A cell that cannot be read is an error that names it, never a missing row.
#[tokio::test(flavor = "multi_thread")]
async fn a_broken_cell_is_named() {
    let directory = must(tempfile::tempdir());
    let open = |sink| Made { store: Arc::new(crate::open(directory.path(), sink)), keep: Box::new(()) };
    let world = World::new(&open).await;
    let token = world.issue(&world.root, "broken").await;
    tamper(directory.path(), "UPDATE service_tokens SET lifetime = '1 fortnight'");
    let expected = format!("broken row: table service_tokens, column lifetime, row {}", token.id);
    let found = world.store.find_service_token(world.root.id, token.id).await;
    assert_eq!(found.map_err(|error| error.to_string()), Err(expected.clone()));
    let listed =
        world.store.list_service_tokens(countersign_store_conformance::world::all_of(&world.root, 0, 9));
    assert!(matches!(listed.await, Err(StoreError::Broken { .. })));
    tamper(directory.path(), "UPDATE service_tokens SET scopes = 'a  b'");
    let loaded = world.store.load_facts(Box::new(drop)).await;
    assert!(matches!(loaded, Err(StoreError::Broken { column: "scopes", .. })), "{loaded:?}");
}
