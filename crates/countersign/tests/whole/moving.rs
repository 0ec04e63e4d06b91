//! Backups, what is restored from them, and the move to PostgreSQL: nothing is lost that was saved, and nothing comes
//! back that has ended.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::Value;

use crate::ledger::Ledger;
use crate::manager::{Issued, Manager};
use crate::random::Random;
use crate::server::{ACCOUNT, Data, Launch, Server, countersign, err, out};

/// Acknowledged before a backup begins, and while it is taken.
const BEFORE: usize = 150;
const MEANWHILE: usize = 100;
/// How often a move is killed.
const KILLS: u64 = 12;
/// Longest time that a move is let work, in milliseconds.
const LONGEST_MOVE: u64 = 80;

/// A place for backups.
pub(crate) struct Shelf(tempfile::TempDir);

impl Shelf {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// The program, about the store in a directory.
pub(crate) fn about(data: &Path, arguments: &[&str]) -> Command {
    countersign(arguments.iter().copied().chain(["--data", text(data)]))
}

pub(crate) fn run(command: &mut Command) -> Output {
    command.output().expect("the binary can be started")
}

pub(crate) fn good(output: Output) -> String {
    assert!(output.status.success(), "{}{}", out(&output), err(&output));
    out(&output)
}

/// Why it was refused: in one line.
pub(crate) fn refusal(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}{}", out(output), err(output));
    let why = err(output);
    assert_eq!(why.lines().count(), 1, "{why}");
    why
}

pub(crate) fn back_up(data: &Path, file: &Path) -> String {
    good(run(&mut about(data, &["backup", text(file)])))
}

pub(crate) fn opens(server: &Server, token: &Issued) -> bool {
    server.opens(&token.client_id, &token.secret)
}

