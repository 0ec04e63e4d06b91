//! What the store holds moves away and comes back, as backups, restores and migrations have it.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use countersign_store_conformance::archives::{self, Made as Moved};
use countersign_store_conformance::ops;
use countersign_store_conformance::world::{Made, must};
use countersign_store_sqlite::{EmbeddedPlace, SqliteArchive};
use proptest::prelude::*;
use rusqlite::Connection;
use tempfile::TempDir;

use super::{make, open};

/// An empty store in this directory, as an archive and as a store.
fn empty(directory: &TempDir) -> Moved {
    let path = directory.path().to_owned();
    let place = must(EmbeddedPlace::take(&path));
    let (new, archive) = must(place.create_beside(".new"));
    let place = Mutex::new(Some(place));
    let opened = move |sink| {
        if let Some(place) = must(place.lock()).take() {
            must(place.replace_by(&new, ".before"));
        }
        Arc::new(open(&path, sink)) as _
    };
    (Box::new(archive), Box::new(opened))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// What moves to another store and back is the same, and goes on as before.
    #[test]
    fn what_moves_is_the_same(steps in ops::steps(60), more in ops::steps(20)) {
        let runtime = must(tokio::runtime::Builder::new_multi_thread().worker_threads(1).build());
        runtime.block_on(async {
            let Made { store, keep } = ops::duel(&steps, &make).await;
            let before = ops::dump(&store).await;
            let directory = must(keep.downcast::<TempDir>());
            // Beside the store, which goes on.
            let mut archive = must(SqliteArchive::read(&EmbeddedPlace::database(directory.path())));
            let elsewhere = must(tempfile::tempdir());
            archives::move_house(&mut archive, &before, &more, || empty(&elsewhere)).await;
        });
    }
}

/// A place with a database of these rows, of which some are in the log alone: its writer was killed.
fn with_a_log(rows: u32) -> TempDir {
    let [living, killed] = [(); 2].map(|()| must(tempfile::tempdir()));
    let path = EmbeddedPlace::database(living.path());
    let writer = must(Connection::open(&path));
    must(writer.pragma_update(None, "journal_mode", "WAL"));
    must(writer.execute_batch("CREATE TABLE rows (number INTEGER)"));
    for row in 0..rows {
        must(writer.execute("INSERT INTO rows VALUES (?1)", [row]));
    }
    for entry in must(fs::read_dir(living.path())).flatten() {
        must(fs::copy(entry.path(), killed.path().join(entry.file_name())));
    }
    killed
}

fn rows(path: &Path) -> u32 {
    must(must(Connection::open(path)).query_row("SELECT count(*) FROM rows", [], |row| row.get(0)))
}

fn log_of(path: &Path) -> u64 {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    fs::metadata(name).map_or(0, |log| log.len())
}

/// What replaces a database is found as it is, and what it replaces is whole.
#[test]
fn a_database_leaves_with_its_log() {
    let directory = with_a_log(5);
    let path = EmbeddedPlace::database(directory.path());
    assert!(log_of(&path) > 0, "it is in the log");
    let place = must(EmbeddedPlace::take(directory.path()));
    let (new, archive) = must(place.create_beside(".new"));
    drop(archive);
    must(must(Connection::open(&new)).execute_batch("CREATE TABLE rows (number INTEGER)"));
    let kept = must(place.replace_by(&new, ".before")).kept_as.unwrap_or_default();
    assert_eq!((rows(&path), rows(&kept)), (0, 5));
    assert_eq!(log_of(&kept), 0, "what is kept is one file");
}

/// A log whose database was taken away is not that of the next one.
#[test]
fn a_log_without_a_database_is_put_aside() {
    let directory = with_a_log(5);
    let path = EmbeddedPlace::database(directory.path());
    must(fs::remove_file(&path));
    let place = must(EmbeddedPlace::take(directory.path()));
    let (new, archive) = must(place.create_beside(".new"));
    drop(archive);
    must(must(Connection::open(&new)).execute_batch("CREATE TABLE rows (number INTEGER)"));
    assert!(must(place.replace_by(&new, ".before")).kept_as.is_none());
    assert_eq!((rows(&path), log_of(&directory.path().join("countersign.db.before")) > 0), (0, true));
}

/// Somebody who reads keeps the log from being emptied: then nothing is changed.
#[test]
fn a_database_that_is_read_is_not_replaced() {
    let directory = with_a_log(5);
    let path = EmbeddedPlace::database(directory.path());
    let reader = must(Connection::open(&path));
    must(reader.execute_batch("BEGIN"));
    assert_eq!(must(reader.query_row("SELECT count(*) FROM rows", [], |row| row.get::<_, u32>(0))), 5);
    must(must(Connection::open(&path)).execute("INSERT INTO rows VALUES (6)", []));
    let place = must(EmbeddedPlace::take(directory.path()));
    let (new, archive) = must(place.create_beside(".new"));
    drop(archive);
    assert!(place.replace_by(&new, ".before").is_err());
    drop(reader);
    assert_eq!(rows(&path), 6);
}

/// What cannot be read at all makes room.
#[test]
fn a_damaged_database_is_replaced() {
    let directory = with_a_log(5);
    let path = EmbeddedPlace::database(directory.path());
    for file in [&path, &directory.path().join("countersign.db-wal")] {
        must(fs::write(file, "no database at all, but longer than a header of a hundred bytes".repeat(9)));
    }
    let place = must(EmbeddedPlace::take(directory.path()));
    let (new, archive) = must(place.create_beside(".new"));
    drop(archive);
    must(must(Connection::open(&new)).execute_batch("CREATE TABLE rows (number INTEGER)"));
    let kept = must(place.replace_by(&new, ".before")).kept_as.unwrap_or_default();
    assert!(must(fs::read_to_string(&kept)).starts_with("no database"));
    assert_eq!((rows(&path), log_of(&path)), (0, 0));
}

#[test]
fn what_belongs_to_a_store_is_told_by_whatever_path() {
    let directory = must(tempfile::tempdir());
    let (store, link) = (directory.path().join("store"), directory.path().join("link"));
    drop(must(EmbeddedPlace::take(&store)));
    must(std::os::unix::fs::symlink(&store, &link));
    for own in ["countersign.db", "countersign.db-wal", "countersign.lock"] {
        assert!(EmbeddedPlace::has_file(&store, &link.join(own)), "{own}");
        assert!(!EmbeddedPlace::has_file(&store, &directory.path().join(own)), "{own} elsewhere");
    }
    assert!(!EmbeddedPlace::has_file(&store, &store.join("saved.db")));
}
