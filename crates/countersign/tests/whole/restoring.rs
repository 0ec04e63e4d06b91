//! What a restore refuses, and what it believes of whom: nothing that was acknowledged goes by the way, and nothing comes
//! back by an older word.

use std::path::Path;
use std::process::Output;

use rusqlite::Connection;

use crate::manager::Manager;
use crate::moving::{Shelf, about, good, opens, refusal, run, text};
use crate::server::{ACCOUNT, Data, Server, TOKEN, err, out};

/// The program, about the store of a server; a database if it is one.
fn with(data: &Data, arguments: &[&str]) -> Output {
    let mut command = about(&data.path(), arguments);
    if let Some(database) = data.database() {
        command.env("COUNTERSIGN_DATABASE_URL", database.url());
    }
    run(&mut command)
}

fn restore(data: &Data, file: &Path, more: &[&str]) -> Output {
    with(data, &[&["restore", text(file), "--yes"], more].concat())
}

/// What a server acknowledges while its database gives way would be lost.
#[test]
fn a_database_is_not_restored_under_a_server() {
    let (data, shelf) = (Data::shared(), Shelf::new());
    let file = shelf.file("saved.db");
    let server = Server::start(&data);
    let mut manager = Manager::connect(server.address());
    let saved = manager.issue("saved").expect("an answer");
    good(with(&data, &["backup", text(&file)]));
    let later = manager.issue("later").expect("an answer");
    let refused = refusal(&restore(&data, &file, &[]));
    assert!(refused.contains("servers that use the database: 1; stop every one"), "{refused}");
    assert!(opens(&server, &later), "nothing was changed");
    server.stop();
    good(restore(&data, &file, &[]));
    let server = Server::start(&data);
    assert!(opens(&server, &saved) && !opens(&server, &later));
}

/// Who replaced the keys because others may have them does not want them back.
#[test]
fn keys_that_sign_are_those_of_now() {
    let (data, shelf) = (Data::embedded(), Shelf::new());
    let file = shelf.file("saved.db");
    let kids = |server: &Server| -> Vec<String> {
        let (_, set) = server.call("GET", "/.well-known/jwks.json", "", None);
        let kid = |key: &serde_json::Value| key["kid"].as_str().expect("a kid").to_owned();
        set["keys"].as_array().expect("keys").iter().map(kid).collect()
    };
    let server = Server::start(&data);
    let saved = kids(&server);
    good(with(&data, &["backup", text(&file)]));
    let rotate = format!("/client/v4/accounts/{ACCOUNT}/access/keys/rotate");
    assert_eq!(server.call("POST", &rotate, TOKEN, Some(&serde_json::json!({}))).0, 200);
    let now = kids(&server);
    assert_eq!((saved.len(), now.len()), (3, 6));
    server.stop();
    good(restore(&data, &file, &[]));
    let server = Server::start(&data);
    assert_eq!(kids(&server), now);
    server.stop();
    good(restore(&data, &file, &["--bring-back"]));
    assert_eq!(kids(&Server::start(&data)), saved);
}

