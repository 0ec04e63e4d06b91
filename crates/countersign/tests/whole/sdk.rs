//! Clients of all wires, unmodified but for base URL and token, go through every operation: Cloudflare's official SDKs,
//! plain `requests` and `fetch` as the other vendor's documentation uses them, and OAuth clients of resource servers.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::server::{ACCOUNT, Data, Server, TOKEN, err, out};

/// Longest walk through all operations, in seconds, on a slow machine with other work.
const LONGEST: &str = "300";
/// No script has fewer steps.
const FEWEST_STEPS: usize = 8;

#[test]
fn the_python_sdk_goes_through_everything() {
    let python = installed("COUNTERSIGN_PEERS_PYTHON");
    let mut walk = ended_in_time(&python);
    walk.arg("-B").arg(script("service_tokens.py"));
    finish(walk);
}

#[test]
fn the_node_sdk_goes_through_everything() {
    let modules = installed("COUNTERSIGN_PEERS_NODE_DIR");
    let mut walk = ended_in_time(Path::new("node"));
    walk.arg(script("service_tokens.mjs")).env("COUNTERSIGN_PEERS_NODE_DIR", modules);
    finish(walk);
}

#[test]
fn plain_requests_of_python_go_through_everything() {
    let python = installed("COUNTERSIGN_PEERS_PYTHON");
    let mut walk = ended_in_time(&python);
    walk.arg("-B").arg(script("access_tokens.py"));
    finish(walk);
}

#[test]
fn plain_fetch_of_node_goes_through_everything() {
    let mut walk = ended_in_time(Path::new("node"));
    walk.arg(script("access_tokens.mjs"));
    finish(walk);
}

#[test]
fn authlib_gets_introspects_and_revokes() {
    let python = installed("COUNTERSIGN_PEERS_PYTHON");
    let mut walk = ended_in_time(&python);
    walk.arg("-B").arg(script("oauth.py"));
    finish(walk);
}

#[test]
fn openid_client_gets_introspects_and_revokes() {
    let modules = installed("COUNTERSIGN_PEERS_NODE_DIR");
    let mut walk = ended_in_time(Path::new("node"));
    walk.arg(script("oauth.mjs")).env("COUNTERSIGN_PEERS_NODE_DIR", modules);
    finish(walk);
}

/// What `cargo xtask` has installed and told us of.
pub(crate) fn installed(variable: &str) -> PathBuf {
    let install = "`cargo xtask test --only setup,python,node` installs it, `cargo xtask test` runs this";
    let path = env::var_os(variable).unwrap_or_else(|| panic!("{variable} is not set: {install}"));
    let path = PathBuf::from(path);
    assert!(path.exists(), "{variable} is {}, which is not there: {install}", path.display());
    path
}

/// A script of `tests/peers`.
pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers").join(name)
}

/// A program with nothing of our environment in it, such as the address of some proxy, but where programs are.
pub(crate) fn ended_in_time(program: &Path) -> Command {
    let mut command = Command::new("timeout");
    command.arg(LONGEST).arg(program).env_clear();
    command.env("PATH", env::var_os("PATH").unwrap_or_default());
    command
}

/// Lets it walk, before a server of its own.
fn finish(mut walk: Command) {
    let data = Data::new();
    let server = Server::start(&data);
    walk.env("COUNTERSIGN_URL", server.url(""));
    walk.env("COUNTERSIGN_ACCOUNT_ID", ACCOUNT).env("COUNTERSIGN_TOKEN", TOKEN);
    let output = walk.output().expect("`timeout` of coreutils is there");
    let told = out(&output);
    let all = || format!("{}\n{told}\n{}\nthe server's log:\n{}", output.status, err(&output), server.log());
    assert!(output.status.success(), "{}", all());
    let steps = told.lines().filter(|line| line.starts_with("ok ")).count();
    assert!(steps >= FEWEST_STEPS && told.ends_with("steps passed\n"), "{}", all());
}
