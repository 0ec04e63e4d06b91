//! What a restore refuses, and what it believes of whom: nothing that was acknowledged goes by the way, and nothing comes
//! back by an older word.

use std::path::Path;
use std::process::Output;

use crate::manager::Manager;
use crate::moving::{Shelf, about, good, opens, refusal, run, text};
use crate::server::{Data, Server};

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