/// A store that cannot be read is no lost one: what has ended stands in it. Whoever knows better says so.
#[test]
fn a_store_that_cannot_be_read_does_not_count_as_lost() {
    let (data, shelf) = (Data::embedded(), Shelf::new());
    let file = shelf.file("saved.db");
    let server = Server::start(&data);
    let mut manager = Manager::connect(server.address());
    let token = manager.issue("revoked").expect("an answer");
    good(with(&data, &["backup", text(&file)]));
    manager.revoke(&token.id).expect("an answer");
    server.stop();
    let database = data.path().join("countersign.db");

    change(
        &database,
        "DROP INDEX memberships_by_account; DROP TABLE quota_uses; DROP TABLE key_generations; ALTER TABLE service_tokens DROP COLUMN limits; \
         ALTER TABLE access_tokens DROP COLUMN limits; DELETE FROM migrations WHERE number > 5",
    );
    let trial = with(&data, &["restore", text(&file)]);
    assert!(out(&trial).contains("tokens that have ended since: 1"), "{}{}", out(&trial), err(&trial));
    let schema = "SELECT max(number) FROM migrations";
    let schema: u32 = open(&database).query_row(schema, [], |row| row.get(0)).expect("a schema");
    assert_eq!(schema, 5, "a trial changes nothing");

    change(&database, "INSERT INTO migrations VALUES (99, zeroblob(32))");
    assert!(refusal(&restore(&data, &file, &[])).contains("schema 99"));
    change(&database, "DELETE FROM migrations WHERE number = 99");
    good(with(&data, &["restore", text(&file), "--yes"]));

    let whole = std::fs::read(&database).expect("the database");
    let half = whole.len() / 8192 * 4096;
    for damaged in [&whole[..half], b"hello"] {
        std::fs::write(&database, damaged).expect("room");
        let refused = refusal(&restore(&data, &file, &[]));
        assert!(refused.contains("countersign.db, cannot be believed"), "{refused}");
        assert!(refused.contains("--without-present-store"), "{refused}");
    }
    good(restore(&data, &file, &["--without-present-store"]));
    assert!(opens(&Server::start(&data), &token), "nobody told of its end");
}

fn open(database: &Path) -> Connection {
    Connection::open(database).expect("a database")
}

fn change(database: &Path, sql: &str) {
    open(database).execute_batch(sql).expect("a change");
}

/// An audit may be older than the store, or than another one: what was said last counts.
#[test]
fn the_last_word_counts() {
    let (data, shelf) = (Data::embedded(), Shelf::new());
    let [file, old, new] = ["saved.db", "old.json", "new.json"].map(|name| shelf.file(name));
    let server = Server::start(&data);
    server.wait_for_keys();
    let mut manager = Manager::connect(server.address());
    let token = manager.issue("token").expect("an answer");
    let account = out(&server.cli(["account", "create", "acme@example.com"])).trim().to_owned();
    good(with(&data, &["backup", text(&file)]));
    manager.set_enabled(&token.id, false).expect("an answer");
    good(server.cli(["account", "disable", &account]));
    export(&server, &account, &old);
    manager.set_enabled(&token.id, true).expect("an answer");
    good(server.cli(["account", "enable", &account]));
    export(&server, &account, &new);
    server.stop();

    let trial = |data: &Data, audits: [&Path; 2]| {
        let [one, other] = audits.map(text);
        out(&with(data, &["restore", text(&file), "--audit", one, "--audit", other]))
    };
    let elsewhere = Data::embedded();
    for (told, why) in [
        (trial(&data, [&old, &old]), "the store knows better"),
        (trial(&elsewhere, [&new, &old]), "the newer file knows better"),
        (trial(&elsewhere, [&old, &new]), "the newer file knows better"),
    ] {
        assert!(told.contains("2 changes") && !told.contains("disabled since"), "{why}: {told}");
    }
    let told = trial(&elsewhere, [&old, &old]);
    assert!(told.contains("tokens that were disabled since: 1"), "{told}");
    assert!(told.contains("accounts that were disabled since: 1"), "{told}");
}

/// What is known of the root account and of another one.
fn export(server: &Server, other: &str, file: &Path) {
    let records = |account: &str| good(server.cli(["audit", "--json", "--account", account]));
    std::fs::write(file, records(ACCOUNT) + &records(other)).expect("room");
}