/// What is saved beside a server that works is whole, and is the same when it was restored.
#[test]
fn a_backup_beside_a_working_server_is_whole() {
    let (data, shelf, elsewhere) = (Data::new(), Shelf::new(), Data::new());
    let file = shelf.file("saved.db");
    let server = Server::start(&data);
    let mut manager = Manager::connect(server.address());
    let issued: Vec<_> = (0..20).map(|n| manager.issue(&format!("{n}")).expect("an answer")).collect();
    let mut ledger = Ledger::new(3);
    ledger.work(server.address(), |progress| {
        assert!(progress.until_acknowledged(BEFORE));
        back_up(&data.path(), &file);
        assert!(progress.until_acknowledged(MEANWHILE));
    });
    server.kill();

    let report = good(run(&mut about(&elsewhere.path(), &["restore", text(&file), "--yes"])));
    assert!(report.contains("it is whole") && report.contains("restored"), "{report}");
    let again = shelf.file("again.db");
    back_up(&elsewhere.path(), &again);
    let server = Server::start(&elsewhere);
    assert!(issued.iter().all(|token| opens(&server, token)));
    // But for the restore itself.
    assert_eq!(note(&file, "digest"), note(&again, "digest"), "the doors know the same");
    let [saved, restored]: [u64; 2] =
        [&file, &again].map(|file| note(file, "rows.audit").parse().expect("a number"));
    assert_eq!(restored, saved + 1);
    // Keys under a seal that is elsewhere are made anew.
    let actions = |count: u8| {
        let entries = server.get(&format!("/api/v1/audit?limit={count}")).1["entries"].clone();
        entries.as_array().expect("entries").iter().map(|entry| entry["action"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(actions(2), ["signing_keys.rotate", "store.restore"]);
}

/// What a backup says of itself.
pub(crate) fn note(file: &Path, name: &str) -> String {
    let connection = Connection::open(file).expect("a database");
    let sql = "SELECT value FROM backup WHERE name = ?1";
    connection.query_row(sql, [name], |row| row.get(0)).expect("a note")
}

pub(crate) fn newest(server: &Server) -> Value {
    server.get("/api/v1/audit?limit=1").1["entries"][0].clone()
}

/// Tokens of each fate after a backup.
struct Tokens {
    revoked: Issued,
    disabled: Issued,
    rotated: Issued,
    untouched: Issued,
    /// An access token that was ended with its descendants, and one of them.
    minter: String,
    minted: String,
    /// Of an account that was deleted.
    of_deleted: String,
}

/// Tokens, a backup of them, and what becomes of them after it. Gives the secret that one was rotated to.
fn live_on(server: &Server, data: &Path, file: &Path) -> (Tokens, String) {
    let mut manager = Manager::connect(server.address());
    let mut issue = |name| manager.issue(name).expect("an answer");
    let [revoked, disabled, rotated, untouched] =
        ["revoked", "disabled", "rotated", "untouched"].map(&mut issue);
    let account = out(&server.cli(["account", "create", "acme@example.com"])).trim().to_owned();
    let of_deleted = mint(server, None, &account);
    let minter = mint(server, None, ACCOUNT);
    let minted = mint(server, Some(&minter), ACCOUNT);
    let tokens = Tokens { revoked, disabled, rotated, untouched, minter, minted, of_deleted };
    back_up(data, file);

    manager.revoke(&tokens.revoked.id).expect("an answer");
    manager.set_enabled(&tokens.disabled.id, false).expect("an answer");
    let secret = manager.rotate(&tokens.rotated.id, false).expect("an answer");
    let handle = &tokens.minter[..22];
    good(server.cli(["access-token", "revoke", handle, "--descendants"]));
    good(server.cli(["account", "delete", &account]));
    (tokens, secret)
}

fn mint(server: &Server, by: Option<&str>, account: &str) -> String {
    let arguments = ["access-token", "issue", "--ttl", "forever", "--account", account];
    let output = match by {
        Some(token) => server.cli_as(token, arguments, ""),
        None => server.cli(arguments),
    };
    good(output).trim().to_owned()
}

/// What ended after the backup is ended, whatever else is as it was.
fn check_ends(server: &Server, tokens: &Tokens) {
    assert!(opens(server, &tokens.untouched), "what was left alone opens");
    assert!(!opens(server, &tokens.revoked), "a revoked token came back");
    assert!(!opens(server, &tokens.disabled), "a disabled token came back");
    for ended in [&tokens.minter, &tokens.minted, &tokens.of_deleted] {
        let (status, _) = server.call("GET", "/api/v1/self", ended, None);
        assert_eq!(status, 401, "a token came back that had ended with another");
    }
}

#[test]
fn nothing_comes_back_that_has_ended() {
    let (data, shelf) = (Data::new(), Shelf::new());
    let file = shelf.file("saved.db");
    let server = Server::start(&data);
    let (tokens, secret) = live_on(&server, &data.path(), &file);
    let last = newest(&server)["revision"].as_u64().expect("a revision");
    let held = refusal(&run(&mut about(&data.path(), &["restore", text(&file), "--yes"])));
    assert!(held.contains("stop the server"), "{held}");
    server.kill();

    let trial = run(&mut about(&data.path(), &["restore", text(&file)]));
    assert!(refusal(&trial).contains("--yes"));
    let named = |what: &str| assert!(out(&trial).contains(what), "{what}: {}", out(&trial));
    named("tokens that have ended since: 4 (stay ended)");
    named(&tokens.revoked.id);
    named("tokens that were disabled since: 1 (stay disabled)");
    good(run(&mut about(&data.path(), &["restore", text(&file), "--yes"])));

    let server = Server::start(&data);
    check_ends(&server, &tokens);
    assert!(server.opens(&tokens.rotated.client_id, &secret), "the secret of now works");
    assert!(!opens(&server, &tokens.rotated), "a secret came back that was rotated out");
    let restored = newest(&server);
    assert_eq!(restored["action"], "store.restore");
    assert!(restored["revision"].as_u64() > Some(last), "a revision was used twice: {restored}");
    let (_, audit) = server.get("/api/v1/audit?action=service_token.revoke");
    assert_eq!(
        audit["entries"].as_array().map(Vec::len),
        Some(1),
        "what was done stays in the audit: {audit}"
    );
}

/// As above, where the store is lost and all that is known is an audit that was kept elsewhere.
#[test]
fn an_audit_is_enough_to_know_what_has_ended() {
    let (data, shelf, elsewhere) = (Data::new(), Shelf::new(), Data::new());
    let (file, audit) = (shelf.file("saved.db"), shelf.file("audit.json"));
    let server = Server::start(&data);
    let (tokens, _) = live_on(&server, &data.path(), &file);
    std::fs::write(&audit, good(server.cli(["audit", "--json", "--limit", "1000"]))).expect("room");
    server.kill();

    let restore = ["restore", text(&file), "--audit", text(&audit), "--yes"];
    let report = good(run(&mut about(&elsewhere.path(), &restore)));
    assert!(report.contains("there is no present store"), "{report}");
    assert!(report.contains("tokens that were rotated since: 1"), "{report}");
    let server = Server::start(&elsewhere);
    check_ends(&server, &tokens);
    assert!(!opens(&server, &tokens.rotated), "a secret came back that was rotated out");
    let mut manager = Manager::connect(server.address());
    let secret = manager.rotate(&tokens.rotated.id, false).expect("an answer");
    manager.set_enabled(&tokens.rotated.id, true).expect("an answer");
    assert!(server.opens(&tokens.rotated.client_id, &secret), "it goes on with another one");
    server.kill();

    let all = Data::new();
    let restore = [&restore[..], &["--bring-back"]].concat();
    good(run(&mut about(&all.path(), &restore)));
    assert!(opens(&Server::start(&all), &tokens.revoked), "what was asked for comes back");
}

/// A file that is no backup, or not whole, or of a newer program: one line, and nothing is changed.
#[test]
fn what_cannot_be_a_backup_is_refused() {
    let (data, shelf) = (Data::new(), Shelf::new());
    let file = shelf.file("saved.db");
    let server = Server::start(&data);
    Manager::connect(server.address()).issue("one").expect("an answer");
    back_up(&data.path(), &file);
    let again = refusal(&run(&mut about(&data.path(), &["backup", text(&file)])));
    assert!(again.contains("--force"), "{again}");
    good(run(&mut about(&data.path(), &["backup", text(&file), "--force"])));
    server.kill();
    let before = std::fs::read(data.path().join("countersign.db")).expect("the database");

    let refused = |name: &str, change: &dyn Fn(&Path), expected: &str| {
        let copy = shelf.file(name);
        std::fs::copy(&file, &copy).expect("room");
        change(&copy);
        let why = refusal(&run(&mut about(&data.path(), &["restore", text(&copy), "--yes"])));
        assert!(why.contains(expected), "{name}: {why}");
    };
    let sql = |path: &Path, sql: &str| {
        Connection::open(path).and_then(|connection| connection.execute_batch(sql)).expect("a database");
    };
    refused("text", &|path| std::fs::write(path, "hello").expect("room"), "database");
    refused(
        "short",
        &|path| {
            let half = std::fs::metadata(path).expect("a file").len() / 8192 * 4096;
            std::fs::OpenOptions::new().write(true).open(path).and_then(|f| f.set_len(half)).expect("a file");
        },
        "malformed",
    );
    refused("newer", &|path| sql(path, "INSERT INTO migrations VALUES (99, zeroblob(32))"), "schema 99");
    refused("less", &|path| sql(path, "DELETE FROM service_tokens"), "0 rows of service_tokens");
    refused("other", &|path| sql(path, "UPDATE service_tokens SET expires_at = 0"), "not the same");
    refused("bare", &|path| sql(path, "DROP TABLE backup"), "no backup");
    assert!(data.path().join("countersign.db").exists());
    assert_eq!(std::fs::read(data.path().join("countersign.db")).expect("the database"), before);
}

/// A database of a test's own in the PostgreSQL of the tests.
struct Database(String);

impl Database {
    fn new(name: &str) -> Self {
        let name = format!("moving_{}_{name}", std::process::id());
        psql(&server_url(), &format!("CREATE DATABASE {name}"));
        let url = server_url();
        let (server, _) = url.rsplit_once('/').expect("a database in the URL");
        Self(format!("{server}/{name}"))
    }

    fn rows(&self, table: &str) -> u64 {
        let sql = format!("SELECT count(*) FROM {table}");
        psql(&self.0, &sql).trim().parse().expect("a number")
    }
}

fn server_url() -> String {
    std::env::var("COUNTERSIGN_TEST_DATABASE_URL")
        .expect("COUNTERSIGN_TEST_DATABASE_URL names no server: `cargo xtask postgres` starts one")
}

fn psql(url: &str, sql: &str) -> String {
    let output = Command::new("psql").args(["-X", "-q", "-A", "-t", "-d", url, "-c", sql]).output();
    good(output.expect("psql is installed"))
}

/// However often a move is killed, it can be done again, and then all is there.
#[test]
fn a_move_that_is_killed_is_done_again() {
    let (data, shelf) = (Data::new(), Shelf::new());
    let server = Server::start(&data);
    let mut ledger = Ledger::new(3);
    ledger.work(server.address(), |progress| assert!(progress.until_acknowledged(2 * BEFORE)));
    server.kill();

    let database = Database::new("killed");
    let arguments = ["migrate", "--to", &database.0, "--from", text(&data.path())].map(str::to_owned);
    let migrate = || countersign(arguments.iter().map(String::as_str));
    let mut random = Random::seeded(KILLS);
    for _ in 0..KILLS {
        let quiet = Stdio::null;
        let mut moving =
            migrate().stdout(quiet()).stderr(quiet()).spawn().expect("the binary can be started");
        sleep(Duration::from_millis(random.below(LONGEST_MOVE)));
        moving.kill().expect("it runs, or has ended");
        if moving.wait().expect("it ends").success() {
            break;
        }
    }
    let told = good(run(&mut migrate()));
    assert!(told.contains("was moved"), "{told}");
    let again = good(run(&mut migrate()));
    assert!(again.contains("nothing was changed"), "{again}");

    let [here, there] = ["here.db", "there.db"].map(|name| shelf.file(name));
    back_up(&data.path(), &here);
    let backup =
        about(&data.path(), &["backup", text(&there)]).env("COUNTERSIGN_DATABASE_URL", &database.0).output();
    good(backup.expect("the binary can be started"));
    assert_eq!(note(&there, "store"), "postgres");
    for name in ["digest", "rows.accounts", "rows.access_tokens", "rows.audit", "rows.uses", "revision"] {
        assert_eq!(note(&here, name), note(&there, name), "{name}");
    }

    // A server finds everything, and every door says what it said.
    let launch = Launch::new(&data).env("COUNTERSIGN_DATABASE_URL", &database.0);
    let server = launch.env("COUNTERSIGN_KEY_FILE", data.path().join("seal.key")).start();
    ledger.check_everything(server.address());
    server.kill();

    let other = Data::new();
    Server::start(&other).kill();
    let refused =
        refusal(&run(countersign(["migrate", "--to", &database.0]).args(["--from", text(&other.path())])));
    assert!(refused.contains("another store"), "{refused}");
    assert_eq!(database.rows("organizations").to_string(), note(&here, "rows.organizations"));
}

/// A database becomes what a backup holds, in one step and with another epoch.
#[test]
fn a_database_is_restored() {
    let (data, shelf) = (Data::new(), Shelf::new());
    let (file, saved) = (shelf.file("saved.db"), shelf.file("restored.db"));
    let server = Server::start(&data);
    let mut manager = Manager::connect(server.address());
    let token = manager.issue("revoked").expect("an answer");
    back_up(&data.path(), &file);
    manager.revoke(&token.id).expect("an answer");
    server.kill();
    let database = Database::new("restored");
    good(run(countersign(["migrate", "--to", &database.0]).args(["--from", text(&data.path())])));
    let epoch = psql(&database.0, "SELECT epoch FROM identity");
    let with_database =
        |arguments: &[&str]| run(about(&data.path(), arguments).env("COUNTERSIGN_DATABASE_URL", &database.0));
    good(with_database(&["restore", text(&file), "--yes"]));
    assert_eq!(database.rows("service_tokens"), 0, "a revoked token came back");
    assert_ne!(psql(&database.0, "SELECT epoch FROM identity"), epoch);
    good(with_database(&["restore", text(&file), "--yes", "--bring-back"]));
    good(with_database(&["backup", text(&saved)]));
    assert_eq!(note(&saved, "digest"), note(&file, "digest"), "the doors know the same");
    assert_eq!(database.rows("audit WHERE action = 'store.restore'"), 2);
}