/// Two rows of the same version are not the same where a store went on from a backup twice.
#[test]
fn the_same_version_may_be_another_row() {
    let (data, shelf) = (Data::embedded(), Shelf::new());
    let [before, renamed] = ["before.db", "renamed.db"].map(|name| shelf.file(name));
    let server = Server::start(&data);
    let mut manager = Manager::connect(server.address());
    let token = manager.issue("token").expect("an answer");
    good(with(&data, &["backup", text(&before)]));
    manager.rename(&token.id, "renamed").expect("an answer");
    good(with(&data, &["backup", text(&renamed)]));
    server.stop();
    good(restore(&data, &before, &["--bring-back"]));
    let server = Server::start(&data);
    Manager::connect(server.address()).set_enabled(&token.id, false).expect("an answer");
    server.stop();

    let told = good(restore(&data, &renamed, &[]));
    assert!(told.contains("tokens that were disabled since: 1 (stay disabled)"), "{told}");
    assert!(!opens(&Server::start(&data), &token), "a disabled token came back");
}

/// What a store does not have has only ended if it ever had it.
#[test]
fn another_history_tells_nothing() {
    let (data, elsewhere, shelf) = (Data::embedded(), Data::embedded(), Shelf::new());
    let [before, later] = ["before.db", "later.db"].map(|name| shelf.file(name));
    let server = Server::start(&data);
    let mut manager = Manager::connect(server.address());
    good(with(&data, &["backup", text(&before)]));
    let token = manager.issue("token").expect("an answer");
    good(with(&data, &["backup", text(&later)]));
    server.stop();
    good(restore(&elsewhere, &before, &[]));
    assert!(refusal(&restore(&elsewhere, &later, &[])).contains("does not continue this backup"));

    let server = Server::start(&elsewhere);
    for name in ["one", "two", "three"] {
        Manager::connect(server.address()).issue(name).expect("an answer");
    }
    server.stop();
    let refused = refusal(&restore(&elsewhere, &later, &[]));
    assert!(refused.contains("with which the backup ends"), "{refused}");
    good(restore(&elsewhere, &later, &["--without-present-store"]));
    assert!(opens(&Server::start(&elsewhere), &token), "it has never ended");
}

/// An audit that begins after the backup leaves something out; one of others tells nothing.
#[test]
fn an_audit_must_be_whole_and_of_these_accounts() {
    let (data, elsewhere, shelf) = (Data::embedded(), Data::embedded(), Shelf::new());
    let [file, cut, all, bad] = ["saved.db", "cut.json", "all.json", "bad.json"].map(|name| shelf.file(name));
    let server = Server::start(&data);
    let mut manager = Manager::connect(server.address());
    let token = manager.issue("token").expect("an answer");
    good(with(&data, &["backup", text(&file)]));
    manager.revoke(&token.id).expect("an answer");
    for _ in 0..100 {
        manager.issue("one more").expect("an answer");
    }
    let [some, every] = [&["audit", "--json"][..], &["audit", "--all", "--json"]]
        .map(|arguments| good(server.cli(arguments.iter().copied())));
    server.stop();

    let told = |audit: &Path, records: &str| {
        std::fs::write(audit, records).expect("room");
        with(&elsewhere, &["restore", text(&file), "--audit", text(audit)])
    };
    let warned = |output: &Output| out(output).contains("cut.json DOES NOT REACH BACK to the backup");
    assert!(warned(&told(&cut, &some)));
    let output = told(&all, &every);
    assert!(!out(&output).contains("REACH BACK"), "{}", out(&output));
    assert!(out(&output).contains("tokens that have ended since: 1"), "{}", out(&output));

    let of_others = every.replace(ACCOUNT, &ACCOUNT.replace("0192", "0193"));
    assert!(refusal(&told(&bad, &of_others)).contains("leave it out"));
    let far = every.replacen("\"revision\": ", "\"revision\": 9223372036854775", 1);
    assert!(refusal(&told(&bad, &far)).contains("no store has a revision"));
    // One that has a place which is taken is heard all the same, and nobody says that it is kept.
    let twice = every.clone() + &every.replace("\"id\": \"0", "\"id\": \"1");
    let output = told(&bad, &twice);
    assert!(out(&output).contains("changes count and are not kept in the audit"), "{}", out(&output));
}
